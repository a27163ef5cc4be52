@ Doubles in software, for the fast loop: a part of loop.s, whose macros it uses. The macros of arithmetic, of comparisons and
@ of conversions are those of the functions that compiled code calls (function.s), too: with other registers, and other ways out.

@ ---- 64-bit floats ----------------------------------------------------------------------------------------------------
@ IEEE 754 binary64, rounded to nearest, ties to even. Infinities, NaNs, subnormals and what overflows or underflows are
@ left to the portable loop; zeros are not.

@ Arithmetic has the first operand in t and y, the second in x and xh, and puts the result there. When it leaves, both are as
@ they were. `done` is how it ends, `leave` where it leaves to, and `at` makes the names of labels different. It needs more
@ registers: v, w and k, and for quotients m and n.
        v       .req r3
        w       .req r12
        k       .req lr
        m       .req r4
        n       .req r6

        .macro  done
        pop     {{r3, r12, lr}}
        sub     stack, stack, #8
        next    one
        .endm
        .macro  done_divide
        pop     {{r3, r4, r6, r12, lr}}
        sub     stack, stack, #8
        next    one
        .endm

@ Rounds a mantissa in `low` and `high` by the half word behind it in `behind`; `above` is sign and exponent less one, to which
@ the mantissa's leading 1 adds, and the carry if rounding gives another.
        .macro  round low, high, behind, above, spare
        lsrs    \spare, \low, #1
        mvn     \spare, #0x80000000
        adcs    \behind, \behind, \spare
        adcs    x, \low, #0
        adc     xh, \high, \above
        .endm

        .macro  f64_multiply done, leave, at
        eor     w, y, xh
        ubfx    u, y, #20, #11
        ubfx    v, xh, #20, #11
        sub     k, u, #1
        cmp     k, #0x7f8
        bhs     .Lmul_zero_\at
        sub     k, v, #1
        cmp     k, #0x7f8
        bhs     .Lmul_zero_\at
@ The exponent, less one for the leading 1 that is added, of a product that is 2 or more; it may come to be one less.
        add     k, k, u
        subw    k, k, #1022
        sub     u, k, #1
        cmp     u, #0x7f8
        bhs     \leave
        and     w, w, #0x80000000
@ Mantissas: the first at the top of 64 bits, the second as it is, so that the product's upper half is the result's.
        lsl     y, y, #11
        orr     y, y, t, lsr #21
        orr     y, y, #0x80000000
        lsl     t, t, #11
        ubfx    xh, xh, #0, #20
        orr     xh, xh, #0x00100000
@ t y times x xh, to u (lowest, then only sticky), v, ...
        umull   u, v, t, x
        cmp     u, #0
        mov     u, #0
        umaal   v, u, t, xh
        mov     t, #0
        umaal   v, t, y, x
        umaal   u, t, y, xh
        it      ne
        orrne   v, v, #1
@ t high, u low, v rest: the leading 1 is at bit 20 of the high word, or one below.
        tst     t, #0x00100000
        bne     1f
        adds    v, v, v
        adcs    u, u, u
        adc     t, t, t
        sub     k, k, #1
1:      add     w, w, k, lsl #20
        round   u, t, v, w, y
        \done

@ One of the factors is special; a zero times a finite number is a zero.
.Lmul_zero_\at:
        movw    k, #0x7ff
        cmp     u, k
        beq     \leave
        cmp     v, k
        beq     \leave
        orr     k, t, y, lsl #1
        cmp     k, #0
        it      ne
        orrsne  k, x, xh, lsl #1
        bne     \leave
        and     xh, w, #0x80000000
        mov     x, #0
        \done
        .endm

@ The second mantissa, in x and xh, down by v bits; what goes out is in w, with its last bit set for all beyond.
        .macro  align
        cmp     v, #32
        bhs     1f
        rsb     u, v, #32
        lsl     w, x, u
        lsr     x, x, v
        lsl     u, xh, u
        orr     x, x, u
        lsr     xh, xh, v
        b       3f
1:      sub     v, v, #32
        cmp     v, #23
        bhs     2f
        rsb     u, v, #32
        lsl     w, x, u
        cmp     w, #0
        lsr     x, x, v
        lsl     u, xh, u
        orr     w, x, u
        it      ne
        orrne   w, w, #1
        lsr     x, xh, v
        mov     xh, #0
        b       3f
2:      mov     w, #1
        mov     x, #0
        mov     xh, #0
3:
        .endm

@ Leaves with the operands perhaps exchanged.
        .macro  f64_add done, leave, at
@ The greater magnitude first.
        lsl     u, y, #1
        lsl     v, xh, #1
        cmp     t, x
        sbcs    k, u, v
        bhs     1f
        eor     t, t, x
        eor     x, t, x
        eor     t, t, x
        eor     y, y, xh
        eor     xh, y, xh
        eor     y, y, xh
1:      eor     w, y, xh
        ubfx    u, y, #20, #11
        ubfx    v, xh, #20, #11
@ Below this there is room for a carry.
        sub     k, u, #1
        cmp     k, #0x7f8
        bhs     .Ladd_zero_\at
        cmp     v, #0
        beq     .Ladd_zero_\at
        sub     v, u, v
@ Sign, and exponent less one.
        and     u, y, #0x80000000
        orr     k, u, k, lsl #20
        ubfx    y, y, #0, #20
        orr     y, y, #0x00100000
        ubfx    xh, xh, #0, #20
        orr     xh, xh, #0x00100000
        cmp     w, #0
        bmi     .Ladd_opposite_\at
        align
        adds    t, t, x
        adc     y, y, xh
        tst     y, #0x00200000
        beq     .Ladd_round_\at
@ One bit too many: down again.
        and     u, w, #1
        lsrs    y, y, #1
        rrxs    t, t
        rrx     w, w
        orr     w, w, u
        add     k, k, #0x00100000
.Ladd_round_\at:
        round   t, y, w, k, u
        \done
.Ladd_opposite_\at:
        align
        rsbs    w, w, #0
        sbcs    t, t, x
        sbc     y, y, xh
        tst     y, #0x00100000
        bne     .Ladd_round_\at
        orr     u, t, y
        orrs    u, u, w
        beq     .Ladd_nothing_\at
@ Leading bits went: up again, by as many as there are, or by 21, or by what the exponent allows: then the difference is
@ subnormal, or just not, and has no bits behind it.
1:      clz     u, y
        sub     u, u, #11
        ubfx    v, k, #20, #11
        cmp     v, u
        it      ls
        movls   u, v
        sub     k, k, u, lsl #20
        rsb     v, u, #32
        lsl     y, y, u
        lsr     x, t, v
        orr     y, y, x
        lsl     t, t, u
        lsr     x, w, v
        orr     t, t, x
        lsl     w, w, u
        bls     .Ladd_round_\at
        tst     y, #0x00100000
        beq     1b
        b       .Ladd_round_\at
.Ladd_nothing_\at:
        mov     x, #0
        mov     xh, #0
        \done
@ The greater one is special, or the lesser: zeros add nothing.
.Ladd_zero_\at:
        movw    k, #0x7ff
        cmp     u, k
        beq     \leave
        orrs    k, x, xh, lsl #1
        bne     \leave
        cmp     u, #0
        beq     1f
        mov     x, t
        mov     xh, y
        \done
1:      orrs    k, t, y, lsl #1
        bne     \leave
        and     xh, xh, y
        \done
        .endm

@ Four digits of 14 bits: each is the remainder's upper half by the divisor's first 16 bits and one more, so that it is never
@ too great; the remainder stays below 2.0001 times the divisor, which has 62 bits.
        .macro  digit
        udiv    u, y, w
        lsls    y, y, #14
        orr     y, y, t, lsr #18
        lsls    t, t, #14
        umlal   t, y, u, x
        mla     y, u, xh, y
        .endm
        .macro  f64_divide done, leave
        ubfx    u, y, #20, #11
        ubfx    v, xh, #20, #11
        sub     k, u, #1
        cmp     k, #0x7f8
        bhs     \leave
        sub     k, v, #1
        cmp     k, #0x7f8
        bhs     \leave
        eor     w, y, xh
@ The exponent, less one for the leading 1 that is added; it may come to be one less.
        sub     k, u, v
        addw    k, k, #1022
        sub     u, k, #1
        cmp     u, #0x7f8
        bhs     \leave
        lsls    y, y, #11
        orr     y, y, #0x80000000
        lsrs    y, y, #2
        orr     y, y, t, lsr #23
        lsls    t, t, #9
        lsl     xh, xh, #11
        orr     xh, xh, #0x80000000
        lsr     xh, xh, #2
        orr     xh, xh, x, lsr #23
        lsls    x, x, #9
@ The quotient is below 1 and not below a half.
        cmp     t, x
        sbcs    u, y, xh
        ittte   hs
        lsrhs   t, t, #1
        orrhs   t, t, y, lsl #31
        lsrhs   y, y, #1
        sublo   k, k, #1
        and     w, w, #0x80000000
        add     k, w, k, lsl #20
@ The divisor becomes negative, to be added.
        lsr     w, xh, #14
        add     w, w, #1
        rsbs    x, x, #0
        mvn     xh, xh
        adc     xh, xh, #0
        digit
        mov     m, u
        digit
        add     m, u, m, lsl #14
        digit
        mov     v, u
        digit
        add     v, u, v, lsl #14
        lsls    u, m, #28
        lsrs    m, m, #4
        adds    u, u, v
        adc     m, m, #0
@ What the digits fell short.
1:      adds    v, t, x
        adcs    n, y, xh
        bcc     2f
        mov     t, v
        mov     y, n
        adds    u, u, #1
        adc     m, m, #0
        b       1b
@ Three bits too many, and whether there is more.
2:      lsls    v, u, #29
        orrs    t, t, y
        it      ne
        orrne   v, v, #1
        lsrs    t, u, #3
        orr     t, t, m, lsl #29
        lsrs    y, m, #3
        round   t, y, v, k, u
        \done
        .endm

on w1, F64_MUL
        push    {{r3, r12, lr}}
        ldrd    t, y, [stack, #-8]
        f64_multiply done, .Ldouble_leave, loop

on w1, F64_SUB
        eor     xh, xh, #0x80000000
on w1, F64_ADD
        push    {{r3, r12, lr}}
        ldrd    t, y, [stack, #-8]
        f64_add done, .Ladd_leave, loop
@ What is added may be exchanged; what was subtracted is negative by now.
.Ladd_leave:
        strd    t, y, [stack, #-8]
        ldrb    t, [code]
        lsls    t, t, #31
        it      mi
        eormi   xh, xh, #0x80000000
.Ldouble_leave:
        pop     {{r3, r12, lr}}
        b       .Lleave_1

on w1, F64_DIV
        push    {{r3, r4, r6, r12, lr}}
        ldrd    t, y, [stack, #-8]
        f64_divide done_divide, .Ldiv_leave
.Ldiv_leave:
        pop     {{r3, r4, r6, r12, lr}}
        b       .Lleave_1

@ Rounds to an integer: y is negative when what has a fraction goes away from zero.
on w1, F64_CEIL
        mvn     y, xh
        b       1f
on w1, F64_FLOOR
        mov     y, xh
        b       1f
on w1, F64_TRUNC
        movs    y, #0
1:      ubfx    t, xh, #20, #11
        subw    t, t, #1023
        cmp     t, #52
        bge     4f
        cmp     t, #0
        blt     3f
@ The fraction has t bits, of which u are in the upper half.
        rsb     t, t, #52
        subs    u, t, #32
        bge     2f
        lsr     u, x, t
        lsls    u, u, t
        cmp     u, x
        beq     5f
        mov     x, u
        cmp     y, #0
        bpl     5f
        movs    u, #1
        lsls    u, u, t
        adds    x, x, u
        adc     xh, xh, #0
        next    one
2:      lsr     t, xh, u
        lsls    t, t, u
        cmp     t, xh
        it      eq
        cmpeq   x, #0
        beq     5f
        mov     xh, t
        movs    x, #0
        cmp     y, #0
        bpl     5f
        movs    t, #1
        lsls    t, t, u
        add     xh, xh, t
        next    one
@ Below 1.
3:      orrs    t, x, xh, lsl #1
        beq     5f
        movs    x, #0
        and     xh, xh, #0x80000000
        cmp     y, #0
        itt     mi
        orrmi   xh, xh, #0x3fc00000
        orrmi   xh, xh, #0x00300000
        next    one
4:      cmp     t, #1024
        beq     .Lleave_1
5:      next    one

@ With all bits but the sign turned over in negative ones floats compare as integers, -0 below 0, and turning again gives them
@ back. The opcode of the greater is odd.
on w1, F64_MAX
on w1, F64_MIN
        two_finite
        .macro  turn low, high
        asrs    u, \high, #31
        eor     \low, \low, u
        eor     \high, \high, u, lsr #1
        .endm
        turn    t, y
        turn    x, xh
        ldrb    u, [code]
        lsrs    u, u, #1
        bcs     1f
        cmp     t, x
        sbcs    u, y, xh
        b       2f
1:      cmp     x, t
        sbcs    u, xh, y
2:      itt     lt
        movlt   x, t
        movlt   xh, y
        turn    x, xh
        next    one

@ Among the normal numbers, and zeros.
        .macro  f32_demote_f64 to, then, leave=.Lleave_1
        ubfx    t, xh, #20, #11
        subw    t, t, #896
        subs    u, t, #1
        cmp     u, #254
        bhs     1f
        lsl     y, xh, #12
        orr     y, y, x, lsr #20
        lsls    u, x, #12
        it      ne
        orrne   y, y, #1
        lsrs    u, y, #9
        add     u, u, t, lsl #23
        lsls    y, y, #23
        lsrs    t, u, #1
        mvn     t, #0x80000000
        adcs    y, y, t
        adc     u, u, #0
        and     x, xh, #0x80000000
        orrs    x, x, u
        next    one
1:      orrs    t, x, xh, lsl #1
        bne     \leave
        mov     x, xh
        next    one
        .endm

        .macro  f64_from_u32
        clz     t, x
        lsl     x, x, t
        movw    u, #1053
        sub     u, u, t
        lsr     t, x, #11
        add     xh, t, u, lsl #20
        lsl     x, x, #21
        .endm
        .macro  f64_convert_i32_u to, then
        cmp     x, #0
        beq     1f
        f64_from_u32
        next    one
1:      mov     xh, #0
        next    one
        .endm
        .macro  f64_convert_i32_s to, then
        ands    y, x, #0x80000000
        it      mi
        rsbmi   x, x, #0
        cmp     x, #0
        beq     1f
        f64_from_u32
        orr     xh, xh, y
        next    one
1:      mov     xh, #0
        next    one
        .endm
        .macro  f64_promote_f32 to, then, leave=.Lleave_1
        lsls    t, x, #1
        beq     1f
        sub     u, t, #0x01000000
        cmp     u, #0xfe000000
        bhs     \leave
        and     y, x, #0x80000000
        lsr     t, t, #4
        add     t, t, #0x38000000
        orr     xh, t, y
        lsl     x, x, #29
        next    one
1:      mov     xh, x
        mov     x, #0
        next    one
        .endm
@ Below 1 there is nothing left; the ends of the range are looked at closely elsewhere. `most` is the greatest exponent.
        .macro  f64_truncate most
        ubfx    t, xh, #20, #11
        subw    t, t, #1023
        cmp     t, #0
        blt     1f
        cmp     t, #\most
        bgt     .Lleave_1
        mov     u, #0x80000000
        orr     u, u, xh, lsl #11
        orr     u, u, x, lsr #21
        rsb     t, t, #31
        lsr     t, u, t
        .endm
        .macro  i32_trunc_f64_s to, then
        f64_truncate 30
        cmp     xh, #0
        it      mi
        rsbmi   t, t, #0
        mov     x, t
        next    one
1:      mov     x, #0
        next    one
        .endm
        .macro  i32_trunc_f64_u to, then
        f64_truncate 31
        cmp     xh, #0
        bmi     .Lleave_1
        mov     x, t
        next    one
1:      mov     x, #0
        next    one
        .endm
        unary_wide F64_CONVERT_I32_U, f64_convert_i32_u
        unary_wide F64_CONVERT_I32_S, f64_convert_i32_s
        unary_wide F32_DEMOTE_F64, f32_demote_f64
        unary_wide F64_PROMOTE_F32, f64_promote_f32
        unary_wide I32_TRUNC_F64_S, i32_trunc_f64_s
        unary_wide I32_TRUNC_F64_U, i32_trunc_f64_u

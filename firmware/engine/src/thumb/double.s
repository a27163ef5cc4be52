@ Doubles in software, for the fast loop: a part of loop.s, whose macros it uses.

@ ---- 64-bit floats ----------------------------------------------------------------------------------------------------
@ IEEE 754 binary64, rounded to nearest, ties to even. Infinities, NaNs, subnormals and what overflows or underflows are
@ left to the portable loop; zeros are not.

@ Arithmetic uses more registers: keeps the second operand, then what is lost.
        .macro  more
        push    {{r7, r8}}
        push    {{r3, r12, lr}}
        .endm
        .macro  done
        pop     {{r3, r12, lr}}
        add     sp, sp, #8
        sub     stack, stack, #8
        next    one
        .endm
.Ldouble_leave:
        pop     {{r3, r12, lr}}
        pop     {{r7, r8}}
        b       .Lleave_1

@ Rounds a mantissa in `low` and `high` by the half word behind it in `rest`; `top` is sign and exponent less one, to which
@ the mantissa's leading 1 adds, and the carry if rounding gives another.
        .macro  round low, high, rest, top
        lsrs    u, \low, #1
        mvn     u, #0x80000000
        adcs    \rest, \rest, u
        adcs    x, \low, #0
        adc     xh, \high, \top
        .endm

on w1, F64_MUL
        more
        ldrd    r0, r1, [stack, #-8]
        eor     r12, r1, xh
        ubfx    r2, r1, #20, #11
        ubfx    r3, xh, #20, #11
        sub     lr, r2, #1
        cmp     lr, #0x7f8
        bhs     .Lmul_zero
        sub     lr, r3, #1
        cmp     lr, #0x7f8
        bhs     .Lmul_zero
@ The exponent, less one for the leading 1 that is added, of a product that is 2 or more.
        add     lr, lr, r2
        subw    lr, lr, #1022
        and     r12, r12, #0x80000000
@ Mantissas: the first at the top of 64 bits, the second as it is, so that the product's upper half is the result's.
        lsl     r1, r1, #11
        orr     r1, r1, r0, lsr #21
        orr     r1, r1, #0x80000000
        lsl     r0, r0, #11
        ubfx    xh, xh, #0, #20
        orr     xh, xh, #0x00100000
@ r0 r1 times x xh, to u (lowest, then only sticky), r3, ...
        umull   u, r3, r0, x
        cmp     u, #0
        mov     u, #0
        umaal   r3, u, r0, xh
        mov     r0, #0
        umaal   r3, r0, r1, x
        umaal   u, r0, r1, xh
        it      ne
        orrne   r3, r3, #1
@ r0 high, u low, r3 rest: the leading 1 is at bit 20 of the high word, or one below.
        tst     r0, #0x00100000
        bne     1f
        adds    r3, r3, r3
        adcs    u, u, u
        adc     r0, r0, r0
        sub     lr, lr, #1
1:      movw    r1, #0x7fd
        cmp     lr, r1
        bhs     .Ldouble_leave
        add     r12, r12, lr, lsl #20
        mov     r1, u
        round   r1, r0, r3, r12
        done

@ One of the factors is special; a zero times a finite number is a zero.
.Lmul_zero:
        movw    lr, #0x7ff
        cmp     r2, lr
        beq     .Ldouble_leave
        cmp     r3, lr
        beq     .Ldouble_leave
        orr     lr, r0, r1, lsl #1
        cmp     lr, #0
        it      ne
        orrsne  lr, x, xh, lsl #1
        bne     .Ldouble_leave
        and     xh, r12, #0x80000000
        mov     x, #0
        done

@ The second mantissa, in x and xh, down by r3 bits; what goes out is in r12, with its last bit set for all beyond.
        .macro  align
        cmp     r3, #32
        bhs     1f
        rsb     u, r3, #32
        lsl     r12, x, u
        lsr     x, x, r3
        lsl     u, xh, u
        orr     x, x, u
        lsr     xh, xh, r3
        b       3f
1:      sub     r3, r3, #32
        cmp     r3, #23
        bhs     2f
        rsb     u, r3, #32
        lsl     r12, x, u
        cmp     r12, #0
        lsr     x, x, r3
        lsl     u, xh, u
        orr     r12, x, u
        it      ne
        orrne   r12, r12, #1
        lsr     x, xh, r3
        mov     xh, #0
        b       3f
2:      mov     r12, #1
        mov     x, #0
        mov     xh, #0
3:
        .endm

on w1, F64_SUB
        more
        eor     xh, xh, #0x80000000
        b       1f
on w1, F64_ADD
        more
1:      ldrd    r0, r1, [stack, #-8]
@ The greater magnitude first.
        lsl     r2, r1, #1
        lsl     r3, xh, #1
        cmp     r0, x
        sbcs    lr, r2, r3
        bhs     1f
        eor     r0, r0, x
        eor     x, r0, x
        eor     r0, r0, x
        eor     r1, r1, xh
        eor     xh, r1, xh
        eor     r1, r1, xh
1:      eor     r12, r1, xh
        ubfx    r2, r1, #20, #11
        ubfx    r3, xh, #20, #11
        sub     lr, r2, #1
        cmp     lr, #0x7f8
        bhs     .Ladd_zero
        cmp     r3, #0
        beq     .Ladd_zero
        sub     r3, r2, r3
@ Sign, and exponent less one.
        and     r2, r1, #0x80000000
        orr     lr, r2, lr, lsl #20
        ubfx    r1, r1, #0, #20
        orr     r1, r1, #0x00100000
        ubfx    xh, xh, #0, #20
        orr     xh, xh, #0x00100000
        cmp     r12, #0
        bmi     .Ladd_opposite
        align
        adds    r0, r0, x
        adc     r1, r1, xh
        tst     r1, #0x00200000
        beq     .Ladd_round
@ One bit too many: down again.
        and     u, r12, #1
        lsrs    r1, r1, #1
        rrxs    r0, r0
        rrx     r12, r12
        orr     r12, r12, u
        ubfx    r3, lr, #20, #11
        movw    u, #0x7fd
        cmp     r3, u
        bhs     .Ldouble_leave
        add     lr, lr, #0x00100000
.Ladd_round:
        round   r0, r1, r12, lr
        done
.Ladd_opposite:
        align
        rsbs    r12, r12, #0
        sbcs    r0, r0, x
        sbc     r1, r1, xh
        tst     r1, #0x00100000
        bne     .Ladd_round
        orr     u, r0, r1
        orrs    u, u, r12
        beq     .Ladd_nothing
@ Leading bits went: up again, by as many as there are, or by 21.
1:      clz     u, r1
        sub     u, u, #11
        ubfx    r3, lr, #20, #11
        cmp     r3, u
        blo     .Ldouble_leave
        sub     lr, lr, u, lsl #20
        rsb     r3, u, #32
        lsl     r1, r1, u
        lsr     x, r0, r3
        orr     r1, r1, x
        lsl     r0, r0, u
        lsr     x, r12, r3
        orr     r0, r0, x
        lsl     r12, r12, u
        tst     r1, #0x00100000
        beq     1b
        b       .Ladd_round
.Ladd_nothing:
        mov     x, #0
        mov     xh, #0
        done
@ The greater one is special, or the lesser: zeros add nothing.
.Ladd_zero:
        movw    lr, #0x7ff
        cmp     r2, lr
        beq     .Ldouble_leave
        orrs    lr, x, xh, lsl #1
        bne     .Ldouble_leave
        cmp     r2, #0
        beq     1f
        mov     x, r0
        mov     xh, r1
        done
1:      orrs    lr, r0, r1, lsl #1
        bne     .Ldouble_leave
        and     xh, xh, r1
        done

@ Four digits of 14 bits: each is the remainder's upper half by the divisor's first 16 bits and one more, so that it is never
@ too great; the remainder stays below 2.0001 times the divisor, which has 62 bits.
        .macro  digit
        udiv    u, r1, r12
        lsls    r1, r1, #14
        orr     r1, r1, r0, lsr #18
        lsls    r0, r0, #14
        umlal   r0, r1, u, x
        mla     r1, u, xh, r1
        .endm
on w1, F64_DIV
        push    {{r7, r8}}
        push    {{r3, r4, r6, r12, lr}}
        ldrd    r0, r1, [stack, #-8]
        ubfx    r2, r1, #20, #11
        ubfx    r3, xh, #20, #11
        sub     lr, r2, #1
        cmp     lr, #0x7f8
        bhs     .Ldiv_leave
        sub     lr, r3, #1
        cmp     lr, #0x7f8
        bhs     .Ldiv_leave
        eor     r12, r1, xh
@ The exponent, less one for the leading 1 that is added.
        sub     lr, r2, r3
        addw    lr, lr, #1022
        lsls    r1, r1, #11
        orr     r1, r1, #0x80000000
        lsrs    r1, r1, #2
        orr     r1, r1, r0, lsr #23
        lsls    r0, r0, #9
        lsl     xh, xh, #11
        orr     xh, xh, #0x80000000
        lsr     xh, xh, #2
        orr     xh, xh, x, lsr #23
        lsls    x, x, #9
@ The quotient is below 1 and not below a half.
        cmp     r0, x
        sbcs    u, r1, xh
        ittte   hs
        lsrhs   r0, r0, #1
        orrhs   r0, r0, r1, lsl #31
        lsrhs   r1, r1, #1
        sublo   lr, lr, #1
        movw    u, #0x7fd
        cmp     lr, u
        bhs     .Ldiv_leave
        and     r12, r12, #0x80000000
        add     lr, r12, lr, lsl #20
@ The divisor becomes negative, to be added.
        lsr     r12, xh, #14
        add     r12, r12, #1
        rsbs    x, x, #0
        mvn     xh, xh
        adc     xh, xh, #0
        digit
        mov     r4, u
        digit
        add     r4, u, r4, lsl #14
        digit
        mov     r3, u
        digit
        add     r3, u, r3, lsl #14
        lsls    r2, r4, #28
        lsrs    r4, r4, #4
        adds    r2, r2, r3
        adc     r4, r4, #0
@ What the digits fell short.
1:      adds    r3, r0, x
        adcs    r6, r1, xh
        bcc     2f
        mov     r0, r3
        mov     r1, r6
        adds    r2, r2, #1
        adc     r4, r4, #0
        b       1b
@ Three bits too many, and whether there is more.
2:      lsls    r3, r2, #29
        orrs    r0, r0, r1
        it      ne
        orrne   r3, r3, #1
        lsrs    r0, r2, #3
        orr     r0, r0, r4, lsl #29
        lsrs    r1, r4, #3
        round   r0, r1, r3, lr
        pop     {{r3, r4, r6, r12, lr}}
        add     sp, sp, #8
        subs    stack, #8
        next    one
.Ldiv_leave:
        pop     {{r3, r4, r6, r12, lr}}
        pop     {{r7, r8}}
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
on w1, F32_DEMOTE_F64
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
        bne     .Lleave_1
        mov     x, xh
        next    one

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
        .macro  f64_promote_f32 to, then
        lsls    t, x, #1
        beq     1f
        sub     u, t, #0x01000000
        cmp     u, #0xfe000000
        bhs     .Lleave_1
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
        unary_wide F64_PROMOTE_F32, f64_promote_f32
        unary_wide I32_TRUNC_F64_S, i32_trunc_f64_s
        unary_wide I32_TRUNC_F64_U, i32_trunc_f64_u

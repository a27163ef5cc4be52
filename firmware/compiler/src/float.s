@ Floats of 32 bits: what the chip has no instruction for, called as `HELPED` in long.rs says. In: r0, and the second operand in r2.
@ Out: r0. What has no fraction, or is not a number, goes on to Rust's functions.
        .syntax unified
        .cpu cortex-m4
        .fpu fpv4-sp-d16
        .thumb

        .macro  single_begin name
        .section .text.wasmote_compiler_\name, "ax"
        .global wasmote_compiler_\name
        .type   wasmote_compiler_\name, %function
        .thumb_func
wasmote_compiler_\name:
        .endm

@ The whole number that `convert` comes to, as a float in s1; the operand in s0. Below 2^23 only: beyond there is no fraction.
        .macro  single_whole name, slow, convert=vcvt
        single_begin \name
        ubfx    r1, r0, #23, #8
        cmp     r1, #149
        bhi.w   \slow
        vmov    s0, r0
        \convert\().s32.f32 s1, s0
        vcvt.f32.s32 s1, s1
        .endm

@ One less or more where the number is on that side of it.
        .macro  single_step do, side
        vmov.f32 s2, #1.0
        vcmp.f32 s0, s1
        vmrs    APSR_nzcv, fpscr
        it      \side
        \do\side\().f32 s1, s1, s2
        .endm

@ A zero has the operand's sign, and so has everything else.
        .macro  single_signed
        vmov    r1, s1
        and     r0, r0, #0x80000000
        orrs    r0, r1
        bx      lr
        .endm

        single_whole f32_floor, {whole}
        single_step vsub, mi
        single_signed
        single_whole f32_ceil, {whole}
        single_step vadd, gt
        single_signed
        single_whole f32_trunc, {whole}
        single_signed
        single_whole f32_nearest, {whole}, vcvtr
        single_signed

@ Of equal ones, which may be zeros of either sign, the bits decide.
        .macro  single_choose name, take, of_equal
        single_begin \name
        vmov    s0, r0
        vmov    s1, r2
        vcmp.f32 s0, s1
        vmrs    APSR_nzcv, fpscr
        bvs     1f
        beq     2f
        it      \take
        mov\take r0, r2
        bx      lr
1:      movs    r0, #0
        movt    r0, #0x7fc0
        bx      lr
2:      \of_equal r0, r2
        bx      lr
        .endm

        single_choose f32_min, pl, orrs
        single_choose f32_max, mi, ands

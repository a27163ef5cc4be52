@ Copying and filling bytes, for memory.copy, memory.fill and the like, and under the names that compiled code calls them by
@ (C, and ARM IHI 0043 §4.3.4). Words may lie at any address here, so little is gained from a loop for each alignment: these
@ take a tenth of the flash of those in Rust's compiler_builtins, which they stand in for in the whole image.
        .syntax unified
        .thumb

@ Functions of several names.
        .macro  names first, others:vararg
        .irp    name, \first, \others
        .weak   \name
        .type   \name, %function
        .thumb_func
\name:
        .endr
        .endm
        .macro  ends first, others:vararg
        .irp    name, \first, \others
        .size   \name, . - \name
        .endr
        .endm

@ memmove(to, from, bytes) -> to: r0 stays as it is, r12 goes along.
        .section .text.wasmote_engine_copy, "ax", %progbits
        .balign 4
        names   memmove, __aeabi_memmove, __aeabi_memmove4, __aeabi_memmove8
@ From the end where `to` lies among the bytes of `from`.
        sub     r3, r0, r1
        cmp     r3, r2
        bhs     wasmote_engine_copy
        add     r12, r0, r2
        add     r1, r1, r2
1:      subs    r2, r2, #4
        blo     2f
        ldr     r3, [r1, #-4]!
        str     r3, [r12, #-4]!
        b       1b
2:      adds    r2, r2, #4
3:      beq     4f
        ldrb    r3, [r1, #-1]!
        strb    r3, [r12, #-1]!
        subs    r2, r2, #1
        b       3b
4:      bx      lr
        ends    memmove, __aeabi_memmove, __aeabi_memmove4, __aeabi_memmove8

        names   memcpy, __aeabi_memcpy, __aeabi_memcpy4, __aeabi_memcpy8
wasmote_engine_copy:
        mov     r12, r0
        subs    r2, r2, #16
        blo     3f
        orr     r3, r0, r1
        lsls    r3, r3, #30
        bne     2f
        push    {r4, r5, r6}
1:      ldmia   r1!, {r3, r4, r5, r6}
        stmia   r12!, {r3, r4, r5, r6}
        subs    r2, r2, #16
        bhs     1b
        pop     {r4, r5, r6}
        b       3f
@ Several words at once have to be aligned; one need not be.
2:      ldr     r3, [r1], #4
        str     r3, [r12], #4
        ldr     r3, [r1], #4
        str     r3, [r12], #4
        ldr     r3, [r1], #4
        str     r3, [r12], #4
        ldr     r3, [r1], #4
        str     r3, [r12], #4
        subs    r2, r2, #16
        bhs     2b
3:      adds    r2, r2, #12
        bmi     5f
4:      ldr     r3, [r1], #4
        str     r3, [r12], #4
        subs    r2, r2, #4
        bpl     4b
5:      adds    r2, r2, #4
6:      beq     7f
        ldrb    r3, [r1], #1
        strb    r3, [r12], #1
        subs    r2, r2, #1
        b       6b
7:      bx      lr
        ends    memcpy, __aeabi_memcpy, __aeabi_memcpy4, __aeabi_memcpy8

@ memset(to, byte, bytes) -> to, and __aeabi_memset(to, bytes, byte)
        .section .text.wasmote_engine_fill, "ax", %progbits
        .balign 4
        names   __aeabi_memclr, __aeabi_memclr4, __aeabi_memclr8
        mov     r2, #0
        ends    __aeabi_memclr, __aeabi_memclr4, __aeabi_memclr8
        names   __aeabi_memset, __aeabi_memset4, __aeabi_memset8
        mov     r3, r1
        mov     r1, r2
        mov     r2, r3
        ends    __aeabi_memset, __aeabi_memset4, __aeabi_memset8
        names   memset
        uxtb    r1, r1
        orr     r1, r1, r1, lsl #8
        orr     r1, r1, r1, lsl #16
        mov     r12, r0
        subs    r2, r2, #16
        blo     3f
        tst     r0, #3
        bne     2f
        push    {r4, r5}
        mov     r3, r1
        mov     r4, r1
        mov     r5, r1
1:      stmia   r12!, {r1, r3, r4, r5}
        subs    r2, r2, #16
        bhs     1b
        pop     {r4, r5}
        b       3f
2:      str     r1, [r12], #4
        str     r1, [r12], #4
        str     r1, [r12], #4
        str     r1, [r12], #4
        subs    r2, r2, #16
        bhs     2b
3:      adds    r2, r2, #12
        bmi     5f
4:      str     r1, [r12], #4
        subs    r2, r2, #4
        bpl     4b
5:      adds    r2, r2, #4
6:      beq     7f
        strb    r1, [r12], #1
        subs    r2, r2, #1
        b       6b
7:      bx      lr
        ends    memset
        .text

@ Copying and filling bytes, for memory.copy, memory.fill and the like, and under the names that compiled code calls them by
@ (C, and ARM IHI 0043 §4.3.4). Words may lie at any address here, so nothing is gained from a loop for each alignment: these
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
1:      subs    r2, r2, #16
        blo     2f
        ldr     r3, [r1], #4
        str     r3, [r12], #4
        ldr     r3, [r1], #4
        str     r3, [r12], #4
        ldr     r3, [r1], #4
        str     r3, [r12], #4
        ldr     r3, [r1], #4
        str     r3, [r12], #4
        b       1b
2:      adds    r2, r2, #12
        bmi     4f
3:      ldr     r3, [r1], #4
        str     r3, [r12], #4
        subs    r2, r2, #4
        bpl     3b
4:      adds    r2, r2, #4
5:      beq     6f
        ldrb    r3, [r1], #1
        strb    r3, [r12], #1
        subs    r2, r2, #1
        b       5b
6:      bx      lr
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
1:      subs    r2, r2, #16
        blo     2f
        str     r1, [r12], #4
        str     r1, [r12], #4
        str     r1, [r12], #4
        str     r1, [r12], #4
        b       1b
2:      adds    r2, r2, #12
        bmi     4f
3:      str     r1, [r12], #4
        subs    r2, r2, #4
        bpl     3b
4:      adds    r2, r2, #4
5:      beq     6f
        strb    r1, [r12], #1
        subs    r2, r2, #1
        b       5b
6:      bx      lr
        ends    memset
        .text

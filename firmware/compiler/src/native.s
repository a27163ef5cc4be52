@ Into compiled code and out of it.
@
@ While compiled code runs, the stack pointer is at seven words (context in registers.rs), the address of the caller's Context and
@ an unused word. r6 is the memory, r7 the frame, r9 the fuel. Only functions of the engine push anything, for the duration of
@ their call.
        .syntax unified
        .cpu cortex-m4
        .fpu fpv4-sp-d16
        .thumb
        .section .text.wasmote_compiler_enter, "ax"
        .global wasmote_compiler_enter
        .global wasmote_compiler_exit
        .global wasmote_compiler_trap
        .global wasmote_compiler_stack
        .global wasmote_compiler_done
        .global wasmote_compiler_return

@ r0: the Context. Goes to its target; returns, in r0, by which of the five ways it was left.
        .type wasmote_compiler_enter, %function
        .thumb_func
wasmote_compiler_enter:
        push    {r4-r11, lr}
        vpush   {s16-s31}
        sub     sp, #36
        str     r0, [sp, #28]
        ldm     r0, {r1-r5, r8, r10}
        str     r1, [sp]
        str     r2, [sp, #4]
        str     r3, [sp, #8]
        str     r4, [sp, #12]
        str     r5, [sp, #16]
        str     r8, [sp, #20]
        str     r10, [sp, #24]
        ldr     r6, [r0, #28]
        ldr     r7, [r0, #32]
        ldr.w   r9, [r0, #36]
        ldr.w   r12, [r0, #40]
        bx      r12

        .type wasmote_compiler_exit, %function
        .thumb_func
wasmote_compiler_exit:
        movs    r3, #0
        b       1f
        .type wasmote_compiler_trap, %function
        .thumb_func
wasmote_compiler_trap:
        movs    r3, #1
        b       1f
        .type wasmote_compiler_stack, %function
        .thumb_func
wasmote_compiler_stack:
        movs    r3, #2
        b       1f
        .type wasmote_compiler_done, %function
        .thumb_func
wasmote_compiler_done:
        movs    r3, #3
        b       1f
        .type wasmote_compiler_return, %function
        .thumb_func
wasmote_compiler_return:
        movs    r3, #4
1:      ldr     r2, [sp, #28]
        str     r0, [r2, #44]
        str     r1, [r2, #48]
        vstr    s0, [r2, #52]
        str.w   r12, [r2, #56]
        str.w   lr, [r2, #40]
        str     r7, [r2, #32]
        str.w   r9, [r2, #36]
        ldr     r0, [sp]
        str     r0, [r2]
        mov     r0, r3
        add     sp, #36
        vpop    {s16-s31}
        pop     {r4-r11, pc}

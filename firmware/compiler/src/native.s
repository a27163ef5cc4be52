@ Into compiled code and out of it.
@
@ While compiled code runs, the stack pointer is at seven words (context in registers.rs), the address of the caller's Context and
@ that of what looks up indirect calls. r6 is the memory, r7 the frame, r9 the fuel. Only functions of the engine push anything, for the duration of
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
        .global wasmote_compiler_indirect

@ What is in Context (native.rs asserts it), in a function's record of the module's table, and in an entry of the code (arena.rs).
        .equ    RESULT, 44
        .equ    INDIRECT, 60
        .equ    TABLES, 64
        .equ    REFERENCE, 72
        .equ    TYPES, 80
        .equ    RECORDS, 88
        .equ    PARAMS, 12
        .equ    RESULTS, 18
        .equ    ROOM, 20
        .equ    WIDE, 2
@ Bytes behind a call by which code leaves.
        .equ    SITE, 6

@ r0: the Context. Goes to its target, with a result in r0, r1 and s0; returns, in r0, by which of the five ways it was left.
        .type wasmote_compiler_enter, %function
        .thumb_func
wasmote_compiler_enter:
        push    {r4-r11, lr}
        vpush   {s16-s31}
        sub     sp, #36
        str     r0, [sp, #28]
        ldr     r1, [r0, #INDIRECT]
        str     r1, [sp, #32]
        vldr    s0, [r0, #RESULT + 8]
        ldm     r0!, {r1-r5, r8, r10}
        mov     r11, sp
        stm     r11, {r1-r5, r8, r10}
        ldm     r0!, {r6, r7, r9, r12}
        ldm     r0, {r0, r1}
        bx      r12

@ Goes to what an entry of a table refers to, if it is a function of the module's own and its type has the very index that is asked
@ for; all else is the engine's, which leaves as with `exit`. Nothing but lr is changed where it leaves.
@
@ r0: the index; r1: the type's; r2: the table's header, counted from the first one's; r3: the new frame; r4: 1 where the caller's
@ slots have 64 bits; r12: the caller's position. Locals are in their slots: r5, r8, r10 and r11 are free.
        .type wasmote_compiler_indirect, %function
        .thumb_func
wasmote_compiler_indirect:
        ldr     r5, [sp, #28]
        ldrd    r8, r10, [r5, #TABLES]
        add     r8, r2
        ldrd    r2, r8, [r8]
        cmp     r0, r8
        bhs     .Lleave
        add     r2, r10
        ldr.w   r0, [r2, r0, lsl #2]
        ldrd    r8, r10, [r5, #REFERENCE]
        sub     r0, r0, r8
        cmp     r0, r10
        bhs     .Lleave
        ldrd    r8, r10, [r5, #TYPES]
        ldr.w   r8, [r8, r0, lsl #2]
        cmp     r8, r1
        bne     .Lleave
        ldr.w   r8, [r10, r0, lsl #2]
        eor     r2, r4, r8, lsr #1
        lsls    r2, r2, #31
        bne     3f
@ A place in the code, which begins 4 bytes before its entries; the lowest bit says Thumb.
1:      ubfx    r8, r8, #2, #22
        add     r8, r10, r8, lsl #2
        sub     r8, r8, #3
        add     lr, lr, #SITE
        bx      r8

@ The callee's slots are of another width: its arguments are moved. Several results are moved back by the engine.
3:      ldr.w   r1, [r5, #RECORDS]
        add     r0, r0, r0, lsl #1
        add     r1, r1, r0, lsl #3
        ldrh    r2, [r1, #RESULTS]
        cmp     r2, #1
        bhi     .Lleave
        ldrh    r2, [r1, #PARAMS]
        mov     r0, r3
        cbz     r4, 5f
        mov     r1, r3
        cmp     r2, #0
        beq     1b
4:      ldr     r11, [r0], #8
        str     r11, [r1], #4
        subs    r2, #1
        bne     4b
        b       1b
@ Where there is no room for it nothing is moved: the callee ends at once.
5:      adds    r3, #7
        bic     r3, r3, #7
        ldr     r1, [r1, #ROOM]
        ubfx    r1, r1, #0, #30
        add     r1, r3
        ldr     r11, [sp]
        cmp     r1, r11
        bhi     1b
        cmp     r2, #0
        beq     1b
        add     r0, r0, r2, lsl #2
        add     r1, r3, r2, lsl #3
6:      ldr     r11, [r0, #-4]!
        str     r11, [r1, #-8]!
        subs    r2, #1
        bne     6b
        b       1b

        .type wasmote_compiler_exit, %function
        .thumb_func
wasmote_compiler_exit:
.Lleave:
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
        strd    r0, r1, [r2, #RESULT]
        vstr    s0, [r2, #RESULT + 8]
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

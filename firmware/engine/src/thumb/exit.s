@ Opcodes of two bytes, what compiled functions compute for the fast loop, how it is left, and its dispatch tables: the end of
@ loop.s.

@ Of these opcodes of two bytes the conversions are handled that saturate, to i32 as the instruction does, and from f64 where
@ it is in range, as by the trapping ones; and copying and filling memory, within its bounds.
both 1, PREFIX
        ldrb    t, [code, #1]
        cmp     t, #1
        bhi     1f
        vmov    s0, x
        ite     eq
        vcvteq.u32.f32 s0, s0
        vcvtne.s32.f32 s0, s0
        vmov    x, s0
        next    one, 2
1:      cmp     t, #3
        bhi     3f
        ubfx    u, xh, #20, #11
        subw    u, u, #1023
        cmp     u, #31
        bge     .Lleave_1
        cmp     t, #3
        beq     2f
        adds    code, #1
        b       .Lw1_I32_TRUNC_F64_S
2:      cmp     xh, #0
        bmi     .Lleave_1
        adds    code, #1
        b       .Lw1_I32_TRUNC_F64_U
3:      sub     u, t, #6
        cmp     u, #1
        bhi     4f
        ite     eq
        moveq   u, #SATURATE_U * 4
        movne   u, #SATURATE_S * 4
        adds    code, #1
        b       .Lhelp_1
4:      sub     u, t, #10
        cmp     u, #1
        bhi     .Lleave_1
@ memory.copy and memory.fill: x is the length, y the source or the byte, u the target; r3 the length of the memory.
        push    {{r2, r3, r12, lr}}
        ldr     r3, [sp, #CONTEXT + 16]
        ldr     r3, [r3, #LENGTH]
        cmp     none, one
        itete   hi
        ldrhi   y, [stack, #-8]
        ldrls   y, [stack, #-4]
        ldrhi   u, [stack, #-16]
        ldrls   u, [stack, #-8]
        adds    t, u, x
        bcs     7f
        cmp     t, r3
        bhi     7f
        ldrb    t, [code, #1]
        cmp     t, #11
        beq     5f
        adds    t, y, x
        bcs     7f
        cmp     t, r3
        bhi     7f
        add     r0, memory, u
        add     r1, memory, y
        mov     r2, x
        bl      memmove
        b       6f
5:      add     r0, memory, u
        mov     r2, x
        bl      memset
6:      pop     {{r2, r3, r12, lr}}
        sub     bound, bound, x
        cmp     none, one
        ite     hi
        subhi   stack, stack, #16
        subls   stack, stack, #8
        ldrb    t, [code, #1]
        cmp     t, #11
        ite     eq
        addeq   code, code, #2
        addne   code, code, #3
        cmp     x, #0
        beq     8f
        cmp     bound, code
        ble     .Lout_0
8:      next    none
7:      pop     {{r2, r3, r12, lr}}
        b       .Lleave_1

@ ---- what compiled functions do --------------------------------------------------------------------------------------
        .macro  helps name, helper
on w1, \name
        movs    u, #\helper * 4
        b       .Lhelp_1
        .endm
        helps   F64_SQRT, SQRT
        helps   F64_NEAREST, NEAREST
        helps   I64_POPCNT, POPCNT
        helps   F32_CONVERT_I64_S, F32_S
        helps   F32_CONVERT_I64_U, F32_U
        helps   F64_CONVERT_I64_S, F64_S
        helps   F64_CONVERT_I64_U, F64_U

@ Conversions to i64 where they do not trap; a positive number below 2^63 is the same with a sign and without.
on w1, I64_TRUNC_F64_U
        cmp     xh, #0
        bmi     .Lleave_1
on w1, I64_TRUNC_F64_S
        ubfx    t, xh, #20, #11
        subw    t, t, #1023 + 63
        cmp     t, #0
        bge     .Lleave_1
        movs    u, #SATURATE_S * 4
@ Puts what the helper at u makes of x and xh in their place; a call may change r0 to r3, r12 and lr (ARM IHI 0042 §6.1.1).
.Lhelp_1:
        push    {{r2, r3, r12, lr}}
        mov     r0, x
        mov     r1, xh
        b       1f
@ The same with the operand below as the first.
.Lhelp_2:
        push    {{r2, r3, r12, lr}}
        ldrd    r0, r1, [stack, #-8]!
        mov     r2, x
        mov     r3, xh
1:      ldr     r12, [sp, #CONTEXT + 16]
        ldr     r12, [r12, #HELPERS]
        ldr     lr, [sp]
        ldr     r12, [r12, lr]
        blx     r12
        mov     x, r0
        mov     xh, r1
        pop     {{r2, r3, r12, lr}}
        next    one

@ ---- out --------------------------------------------------------------------------------------------------------------

.Lleave_n2:
        spill
.Lleave_1:
        push_x
.Lleave_0:
        subs    code, #1
        movs    t, #0
        b       .Lexit

.Lout_n2:
        spill
.Lout_1:
        push_x
.Lout_0:
        movs    t, #1
        b       .Lexit

        .size   wasmote_engine_handlers, . - wasmote_engine_handlers

@ wasmote_engine_sqrt(f32) -> f32
        .global wasmote_engine_sqrt
        .type   wasmote_engine_sqrt, %function
        .thumb_func
wasmote_engine_sqrt:
        vsqrt.f32 s0, s0
        bx      lr
        .size   wasmote_engine_sqrt, . - wasmote_engine_sqrt

@ ---- dispatch tables, in and out --------------------------------------------------------------------------------------
@ The opcodes end at 0xd2, but for 0xfc. So a table begins where that before it has one entry more than it needs, and the
@ entry 0xfc falls on 0x27 of the next, which is no opcode. Validation refuses what is none: no entry of another opcode is
@ ever read, and what lies there does not matter.

@ What the portable loop does.
        .irp    name, UNREACHABLE, SELECT_T, TABLE_GET, TABLE_SET, MEMORY_SIZE, MEMORY_GROW
        .set    .Lportable_\name, 1
        .endr
        .irp    name, REF_NULL, REF_IS_NULL, REF_FUNC
        .set    .Lportable_\name, 1
        .endr
        .irp    name, I64_TRUNC_F32_S, I64_TRUNC_F32_U
        .set    .Lportable_\name, 1
        .endr

@ Where an opcode is handled in a state: in that itself, in `one` once its operand has come there, or not here. `before` is
@ what becomes of 0xfc in the state of the table before.
        .macro  row state, one, come, leave, before, byte, name
        .if     \byte != 0xfc
        .org    wasmote_engine_table_\state + 4 * \byte
        .ifdef  .L\state\()_\name
        .word   .L\state\()_\name + 1
        .else
        .ifdef  .L\one\()_\name
        .word   \come + 1
        .else
        .word   \leave + 1
        .endif
        .endif
        .endif
        .ifdef  .L\state\()_select_t
        .if     \byte == 0x05
        .word   .L\state\()_select_t + 1, .L\state\()_select_f + 1
        .endif
        .endif
        .if     \byte == 0x26
        .word   \before + 1
        .endif
        .endm

@ `each_opcode` is made of the table in opcode.rs.
        .macro  table state, one, come, leave, before
        .type   wasmote_engine_table_\state, %object
wasmote_engine_table_\state:
        each_opcode row \state, \one, \come, \leave, \before
        .org    wasmote_engine_table_\state + STRIDE * 4
        .size   wasmote_engine_table_\state, STRIDE * 4
        .endm

        .balign 4
        table   w1, none, .Lleave_1, .Lleave_1, 0
        table   w0, w1, .Lw0_load, .Lleave_0, .Lw1_PREFIX
        table   n0, n1, .Ln0_load, .Lleave_0, .Lw0_load
        table   f, none, .Lf_other, .Lf_other, .Ln0_load
        table   t, none, .Lt_other, .Lt_other, .Lf_other
        table   n1, none, .Lleave_1, .Lleave_1, .Lt_other
        table   n2, n1, .Ln2_spill, .Lleave_n2, .Ln1_PREFIX

@ Behind the last table there is room up to its entry 0xfc.
@
@ wasmote_engine_run(&mut Context, wide: bool) -> u32: executes until something is left to the portable loop (0), the fuel is
@ used up (1), the function the embedder called returns (2) or calls an imported one (3, with its index above two bits).
        .global wasmote_engine_run
        .type   wasmote_engine_run, %function
        .thumb_func
wasmote_engine_run:
        push    {{r4-r11, lr}}
        sub     sp, sp, #RESERVED
        vmrs    r2, fpscr
        strd    r0, r2, [sp, #CONTEXT]
@ Default NaNs, rounding to nearest, subnormals kept (ARM DDI 0403E.e §A2.5.3).
        mov     r2, #0x02000000
        vmsr    fpscr, r2
        ldmia   r0!, {{r2-r9}}
        stmia   sp, {{r2-r9}}
        cmp     r1, #0
        ldmia   r0, {{r3, r4, r5, r6, r11, r12, lr}}
        adr.w   one, wasmote_engine_table_n1
        addw    two, one, #STRIDE * 4
        subw    none, one, #STRIDE * 4 * 3
        itt     ne
        subwne  none, none, #STRIDE * 4
        subwne  one, none, #STRIDE * 4
        next    none
.Lexit:
        ldr     r1, [sp, #CONTEXT]
        ldr     r2, [sp, #FUNCTION]
        str     r2, [r1, #FUNCTION]
        ldr     r2, [sp, #FRAMES]
        str     r2, [r1, #FRAMES]
        adds    r1, r1, #KEPT
        stmia   r1, {{r3, r4, r5, r6, r11, r12, lr}}
        ldr     r2, [sp, #CONTEXT + 4]
        vmsr    fpscr, r2
        add     sp, sp, #RESERVED
        pop     {{r4-r11, pc}}
        .org    wasmote_engine_table_n2 + 4 * 0xfc
        .word   .Ln2_spill + 1
        .size   wasmote_engine_run, . - wasmote_engine_run

@ An opcode has handlers here, or is one of those that are left.
        .macro  known nothing, byte, name
        .ifndef .Ln0_\name
        .ifndef .Lw0_\name
        .ifndef .Lw1_\name
        .ifndef .Lportable_\name
        .error  "no handlers for \name, and it is not left to the portable loop"
        .endif
        .endif
        .endif
        .endif
        .endm
        each_opcode known 0
        .text

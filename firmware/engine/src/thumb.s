@ The fast execution loop for Armv7E-M with single-precision floats (Cortex-M4F): the same bytes, state, fuel and traps as
@ the portable loop in interpret.rs, which executes what is left to it here.
@
@ Every opcode has a handler for each way its operands may lie. A handler ends by reading the next opcode and jumping
@ through the table of the state it leaves behind: two instructions. In 32-bit functions (n) the two topmost operands may be
@ in registers, in 64-bit functions (w) one:
@
@   n0 w0  all operands are in memory                 t  all are in memory but a condition, which is true
@   n1 w1  the top operand is in x (w: x and xh)      f  the same, and it is false
@   n2     the top operand is in y, the one below in x
@
@ States that leave alone what the widths differ in have their handlers in common. What is rare has a handler for n1 or w1
@ alone, and comes there from n2, n0 and w0 by a second jump. What is rarer leaves, with all operands in memory and at the
@ opcode itself, so that the portable loop executes it.
@
@   r0  t       scratch
@   r1  y       operand, or scratch in other states than n2
@   r2  u       scratch
@   r3  entry   next entry of the branch table
@   r4  code    the byte that was read last
@   r5  stack   behind the operands that lie in memory
@   r6  frame   the function's locals
@   r7  x       operand, or scratch in n0, w0, t and f
@   r8  two     dispatch table n2
@   r8  xh      in 64-bit functions the upper half of x
@   r9  one     dispatch table n1 or w1
@   r10 none    dispatch table n0 or w0: below `one` in 32-bit functions, above it in others
@   r11 memory  the linear memory
@   r12 limit   its length less 134: eight bytes may be read up to 127 bytes behind what is below it
@   lr  bound   where on a straight line the fuel would be used up
        .syntax unified
        .thumb
        .section .text.wasmote_engine_run, "ax", %progbits
        .balign 4
@ Named as a whole, so that what the engine takes of the flash can be counted.
        .type   wasmote_engine_handlers, %function
wasmote_engine_handlers:

        t       .req r0
        y       .req r1
        u       .req r2
        entry   .req r3
        code    .req r4
        stack   .req r5
        frame   .req r6
        x       .req r7
        two     .req r8
        xh      .req r8
        one     .req r9
        none    .req r10
        memory  .req r11
        limit   .req r12
        bound   .req lr

@ What lies at sp meanwhile: the beginning of `Context` in thumb.rs.
        .equ    FUNCTION, 0
        .equ    END, 4
        .equ    FRAMES, 8
        .equ    CODE, 12
        .equ    TABLE, 16
        .equ    RECORDS, 20
        .equ    IMPORTED, 24
        .equ    GLOBALS, 28
        .equ    KEPT, 32
        .equ    CONTEXT, 32
        .equ    RESERVED, 44
@ What is behind that in `Context`.
        .equ    TABLES, 60
        .equ    REFERENCE, 64
        .equ    OWN, 68
        .equ    TYPES, 72
        .equ    HELPERS, 76
        .equ    LENGTH, 80

@ The numbers of the helpers.
        .set    HELPER, 0
        .irp    name, SQRT, NEAREST, POPCNT, F32_S, F32_U, F64_S, F64_U, SATURATE_S, SATURATE_U, DIV_S, DIV_U, REM_S, REM_U
        .equ    \name, HELPER
        .set    HELPER, HELPER + 1
        .endr

@ Offsets in a function's record (validate.rs, `record`), in bytes.
        .equ    RECORD_CODE, 0
        .equ    RECORD_BRANCH, 8
        .equ    RECORD_PARAMS, 12
        .equ    RECORD_LOCALS, 14
        .equ    RECORD_RESULTS, 18
        .equ    RECORD_ROOM, 20
        .equ    WIDE, 1 << 31
        .equ    LONG, 1 << 30
@ In the function of a frame record.
        .equ    GAP, 1
        .equ    CROSSING, 2

@ Bytes of an entry of the branch table.
        .equ    BRANCH, 12

@ Words from a dispatch table to the next, which begins with the one opcode of these is far from: see the end.
        .equ    STRIDE, 213

@ Offsets in the tables of n0 and w0 that belong to no opcode, behind that of `else`.
        .equ    SELECT_T, 6 * 4
        .equ    SELECT_F, 7 * 4

@ ---- building blocks -------------------------------------------------------------------------------------------------

@ The place of a handler: the state's name and the opcode's.
        .macro  on state, name
.L\state\()_\name\():
        .endm

@ The same in functions of both widths.
        .macro  both number, name
on n\number, \name
on w\number, \name
        .endm

@ An opcode that does the same as another.
        .macro  same name, as
        .set    .Ln1_\name, .Ln1_\as
        .set    .Ln2_\name, .Ln2_\as
        same_wide \name, \as
        .endm
        .macro  same_wide name, as
        .set    .Lw1_\name, .Lw1_\as
        .endm

@ Goes on with the opcode `skip` bytes on.
        .macro  next state, skip=1
        ldrb    t, [code, #\skip]!
        ldr     pc, [\state, t, lsl #2]
        .endm

@ Goes on with the same opcode, whose operand has come into x.
        .macro  again
        ldrb    t, [code]
        ldr     pc, [one, t, lsl #2]
        .endm

@ Goes on with a condition, which the flags hold. From `none` the table f is one table on, or two.
        .macro  truth width, condition
        ldrb    t, [code, #1]!
        it      \condition
        add\condition t, t, #STRIDE
        add     t, none, t, lsl #2
        .ifc    \width, n
        ldr     pc, [t, #STRIDE * 4]
        .else
        ldr     pc, [t, #STRIDE * 8]
        .endif
        .endm

@ Puts x into memory; x and xh; what the width of the function says.
        .macro  push_n
        stmia   stack!, {x}
        .endm
        .macro  push_w
        strd    x, xh, [stack], #8
        .endm
        .macro  push_x
        stmia   stack!, {x}
        cmp     none, one
        it      hi
        strhi   xh, [stack], #4
        .endm

@ Goes over to the tables of the other width.
        .macro  change_width
        cmp     none, one
        bhi     1f
        subw    none, none, #STRIDE * 4
        subw    one, none, #STRIDE * 4
        b       2f
1:      addw    none, none, #STRIDE * 4
        addw    one, none, #STRIDE * 4 * 3
        addw    two, one, #STRIDE * 4
2:
        .endm

@ From n2 to n1: the lower operand goes to memory.
        .macro  spill
        push_n
        mov     x, y
        .endm

@ An opcode without a handler for n0, w0 or n2 comes here if it has one for n1 or w1.
.Ln0_load:
        ldr     x, [stack, #-4]!
        again
.Lw0_load:
        ldrd    x, xh, [stack, #-8]!
        again
.Ln2_spill:
        spill
        again

@ Pushes what `body` puts into its first operand.
        .macro  pushes name, body
on n2, \name
        spill
on n1, \name
        \body   y, two
on n0, \name
        \body   x, one
        .endm

        .macro  pushes_wide name, body
on w1, \name
        push_w
on w0, \name
        \body   x, one
        .endm

@ The same where the value has the lower half of a slot alone.
        .macro  pushes_both name, body
on n2, \name
        spill
on n1, \name
        \body   y, two
on w1, \name
        push_w
both 0, \name
        \body   x, one
        .endm

@ Replaces the top operand: `body` gets its register, and where to go on.
        .macro  unary name, body
on n1, \name
        \body   x, one
on n2, \name
        \body   y, two
        .endm
        .macro  unary_wide name, body
on w1, \name
        \body   x, one
        .endm
        .macro  unary_both name, body
both 1, \name
        \body   x, one
        .endm

@ Replaces two operands by the result of an instruction (or macro) of three registers.
        .macro  binary name, body
on n1, \name
        ldr     y, [stack, #-4]!
        \body   x, y, x
        next    one
on n2, \name
        \body   x, x, y
        next    one
        binary_wide \name, \body
        .endm
        .macro  binary_wide name, body
on w1, \name
        ldr     y, [stack, #-8]!
        \body   x, y, x
        next    one
        .endm

@ The same where they may be exchanged.
        .macro  commutative name, body
on n1, \name
        ldr     y, [stack, #-4]!
on n2, \name
        \body   x, x, y
        next    one
        binary_wide \name, \body
        .endm

@ The same where the instruction may leave: with both operands in registers.
        .macro  binary_rare name, body
on n1, \name
        mov     y, x
        ldr     x, [stack, #-4]!
on n2, \name
        \body   x, x, y, .Lleave_n2
        next    one
on w1, \name
        ldr     y, [stack, #-8]
        \body   x, y, x, .Lleave_1
        subs    stack, #8
        next    one
        .endm

@ ---- conditions -------------------------------------------------------------------------------------------------------

        .macro  compare name, condition
on n1, \name
        ldr     y, [stack, #-4]!
        cmp     y, x
        truth   n, \condition
on n2, \name
        cmp     x, y
        truth   n, \condition
        compare_wide \name, \condition
        .endm
        .macro  compare_wide name, condition
on w1, \name
        ldr     y, [stack, #-8]!
        cmp     y, x
        truth   w, \condition
        .endm

        .macro  compare_same name, condition
on n1, \name
        ldr     y, [stack, #-4]!
on n2, \name
        cmp     x, y
        truth   n, \condition
        compare_wide \name, \condition
        .endm

        .macro  compare_float name, condition
on n1, \name
        mov     y, x
        ldr     x, [stack, #-4]!
on n2, \name
        vmov    s0, s1, x, y
        vcmp.f32 s0, s1
        vmrs    apsr_nzcv, fpscr
        truth   n, \condition
on w1, \name
        ldr     y, [stack, #-8]!
        vmov    s0, s1, y, x
        vcmp.f32 s0, s1
        vmrs    apsr_nzcv, fpscr
        truth   w, \condition
        .endm

        compare_same I32_EQ, eq
        compare_same I32_NE, ne
        compare I32_LT_S, lt
        compare I32_LT_U, lo
        compare I32_GT_S, gt
        compare I32_GT_U, hi
        compare I32_LE_S, le
        compare I32_LE_U, ls
        compare I32_GE_S, ge
        compare I32_GE_U, hs
@ With a NaN, which compares as unordered (C and V set), only `ne` holds of these.
        compare_float F32_EQ, eq
        compare_float F32_NE, ne
        compare_float F32_LT, mi
        compare_float F32_GT, gt
        compare_float F32_LE, ls
        compare_float F32_GE, ge

on n2, I32_EQZ
        spill
        .macro  eqz width
on \width\()1, I32_EQZ
        cmp     x, #0
        truth   \width, eq
        .endm
        eqz     n
        eqz     w

@ A condition that is not taken at once becomes an operand.
.Lf_other:
        movs    x, #0
        again
.Lt_other:
        movs    x, #1
        again

@ ---- control ----------------------------------------------------------------------------------------------------------

@ Takes the branch at `entry`; in the state `state`, which has the dispatch table `then`.
        .macro  take state, then
        ldrd    t, u, [entry]
        tst     u, #1
        bne     .Lmoves_\state
        add     entry, entry, u
        add     code, code, t
        add     bound, bound, t
        cmp     bound, code
        ble     .Lspent_\state
        next    \then
        .endm

@ Takes a branch forward that moves nothing.
        .macro  forward then
        ldrd    t, u, [entry]
        add     entry, entry, u
        add     code, code, t
        add     bound, bound, t
        next    \then
        .endm

@ Does not take the branch at `entry`, whose opcode has one byte of immediates.
        .macro  pass then
        adds    entry, #BRANCH
        next    \then, 2
        .endm

@ What leaves the operands alone: in the state `state`, of which `labels` makes the place.
        .macro  control labels, number, state, then
\labels \number, BLOCK
\labels \number, LOOP
        next    \then, 2
\labels \number, ELSE
        forward \then
\labels \number, BR
        take    \state, \then
\labels \number, END
        ldr     t, [sp, #END]
        cmp     code, t
        beq     .Lreturn_\state
\labels \number, NOP
        next    \then
@ Out of fuel, which is found out at the head of a loop only: t is the distance of the branch.
.Lspent_\state:
        cmp     t, #0
        bmi     .Lout_\state
        next    \then
        .endm

        control both, 0, 0, none
        control both, 1, 1, one
        control on, n2, n2, two

on f, I32_EQZ
        ldr     u, =wasmote_engine_table_t
        b       1f
on t, I32_EQZ
        ldr     u, =wasmote_engine_table_f
1:      next    u
on f, BR_IF
on t, IF
        pass    none
on f, IF
        forward none
on t, BR_IF
        take    0, none
on n2, BR_IF
        spill
both 1, BR_IF
        cmp     x, #0
        beq     .Lf_BR_IF
        take    0, none
on n2, IF
        spill
both 1, IF
        cmp     x, #0
        beq     .Lf_IF
        pass    none

@ A table's entries follow one another, that of the default last. A table of more than 127 is left.
on n2, BR_TABLE
        spill
both 1, BR_TABLE
        ldrb    t, [code, #1]
        tst     t, #0x80
        bne     .Lleave_1
        cmp     x, t
        it      lo
        movlo   t, x
        add     t, t, t, lsl #1
        add     entry, entry, t, lsl #2
        take    0, none

@ A branch that drops operands below those it keeps: with all in memory, it moves them down, u words from y on. Several are
@ charged one by one.
.Lmoves_n2:
        spill
.Lmoves_1:
        push_x
.Lmoves_0:
        ldr     t, [entry, #8]
        uxth    u, t
        lsrs    t, t, #16
        cmp     u, #1
        it      hi
        subhi   bound, bound, u
        cmp     none, one
        itt     hi
        lslhi   u, u, #1
        lslhi   t, t, #1
        sub     y, stack, u, lsl #2
        sub     stack, y, t, lsl #2
1:      subs    u, u, #1
        bmi     2f
        ldmia   y!, {x}
        push_n
        b       1b
2:      ldrd    t, u, [entry]
        add     entry, entry, u
        subs    entry, #1
        add     code, code, t
        add     bound, bound, t
        cmp     bound, code
        ble     .Lspent_0
        next    none

        .ltorg

@ ---- calls ------------------------------------------------------------------------------------------------------------

@ Calls a function of the same width, whose record is at u, if there is room. A callee's frame begins at its arguments; its
@ locals are zeroed, and the slot behind them is left free, as the portable loop has it.
        .macro  room shift, size
        ldrh    t, [u, #RECORD_PARAMS]
        sub     y, stack, t, lsl #\shift
        ldr     t, [u, #RECORD_ROOM]
        .if     \size == 8
        eor     t, t, #WIDE
        .endif
        ldr     x, [sp, #FRAMES]
        add     t, t, y
        cmp     t, x
        bhi     .Lcross
        .endm
        .macro  calls width, shift, size
on \width\()0, CALL
        ldrsb   t, [code, #1]
        ldr     u, [sp, #IMPORTED]
        subs    t, t, u
        blt     .Limport
        ldr     u, [sp, #RECORDS]
        add     t, t, t, lsl #1
        add     u, u, t, lsl #3
        room    \shift, \size
.Lenter_\width\():
        ldrd    t, stack, [sp, #FUNCTION]
.Lcross_to_\width\():
        adds    code, #1
        stmdb   x!, {r0, r3, r4, r5, r6}
        str     x, [sp, #FRAMES]
        mov     frame, y
        sub     bound, bound, code
        ldr     t, [sp, #CODE]
        ldrd    code, stack, [u, #RECORD_CODE]
        add     code, code, t
        add     stack, stack, t
        strd    u, stack, [sp, #FUNCTION]
        ldr     entry, [u, #RECORD_BRANCH]
        ldr     t, [sp, #TABLE]
        add     entry, entry, t
        ldrh    t, [u, #RECORD_PARAMS]
        ldrh    u, [u, #RECORD_LOCALS]
        add     stack, frame, t, lsl #\shift
        add     bound, bound, code
        subs    u, u, t
        beq     2f
        sub     bound, bound, u
        movs    t, #0
        movs    y, #0
1:      .if     \size == 8
        stmia   stack!, {t, y}
        .else
        stmia   stack!, {t}
        .endif
        subs    u, u, #1
        bne     1b
2:      adds    stack, #\size
        cmp     bound, code
        ble     .Lout_0
        next    none
        .endm

on n2, CALL
        spill
on n1, CALL
        push_n
        calls   n, 2, 4
on w1, CALL
        push_w
        calls   w, 3, 8

@ An imported function is called by the embedder; what tests the fuel before it goes on leaves when there is none.
.Limport:
        adds    t, t, u
        bmi     .Lleave_0
        cmp     bound, code
        blt     .Lleave_0
        adds    code, #1
        lsls    t, t, #2
        adds    t, #3
        b       .Lexit

@ Calls one of the module's own functions whose type has the very index that is asked for.
both 1, CALL_INDIRECT
        ldrh    t, [code, #1]
        tst     t, #0x80808080
        bne     .Lleave_1
        lsrs    u, t, #8
        ldr     y, [sp, #CONTEXT]
        ldr     t, [y, #TABLES]
        add     u, u, u, lsl #1
        add     u, t, u, lsl #2
        ldrd    t, u, [u]
        cmp     x, u
        bhs     .Lleave_1
        ldr     u, [sp, #GLOBALS]
        add     t, t, u
        ldr     t, [t, x, lsl #2]
        ldr     u, [y, #REFERENCE]
        subs    t, t, u
        ldr     u, [y, #OWN]
        cmp     t, u
        bhs     .Lleave_1
        ldr     u, [y, #TYPES]
        ldr     u, [u, t, lsl #2]
        ldrb    y, [code, #1]
        cmp     u, y
        bne     .Lleave_1
        ldr     u, [sp, #RECORDS]
        add     t, t, t, lsl #1
        add     u, u, t, lsl #3
        str     x, [stack]
        cmp     none, one
        bhi     1f
        room    2, 4
        adds    code, #1
        b       .Lenter_n
1:      room    3, 8
        adds    code, #1
        b       .Lenter_w

@ Comes here from both, with the record at u, when the width is another or there is no room; behind the operands of an
@ indirect call lies its index. Arguments change their width where they are; upper halves do not matter.
.Lcross:
        ldr     t, [u, #RECORD_ROOM]
        ldrh    x, [u, #RECORD_PARAMS]
        tst     t, #LONG
        bne     5f
        cmp     none, one
        bhi     3f
        eors    t, t, #WIDE
        bmi     5f
        sub     y, stack, x, lsl #2
        adds    x, y, #7
        bic     x, x, #7
        add     t, t, x
        ldr     two, [sp, #FRAMES]
        cmp     t, two
        bhi     5f
        ldrh    t, [u, #RECORD_PARAMS]
        add     t, x, t, lsl #3
1:      cmp     stack, y
        beq     2f
        ldr     two, [stack, #-4]!
        str     two, [t, #-8]!
        b       1b
2:      change_width
        ldrb    t, [code]
        subs    t, #0x10
        add     code, code, t
        ldrd    t, stack, [sp, #FUNCTION]
        orr     t, t, #CROSSING
        cmp     x, y
        it      ne
        orrne   t, t, #GAP
        mov     y, x
        ldr     x, [sp, #FRAMES]
        b       .Lcross_to_w
3:      cmp     t, #0
        bmi     5f
        sub     y, stack, x, lsl #3
        add     t, t, y
        ldr     x, [sp, #FRAMES]
        cmp     t, x
        bhi     5f
        mov     t, y
        mov     x, y
4:      cmp     t, stack
        itt     lo
        ldrlo   xh, [t], #8
        strlo   xh, [x], #4
        blo     4b
        change_width
        ldrb    t, [code]
        subs    t, #0x10
        add     code, code, t
        ldrd    t, stack, [sp, #FUNCTION]
        orr     t, t, #CROSSING
        ldr     x, [sp, #FRAMES]
        b       .Lcross_to_n
5:      cmp     none, one
        ite     hi
        movhi   t, #8
        movls   t, #4
        it      ls
        addwls  two, one, #STRIDE * 4
        ldrb    u, [code]
        cmp     u, #0x11
        it      eq
        addeq   stack, stack, t
        b       .Lleave_0

@ Returns from a function with at most one result; others leave.
        .macro  to_caller then
        sub     bound, bound, code
        mov     y, frame
        ldmia   u!, {r3, r4, r5, r6}
        strd    t, stack, [sp, #FUNCTION]
        str     u, [sp, #FRAMES]
        mov     stack, y
        add     bound, bound, code
        next    \then
        .endm
both 0, RETURN
.Lreturn_0:
        ldr     u, [sp, #FUNCTION]
        ldrh    t, [u, #RECORD_RESULTS]
        cmp     t, #1
        bhi     .Lleave_0
        beq     1f
        ldr     u, [sp, #FRAMES]
        ldr     t, [u], #4
        tst     t, #3
        bne     .Lother_0
        to_caller none
1:      cmp     none, one
        bhi     .Lw0_load
        b       .Ln0_load
both 1, RETURN
.Lreturn_1:
        ldr     u, [sp, #FUNCTION]
        ldrh    t, [u, #RECORD_RESULTS]
        cmp     t, #1
        bne     .Lleave_1
        ldr     u, [sp, #FRAMES]
        ldr     t, [u], #4
        tst     t, #3
        bne     .Lother_1
        to_caller one
        .set    .Lreturn_n2, .Ln2_spill
@ Back to the embedder, which is ~0, or to a caller of the other width; one with long immediates is left.
        .macro  to_other then, leave
        bic     y, t, #CROSSING | GAP
        ldr     y, [y, #RECORD_ROOM]
        tst     y, #LONG
        bne     \leave
        sub     bound, bound, code
        and     y, t, #GAP
        sub     y, frame, y, lsl #2
        bic     t, t, #CROSSING | GAP
        ldmia   u!, {r3, r4, r5, r6}
        strd    t, stack, [sp, #FUNCTION]
        str     u, [sp, #FRAMES]
        mov     stack, y
        add     bound, bound, code
        change_width
        next    \then
        .endm
.Lother_1:
        cmn     t, #1
        beq     3f
        to_other one, .Lleave_1
3:      push_x
4:      movs    t, #2
        b       .Lexit
.Lother_0:
        cmn     t, #1
        beq     4b
        to_other none, .Lleave_0

@ ---- operands, locals, globals, constants ----------------------------------------------------------------------------

on n0, DROP
        subs    stack, #4
both 1, DROP
        next    none
on n2, DROP
        next    one
on w0, DROP
        subs    stack, #8
        next    none

on n1, SELECT
        mov     y, x
        ldr     x, [stack, #-4]!
on n2, SELECT
        ldr     t, [stack, #-4]!
        cmp     y, #0
        it      ne
        movne   x, t
        next    one
on w1, SELECT
        cmp     x, #0
        beq     .Lw0_select_f
.Lw0_select_t:
        ldrd    x, xh, [stack, #-16]!
        next    one
.Lw0_select_f:
        ldrd    x, xh, [stack, #-8]
        subs    stack, #16
        next    one
.Ln0_select_t:
        ldr     x, [stack, #-8]!
        next    one
.Ln0_select_f:
        ldr     x, [stack, #-4]
        subs    stack, #8
        next    one
@ These four lie where the tables of n0 and w0 have no opcode.
on t, SELECT
        ldr     pc, [none, #SELECT_T]
on f, SELECT
        ldr     pc, [none, #SELECT_F]

        .macro  local_get to, then
        ldrb    t, [code, #1]
        ldr     \to, [frame, t, lsl #2]
        next    \then, 2
        .endm
        pushes  LOCAL_GET, local_get
        .macro  local_get_wide to, then
        ldrb    t, [code, #1]
        add     t, frame, t, lsl #3
        ldrd    x, xh, [t]
        next    \then, 2
        .endm
        pushes_wide LOCAL_GET, local_get_wide

        .macro  local_set_wide name, then
on w1, \name
        ldrb    t, [code, #1]
        add     t, frame, t, lsl #3
        strd    x, xh, [t]
        next    \then, 2
        .endm
        local_set_wide LOCAL_SET, none
        local_set_wide LOCAL_TEE, one

on n1, LOCAL_SET
        ldrb    t, [code, #1]
        str     x, [frame, t, lsl #2]
        next    none, 2
on n2, LOCAL_SET
        ldrb    t, [code, #1]
        str     y, [frame, t, lsl #2]
        next    one, 2

        .macro  local_tee from, then
        ldrb    t, [code, #1]
        str     \from, [frame, t, lsl #2]
        next    \then, 2
        .endm
        unary   LOCAL_TEE, local_tee

        .macro  global_get to, then
        ldrb    t, [code, #1]
        ldr     u, [sp, #GLOBALS]
        ldr     \to, [u, t, lsl #3]
        next    \then, 2
        .endm
        pushes  GLOBAL_GET, global_get
        .macro  global_get_wide to, then
        ldrb    t, [code, #1]
        ldr     u, [sp, #GLOBALS]
        add     u, u, t, lsl #3
        ldrd    x, xh, [u]
        next    \then, 2
        .endm
        pushes_wide GLOBAL_GET, global_get_wide

on n1, GLOBAL_SET
        ldrb    t, [code, #1]
        ldr     u, [sp, #GLOBALS]
        str     x, [u, t, lsl #3]
        next    none, 2
on n2, GLOBAL_SET
        ldrb    t, [code, #1]
        ldr     u, [sp, #GLOBALS]
        str     y, [u, t, lsl #3]
        next    one, 2
on w1, GLOBAL_SET
        ldrb    t, [code, #1]
        ldr     u, [sp, #GLOBALS]
        add     u, u, t, lsl #3
        strd    x, xh, [u]
        next    none, 2

@ Bit 7 says that more follows, bit 6 is the sign. Three bytes and more are read at `more`.
        .macro  i32_const to, then, more
        ldrb    t, [code, #1]
        lsls    t, t, #25
        bcs     1f
        asrs    \to, t, #25
        next    \then, 2
1:      lsrs    t, t, #25
        ldrb    u, [code, #2]
        orr     t, t, u, lsl #7
        lsrs    u, u, #8
        bcs     \more
        sbfx    \to, t, #0, #14
        next    \then, 3
        .endm
        .macro  i32_const_more to, then
        ldrb    u, [code, #3]
        bic     t, t, #0x4000
        orr     t, t, u, lsl #14
        lsrs    u, u, #8
        bcs     1f
        sbfx    \to, t, #0, #21
        next    \then, 4
1:      ldrb    u, [code, #4]
        bic     t, t, #0x200000
        orr     t, t, u, lsl #21
        lsrs    u, u, #8
        bcs     1f
        sbfx    \to, t, #0, #28
        next    \then, 5
1:      ldrb    u, [code, #5]
        bic     t, t, #0x10000000
        orr     \to, t, u, lsl #28
        next    \then, 6
        .endm
on n2, I32_CONST
        spill
on n1, I32_CONST
        i32_const y, two, 3f
on w1, I32_CONST
        push_w
both 0, I32_CONST
        i32_const x, one, 4f
3:      i32_const_more y, two
4:      i32_const_more x, one

on w1, I64_CONST
        push_w
on w0, I64_CONST
        ldrb    t, [code, #1]
        lsls    t, t, #25
        bcs     1f
        asrs    x, t, #25
        asr     xh, x, #31
        next    one, 2
1:      lsrs    t, t, #25
        ldrb    u, [code, #2]
        orr     t, t, u, lsl #7
        lsrs    u, u, #8
        bcs     2f
        sbfx    x, t, #0, #14
        asr     xh, x, #31
        next    one, 3
2:      ldrb    u, [code, #3]
        bic     t, t, #0x4000
        orr     t, t, u, lsl #14
        lsrs    u, u, #8
        bcs     3f
        sbfx    x, t, #0, #21
        asr     xh, x, #31
        next    one, 4
3:      ldrb    u, [code, #4]
        bic     t, t, #0x200000
        orr     t, t, u, lsl #21
        lsrs    u, u, #8
        bcs     4f
        sbfx    x, t, #0, #28
        asr     xh, x, #31
        next    one, 5
@ The fifth byte goes to both halves; y counts the bits of the upper one, whose last is the sign.
4:      bic     t, t, #0x10000000
        ldrb    u, [code, #5]!
        orr     x, t, u, lsl #28
        ubfx    xh, u, #4, #3
        movs    y, #3
5:      lsrs    u, u, #8
        bcc     6f
        ldrb    u, [code, #1]!
        and     t, u, #0x7f
        lsls    t, t, y
        orr     xh, xh, t
        adds    y, #7
        b       5b
6:      rsbs    t, y, #32
        itt     pl
        lslpl   xh, xh, t
        asrpl   xh, xh, t
        next    one

        .macro  f32_const to, then
        ldr     \to, [code, #1]
        next    \then, 5
        .endm
        pushes_both F32_CONST, f32_const
        .macro  f64_const to, then
        ldr     x, [code, #1]
        ldr     xh, [code, #5]
        next    \then, 9
        .endm
        pushes_wide F64_CONST, f64_const

@ ---- memory -----------------------------------------------------------------------------------------------------------

@ How an access moves its `value`, whose address in the memory is in t: one register, a pair, or one with the other half
@ made from it; and popping the address that lies below the value in a 64-bit function.
        .macro  single instruction, value
        \instruction \value, [memory, t]
        .endm
        .macro  double instruction, value
        add     t, memory, t
        \instruction x, [t]
        \instruction xh, [t, #4]
        .endm
        .macro  signed instruction, value
        single  \instruction, x
        asr     xh, x, #31
        .endm
        .macro  unsigned instruction, value
        single  \instruction, x
        mov     xh, #0
        .endm
        .macro  single_pop instruction, value
        single  \instruction, x
        subs    stack, #8
        .endm
        .macro  double_pop instruction, value
        double  \instruction, x
        subs    stack, #8
        .endm

@ An access at the address in `at` plus the offset. The alignment has one byte, and nearly always the offset too, and the
@ address is far enough from the end of the memory for any such offset; with the sign of that byte spread over the address
@ one comparison tells. What is not so comes back from `far`, by the length of the instructions up to there, with t.
        .equ    FAR, 16
        .macro  access how, instruction, value, at, then, far
.Laccess\@:
        ldrsb   t, [code, #2]
        orr     u, \at, t, asr #31
        cmp     u, limit
        bhs.w   \far
        adds    t, \at, t
        .org    .Laccess\@ + FAR
        \how    \instruction, \value
        next    \then, 3
        .endm

@ Looks closely, at an offset of one byte or two. Longer ones are left, as is what may be out of bounds.
        .macro  far at, table, skip, leave
        ldrh    t, [code, #2]
        lsls    u, t, #25
        lsr     u, u, #25
        bcs     1f
        adds    t, \at, u
        bcs     \leave
        add     u, limit, #127
        cmp     t, u
        bhs     \leave
        ldrb    u, [code]
        b       2f
1:      lsrs    t, t, #8
        cmp     t, #128
        bhs     \leave
        orr     t, u, t, lsl #7
        adds    t, \at, t
        bcs     \leave
        add     u, limit, #127
        cmp     t, u
        bhs     \leave
        ldrb    u, [code], #1
2:      ldr     u, [\table, u, lsl #2]
        adds    u, #\skip
        bx      u
        .endm
.Lfar_load_1:
        far     x, one, FAR, .Lleave_1
.Lfar_load_n2:
        far     y, two, FAR, .Lleave_n2
.Lfar_store_n2:
        far     x, two, FAR, .Lleave_n2
.Lfar_store_w1:
        far     y, one, FAR + 4, .Lleave_1

        .macro  loads_wide name, how, instruction
on w1, \name
        access  \how, \instruction, x, x, one, .Lfar_load_1
        .endm

        .macro  stores_wide name, how, instruction
on w1, \name
        ldr     y, [stack, #-8]
        access  \how, \instruction, x, y, none, .Lfar_store_w1
        .endm

        .macro  loads name, instruction
both 1, \name
        access  single, \instruction, x, x, one, .Lfar_load_1
on n2, \name
        access  single, \instruction, y, y, two, .Lfar_load_n2
        .endm

        .macro  stores name, instruction
on n1, \name
        mov     y, x
        ldr     x, [stack, #-4]!
on n2, \name
        access  single, \instruction, y, x, none, .Lfar_store_n2
        stores_wide \name, single_pop, \instruction
        .endm

        loads   I32_LOAD, ldr
        loads   I32_LOAD8_S, ldrsb
        loads   I32_LOAD8_U, ldrb
        loads   I32_LOAD16_S, ldrsh
        loads   I32_LOAD16_U, ldrh
        stores  I32_STORE, str
        stores  I32_STORE8, strb
        stores  I32_STORE16, strh
        same    F32_LOAD, I32_LOAD
        same    F32_STORE, I32_STORE

        loads_wide I64_LOAD, double, ldr
        loads_wide I64_LOAD8_S, signed, ldrsb
        loads_wide I64_LOAD8_U, unsigned, ldrb
        loads_wide I64_LOAD16_S, signed, ldrsh
        loads_wide I64_LOAD16_U, unsigned, ldrh
        loads_wide I64_LOAD32_S, signed, ldr
        loads_wide I64_LOAD32_U, unsigned, ldr
        stores_wide I64_STORE, double_pop, str
        same_wide I64_STORE8, I32_STORE8
        same_wide I64_STORE16, I32_STORE16
        same_wide I64_STORE32, I32_STORE
        same_wide F64_LOAD, I64_LOAD
        same_wide F64_STORE, I64_STORE

@ ---- arithmetic -------------------------------------------------------------------------------------------------------

        .macro  i32_shl to, a, b
        and     t, \b, #31
        lsls    \to, \a, t
        .endm
        .macro  i32_shr_s to, a, b
        and     t, \b, #31
        asrs    \to, \a, t
        .endm
        .macro  i32_shr_u to, a, b
        and     t, \b, #31
        lsrs    \to, \a, t
        .endm
        .macro  i32_rotl to, a, b
        rsbs    t, \b, #0
        rors    \to, \a, t
        .endm
@ A divisor of 0 traps, one of -1 may: both are left.
        .macro  divisor b, leave
        adds    t, \b, #1
        cmp     t, #1
        bls     \leave
        .endm
        .macro  i32_div_s to, a, b, leave
        divisor \b, \leave
        sdiv    \to, \a, \b
        .endm
        .macro  i32_div_u to, a, b, leave
        cmp     \b, #0
        beq     \leave
        udiv    \to, \a, \b
        .endm
        .macro  i32_rem_s to, a, b, leave
        divisor \b, \leave
        sdiv    t, \a, \b
        mls     \to, t, \b, \a
        .endm
        .macro  i32_rem_u to, a, b, leave
        cmp     \b, #0
        beq     \leave
        udiv    t, \a, \b
        mls     \to, t, \b, \a
        .endm

        commutative I32_ADD, adds
        binary  I32_SUB, subs
        commutative I32_MUL, muls
        commutative I32_AND, ands
        commutative I32_OR, orrs
        commutative I32_XOR, eors
        binary  I32_SHL, i32_shl
        binary  I32_SHR_S, i32_shr_s
        binary  I32_SHR_U, i32_shr_u
        binary  I32_ROTL, i32_rotl
        binary  I32_ROTR, rors
        binary_rare I32_DIV_S, i32_div_s
        binary_rare I32_DIV_U, i32_div_u
        binary_rare I32_REM_S, i32_rem_s
        binary_rare I32_REM_U, i32_rem_u

@ An instruction of two registers.
        .macro  simple instruction, to, then
        \instruction \to, \to
        next    \then
        .endm
        .macro  i32_clz to, then
        simple  clz, \to, \then
        .endm
        .macro  i32_ctz to, then
        rbit    \to, \to
        simple  clz, \to, \then
        .endm
        .macro  i32_extend8_s to, then
        simple  sxtb, \to, \then
        .endm
        .macro  i32_extend16_s to, then
        simple  sxth, \to, \then
        .endm
        .macro  f32_abs to, then
        bic     \to, \to, #0x80000000
        next    \then
        .endm
        .macro  f32_neg to, then
        eor     \to, \to, #0x80000000
        next    \then
        .endm
        .macro  reinterpret to, then
        next    \then
        .endm
@ Sums of two, four and eight bits next to each other, then of all bytes.
        .macro  i32_popcnt to, then
        lsrs    t, \to, #1
        and     t, t, #0x55555555
        subs    \to, \to, t
        and     t, \to, #0x33333333
        lsrs    \to, \to, #2
        and     \to, \to, #0x33333333
        adds    \to, \to, t
        add     \to, \to, \to, lsr #4
        and     \to, \to, #0x0f0f0f0f
        mov     t, #0x01010101
        muls    \to, t, \to
        lsrs    \to, \to, #24
        next    \then
        .endm
        unary_both I32_POPCNT, i32_popcnt
        unary_both I32_CLZ, i32_clz
        unary_both I32_CTZ, i32_ctz
        unary_both I32_EXTEND8_S, i32_extend8_s
        unary_both I32_EXTEND16_S, i32_extend16_s
        unary_both F32_ABS, f32_abs
        unary_both F32_NEG, f32_neg
        unary_both I32_REINTERPRET_F32, reinterpret
        unary_both F32_REINTERPRET_I32, reinterpret

@ Floats: with FPSCR.DN set every NaN that comes out is the canonical one.
        .macro  float_unary instruction, to, then
        vmov    s0, \to
        \instruction s0, s0
        vmov    \to, s0
        next    \then
        .endm
        .macro  f32_sqrt to, then
        float_unary vsqrt.f32, \to, \then
        .endm
        .macro  f32_convert_i32_s to, then
        float_unary vcvt.f32.s32, \to, \then
        .endm
        .macro  f32_convert_i32_u to, then
        float_unary vcvt.f32.u32, \to, \then
        .endm
        unary_both F32_SQRT, f32_sqrt
        unary_both F32_CONVERT_I32_S, f32_convert_i32_s
        unary_both F32_CONVERT_I32_U, f32_convert_i32_u

@ Rounds to an integer of the same sign, which what has 24 bits or more before the point is already. NaNs are left.
        .macro  f32_round name
both 1, \name
        ubfx    t, x, #23, #8
        cmp     t, #150
        bhs     .Lrounded
        vmov    s0, x
        .endm
        f32_round F32_NEAREST
        vcvtr.s32.f32 s1, s0
        b       1f
        f32_round F32_TRUNC
        vcvt.s32.f32 s1, s0
1:      vcvt.f32.s32 s1, s1
        b       .Lround_sign
        f32_round F32_CEIL
        vmov.f32 s2, #1.0
        vcvt.s32.f32 s1, s0
        vcvt.f32.s32 s1, s1
        vcmp.f32 s1, s0
        vmrs    apsr_nzcv, fpscr
        it      mi
        vaddmi.f32 s1, s1, s2
        b       .Lround_sign
        f32_round F32_FLOOR
        vmov.f32 s2, #1.0
        vcvt.s32.f32 s1, s0
        vcvt.f32.s32 s1, s1
        vcmp.f32 s1, s0
        vmrs    apsr_nzcv, fpscr
        it      gt
        vsubgt.f32 s1, s1, s2
.Lround_sign:
        vmov    t, s1
        and     x, x, #0x80000000
        orrs    x, x, t
        next    one
.Lrounded:
        cmp     t, #255
        beq     .Lleave_1
        next    one

@ A conversion that saturated, or that of a NaN (to 0), may be one that traps.
        .macro  float_truncate instruction, to, then, saturated, leave
        vmov    s0, \to
        \instruction s1, s0
        vmov    t, s1
        vcmp.f32 s0, s0
        vmrs    apsr_nzcv, fpscr
        bvs     \leave
        \saturated \to, \leave
        beq     \leave
        mov     \to, t
        next    \then
        .endm
@ The ends of the range, 0x7fffffff and 0x80000000.
        .macro  end_signed from, leave
        cmp     t, #0x80000000
        beq     \leave
        mvn     u, t
        cmp     u, #0x80000000
        .endm
@ 0xffffffff, and 0 made of something negative.
        .macro  end_unsigned from, leave
        cmp     \from, #0
        bmi     \leave
        cmn     t, #1
        .endm
        .macro  truncates name, instruction, saturated
both 1, \name
        float_truncate \instruction, x, one, \saturated, .Lleave_1
        .endm
        truncates I32_TRUNC_F32_S, vcvt.s32.f32, end_signed
        truncates I32_TRUNC_F32_U, vcvt.u32.f32, end_unsigned

        .macro  float_operation instruction, a, b
        vmov    s0, s1, \a, \b
        \instruction s0, s0, s1
        vmov    x, s0
        next    one
        .endm
        .macro  float_wide name, instruction
on w1, \name
        ldr     y, [stack, #-8]!
        float_operation \instruction, y, x
        .endm
        .macro  float_binary name, instruction
on n1, \name
        ldr     y, [stack, #-4]!
        float_operation \instruction, y, x
on n2, \name
        float_operation \instruction, x, y
        float_wide \name, \instruction
        .endm
        .macro  float_commutative name, instruction
on n1, \name
        ldr     y, [stack, #-4]!
on n2, \name
        float_operation \instruction, x, y
        float_wide \name, \instruction
        .endm
        float_commutative F32_ADD, vadd.f32
        float_binary F32_SUB, vsub.f32
        float_commutative F32_MUL, vmul.f32
        float_binary F32_DIV, vdiv.f32

on n1, F32_COPYSIGN
        ldr     y, [stack, #-4]!
        bfi     x, y, #0, #31
        next    one
on n2, F32_COPYSIGN
        lsrs    y, y, #31
        bfi     x, y, #31, #1
        next    one
on w1, F32_COPYSIGN
        ldr     y, [stack, #-8]!
        bfi     x, y, #0, #31
        next    one

@ The lesser or the greater; of equal ones, which may be zeros of different sign, what `equal` makes of both. NaNs are left.
        .macro  f32_choose to, a, b, leave, equal, second
        vmov    s0, s1, \a, \b
        vcmp.f32 s0, s1
        vmrs    apsr_nzcv, fpscr
        bvs     \leave
        mov     t, \a
        it      eq
        \equal\()eq t, \a, \b
        it      \second
        mov\second t, \b
        mov     \to, t
        .endm
        .macro  f32_min to, a, b, leave
        f32_choose \to, \a, \b, \leave, orr, gt
        .endm
        .macro  f32_max to, a, b, leave
        f32_choose \to, \a, \b, \leave, and, mi
        .endm
        binary_rare F32_MIN, f32_min
        binary_rare F32_MAX, f32_max

@ ---- 64-bit integers --------------------------------------------------------------------------------------------------

@ Replaces two operands, the first in t (low) and y (high), the second in x and xh, by what `body` leaves in x and xh.
        .macro  binary64 name, body
on w1, \name
        ldrd    t, y, [stack, #-8]!
        \body
        next    one
        .endm
        .macro  i64_add
        adds    x, t, x
        adc     xh, y, xh
        .endm
        .macro  i64_sub
        subs    x, t, x
        sbc     xh, y, xh
        .endm
        .macro  i64_mul
        mul     xh, t, xh
        mla     xh, y, x, xh
        umull   x, u, t, x
        add     xh, xh, u
        .endm
        .macro  i64_and
        ands    x, x, t
        and     xh, y, xh
        .endm
        .macro  i64_or
        orrs    x, x, t
        orr     xh, y, xh
        .endm
        .macro  i64_xor
        eors    x, x, t
        eor     xh, y, xh
        .endm
@ A register shifts by the lowest byte of another: by 32 and more, and so by a negative number, everything goes out.
        .macro  i64_shl
        and     x, x, #63
        lsl     xh, y, x
        rsb     u, x, #32
        lsr     u, t, u
        orr     xh, xh, u
        sub     u, x, #32
        lsl     u, t, u
        orr     xh, xh, u
        lsl     x, t, x
        .endm
        .macro  i64_shr_u
        and     x, x, #63
        lsrs    t, t, x
        rsb     u, x, #32
        lsl     u, y, u
        orrs    t, t, u
        sub     u, x, #32
        lsr     u, y, u
        lsr     xh, y, x
        orr     x, t, u
        .endm
        .macro  i64_shr_s
        and     x, x, #63
        lsrs    t, t, x
        rsb     u, x, #32
        lsl     u, y, u
        orrs    t, t, u
        subs    u, x, #32
        itt     pl
        asrpl   u, y, u
        orrpl   t, t, u
        asr     xh, y, x
        mov     x, t
        .endm
        .macro  i64_rotl
        tst     x, #32
        ittt    ne
        movne   u, t
        movne   t, y
        movne   y, u
        and     x, x, #31
        rsb     u, x, #32
        lsl     xh, y, x
        lsrs    y, y, u
        lsr     u, t, u
        orr     xh, xh, u
        lsls    t, t, x
        orr     x, t, y
        .endm
        .macro  i64_rotr
        rsbs    x, x, #0
        i64_rotl
        .endm
        .macro  f64_copysign
        bfi     xh, y, #0, #31
        mov     x, t
        .endm
        binary64 I64_ADD, i64_add
        binary64 I64_SUB, i64_sub
        binary64 I64_MUL, i64_mul
        binary64 I64_AND, i64_and
        binary64 I64_OR, i64_or
        binary64 I64_XOR, i64_xor
        binary64 I64_SHL, i64_shl
        binary64 I64_SHR_U, i64_shr_u
        binary64 I64_SHR_S, i64_shr_s
        binary64 I64_ROTL, i64_rotl
        binary64 I64_ROTR, i64_rotr
        binary64 F64_COPYSIGN, f64_copysign

@ Without upper halves signs do not matter. A divisor of 0 traps, one of -1 may: both are left.
        .macro  divide64 name, helper
on w1, \name
        orrs    u, x, xh
        beq     .Lleave_1
        and     t, x, xh
        adds    t, #1
        beq     .Lleave_1
        ldr     t, [stack, #-4]
        orrs    t, t, xh
        itt     ne
        movne   u, #\helper * 4
        bne     .Lhelp_2
        ldr     t, [stack, #-8]!
        .endm
        .macro  quotient name, helper
        divide64 \name, \helper
        udiv    x, t, x
        next    one
        .endm
        .macro  remainder name, helper
        divide64 \name, \helper
        udiv    u, t, x
        mls     x, u, x, t
        next    one
        .endm
        quotient I64_DIV_S, DIV_S
        quotient I64_DIV_U, DIV_U
        remainder I64_REM_S, REM_S
        remainder I64_REM_U, REM_U

        .macro  i64_clz to, then
        cmp     xh, #0
        clz     xh, xh
        itt     eq
        clzeq   xh, x
        addeq   xh, xh, #32
        mov     x, xh
        mov     xh, #0
        next    one
        .endm
        .macro  i64_ctz to, then
        rbit    xh, xh
        cmp     x, #0
        rbit    x, x
        clz     x, x
        itt     eq
        clzeq   x, xh
        addeq   x, x, #32
        mov     xh, #0
        next    one
        .endm
        .macro  sign_extend to, then
        asr     xh, x, #31
        next    one
        .endm
        .macro  zero_extend to, then
        mov     xh, #0
        next    one
        .endm
        .macro  i64_extend8_s to, then
        sxtb    x, x
        sign_extend
        .endm
        .macro  i64_extend16_s to, then
        sxth    x, x
        sign_extend
        .endm
        .macro  f64_abs to, then
        bic     xh, xh, #0x80000000
        next    one
        .endm
        .macro  f64_neg to, then
        eor     xh, xh, #0x80000000
        next    one
        .endm
        unary_wide I64_CLZ, i64_clz
        unary_wide I64_CTZ, i64_ctz
        unary_wide I64_EXTEND_I32_S, sign_extend
        unary_wide I64_EXTEND_I32_U, zero_extend
        unary_wide I64_EXTEND8_S, i64_extend8_s
        unary_wide I64_EXTEND16_S, i64_extend16_s
        unary_wide I64_EXTEND32_S, sign_extend
        unary_wide F64_ABS, f64_abs
        unary_wide F64_NEG, f64_neg
        unary_wide I32_WRAP_I64, reinterpret
        unary_wide I64_REINTERPRET_F64, reinterpret
        unary_wide F64_REINTERPRET_I64, reinterpret

on w1, I64_EQZ
        orrs    t, x, xh
        truth   w, eq

        .macro  compare64 name, body, condition
on w1, \name
        ldrd    t, y, [stack, #-8]!
        \body
        truth   w, \condition
        .endm
        .macro  same64
        eors    t, t, x
        eor     y, y, xh
        orrs    t, t, y
        .endm
        .macro  forwards64
        cmp     t, x
        sbcs    t, y, xh
        .endm
        .macro  backwards64
        cmp     x, t
        sbcs    t, xh, y
        .endm
@ Takes two floats of 64 bits: the first into t and y. Infinities and NaNs are left.
        .macro  two_finite
        ldrd    t, y, [stack, #-8]
        lsls    u, y, #1
        cmn     u, #0x00200000
        bhs     .Lleave_1
        lsl     u, xh, #1
        cmn     u, #0x00200000
        bhs     .Lleave_1
        subs    stack, #8
        .endm
@ Two floats, of sign and magnitude, become two's complement and so compare as integers: behind what those begin with. Both
@ zeros become 0.
on w1, F64_EQ
on w1, F64_NE
on w1, F64_LT
on w1, F64_GT
on w1, F64_LE
on w1, F64_GE
        two_finite
        orrs    u, y, xh
        bpl     2f
        movs    u, #0
        cmp     y, #0
        bpl     1f
        bic     y, y, #0x80000000
        rsbs    t, t, #0
        sbc     y, u, y
1:      cmp     xh, #0
        bpl     2f
        bic     xh, xh, #0x80000000
        rsbs    x, x, #0
        sbc     xh, u, xh
2:      ldrb    u, [code]
        subs    u, #0x61
        tbb     [pc, u]
3:      .irp    name, EQ, NE, LT_S, GT_S, LE_S, GE_S
        .byte   (.Lw1_I64_\name + 4 - 3b) / 2
        .endr
        compare64 I64_EQ, same64, eq
        compare64 I64_NE, same64, ne
        compare64 I64_LT_S, forwards64, lt
        compare64 I64_LT_U, forwards64, lo
        compare64 I64_GT_S, backwards64, lt
        compare64 I64_GT_U, backwards64, lo
        compare64 I64_LE_S, backwards64, ge
        compare64 I64_LE_U, backwards64, hs
        compare64 I64_GE_S, forwards64, ge
        compare64 I64_GE_U, forwards64, hs

@ ---- 64-bit floats ----------------------------------------------------------------------------------------------------
@ IEEE 754 binary64, rounded to nearest, ties to even. Infinities, NaNs, subnormals and what overflows or underflows are
@ left to the portable loop; zeros are not.

@ Arithmetic uses more registers: keeps the second operand, then what is lost.
        .macro  more
        push    {r7, r8}
        push    {r3, r12, lr}
        .endm
        .macro  done
        pop     {r3, r12, lr}
        add     sp, sp, #8
        sub     stack, stack, #8
        next    one
        .endm
.Ldouble_leave:
        pop     {r3, r12, lr}
        pop     {r7, r8}
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
        push    {r7, r8}
        push    {r3, r4, r6, r12, lr}
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
        pop     {r3, r4, r6, r12, lr}
        add     sp, sp, #8
        subs    stack, #8
        next    one
.Ldiv_leave:
        pop     {r3, r4, r6, r12, lr}
        pop     {r7, r8}
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
        push    {r2, r3, r12, lr}
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
6:      pop     {r2, r3, r12, lr}
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
7:      pop     {r2, r3, r12, lr}
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
        push    {r2, r3, r12, lr}
        mov     r0, x
        mov     r1, xh
        b       1f
@ The same with the operand below as the first.
.Lhelp_2:
        push    {r2, r3, r12, lr}
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
        pop     {r2, r3, r12, lr}
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
        push    {r4-r11, lr}
        sub     sp, sp, #RESERVED
        vmrs    r2, fpscr
        strd    r0, r2, [sp, #CONTEXT]
@ Default NaNs, rounding to nearest, subnormals kept (ARM DDI 0403E.e §A2.5.3).
        mov     r2, #0x02000000
        vmsr    fpscr, r2
        ldmia   r0!, {r2-r9}
        stmia   sp, {r2-r9}
        cmp     r1, #0
        ldmia   r0, {r3, r4, r5, r6, r11, r12, lr}
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
        stmia   r1, {r3, r4, r5, r6, r11, r12, lr}
        ldr     r2, [sp, #CONTEXT + 4]
        vmsr    fpscr, r2
        add     sp, sp, #RESERVED
        pop     {r4-r11, pc}
        .org    wasmote_engine_table_n2 + 4 * 0xfc
        .word   .Ln2_spill + 1
        .size   wasmote_engine_run, . - wasmote_engine_run

@ An opcode has handlers here, or is one of those that are left.
        .macro  known nothing, byte, name
        .ifndef .Ln0_\name
        .ifndef .Lw0_\name
        .ifndef .Lw1_\name
        .ifndef .Lportable_\name
        .error  "thumb.s: no handlers for \name, and it is not left to the portable loop"
        .endif
        .endif
        .endif
        .endif
        .endm
        each_opcode known 0
        .text

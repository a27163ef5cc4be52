@ The fast execution loop for Armv7E-M with single-precision floats (Cortex-M4F): the same bytes, state, fuel and traps as
@ the portable loop in interpret, which executes what is left to it here. A template for mod.rs: {{NAME}} is a number of
@ Rust's, and the braces of the assembler's are doubled. Doubles are in double.s, what ends the loop in exit.s.
@
@ Every opcode has a handler for each way its operands may lie. A handler ends by reading the next opcode and jumping
@ through the table of the state it leaves behind: two instructions. In 32-bit functions (n) the two topmost operands may be
@ in registers, in 64-bit functions (w) one:
@
@   n0 w0  all operands are in memory                 t  all are in memory but a condition, which is true
@   n1 w1  the top operand is in x (w: x and xh)      f  the same, and it is false
@   n2     the top operand is in y, the one below in x
@
@ Where the width makes no difference, the states share a handler. A rare instruction has a handler only for n1 or w1,
@ which n2, n0 and w0 reach by a second jump. What is rarer leaves, with all operands in memory and at the
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

@ What lies at sp meanwhile: the beginning of `Context` in mod.rs, up to the registers; then where all of it is, and FPSCR.
        .equ    FUNCTION, {FUNCTION}
        .equ    FRAMES, {FRAMES}
        .equ    END, {END}
        .equ    CODE, {CODE}
        .equ    TABLE, {TABLE}
        .equ    RECORDS, {RECORDS}
        .equ    IMPORTED, {IMPORTED}
        .equ    GLOBALS, {GLOBALS}
        .equ    KEPT, {KEPT}
        .equ    CONTEXT, KEPT
        .equ    RESERVED, CONTEXT + 12
@ What is behind the registers in `Context`.
        .equ    TABLES, {TABLES}
        .equ    REFERENCE, {REFERENCE}
        .equ    OWN, {OWN}
        .equ    TYPES, {TYPES}
        .equ    HELPERS, {HELPERS}
        .equ    LENGTH, {LENGTH}

@ Offsets in a function's record, and flags in its room.
        .equ    RECORD_CODE, {RECORD_CODE}
        .equ    RECORD_BRANCH, {RECORD_BRANCH}
        .equ    RECORD_PARAMS, {RECORD_PARAMS}
        .equ    RECORD_LOCALS, {RECORD_LOCALS}
        .equ    RECORD_RESULTS, {RECORD_RESULTS}
        .equ    RECORD_ROOM, {RECORD_ROOM}
        .equ    WIDE, {WIDE}
        .equ    LONG, {LONG}
@ In the function of a frame record.
        .equ    GAP, {GAP}
        .equ    CROSSING, {CROSSING}

@ Bytes of an entry of the branch table, and where it has what it keeps and drops.
        .equ    BRANCH, {BRANCH}
        .equ    BRANCH_KEPT, {BRANCH_KEPT}

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
        stmia   stack!, {{x}}
        .endm
        .macro  push_w
        strd    x, xh, [stack], #8
        .endm
        .macro  push_x
        stmia   stack!, {{x}}
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

@ The same where the value takes only the lower half of a slot.
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

@ What leaves the operands unchanged: in the state `state`, of which `labels` makes the place.
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
        ldr     t, [entry, #BRANCH_KEPT]
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
        ldmia   y!, {{x}}
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
        stmdb   x!, {{r0, r3, r4, r5, r6}}
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
        stmia   stack!, {{t, y}}
        .else
        stmia   stack!, {{t}}
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
        ldmia   u!, {{r3, r4, r5, r6}}
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
        ldmia   u!, {{r3, r4, r5, r6}}
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
@ Of floats of 64 bits, the first in t and y, infinities and NaNs are left.
        .macro  finite leave
        lsls    u, y, #1
        cmn     u, #0x00200000
        bhs     \leave
        lsl     u, xh, #1
        cmn     u, #0x00200000
        bhs     \leave
        .endm
@ Takes two.
        .macro  two_finite
        ldrd    t, y, [stack, #-8]
        finite  .Lleave_1
        subs    stack, #8
        .endm
@ Two floats, of sign and magnitude, become two's complement and so compare as integers: behind what those begin with. Both
@ zeros become 0.
        .macro  f64_order
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
2:
        .endm
on w1, F64_EQ
on w1, F64_NE
on w1, F64_LT
on w1, F64_GT
on w1, F64_LE
on w1, F64_GE
        two_finite
        f64_order
        ldrb    u, [code]
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

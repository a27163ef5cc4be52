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
@ What is rare leaves, with all operands in memory and at the opcode itself, so that the portable loop executes it.
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
@   r10 none    dispatch table n0 or w0, with those of f and t behind it
@   r11 memory  the linear memory
@   r12 limit   its length less 7, so that eight bytes may be read below it
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

@ Offsets in a function's record (validate.rs, `record`), in bytes.
        .equ    RECORD_CODE, 0
        .equ    RECORD_BRANCH, 8
        .equ    RECORD_PARAMS, 12
        .equ    RECORD_LOCALS, 14
        .equ    RECORD_RESULTS, 18
        .equ    RECORD_ROOM, 20
        .equ    WIDE, 1 << 31

@ Bytes of an entry of the branch table.
        .equ    BRANCH, 12

@ ---- building blocks -------------------------------------------------------------------------------------------------

@ The place of a handler: the state's name and the opcode's.
        .macro  on state, name
.L\state\()_\name\():
        .endm

@ An opcode that does the same as another.
        .macro  same name, as
        .set    .Ln0_\name, .Ln0_\as
        .set    .Ln1_\name, .Ln1_\as
        .set    .Ln2_\name, .Ln2_\as
        same_wide \name, \as
        .endm
        .macro  same_wide name, as
        .set    .Lw0_\name, .Lw0_\as
        .set    .Lw1_\name, .Lw1_\as
        .endm

@ Goes on with the opcode `skip` bytes on.
        .macro  next state, skip=1
        ldrb    t, [code, #\skip]!
        ldr     pc, [\state, t, lsl #2]
        .endm

@ Goes on with a condition, which the flags hold.
        .macro  truth condition, skip=1
        ldrb    t, [code, #\skip]!
        it      \condition
        orr\condition t, t, #256
        add     t, none, t, lsl #2
        ldr     pc, [t, #1024]
        .endm

@ From n2 to n1: the lower operand goes to memory.
        .macro  spill
        str     x, [stack], #4
        mov     x, y
        .endm

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
        strd    x, xh, [stack], #8
on w0, \name
        \body   x, one
        .endm

@ Replaces the top operand: `body` gets its register, and where to go on.
        .macro  unary name, body
on n0, \name
        ldr     x, [stack, #-4]!
on n1, \name
        \body   x, one
on n2, \name
        \body   y, two
        .endm
        .macro  unary_wide name, body
on w0, \name
        ldrd    x, xh, [stack, #-8]!
on w1, \name
        \body   x, one
        .endm

@ The same, from the state n1 alone.
        .macro  unary_rare name, body
on n2, \name
        spill
        b       .Ln1_\name
on n0, \name
        ldr     x, [stack, #-4]!
on n1, \name
        \body   x, one
        unary_wide \name, \body
        .endm

@ Replaces two operands by the result of an instruction (or macro) of three registers.
        .macro  binary name, body
on n0, \name
        ldr     x, [stack, #-4]!
on n1, \name
        ldr     y, [stack, #-4]!
        \body   x, y, x
        next    one
on n2, \name
        \body   x, x, y
        next    one
on w0, \name
        ldrd    x, xh, [stack, #-8]!
on w1, \name
        ldr     y, [stack, #-8]!
        \body   x, y, x
        next    one
        .endm

@ The same where the instruction may leave: with both operands in registers.
        .macro  binary_rare name, body
on n0, \name
        ldr     x, [stack, #-4]!
on n1, \name
        mov     y, x
        ldr     x, [stack, #-4]!
on n2, \name
        \body   x, x, y, .Lleave_n2
        next    one
on w0, \name
        ldrd    x, xh, [stack, #-8]!
on w1, \name
        ldr     y, [stack, #-8]
        \body   x, y, x, .Lleave_w1
        sub     stack, stack, #8
        next    one
        .endm

@ ---- conditions -------------------------------------------------------------------------------------------------------

        .macro  compare name, condition
on n0, \name
        ldr     x, [stack, #-4]!
on n1, \name
        ldr     y, [stack, #-4]!
        cmp     y, x
        truth   \condition
on n2, \name
        cmp     x, y
        truth   \condition
on w0, \name
        ldrd    x, xh, [stack, #-8]!
on w1, \name
        ldr     y, [stack, #-8]!
        cmp     y, x
        truth   \condition
        .endm

        .macro  compare_float name, condition
on n0, \name
        ldr     x, [stack, #-4]!
on n1, \name
        mov     y, x
        ldr     x, [stack, #-4]!
on n2, \name
        vmov    s0, s1, x, y
        vcmp.f32 s0, s1
        vmrs    apsr_nzcv, fpscr
        truth   \condition
on w0, \name
        ldrd    x, xh, [stack, #-8]!
on w1, \name
        ldr     y, [stack, #-8]!
        vmov    s0, s1, y, x
        vcmp.f32 s0, s1
        vmrs    apsr_nzcv, fpscr
        truth   \condition
        .endm

        compare I32_EQ, eq
        compare I32_NE, ne
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
        b       .Ln1_I32_EQZ
on w0, I32_EQZ
        ldrd    x, xh, [stack, #-8]!
        b       .Lw1_I32_EQZ
on n0, I32_EQZ
        ldr     x, [stack, #-4]!
on n1, I32_EQZ
on w1, I32_EQZ
        cmp     x, #0
        truth   eq

@ A condition that is not taken at once becomes an operand.
.Lf_other:
        ldrb    t, [code]
        mov     x, #0
        ldr     pc, [one, t, lsl #2]
.Lt_other:
        ldrb    t, [code]
        mov     x, #1
        ldr     pc, [one, t, lsl #2]

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
        add     entry, entry, #BRANCH
        next    \then, 2
        .endm

@ What states of the same number have in common; `size` is that of a slot, `shift` its logarithm.
        .macro  control state, then
on \state, NOP
        next    \then
on \state, BLOCK
on \state, LOOP
        next    \then, 2
on \state, ELSE
        forward \then
on \state, BR
        take    \state, \then
on \state, END
        ldr     t, [sp, #END]
        cmp     code, t
        beq     .L\state\()_RETURN
        next    \then
@ Out of fuel, which is found out at the head of a loop only: t is the distance of the branch.
.Lspent_\state:
        cmp     t, #0
        bmi     .Lout_\state
        next    \then
        .endm

        control n0, none
        control n1, one
        control n2, two
        control w0, none
        control w1, one

        .macro  conditions width
on \width\()f, I32_EQZ
        cmp     x, x
        truth   eq
on \width\()t, I32_EQZ
        ldrb    t, [code, #1]!
        add     t, none, t, lsl #2
        ldr     pc, [t, #1024]
on \width\()f, BR_IF
on \width\()t, IF
        pass    none
on \width\()f, IF
        forward none
on \width\()t, BR_IF
        take    \width\()0, none
on \width\()1, BR_IF
        cmp     x, #0
        beq     .L\width\()f_BR_IF
        take    \width\()0, none
on \width\()1, IF
        cmp     x, #0
        beq     .L\width\()f_IF
        pass    none
        .endm

        conditions n
        conditions w

@ What has handlers for the states n1 and w1 alone.
        .macro  from1 name
on n2, \name
        spill
        b       .Ln1_\name
on n0, \name
        ldr     x, [stack, #-4]!
        b       .Ln1_\name
on w0, \name
        ldrd    x, xh, [stack, #-8]!
        b       .Lw1_\name
        .endm

        from1   BR_IF
        from1   IF
        from1   BR_TABLE

@ A table's entries follow one another, that of the default last. A table of more than 127 is left.
        .macro  table_of_branches width
on \width\()1, BR_TABLE
        ldrb    t, [code, #1]
        tst     t, #0x80
        bne     .Lleave_\width\()1
        cmp     x, t
        it      lo
        movlo   t, x
        add     t, t, t, lsl #1
        add     entry, entry, t, lsl #2
        take    \width\()0, none
        .endm

        table_of_branches n
        table_of_branches w

@ A branch that drops operands below those it keeps: with all in memory, it moves them down, u words from y on.
.Lmoves_n2:
        spill
.Lmoves_n1:
        str     x, [stack], #4
.Lmoves_n0:
        ldr     t, [entry, #8]
        uxth    u, t
        lsr     t, t, #16
        sub     y, stack, u, lsl #2
        sub     stack, y, t, lsl #2
1:      subs    u, u, #1
        itt     pl
        ldrpl   x, [y], #4
        strpl   x, [stack], #4
        bpl     1b
        b       .Lmoved_n0
.Lmoves_w1:
        strd    x, xh, [stack], #8
.Lmoves_w0:
        ldr     t, [entry, #8]
        uxth    u, t
        lsr     t, t, #16
        sub     y, stack, u, lsl #3
        sub     stack, y, t, lsl #3
1:      subs    u, u, #1
        ittt    pl
        ldrdpl  x, xh, [y]
        strdpl  x, xh, [stack], #8
        addpl   y, y, #8
        bpl     1b
.Lmoved_n0:
        ldrd    t, u, [entry]
        add     entry, entry, u
        sub     entry, entry, #1
        add     code, code, t
        add     bound, bound, t
        cmp     bound, code
        ble     .Lspent_n0
        next    none

@ ---- calls ------------------------------------------------------------------------------------------------------------

@ Calls a function of the same width, whose record says which; others leave. A callee's frame begins at its arguments; its
@ locals are zeroed, and the slot behind them is left free, as the portable loop has it.
        .macro  calls width, shift, size
on \width\()0, CALL
        ldrsb   t, [code, #1]
        ldr     u, [sp, #IMPORTED]
        cmp     t, u
        blt     .Lleave_\width\()0
        ldr     u, [sp, #RECORDS]
        add     t, t, t, lsl #1
        add     u, u, t, lsl #3
        ldrh    t, [u, #RECORD_PARAMS]
        sub     y, stack, t, lsl #\shift
        ldr     t, [u, #RECORD_ROOM]
        .if     \size == 8
        eor     t, t, #WIDE
        .endif
        ldr     x, [sp, #FRAMES]
        add     t, t, y
        cmp     t, x
        bhi     .Lleave_\width\()0
        ldrd    t, stack, [sp, #FUNCTION]
        add     code, code, #1
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
        mov     t, #0
        mov     y, #0
1:      .if     \size == 8
        strd    t, y, [stack], #8
        .else
        str     t, [stack], #4
        .endif
        subs    u, u, #1
        bne     1b
2:      add     stack, stack, #\size
        cmp     bound, code
        ble     .Lout_\width\()0
        next    none

@ Returns from a function with at most one result, to a caller of the same width; others leave.
on \width\()0, RETURN
        ldr     u, [sp, #FUNCTION]
        ldrh    t, [u, #RECORD_RESULTS]
        cmp     t, #1
        bhi     .Lleave_\width\()0
        .if     \size == 8
        itt     eq
        ldrdeq  x, xh, [stack, #-8]!
        .else
        itt     eq
        ldreq   x, [stack, #-4]!
        .endif
        beq     .Lresult_\width
        ldr     u, [sp, #FRAMES]
        ldr     t, [u], #4
        tst     t, #3
        bne     .Lleave_\width\()0
        sub     bound, bound, code
        mov     y, frame
        ldmia   u!, {r3, r4, r5, r6}
        strd    t, stack, [sp, #FUNCTION]
        str     u, [sp, #FRAMES]
        mov     stack, y
        add     bound, bound, code
        next    none
on \width\()1, RETURN
        ldr     u, [sp, #FUNCTION]
        ldrh    t, [u, #RECORD_RESULTS]
        cmp     t, #1
        bne     .Lleave_\width\()1
.Lresult_\width\():
        ldr     u, [sp, #FRAMES]
        ldr     t, [u], #4
        tst     t, #3
        bne     .Lleave_\width\()1
        sub     bound, bound, code
        mov     y, frame
        ldmia   u!, {r3, r4, r5, r6}
        strd    t, stack, [sp, #FUNCTION]
        str     u, [sp, #FRAMES]
        mov     stack, y
        add     bound, bound, code
        next    one
        .endm

on n2, RETURN
        spill
        b       .Ln1_RETURN
on n2, CALL
        spill
on n1, CALL
        str     x, [stack], #4
        calls   n, 2, 4
on w1, CALL
        strd    x, xh, [stack], #8
        calls   w, 3, 8

@ ---- operands, locals, globals, constants ----------------------------------------------------------------------------

on n0, DROP
        sub     stack, stack, #4
on n1, DROP
on w1, DROP
        next    none
on n2, DROP
        next    one
on w0, DROP
        sub     stack, stack, #8
        next    none

on n0, SELECT
        ldr     x, [stack, #-4]!
on n1, SELECT
        mov     y, x
        ldr     x, [stack, #-4]!
on n2, SELECT
        ldr     t, [stack, #-4]!
        cmp     y, #0
        it      ne
        movne   x, t
        next    one
on w0, SELECT
        ldrd    x, xh, [stack, #-8]!
on w1, SELECT
        cmp     x, #0
        beq     .Lwf_SELECT
on wt, SELECT
        ldrd    x, xh, [stack, #-16]!
        next    one
on wf, SELECT
        ldrd    x, xh, [stack, #-8]
        sub     stack, stack, #16
        next    one
on nt, SELECT
        ldr     x, [stack, #-8]!
        next    one
on nf, SELECT
        ldr     x, [stack, #-4]
        sub     stack, stack, #8
        next    one

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
on w0, \name
        ldrd    x, xh, [stack, #-8]!
on w1, \name
        ldrb    t, [code, #1]
        add     t, frame, t, lsl #3
        strd    x, xh, [t]
        next    \then, 2
        .endm
        local_set_wide LOCAL_SET, none
        local_set_wide LOCAL_TEE, one

on n0, LOCAL_SET
        ldr     x, [stack, #-4]!
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

on n0, GLOBAL_SET
        ldr     x, [stack, #-4]!
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
on w0, GLOBAL_SET
        ldrd    x, xh, [stack, #-8]!
on w1, GLOBAL_SET
        ldrb    t, [code, #1]
        ldr     u, [sp, #GLOBALS]
        add     u, u, t, lsl #3
        strd    x, xh, [u]
        next    none, 2

@ Bit 7 says that more follows, bit 6 is the sign.
        .macro  i32_const to, then
        ldrb    t, [code, #1]
        lsls    t, t, #25
        bcs     1f
        asr     \to, t, #25
        next    \then, 2
1:      lsr     t, t, #25
        ldrb    u, [code, #2]
        orr     t, t, u, lsl #7
        tst     u, #0x80
        bne     2f
        sbfx    \to, t, #0, #14
        next    \then, 3
2:      ldrb    u, [code, #3]
        bic     t, t, #0x4000
        orr     t, t, u, lsl #14
        tst     u, #0x80
        bne     3f
        sbfx    \to, t, #0, #21
        next    \then, 4
3:      ldrb    u, [code, #4]
        bic     t, t, #0x200000
        orr     t, t, u, lsl #21
        tst     u, #0x80
        bne     4f
        sbfx    \to, t, #0, #28
        next    \then, 5
4:      ldrb    u, [code, #5]
        bic     t, t, #0x10000000
        orr     \to, t, u, lsl #28
        next    \then, 6
        .endm
        pushes  I32_CONST, i32_const
        pushes_wide I32_CONST, i32_const

@ Five bytes and more are left to the portable loop.
        .macro  i64_const to, then
        ldrb    t, [code, #1]
        lsls    t, t, #25
        bcs     1f
        asr     x, t, #25
        asr     xh, x, #31
        next    \then, 2
1:      lsr     t, t, #25
        ldrb    u, [code, #2]
        orr     t, t, u, lsl #7
        tst     u, #0x80
        bne     2f
        sbfx    x, t, #0, #14
        asr     xh, x, #31
        next    \then, 3
2:      ldrb    u, [code, #3]
        bic     t, t, #0x4000
        orr     t, t, u, lsl #14
        tst     u, #0x80
        bne     3f
        sbfx    x, t, #0, #21
        asr     xh, x, #31
        next    \then, 4
3:      ldrb    u, [code, #4]
        bic     t, t, #0x200000
        orr     t, t, u, lsl #21
        tst     u, #0x80
        bne     .Lleave_w0
        sbfx    x, t, #0, #28
        asr     xh, x, #31
        next    \then, 5
        .endm
        pushes_wide I64_CONST, i64_const

        .macro  f32_const to, then
        ldr     \to, [code, #1]
        next    \then, 5
        .endm
        pushes  F32_CONST, f32_const
        pushes_wide F32_CONST, f32_const
        .macro  f64_const to, then
        ldr     x, [code, #1]
        ldr     xh, [code, #5]
        next    \then, 9
        .endm
        pushes_wide F64_CONST, f64_const

@ ---- memory -----------------------------------------------------------------------------------------------------------

@ How an access moves its `value`, whose address `at` is inside the memory: one register, a pair, or one with the other
@ half made from it; and popping the address that lies below the value in a 64-bit function.
        .macro  single instruction, value, at
        \instruction \value, [memory, \at]
        .endm
        .macro  double instruction, value, at
        add     t, memory, \at
        \instruction x, [t]
        \instruction xh, [t, #4]
        .endm
        .macro  signed instruction, value, at
        single  \instruction, x, \at
        asr     xh, x, #31
        .endm
        .macro  unsigned instruction, value, at
        single  \instruction, x, \at
        mov     xh, #0
        .endm
        .macro  single_pop instruction, value, at
        single  \instruction, x, \at
        sub     stack, stack, #8
        .endm
        .macro  double_pop instruction, value, at
        double  \instruction, x, \at
        sub     stack, stack, #8
        .endm

@ An access at the address in `at`. Nearly always the alignment has one byte, the offset is zero (both together are then at
@ most 3) and the address is not one of the last seven, which the portable loop looks at closely; so may be one that is
@ out of bounds.
        .macro  access how, instruction, value, at, then, leave
        ldrh    t, [code, #1]
        cmp     t, #3
        bhi     1f
        cmp     \at, limit
        bhs     \leave
        \how    \instruction, \value, \at
        next    \then, 3
1:      tst     t, #0x8000
        bne     2f
        sub     u, limit, t, lsr #8
        cmp     \at, u
        bhs     \leave
        add     u, \at, t, lsr #8
        \how    \instruction, \value, u
        next    \then, 3
2:      ldrb    u, [code, #3]
        tst     u, #0x80
        bne     \leave
        ubfx    t, t, #8, #7
        orr     t, t, u, lsl #7
        subs    u, limit, t
        blo     \leave
        cmp     \at, u
        bhs     \leave
        add     u, \at, t
        \how    \instruction, \value, u
        next    \then, 4
        .endm

        .macro  loads_wide name, how, instruction
on w0, \name
        ldrd    x, xh, [stack, #-8]!
on w1, \name
        access  \how, \instruction, x, x, one, .Lleave_w1
        .endm

        .macro  stores_wide name, how, instruction
on w0, \name
        ldrd    x, xh, [stack, #-8]!
on w1, \name
        ldr     y, [stack, #-8]
        access  \how, \instruction, x, y, none, .Lleave_w1
        .endm

        .macro  loads name, instruction
on n0, \name
        ldr     x, [stack, #-4]!
on n1, \name
        access  single, \instruction, x, x, one, .Lleave_n1
on n2, \name
        access  single, \instruction, y, y, two, .Lleave_n2
        loads_wide \name, single, \instruction
        .endm

        .macro  stores name, instruction
on n0, \name
        ldr     x, [stack, #-4]!
on n1, \name
        mov     y, x
        ldr     x, [stack, #-4]!
on n2, \name
        access  single, \instruction, y, x, none, .Lleave_n2
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
        lsl     \to, \a, t
        .endm
        .macro  i32_shr_s to, a, b
        and     t, \b, #31
        asr     \to, \a, t
        .endm
        .macro  i32_shr_u to, a, b
        and     t, \b, #31
        lsr     \to, \a, t
        .endm
        .macro  i32_rotl to, a, b
        rsb     t, \b, #0
        and     t, t, #31
        ror     \to, \a, t
        .endm
        .macro  i32_rotr to, a, b
        and     t, \b, #31
        ror     \to, \a, t
        .endm
@ A divisor of 0 traps, one of -1 may: both are left.
        .macro  divisor b, leave
        add     t, \b, #1
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

        binary  I32_ADD, add
        binary  I32_SUB, sub
        binary  I32_MUL, mul
        binary  I32_AND, and
        binary  I32_OR, orr
        binary  I32_XOR, eor
        binary  I32_SHL, i32_shl
        binary  I32_SHR_S, i32_shr_s
        binary  I32_SHR_U, i32_shr_u
        binary  I32_ROTL, i32_rotl
        binary  I32_ROTR, i32_rotr
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
        unary_rare I32_CLZ, i32_clz
        unary_rare I32_CTZ, i32_ctz
        unary_rare I32_EXTEND8_S, i32_extend8_s
        unary_rare I32_EXTEND16_S, i32_extend16_s
        unary_rare F32_ABS, f32_abs
        unary_rare F32_NEG, f32_neg
        unary_rare I32_REINTERPRET_F32, reinterpret
        unary_rare F32_REINTERPRET_I32, reinterpret

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
        unary_rare F32_SQRT, f32_sqrt
        unary_rare F32_CONVERT_I32_S, f32_convert_i32_s
        unary_rare F32_CONVERT_I32_U, f32_convert_i32_u

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
on n2, \name
        spill
        b       .Ln1_\name
on n0, \name
        ldr     x, [stack, #-4]!
on n1, \name
        float_truncate \instruction, x, one, \saturated, .Lleave_n1
on w0, \name
        ldrd    x, xh, [stack, #-8]!
on w1, \name
        float_truncate \instruction, x, one, \saturated, .Lleave_w1
        .endm
        truncates I32_TRUNC_F32_S, vcvt.s32.f32, end_signed
        truncates I32_TRUNC_F32_U, vcvt.u32.f32, end_unsigned

        .macro  float_binary name, instruction
on n0, \name
        ldr     x, [stack, #-4]!
on n1, \name
        vldmdb  stack!, {s0}
        vmov    s1, x
        \instruction s0, s0, s1
        vmov    x, s0
        next    one
on n2, \name
        vmov    s0, s1, x, y
        \instruction s0, s0, s1
        vmov    x, s0
        next    one
on w0, \name
        ldrd    x, xh, [stack, #-8]!
on w1, \name
        ldr     y, [stack, #-8]!
        vmov    s0, s1, y, x
        \instruction s0, s0, s1
        vmov    x, s0
        next    one
        .endm
        float_binary F32_ADD, vadd.f32
        float_binary F32_SUB, vsub.f32
        float_binary F32_MUL, vmul.f32
        float_binary F32_DIV, vdiv.f32

        .macro  f32_copysign to, a, b, leave
        and     t, \b, #0x80000000
        bic     \to, \a, #0x80000000
        orr     \to, \to, t
        .endm
        binary_rare F32_COPYSIGN, f32_copysign

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
on w0, \name
        ldrd    x, xh, [stack, #-8]!
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
        and     x, t, x
        and     xh, y, xh
        .endm
        .macro  i64_or
        orr     x, t, x
        orr     xh, y, xh
        .endm
        .macro  i64_xor
        eor     x, t, x
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
        lsr     t, t, x
        rsb     u, x, #32
        lsl     u, y, u
        orr     t, t, u
        sub     u, x, #32
        lsr     u, y, u
        lsr     xh, y, x
        orr     x, t, u
        .endm
        .macro  i64_shr_s
        and     x, x, #63
        lsr     t, t, x
        rsb     u, x, #32
        lsl     u, y, u
        orr     t, t, u
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
        lsr     y, y, u
        lsr     u, t, u
        orr     xh, xh, u
        lsl     t, t, x
        orr     x, t, y
        .endm
        .macro  i64_rotr
        rsb     x, x, #0
        i64_rotl
        .endm
        .macro  f64_copysign
        and     u, xh, #0x80000000
        bic     xh, y, #0x80000000
        orr     xh, xh, u
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

on w0, I64_EQZ
        ldrd    x, xh, [stack, #-8]!
on w1, I64_EQZ
        orrs    t, x, xh
        truth   eq

        .macro  compare64 name, body, condition
on w0, \name
        ldrd    x, xh, [stack, #-8]!
on w1, \name
        ldrd    t, y, [stack, #-8]!
        \body
        truth   \condition
        .endm
        .macro  same64
        eor     t, t, x
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

@ Two numbers of sign and magnitude become two's complement, and so compare as integers; both zeros become 0.
        .macro  compare_double name, body, condition
on w0, \name
        ldrd    x, xh, [stack, #-8]!
on w1, \name
        ldrd    t, y, [stack, #-8]
        lsl     u, y, #1
        cmn     u, #0x00200000
        bhs     .Lleave_w1
        lsl     u, xh, #1
        cmn     u, #0x00200000
        bhs     .Lleave_w1
        sub     stack, stack, #8
        mov     u, #0
        cmp     y, #0
        bpl     1f
        bic     y, y, #0x80000000
        rsbs    t, t, #0
        sbc     y, u, y
1:      cmp     xh, #0
        bpl     1f
        bic     xh, xh, #0x80000000
        rsbs    x, x, #0
        sbc     xh, u, xh
1:      \body
        truth   \condition
        .endm
        compare_double F64_EQ, same64, eq
        compare_double F64_NE, same64, ne
        compare_double F64_LT, forwards64, lt
        compare_double F64_GT, backwards64, lt
        compare_double F64_LE, backwards64, ge
        compare_double F64_GE, forwards64, ge

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
        b       .Lleave_w1

@ Rounds a mantissa in `low` and `high` by the half word behind it in `rest`; `top` is sign and exponent less one, to which
@ the mantissa's leading 1 adds, and the carry if rounding gives another.
        .macro  round low, high, rest, top
        lsrs    u, \low, #1
        mvn     u, #0x80000000
        adcs    \rest, \rest, u
        adcs    x, \low, #0
        adc     xh, \high, \top
        .endm

on w0, F64_MUL
        ldrd    x, xh, [stack, #-8]!
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

on w0, F64_SUB
        ldrd    x, xh, [stack, #-8]!
on w1, F64_SUB
        more
        eor     xh, xh, #0x80000000
        b       1f
on w0, F64_ADD
        ldrd    x, xh, [stack, #-8]!
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
        bhs     .Lleave_w1
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
        bgt     .Lleave_w1
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
        bmi     .Lleave_w1
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

@ ---- in and out -------------------------------------------------------------------------------------------------------

.Lleave_n2:
        spill
.Lleave_n1:
        str     x, [stack], #4
.Lleave_n0:
.Lleave_w0:
        sub     code, code, #1
        mov     t, #0
        b       .Lexit
.Lleave_w1:
        strd    x, xh, [stack], #8
        b       .Lleave_w0

.Lout_n2:
        spill
.Lout_n1:
        str     x, [stack], #4
.Lout_n0:
.Lout_w0:
        mov     t, #1
        b       .Lexit
.Lout_w1:
        strd    x, xh, [stack], #8
        b       .Lout_w0

.Lexit:
        ldr     r1, [sp, #CONTEXT]
        ldr     r2, [sp, #FUNCTION]
        str     r2, [r1, #FUNCTION]
        ldr     r2, [sp, #FRAMES]
        str     r2, [r1, #FRAMES]
        add     r1, r1, #KEPT
        stmia   r1, {r3, r4, r5, r6, r11, r12, lr}
        ldr     r2, [sp, #CONTEXT + 4]
        vmsr    fpscr, r2
        add     sp, sp, #RESERVED
        pop     {r4-r11, pc}

        .size   wasmote_engine_handlers, . - wasmote_engine_handlers

@ wasmote_engine_run(&mut Context, wide: bool) -> bool: executes until something is left to the portable loop (false) or the
@ fuel is used up (true).
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
        ldr     none, =wasmote_engine_table_n0
        ldr     one, =wasmote_engine_table_n1
        ldr     two, =wasmote_engine_table_n2
        itt     ne
        ldrne   none, =wasmote_engine_table_w0
        ldrne   one, =wasmote_engine_table_w1
        next    none
        .ltorg
        .size   wasmote_engine_run, . - wasmote_engine_run

@ ---- dispatch tables --------------------------------------------------------------------------------------------------

@ What the portable loop does.
        .irp    name, UNREACHABLE, CALL_INDIRECT, SELECT_T, TABLE_GET, TABLE_SET, MEMORY_SIZE, MEMORY_GROW, I32_POPCNT
        .set    .Lportable_\name, 1
        .endr
        .irp    name, F32_CEIL, F32_FLOOR, F32_TRUNC, F32_NEAREST, REF_NULL, REF_IS_NULL, REF_FUNC, PREFIX
        .set    .Lportable_\name, 1
        .endr
        .irp    name, I64_DIV_S, I64_DIV_U, I64_REM_S, I64_REM_U, I64_POPCNT
        .set    .Lportable_\name, 1
        .endr
        .irp    name, F64_CEIL, F64_FLOOR, F64_TRUNC, F64_NEAREST, F64_SQRT, F64_DIV, F64_MIN, F64_MAX, F32_DEMOTE_F64
        .set    .Lportable_\name, 1
        .endr
        .irp    name, I64_TRUNC_F32_S, I64_TRUNC_F32_U, I64_TRUNC_F64_S, I64_TRUNC_F64_U
        .set    .Lportable_\name, 1
        .endr
        .irp    name, F32_CONVERT_I64_S, F32_CONVERT_I64_U, F64_CONVERT_I64_S, F64_CONVERT_I64_U
        .set    .Lportable_\name, 1
        .endr

        .macro  row table, other, byte, name
        .org    wasmote_engine_table_\table + 4 * \byte
        .ifdef  .L\table\()_\name
        .word   .L\table\()_\name + 1
        .else
        .word   \other + 1
        .endif
        .endm

@ `each_opcode` is made of the table in opcode.rs.
        .macro  table name, other
        .type   wasmote_engine_table_\name, %object
wasmote_engine_table_\name:
        each_opcode row, \name, \other
        .org    wasmote_engine_table_\name + 1024
        .size   wasmote_engine_table_\name, 1024
        .endm

        .section .rodata.wasmote_engine_run, "a", %progbits
        .balign 4
        table   n0, .Lleave_n0
        table   nf, .Lf_other
        table   nt, .Lt_other
        table   n1, .Lleave_n1
        table   n2, .Lleave_n2
        table   w0, .Lleave_w0
        table   wf, .Lf_other
        table   wt, .Lt_other
        table   w1, .Lleave_w1

@ An opcode has handlers here, or is one of those that are left.
        .macro  known table, other, byte, name
        .ifndef .Ln0_\name
        .ifndef .Lw0_\name
        .ifndef .Lportable_\name
        .error  "thumb.s: no handlers for \name, and it is not left to the portable loop"
        .endif
        .endif
        .endif
        .endm
        each_opcode known, 0, 0
        .text

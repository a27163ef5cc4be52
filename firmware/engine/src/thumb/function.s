@ Doubles as functions, for compiled code: the macros of double.s, called as C has it (ARM IHI 0042 §6). The first operand is in r0
@ and r1, the second in r2 and r3, the result in r0 and r1. What the macros leave to others is done by Rust's functions. Each has
@ a section of its own, so that an image which runs no compiled code is without them.

@ Where the macros have the two operands. Compared with the loop, other registers are free: r12, and what is pushed.
        .macro  operands t0, y0, x0, xh0, u0
        .unreq  t
        .unreq  y
        .unreq  x
        .unreq  xh
        .unreq  u
        t       .req \t0
        y       .req \y0
        x       .req \x0
        xh      .req \xh0
        u       .req \u0
        .endm
        .unreq  v
        .unreq  m
        .unreq  n
        v       .req r5
        m       .req r6
        n       .req r7

        .macro  function name
        .section .text.wasmote_engine_\name, "ax", %progbits
        .balign 4
        entry_of \name
        .endm
        .macro  entry_of name
        .global wasmote_engine_\name
        .type   wasmote_engine_\name, %function
        .thumb_func
wasmote_engine_\name:
        .endm

@ How conversions end here.
        .purgem next
        .macro  next state, skip=1
        bx      lr
        .endm

@ What is added and multiplied may be exchanged, so that the result is where it has to be.
        operands r2, r3, r0, r1, r4
        .macro  return
        pop     {{r4, r5, pc}}
        .endm
        function f64_mul
        push    {{r4, r5, lr}}
        f64_multiply return, 9f, function
9:      pop     {{r4, r5, lr}}
        b       {F64_MUL}
        .size   wasmote_engine_f64_mul, . - wasmote_engine_f64_mul

        function f64_sub
        eor     y, y, #0x80000000
        entry_of f64_add
        push    {{r4, r5, lr}}
        f64_add return, 9f, function
@ As a sum, whose operands may have been exchanged.
9:      pop     {{r4, r5, lr}}
        b       {F64_ADD}
        .size   wasmote_engine_f64_add, . - wasmote_engine_f64_add
        .size   wasmote_engine_f64_sub, . - wasmote_engine_f64_sub

        operands r0, r1, r2, r3, r4
        .macro  return_quotient
        mov     r0, x
        mov     r1, xh
        pop     {{r4-r7, pc}}
        .endm
        function f64_div
        push    {{r4-r7, lr}}
        f64_divide return_quotient, 9f
9:      pop     {{r4-r7, lr}}
        b       {F64_DIV}
        .size   wasmote_engine_f64_div, . - wasmote_engine_f64_div

@ Comparisons give 1 or 0 in r0; r1 means nothing.
        operands r0, r1, r2, r3, r12
        .macro  same_double
        cmp     t, x
        it      eq
        cmpeq   y, xh
        .endm
        .macro  less_double
        cmp     t, x
        sbcs    u, y, xh
        .endm
        .macro  more_double
        cmp     x, t
        sbcs    u, xh, y
        .endm
        .macro  compare_doubles name, body, holds, fails, slow:vararg
        function \name
        finite  9f
        f64_order
        \body
        ite     \holds
        mov\holds r0, #1
        mov\fails r0, #0
        bx      lr
9:      b       \slow
        .size   wasmote_engine_\name, . - wasmote_engine_\name
        .endm
        compare_doubles f64_eq, same_double, eq, ne, {F64_EQ}
        compare_doubles f64_ne, same_double, ne, eq, {F64_NE}
        compare_doubles f64_lt, less_double, lt, ge, {F64_LT}
        compare_doubles f64_gt, more_double, lt, ge, {F64_GT}
        compare_doubles f64_le, more_double, ge, lt, {F64_LE}
        compare_doubles f64_ge, less_double, ge, lt, {F64_GE}

@ Conversions: of the operand in r0, or in r0 and r1.
        operands r2, r3, r0, r1, r12
        function f64_from_i32
        f64_convert_i32_s x, one
        .size   wasmote_engine_f64_from_i32, . - wasmote_engine_f64_from_i32
        function f64_from_u32
        f64_convert_i32_u x, one
        .size   wasmote_engine_f64_from_u32, . - wasmote_engine_f64_from_u32
        function f64_from_f32
        f64_promote_f32 x, one, 9f
9:      b       {F64_PROMOTE_F32}
        .size   wasmote_engine_f64_from_f32, . - wasmote_engine_f64_from_f32
        function f32_from_f64
        f32_demote_f64 x, one, 9f
9:      b       {F32_DEMOTE_F64}
        .size   wasmote_engine_f32_from_f64, . - wasmote_engine_f32_from_f64
        .text

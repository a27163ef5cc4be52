//! The instructions of Armv7E-M that compiled code is made of, as their bits (ARM DDI 0403, A7.7). One function for each form;
//! each is compared with LLVM's assembler at the borders of its fields (tests/encode.rs).

/// An instruction: 16 bits, or 32 of which the upper half comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its bits.
    pub bits: u32,
    /// Whether there are 32 of them.
    pub wide: bool,
}

const fn half(bits: u32) -> Code {
    Code { bits, wide: false }
}

const fn word(first: u32, second: u32) -> Code {
    Code {
        bits: first << 16 | second,
        wide: true,
    }
}

/// A general register, 0 to 15.
pub type Reg = u8;
/// A single-precision register, 0 to 31.
pub type Float = u8;

/// A condition, as it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the architecture's names")]
pub enum Cond {
    Eq = 0,
    Ne = 1,
    Hs = 2,
    Lo = 3,
    Mi = 4,
    Pl = 5,
    Vs = 6,
    Vc = 7,
    Hi = 8,
    Ls = 9,
    Ge = 10,
    Lt = 11,
    Gt = 12,
    Le = 13,
}

impl Cond {
    /// What holds where this does not.
    pub const fn not(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Hs => Self::Lo,
            Self::Lo => Self::Hs,
            Self::Mi => Self::Pl,
            Self::Pl => Self::Mi,
            Self::Vs => Self::Vc,
            Self::Vc => Self::Vs,
            Self::Hi => Self::Ls,
            Self::Ls => Self::Hi,
            Self::Ge => Self::Lt,
            Self::Lt => Self::Ge,
            Self::Gt => Self::Le,
            Self::Le => Self::Gt,
        }
    }

    /// What holds with the operands of a comparison exchanged.
    pub const fn exchanged(self) -> Self {
        match self {
            Self::Hs => Self::Ls,
            Self::Lo => Self::Hi,
            Self::Hi => Self::Lo,
            Self::Ls => Self::Hs,
            Self::Ge => Self::Le,
            Self::Lt => Self::Gt,
            Self::Gt => Self::Lt,
            Self::Le => Self::Ge,
            same => same,
        }
    }
}

/// Operations that take a register or an immediate (A5.3.1, A5.3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the architecture's names")]
pub enum Op {
    And = 0,
    Bic = 1,
    Orr = 2,
    Orn = 3,
    Eor = 4,
    Add = 8,
    Adc = 10,
    Sbc = 11,
    Sub = 13,
    Rsb = 14,
}

/// How a register operand is shifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the architecture's names")]
pub enum Shift {
    Lsl = 0,
    Lsr = 1,
    Asr = 2,
    Ror = 3,
}

/// What is loaded or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the architecture's names")]
pub enum Access {
    Ldr,
    Ldrb,
    Ldrh,
    Ldrsb,
    Ldrsh,
    Str,
    Strb,
    Strh,
}

impl Access {
    /// The first half of the 32-bit form with a register offset; the form with 12 bits of offset has another bit.
    const fn first(self) -> u32 {
        match self {
            Self::Strb => 0xf800,
            Self::Ldrb => 0xf810,
            Self::Strh => 0xf820,
            Self::Ldrh => 0xf830,
            Self::Str => 0xf840,
            Self::Ldr => 0xf850,
            Self::Ldrsb => 0xf910,
            Self::Ldrsh => 0xf930,
        }
    }

    const fn narrow(self) -> u32 {
        match self {
            Self::Str => 0x5000,
            Self::Strh => 0x5200,
            Self::Strb => 0x5400,
            Self::Ldrsb => 0x5600,
            Self::Ldr => 0x5800,
            Self::Ldrh => 0x5a00,
            Self::Ldrb => 0x5c00,
            Self::Ldrsh => 0x5e00,
        }
    }

    /// Whether something is stored.
    pub const fn is_store(self) -> bool {
        matches!(self, Self::Str | Self::Strb | Self::Strh)
    }
}

const fn low(reg: Reg) -> bool {
    reg < 8
}

/// The 12 bits of an immediate that data processing can hold (A5.3.2), if it can.
pub const fn immediate(v: u32) -> Option<u32> {
    if v < 256 {
        return Some(v);
    }
    let byte = v & 0xff;
    if v == byte << 16 | byte {
        return Some(1 << 8 | byte);
    }
    let high = v >> 8 & 0xff;
    if v == high << 24 | high << 8 {
        return Some(2 << 8 | high);
    }
    if v == byte << 24 | byte << 16 | byte << 8 | byte {
        return Some(3 << 8 | byte);
    }
    // A byte with its upper bit set, rotated right by 8 to 31.
    let rotation = v.leading_zeros() + 8;
    let eight = v.rotate_left(rotation);
    if eight < 256 && rotation < 32 {
        Some(rotation << 7 | eight & 0x7f)
    } else {
        None
    }
}

const fn spread(imm: u32) -> (u32, u32) {
    ((imm >> 11 & 1) << 10, (imm >> 8 & 7) << 12 | imm & 0xff)
}

/// `mov rd, rm`, no flags.
pub const fn mov(rd: Reg, rm: Reg) -> Code {
    half(0x4600 | (rd as u32 >> 3) << 7 | (rm as u32) << 3 | rd as u32 & 7)
}

/// `movs rd, #imm8` of a low register; in an IT block it sets no flags.
pub const fn movs_imm(rd: Reg, imm: u8) -> Code {
    half(0x2000 | (rd as u32) << 8 | imm as u32)
}

/// `movw rd, #imm16`.
pub const fn movw(rd: Reg, imm: u16) -> Code {
    let (i, rest) = spread(imm as u32 & 0xfff);
    word(0xf240 | i | imm as u32 >> 12, rest | (rd as u32) << 8)
}

/// `movt rd, #imm16`.
pub const fn movt(rd: Reg, imm: u16) -> Code {
    let (i, rest) = spread(imm as u32 & 0xfff);
    word(0xf2c0 | i | imm as u32 >> 12, rest | (rd as u32) << 8)
}

/// `op rd, rn, #imm`, where `imm` is the 12 bits of [`immediate`].
pub const fn op_imm(op: Op, flags: bool, rd: Reg, rn: Reg, imm: u32) -> Code {
    let (i, rest) = spread(imm);
    word(
        0xf000 | i | (op as u32) << 5 | (flags as u32) << 4 | rn as u32,
        rest | (rd as u32) << 8,
    )
}

/// `op rd, rn, rm, shift #amount`.
pub const fn op_reg(
    op: Op,
    flags: bool,
    rd: Reg,
    rn: Reg,
    rm: Reg,
    shift: Shift,
    amount: u8,
) -> Code {
    let amount = amount as u32;
    word(
        0xea00 | (op as u32) << 5 | (flags as u32) << 4 | rn as u32,
        (amount >> 2) << 12
            | (rd as u32) << 8
            | (amount & 3) << 6
            | (shift as u32) << 4
            | rm as u32,
    )
}

/// `mov rd, rm, shift #amount` (amount 1 to 31).
pub const fn shift_imm(shift: Shift, rd: Reg, rm: Reg, amount: u8) -> Code {
    op_reg(Op::Orr, false, rd, 15, rm, shift, amount)
}

/// The form of 16 bits of a shift by an immediate, which sets the flags: left, or right by 1 to 31.
pub const fn shifts_imm_short(shift: Shift, rd: Reg, rm: Reg, amount: u8) -> Code {
    half((shift as u32) << 11 | (amount as u32) << 6 | (rm as u32) << 3 | rd as u32)
}

/// `shift rd, rn, rm`.
pub const fn shift_reg(shift: Shift, rd: Reg, rn: Reg, rm: Reg) -> Code {
    word(
        0xfa00 | (shift as u32) << 5 | rn as u32,
        0xf000 | (rd as u32) << 8 | rm as u32,
    )
}

/// Operations of 16 bits on low registers, `op rdn, rm`, which set the flags (A5.2.2).
pub const fn op_short(op: u32, rdn: Reg, rm: Reg) -> Code {
    half(0x4000 | op << 6 | (rm as u32) << 3 | rdn as u32)
}

/// `adds rd, rn, rm` of low registers.
pub const fn adds_short(rd: Reg, rn: Reg, rm: Reg) -> Code {
    half(0x1800 | (rm as u32) << 6 | (rn as u32) << 3 | rd as u32)
}

/// `subs rd, rn, rm` of low registers.
pub const fn subs_short(rd: Reg, rn: Reg, rm: Reg) -> Code {
    half(0x1a00 | (rm as u32) << 6 | (rn as u32) << 3 | rd as u32)
}

/// `adds rd, rn, #imm3`, or `subs`.
pub const fn adds_imm3(subtract: bool, rd: Reg, rn: Reg, imm: u8) -> Code {
    half(0x1c00 | (subtract as u32) << 9 | (imm as u32) << 6 | (rn as u32) << 3 | rd as u32)
}

/// `adds rdn, #imm8`, or `subs`.
pub const fn adds_imm8(subtract: bool, rdn: Reg, imm: u8) -> Code {
    half(0x3000 | (subtract as u32) << 11 | (rdn as u32) << 8 | imm as u32)
}

/// `add rdn, rm`, no flags, any registers.
pub const fn add_short(rdn: Reg, rm: Reg) -> Code {
    half(0x4400 | (rdn as u32 >> 3) << 7 | (rm as u32) << 3 | rdn as u32 & 7)
}

/// `addw rd, rn, #imm12`, or `subw`; no flags.
pub const fn addw(subtract: bool, rd: Reg, rn: Reg, imm: u16) -> Code {
    let (i, rest) = spread(imm as u32);
    let first = if subtract { 0xf2a0 } else { 0xf200 };
    word(first | i | rn as u32, rest | (rd as u32) << 8)
}

/// `cmp rn, #imm8` of a low register.
pub const fn cmp_imm8(rn: Reg, imm: u8) -> Code {
    half(0x2800 | (rn as u32) << 8 | imm as u32)
}

/// `cmp rn, rm`.
pub const fn cmp(rn: Reg, rm: Reg) -> Code {
    if low(rn) && low(rm) {
        half(0x4280 | (rm as u32) << 3 | rn as u32)
    } else {
        half(0x4500 | (rn as u32 >> 3) << 7 | (rm as u32) << 3 | rn as u32 & 7)
    }
}

/// `mul rd, rn, rm`.
pub const fn mul(rd: Reg, rn: Reg, rm: Reg) -> Code {
    word(0xfb00 | rn as u32, 0xf000 | (rd as u32) << 8 | rm as u32)
}

/// `mla rd, rn, rm, ra`, or `mls`.
pub const fn mla(subtract: bool, rd: Reg, rn: Reg, rm: Reg, ra: Reg) -> Code {
    word(
        0xfb00 | rn as u32,
        (ra as u32) << 12 | (rd as u32) << 8 | (subtract as u32) << 4 | rm as u32,
    )
}

/// `sdiv rd, rn, rm`, or `udiv`.
pub const fn div(signed: bool, rd: Reg, rn: Reg, rm: Reg) -> Code {
    let first = if signed { 0xfb90 } else { 0xfbb0 };
    word(first | rn as u32, 0xf0f0 | (rd as u32) << 8 | rm as u32)
}

/// `umull low, high, rn, rm`.
pub const fn umull(low: Reg, high: Reg, rn: Reg, rm: Reg) -> Code {
    word(
        0xfba0 | rn as u32,
        (low as u32) << 12 | (high as u32) << 8 | rm as u32,
    )
}

/// `clz rd, rm`.
pub const fn clz(rd: Reg, rm: Reg) -> Code {
    word(0xfab0 | rm as u32, 0xf080 | (rd as u32) << 8 | rm as u32)
}

/// `rbit rd, rm`.
pub const fn rbit(rd: Reg, rm: Reg) -> Code {
    word(0xfa90 | rm as u32, 0xf0a0 | (rd as u32) << 8 | rm as u32)
}

/// `sxtb rd, rm`, or `sxth`.
pub const fn extend_signed(byte: bool, rd: Reg, rm: Reg) -> Code {
    if low(rd) && low(rm) {
        half(0xb200 | (byte as u32) << 6 | (rm as u32) << 3 | rd as u32)
    } else {
        let first = if byte { 0xfa4f } else { 0xfa0f };
        word(first, 0xf080 | (rd as u32) << 8 | rm as u32)
    }
}

/// An access at `[rn, #offset]`, offset 0 to 4095; the form of 16 bits where there is one.
pub const fn access_imm(access: Access, rt: Reg, rn: Reg, offset: u32) -> Code {
    if low(rt) && low(rn) {
        let (base, shift) = match access {
            Access::Str => (0x6000, 2),
            Access::Ldr => (0x6800, 2),
            Access::Strb => (0x7000, 0),
            Access::Ldrb => (0x7800, 0),
            Access::Strh => (0x8000, 1),
            Access::Ldrh => (0x8800, 1),
            Access::Ldrsb | Access::Ldrsh => (0, 0),
        };
        if base != 0 && offset & ((1 << shift) - 1) == 0 && offset >> shift < 32 {
            return half(base | (offset >> shift) << 6 | (rn as u32) << 3 | rt as u32);
        }
    }
    if low(rt) && rn == 13 && offset & 3 == 0 && offset < 1024 {
        match access {
            Access::Str => return half(0x9000 | (rt as u32) << 8 | offset >> 2),
            Access::Ldr => return half(0x9800 | (rt as u32) << 8 | offset >> 2),
            _ => {}
        }
    }
    word(
        access.first() | 0x80 | rn as u32,
        (rt as u32) << 12 | offset,
    )
}

/// An access at `[rn, rm]`.
pub const fn access_reg(access: Access, rt: Reg, rn: Reg, rm: Reg) -> Code {
    if low(rt) && low(rn) && low(rm) {
        return half(access.narrow() | (rm as u32) << 6 | (rn as u32) << 3 | rt as u32);
    }
    word(access.first() | rn as u32, (rt as u32) << 12 | rm as u32)
}

/// `stmdb rn!, {registers}`, or `ldmdb rn, {registers}`: a bit for each register.
pub const fn several(load: bool, rn: Reg, registers: u16) -> Code {
    let op = if load { 0xe910 } else { 0xe920 };
    word(op | rn as u32, registers as u32)
}

/// `bx rm`.
pub const fn bx(rm: Reg) -> Code {
    half(0x4700 | (rm as u32) << 3)
}

/// `blx rm`.
pub const fn blx(rm: Reg) -> Code {
    half(0x4780 | (rm as u32) << 3)
}

/// `it cond` for one instruction.
pub const fn it(cond: Cond) -> Code {
    half(0xbf08 | (cond as u32) << 4)
}

/// `ite cond`: one instruction if it holds, one if not.
pub const fn ite(cond: Cond) -> Code {
    half(0xbf00 | (cond as u32) << 4 | (!(cond as u32) & 1) << 3 | 4)
}

/// `itt cond`: two instructions if it holds.
pub const fn itt(cond: Cond) -> Code {
    half(0xbf00 | (cond as u32) << 4 | (cond as u32 & 1) << 3 | 4)
}

/// `tbh [pc, rm, lsl #1]`.
pub const fn tbh(rm: Reg) -> Code {
    word(0xe8df, 0xf010 | rm as u32)
}

/// Whether a branch of 16 bits reaches so far from its own address.
pub const fn reaches_short(distance: i32, conditional: bool) -> bool {
    let from = distance - 4;
    if conditional {
        from >= -256 && from < 256
    } else {
        from >= -2048 && from < 2048
    }
}

/// `b` by so many bytes from its own address; `None` beyond its reach.
pub const fn branch(distance: i32, cond: Option<Cond>, wide: bool) -> Option<Code> {
    let from = distance - 4;
    let bits = from as u32;
    Some(match (cond, wide) {
        (_, false) if !reaches_short(distance, cond.is_some()) => return None,
        (None, false) => half(0xe000 | bits >> 1 & 0x7ff),
        (Some(cond), false) => half(0xd000 | (cond as u32) << 8 | bits >> 1 & 0xff),
        (Some(cond), true) => {
            if from < -(1 << 20) || from >= 1 << 20 {
                return None;
            }
            word(
                0xf000 | (bits >> 20 & 1) << 10 | (cond as u32) << 6 | bits >> 12 & 0x3f,
                0x8000 | (bits >> 18 & 1) << 13 | (bits >> 19 & 1) << 11 | bits >> 1 & 0x7ff,
            )
        }
        (None, true) => return long_branch(distance, 0x9000),
    })
}

const fn long_branch(distance: i32, second: u32) -> Option<Code> {
    let from = distance - 4;
    if from < -(1 << 24) || from >= 1 << 24 {
        return None;
    }
    let bits = from as u32;
    let sign = bits >> 24 & 1;
    let j1 = !(bits >> 23 ^ sign) & 1;
    let j2 = !(bits >> 22 ^ sign) & 1;
    Some(word(
        0xf000 | sign << 10 | bits >> 12 & 0x3ff,
        second | j1 << 13 | j2 << 11 | bits >> 1 & 0x7ff,
    ))
}

/// `bl` by so many bytes from its own address; `None` beyond its reach.
pub const fn call(distance: i32) -> Option<Code> {
    long_branch(distance, 0xd000)
}

const fn d(s: Float) -> u32 {
    (s as u32 & 1) << 22 | (s as u32 >> 1) << 12
}
const fn n(s: Float) -> u32 {
    (s as u32 >> 1) << 16 | (s as u32 & 1) << 7
}
const fn m(s: Float) -> u32 {
    (s as u32 >> 1) | (s as u32 & 1) << 5
}
const fn vfp(bits: u32) -> Code {
    Code { bits, wide: true }
}

/// Arithmetic of two single-precision numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the architecture's names")]
pub enum Arith {
    Add,
    Sub,
    Mul,
    Div,
}

/// `vadd.f32 sd, sn, sm` and the like.
pub const fn varith(op: Arith, sd: Float, sn: Float, sm: Float) -> Code {
    let base = match op {
        Arith::Add => 0xee30_0a00,
        Arith::Sub => 0xee30_0a40,
        Arith::Mul => 0xee20_0a00,
        Arith::Div => 0xee80_0a00,
    };
    vfp(base | d(sd) | n(sn) | m(sm))
}

/// Operations on one single-precision register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the architecture's names")]
pub enum Unary {
    Mov,
    Abs,
    Neg,
    Sqrt,
    /// The comparison of `sd` with `sm`.
    Cmp,
    /// To a signed integer, towards zero.
    ToSigned,
    ToUnsigned,
    FromSigned,
    FromUnsigned,
}

/// `vmov.f32 sd, sm` and the like.
pub const fn vunary(op: Unary, sd: Float, sm: Float) -> Code {
    let base = match op {
        Unary::Mov => 0xeeb0_0a40,
        Unary::Abs => 0xeeb0_0ac0,
        Unary::Neg => 0xeeb1_0a40,
        Unary::Sqrt => 0xeeb1_0ac0,
        Unary::Cmp => 0xeeb4_0a40,
        Unary::ToSigned => 0xeebd_0ac0,
        Unary::ToUnsigned => 0xeebc_0ac0,
        Unary::FromSigned => 0xeeb8_0ac0,
        Unary::FromUnsigned => 0xeeb8_0a40,
    };
    vfp(base | d(sd) | m(sm))
}

/// `vmrs APSR_nzcv, fpscr`.
pub const fn vmrs() -> Code {
    vfp(0xeef1_fa10)
}

/// `vmov sn, rt`.
pub const fn vmov_to(sn: Float, rt: Reg) -> Code {
    vfp(0xee00_0a10 | n(sn) | (rt as u32) << 12)
}

/// `vmov rt, sn`.
pub const fn vmov_from(rt: Reg, sn: Float) -> Code {
    vfp(0xee10_0a10 | n(sn) | (rt as u32) << 12)
}

/// `vmov.f32 sd, #imm8`.
pub const fn vmov_imm(sd: Float, imm: u8) -> Code {
    vfp(0xeeb0_0a00 | d(sd) | (imm as u32 >> 4) << 16 | imm as u32 & 15)
}

/// The 8 bits of `vmov.f32` for this float (A6.4.1), if it has any.
pub const fn float_immediate(bits: u32) -> Option<u8> {
    let exponent = bits >> 25 & 0x3f;
    if bits & 0x7_ffff == 0 && (exponent == 0x20 || exponent == 0x1f) {
        let repeated = if exponent == 0x1f { 1 } else { 0 };
        Some(((bits >> 31) << 7 | repeated << 6 | bits >> 19 & 0x3f) as u8)
    } else {
        None
    }
}

/// `vldr sd, [rn, #offset]`, or `vstr`; offset a multiple of 4 up to 1020.
pub const fn vaccess(load: bool, sd: Float, rn: Reg, offset: u32) -> Code {
    vfp(0xed80_0a00 | (load as u32) << 20 | d(sd) | (rn as u32) << 16 | offset >> 2)
}

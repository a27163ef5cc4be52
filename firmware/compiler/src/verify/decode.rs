//! Instructions as the verifier reads them: only those that compiled code may have (ARM DDI 0403, A5). Written from the
//! architecture's tables and not from encode.rs, whose faults it is to find.

/// What an instruction does, as far as it matters whether it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Computes into a register, or only into flags or floats.
    Computes(Option<u8>),
    /// Computes into two registers.
    Multiplies(u8, u8),
    /// Puts a number into a register; or into its upper half.
    Number(u8, u32),
    Upper(u8, u32),
    Moves(u8, u8),
    /// `rd = rn + number`.
    Adds(u8, u8, u32),
    /// `rd = rn` with these bits cleared.
    Clears(u8, u8, u32),
    /// `rd = rn + rm`.
    Sums(u8, u8, u8),
    /// `rd = rn + (rm << number)`, or without `rn`.
    SumsShifted(u8, u8, u8, u8),
    Shifts(u8, u8, u8),
    /// `rd = rn - rm`.
    Differs(u8, u8, u8),
    ComparesNumber(u8, u32),
    Compares(u8, u8),
    /// `rt` from or to so many bytes at `[rn + offset]`; no register where it is a float.
    Loads(Option<u8>, u8, u32, u32),
    Stores(u8, u32, u32),
    /// The same at `[rn + rm]`.
    LoadsAt(u8, u8, u8, u32),
    StoresAt(u8, u8, u32),
    /// A register at `[sp + offset]`.
    Keeps(u8, u32),
    /// r7, r12 and lr below `[rn]`, which moves down by them.
    StoresRecord(u8),
    /// r7, r12 and pc from below `[rn]`.
    LoadsRecord(u8),
    /// To so many bytes from here, if the condition holds; 14: always.
    Branches(i32, u8),
    Calls(i32),
    Leaves(u8),
    CallsRegister(u8),
    Chooses(u8),
    /// So many instructions that follow are conditional.
    Conditional(u8),
}

impl Does {
    /// Whether a called routine may do it: move locals between frame and registers, and compute what follows from them. Where it
    /// goes back to stays.
    pub(super) fn fetches(self) -> bool {
        match self {
            Self::Loads(to, 7, ..) => to != Some(14),
            Self::Stores(7, ..) | Self::Computes(None) => true,
            Self::Computes(Some(to))
            | Self::Number(to, _)
            | Self::Upper(to, _)
            | Self::Moves(to, _)
            | Self::Adds(to, ..)
            | Self::Clears(to, ..)
            | Self::Sums(to, ..)
            | Self::SumsShifted(to, ..)
            | Self::Shifts(to, ..)
            | Self::Differs(to, ..) => to != 14,
            _ => false,
        }
    }
}

fn bits(v: u32, at: u32, count: u32) -> u32 {
    v >> at & ((1 << count) - 1)
}

fn reg(v: u32, at: u32) -> u8 {
    bits(v, at, 4) as u8
}

fn low(v: u32, at: u32) -> u8 {
    bits(v, at, 3) as u8
}

fn signed(v: u32, width: u32) -> i32 {
    ((v << (32 - width)) as i32) >> (32 - width)
}

/// The number of 12 bits in an instruction (A5.3.2).
fn expanded(v: u32) -> Option<u32> {
    let byte = v & 0xff;
    Some(match v >> 8 & 15 {
        0 => byte,
        1 if byte > 0 => byte << 16 | byte,
        2 if byte > 0 => byte << 24 | byte << 8,
        3 if byte > 0 => byte << 24 | byte << 16 | byte << 8 | byte,
        1..=3 => return None,
        _ => (0x80 | v & 0x7f).rotate_right(v >> 7),
    })
}

/// Whether an instruction has 32 bits (A5.1).
pub(super) fn is_wide(first: u16) -> bool {
    first >> 11 >= 0b11101
}

/// An instruction of 16 bits.
pub(super) fn narrow(half: u16) -> Option<Does> {
    let h = u32::from(half);
    Some(match h >> 11 {
        0 if bits(h, 6, 5) > 0 => Does::Shifts(low(h, 0), low(h, 3), bits(h, 6, 5) as u8),
        0..=2 => Does::Computes(Some(low(h, 0))),
        3 => {
            let (rd, rn, m) = (low(h, 0), low(h, 3), low(h, 6));
            match bits(h, 9, 2) {
                0 => Does::Sums(rd, rn, m),
                1 => Does::Differs(rd, rn, m),
                2 => Does::Adds(rd, rn, m.into()),
                _ => Does::Adds(rd, rn, 0_u32.wrapping_sub(m.into())),
            }
        }
        4 => Does::Number(low(h, 8), h & 0xff),
        5 => Does::ComparesNumber(low(h, 8), h & 0xff),
        6 => Does::Adds(low(h, 8), low(h, 8), h & 0xff),
        7 => Does::Adds(low(h, 8), low(h, 8), 0_u32.wrapping_sub(h & 0xff)),
        8 => special(h)?,
        10 | 11 => {
            let (rt, rn, rm) = (low(h, 0), low(h, 3), low(h, 6));
            match bits(h, 9, 3) {
                0 => Does::StoresAt(rn, rm, 4),
                1 => Does::StoresAt(rn, rm, 2),
                2 => Does::StoresAt(rn, rm, 1),
                3 | 6 => Does::LoadsAt(rt, rn, rm, 1),
                4 => Does::LoadsAt(rt, rn, rm, 4),
                _ => Does::LoadsAt(rt, rn, rm, 2),
            }
        }
        12 => Does::Stores(low(h, 3), bits(h, 6, 5) * 4, 4),
        13 => Does::Loads(Some(low(h, 0)), low(h, 3), bits(h, 6, 5) * 4, 4),
        14 => Does::Stores(low(h, 3), bits(h, 6, 5), 1),
        15 => Does::Loads(Some(low(h, 0)), low(h, 3), bits(h, 6, 5), 1),
        16 => Does::Stores(low(h, 3), bits(h, 6, 5) * 2, 2),
        17 => Does::Loads(Some(low(h, 0)), low(h, 3), bits(h, 6, 5) * 2, 2),
        18 => Does::Keeps(low(h, 8), (h & 0xff) * 4),
        19 => Does::Loads(Some(low(h, 8)), 13, (h & 0xff) * 4, 4),
        22 | 23 => match h {
            0xbf00 => Does::Computes(None),
            _ if h & 0xff00 == 0xbf00 => Does::Conditional(match h & 15 {
                8 => 1,
                4 | 12 => 2,
                _ => return None,
            }),
            // sxth, sxtb.
            _ if h & 0xff80 == 0xb200 => Does::Computes(Some(low(h, 0))),
            _ => return None,
        },
        26 | 27 => match bits(h, 8, 4) {
            cond @ 0..=13 => Does::Branches(signed(h & 0xff, 8) * 2 + 4, cond as u8),
            _ => return None,
        },
        28 => Does::Branches(signed(h & 0x7ff, 11) * 2 + 4, 14),
        _ => return None,
    })
}

fn special(h: u32) -> Option<Does> {
    let high = (bits(h, 7, 1) << 3 | bits(h, 0, 3)) as u8;
    let rm = reg(h, 3);
    Some(match h >> 8 {
        0x44 => Does::Sums(high, high, rm),
        0x45 => Does::Compares(high, rm),
        0x46 => Does::Moves(high, rm),
        0x47 if h & 7 != 0 => return None,
        0x47 if h & 0x80 == 0 => Does::Leaves(rm),
        0x47 => Does::CallsRegister(rm),
        _ => match bits(h, 6, 4) {
            // cmp; and, eor, orr.
            10 => Does::Compares(low(h, 0), low(h, 3)),
            0 | 1 | 12 => Does::Computes(Some(low(h, 0))),
            _ => return None,
        },
    })
}

/// An instruction of 32 bits.
pub(super) fn wide(first: u16, second: u16) -> Option<Does> {
    let (a, b) = (u32::from(first), u32::from(second));
    match a >> 9 {
        // 1110 100
        0b111_0100 => record_or_table(a, b),
        0b111_0101 => shifted(a, b),
        0b111_0110 | 0b111_0111 => float(a, b),
        0b111_1000..=0b111_1011 if b >> 15 == 1 => branch(a, b),
        0b111_1000..=0b111_1011 => number(a, b),
        0b111_1100 => access(a, b),
        0b111_1101 => register(a, b),
        _ => None,
    }
}

fn record_or_table(a: u32, b: u32) -> Option<Does> {
    if a == 0xe8df && b & 0xfff0 == 0xf010 {
        return Some(Does::Chooses(reg(b, 0)));
    }
    // stmdb with its base changed, and ldmdb without.
    match (a & 0xfff0, b) {
        (0xe920, 0x5080) => Some(Does::StoresRecord(reg(a, 0))),
        (0xe910, 0x9080) => Some(Does::LoadsRecord(reg(a, 0))),
        _ => None,
    }
}

/// Data processing with a register that may be shifted.
fn shifted(a: u32, b: u32) -> Option<Does> {
    if b & 0x8000 != 0 {
        return None;
    }
    let (rn, rd, rm) = (reg(a, 0), reg(b, 8), reg(b, 0));
    let plain = b & 0x70f0 == 0;
    let amount = (bits(b, 12, 3) << 2 | bits(b, 6, 2)) as u8;
    let to = (rd != 15).then_some(rd);
    Some(match (bits(a, 5, 4), bits(a, 4, 1)) {
        (8, 0) if plain => Does::Sums(rd, rn, rm),
        // lsl; a shift by 0 is a move.
        (8, 0) if b & 0x30 == 0 && rd != 15 => Does::SumsShifted(rd, rn, rm, amount),
        (2, 0) if b & 0x30 == 0 && rn == 15 && amount > 0 => Does::Shifts(rd, rm, amount),
        (13, 0) if plain => Does::Differs(rd, rn, rm),
        (13, 1) if plain && rd != 15 => Does::Differs(rd, rn, rm),
        // and, bic, orr, orn, eor, add, adc, sbc, sub, rsb.
        (0..=4 | 8 | 10 | 11 | 13 | 14, _) => Does::Computes(to),
        _ => return None,
    })
}

/// Data processing with a number.
fn number(a: u32, b: u32) -> Option<Does> {
    let (rn, rd) = (reg(a, 0), reg(b, 8));
    let twelve = bits(a, 10, 1) << 11 | bits(b, 12, 3) << 8 | b & 0xff;
    if a & 0x200 != 0 {
        let sixteen = u32::from(rn) << 12 | twelve;
        return Some(match bits(a, 4, 5) {
            0b00000 => Does::Adds(rd, rn, twelve),
            0b01010 => Does::Adds(rd, rn, 0_u32.wrapping_sub(twelve)),
            0b00100 => Does::Number(rd, sixteen),
            0b01100 => Does::Upper(rd, sixteen),
            _ => return None,
        });
    }
    let v = expanded(twelve)?;
    let to = (rd != 15).then_some(rd);
    Some(match (bits(a, 5, 4), bits(a, 4, 1), rn, rd) {
        (2, 0, 15, _) => Does::Number(rd, v),
        (3, 0, 15, _) => Does::Number(rd, !v),
        (13, 1, _, 15) => Does::ComparesNumber(rn, v),
        (8, 1, _, 15) => Does::ComparesNumber(rn, 0_u32.wrapping_sub(v)),
        (8, _, _, _) => Does::Adds(rd, rn, v),
        (13, _, _, _) => Does::Adds(rd, rn, 0_u32.wrapping_sub(v)),
        (1, 0, _, 0..=14) => Does::Clears(rd, rn, v),
        (0..=4 | 14, 0, _, _) => Does::Computes(to),
        _ => return None,
    })
}

fn branch(a: u32, b: u32) -> Option<Does> {
    let (j1, j2, sign) = (bits(b, 13, 1), bits(b, 11, 1), bits(a, 10, 1));
    if bits(b, 12, 1) == 0 && bits(b, 14, 1) == 0 {
        let cond = bits(a, 6, 4);
        let to = sign << 20 | j2 << 19 | j1 << 18 | bits(a, 0, 6) << 12 | bits(b, 0, 11) << 1;
        return (cond < 14).then(|| Does::Branches(signed(to, 21) + 4, cond as u8));
    }
    let (i1, i2) = (!(j1 ^ sign) & 1, !(j2 ^ sign) & 1);
    let to = sign << 24 | i1 << 23 | i2 << 22 | bits(a, 0, 10) << 12 | bits(b, 0, 11) << 1;
    let to = signed(to, 25) + 4;
    match (bits(b, 14, 1), bits(b, 12, 1)) {
        (0, 1) => Some(Does::Branches(to, 14)),
        (1, 1) => Some(Does::Calls(to)),
        _ => None,
    }
}

/// Loads and stores of one register.
fn access(a: u32, b: u32) -> Option<Does> {
    let (rn, rt) = (reg(a, 0), reg(b, 12));
    let (sign, size, load) = (bits(a, 8, 1), 1 << bits(a, 5, 2), bits(a, 4, 1) == 1);
    if rn == 15 || size > 4 || sign == 1 && (!load || size == 4) {
        return None;
    }
    // Only into the program counter goes what the context has.
    if rt == 15 && !(load && size == 4 && rn == 13) {
        return None;
    }
    if bits(a, 7, 1) == 1 {
        let offset = b & 0xfff;
        return Some(if load {
            Does::Loads(Some(rt), rn, offset, size)
        } else {
            Does::Stores(rn, offset, size)
        });
    }
    if b & 0xff0 != 0 {
        return None;
    }
    let rm = reg(b, 0);
    Some(if load {
        Does::LoadsAt(rt, rn, rm, size)
    } else {
        Does::StoresAt(rn, rm, size)
    })
}

/// Data processing of registers: shifts, extensions, multiplications, divisions.
fn register(a: u32, b: u32) -> Option<Does> {
    let rd = reg(b, 8);
    Some(match a >> 4 & 0xff {
        0xa0 | 0xa2 | 0xa4 | 0xa6 if b & 0xf0f0 == 0xf000 => Does::Computes(Some(rd)),
        0xa0 | 0xa4 if a & 15 == 15 && b & 0xf0f0 == 0xf080 => Does::Computes(Some(rd)),
        0xa9 if b & 0xf0f0 == 0xf0a0 => Does::Computes(Some(rd)),
        0xab if b & 0xf0f0 == 0xf080 => Does::Computes(Some(rd)),
        0xb0 if b & 0xe0 == 0 => Does::Computes(Some(rd)),
        0xb9 | 0xbb if b & 0xf0f0 == 0xf0f0 => Does::Computes(Some(rd)),
        0xba if b & 0xf0 == 0 => Does::Multiplies(reg(b, 12), rd),
        _ => return None,
    })
}

/// Floats of single precision.
fn float(a: u32, b: u32) -> Option<Does> {
    if b & 0xf00 != 0xa00 {
        return None;
    }
    let rt = reg(b, 12);
    Some(match a >> 4 & 0xff {
        // vstr and vldr, the offset added.
        0xd8 | 0xdc => Does::Stores(reg(a, 0), (b & 0xff) * 4, 4),
        0xd9 | 0xdd => Does::Loads(None, reg(a, 0), (b & 0xff) * 4, 4),
        0xe0 if b & 0x7f == 0x10 => Does::Computes(None),
        0xe1 if b & 0x7f == 0x10 => Does::Computes(Some(rt)),
        0xef if a & 15 == 1 && b == 0xfa10 => Does::Computes(None),
        // vmul, vadd and vsub, vdiv; vmov, vabs, vneg, vsqrt, vcmp, vcvt.
        0xe2 | 0xe6 | 0xe3 | 0xe7 | 0xe8 | 0xec | 0xeb | 0xef if b & 0x10 == 0 => {
            Does::Computes(None)
        }
        _ => return None,
    })
}

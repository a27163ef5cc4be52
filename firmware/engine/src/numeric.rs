//! Arithmetic where Rust's own differs from WebAssembly's: floats with canonical NaNs, and conversions that trap. Floats of both
//! formats are taken as bits and go through the same few functions, which take less flash than one for each.
use crate::trap::TrapKind;
use core::cmp::Ordering;

/// The canonical NaN instead of any other.
#[inline(always)]
pub fn canon32(v: f32) -> u32 {
    if v.is_nan() { 0x7fc0_0000 } else { v.to_bits() }
}

/// The canonical NaN instead of any other.
#[inline(always)]
pub fn canon64(v: f64) -> u64 {
    if v.is_nan() {
        0x7ff8_0000_0000_0000
    } else {
        v.to_bits()
    }
}

/// A binary format of IEEE 754: bits of fraction, above them the exponent, above that the sign.
pub struct Format {
    /// How many bits of fraction.
    fraction: u32,
    /// The exponent of 1.
    bias: i32,
    /// The bit of the sign.
    sign: u64,
    infinity: u64,
    /// The canonical one.
    nan: u64,
    one: u64,
}

impl Format {
    const fn new(fraction: u32, exponent: u32) -> Self {
        let infinity = ((1 << exponent) - 1) << fraction;
        Self {
            fraction,
            bias: (1 << (exponent - 1)) - 1,
            sign: 1 << (fraction + exponent),
            infinity,
            nan: infinity | 1 << (fraction - 1),
            one: infinity >> 1 & infinity,
        }
    }
}

/// f32.
pub static SINGLE: Format = Format::new(23, 8);
/// f64.
pub static DOUBLE: Format = Format::new(52, 11);

/// Which integral number a float becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Towards positive infinity.
    Up,
    /// Towards negative infinity.
    Down,
    /// The fraction is cut off.
    TowardsZero,
    /// To the nearest, of two the even one.
    Nearest,
}

/// What a float is converted to.
#[derive(Clone, Copy)]
pub(crate) struct Integer {
    signed: bool,
    bits: u32,
}

pub(crate) const I32: Integer = Integer {
    signed: true,
    bits: 32,
};
pub(crate) const U32: Integer = Integer {
    signed: false,
    bits: 32,
};
pub(crate) const I64: Integer = Integer {
    signed: true,
    bits: 64,
};
pub(crate) const U64: Integer = Integer {
    signed: false,
    bits: 64,
};

impl Format {
    fn is_nan(&self, a: u64) -> bool {
        a & !self.sign > self.infinity
    }

    /// The power of two that its leading bit stands for; less than 0 also where there is no such bit.
    fn power(&self, a: u64) -> i32 {
        ((a & self.infinity) >> self.fraction) as i32 - self.bias
    }

    /// An integral number as a float (ceil, floor, trunc, nearest).
    #[inline(never)]
    pub fn integral(&self, a: u64, rounding: Rounding) -> u64 {
        let power = self.power(a);
        if power >= self.fraction as i32 {
            return if self.is_nan(a) { self.nan } else { a };
        }
        let sign = a & self.sign;
        // Below 1 the whole part is a zero, and what is added to it is not a bit of the format but all of 1.
        let (whole, one, half) = if power < 0 {
            (sign, self.one, self.one - (1 << self.fraction))
        } else {
            let one = 1 << (self.fraction - power as u32);
            (a & !(one - 1), one, one >> 1)
        };
        let rest = a - whole;
        let away = match rounding {
            Rounding::Up => rest != 0 && sign == 0,
            Rounding::Down => rest != 0 && sign != 0,
            Rounding::TowardsZero => false,
            // At a power of 0 this is the lowest bit of the exponent, and set.
            Rounding::Nearest => rest > half || rest == half && whole & one != 0,
        };
        if away { whole + one } else { whole }
    }

    /// An integer, towards zero: the nearest there is, in the lowest bits, and why a conversion that does not saturate traps.
    #[inline(never)]
    pub(crate) fn truncate(&self, a: u64, to: Integer) -> (u64, Option<TrapKind>) {
        if self.is_nan(a) {
            return (0, Some(TrapKind::InvalidConversion));
        }
        let power = self.power(a);
        if power < 0 {
            return (0, None);
        }
        let negative = a & self.sign != 0;
        let most = match (to.signed, negative) {
            (true, _) => (1_u64 << (to.bits - 1)) - u64::from(!negative),
            (false, false) => u64::MAX >> (64 - to.bits),
            (false, true) => 0,
        };
        // The leading bit, which is not kept, and the fraction behind it.
        let digits = (a << 1 | 1 << (self.fraction + 1)) << (62 - self.fraction);
        let size = if power > 63 {
            None
        } else {
            Some(digits >> (63 - power)).filter(|size| *size <= most)
        };
        let signed = |size: u64| if negative { size.wrapping_neg() } else { size };
        match size {
            Some(size) => (signed(size), None),
            None => (signed(most), Some(TrapKind::IntegerOverflow)),
        }
    }

    /// The lesser number, or the greater: -0 is less than +0; a NaN if either is.
    #[inline(never)]
    pub fn choose(&self, a: u64, b: u64, which: Ordering) -> u64 {
        if self.is_nan(a) || self.is_nan(b) {
            return self.nan;
        }
        // Sign and magnitude as a number that grows with it.
        let key = |v: u64| {
            if v & self.sign == 0 {
                v | self.sign
            } else {
                self.sign - 1 - (v & !self.sign)
            }
        };
        if key(a).cmp(&key(b)) == which { a } else { b }
    }
}

/// A conversion of a float to an integer, by its number behind the prefix 0xfc: what it saturates to, and why the one that does
/// not saturate traps. The bits above those of a single mean nothing.
#[inline(never)]
pub fn truncate(number: u8, bits: u64) -> (u64, Option<TrapKind>) {
    let signed = number & 1 == 0;
    let to = match number & 4 {
        0 if signed => I32,
        0 => U32,
        _ if signed => I64,
        _ => U64,
    };
    if number & 2 == 0 {
        SINGLE.truncate(bits & 0xffff_ffff, to)
    } else {
        DOUBLE.truncate(bits, to)
    }
}

/// The square root of a single, by the means that the target has.
#[inline(always)]
pub(crate) fn sqrt32(a: u32, sqrt: impl Fn(f32) -> f32) -> u32 {
    canon32(sqrt(f32::from_bits(a)))
}

/// The square root of a double, NaNs made canonical.
pub fn sqrt64(a: f64) -> u64 {
    canon64(libm::sqrt(a))
}

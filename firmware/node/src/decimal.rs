//! Floats as people read them: the shortest decimal that is read back as the same float, as the core library's `{}` writes it. In its
//! place, since its two algorithms, each for any precision too, and their tables are twelve kilobytes of flash.
//!
//! This is the one of Steele and White (How to print floating-point numbers accurately, 1990) in whole numbers: value and half a gap to
//! the next float as fractions of one denominator, of which digits are taken until what is left is less than that half.
use core::cmp::Ordering;
use core::fmt;

/// Words of the greatest of these numbers: of the least f64, 2 to the power of -1074, in which a digit has room above.
const WORDS: usize = 36;
/// The most digits that a shortest decimal has, and a point between them.
const DIGITS: usize = 17;
type Text = heapless::String<{ DIGITS + 1 }>;

/// A float to be shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    negative: bool,
    /// The value is `mantissa` times two to the power of `exponent`.
    mantissa: u64,
    exponent: i32,
    /// The next float below is half as far away as the next above.
    closer: bool,
    /// `inf` or `NaN`.
    odd: Option<&'static str>,
}

impl Decimal {
    /// Of these bits, of which so many are fraction and exponent.
    fn new(bits: u64, fraction_bits: u32, exponent_bits: u32) -> Self {
        let fraction = bits & ((1 << fraction_bits) - 1);
        let most = (1 << exponent_bits) - 1;
        let biased = (bits >> fraction_bits) as i32 & most;
        let normal = u64::from(biased > 0) << fraction_bits;
        let odd = if fraction > 0 { "NaN" } else { "inf" };
        Self {
            negative: bits >> (fraction_bits + exponent_bits) & 1 != 0,
            mantissa: fraction | normal,
            exponent: biased.max(1) - most / 2 - fraction_bits as i32,
            closer: fraction == 0 && biased > 1,
            odd: (biased == most).then_some(odd),
        }
    }

    /// The digits, with the point where it is between two of them, and how many of them are in front of it.
    fn digits(&self) -> (Text, i32) {
        let (up, down) = (self.exponent.max(0), (-self.exponent).max(0));
        let twice = self.mantissa << 1;
        // Nearly all: with two factors of ten, and the sum of two, everything stays below 2 to the power of 64.
        if up == 0 && down < 56 {
            return self.divide(twice, 2 << down, 1);
        }
        self.long(twice, up, down)
    }

    /// The same of what is very great or very small: apart, as it takes much of the stack.
    #[inline(never)]
    fn long(&self, twice: u64, up: i32, down: i32) -> (Text, i32) {
        let words = ((up + down) as usize + 64) / 32 + 1;
        let long = |value, by| Long::new(value, by, words);
        self.divide(long(twice, up), long(2, down), long(1, up))
    }

    /// The same, of value and half a gap as fractions of a unit.
    fn divide<N: Number>(&self, mut value: N, mut unit: N, mut half: N) -> (Text, i32) {
        // Of log10 of the value, which has one more digit in front of the point; or two.
        let bits = 63 - self.mantissa.leading_zeros() as i32;
        let mut point = (((self.exponent + bits) * 78_913) >> 18) + 1;
        (0..point).for_each(|_| unit.tenfold());
        for _ in point..0 {
            value.tenfold();
            half.tenfold();
        }
        // An end of the interval belongs to it where the float is the even one of two.
        let even = self.mantissa & 1 == 0;
        let within = |order: Ordering| order.is_lt() || even && order.is_eq();
        let reaches = |value: &N, half: &N, unit: &N| within(value.plus(half, unit).reverse());
        while reaches(&value, &half, &unit) {
            unit.tenfold();
            point += 1;
        }
        let mut text = Text::new();
        for count in 0..DIGITS as i32 {
            value.tenfold();
            half.tenfold();
            let mut digit = b'0';
            while value.take(&unit) {
                digit += 1;
            }
            let order = if self.closer {
                value.plus(&value, &half)
            } else {
                value.cmp(&half)
            };
            let (low, high) = (within(order), reaches(&value, &half, &unit));
            let nearer = !low || value.plus(&value, &unit).is_ge();
            digit += u8::from(high && nearer);
            if count == point && count > 0 {
                let _ = text.push('.');
            }
            let _ = text.push(char::from(digit));
            if low || high {
                break;
            }
        }
        (text, point)
    }
}

impl From<f32> for Decimal {
    fn from(value: f32) -> Self {
        Self::new(value.to_bits().into(), 23, 8)
    }
}

impl From<f64> for Decimal {
    fn from(value: f64) -> Self {
        Self::new(value.to_bits(), 52, 11)
    }
}

impl fmt::Display for Decimal {
    #[inline(never)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(odd) = self.odd {
            let signed = self.negative && odd == "inf";
            return f.write_str(if signed { "-inf" } else { odd });
        }
        if self.negative {
            f.write_str("-")?;
        }
        if self.mantissa == 0 {
            return f.write_str("0");
        }
        let (text, point) = self.digits();
        let zeros = |f: &mut fmt::Formatter<'_>, from, to| {
            (from..to).try_for_each(|_: i32| f.write_str("0"))
        };
        if point <= 0 {
            f.write_str("0.")?;
            zeros(f, point, 0)?;
        }
        f.write_str(&text)?;
        zeros(f, text.len() as i32, point)
    }
}

/// A whole number, which is long where a float is very great or very small.
trait Number: Ord {
    fn tenfold(&mut self);
    /// Subtracts another that is no greater; whether it is none.
    fn take(&mut self, other: &Self) -> bool;
    /// How the sum of this and another compares with a third.
    fn plus(&self, more: &Self, other: &Self) -> Ordering;
}

impl Number for u64 {
    fn tenfold(&mut self) {
        *self = self.wrapping_mul(10);
    }

    fn take(&mut self, other: &Self) -> bool {
        let left = self.checked_sub(*other);
        *self = left.unwrap_or(*self);
        left.is_some()
    }

    fn plus(&self, more: &Self, other: &Self) -> Ordering {
        self.wrapping_add(*more).cmp(other)
    }
}

/// Words, the lowest first, of which so many are used: as many in all numbers of one division.
#[derive(PartialEq, Eq)]
struct Long {
    words: [u32; WORDS],
    used: usize,
}

impl Long {
    /// A value times two to the power of `by`.
    fn new(value: u64, by: i32, used: usize) -> Self {
        let mut words = [0; WORDS];
        for (word, at) in words.iter_mut().zip((0..).step_by(32)) {
            let shift: i32 = at - by;
            *word = match shift {
                0..64 => value >> shift,
                -31..0 => value << -shift,
                _ => 0,
            } as u32;
        }
        Self { words, used }
    }
}

impl Number for Long {
    #[inline(never)]
    fn tenfold(&mut self) {
        let mut carry = 0;
        for word in self.words.iter_mut().take(self.used) {
            let product = u64::from(*word) * 10 + carry;
            *word = product as u32;
            carry = product >> 32;
        }
    }

    #[inline(never)]
    fn take(&mut self, other: &Self) -> bool {
        if (*self).cmp(other).is_lt() {
            return false;
        }
        let mut borrow = 0;
        for (word, other) in self.words.iter_mut().zip(&other.words).take(self.used) {
            let left = i64::from(*word) - i64::from(*other) + borrow;
            *word = left as u32;
            borrow = left >> 32;
        }
        true
    }

    #[inline(never)]
    fn plus(&self, more: &Self, other: &Self) -> Ordering {
        let (mut carry, mut rest) = (0, 0);
        let all = self.words.iter().zip(&more.words).zip(&other.words);
        for ((one, more), other) in all.take(self.used) {
            let left = i64::from(*one) + i64::from(*more) - i64::from(*other) + carry;
            rest |= left as u32;
            carry = left >> 32;
        }
        carry.cmp(&0).then(rest.cmp(&0))
    }
}

impl Ord for Long {
    fn cmp(&self, other: &Self) -> Ordering {
        self.words.iter().rev().cmp(other.words.iter().rev())
    }
}

impl PartialOrd for Long {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    /// Bits that look random, of which each exponent is as likely as another.
    fn random(seed: &mut u64) -> u64 {
        *seed = seed
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let high = *seed >> 32;
        *seed = seed
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        high << 32 | *seed >> 32
    }

    fn one(value: f32) {
        assert_eq!(
            format!("{}", Decimal::from(value)),
            format!("{value}"),
            "{:x}",
            value.to_bits()
        );
    }

    fn two(value: f64) {
        assert_eq!(
            format!("{}", Decimal::from(value)),
            format!("{value}"),
            "{:x}",
            value.to_bits()
        );
    }

    #[test]
    fn floats_are_written_as_the_core_library_writes_them() {
        let mut seed = 1;
        for _ in 0..200_000 {
            one(f32::from_bits(random(&mut seed) as u32));
            two(f64::from_bits(random(&mut seed)));
            // What sensors and clocks have: few digits.
            let (digits, places) = (random(&mut seed) % 100_000_000, random(&mut seed) % 8);
            let value = digits as f64 / 10_f64.powi(places as i32);
            one(value as f32);
            two(value);
            two((random(&mut seed) % 253_402_300_800_000) as f64 / 1000.0);
        }
    }

    #[test]
    fn so_are_ends_halves_and_what_is_no_number() {
        let odd = [
            f32::NAN,
            -f32::NAN,
            f32::INFINITY,
            -f32::INFINITY,
            0.0,
            -0.0,
        ];
        for value in odd {
            one(value);
            two(value.into());
        }
        // Powers of two, whose gaps differ, with their neighbours, and each bit of the least.
        for exponent in 0..=255_u32 {
            for near in [-2_i32, -1, 0, 1, 2, 3] {
                one(f32::from_bits((exponent << 23).wrapping_add_signed(near)));
            }
        }
        for exponent in 0..=2047_u64 {
            for near in [-2_i64, -1, 0, 1, 2, 3] {
                two(f64::from_bits((exponent << 52).wrapping_add_signed(near)));
            }
        }
        (0..52).for_each(|bit| two(f64::from_bits(1 << bit)));
        // Powers of ten and their neighbours.
        for power in -345..310 {
            let ten = format!("1e{power}").parse::<f64>().map_or(0, f64::to_bits);
            (0..3).for_each(|near| two(f64::from_bits(ten.saturating_add(near).saturating_sub(1))));
            let ten = format!("1e{power}").parse::<f32>().map_or(0, f32::to_bits);
            (0..3).for_each(|near| one(f32::from_bits(ten.saturating_add(near).saturating_sub(1))));
        }
        // Whole numbers around where floats stop to have all of them.
        for near in 0..1000 {
            one((16_777_216 - 500 + near) as f32);
            two((9_007_199_254_740_992_u64 - 500 + near) as f64);
        }
    }
}

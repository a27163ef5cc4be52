//! Numbers as people write them: `-12.5`, `3e-2`. In place of the core library's parser, whose table of powers for all of f64 is
//! ten kilobytes of flash: the value of a parameter is a float of 32 bits.
use minicbor::data::Type;

/// The powers of ten that a float of 64 bits holds exactly.
const POWERS: i32 = 22;
/// Decimal digits that fit 64 bits whatever they are; those behind them are below the last bit of the result.
const DIGITS: usize = 19;

/// Takes digits off the front: as many as fit into the number, and how many there were and how many of them did not.
fn digits(text: &[u8], number: &mut u64, used: &mut usize) -> (usize, i32) {
    let (mut length, mut left_out) = (0, 0);
    for digit in text.iter().take_while(|b| b.is_ascii_digit()) {
        length += 1;
        if *used < DIGITS {
            *number = *number * 10 + u64::from(digit - b'0');
            // Zeros at the front say nothing.
            *used += usize::from(*number > 0);
        } else {
            left_out += 1;
        }
    }
    (length, left_out)
}

/// The float that is nearest to a decimal number, but for decimals that lie within a billionth of halfway between two. None
/// if it is not a number, or greater than any float.
pub fn parse(text: &str) -> Option<f32> {
    let (negative, rest) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mut number, mut used) = (0, 0);
    let (whole, mut exponent) = digits(rest, &mut number, &mut used);
    let mut rest = rest.get(whole..)?;
    let mut length = whole;
    if let [b'.', fraction @ ..] = rest {
        let (count, left_out) = digits(fraction, &mut number, &mut used);
        exponent = exponent.checked_sub(i32::try_from(count).ok()? - left_out)?;
        rest = fraction.get(count..)?;
        length += count;
    }
    if length == 0 {
        return None;
    }
    if let [b'e' | b'E', power @ ..] = rest {
        let power: i32 = core::str::from_utf8(power).ok()?.parse().ok()?;
        exponent = exponent.checked_add(power)?;
    } else if !rest.is_empty() {
        return None;
    }
    let mut value = number as f64;
    // Beyond either end lies nothing but zero, and what is greater than any float.
    let mut left = exponent.clamp(-100, 100);
    while left != 0 && value != 0.0 {
        let step = left.clamp(-POWERS, POWERS);
        let power = (0..step.abs()).fold(1.0, |power, _| power * 10.0);
        value = if step < 0 {
            value / power
        } else {
            value * power
        };
        left -= step;
    }
    let value = if negative { -value } else { value } as f32;
    value.is_finite().then_some(value)
}

/// A number in CBOR (RFC 8949 §3.1, §3.3), which is all of these bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Binary {
    /// A whole number of up to 64 bits and a sign.
    Whole(i128),
    /// Any float, but neither NaN nor infinite.
    Real(f64),
}

impl Binary {
    /// Reads one. The shortest form of many is a float of 16 bits, which the decoder leaves to us (RFC 8949 §D).
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if let [0xf9, high, low] = bytes {
            let half = u16::from_be_bytes([*high, *low]);
            let (exponent, fraction) = (half >> 10 & 0x1f, f64::from(half & 0x3ff));
            // Two to the power of `exponent - 25`, as the bits of a double.
            let scale = |exponent: u16| f64::from_bits(u64::from(exponent + 1023 - 25) << 52);
            let size = match exponent {
                0 => fraction * scale(1),
                31 => return None,
                _ => (fraction + 1024.0) * scale(exponent),
            };
            return Some(Self::Real(if half >> 15 == 0 { size } else { -size }));
        }
        let mut d = minicbor::Decoder::new(bytes);
        let number = match d.datatype().ok()? {
            Type::F32 | Type::F64 => Self::Real(d.f64().ok().filter(|v| v.is_finite())?),
            _ => Self::Whole(d.int().ok()?.into()),
        };
        (d.position() == bytes.len()).then_some(number)
    }

    /// The nearest float. None if it is greater than any.
    pub fn float(self) -> Option<f32> {
        let value = match self {
            Self::Whole(v) => v as f32,
            Self::Real(v) => v as f32,
        };
        value.is_finite().then_some(value)
    }

    /// Seconds since 1970 as milliseconds, up to the end of the year 9999.
    pub fn milliseconds(self) -> Option<i64> {
        match self {
            Self::Whole(v) => i64::try_from(v).ok()?.checked_mul(1000),
            // Halves are rounded up; the conversion cuts off, and keeps to the range of the integer.
            Self::Real(v) => Some((v * 1000.0 + 0.5) as i64).filter(|_| v >= 0.0),
        }
        .filter(|millis| TIMES.contains(millis))
    }
}

/// Milliseconds since 1970 that a clock may be set to: to the end of the year 9999.
const TIMES: core::ops::Range<i64> = 0..253_402_300_800_000;

/// Seconds with a fraction as milliseconds: exact, which a float would not be.
pub fn milliseconds(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if seconds.is_empty() || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    let digits = fraction.bytes().chain([b'0'; 3]).take(3);
    let millis = digits.fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
    let all = seconds.checked_mul(1000)?.checked_add(millis)?;
    TIMES.contains(&all).then_some(all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;
    use std::string::String;

    #[test]
    fn numbers_are_read_as_the_core_library_reads_them() {
        let mut bits = 1_u32;
        let mut seen = 0;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(bits);
            if !value.is_finite() {
                continue;
            }
            for text in [
                format!("{value}"),
                format!("{value:e}"),
                format!("{value:.3}"),
            ] {
                assert_eq!(
                    parse(&text).map(f32::to_bits),
                    text.parse::<f32>().ok().map(f32::to_bits),
                    "{text}"
                );
            }
            seen += 1;
        }
        assert!(seen > 100_000);
    }

    #[test]
    fn every_way_to_write_a_number_is_taken() {
        for text in [
            "0",
            "-0",
            "+5",
            "1.",
            ".5",
            "-.5e1",
            "007",
            "1e3",
            "1E+3",
            "1e-3",
            "3.4028235e38",
            "1e-45",
            "1e-400",
            "0e400",
            "0.000000000000000000000000000000000000000000001",
            "123456789012345678901234567890",
            "0.1234567890123456789012345678901234567890",
            "16777217",
            "-200.25",
        ] {
            assert_eq!(parse(text), text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        let long = "9".repeat(60);
        for text in [
            "",
            "-",
            "+",
            ".",
            "e1",
            "1e",
            "1e+",
            "1e1.5",
            "--1",
            "1 ",
            " 1",
            "0x10",
            "1,5",
            "1.2.3",
            "nan",
            "inf",
            "-inf",
            "1e39",
            "1e400",
            "-1e39",
            "1e99999999999",
            "½",
            &long,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        let zeros: String = "0".repeat(1000);
        assert_eq!(parse(&format!("{zeros}1.5{zeros}")), Some(1.5));
    }

    #[test]
    fn whole_numbers_of_all_64_bits_are_read_from_cbor() {
        let read = |number: i128| {
            let mut bytes = [0; 9];
            let int = minicbor::data::Int::try_from(number).unwrap();
            let mut encoder =
                minicbor::Encoder::new(minicbor::encode::write::Cursor::new(&mut bytes[..]));
            encoder.int(int).unwrap();
            let length = encoder.writer().position();
            assert_eq!(
                Binary::read(&bytes[..length]),
                Some(Binary::Whole(number)),
                "{number}"
            );
            assert_eq!(Binary::read(&bytes[..length - 1]), None, "{number}");
            if length < 9 {
                assert_eq!(Binary::read(&bytes[..length + 1]), None, "{number}");
            }
            Binary::Whole(number).float().unwrap()
        };
        for bits in 0..=64 {
            for more in [-1, 0, 1] {
                let number = ((1i128 << bits) + more).clamp(0, u64::MAX.into());
                assert_eq!(read(number), number as f32);
                assert_eq!(read(-1 - number), (-1 - number) as f32);
            }
        }
    }

    #[test]
    fn floats_of_every_width_are_read_from_cbor_and_no_number_is_none() {
        for (bytes, value) in [
            (&[0xf9, 0x3c, 0x00][..], 1.0),
            (&[0xf9, 0x00, 0x01], 2f64.powi(-24)),
            (&[0xf9, 0x83, 0xff], -1023.0 * 2f64.powi(-24)),
            (&[0xf9, 0x7b, 0xff], 65504.0),
            (&[0xfa, 0x47, 0xc3, 0x50, 0x00], 100_000.0),
            (
                &[0xfb, 0xc0, 0x10, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66],
                -4.1,
            ),
            (&[0xfb, 0x7e, 0x37, 0xe4, 0x3c, 0x88, 0, 0x75, 0x9c], 1e300),
        ] {
            assert_eq!(Binary::read(bytes), Some(Binary::Real(value)));
            assert_eq!(Binary::read(&bytes[..bytes.len() - 1]), None);
        }
        // No parameter becomes infinite by what is nearest to it.
        for (value, float) in [
            (1e300, None),
            (-3.5e38, None),
            (3.4e38, Some(3.4e38)),
            (1e-300, Some(0.0)),
        ] {
            assert_eq!(Binary::Real(value).float(), float);
        }
        for bytes in [
            &[][..],
            &[0xf9, 0x7e, 0x00],
            &[0xf9, 0xfc, 0x00],
            &[0xfa, 0x7f, 0x80, 0x00, 0x00],
            &[0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
            &[0xf6],
            &[0xf5],
            &[0x61, 0x35],
            &[0x41, 0x05],
            &[0xc1, 0x05],
            &[0x05, 0x05],
        ] {
            assert_eq!(Binary::read(bytes), None, "{bytes:x?}");
        }
    }

    #[test]
    fn times_are_read_beyond_2038_and_2106_to_the_end_of_the_year_9999() {
        let end = 253_402_300_799;
        for (text, millis) in [
            ("0", 0),
            ("0.001", 1),
            ("1700000000.5", 1_700_000_000_500),
            ("2147483648", 2_147_483_648_000),
            ("4294967296.0019", 4_294_967_296_001),
            ("253402300799.999", end * 1000 + 999),
        ] {
            assert_eq!(milliseconds(text), Some(millis), "{text}");
        }
        for text in [
            "",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1.2.3",
            "253402300800",
            "9223372036854775807",
            "99999999999999999999",
            "NaN",
        ] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
        for seconds in [0, 1, 1 << 31, 1 << 32, end] {
            assert_eq!(
                Binary::Whole(seconds.into()).milliseconds(),
                Some(seconds * 1000)
            );
            assert_eq!(
                Binary::Real(seconds as f64 + 0.25).milliseconds(),
                Some(seconds * 1000 + 250)
            );
        }
        for wrong in [
            Binary::Whole(-1),
            Binary::Whole((end + 1).into()),
            Binary::Whole(u64::MAX.into()),
            Binary::Real(-0.5),
            Binary::Real(1e30),
        ] {
            assert_eq!(wrong.milliseconds(), None, "{wrong:?}");
        }
    }
}

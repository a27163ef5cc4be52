//! Numbers as people write them: `-12.5`, `3e-2`. In place of the core library's parser, whose table of powers for all of f64 is
//! ten kilobytes of flash: the value of a parameter is a float of 32 bits.

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
/// when it is no number, or greater than any float.
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

#[cfg(test)]
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
}

//! The handshake of RFC 9529, section 3, as both languages read it (test/vectors/edhoc.json).

const VECTORS: &str = include_str!("../../vectors/edhoc.json");

/// A value of the trace: the first of this name behind the name of its part.
pub fn value<const N: usize>(part: &str, name: &str) -> Option<[u8; N]> {
    let behind = |text: &'static str, name: &str| {
        text.match_indices(name).find_map(|(at, _)| {
            let quoted = text.get(..at)?.ends_with('"');
            let rest = text.get(at + name.len()..)?;
            rest.strip_prefix("\": ").filter(|_| quoted)
        })
    };
    let digits = behind(behind(VECTORS, part)?, name)?.strip_prefix('"')?;
    let mut bytes = [0; N];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
    }
    digits.get(2 * N..)?.starts_with('"').then_some(bytes)
}

//! SipHash (Aumasson and Bernstein, 2012), a keyed function of 64 bits: who does not know the key can predict no value, however
//! many others he has seen. `C` rounds a word and `D` at the end: 2 and 4 where an attacker gains by a guess, 1 and 3 (as in
//! hash tables) over whole bodies.
use core::hash::Hasher;

#[derive(Clone, Copy, Debug)]
pub(crate) struct SipHash<const C: usize, const D: usize> {
    v: [u64; 4],
    /// Bytes that do not fill a word yet, the first in the lowest bits, and how many bits they are.
    tail: u64,
    held: u32,
    /// Bytes so far, modulo 256.
    length: u8,
}

impl<const C: usize, const D: usize> SipHash<C, D> {
    pub(crate) const fn new(key: [u64; 2]) -> Self {
        let [k0, k1] = key;
        Self {
            v: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            tail: 0,
            held: 0,
            length: 0,
        }
    }

    fn round(&mut self) {
        let [a, b, c, d] = &mut self.v;
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *a;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(16) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(21) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }

    // Not inlined: the rounds are much code, and they are called from many places.
    #[inline(never)]
    fn word(&mut self, word: u64) {
        self.v[3] ^= word;
        for _ in 0..C {
            self.round();
        }
        self.v[0] ^= word;
    }
}

impl<const C: usize, const D: usize> Hasher for SipHash<C, D> {
    fn write(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u8);
        while let Some((chunk, rest)) = bytes.split_first_chunk::<8>() {
            let word = u64::from_le_bytes(*chunk);
            self.word(self.tail | word << self.held);
            // What did not fit: nothing when the word was whole.
            self.tail = word.checked_shr(64 - self.held).unwrap_or(0);
            bytes = rest;
        }
        for byte in bytes {
            self.tail |= u64::from(*byte) << self.held;
            self.held += 8;
            if self.held == 64 {
                self.word(self.tail);
                (self.tail, self.held) = (0, 0);
            }
        }
    }

    fn finish(&self) -> u64 {
        let mut last = *self;
        last.word(self.tail | u64::from(self.length) << 56);
        last.v[2] ^= 0xff;
        for _ in 0..D {
            last.round();
        }
        let [a, b, c, d] = last.v;
        a ^ b ^ c ^ d
    }
}

/// The same with words of 32 bits, a key of 64 and a result of 32: a fifth of the cost on a Cortex-M.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HalfSipHash<const C: usize, const D: usize> {
    v: [u32; 4],
    tail: u32,
    held: u32,
    length: u8,
}

impl<const C: usize, const D: usize> HalfSipHash<C, D> {
    pub(crate) const fn new(key: u64) -> Self {
        let (k0, k1) = (key as u32, (key >> 32) as u32);
        Self {
            v: [k0, k1, k0 ^ 0x6c79_6765, k1 ^ 0x7465_6462],
            tail: 0,
            held: 0,
            length: 0,
        }
    }

    #[inline(always)]
    fn round(v: &mut [u32; 4]) {
        let [a, b, c, d] = v;
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(5) ^ *a;
        *a = a.rotate_left(16);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(8) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(7) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *c;
        *c = c.rotate_left(16);
    }

    #[inline(always)]
    fn word(v: &mut [u32; 4], word: u32) {
        v[3] ^= word;
        for _ in 0..C {
            Self::round(v);
        }
        v[0] ^= word;
    }

    /// The 32 bits of the result.
    #[inline(never)]
    pub(crate) fn value(&self) -> u32 {
        let mut v = self.v;
        Self::word(&mut v, self.tail | u32::from(self.length) << 24);
        v[2] ^= 0xff;
        for _ in 0..D {
            Self::round(&mut v);
        }
        v[1] ^ v[3]
    }
}

impl<const C: usize, const D: usize> Hasher for HalfSipHash<C, D> {
    // Whole bodies go through this, byte by byte and in pieces of any length.
    #[inline(never)]
    fn write(&mut self, mut bytes: &[u8]) {
        let (mut v, mut tail, mut held) = (self.v, self.tail, self.held);
        self.length = self.length.wrapping_add(bytes.len() as u8);
        while let Some((chunk, rest)) = bytes.split_first_chunk::<4>() {
            let word = u32::from_le_bytes(*chunk);
            Self::word(&mut v, tail | word << held);
            tail = word.checked_shr(32 - held).unwrap_or(0);
            bytes = rest;
        }
        for byte in bytes {
            tail |= u32::from(*byte) << held;
            held += 8;
            if held == 32 {
                Self::word(&mut v, tail);
                (tail, held) = (0, 0);
            }
        }
        (self.v, self.tail, self.held) = (v, tail, held);
    }

    fn finish(&self) -> u64 {
        u64::from(self.value())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    /// The key of the reference vectors: bytes 00 to 0f.
    const KEY: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

    fn hash<const C: usize, const D: usize>(length: u8, step: usize) -> u64 {
        let bytes: [u8; 64] = core::array::from_fn(|i| i as u8);
        let mut hash = SipHash::<C, D>::new(KEY);
        let given = bytes.get(..usize::from(length)).unwrap_or(&[]);
        for piece in given.chunks(step) {
            hash.write(piece);
        }
        hash.finish()
    }

    /// SipHash-2-4 of the bytes 00, 01, ... of these lengths: `vectors.h` of the reference implementation, as little-endian
    /// numbers. That of 15 bytes is the example in the paper's appendix A.
    const VECTORS: [(u8, u64); 10] = [
        (0, 0x726f_db47_dd0e_0e31),
        (1, 0x74f8_39c5_93dc_67fd),
        (2, 0x0d6c_8009_d9a9_4f5a),
        (3, 0x8567_6696_d7fb_7e2d),
        (4, 0xcf27_94e0_2771_87b7),
        (5, 0x1876_5564_cd99_a68d),
        (6, 0xcbc9_466e_58fe_e3ce),
        (7, 0xab02_00f5_8b01_d137),
        (8, 0x93f5_f579_9a93_2462),
        (15, 0xa129_ca61_49be_45e5),
    ];

    #[test]
    fn the_reference_vectors_come_out_however_the_bytes_come_in() {
        for (length, expected) in VECTORS {
            for step in [1, 2, 3, 5, 7, 8, 9, 64] {
                assert_eq!(hash::<2, 4>(length, step), expected, "{length} by {step}");
            }
        }
    }

    /// HalfSipHash-2-4 with a result of 32 bits, key 00 to 07, of the bytes 00, 01, ... of lengths 0 to 15: the same file.
    const HALF: [u32; 16] = [
        0x5b9f_35a9,
        0xb85a_4727,
        0x03a6_62fa,
        0x04e7_fe8a,
        0x8946_6e2a,
        0x69b6_fac5,
        0x23fc_6358,
        0xc563_cf8b,
        0x8f84_b8d0,
        0x79e7_06f8,
        0x3479_b094,
        0x5030_0808,
        0x2f87_f057,
        0xff63_e677,
        0x7cf8_ffd6,
        0x972b_fe74,
    ];

    #[test]
    fn the_reference_vectors_of_the_half_come_out_however_the_bytes_come_in() {
        let bytes: [u8; 16] = core::array::from_fn(|i| i as u8);
        for (length, expected) in HALF.into_iter().enumerate() {
            for step in [1, 2, 3, 4, 5, 7, 16] {
                let mut hash = HalfSipHash::<2, 4>::new(KEY[0]);
                for piece in bytes[..length].chunks(step) {
                    hash.write(piece);
                }
                assert_eq!(hash.value(), expected, "{length} by {step}");
                assert_eq!(hash.finish(), u64::from(expected));
            }
        }
    }

    #[test]
    fn it_agrees_with_the_standard_library() {
        // `std`'s DefaultHasher is SipHash-1-3 with the key 0; its older one is SipHash-2-4.
        #[expect(deprecated, reason = "the reviewed SipHash-2-4 of the language")]
        for length in 0..64 {
            use core::hash::SipHasher;
            let bytes: [u8; 64] = core::array::from_fn(|i| i as u8);
            let given = bytes.get(..length).unwrap_or(&[]);
            let mut theirs = SipHasher::new_with_keys(KEY[0], KEY[1]);
            theirs.write(given);
            for step in [1, 6, 8, 13] {
                assert_eq!(hash::<2, 4>(length as u8, step), theirs.finish());
            }
            let mut theirs = std::hash::DefaultHasher::new();
            theirs.write(given);
            let mut ours = SipHash::<1, 3>::new([0; 2]);
            ours.write(given);
            assert_eq!(ours.finish(), theirs.finish());
        }
    }
}

//! All that a stranger must not guess comes from here: a keyed function over a secret that differs from boot to boot.
use crate::siphash::{HalfSipHash, SipHash};
use core::hash::{Hash, Hasher};

/// What a value of 32 bits is for: the same thing hashed for another purpose says nothing about it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Numbers that differ each time.
    Draw,
    /// Which of the lanes an endpoint has, and where its message IDs begin.
    Endpoint,
    /// Which blocks belong together.
    CacheKey,
}

/// A hash of a body, from which its entity tag is made.
pub(crate) type BodyHash = HalfSipHash<1, 3>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Secret {
    /// For what an endpoint is to echo, with which an attacker gains most: all bits of the seed.
    key: [u64; 2],
    /// How many numbers were drawn: at one a microsecond the count begins anew after half a million years.
    drawn: u64,
}

impl Secret {
    pub(crate) const fn new(seed: u128) -> Self {
        Self {
            key: [seed as u64, (seed >> 64) as u64],
            drawn: 0,
        }
    }

    /// A hash that begins with its purpose.
    pub(crate) fn hasher(&self, purpose: Purpose) -> HalfSipHash<2, 4> {
        let [low, high] = self.key;
        let mut hash = HalfSipHash::new(low ^ high.rotate_left(17));
        hash.write_u8(purpose as u8);
        hash
    }

    /// For a body.
    pub(crate) fn body(&self) -> BodyHash {
        let [low, high] = self.key;
        HalfSipHash::new(low ^ high.rotate_left(41))
    }

    /// The value that belongs to a thing: always the same until the next boot.
    pub(crate) fn of(&self, purpose: Purpose, thing: &impl Hash) -> u32 {
        let mut hash = self.hasher(purpose);
        thing.hash(&mut hash);
        hash.value()
    }

    /// The same of 64 bits, for what is to be echoed.
    pub(crate) fn echo(&self, thing: &impl Hash) -> u64 {
        let mut hash = SipHash::<2, 4>::new(self.key);
        thing.hash(&mut hash);
        hash.finish()
    }

    /// A number that never comes again but by chance, below `limit`.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.drawn = self.drawn.wrapping_add(1);
        let drawn = self.of(Purpose::Draw, &self.drawn);
        ((u64::from(drawn) * u64::from(limit)) >> 32) as u32
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_the_seed_counts_for_every_purpose() {
        let of = |seed: u128, purpose| Secret::new(seed).of(purpose, &7u32);
        let all = [Purpose::Draw, Purpose::Endpoint, Purpose::CacheKey];
        for seed in [0, u128::MAX, 0x0123_4567_89ab_cdef_5a5a_c3c3_0ff0_9966] {
            for bit in 0..128 {
                let other = seed ^ 1 << bit;
                for purpose in all {
                    assert_ne!(of(other, purpose), of(seed, purpose));
                }
                let (one, none) = (Secret::new(other), Secret::new(seed));
                assert_ne!(one.body().value(), none.body().value());
                assert_ne!(one.echo(&7u32), none.echo(&7u32));
            }
        }
        for (index, one) in all.iter().enumerate() {
            for other in all.iter().skip(index + 1) {
                assert_ne!(of(0, *one), of(0, *other));
            }
        }
    }

    #[test]
    fn numbers_keep_below_their_limit_and_differ() {
        let mut secret = Secret::new(1);
        let mut seen = [0u32; 10];
        for _ in 0..1_000 {
            seen[secret.below(10) as usize] += 1;
        }
        assert!(seen.iter().all(|n| (60..140).contains(n)), "{seen:?}");
        let mut draw = || secret.below(u32::MAX);
        assert_ne!(draw(), draw());
        assert_eq!(secret.below(0), 0);
    }
}

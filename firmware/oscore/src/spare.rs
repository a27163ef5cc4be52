//! How much a node decrypts for those who have not shown that they have keys. A forgery costs it as much as a message that is none, up to
//! the last byte; so after one, the next of somebody whom nobody knows is passed over for a while, before anything is computed: longer
//! from the same host than from others, and longer where it is long. Who sends it again, as CoAP does, is heard then.
//!
//! The endpoint that a context was used from last is not held up by any of it: floods of others do not slow it down.
//!
//! After a reset, until the owner has come, a message that was captured before it is authentic too. It is answered with a value to be echoed, under
//! a sequence number of our own: so many a second, again by host, that whoever sends it for days uses up neither numbers nor key nor flash.
use wasmote_coap::Origin;

/// Lanes that hosts are put in by a keyed function: whoever forges under many addresses fills some of them.
const LANES: usize = 8;
/// Bytes of a ciphertext that costs no more than the answer to a request.
const SHORT: usize = 80;
/// Milliseconds after a forgery in which a host is passed over, and strangers at other hosts are; for short ones and for long ones.
const HOST: [u32; 2] = [16, 256];
const ALL: [u32; 2] = [2, 128];

/// Challenges that a lane gets at once, and milliseconds until one more.
const CHALLENGES: (u32, u32) = (8, 256);

/// Until when strangers are passed over, in milliseconds modulo 2^32: what is further away than any pause is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spare {
    hosts: [[u32; 2]; LANES],
    all: [u32; 2],
    /// When each lane would have all its challenges again.
    full_at: [u32; LANES],
}

/// How long it is until then, if no longer than `most`; else it is over.
fn left(until: u32, now: u64, most: u32) -> u32 {
    let left = until.wrapping_sub(now as u32);
    if left <= most { left } else { 0 }
}

fn lane(from: Origin, seed: u128) -> usize {
    // The end of SplitMix64, of which each bit hangs on all bits of the host.
    let mut mixed = from.host ^ seed as u64;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 61) as usize % LANES
}

impl Spare {
    pub(crate) const fn new() -> Self {
        Self {
            hosts: [[0; 2]; LANES],
            all: [0; 2],
            full_at: [0; LANES],
        }
    }

    /// Both times that hold for a message of this length.
    fn times(&mut self, from: Origin, seed: u128, length: usize) -> Option<[&mut u32; 2]> {
        let long = usize::from(length > SHORT);
        let host = self.hosts.get_mut(lane(from, seed))?;
        Some([host.get_mut(long)?, self.all.get_mut(long)?])
    }

    /// Whether a stranger's message is passed over.
    pub(crate) fn holds(&mut self, now: u64, from: Origin, seed: u128, length: usize) -> bool {
        let times = self.times(from, seed, length);
        let most = HOST.into_iter().max().unwrap_or(0);
        times.is_some_and(|times| times.iter().any(|until| left(**until, now, most) > 0))
    }

    /// Takes one of the challenges that a host may have (the generic cell rate algorithm, ITU-T I.371); whether there was one.
    pub(crate) fn may_challenge(&mut self, now: u64, from: Origin, seed: u128) -> bool {
        let (most, each) = CHALLENGES;
        let Some(full_at) = self.full_at.get_mut(lane(from, seed)) else {
            return false;
        };
        let next = left(*full_at, now, most * each) + each;
        let may = next <= most * each;
        if may {
            *full_at = (now as u32).wrapping_add(next);
        }
        may
    }

    /// Somebody has forged one.
    pub(crate) fn forged(&mut self, now: u64, from: Origin, seed: u128, length: usize) {
        let long = usize::from(length > SHORT);
        let pauses = [HOST.get(long), ALL.get(long)];
        for (until, pause) in self
            .times(from, seed, length)
            .into_iter()
            .flatten()
            .zip(pauses)
        {
            *until = (now as u32).wrapping_add(pause.copied().unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u128 = 0x1234_5678_9abc_def1;

    fn at(host: u64) -> Origin {
        Origin { endpoint: 7, host }
    }

    #[test]
    fn a_host_that_forges_waits_longest_and_others_next_to_nothing() {
        for (length, own, others) in [(0, 16, 2), (80, 16, 2), (81, 256, 128), (1_200, 256, 128)] {
            let mut spare = Spare::new();
            assert!(!spare.holds(1_000, at(1), SEED, length));
            spare.forged(1_000, at(1), SEED, length);
            let wait = |spare: &mut Spare, host| {
                (1_000..2_000)
                    .take_while(|now| spare.holds(*now, at(host), SEED, length))
                    .count()
            };
            assert_eq!(wait(&mut spare, 1), own);
            let mut shared = 0;
            for host in 2..1_602 {
                let waited = wait(&mut spare, host);
                assert!(waited == own || waited == others, "{waited}");
                shared += usize::from(waited == own);
            }
            // One in eight, and nobody knows which.
            assert!((130..280).contains(&shared), "{shared}");
            // Long ones hold no short ones up, nor the other way round.
            let other = if length > SHORT { 0 } else { 900 };
            assert!(!spare.holds(1_000, at(1), SEED, other));
        }
    }

    #[test]
    fn at_any_rate_of_forgeries_few_are_looked_at() {
        // Ten thousand a second under as many addresses.
        for (length, most) in [(40, 500), (1_000, 8)] {
            let mut spare = Spare::new();
            let mut looked = 0;
            for number in 0..10_000 {
                let (now, from) = (number / 10, at(number));
                if !spare.holds(now, from, SEED, length) {
                    spare.forged(now, from, SEED, length);
                    looked += 1;
                }
            }
            assert!(looked <= most, "{looked} of {length} bytes");
        }
    }
}

//! Turns: how often a host may do what costs the node more than an answer, so that no one host, and not all strangers together,
//! keep the others from it.
//!
//! A host that has shown itself draws on one of a few buckets, chosen by a keyed function so that nobody can aim at that of
//! another; all that have not draw on one together, and who finds that empty is asked to show itself. Whoever comes under a
//! security context is not counted.
use wasmote_coap::Principal;

/// What takes a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Anything that goes to the Runner by its queue: there are 32 places, of which samples keep some.
    Change,
    /// A value of a parameter, as often as a slider tells one that somebody drags. When it is written to flash the Runner
    /// decides: see `runner/settings.rs`.
    Parameter,
    /// What is written to flash as often as it is asked for.
    Write,
    /// A part of a package: the Runner may have to verify a signature. Given back where a package that somebody with a key
    /// has signed goes on with it.
    Part,
    /// A request to the module. Like a part of a package, it takes the single place for long transfers.
    Request,
    /// A key exchange. Given back where it comes to a context.
    Exchange,
}

/// How many turns there are at once, and milliseconds until one more is granted.
struct Rate {
    most: u8,
    each: u64,
}

const KINDS: usize = 6;

impl Turn {
    const fn rate(self) -> Rate {
        match self {
            Self::Change => Rate {
                most: 16,
                each: 500,
            },
            // Two buckets, of a hostile host and of all strangers, have less than half of the Runner's queue in 1 ms, and ask it for
            // forty small pieces of work a second.
            Self::Parameter => Rate { most: 64, each: 50 },
            // In a day two buckets, of a hostile host and of all strangers, take two or three erasures of a day's, and parameters
            // ten: others have the rest (`a_day_of_hostile_writes_leaves_others_theirs` in tests/shares.rs).
            Self::Write => Rate {
                most: 8,
                each: 3_600_000,
            },
            // A signature takes some 10 ms to verify: all who forge them take a hundredth of the time for each host.
            Self::Part => Rate {
                most: 32,
                each: 1_000,
            },
            Self::Request => Rate { most: 64, each: 62 },
            // There is one place, which somebody who begins and does not go on holds for twenty seconds: a sixth of the time.
            Self::Exchange => Rate {
                most: 3,
                each: 120_000,
            },
        }
    }
}

/// Buckets for hosts that have shown themselves; one more is for all others.
const LANES: usize = 16;

/// When each of a bucket's turns would be back if nothing more was taken, in milliseconds since the start (the generic cell rate
/// algorithm, ITU-T I.371): full where that is over.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket([u64; KINDS]);

impl Bucket {
    fn place(&mut self, turn: Turn) -> Option<&mut u64> {
        self.0.get_mut(turn as usize)
    }
}

/// Whose bucket a turn was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lane(u8);

/// What a turn is refused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The endpoint has to show itself first.
    Stranger,
    /// There is another turn after so many seconds.
    Seconds(u32),
}

/// The buckets.
#[derive(Debug)]
pub(crate) struct Turns {
    key: u64,
    lanes: [Bucket; LANES + 1],
}

impl Turns {
    /// All full. The key must not be known to strangers.
    pub(crate) fn new(key: u64) -> Self {
        Self {
            key,
            lanes: [Bucket::default(); LANES + 1],
        }
    }

    fn lane(&self, who: &Principal) -> Lane {
        if !who.verified {
            return Lane(LANES as u8);
        }
        // The end of SplitMix64, of which each bit hangs on all bits of the host.
        let mut mixed = who.host ^ self.key;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Lane((mixed ^ mixed >> 31) as u8 % LANES as u8)
    }

    /// Takes a turn; of whose bucket, or `None` for one that is not counted.
    pub(crate) fn take(
        &mut self,
        now: u64,
        who: &Principal,
        turn: Turn,
    ) -> Result<Option<Lane>, Wait> {
        if who.context.is_some() {
            return Ok(None);
        }
        let lane = self.lane(who);
        let Rate { most, each } = turn.rate();
        let bucket = self.lanes.get_mut(usize::from(lane.0));
        let Some(full_at) = bucket.and_then(|bucket| bucket.place(turn)) else {
            return Ok(None);
        };
        let next = (*full_at).max(now) + each;
        let latest = now + u64::from(most) * each;
        if next <= latest {
            *full_at = next;
            Ok(Some(lane))
        } else if who.verified {
            Err(Wait::Seconds((next - latest).div_ceil(1_000) as u32))
        } else {
            Err(Wait::Stranger)
        }
    }

    /// Gives one back.
    pub(crate) fn give_back(&mut self, lane: Lane, turn: Turn) {
        let bucket = self.lanes.get_mut(usize::from(lane.0));
        if let Some(full_at) = bucket.and_then(|bucket| bucket.place(turn)) {
            *full_at = full_at.saturating_sub(turn.rate().each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Turn; KINDS] = [
        Turn::Change,
        Turn::Parameter,
        Turn::Write,
        Turn::Part,
        Turn::Request,
        Turn::Exchange,
    ];

    fn host(host: u64) -> Principal {
        Principal {
            endpoint: 7,
            host,
            verified: true,
            context: None,
        }
    }

    fn stranger(endpoint: u32) -> Principal {
        Principal {
            endpoint,
            host: endpoint.into(),
            verified: false,
            context: None,
        }
    }

    /// How many turns somebody gets at once.
    fn count(turns: &mut Turns, now: u64, who: &Principal, turn: Turn) -> usize {
        (0..1_000)
            .take_while(|_| turns.take(now, who, turn).is_ok())
            .count()
    }

    #[test]
    fn a_host_has_so_many_and_others_have_theirs() {
        for turn in ALL {
            let Rate { most, each } = turn.rate();
            let mut turns = Turns::new(0x1234_5678_9abc_def1);
            assert_eq!(count(&mut turns, 0, &host(1), turn), most.into());
            let wait = turns.take(0, &host(1), turn);
            assert_eq!(wait, Err(Wait::Seconds(each.div_ceil(1_000) as u32)));
            // All strangers are as one, and each of them is told what to do.
            let crowd = (0..1_000).filter(|n| turns.take(0, &stranger(*n), turn).is_ok());
            assert_eq!(crowd.count(), most.into());
            assert_eq!(turns.take(0, &stranger(9), turn), Err(Wait::Stranger));
            // Most of the other hosts have a bucket of their own.
            let others = (2..100).filter(|n| turns.take(0, &host(*n), turn).is_ok());
            assert!(others.count() > 80.min(10 * usize::from(most)));
            // Nothing is saved up, at the end of time neither.
            assert_eq!(count(&mut turns, each, &host(1), turn), 1);
            let late = u64::MAX / 2;
            assert_eq!(count(&mut turns, late, &host(1), turn), most.into());
        }
    }

    #[test]
    fn two_hosts_that_differ_in_a_bit_share_a_bucket_as_seldom_as_any_two() {
        // Whatever the bit is, and though the key is one that nobody knows: 1 in 16 of the keys.
        for bit in 0..48 {
            let shared = (0..640u64).filter(|key| {
                let turns = Turns::new(key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let lane = |h: u64| turns.lane(&host(h));
                lane(0x0a00_0007) == lane(0x0a00_0007 ^ 1 << bit)
            });
            let shared = shared.count();
            assert!((15..=75).contains(&shared), "bit {bit}: {shared} of 640");
        }
        // And neighbours, as of a network, have all buckets.
        let turns = Turns::new(99);
        let lanes: [u32; LANES] = (0..1_600).fold([0; LANES], |mut lanes, n| {
            if let Some(count) = lanes.get_mut(usize::from(turns.lane(&host(0x0a00_0000 + n)).0)) {
                *count += 1;
            }
            lanes
        });
        assert!(lanes.iter().all(|n| (60..150).contains(n)), "{lanes:?}");
    }

    #[test]
    fn what_was_given_back_may_be_taken_again_for_ever() {
        let mut turns = Turns::new(3);
        for _ in 0..10_000 {
            let lane = turns.take(5, &host(1), Turn::Part);
            let Ok(Some(lane)) = lane else {
                unreachable!("{lane:?}");
            };
            turns.give_back(lane, Turn::Part);
        }
        let most = Turn::Part.rate().most;
        assert_eq!(count(&mut turns, 5, &host(1), Turn::Part), most.into());
    }

    #[test]
    fn a_security_context_is_not_counted() {
        let mut turns = Turns::new(3);
        let who = Principal {
            context: Some(1),
            ..stranger(1)
        };
        assert_eq!(count(&mut turns, 0, &who, Turn::Write), 1_000);
    }
}

//! What endpoints share that a keyed function puts in one of a few lanes: message IDs, and the allowance of those that have not
//! shown themselves. One that uses its lane up leaves the others theirs, and nobody knows who shares it.
//!
//! Message IDs (RFC 7252 §4.4): none may come again to the same endpoint within EXCHANGE_LIFETIME. A lane hands its numbers out
//! one after the other, each endpoint adding an offset of its own, so that two endpoints tell nothing of each other; and it hands
//! out no more of them in that time than there are. Endpoints that have shown themselves and those that have not draw from two
//! ranges: whoever forges addresses uses up the IDs of other strangers only.
use crate::limits::{
    EXCHANGE_LIFETIME, GIVEN_A_SECOND, GIVEN_AT_ONCE, LANE_GIVEN_A_SECOND, LANE_GIVEN_AT_ONCE,
    LANES, STRANGER_IDS,
};

/// A keyed hash of an endpoint: its lane, the offset of its message IDs, and a name for it that says nothing else.
pub(crate) type EndpointHash = u32;

/// A range of message IDs.
struct Range {
    first: u16,
    count: u32,
}

const STRANGERS: Range = Range {
    first: 0,
    count: STRANGER_IDS as u32,
};
const KNOWN: Range = Range {
    first: STRANGER_IDS,
    count: 0x1_0000 - STRANGER_IDS as u32,
};

impl Range {
    const fn of(known: bool) -> &'static Self {
        if known { &KNOWN } else { &STRANGERS }
    }

    /// So many at once ...
    const fn burst(&self) -> u32 {
        self.count / 8
    }

    /// ... and so many a second: in EXCHANGE_LIFETIME, in which so many seconds begin, no more than there are.
    const fn rate(&self) -> u32 {
        (self.count - self.burst()) / (EXCHANGE_LIFETIME as u32 / 1_000 + 1)
    }
}

#[derive(Clone, Copy, Debug)]
struct Lane {
    /// The number handed out last, of strangers and of others, and how many more may go out now.
    last: [u16; 2],
    left: [u16; 2],
    /// Bytes that strangers may still be given.
    given: u16,
    /// The second until which it has been filled up, modulo 18 hours: one that nobody used for so long gets less than it might.
    at: u16,
}

#[derive(Debug)]
pub(crate) struct Lanes {
    all: [Lane; LANES],
    /// Bytes that all strangers may still be given, and the second until which that has been filled up: they end after 136 years.
    given: u16,
    at: u32,
}

/// Fills up to `most` with so many a second.
fn fill(left: &mut u16, seconds: u32, rate: u32, most: u32) {
    let sum = u32::from(*left).saturating_add(seconds.saturating_mul(rate));
    *left = sum.min(most) as u16;
}

impl Lane {
    fn refill(&mut self, second: u32) {
        let seconds = u32::from((second as u16).wrapping_sub(self.at));
        if seconds == 0 {
            return;
        }
        self.at = second as u16;
        for (left, range) in self.left.iter_mut().zip([&STRANGERS, &KNOWN]) {
            fill(left, seconds, range.rate(), range.burst());
        }
        let (rate, most) = (LANE_GIVEN_A_SECOND.into(), LANE_GIVEN_AT_ONCE.into());
        fill(&mut self.given, seconds, rate, most);
    }
}

/// The seconds that have gone by.
fn second(now: u64) -> u32 {
    u32::try_from(now / 1_000).unwrap_or(u32::MAX)
}

impl Lanes {
    pub(crate) const fn new() -> Self {
        let lane = Lane {
            last: [0; 2],
            left: [STRANGERS.burst() as u16, KNOWN.burst() as u16],
            given: LANE_GIVEN_AT_ONCE,
            at: 0,
        };
        Self {
            all: [lane; LANES],
            given: GIVEN_AT_ONCE,
            at: 0,
        }
    }

    fn lane(&mut self, now: u64, endpoint: EndpointHash) -> Option<&mut Lane> {
        let lane = self.all.get_mut(endpoint as usize % LANES)?;
        lane.refill(second(now));
        Some(lane)
    }

    /// A message ID for a message to this endpoint; `None` when the lane has none that may be used yet. `spare` are left for what
    /// matters more.
    pub(crate) fn id(
        &mut self,
        now: u64,
        endpoint: EndpointHash,
        known: bool,
        spare: u16,
    ) -> Option<u16> {
        let range = Range::of(known);
        let lane = self.lane(now, endpoint)?;
        let left = lane.left.get_mut(usize::from(known))?;
        let last = lane.last.get_mut(usize::from(known))?;
        *left = left.checked_sub(1).filter(|rest| *rest >= spare)?;
        let next = (u32::from(*last) + 1) % range.count;
        *last = next as u16;
        let offset = endpoint >> 16;
        Some(range.first + ((next + offset) % range.count) as u16)
    }

    /// Takes so many bytes from the allowance of strangers, if it has them.
    pub(crate) fn give(&mut self, now: u64, endpoint: EndpointHash, bytes: usize) -> bool {
        let seconds = second(now).saturating_sub(self.at);
        self.at += seconds;
        let (rate, most) = (GIVEN_A_SECOND.into(), GIVEN_AT_ONCE.into());
        fill(&mut self.given, seconds, rate, most);
        let all = self.lane(now, endpoint).map_or(0, |lane| lane.given);
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        let (Some(mine), Some(of_all)) = (all.checked_sub(bytes), self.given.checked_sub(bytes))
        else {
            return false;
        };
        self.given = of_all;
        if let Some(lane) = self.lane(now, endpoint) {
            lane.given = mine;
        }
        true
    }
}

/// When a lane that has nothing left has some again.
pub(crate) fn next_second(now: u64) -> u64 {
    (now / 1_000 + 1) * 1_000
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::limits::SPARE_IDS;

    /// Draws as fast as it can for so many seconds; when each ID was used last, for each of some endpoints in one lane.
    fn draw(seconds: u64, known: bool, endpoints: &[EndpointHash]) -> u64 {
        let mut lanes = Lanes::new();
        let mut used: std::collections::HashMap<(EndpointHash, u16), u64> = Default::default();
        let mut drawn = 0;
        for now in (0..seconds * 1_000).step_by(2) {
            for endpoint in endpoints {
                let Some(id) = lanes.id(now, *endpoint, known, 0) else {
                    continue;
                };
                drawn += 1;
                let before = used.insert((*endpoint, id), now);
                assert!(
                    before.is_none_or(|at| now >= at + EXCHANGE_LIFETIME),
                    "{id}"
                );
                assert_eq!(known, id >= STRANGER_IDS);
            }
        }
        drawn
    }

    #[test]
    fn no_id_comes_again_to_an_endpoint_within_its_lifetime_at_five_hundred_a_second() {
        // One alone, and two in the same lane; each for longer than the IDs last, twice over.
        assert!(draw(800, true, &[0x1234_0003]) > 800 * 170);
        assert!(draw(800, true, &[0x1234_0003, 0xfff0_0003]) > 800 * 170);
        assert!(draw(600, false, &[0xabcd_0001]) > 600 * 55);
    }

    #[test]
    fn an_id_is_not_guessed_from_those_of_another() {
        let mut lanes = Lanes::new();
        let mut id = |endpoint| lanes.id(0, endpoint, true, 0);
        let [a, b] = [id(0x0100_0000), id(0x0200_0000)].map(Option::unwrap_or_default);
        // One after the other, but for the offsets.
        assert_eq!(b.wrapping_sub(a), 0x101);
    }

    #[test]
    fn what_matters_more_has_ids_when_all_else_has_none() {
        let mut lanes = Lanes::new();
        let mut count = |now, spare| {
            (0..100_000)
                .map_while(|_| lanes.id(now, 5, true, spare))
                .count()
        };
        assert_eq!(
            count(0, SPARE_IDS),
            KNOWN.burst() as usize - usize::from(SPARE_IDS)
        );
        assert_eq!(count(999, 0), usize::from(SPARE_IDS));
        assert_eq!(count(999, 0), 0);
        // A second later there are as many as a second has, and never more than a burst.
        assert_eq!(count(1_000, 0), KNOWN.rate() as usize);
        assert_eq!(count(u64::MAX, 0), KNOWN.burst() as usize);
    }

    #[test]
    fn other_lanes_and_other_ranges_are_not_used_up() {
        let mut lanes = Lanes::new();
        while lanes.id(0, 7, false, 0).is_some() {}
        assert!(lanes.id(0, 7, true, 0).is_some());
        assert!(lanes.id(0, 8, false, 0).is_some());
    }

    #[test]
    fn a_stranger_is_given_a_quarter_and_all_of_them_the_whole() {
        let mut lanes = Lanes::new();
        let half = usize::from(LANE_GIVEN_AT_ONCE) / 2;
        assert!(lanes.give(0, 0, half) && lanes.give(0, 0, half));
        assert!(!lanes.give(0, 0, 1), "this one has had its share");
        assert!(
            lanes.give(0, 1, 2 * half) && lanes.give(0, 2, 2 * half) && lanes.give(0, 3, 2 * half)
        );
        assert!(!lanes.give(0, 4, 1), "and so have all together");
        // A second brings so much for one and for all.
        assert!(!lanes.give(1_000, 0, usize::from(LANE_GIVEN_A_SECOND) + 1));
        assert!(lanes.give(1_000, 0, LANE_GIVEN_A_SECOND.into()));
        assert!(lanes.give(1_000, 4, (GIVEN_A_SECOND - LANE_GIVEN_A_SECOND).into()));
        assert!(!lanes.give(1_000, 5, 1));
        // Nobody saves up more than at the start.
        assert!(!lanes.give(1_000_000_000, 5, usize::from(LANE_GIVEN_AT_ONCE) + 1));
        assert!(
            !lanes.give(0, 5, 1 << 20),
            "what no number of 16 bits holds"
        );
        assert_eq!(next_second(999), 1_000);
        assert_eq!(next_second(1_000), 2_000);
    }
}

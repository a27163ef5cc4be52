//! Echo against amplification (RFC 9175 §2.4, item 3): which endpoints have shown that they are where they say.
//!
//! One that has not gets no more than a few times what it sent, but for an allowance that all of them share; once that is used
//! up, a larger body comes in small blocks. Either has an Echo option, and who echoes the value in its next request gets large
//! blocks from then on. So clients that know nothing of Echo get everything, during an attack in more round trips. Who finds a
//! table full is asked with 4.01 (RFC 9175 §2.3) instead of being turned away, since those that have shown themselves go first.
//!
//! The value is a keyed function of the endpoint and of the time: nothing is stored for those that are asked, so forged
//! addresses push nobody out, and the value of one address says nothing about that of another.
use crate::limits::{ECHO_PERIOD, PEERS};
use crate::secret::Secret;
use crate::shares::{Holder, Rank, Shares};
use core::hash::Hash;

/// Those that have shown themselves: the one heard of last comes first.
#[derive(Debug)]
pub(crate) struct Verified<E>([Option<E>; PEERS]);

/// What an endpoint is to echo in a period.
fn value<E: Hash>(secret: &Secret, from: &E, period: u64) -> [u8; 8] {
    secret.echo(&(from, period)).to_be_bytes()
}

/// What an endpoint is to echo now: it is known for one to two periods.
pub(crate) fn challenge<E: Hash>(secret: &Secret, now: u64, from: &E) -> [u8; 8] {
    value(secret, from, now / ECHO_PERIOD)
}

impl<E: Copy + Eq + Hash> Verified<E> {
    pub(crate) const fn new() -> Self {
        Self([None; PEERS])
    }

    /// Whether an endpoint has shown itself; `echo` is what its request echoes.
    pub(crate) fn knows(
        &mut self,
        secret: &Secret,
        shares: &Shares<E>,
        now: u64,
        from: E,
        echo: Option<&[u8]>,
    ) -> bool {
        let known = self.0.iter().position(|e| *e == Some(from));
        let place = known.or_else(|| {
            let echo = echo.filter(|echo| echo.len() == 8)?;
            let period = now / ECHO_PERIOD;
            // The present one and the one before.
            let good = (period.saturating_sub(1)..=period)
                .any(|period| value(secret, &from, period) == echo);
            good.then(|| self.room(shares, from))
        });
        let Some(front) = place.and_then(|index| self.0.get_mut(..=index)) else {
            return false;
        };
        front.rotate_right(1);
        if let Some(first) = front.first_mut() {
            *first = Some(from);
        }
        true
    }

    /// A place for one more: a free one, else one of a host that has more than its share, else the one not heard of for longest.
    fn room(&self, shares: &Shares<E>, from: E) -> usize {
        let place = shares.place(&from, Rank::Known, PEERS, &|index| {
            Some(Holder {
                from: (*self.0.get(index)?)?,
                rank: Rank::Known,
                since: (PEERS - index) as u64,
            })
        });
        place.map_or(PEERS - 1, |place| place.index)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const SECRET: Secret = Secret::new(1 << 100 | 1);

    fn shares() -> Shares<u8> {
        let mut shares = Shares::new();
        shares.hosts(|from| u64::from(from / 100));
        shares
    }

    fn shows(verified: &mut Verified<u8>, now: u64, from: u8, echo: Option<&[u8]>) -> bool {
        verified.knows(&SECRET, &shares(), now, from, echo)
    }

    #[test]
    fn a_value_is_of_one_endpoint_one_time_and_one_boot() {
        let mut verified = Verified::new();
        let mine = challenge(&SECRET, 1_000, &1u8);
        assert!(!shows(&mut verified, 1_000, 1, None));
        assert!(!shows(&mut verified, 1_000, 2, Some(&mine)));
        assert!(!shows(&mut verified, 1_000, 1, Some(&mine[..7])));
        assert!(!shows(
            &mut verified,
            1_000 + 2 * ECHO_PERIOD,
            1,
            Some(&mine)
        ));
        assert_ne!(challenge(&Secret::new(2), 1_000, &1u8), mine);
        assert!(shows(&mut verified, 1_000 + ECHO_PERIOD, 1, Some(&mine)));
        // Known from then on, whatever it echoes.
        assert!(shows(&mut verified, u64::MAX, 1, None));
    }

    #[test]
    fn the_one_not_heard_of_for_the_longest_time_gives_way_and_a_crowd_at_one_host_first() {
        let mut verified = Verified::new();
        let mut show = |from: u8| {
            let echo = challenge(&SECRET, 0, &from);
            shows(&mut verified, 0, from, Some(&echo))
        };
        for from in 0..PEERS as u8 {
            assert!(show(from));
        }
        assert!(show(0));
        // Another host: the crowd gives way, those not heard of for the longest time first.
        assert!(show(101) && show(102));
        let mut knows = |from| shows(&mut verified, 0, from, None);
        assert_eq!(
            [0, 1, 2, 3, 101, 102].map(&mut knows),
            [true, false, false, true, true, true]
        );
    }
}

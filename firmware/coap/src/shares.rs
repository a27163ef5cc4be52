//! Fair shares: how the places of a table are divided between endpoints, and between the hosts that they are at.
//!
//! What can be made again (observations, uploads under way, who has shown itself) takes a place and gives way: to whoever is
//! better known, or has fewer. What cannot (a change that was carried out, an answer that is owed) is never pushed out; of those
//! places none may take so many that a few are not left for others.
use core::fmt;

/// What holds for the one who has a place or wants one; who ranks lower gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Over, or silent for too long: gives way to anybody.
    Gone,
    /// Has not shown that it is where it says.
    Stranger,
    /// Has.
    Known,
}

impl Rank {
    pub(crate) fn of(known: bool) -> Self {
        if known { Self::Known } else { Self::Stranger }
    }
}

/// A place that is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder<E> {
    pub(crate) index: usize,
    pub(crate) from: E,
    pub(crate) rank: Rank,
    /// Of equals, the one with the lowest number goes.
    pub(crate) since: u64,
}

/// How endpoints are grouped into hosts.
pub(crate) struct Shares<E> {
    host: Option<fn(&E) -> u64>,
}

impl<E> Clone for Shares<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Shares<E> {}

impl<E> fmt::Debug for Shares<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares").finish_non_exhaustive()
    }
}

/// How many places an endpoint has, and its host.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    endpoint: usize,
    host: usize,
}

impl<E: Copy + Eq> Shares<E> {
    pub(crate) const fn new() -> Self {
        Self { host: None }
    }

    pub(crate) fn hosts(&mut self, host: fn(&E) -> u64) {
        self.host = Some(host);
    }

    fn same_host(&self, a: &E, b: &E) -> bool {
        a == b || self.host.is_some_and(|host| host(a) == host(b))
    }

    fn weight(&self, of: &E, holders: impl Iterator<Item = E>) -> Weight {
        holders.fold(Weight::default(), |w, from| Weight {
            endpoint: w.endpoint + usize::from(from == *of),
            host: w.host + usize::from(self.same_host(&from, of)),
        })
    }

    /// Whether an endpoint may take one more of so many free places: it may have twice as many as it leaves free, and so may
    /// hosts, and all strangers together, have four times. So one alone has two thirds, and there is always a place for the next.
    pub(crate) fn fits(
        &self,
        from: &E,
        rank: Rank,
        holders: impl Iterator<Item = (E, Rank)> + Clone,
        free: usize,
    ) -> bool {
        let taken = holders.clone().count();
        if taken < 2 * free {
            return true;
        }
        let weight = self.weight(from, holders.clone().map(|(from, _)| from));
        let strangers = holders.filter(|(_, r)| *r == Rank::Stranger).count();
        let host = if rank == Rank::Stranger {
            weight.host.max(strangers)
        } else {
            weight.host
        };
        weight.endpoint < 2 * free && host < 4 * free
    }

    /// Who gives way to a newcomer of this rank, in a table where no place is free: who is gone; who ranks lower; and of its
    /// equals whoever has two more than the newcomer, so that it has no less afterwards. Strangers may have a quarter of the
    /// table in this way from those who are better known.
    pub(crate) fn gives_way(
        &self,
        from: &E,
        rank: Rank,
        holders: impl Iterator<Item = Holder<E>> + Clone,
    ) -> Option<usize> {
        let oldest = |below: Rank| {
            let lower = holders.clone().filter(|h| h.rank < below);
            lower.min_by_key(|h| (h.rank, h.since)).map(|h| h.index)
        };
        if let Some(index) = oldest(rank) {
            return Some(index);
        }
        let size = holders.clone().count();
        let strangers = holders.clone().filter(|h| h.rank == Rank::Stranger).count();
        let reserve = rank == Rank::Stranger && strangers < size / 4;
        let endpoints = holders.clone().map(|h| h.from);
        let mine = self.weight(from, endpoints.clone());
        let heavier = holders
            .filter(|h| h.rank <= rank || reserve)
            .filter_map(|h| {
                let theirs = self.weight(&h.from, endpoints.clone());
                let (their, my) = if self.same_host(&h.from, from) {
                    (theirs.endpoint, mine.endpoint)
                } else {
                    (theirs.host, mine.host)
                };
                let age = (u64::MAX - h.since, usize::MAX - h.index);
                (their >= my + 2).then_some((their, theirs.endpoint, age, h.index))
            });
        heavier.max().map(|(.., index)| index)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    /// Endpoints whose tens are their host.
    fn shares() -> Shares<u8> {
        let mut shares = Shares::new();
        shares.hosts(|from| u64::from(from / 10));
        shares
    }

    /// The index of who gives way: each place is an endpoint, negative when it is a stranger, in order of age; 0 is gone.
    fn way(from: u8, rank: Rank, places: &[i8]) -> Option<usize> {
        let all = places.iter().enumerate().map(|(index, place)| Holder {
            index,
            from: place.unsigned_abs(),
            rank: match place {
                0 => Rank::Gone,
                1.. => Rank::Known,
                _ => Rank::Stranger,
            },
            since: index as u64,
        });
        shares().gives_way(&from, rank, all)
    }

    #[test]
    fn who_is_gone_or_ranks_lower_gives_way_the_oldest_first() {
        use Rank::{Known, Stranger};
        assert_eq!(way(99, Stranger, &[10, -20, 0, 0]), Some(2));
        assert_eq!(way(99, Known, &[10, -20, 30, 0]), Some(3));
        assert_eq!(way(99, Known, &[10, -20, -30, 40]), Some(1));
        assert_eq!(way(99, Stranger, &[-10, -20, -30, -40]), None);
        assert_eq!(way(99, Known, &[10, 20, 30, 40]), None);
    }

    #[test]
    fn who_has_two_more_gives_way_to_its_equal() {
        use Rank::{Known, Stranger};
        assert_eq!(way(99, Known, &[10, 20, 20, 40]), Some(1));
        assert_eq!(way(99, Known, &[10, 20, 30, 30, 30, 20, 20, 20]), Some(1));
        // By hosts between two of them, by endpoints within one.
        assert_eq!(way(99, Known, &[10, 11, 20, 30]), Some(0));
        assert_eq!(way(12, Known, &[10, 11, 13, 14]), None);
        assert_eq!(way(12, Known, &[10, 11, 11, 14]), Some(1));
        assert_eq!(way(40, Known, &[40, 20, 20, 30]), None);
        assert_eq!(way(99, Stranger, &[-10, -20, -20, -40]), Some(1));
    }

    #[test]
    fn strangers_get_a_quarter_from_who_has_many_and_no_more() {
        use Rank::Stranger;
        assert_eq!(
            way(99, Stranger, &[10, 10, 10, 10, 10, 10, 10, 10]),
            Some(0)
        );
        assert_eq!(
            way(99, Stranger, &[-20, 10, 10, 10, 10, 10, 10, 10]),
            Some(1)
        );
        assert_eq!(way(99, Stranger, &[-20, -30, 10, 10, 10, 10, 10, 10]), None);
        assert_eq!(way(99, Stranger, &[10, 20, 30, 40, 50, 60, 70, 80]), None);
    }

    /// How many of `size` places one after the other gets, as `(endpoint, rank)`, in turn.
    fn taken(size: usize, wanted: &[(u8, Rank)]) -> std::collections::BTreeMap<u8, usize> {
        let mut held: std::vec::Vec<(u8, Rank)> = std::vec![];
        for (from, rank) in wanted {
            let free = size - held.len();
            if free > 0 && shares().fits(from, *rank, held.iter().copied(), free) {
                held.push((*from, *rank));
            }
        }
        let mut count = std::collections::BTreeMap::new();
        held.iter()
            .for_each(|(from, _)| *count.entry(*from).or_default() += 1);
        count
    }

    #[test]
    fn nobody_takes_all_of_what_is_never_given_up() {
        use Rank::{Known, Stranger};
        let one = taken(96, &[(10, Known); 200]);
        assert_eq!(one[&10], 64);
        // Another at the same host and another elsewhere find places still.
        let mut wanted = std::vec![(10, Known); 200];
        wanted.extend([(11, Known); 200]);
        wanted.extend([(20, Known); 5]);
        let three = taken(96, &wanted);
        assert_eq!((three[&10], three[&11], three[&20]), (64, 13, 5));
        // Strangers are as one host, however many they say they are.
        let mut wanted: std::vec::Vec<_> = (100..=250).map(|from| (from, Stranger)).collect();
        wanted.extend([(20, Known); 5]);
        let crowd = taken(96, &wanted);
        assert_eq!(crowd.values().sum::<usize>(), 77 + 5);
        assert_eq!(crowd[&20], 5);
        // A table of six: four, and one of another.
        assert_eq!(taken(6, &[(10, Known); 9])[&10], 4);
    }

    #[test]
    fn without_hosts_each_endpoint_is_its_own() {
        let shares = Shares::<u8>::new();
        assert!(!shares.same_host(&10, &11) && shares.same_host(&10, &10));
    }
}

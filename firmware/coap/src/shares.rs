//! Fair shares: how the places of a table are divided between endpoints, and between the hosts that they are at.
//!
//! What can be made again (observations, uploads under way, who has shown itself) takes a place and gives way: to whoever is
//! better known, or has fewer. What cannot (a change that was carried out, an answer that is owed) is never pushed out; of those
//! places none may take so many that a few are not left for others.
use crate::limits::{DELAYED, OBSERVERS, PEERS, READS, TRANSFERS};

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
    pub(crate) from: E,
    pub(crate) rank: Rank,
    /// Of equals, the one with the lowest number goes.
    pub(crate) since: u64,
}

/// A table as this module sees it: who has the place with a number, if anybody. A function and not a type of its own for each
/// table, so that the chip has this module once.
pub(crate) type Table<'t, E> = &'t dyn Fn(usize) -> Option<Holder<E>>;

/// The most places of a table in which one gives way to another.
const PLACES: usize = 16;

const _: () = {
    assert!(OBSERVERS <= PLACES && TRANSFERS <= PLACES && PEERS <= PLACES);
    assert!(READS <= PLACES && DELAYED <= PLACES);
};

/// A place that somebody gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) index: usize,
    /// Whether another had it.
    pub(crate) taken: bool,
}

/// A holder in a row, with its host where hosts are known.
#[derive(Clone, Copy)]
struct Row<E> {
    holder: Holder<E>,
    index: usize,
    host: Option<u64>,
}

/// How many places an endpoint has, and its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    endpoint: usize,
    host: usize,
}

/// How endpoints are grouped into hosts.
pub(crate) struct Shares<E> {
    host: Option<fn(&E) -> u64>,
}

impl<E: Copy + Eq> Shares<E> {
    pub(crate) const fn new() -> Self {
        Self { host: None }
    }

    pub(crate) fn hosts(&mut self, host: fn(&E) -> u64) {
        self.host = Some(host);
    }

    pub(crate) fn host(&self, of: &E) -> Option<u64> {
        self.host.map(|host| host(of))
    }

    /// Whether an endpoint may take one more place in a table with so many, of which the first `end` may be taken: it may have twice
    /// as many as it leaves free, and so may hosts, and all strangers together, have four times. So a single endpoint gets two thirds, and
    /// there is always a place for the next.
    #[inline(never)]
    pub(crate) fn fits(
        &self,
        from: &E,
        rank: Rank,
        size: usize,
        end: usize,
        table: Table<'_, E>,
    ) -> bool {
        // Two thirds or less, at the first look.
        if end < 2 * (size - end) {
            return true;
        }
        let host = self.host(from);
        let (mut taken, mut strangers, mut weight) = (0, 0, Weight::default());
        for holder in (0..end).filter_map(table) {
            let same = holder.from == *from;
            taken += 1;
            strangers += usize::from(holder.rank == Rank::Stranger);
            weight.endpoint += usize::from(same);
            weight.host += usize::from(same || host.is_some() && host == self.host(&holder.from));
        }
        let free = size - taken;
        if rank == Rank::Stranger {
            weight.host = weight.host.max(strangers);
        }
        taken < 2 * free || weight.endpoint < 2 * free && weight.host < 4 * free
    }

    /// A place for a newcomer of this rank: a free one, or one that gives way. Endpoints give way that are gone, that rank lower,
    /// or that are equals and have two more than the newcomer, so that it has no less afterwards. Strangers may have a quarter of
    /// the table in this way from those who are better known.
    #[inline(never)]
    pub(crate) fn place(
        &self,
        from: &E,
        rank: Rank,
        size: usize,
        table: Table<'_, E>,
    ) -> Option<Place> {
        let free = (0..size).find(|index| table(*index).is_none());
        if let Some(index) = free {
            return Some(Place {
                index,
                taken: false,
            });
        }
        let mut rows = [const { None }; PLACES];
        for (index, row) in rows.iter_mut().enumerate().take(size) {
            *row = table(index).map(|holder| Row {
                holder,
                index,
                host: self.host(&holder.from),
            });
        }
        let rows = || rows.iter().flatten();
        let oldest = rows().min_by_key(|row| (row.holder.rank, row.holder.since));
        let index = oldest
            .filter(|row| row.holder.rank < rank)
            .map(|row| row.index)
            .or_else(|| {
                let strangers = rows().filter(|row| row.holder.rank == Rank::Stranger);
                let reserve = rank == Rank::Stranger && strangers.count() < size / 4;
                let new = Row {
                    holder: Holder {
                        from: *from,
                        rank,
                        since: 0,
                    },
                    index: size,
                    host: self.host(from),
                };
                heavier(&new, reserve, rows)
            })?;
        Some(Place { index, taken: true })
    }
}

impl<E: Eq> Row<E> {
    fn same_host(&self, other: &Self) -> bool {
        self.holder.from == other.holder.from || self.host.is_some() && self.host == other.host
    }

    fn weight<'r>(&self, rows: impl Iterator<Item = &'r Self>) -> Weight
    where
        E: 'r,
    {
        rows.fold(Weight::default(), |w, row| Weight {
            endpoint: w.endpoint + usize::from(row.holder.from == self.holder.from),
            host: w.host + usize::from(row.same_host(self)),
        })
    }
}

/// Who has two more than a newcomer, and most of all: of its rank, or of a higher one where it draws on the reserve.
fn heavier<'r, E: Eq + 'r, I: Iterator<Item = &'r Row<E>>>(
    new: &Row<E>,
    reserve: bool,
    rows: impl Fn() -> I,
) -> Option<usize> {
    let mine = new.weight(rows());
    let eligible = rows().filter(|row| row.holder.rank <= new.holder.rank || reserve);
    let all = eligible.filter_map(|row| {
        let theirs = row.weight(rows());
        let (their, my) = if row.same_host(new) {
            (theirs.endpoint, mine.endpoint)
        } else {
            (theirs.host, mine.host)
        };
        let age = (u64::MAX - row.holder.since, usize::MAX - row.index);
        (their >= my + 2).then_some((their, theirs.endpoint, age, row.index))
    });
    all.max().map(|(.., index)| index)
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

    /// The index of the place that gives way. Each place is an endpoint, negative for a stranger, in order of age; 0 is gone.
    fn way(from: u8, rank: Rank, places: &[i8]) -> Option<usize> {
        let place = shares().place(&from, rank, places.len(), &|index| {
            let place = places[index];
            Some(Holder {
                from: place.unsigned_abs(),
                rank: match place {
                    0 => Rank::Gone,
                    1.. => Rank::Known,
                    _ => Rank::Stranger,
                },
                since: index as u64,
            })
        });
        assert!(place.is_none_or(|place| place.taken));
        place.map(|place| place.index)
    }

    #[test]
    fn what_is_free_is_taken_first() {
        for free in 0..PLACES {
            let place = shares().place(&99, Rank::Stranger, PLACES, &|index| {
                (index != free).then_some(Holder {
                    from: 0,
                    rank: Rank::Gone,
                    since: 0,
                })
            });
            let expected = Place {
                index: free,
                taken: false,
            };
            assert_eq!(place, Some(expected));
        }
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
            let end = held.len();
            let holder = |index: usize| {
                let (from, rank) = held[index];
                Some(Holder {
                    from,
                    rank,
                    since: 0,
                })
            };
            if end < size && shares().fits(from, *rank, size, end, &holder) {
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
        // With one of another host, a host has exactly four times what is left.
        let mut wanted = std::vec![(20, Known)];
        wanted.extend([(10, Known); 50]);
        wanted.extend([(11, Known); 50]);
        let two = taken(96, &wanted);
        assert_eq!(two[&10] + two[&11], 76);
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
        let places = |all: [u8; 4]| {
            let place = shares.place(&99, Rank::Known, all.len(), &|index| {
                Some(Holder {
                    from: all[index],
                    rank: Rank::Known,
                    since: index as u64,
                })
            });
            place.map(|place| place.index)
        };
        assert_eq!(places([10, 11, 12, 13]), None);
        assert_eq!(places([11, 10, 10, 13]), Some(1));
    }
}

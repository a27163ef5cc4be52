//! Requests to a group (RFC 7252 §8.2): each is answered after a random part of the leisure.
use crate::limits::{DELAYED, DELAYED_BYTES};
use crate::shares::{Holder, Place, Rank, Shares};

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Delayed<E> {
    pub(crate) from: E,
    at: u64,
    rank: Rank,
    bytes: [u8; DELAYED_BYTES],
    length: u8,
}

impl<E> Delayed<E> {
    pub(crate) fn datagram(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

/// What became of a request to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    Waits,
    /// It waits in the place of another.
    WaitsInstead,
    /// It waits already.
    Duplicate,
    NoRoom,
}

#[derive(Debug)]
pub(crate) struct Group<E>([Option<Delayed<E>>; DELAYED]);

impl<E: Copy + Eq> Group<E> {
    pub(crate) const fn new() -> Self {
        Self([const { None }; DELAYED])
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// Keeps a request until `at`.
    pub(crate) fn add(
        &mut self,
        shares: &Shares<E>,
        from: E,
        rank: Rank,
        at: u64,
        datagram: &[u8],
    ) -> Delay {
        // The same message ID: a duplicate (RFC 7252 §4.5).
        let id = datagram.get(2..4);
        let same = |d: &Delayed<E>| d.from == from && d.bytes.get(2..4) == id;
        if self.0.iter().flatten().any(same) {
            return Delay::Duplicate;
        }
        let mut bytes = [0; DELAYED_BYTES];
        let Some(to) = bytes.get_mut(..datagram.len()) else {
            return Delay::NoRoom;
        };
        to.copy_from_slice(datagram);
        let place = shares.place(&from, rank, DELAYED, &|index| {
            let d = self.0.get(index)?.as_ref()?;
            Some(Holder {
                from: d.from,
                rank: d.rank,
                since: d.at,
            })
        });
        let Some(Place { index, taken }) = place else {
            return Delay::NoRoom;
        };
        let Some(place) = self.0.get_mut(index) else {
            return Delay::NoRoom;
        };
        *place = Some(Delayed {
            from,
            at,
            rank,
            bytes,
            length: datagram.len() as u8,
        });
        if taken {
            Delay::WaitsInstead
        } else {
            Delay::Waits
        }
    }

    /// One that is due.
    pub(crate) fn due(&mut self, now: u64) -> Option<Delayed<E>> {
        self.0
            .iter_mut()
            .find_map(|place| place.take_if(|d| now >= d.at))
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        self.0.iter().flatten().map(|d| d.at).min()
    }
}

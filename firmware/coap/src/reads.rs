//! Block-wise reads (RFC 7959 §2.4): which requests ask for blocks of one body, so that all its blocks are of one state however
//! many others read or change the resource meanwhile. The handler keeps the states; this gives the reads their numbers.
use crate::limits::{READ_IDLE, READS};
use crate::request::Read;
use crate::shares::{Holder, Rank, Shares};

#[derive(Debug)]
struct Entry<E> {
    from: E,
    key: u32,
    /// When it was continued last, in seconds: they end after 136 years.
    at: u32,
    rank: Rank,
    /// Whether there are more blocks; a read that is over is known until its place is needed, for its last block may be asked for
    /// again.
    open: bool,
}

#[derive(Debug)]
pub(crate) struct Reads<E>([Option<Entry<E>>; READS]);

const _: () = assert!(READS <= u16::BITS as usize);

impl<E: Copy + Eq> Reads<E> {
    pub(crate) const fn new() -> Self {
        Self([const { None }; READS])
    }

    fn open(&self) -> u16 {
        let all = self.0.iter().enumerate();
        let open = all.filter(|(_, e)| e.as_ref().is_some_and(|e| e.open));
        open.fold(0, |bits, (index, _)| bits | 1 << index)
    }

    fn read(&self, index: usize, begins: bool) -> Read {
        Read {
            number: index as u8,
            begins,
            open: self.open(),
        }
    }

    /// The read that a later block belongs to.
    pub(crate) fn goes_on(&self, from: E, key: u32) -> Option<Read> {
        let same =
            |e: &Option<Entry<E>>| e.as_ref().is_some_and(|e| e.from == from && e.key == key);
        let index = self.0.iter().position(same)?;
        Some(self.read(index, false))
    }

    /// The number of a read that may begin; it has no place yet.
    pub(crate) fn may_begin(
        &self,
        shares: &Shares<E>,
        now: u64,
        from: E,
        rank: Rank,
    ) -> Option<Read> {
        let place = shares.place(&from, rank, READS, &|index| {
            let e = self.0.get(index)?.as_ref()?;
            let idle = !e.open || now >= u64::from(e.at) * 1_000 + READ_IDLE;
            Some(Holder {
                from: e.from,
                rank: if idle { Rank::Gone } else { e.rank },
                since: e.at.into(),
            })
        });
        Some(self.read(place?.index, true))
    }

    /// A block was sent: whether there are more says whether the read goes on.
    pub(crate) fn sent(&mut self, now: u64, from: E, rank: Rank, key: u32, read: Read, more: bool) {
        if read.begins {
            if !more {
                return;
            }
            // One that begins anew takes the place of what it began before.
            for place in &mut self.0 {
                place.take_if(|e| e.from == from && e.key == key);
            }
            if let Some(place) = self.0.get_mut(usize::from(read.number)) {
                *place = Some(Entry {
                    from,
                    key,
                    at: (now / 1_000) as u32,
                    rank,
                    open: true,
                });
            }
        } else if let Some(Some(e)) = self.0.get_mut(usize::from(read.number)) {
            e.at = (now / 1_000) as u32;
            e.open = more;
        }
    }
}

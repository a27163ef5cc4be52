//! Block-wise uploads (RFC 7959 §2.5): which part comes next, keyed by endpoint, cache key and Request-Tag.
use crate::limits::{EXCHANGE_LIFETIME, MAX_TRANSMIT_WAIT, PARTS, STRANGER_IDLE, TRANSFERS};
use crate::message::{Code, option};
use crate::request::{Part, Request};
use crate::secret::{Purpose, Secret};
use crate::shares::{Holder, Rank, Shares};
use core::hash::Hasher;

#[derive(Debug)]
struct Transfer<E> {
    from: E,
    key: u32,
    /// Offset of the part that is expected.
    next: u32,
    at: u64,
    rank: Rank,
    /// Whether more is to come; one that is over is kept so that its late duplicates are known.
    open: bool,
    /// Message IDs of the first part and of the last few, with the second in which each came: a duplicate that comes late is none
    /// of what is expected now. After EXCHANGE_LIFETIME a client may use an ID again (RFC 7252 §4.4).
    first: Sighting,
    recent: [Sighting; PARTS],
    /// How many parts there were: once the table is full, modulo its size.
    parts: u8,
}

/// Message ID and time of a part.
#[derive(Clone, Copy, Debug, Default)]
struct Sighting {
    id: u16,
    /// In seconds, modulo 18 hours: the first part is looked at again before that.
    second: u16,
}

impl Sighting {
    fn new(now: u64, id: u16) -> Self {
        let second = (now / 1_000) as u16;
        Self { id, second }
    }

    fn is(&self, now: u64, id: u16) -> bool {
        self.id == id && !self.old(now)
    }

    fn old(&self, now: u64) -> bool {
        let age = ((now / 1_000) as u16).wrapping_sub(self.second);
        u64::from(age) * 1_000 >= EXCHANGE_LIFETIME
    }
}

/// A part that was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// The upload it belongs to.
    pub(crate) transfer: u8,
    /// Whether it is its first.
    pub(crate) begins: bool,
    /// Whether another upload gave way to it.
    pub(crate) displaced: bool,
}

/// A part as it comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arriving<E> {
    pub(crate) from: E,
    pub(crate) rank: Rank,
    pub(crate) key: u32,
    /// Message ID.
    pub(crate) id: u16,
    pub(crate) part: Part,
    /// Bytes of its payload.
    pub(crate) length: usize,
}

impl<E> Transfer<E> {
    /// Whether nobody goes on with it.
    fn gone(&self, now: u64) -> bool {
        let idle = if self.rank == Rank::Known {
            MAX_TRANSMIT_WAIT
        } else {
            STRANGER_IDLE
        };
        !self.open || now >= self.at + idle
    }

    fn had(&self, now: u64, id: u16) -> bool {
        let known = self.recent.get(..usize::from(self.parts).min(PARTS));
        self.first.is(now, id) || known.is_some_and(|all| all.iter().any(|s| s.is(now, id)))
    }

    fn note(&mut self, sighting: Sighting) {
        if let Some(place) = self.recent.get_mut(usize::from(self.parts) % PARTS) {
            *place = sighting;
        }
        // Stays in step with the ring: the next one after twice the table is again after once.
        self.parts = if usize::from(self.parts) + 1 < 2 * PARTS {
            self.parts + 1
        } else {
            PARTS as u8
        };
    }
}

#[derive(Debug)]
pub(crate) struct Transfers<E>([Option<Transfer<E>>; TRANSFERS]);

impl<E: Copy + Eq> Transfers<E> {
    pub(crate) const fn new() -> Self {
        Self([const { None }; TRANSFERS])
    }

    fn find(&self, from: E, key: u32) -> Option<usize> {
        self.0
            .iter()
            .position(|t| t.as_ref().is_some_and(|t| t.from == from && t.key == key))
    }

    /// Whether this is a duplicate of a part that was dealt with before.
    pub(crate) fn had(&self, now: u64, from: E, key: u32, id: u16) -> bool {
        let known = self.find(from, key).and_then(|i| self.0.get(i)?.as_ref());
        known.is_some_and(|t| now < t.at + EXCHANGE_LIFETIME && t.had(now, id))
    }

    /// Takes a part, or says how it is refused. `resumes` says whether an upload may begin in the middle.
    pub(crate) fn part(
        &mut self,
        shares: &Shares<E>,
        now: u64,
        arriving: &Arriving<E>,
        resumes: impl FnOnce() -> bool,
    ) -> Result<Taken, Code> {
        let Arriving {
            from,
            rank,
            key,
            id,
            part,
            length,
        } = *arriving;
        // RFC 7959 §2.2: a block but the last is as long as it says.
        if part.more && length != usize::from(part.size) || length > usize::from(part.size) {
            return Err(Code::BAD_REQUEST);
        }
        for place in &mut self.0 {
            place.take_if(|t| now >= t.at + EXCHANGE_LIFETIME);
        }
        let known = self.find(from, key);
        let expected = known
            .and_then(|i| self.0.get(i)?.as_ref())
            .is_some_and(|t| t.open && t.next == part.offset);
        let begins = !expected && (part.offset == 0 || resumes());
        if !expected && !begins {
            return Err(Code::REQUEST_ENTITY_INCOMPLETE);
        }
        let index = known
            .or_else(|| self.room(shares, now, from, rank))
            .ok_or(Code::SERVICE_UNAVAILABLE)?;
        let place = self.0.get_mut(index).ok_or(Code::SERVICE_UNAVAILABLE)?;
        let displaced = known.is_none() && place.as_ref().is_some_and(|t| t.open);
        if known.is_none() {
            *place = None;
        }
        let sighting = Sighting::new(now, id);
        let t = place.get_or_insert(Transfer {
            from,
            key,
            next: 0,
            at: now,
            rank,
            open: true,
            first: sighting,
            recent: [Sighting::default(); PARTS],
            parts: 0,
        });
        if begins {
            t.note(t.first);
            t.first = sighting;
        } else if t.first.old(now) {
            // Its ID may be used again, and the time is told from the last hours only.
            t.first = sighting;
        }
        t.note(sighting);
        t.open = true;
        t.at = now;
        t.rank = rank;
        t.next = part.offset;
        Ok(Taken {
            transfer: index as u8,
            begins,
            displaced,
        })
    }

    /// Free; or of one that is over, or not continued by its client, which has given up; or else by its share.
    fn room(&self, shares: &Shares<E>, now: u64, from: E, rank: Rank) -> Option<usize> {
        let place = shares.place(&from, rank, TRANSFERS, &|index| {
            let t = self.0.get(index)?.as_ref()?;
            Some(Holder {
                from: t.from,
                rank: if t.gone(now) { Rank::Gone } else { t.rank },
                // Those that are over go before those that may go on after all.
                since: if t.open { t.at } else { 0 },
            })
        });
        place.map(|place| place.index)
    }

    /// After a part was handled: the next one is expected behind it, or the upload is over.
    pub(crate) fn advance(&mut self, now: u64, index: u8, part: Part, length: usize, code: Code) {
        if let Some(Some(t)) = self.0.get_mut(usize::from(index)) {
            t.open = part.more && code.class() == 2;
            t.next = part.offset + length as u32;
            t.at = now;
        }
    }

    /// Its handler refused a part afterwards.
    pub(crate) fn fail(&mut self, from: E, index: u8) {
        if let Some(Some(t)) = self.0.get_mut(usize::from(index))
            && t.from == from
        {
            t.open = false;
        }
    }

    /// How many are under way.
    pub(crate) fn open(&self) -> usize {
        self.0.iter().flatten().filter(|t| t.open).count()
    }
}

/// What makes two requests parts of one body: method and all options but those that a block-wise transfer changes (RFC 7959
/// §2.4, RFC 7252 §5.4.2), the Request-Tag among them (RFC 9175 §3.3). An ETag names what a client has, and only the first
/// request of a read needs it.
pub(crate) fn cache_key(secret: &Secret, request: &Request<'_>) -> u32 {
    let mut hash = secret.hasher(Purpose::CacheKey);
    hash.write_u8(request.method.0);
    for (number, value) in request.options {
        // Options of which the number says NoCacheKey (RFC 7252 §5.4.6), Echo among them, and those of the transfer.
        let no_cache_key = number & 0x1e == 0x1c;
        let of_transfer = matches!(
            number,
            option::BLOCK1 | option::BLOCK2 | option::OBSERVE | option::ETAG
        );
        if !no_cache_key && !of_transfer {
            hash.write(&number.to_be_bytes());
            hash.write(&(value.len() as u16).to_be_bytes());
            hash.write(value);
        }
    }
    hash.value()
}

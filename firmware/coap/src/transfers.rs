//! Block-wise uploads (RFC 7959 §2.5): which part comes next, keyed by endpoint, cache key and Request-Tag.
use crate::exchange::{Part, Request};
use crate::limits::{EXCHANGE_LIFETIME, MAX_TRANSMIT_WAIT, PARTS, TRANSFERS};
use crate::message::{Code, option};

#[derive(Debug)]
struct Transfer<E> {
    from: E,
    key: u32,
    /// Offset of the part that is expected.
    next: u32,
    at: u64,
    /// Whether more is to come; one that is over is kept so that its late duplicates are known.
    open: bool,
    /// Message IDs of the first part and of the last few: a duplicate that comes late is none of what is expected now.
    first: u16,
    recent: [u16; PARTS],
    parts: u16,
}

impl<E> Transfer<E> {
    fn had(&self, id: u16) -> bool {
        let known = self.recent.get(..usize::from(self.parts).min(PARTS));
        self.first == id || known.is_some_and(|ids| ids.contains(&id))
    }

    fn note(&mut self, id: u16) {
        if let Some(place) = self.recent.get_mut(usize::from(self.parts) % PARTS) {
            *place = id;
        }
        // Stays in step with the ring when it would overflow.
        self.parts = self.parts.checked_add(1).unwrap_or(PARTS as u16);
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
        known.is_some_and(|t| now < t.at + EXCHANGE_LIFETIME && t.had(id))
    }

    /// Takes a part; the upload it belongs to, or how it is refused. `resumes` says whether one may begin in the middle.
    #[expect(
        clippy::too_many_arguments,
        reason = "a part with all that is known of it"
    )]
    pub(crate) fn part(
        &mut self,
        now: u64,
        from: E,
        key: u32,
        id: u16,
        part: Part,
        length: usize,
        resumes: impl FnOnce() -> bool,
    ) -> Result<u8, Code> {
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
            .or_else(|| self.room(now))
            .ok_or(Code::SERVICE_UNAVAILABLE)?;
        let place = self.0.get_mut(index).ok_or(Code::SERVICE_UNAVAILABLE)?;
        if known.is_none() {
            *place = None;
        }
        let t = place.get_or_insert(Transfer {
            from,
            key,
            next: 0,
            at: now,
            open: true,
            first: id,
            recent: [0; PARTS],
            parts: 0,
        });
        if begins {
            t.note(t.first);
            t.first = id;
        }
        t.note(id);
        t.open = true;
        t.at = now;
        t.next = part.offset;
        Ok(index as u8)
    }

    /// Free, over for the longest time, or not continued by its client, which has given up.
    fn room(&self, now: u64) -> Option<usize> {
        if let Some(free) = self.0.iter().position(Option::is_none) {
            return Some(free);
        }
        let all = self.0.iter().enumerate();
        all.filter_map(|(i, t)| Some((i, t.as_ref()?)))
            .filter(|(_, t)| !t.open || now >= t.at + MAX_TRANSMIT_WAIT)
            .min_by_key(|(_, t)| (t.open, t.at))
            .map(|(index, _)| index)
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
/// §2.4, RFC 7252 §5.4.2), the Request-Tag among them (RFC 9175 §3.3).
pub(crate) fn cache_key(request: &Request<'_>) -> u32 {
    let mut hash = 0x811c_9dc5 ^ u32::from(request.method.0);
    let mut mix = |byte: u8| hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    for (number, value) in request.options {
        // Options of which the number says NoCacheKey (RFC 7252 §5.4.6), Echo among them, and those of the transfer.
        let no_cache_key = number & 0x1e == 0x1c;
        if no_cache_key || matches!(number, option::BLOCK1 | option::BLOCK2 | option::OBSERVE) {
            continue;
        }
        number
            .to_be_bytes()
            .iter()
            .chain(value)
            .for_each(|b| mix(*b));
        mix(value.len() as u8);
    }
    hash
}

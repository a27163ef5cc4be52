//! Deduplication (RFC 7252 §4.5): the requests that changed something, or were protected, with their answers.
use crate::limits::{
    ANSWERS, EXCHANGE_LIFETIME, EXCHANGES, MAX_TRANSMIT_SPAN, MTU, NON_LIFETIME, TAG,
};
use crate::message::{Code, Kind, Message, Writer};
use crate::shares::{Holder, Rank, Shares};

/// The message that a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<E> {
    pub(crate) from: E,
    pub(crate) id: u16,
    pub(crate) confirmable: bool,
    pub(crate) known: bool,
    /// Its answer is protected, and cannot be made again from its code.
    pub(crate) protected: bool,
    /// It changes nothing: it is remembered as long as nothing else needs the place.
    pub(crate) safe: bool,
    /// It sets something to a value: see [`Exchanges::gives_own`].
    pub(crate) sets: bool,
}

/// The same and what came of it, packed: there are many of these.
#[derive(Debug)]
struct Exchange<E> {
    from: E,
    id: u16,
    flags: u8,
    /// The upload it was a part of, or [`NO_UPLOAD`]: the next part takes its place.
    transfer: u8,
    /// When, in milliseconds; see [`Exchanges::age`].
    at: u32,
    answer: Stored,
}

const CONFIRMABLE: u8 = 1;
const KNOWN: u8 = 2;
const PROTECTED: u8 = 4;
const SAFE: u8 = 8;
const SETS: u8 = 16;
const NO_UPLOAD: u8 = u8::MAX;

impl<E> Exchange<E> {
    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

impl<E> Seen<E> {
    fn flags(&self) -> u8 {
        let flag = |set, flag| if set { flag } else { 0 };
        flag(self.confirmable, CONFIRMABLE)
            | flag(self.known, KNOWN)
            | flag(self.protected, PROTECTED)
            | flag(self.safe, SAFE)
            | flag(self.sets, SETS)
    }
}

/// The answer to a request.
#[derive(Clone, Copy, Debug)]
struct Stored {
    /// Kind, code and ID: what is left when the rest was overwritten.
    kind: Kind,
    code: Code,
    id: u16,
    /// Where it begins in all that was ever written, and its length: 0 when there is none, or none yet.
    start: u32,
    length: u16,
}

impl Stored {
    const NOTHING: Self = Self {
        kind: Kind::Ack,
        code: Code::EMPTY,
        id: 0,
        start: 0,
        length: 0,
    };
}

/// Any answer fits.
const _: () = assert!(MTU + TAG <= ANSWERS);

#[derive(Debug)]
pub(crate) struct Exchanges<E> {
    all: [Option<Exchange<E>>; EXCHANGES],
    /// No place from here on is taken: a node that is seldom changed looks at few.
    end: usize,
    /// When the last one was added, at which time nothing older than its lifetime was kept.
    touched: u64,
    /// The answers, one behind the other, round and round.
    answers: [u8; ANSWERS],
    /// Bytes that were ever written, modulo 2^32.
    written: u32,
}

impl<E: Copy + Eq> Exchanges<E> {
    pub(crate) const fn new() -> Self {
        Self {
            all: [const { None }; EXCHANGES],
            end: 0,
            touched: 0,
            answers: [0; ANSWERS],
            written: 0,
        }
    }

    /// How old one is. When anything was added in the last EXCHANGE_LIFETIME, none is older than twice that, for then the older
    /// ones went; else all are past theirs. So 32 bits an entry are enough for ever.
    fn age(&self, now: u64, e: &Exchange<E>) -> u64 {
        if now.saturating_sub(self.touched) >= EXCHANGE_LIFETIME {
            u64::MAX
        } else {
            u64::from((now as u32).wrapping_sub(e.at))
        }
    }

    fn expired(&self, now: u64, e: &Exchange<E>) -> bool {
        let life = if e.is(CONFIRMABLE) {
            EXCHANGE_LIFETIME
        } else {
            NON_LIFETIME
        };
        self.age(now, e) >= life
    }

    /// The answer to the request that this one repeats: empty when there is none to be sent. `short` is where one is made
    /// of which only the code is left.
    pub(crate) fn seen<'a>(
        &'a self,
        now: u64,
        from: E,
        message: &Message<'_>,
        short: &'a mut [u8; 12],
    ) -> Option<&'a [u8]> {
        let all = self.all.get(..self.end)?;
        let same = |e: &&Exchange<E>| e.id == message.id && e.from == from;
        let found = all.iter().flatten().find(same)?;
        if self.expired(now, found) {
            return None;
        }
        let answer = found.answer;
        let kept = self.written.wrapping_sub(answer.start) as usize <= ANSWERS;
        if kept || answer.length == 0 {
            let at = answer.start as usize % ANSWERS;
            return self.answers.get(at..at + usize::from(answer.length));
        }
        if found.is(PROTECTED) && answer.code != Code::EMPTY {
            return Some(&[]);
        }
        // An empty acknowledgement has no token.
        let token = if answer.code == Code::EMPTY {
            &[]
        } else {
            message.token
        };
        let w = Writer::new(short, answer.kind, answer.code, answer.id, token);
        Some(w.finish(&[]).unwrap_or(&[]))
    }

    /// Whether one has a place for as long as it needs it: no error and no read that changed nothing, and not beyond the time in which a client
    /// repeats itself.
    fn stays(&self, now: u64, e: &Exchange<E>) -> bool {
        self.age(now, e) < MAX_TRANSMIT_SPAN && e.answer.code.class() <= 2 && !e.is(SAFE)
    }

    /// Whether there is a place for one more of this endpoint.
    pub(crate) fn room(&self, now: u64, shares: &Shares<E>, from: E, rank: Rank) -> bool {
        shares.fits(&from, rank, EXCHANGES, self.end, &|index| {
            let e = self.all.get(index)?.as_ref();
            let e = e.filter(|e| self.stays(now, e))?;
            Some(Holder {
                from: e.from,
                rank: Rank::of(e.is(KNOWN)),
                since: 0,
            })
        })
    }

    /// Gives up the oldest request of this endpoint that set something to a value and was answered, and says whether there was one.
    /// RFC 7252 §4.5 lets a server carry out a repeated PUT again; what a client sets many times a minute, as somebody does who
    /// drags a slider, would else use up its share of the table. Of its newest ones each is still known.
    pub(crate) fn gives_own(&mut self, now: u64, from: E) -> bool {
        let all = self.all.iter().take(self.end).enumerate();
        let own = all
            .filter_map(|(i, e)| Some((i, e.as_ref()?)))
            .filter(|(_, e)| e.from == from && e.is(SETS) && e.answer.code.class() == 2);
        let oldest = own
            .max_by_key(|(_, e)| self.age(now, e))
            .map(|(index, _)| index);
        let place = oldest.and_then(|index| self.all.get_mut(index));
        place.is_some_and(|place| place.take().is_some())
    }

    /// A place for one more: free, or else of the oldest that needs it no more.
    fn place(&self, now: u64) -> Option<usize> {
        if let Some(free) = self.all.iter().position(Option::is_none) {
            return Some(free);
        }
        let all = self.all.iter().enumerate();
        let done = all
            .filter_map(|(i, e)| Some((i, e.as_ref()?)))
            .filter(|(_, e)| !self.stays(now, e));
        done.max_by_key(|(_, e)| self.age(now, e))
            .map(|(index, _)| index)
    }

    /// Remembers a request with its answer; `answer` is empty while it is pending. `transfer` is the upload that it is a
    /// part of, and whether it goes on with it.
    pub(crate) fn remember(
        &mut self,
        now: u64,
        seen: Seen<E>,
        transfer: Option<(u8, bool)>,
        answer: &[u8],
    ) {
        for index in 0..self.end {
            let gone = self
                .all
                .get(index)
                .and_then(Option::as_ref)
                .is_some_and(|e| self.expired(now, e) || e.id == seen.id && e.from == seen.from);
            if let Some(place) = self.all.get_mut(index).filter(|_| gone) {
                *place = None;
            }
        }
        self.touched = now;
        // The parts of an upload come one after the other, and the transfer knows the older ones: the last one is enough.
        let same = transfer.filter(|(_, goes_on)| *goes_on).and_then(|(t, _)| {
            let last = |e: &Exchange<E>| e.transfer == t && e.from == seen.from;
            self.all.iter().position(|e| e.as_ref().is_some_and(last))
        });
        let Some(index) = same.or_else(|| self.place(now)) else {
            return;
        };
        let exchange = Exchange {
            from: seen.from,
            id: seen.id,
            flags: seen.flags(),
            transfer: transfer.map_or(NO_UPLOAD, |(t, _)| t),
            at: now as u32,
            answer: self.store(answer),
        };
        if let Some(place) = self.all.get_mut(index) {
            *place = Some(exchange);
        }
        // Beyond the end before and this place there is none.
        let end = self.end.max(index + 1);
        let used = self.all.get(..end).unwrap_or(&[]);
        self.end = used.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
    }

    /// What a pending request is answered from now on when it is repeated.
    pub(crate) fn answered(&mut self, from: E, id: u16, answer: &[u8]) {
        let found =
            |e: &Option<Exchange<E>>| e.as_ref().is_some_and(|e| e.id == id && e.from == from);
        if let Some(index) = self.all.iter().position(found) {
            let stored = self.store(answer);
            if let Some(Some(e)) = self.all.get_mut(index) {
                e.answer = stored;
            }
        }
    }

    fn store(&mut self, answer: &[u8]) -> Stored {
        let Ok(message) = Message::parse(answer) else {
            return Stored::NOTHING;
        };
        // In one piece: what is left behind the last one when it does not fit is passed over.
        let at = self.written as usize % ANSWERS;
        if at + answer.len() > ANSWERS {
            self.written = self.written.wrapping_add((ANSWERS - at) as u32);
        }
        let start = self.written;
        let at = start as usize % ANSWERS;
        if let Some(place) = self.answers.get_mut(at..at + answer.len()) {
            place.copy_from_slice(answer);
        }
        self.written = start.wrapping_add(answer.len() as u32);
        Stored {
            kind: message.kind,
            code: message.code,
            id: message.id,
            start,
            length: answer.len() as u16,
        }
    }
}

/// An acknowledgement and nothing else (RFC 7252 §4.2).
pub(crate) fn acknowledgement(id: u16) -> [u8; 4] {
    empty(Kind::Ack, id)
}

/// An empty message.
pub(crate) fn empty(kind: Kind, id: u16) -> [u8; 4] {
    let mut bytes = [0; 4];
    Writer::new(&mut bytes, kind, Code::EMPTY, id, &[]).finish(&[]);
    bytes
}

//! Deduplication (RFC 7252 §4.5): the requests that changed something, with their answers.
use crate::limits::{ANSWERS, EXCHANGE_LIFETIME, EXCHANGES, MAX_TRANSMIT_SPAN, NON_LIFETIME};
use crate::message::{Code, Kind, Message, Writer};

#[derive(Debug)]
struct Exchange<E> {
    from: E,
    id: u16,
    confirmable: bool,
    /// The upload it was a part of: the next part takes its place.
    transfer: Option<u8>,
    /// When, in milliseconds; what is out of its time is dropped long before this begins anew.
    at: u32,
    answer: Stored,
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

#[derive(Debug)]
pub(crate) struct Exchanges<E> {
    all: [Option<Exchange<E>>; EXCHANGES],
    /// No place from here on is taken: a node that is seldom changed looks at few.
    end: usize,
    /// The answers, one behind the other, round and round.
    answers: [u8; ANSWERS],
    /// Bytes that were ever written.
    written: u32,
}

impl<E> Exchange<E> {
    fn age(&self, now: u64) -> u64 {
        u64::from((now as u32).wrapping_sub(self.at))
    }

    fn expired(&self, now: u64) -> bool {
        let life = if self.confirmable {
            EXCHANGE_LIFETIME
        } else {
            NON_LIFETIME
        };
        self.age(now) >= life
    }
}

impl<E: Copy + Eq> Exchanges<E> {
    pub(crate) const fn new() -> Self {
        Self {
            all: [const { None }; EXCHANGES],
            end: 0,
            answers: [0; ANSWERS],
            written: 0,
        }
    }

    /// The answer to the request that this one repeats: empty when there is none to be sent. `short` is where one is made
    /// of which the code alone is left.
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
        if found.expired(now) {
            return None;
        }
        let answer = found.answer;
        let kept = self.written.wrapping_sub(answer.start) as usize <= ANSWERS;
        if kept || answer.length == 0 {
            let at = answer.start as usize % ANSWERS;
            return self.answers.get(at..at + usize::from(answer.length));
        }
        // An acknowledgement alone has no token.
        let token = if answer.code == Code::EMPTY {
            &[]
        } else {
            message.token
        };
        let w = Writer::new(short, answer.kind, answer.code, answer.id, token);
        Some(w.finish(&[]).unwrap_or(&[]))
    }

    /// A place for one more: free, an error that changed nothing, or beyond the time in which a client repeats itself.
    pub(crate) fn room(&self, now: u64) -> Option<usize> {
        if let Some(free) = self.all.iter().position(Option::is_none) {
            return Some(free);
        }
        let oldest = |failed: bool| {
            let all = self.all.iter().enumerate();
            all.filter_map(|(i, e)| Some((i, e.as_ref()?)))
                .filter(|(_, e)| !failed || e.answer.code.class() > 2)
                .max_by_key(|(_, e)| e.age(now))
        };
        let aged = oldest(false).filter(|(_, e)| e.age(now) >= MAX_TRANSMIT_SPAN);
        aged.or_else(|| oldest(true)).map(|(index, _)| index)
    }

    /// Remembers a request with its answer; `answer` is empty while it is pending.
    pub(crate) fn remember(
        &mut self,
        now: u64,
        from: E,
        message: &Message<'_>,
        transfer: Option<u8>,
        answer: &[u8],
    ) {
        for place in &mut self.all {
            place.take_if(|e| e.expired(now) || e.id == message.id && e.from == from);
        }
        // The parts of an upload come one after the other, and the transfer knows the older ones: the last one is enough.
        let same = self.all.iter().position(|e| {
            e.as_ref()
                .is_some_and(|e| transfer.is_some() && e.transfer == transfer && e.from == from)
        });
        let Some(index) = same.or_else(|| self.room(now)) else {
            return;
        };
        let exchange = Exchange {
            from,
            id: message.id,
            confirmable: message.kind == Kind::Con,
            transfer,
            at: now as u32,
            answer: self.store(answer),
        };
        if let Some(place) = self.all.get_mut(index) {
            *place = Some(exchange);
        }
        self.end = self
            .all
            .iter()
            .rposition(Option::is_some)
            .map_or(0, |i| i + 1);
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
        let mut start = self.written;
        let at = start as usize % ANSWERS;
        if let Some(place) = self.answers.get_mut(at..at + answer.len()) {
            place.copy_from_slice(answer);
            self.written = self.written.wrapping_add(answer.len() as u32);
        } else {
            // Longer than all there is: overwritten from the start.
            start = self.written.wrapping_sub(ANSWERS as u32 + 1);
        }
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

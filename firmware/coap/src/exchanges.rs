//! Deduplication (RFC 7252 §4.5): the requests that changed something, with their answers.
use crate::limits::{CACHED, EXCHANGE_LIFETIME, EXCHANGES, MAX_TRANSMIT_SPAN, NON_LIFETIME};
use crate::message::Kind;
use crate::message::{Code, Message, Writer};

#[derive(Debug)]
pub(crate) struct Exchange<E> {
    from: E,
    id: u16,
    confirmable: bool,
    at: u64,
    /// The answer as it was sent; nothing while it is pending, or when there was none to be sent.
    answer: [u8; CACHED],
    length: u8,
    failed: bool,
    /// The upload it was a part of: the next part takes its place.
    transfer: Option<u8>,
}

#[derive(Debug)]
pub(crate) struct Exchanges<E>([Option<Exchange<E>>; EXCHANGES]);

impl<E: Copy + Eq> Exchanges<E> {
    pub(crate) const fn new() -> Self {
        Self([const { None }; EXCHANGES])
    }

    /// The answer to the request that this one repeats: empty when there is none to be sent.
    pub(crate) fn seen(&self, now: u64, from: E, id: u16) -> Option<&[u8]> {
        let e = self.0.iter().flatten().find(|e| {
            let life = if e.confirmable {
                EXCHANGE_LIFETIME
            } else {
                NON_LIFETIME
            };
            e.id == id && e.from == from && now < e.at + life
        })?;
        e.answer.get(..usize::from(e.length))
    }

    /// A place for one more: free, out of its time, an error that changed nothing, or beyond the time in which a client
    /// repeats itself; in this order.
    pub(crate) fn room(&self, now: u64) -> Option<usize> {
        if let Some(free) = self.0.iter().position(Option::is_none) {
            return Some(free);
        }
        let oldest = |failed: bool| {
            let all = self.0.iter().enumerate();
            all.filter_map(|(i, e)| Some((i, e.as_ref()?)))
                .filter(|(_, e)| e.failed || !failed)
                .min_by_key(|(_, e)| e.at)
        };
        let aged = oldest(false).filter(|(_, e)| now >= e.at + MAX_TRANSMIT_SPAN);
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
        // The parts of an upload come one after the other, and the transfer knows the older ones: the last one is enough.
        let same = self.0.iter().position(|e| {
            e.as_ref()
                .is_some_and(|e| transfer.is_some() && e.transfer == transfer && e.from == from)
        });
        let mut exchange = Exchange {
            from,
            id: message.id,
            confirmable: message.kind == Kind::Con,
            at: now,
            answer: [0; CACHED],
            length: 0,
            failed: false,
            transfer,
        };
        exchange.answered(answer);
        if let Some(place) = same
            .or_else(|| self.room(now))
            .and_then(|i| self.0.get_mut(i))
        {
            *place = Some(exchange);
        }
    }

    /// What a pending request is answered from now on when it is repeated.
    pub(crate) fn answered(&mut self, from: E, id: u16, answer: &[u8]) {
        let found = |e: &&mut Exchange<E>| e.id == id && e.from == from;
        if let Some(e) = self.0.iter_mut().flatten().find(found) {
            e.answered(answer);
        }
    }
}

impl<E> Exchange<E> {
    fn answered(&mut self, answer: &[u8]) {
        self.length = 0;
        let Ok(message) = Message::parse(answer) else {
            return;
        };
        self.failed = message.code.class() > 2;
        if let Some(place) = self.answer.get_mut(..answer.len()) {
            place.copy_from_slice(answer);
            self.length = answer.len() as u8;
        } else if let Some(short) = Writer::new(
            &mut self.answer,
            message.kind,
            message.code,
            message.id,
            message.token,
        )
        .finish(&[])
        {
            self.length = short.len() as u8;
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

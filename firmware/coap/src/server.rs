//! The server: message layer, block-wise transfers, observers and separate responses over tables of fixed size.
use crate::exchange::{Answer, Application, Part, Request, Response, Transmit};
use crate::link;
use crate::message::{Code, Kind, Malformed, Message, Options, Writer, option, uint};

/// The largest datagram that is taken or made: 1024 bytes of payload and what stands before it (RFC 7252 §4.6).
pub const MTU: usize = 1152;
/// The largest block.
const BLOCK: usize = 1024;
/// Observers at once. Sixteen gateways or people per node; one more is answered without being registered (RFC 7641 §4.1).
pub const OBSERVERS: usize = 16;
/// Block-wise uploads at once; one more is answered 5.03.
pub const TRANSFERS: usize = 8;
/// Requests that changed something and are remembered with their answers. Reads are answered anew instead (RFC 7252 §4.5).
const EXCHANGES: usize = 32;
/// Separate responses at once: pending, or sent and not acknowledged.
const SEPARATE: usize = 6;
/// Multicast requests waiting for their leisure.
const DELAYED: usize = 2;
/// Bytes kept of an answer: it repeats whole unless its payload is longer, then with its code and options alone.
const CACHED: usize = 72;
/// Bytes kept of an observation's path, query and Accept.
const OBSERVATION: usize = 56;
/// Bytes of a separate response.
const KEPT: usize = 320;

/// Transmission parameters (RFC 7252 §4.8), in milliseconds.
const ACK_TIMEOUT: u64 = 2_000;
const MAX_RETRANSMIT: u8 = 4;
const EXCHANGE_LIFETIME: u64 = 247_000;
const NON_LIFETIME: u64 = 145_000;
/// Until then a client that got no answer may still repeat its request.
const MAX_TRANSMIT_SPAN: u64 = 45_000;
/// A response later than this is acknowledged first: well below a client's ACK_TIMEOUT (RFC 7252 §5.2.2).
const PROCESSING_DELAY: u64 = 800;
/// RFC 7252 §8.2.
const DEFAULT_LEISURE: u32 = 5_000;
/// RFC 7641 §4.5: a confirmable notification at least every 24 hours; here once an hour, so that who has gone is found out.
const CONFIRM_EVERY: u64 = 3_600_000;
/// An upload that nobody continues is forgotten (RFC 7959 §2.4 leaves the time open).
const TRANSFER_LIFETIME: u64 = EXCHANGE_LIFETIME;

/// What happened, counted. Nothing that arrives is dropped without being counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that came in.
    pub received: u32,
    /// Datagrams that went out.
    pub sent: u32,
    /// Malformed datagrams.
    pub malformed: u32,
    /// Repeated requests.
    pub duplicates: u32,
    /// Requests refused because a table was full.
    pub full: u32,
    /// Messages sent again.
    pub retransmitted: u32,
    /// Separate responses and observers given up.
    pub given_up: u32,
    /// Acknowledgements, resets and responses that belonged to nothing.
    pub stray: u32,
    /// Multicast requests that got no answer, as they must.
    pub suppressed: u32,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    bytes: [u8; 8],
    length: u8,
}

impl Token {
    fn new(token: &[u8]) -> Self {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(token) {
            *to = *from;
        }
        Self {
            bytes,
            length: token.len().min(8) as u8,
        }
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

/// A request that changed something.
#[derive(Debug)]
struct Exchange<E> {
    from: E,
    id: u16,
    confirmable: bool,
    at: u64,
    /// The answer as it was sent; nothing while it is pending.
    answer: [u8; CACHED],
    length: u8,
    /// The upload it was a part of: the next part takes its place.
    transfer: Option<u8>,
}

/// A block-wise upload.
#[derive(Debug)]
struct Transfer<E> {
    from: E,
    key: u32,
    next: u32,
    at: u64,
}

/// A client that observes.
#[derive(Debug)]
struct Observer<E> {
    from: E,
    token: Token,
    resource: u16,
    options: [u8; OBSERVATION],
    length: u8,
    method: Code,
    sequence: u32,
    changed: bool,
    last_id: u16,
    confirmed_at: u64,
    /// A confirmable notification that is not acknowledged yet: deadline and attempts.
    outstanding: Option<(u64, u8)>,
}

/// A response that comes later.
#[derive(Debug)]
struct Separate<E> {
    to: E,
    token: Token,
    /// Of the request, until it is acknowledged; then of the response.
    id: u16,
    confirmable: bool,
    multicast: bool,
    method: Code,
    no_response: u32,
    block1: Option<Part>,
    state: Pending,
    message: [u8; KEPT],
    length: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    /// The handler has not answered; the request is to be acknowledged at this time.
    Handler {
        ticket: u16,
        acknowledge: Option<u64>,
    },
    /// Sent, not acknowledged: deadline and attempts.
    Sent(u64, u8),
}

#[derive(Debug)]
struct Delayed<E> {
    from: E,
    at: u64,
    bytes: [u8; 128],
    length: u8,
}

/// A CoAP server for endpoints of type `E`.
#[derive(Debug)]
pub struct Server<E> {
    random: u64,
    id: u16,
    exchanges: [Option<Exchange<E>>; EXCHANGES],
    transfers: [Option<Transfer<E>>; TRANSFERS],
    observers: [Option<Observer<E>>; OBSERVERS],
    separate: [Option<Separate<E>>; SEPARATE],
    delayed: [Option<Delayed<E>>; DELAYED],
    counters: Counters,
}

/// How a request is answered.
struct Reply<'m> {
    kind: Kind,
    id: u16,
    token: &'m [u8],
}

impl<E: Copy + Eq> Server<E> {
    /// A server; the seed makes message IDs, back-off and leisure differ from node to node and from reset to reset.
    pub const fn new(seed: u64) -> Self {
        Self {
            random: seed | 1,
            id: seed as u16,
            exchanges: [const { None }; EXCHANGES],
            transfers: [const { None }; TRANSFERS],
            observers: [const { None }; OBSERVERS],
            separate: [const { None }; SEPARATE],
            delayed: [const { None }; DELAYED],
            counters: Counters {
                received: 0,
                sent: 0,
                malformed: 0,
                duplicates: 0,
                full: 0,
                retransmitted: 0,
                given_up: 0,
                stray: 0,
                suppressed: 0,
            },
        }
    }

    /// Makes message IDs, back-off and leisure differ from those of other nodes and other starts.
    pub fn seed(&mut self, seed: u64) {
        self.random = seed | 1;
        self.id = seed as u16;
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many clients observe.
    pub fn observers(&self) -> usize {
        self.observers.iter().flatten().count()
    }

    /// A number below `limit` (xorshift64*).
    fn random(&mut self, limit: u32) -> u32 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let high = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((high * u64::from(limit)) >> 32) as u32
    }

    fn next_id(&mut self) -> u16 {
        self.id = self.id.wrapping_add(1);
        self.id
    }

    /// The first time-out: ACK_TIMEOUT times 1 to 1.5 (RFC 7252 §4.2).
    fn time_out(&mut self) -> u64 {
        ACK_TIMEOUT + u64::from(self.random(ACK_TIMEOUT as u32 / 2))
    }

    fn transmit<T: Transmit<E>>(&mut self, out: &mut T, to: E, datagram: &[u8]) {
        self.counters.sent = self.counters.sent.wrapping_add(1);
        out.send(to, datagram);
    }

    fn empty<T: Transmit<E>>(&mut self, out: &mut T, to: E, kind: Kind, id: u16) {
        let mut buffer = [0; 4];
        if let Some(datagram) = Writer::new(&mut buffer, kind, Code::EMPTY, id, &[]).finish(&[]) {
            self.transmit(out, to, datagram);
        }
    }

    /// Takes a datagram. `multicast` says that it was sent to a group, not to this node alone.
    pub fn receive<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        from: E,
        multicast: bool,
        datagram: &[u8],
        app: &mut A,
        out: &mut T,
    ) {
        self.counters.received = self.counters.received.wrapping_add(1);
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(problem) => {
                self.counters.malformed = self.counters.malformed.wrapping_add(1);
                // RFC 7252 §4.2: a confirmable message with a format error is rejected, all else ignored (§4.3).
                if let Malformed::Reject(Kind::Con, id) = problem
                    && !multicast
                {
                    self.empty(out, from, Kind::Rst, id);
                }
                return;
            }
        };
        match (message.kind, message.code.class()) {
            (Kind::Ack | Kind::Rst, _) => self.settled(from, &message),
            // RFC 7252 §4.3: an empty confirmable message is a ping.
            (Kind::Con, 0) if message.code == Code::EMPTY && !multicast => {
                self.empty(out, from, Kind::Rst, message.id);
            }
            (_, 0) if message.code != Code::EMPTY => {
                if !multicast {
                    self.request(now, from, false, &message, app, out);
                } else if message.kind == Kind::Non {
                    self.delay(now, from, datagram);
                } else {
                    // RFC 7252 §8.1: requests to a group are non-confirmable.
                    self.counters.suppressed = self.counters.suppressed.wrapping_add(1);
                }
            }
            (kind, _) => {
                self.counters.stray = self.counters.stray.wrapping_add(1);
                // RFC 7252 §4.2: what we have no context for, responses and reserved classes, is rejected.
                if kind == Kind::Con && !multicast {
                    self.empty(out, from, Kind::Rst, message.id);
                }
            }
        }
    }

    /// An acknowledgement or a reset of something we sent.
    fn settled(&mut self, from: E, message: &Message<'_>) {
        let mut found = false;
        for place in &mut self.separate {
            if let Some(s) = place
                && s.to == from
                && s.id == message.id
                && matches!(s.state, Pending::Sent(..))
            {
                *place = None;
                found = true;
            }
        }
        for place in &mut self.observers {
            if let Some(o) = place
                && o.from == from
                && o.last_id == message.id
                && o.sequence != 0
            {
                found = true;
                // RFC 7641 §3.6: a reset ends the observation.
                if message.kind == Kind::Rst {
                    *place = None;
                } else {
                    o.outstanding = None;
                }
            }
        }
        if !found {
            self.counters.stray = self.counters.stray.wrapping_add(1);
        }
    }

    /// RFC 7252 §8.2: an answer to a group request waits for a random part of the leisure.
    fn delay(&mut self, now: u64, from: E, datagram: &[u8]) {
        let at = now + u64::from(self.random(DEFAULT_LEISURE));
        let mut bytes = [0; 128];
        let place = self.delayed.iter_mut().find(|d| d.is_none());
        if let (Some(place), Some(to)) = (place, bytes.get_mut(..datagram.len())) {
            to.copy_from_slice(datagram);
            *place = Some(Delayed {
                from,
                at,
                bytes,
                length: datagram.len() as u8,
            });
        } else {
            self.counters.full = self.counters.full.wrapping_add(1);
        }
    }

    /// What a request may not carry: an unknown critical option (RFC 7252 §5.4.1), or a known one in a wrong form (§5.4.3).
    fn refused_option(options: Options<'_>) -> Option<Code> {
        let mut last = None;
        for (number, value) in options {
            let text = core::str::from_utf8(value).is_ok();
            let repeated = last == Some(number);
            last = Some(number);
            let good = match number {
                option::PROXY_URI | option::PROXY_SCHEME => {
                    return Some(Code::PROXYING_NOT_SUPPORTED);
                }
                option::IF_MATCH => value.len() <= 8,
                option::URI_HOST => text && !repeated && !value.is_empty(),
                option::IF_NONE_MATCH => value.is_empty() && !repeated,
                option::URI_PORT | option::ACCEPT => value.len() <= 2 && !repeated,
                option::URI_PATH | option::URI_QUERY => text && value.len() <= 255,
                option::BLOCK1 | option::BLOCK2 => Part::decode(value).is_some() && !repeated,
                _ => number & 1 == 0,
            };
            if !good {
                // The reserved block size is a bad request, and no unknown option (RFC 7959 §2.2).
                let block = matches!(number, option::BLOCK1 | option::BLOCK2);
                return Some(if block {
                    Code::BAD_REQUEST
                } else {
                    Code::BAD_OPTION
                });
            }
        }
        None
    }

    fn request<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        from: E,
        multicast: bool,
        message: &Message<'_>,
        app: &mut A,
        out: &mut T,
    ) {
        let confirmable = message.kind == Kind::Con;
        if let Some(index) = self.seen(now, from, message) {
            self.counters.duplicates = self.counters.duplicates.wrapping_add(1);
            let mut copy = [0; CACHED];
            let length = self.exchanges.get(index).and_then(Option::as_ref).map(|e| {
                copy = e.answer;
                usize::from(e.length)
            });
            if let Some(answer) = copy.get(..length.unwrap_or(0))
                && !answer.is_empty()
            {
                self.transmit(out, from, answer);
            }
            return;
        }
        let pending = |s: &Separate<E>| {
            s.to == from && s.id == message.id && matches!(s.state, Pending::Handler { .. })
        };
        if self.separate.iter().flatten().any(pending) {
            self.counters.duplicates = self.counters.duplicates.wrapping_add(1);
            return;
        }
        let mut request = Request {
            method: message.code,
            payload: message.payload,
            options: message.options,
            transfer: u8::MAX,
            notification: false,
        };
        let (kind, id) = if confirmable {
            (Kind::Ack, message.id)
        } else {
            (Kind::Non, self.next_id())
        };
        let reply = Reply {
            kind,
            id,
            token: message.token,
        };
        let refused = match Self::refused_option(message.options) {
            // RFC 7252 §5.4.1: in a non-confirmable message that is grounds to ignore it.
            Some(_) if !confirmable => {
                self.counters.suppressed = self.counters.suppressed.wrapping_add(1);
                return;
            }
            Some(code) => Some(code),
            None if message.code.0 > Code::IPATCH.0 => Some(Code::METHOD_NOT_ALLOWED),
            None => None,
        };
        if let Some(code) = refused {
            self.respond(out, from, &request, &reply, None, &mut [], |r| {
                r.code(code);
                Answer::Now
            });
            return;
        }
        if !message.code.is_safe() && self.room(now).is_none() {
            self.busy(out, from, &request, &reply);
            return;
        }
        let block1 = request.block1();
        if let Some(part) = block1 {
            match self.part(now, from, &request, part, app) {
                Ok(transfer) => request.transfer = transfer,
                Err(Code::SERVICE_UNAVAILABLE) => {
                    self.busy(out, from, &request, &reply);
                    return;
                }
                Err(code) => {
                    self.respond(out, from, &request, &reply, Some(part), &mut [], |r| {
                        r.code(code);
                        Answer::Now
                    });
                    return;
                }
            }
        }
        if self.precondition_fails(&request, app) {
            self.respond(out, from, &request, &reply, block1, &mut [], |r| {
                r.code(Code::PRECONDITION_FAILED);
                Answer::Now
            });
            return;
        }
        let observe = self.register(now, from, message, &request, app);
        let mut window = [0; BLOCK];
        let core = is_core(&request);
        let mut found = true;
        let sent = self.answer(
            out,
            from,
            &request,
            &reply,
            block1,
            observe,
            multicast,
            &mut window,
            |r| {
                if core {
                    found = link::list(&*app, &request, r);
                    return Answer::Now;
                }
                app.handle(&request, r)
            },
        );
        match sent {
            Sent::Now(code, bytes, length) => {
                if !message.code.is_safe() {
                    self.remember(now, from, message, request.transfer, bytes, length);
                }
                // RFC 7641 §4.1: only a successful response makes an observer.
                if code.class() != 2 && observe.is_some() {
                    self.forget(from, message.token);
                }
                if let Some(part) = block1 {
                    self.advance(now, request.transfer, part, message.payload.len(), code);
                }
            }
            Sent::Later(ticket) => {
                if let Some(part) = block1 {
                    self.advance(
                        now,
                        request.transfer,
                        part,
                        message.payload.len(),
                        Code::CONTINUE,
                    );
                }
                let place = self.separate.iter_mut().find(|s| s.is_none());
                if let Some(place) = place {
                    *place = Some(Separate {
                        to: from,
                        token: Token::new(message.token),
                        id: message.id,
                        confirmable,
                        multicast,
                        method: message.code,
                        no_response: no_response(&request),
                        block1,
                        state: Pending::Handler {
                            ticket,
                            acknowledge: confirmable.then_some(now + PROCESSING_DELAY),
                        },
                        message: [0; KEPT],
                        length: 0,
                    });
                    if !message.code.is_safe() {
                        self.remember(now, from, message, request.transfer, [0; CACHED], 0);
                    }
                } else {
                    self.busy(out, from, &request, &reply);
                }
            }
        }
    }

    /// A table is full: 5.03 with the time after which to try again (RFC 7252 §5.9.3.4).
    fn busy<T: Transmit<E>>(
        &mut self,
        out: &mut T,
        to: E,
        request: &Request<'_>,
        reply: &Reply<'_>,
    ) {
        self.counters.full = self.counters.full.wrapping_add(1);
        self.respond(out, to, request, reply, None, &mut [], |r| {
            r.code(Code::SERVICE_UNAVAILABLE);
            r.max_age(2);
            Answer::Now
        });
    }

    // ---- deduplication ------------------------------------------------------------------------------------------------

    /// The exchange that this message repeats (RFC 7252 §4.5).
    fn seen(&self, now: u64, from: E, message: &Message<'_>) -> Option<usize> {
        self.exchanges.iter().position(|e| {
            e.as_ref().is_some_and(|e| {
                let life = if e.confirmable {
                    EXCHANGE_LIFETIME
                } else {
                    NON_LIFETIME
                };
                e.from == from && e.id == message.id && now < e.at + life
            })
        })
    }

    /// A place for one more exchange: free, out of its time, or beyond the time in which a client repeats itself.
    fn room(&self, now: u64) -> Option<usize> {
        let free = self.exchanges.iter().position(Option::is_none);
        free.or_else(|| {
            let aged = self
                .exchanges
                .iter()
                .enumerate()
                .filter_map(|(i, e)| Some((i, e.as_ref()?.at)));
            let (index, at) = aged.min_by_key(|(_, at)| *at)?;
            (now >= at + MAX_TRANSMIT_SPAN).then_some(index)
        })
    }

    fn remember(
        &mut self,
        now: u64,
        from: E,
        message: &Message<'_>,
        transfer: u8,
        answer: [u8; CACHED],
        length: u8,
    ) {
        let transfer = (transfer != u8::MAX).then_some(transfer);
        // The parts of an upload come one after the other, and its state tells old ones from new: the last one is enough.
        let same = self.exchanges.iter().position(|e| {
            e.as_ref()
                .is_some_and(|e| transfer.is_some() && e.transfer == transfer && e.from == from)
        });
        let exchange = Exchange {
            from,
            id: message.id,
            confirmable: message.kind == Kind::Con,
            at: now,
            answer,
            length,
            transfer,
        };
        if let Some(place) = same
            .or_else(|| self.room(now))
            .and_then(|i| self.exchanges.get_mut(i))
        {
            *place = Some(exchange);
        }
    }

    // ---- block-wise uploads -------------------------------------------------------------------------------------------

    /// Finds the upload a part belongs to. Keyed by endpoint, cache key and Request-Tag (RFC 7959 §2.4, RFC 9175 §3.3).
    fn part<A: Application>(
        &mut self,
        now: u64,
        from: E,
        request: &Request<'_>,
        part: Part,
        app: &mut A,
    ) -> Result<u8, Code> {
        // RFC 7959 §2.2: a block but the last is as long as it says.
        let length = request.payload.len();
        if part.more && length != usize::from(part.size) || length > usize::from(part.size) {
            return Err(Code::BAD_REQUEST);
        }
        let key = cache_key(request);
        for place in &mut self.transfers {
            if place
                .as_ref()
                .is_some_and(|t| now >= t.at + TRANSFER_LIFETIME)
            {
                *place = None;
            }
        }
        let known = self
            .transfers
            .iter()
            .position(|t| t.as_ref().is_some_and(|t| t.from == from && t.key == key));
        let begins = part.offset == 0
            || self
                .transfers
                .get(known.unwrap_or(TRANSFERS))
                .and_then(Option::as_ref)
                .is_none_or(|t| t.next != part.offset)
                && app.resumes(request, part.offset);
        let index = match known {
            Some(index) => index,
            None if !begins => return Err(Code::REQUEST_ENTITY_INCOMPLETE),
            None => {
                let free = self.transfers.iter().position(Option::is_none);
                free.ok_or(Code::SERVICE_UNAVAILABLE)?
            }
        };
        if let Some(place) = self.transfers.get_mut(index) {
            match place {
                Some(t) if !begins && t.next != part.offset => {
                    return Err(Code::REQUEST_ENTITY_INCOMPLETE);
                }
                Some(t) => {
                    t.at = now;
                    t.next = part.offset;
                }
                None => {
                    *place = Some(Transfer {
                        from,
                        key,
                        next: part.offset,
                        at: now,
                    })
                }
            }
        }
        Ok(index as u8)
    }

    /// After a part was handled: the next one is expected behind it, or the upload is over.
    fn advance(&mut self, now: u64, transfer: u8, part: Part, length: usize, code: Code) {
        if let Some(place) = self.transfers.get_mut(usize::from(transfer)) {
            if !part.more || code.class() != 2 {
                *place = None;
            } else if let Some(t) = place {
                t.next = part.offset + length as u32;
                t.at = now;
            }
        }
    }

    // ---- conditional requests -----------------------------------------------------------------------------------------

    /// RFC 7252 §5.10.8: compares the entity tag of what a GET would return now.
    fn precondition_fails<A: Application>(&self, request: &Request<'_>, app: &mut A) -> bool {
        let mut tags = request
            .options
            .filter(|(n, _)| *n == option::IF_MATCH)
            .peekable();
        let none = request.options.get(option::IF_NONE_MATCH).is_some();
        if tags.peek().is_none() && !none {
            return false;
        }
        let get = Request {
            method: Code::GET,
            payload: &[],
            ..*request
        };
        let mut response = Response::new(&mut [], 0);
        let exists = app.handle(&get, &mut response) == Answer::Now
            && response.code.is_none_or(|code| code.class() == 2);
        let tag = response.etag();
        let matched = exists && tags.clone().any(|(_, t)| t.is_empty() || t == tag);
        none && exists || tags.peek().is_some() && !matched
    }

    // ---- observers ----------------------------------------------------------------------------------------------------

    /// Registers or removes an observer (RFC 7641 §4.1); the number is the Observe option of the response.
    fn register<A: Application>(
        &mut self,
        now: u64,
        from: E,
        message: &Message<'_>,
        request: &Request<'_>,
        app: &mut A,
    ) -> Option<u32> {
        let observe = message.options.get(option::OBSERVE).and_then(uint)?;
        if message.code != Code::GET && message.code != Code::FETCH {
            return None;
        }
        // Registering again replaces the entry (RFC 7641 §4.1: same endpoint and token), removing removes it. A later
        // block of a notification is asked for without Observe (RFC 7959 §2.6).
        self.forget(from, message.token);
        let later_block = block2(request).is_some_and(|b| b.offset > 0);
        if observe != 0 || later_block || message.kind == Kind::Rst {
            return None;
        }
        let resource = app.observable(request)?;
        let mut options = [0; OBSERVATION];
        let mut w = Writer::new(&mut options, Kind::Non, Code::EMPTY, 0, &[]);
        for (number, value) in message.options {
            let kept = matches!(
                number,
                option::URI_PATH | option::URI_QUERY | option::ACCEPT
            );
            if kept || number == option::BLOCK2 {
                w.option(number, value);
            }
        }
        let length = w.finish(&[])?.len() as u8;
        let place = self.observers.iter_mut().find(|o| o.is_none())?;
        *place = Some(Observer {
            from,
            token: Token::new(message.token),
            resource,
            options,
            length,
            method: message.code,
            sequence: 1,
            changed: false,
            last_id: message.id,
            confirmed_at: now,
            outstanding: None,
        });
        Some(1)
    }

    fn forget(&mut self, from: E, token: &[u8]) {
        for place in &mut self.observers {
            if place
                .as_ref()
                .is_some_and(|o| o.from == from && o.token.get() == token)
            {
                *place = None;
            }
        }
    }

    /// A resource has changed: its observers are told at the next [`Server::poll`].
    pub fn notify(&mut self, resource: u16) {
        for o in self.observers.iter_mut().flatten() {
            o.changed |= o.resource == resource;
        }
    }

    /// Ends the observation of resources that are gone: their observers get what a GET gives now (RFC 7641 §4.2).
    fn notify_observer<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        index: usize,
        app: &mut A,
        out: &mut T,
    ) {
        let fresh = self.next_id();
        let time_out = self.time_out();
        let Some(o) = self.observers.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let retry = o.outstanding;
        let confirmable = retry.is_some() || now >= o.confirmed_at + CONFIRM_EVERY;
        let attempts = retry.map_or(0, |(_, attempts)| attempts + 1);
        o.changed = false;
        o.sequence = o.sequence % 0xff_ffff + 1;
        // RFC 7641 §4.5.2: a newer state may take the place of the one being retransmitted, with a new message ID.
        o.last_id = fresh;
        let (from, token, sequence) = (o.from, o.token, o.sequence);
        if confirmable {
            o.confirmed_at = now;
            o.outstanding = Some((now + (time_out << attempts), attempts));
        }
        let (options, method) = (o.options, o.method);
        let bytes = options.get(4..usize::from(o.length)).unwrap_or(&[]);
        let request = Request {
            method,
            payload: &[],
            options: Options::new(bytes),
            transfer: u8::MAX,
            notification: true,
        };
        let kind = if confirmable { Kind::Con } else { Kind::Non };
        let reply = Reply {
            kind,
            id: fresh,
            token: token.get(),
        };
        let mut window = [0; BLOCK];
        let observe = Some(sequence);
        let sent = self.answer(
            out,
            from,
            &request,
            &reply,
            None,
            observe,
            false,
            &mut window,
            |r| app.handle(&request, r),
        );
        // RFC 7641 §4.2: a notification that is an error ends the observation.
        if !matches!(sent, Sent::Now(code, ..) if code.class() == 2) {
            self.forget(from, token.get());
        }
    }

    // ---- responses ----------------------------------------------------------------------------------------------------

    /// A response without a body of its own.
    #[expect(
        clippy::too_many_arguments,
        reason = "one place where all of a response comes together"
    )]
    fn respond<T: Transmit<E>>(
        &mut self,
        out: &mut T,
        to: E,
        request: &Request<'_>,
        reply: &Reply<'_>,
        block1: Option<Part>,
        window: &mut [u8],
        write: impl FnOnce(&mut Response<'_>) -> Answer,
    ) {
        self.answer(out, to, request, reply, block1, None, false, window, write);
    }

    /// Lets `write` make a response and sends it.
    #[expect(
        clippy::too_many_arguments,
        reason = "one place where all of a response comes together"
    )]
    fn answer<T: Transmit<E>>(
        &mut self,
        out: &mut T,
        to: E,
        request: &Request<'_>,
        reply: &Reply<'_>,
        block1: Option<Part>,
        observe: Option<u32>,
        multicast: bool,
        window: &mut [u8],
        write: impl FnOnce(&mut Response<'_>) -> Answer,
    ) -> Sent {
        let asked = block2(request);
        let size = asked
            .map_or(BLOCK, |b| usize::from(b.size))
            .min(window.len());
        let from = asked.map_or(0, |b| b.offset);
        let mut response = Response::new(window.get_mut(..size).unwrap_or(&mut []), from);
        if let Answer::Later(ticket) = write(&mut response) {
            return Sent::Later(ticket);
        }
        let mut code = response.code.unwrap_or(match request.method {
            Code::GET | Code::FETCH => Code::CONTENT,
            Code::DELETE => Code::DELETED,
            _ => Code::CHANGED,
        });
        let total = response.total();
        if code.class() == 2 && from > 0 && from >= total {
            // RFC 7959 §2.4: beyond the end.
            response.fail(
                Code::BAD_REQUEST,
                format_args!("beyond the end of {total} bytes"),
            );
            code = Code::BAD_REQUEST;
        }
        if response.code.is_none_or(|c| c.class() == 2) && code == Code::CHANGED {
            // RFC 7959 §2.3: a part that is not the last is answered 2.31.
            if block1.is_some_and(|b| b.more) {
                code = Code::CONTINUE;
            }
        }
        let etag = response.etag();
        let valid = code == Code::CONTENT
            && request
                .options
                .filter(|(n, _)| *n == option::ETAG)
                .any(|(_, t)| t == etag);
        let good = code.class() == 2;
        let more = good && total > from + size as u32;
        let wise = good && (more || from > 0 || asked.is_some() && total > 0);
        // RFC 7967 §2: classes that the client does not want; RFC 7252 §8.2: none but good answers to a group.
        let silent = no_response(request) >> (code.class().saturating_sub(1)) & 1 == 1;
        let suppressed = silent
            || multicast
                && (!good || is_core(request) && request.queries().next().is_some() && total == 0);
        let mut buffer = [0; MTU];
        let mut w = Writer::new(
            &mut buffer,
            reply.kind,
            if valid { Code::VALID } else { code },
            reply.id,
            reply.token,
        );
        if valid || wise || good && total > 0 && request.method.is_safe() && observe.is_none() {
            w.option(option::ETAG, &etag);
        }
        if let Some(observe) = observe
            && good
        {
            w.uint(option::OBSERVE, observe);
        }
        for segment in response.location.iter().filter(|s| !s.is_empty()) {
            w.option(option::LOCATION_PATH, segment.as_bytes());
        }
        if let Some(format) = response.format
            && !valid
        {
            w.uint(option::CONTENT_FORMAT, u32::from(format));
        }
        if let Some(age) = response.max_age {
            w.uint(option::MAX_AGE, age);
        }
        if wise && !valid {
            w.uint(
                option::BLOCK2,
                Part {
                    offset: from,
                    more,
                    size: size as u16,
                }
                .encode(),
            );
        }
        if let Some(part) = block1 {
            let more = code == Code::CONTINUE;
            w.uint(option::BLOCK1, Part { more, ..part }.encode());
        }
        if wise && !valid && request.options.get(option::SIZE2).is_some() {
            w.uint(option::SIZE2, total);
        }
        if let Some(size) = response.size1 {
            w.uint(option::SIZE1, size);
        }
        let datagram = w
            .finish(if valid { &[] } else { response.kept() })
            .unwrap_or(&[]);
        let mut copy = [0; CACHED];
        let mut length = 0;
        if suppressed {
            self.counters.suppressed = self.counters.suppressed.wrapping_add(1);
            // RFC 7967 §2: a confirmable request is acknowledged all the same.
            if reply.kind == Kind::Ack {
                self.empty(out, to, Kind::Ack, reply.id);
            }
        } else {
            self.transmit(out, to, datagram);
            if let Some(place) = copy.get_mut(..datagram.len()) {
                place.copy_from_slice(datagram);
                length = datagram.len() as u8;
            } else if let Some(short) =
                Writer::new(&mut copy, reply.kind, code, reply.id, reply.token).finish(&[])
            {
                length = short.len() as u8;
            }
        }
        Sent::Now(code, copy, length)
    }

    /// Answers a request whose handler said [`Answer::Later`]; `false` when there is none with this ticket. The response
    /// goes with the acknowledgement when there is still time, else as a message of its own (RFC 7252 §5.2.2).
    pub fn complete<T: Transmit<E>>(
        &mut self,
        now: u64,
        ticket: u16,
        write: impl FnOnce(&mut Response<'_>),
        out: &mut T,
    ) -> bool {
        let waits = |s: &Option<Separate<E>>| {
            s.as_ref().is_some_and(
                |s| matches!(s.state, Pending::Handler { ticket: t, .. } if t == ticket),
            )
        };
        let Some(index) = self.separate.iter().position(waits) else {
            return false;
        };
        let Some(mut s) = self.separate.get_mut(index).and_then(Option::take) else {
            return false;
        };
        let piggy_backed = matches!(
            s.state,
            Pending::Handler {
                acknowledge: Some(_),
                ..
            }
        );
        let (kind, id) = match (s.confirmable, piggy_backed) {
            (true, true) => (Kind::Ack, s.id),
            (true, false) => (Kind::Con, self.next_id()),
            (false, _) => (Kind::Non, self.next_id()),
        };
        let mut options = [0; 8];
        let mut w = Writer::new(&mut options, Kind::Non, Code::EMPTY, 0, &[]);
        if s.no_response != 0 {
            w.uint(option::NO_RESPONSE, s.no_response);
        }
        let bytes = w.finish(&[]).and_then(|b| b.get(4..)).unwrap_or(&[]);
        let request = Request {
            method: s.method,
            payload: &[],
            options: Options::new(bytes),
            transfer: u8::MAX,
            notification: false,
        };
        let reply = Reply {
            kind,
            id,
            token: s.token.get(),
        };
        let mut window = [0; KEPT - 64];
        let mut kept = Keep {
            out,
            message: &mut s.message,
            length: 0,
        };
        let sent = self.answer(
            &mut kept,
            s.to,
            &request,
            &reply,
            s.block1,
            None,
            s.multicast,
            &mut window,
            |r| {
                write(r);
                Answer::Now
            },
        );
        let length = kept.length;
        let (from, request_id) = (s.to, s.id);
        if let Sent::Now(code, bytes, cached) = sent {
            for e in self.exchanges.iter_mut().flatten() {
                if e.from == from && e.id == request_id && e.length == 0 {
                    e.answer = bytes;
                    e.length = cached;
                }
            }
            if code.class() != 2
                && let Some(part) = s.block1
            {
                // The upload has failed: what follows is not part of it.
                for place in &mut self.transfers {
                    if place.as_ref().is_some_and(|t| {
                        t.from == from && t.next == part.offset + u32::from(part.size)
                    }) {
                        *place = None;
                    }
                }
            }
        }
        if kind == Kind::Con && length > 0 {
            s.length = length;
            s.id = id;
            s.state = Pending::Sent(now + self.time_out(), 0);
            if let Some(place) = self.separate.get_mut(index) {
                *place = Some(s);
            }
        }
        true
    }

    // ---- time ---------------------------------------------------------------------------------------------------------

    /// Sends what is due and returns when to call again at the latest.
    pub fn poll<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        app: &mut A,
        out: &mut T,
    ) -> Option<u64> {
        for index in 0..DELAYED {
            let due = self
                .delayed
                .get_mut(index)
                .and_then(|d| d.take_if(|d| now >= d.at));
            if let Some(d) = due
                && let Ok(message) =
                    Message::parse(d.bytes.get(..usize::from(d.length)).unwrap_or(&[]))
            {
                self.request(now, d.from, true, &message, app, out);
            }
        }
        for index in 0..SEPARATE {
            self.poll_separate(now, index, out);
        }
        for index in 0..OBSERVERS {
            let Some(o) = self.observers.get(index).and_then(Option::as_ref) else {
                continue;
            };
            let due = match o.outstanding {
                Some((deadline, attempts)) if now >= deadline => {
                    if attempts >= MAX_RETRANSMIT {
                        // RFC 7641 §4.5: who does not acknowledge is removed.
                        self.counters.given_up = self.counters.given_up.wrapping_add(1);
                        if let Some(place) = self.observers.get_mut(index) {
                            *place = None;
                        }
                        continue;
                    }
                    self.counters.retransmitted = self.counters.retransmitted.wrapping_add(1);
                    true
                }
                // RFC 7641 §4.5.1: one outstanding confirmable notification at a time.
                Some(_) => false,
                None => o.changed || now >= o.confirmed_at + CONFIRM_EVERY,
            };
            if due {
                self.notify_observer(now, index, app, out);
            }
        }
        let delayed = self.delayed.iter().flatten().map(|d| d.at);
        let separate = self
            .separate
            .iter()
            .flatten()
            .filter_map(|s| match s.state {
                Pending::Handler { acknowledge, .. } => acknowledge,
                Pending::Sent(deadline, _) => Some(deadline),
            });
        let observers = self.observers.iter().flatten().map(|o| {
            o.outstanding
                .map_or(o.confirmed_at + CONFIRM_EVERY, |(deadline, _)| deadline)
        });
        delayed.chain(separate).chain(observers).min()
    }

    fn poll_separate<T: Transmit<E>>(&mut self, now: u64, index: usize, out: &mut T) {
        let Some(s) = self.separate.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        match &mut s.state {
            Pending::Handler { acknowledge, .. } => {
                if acknowledge.is_some_and(|at| now >= at) {
                    *acknowledge = None;
                    let (to, id) = (s.to, s.id);
                    self.empty(out, to, Kind::Ack, id);
                    // A repeated request is acknowledged again.
                    for e in self.exchanges.iter_mut().flatten() {
                        if e.from == to && e.id == id && e.length == 0 {
                            let ack = [0x60, 0, (id >> 8) as u8, id as u8];
                            if let Some(place) = e.answer.get_mut(..4) {
                                place.copy_from_slice(&ack);
                            }
                        }
                    }
                }
            }
            Pending::Sent(deadline, attempts) if now >= *deadline => {
                if *attempts >= MAX_RETRANSMIT {
                    self.counters.given_up = self.counters.given_up.wrapping_add(1);
                    if let Some(place) = self.separate.get_mut(index) {
                        *place = None;
                    }
                    return;
                }
                *attempts += 1;
                *deadline = now + (ACK_TIMEOUT << *attempts);
                self.counters.retransmitted = self.counters.retransmitted.wrapping_add(1);
                self.counters.sent = self.counters.sent.wrapping_add(1);
                out.send(s.to, s.message.get(..usize::from(s.length)).unwrap_or(&[]));
            }
            Pending::Sent(..) => {}
        }
    }
}

/// What became of a request.
enum Sent {
    /// Answered with this code; the bytes repeat it.
    Now(Code, [u8; CACHED], u8),
    Later(u16),
}

/// Sends, and keeps a copy for retransmission.
struct Keep<'o, T> {
    out: &'o mut T,
    message: &'o mut [u8; KEPT],
    length: u16,
}

impl<E, T: Transmit<E>> Transmit<E> for Keep<'_, T> {
    fn send(&mut self, to: E, datagram: &[u8]) {
        if let Some(place) = self.message.get_mut(..datagram.len()) {
            place.copy_from_slice(datagram);
            self.length = datagram.len() as u16;
        }
        self.out.send(to, datagram);
    }
}

fn block2(request: &Request<'_>) -> Option<Part> {
    request.options.get(option::BLOCK2).and_then(Part::decode)
}

fn no_response(request: &Request<'_>) -> u32 {
    request.options.uint(option::NO_RESPONSE).unwrap_or(0)
}

fn is_core(request: &Request<'_>) -> bool {
    request.method == Code::GET && request.path().eq([".well-known", "core"])
}

/// What makes two requests parts of one body: method and all options but those that a block-wise transfer changes (RFC 7959
/// §2.4, RFC 7252 §5.4.2), the Request-Tag among them (RFC 9175 §3.3).
fn cache_key(request: &Request<'_>) -> u32 {
    let mut hash = 0x811c_9dc5 ^ u32::from(request.method.0);
    let mut mix = |byte: u8| hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    for (number, value) in request.options {
        // Options of which the number says NoCacheKey (RFC 7252 §5.4.6) and the block options are left out.
        let no_cache_key = number & 0x1e == 0x1c;
        if no_cache_key
            || matches!(
                number,
                option::BLOCK1 | option::BLOCK2 | option::OBSERVE | option::ECHO
            )
        {
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

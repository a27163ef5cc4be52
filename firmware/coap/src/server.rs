//! The server: takes datagrams apart, asks the application, and puts answers together.
use crate::exchange::{Answer, Application, Part, Request, Response, Transmit};
use crate::exchanges::{Exchanges, acknowledgement, empty};
use crate::limits::{
    ACK_TIMEOUT, AMPLIFICATION, BLOCK, DEFAULT_LEISURE, DELAYED, DELAYED_BYTES, HEAD, HEADERS,
    KEPT, KEPT_BLOCK, MTU, OBSERVERS, PROCESSING_DELAY, RETRY, SEPARATE, UNSAFE_ANSWER,
};
use crate::link;
use crate::message::{Code, Kind, Malformed, Message, Options, Token, Writer, option, uint};
use crate::observers::{self, Observers, Registration};
use crate::peers::Peers;
use crate::separate::{self, Pending, Separate, Separates};
use crate::transfers::{Transfers, cache_key};

/// What happened, counted. Each datagram that comes in is counted once more under what became of it: `received` is the sum
/// of `malformed`, `pings`, `settled`, `stray`, `duplicates`, `answered`, `separate`, `full`, `suppressed` and of the
/// multicast requests that still wait ([`Server::waiting`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that came in.
    pub received: u32,
    /// Datagrams that went out.
    pub sent: u32,
    /// Malformed datagrams.
    pub malformed: u32,
    /// Empty confirmable messages.
    pub pings: u32,
    /// Acknowledgements and resets of what was sent.
    pub settled: u32,
    /// Acknowledgements, resets and responses that belonged to nothing.
    pub stray: u32,
    /// Repeated requests.
    pub duplicates: u32,
    /// Requests that were answered at once.
    pub answered: u32,
    /// Requests whose handler answers later.
    pub separate: u32,
    /// Requests refused, or dropped when they came to a group, because a table was full.
    pub full: u32,
    /// Requests that got no answer, as they must or as they asked for.
    pub suppressed: u32,
    /// Registrations answered without one, because the table was full or the request too long to be kept.
    pub unobserved: u32,
    /// Messages sent again.
    pub retransmitted: u32,
    /// Separate responses and observers given up.
    pub given_up: u32,
}

#[derive(Debug)]
struct Delayed<E> {
    from: E,
    at: u64,
    bytes: [u8; DELAYED_BYTES],
    length: u8,
}

/// A CoAP server for endpoints of type `E`.
#[derive(Debug)]
pub struct Server<E> {
    random: u64,
    id: u16,
    /// The value of the newest Observe option: one count for all, so that it never falls for any (RFC 7641 §4.4).
    sequence: u32,
    trusts: fn(&E) -> bool,
    exchanges: Exchanges<E>,
    transfers: Transfers<E>,
    observers: Observers<E>,
    separates: Separates<E>,
    peers: Peers<E>,
    delayed: [Option<Delayed<E>>; DELAYED],
    counters: Counters,
    /// Where answers are made: the body behind `HEAD` bytes, then what stands before it up to it.
    scratch: [u8; MTU],
}

/// How a request is to be answered: what is needed of it once its handler has run.
#[derive(Clone, Copy)]
struct Reply<'m> {
    kind: Kind,
    id: u16,
    token: &'m [u8],
    method: Code,
    /// ETags the client has.
    tags: Options<'m>,
    block1: Option<Part>,
    block2: Option<Part>,
    /// Whether the request is refused for its options or method alone.
    refused: Option<Code>,
    /// Whether it depends on the present state (RFC 7252 §5.10.8).
    conditional: bool,
    /// What it echoes (RFC 9175 §2.2).
    echo: Option<&'m [u8]>,
    /// The Observe option of the request (RFC 7641 §2).
    wants: Option<u32>,
    /// Whether the size of the body is asked for.
    size2: bool,
    /// Classes of responses that the client does not want (RFC 7967 §2).
    silent: u8,
    observe: Option<u32>,
    multicast: bool,
    /// A notification: when it is an error, it is the last one, and confirmable so that it arrives.
    notification: bool,
    /// A body without Block1 that is longer than a block: how long one may be is said with 4.13 (RFC 7959 §2.9.3).
    oversized: bool,
    /// The request is a discovery with filters.
    filtered: bool,
    /// The most bytes that the answer may have, to a peer that has not shown itself.
    most: Option<usize>,
    /// The largest block.
    block: usize,
}

/// What became of a request.
enum Sent {
    /// Answered with this code: the message lies in the scratch buffer between these offsets. Nothing when there was none.
    Now {
        code: Code,
        format: Option<u16>,
        at: usize,
        end: usize,
        suppressed: bool,
    },
    Later(u16),
}

impl<E: Copy + Eq> Server<E> {
    /// A server; the seed makes message IDs, back-off, leisure and challenges differ from node to node and from reset to
    /// reset.
    // Not inlined: it is then made where it stays, and the stack of a small board needs no room for a second one.
    #[inline(never)]
    pub const fn new(seed: u64) -> Self {
        Self {
            random: seed | 1,
            id: seed as u16,
            sequence: 0,
            trusts: |_| false,
            exchanges: Exchanges::new(),
            transfers: Transfers::new(),
            observers: Observers::new(),
            separates: Separates::new(),
            peers: Peers::new(),
            delayed: [const { None }; DELAYED],
            counters: Counters {
                received: 0,
                sent: 0,
                malformed: 0,
                pings: 0,
                settled: 0,
                stray: 0,
                duplicates: 0,
                answered: 0,
                separate: 0,
                full: 0,
                suppressed: 0,
                unobserved: 0,
                retransmitted: 0,
                given_up: 0,
            },
            scratch: [0; MTU],
        }
    }

    /// Makes message IDs, back-off and leisure differ from those of other nodes and other starts.
    pub fn seed(&mut self, seed: u64) {
        self.random = seed | 1;
        self.id = seed as u16;
    }

    /// Which peers need not show that they are where they say: those of a link on which nobody can claim to be another, such
    /// as a serial line.
    pub fn trust(&mut self, trusts: fn(&E) -> bool) {
        self.trusts = trusts;
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many clients observe.
    pub fn observers(&self) -> usize {
        self.observers.count()
    }

    /// How many uploads are under way.
    pub fn transfers(&self) -> usize {
        self.transfers.open()
    }

    /// How many multicast requests wait for their leisure.
    pub fn waiting(&self) -> usize {
        self.delayed.iter().flatten().count()
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

    /// RFC 7641 §4.4: 24 bits that only rise.
    fn next_sequence(&mut self) -> u32 {
        self.sequence = (self.sequence + 1) & 0xff_ffff;
        self.sequence
    }

    /// The first time-out: ACK_TIMEOUT times 1 to 1.5 (RFC 7252 §4.2).
    fn time_out(&mut self) -> u64 {
        ACK_TIMEOUT + u64::from(self.random(ACK_TIMEOUT as u32 / 2))
    }

    fn transmit<T: Transmit<E>>(&mut self, out: &mut T, to: E, datagram: &[u8]) {
        count(&mut self.counters.sent);
        out.send(to, datagram);
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
        count(&mut self.counters.received);
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(problem) => {
                count(&mut self.counters.malformed);
                // RFC 7252 §4.2: a confirmable message with a format error is rejected, all else ignored (§4.3).
                if let Malformed::Reject(Kind::Con, id) = problem
                    && !multicast
                {
                    self.transmit(out, from, &empty(Kind::Rst, id));
                }
                return;
            }
        };
        match (message.kind, message.code.class()) {
            (Kind::Ack | Kind::Rst, _) => {
                // RFC 7252 §4.2: both are empty when they answer what we send, which is no request.
                let known = message.code == Code::EMPTY
                    && (self.separates.settled(from, message.id)
                        || self.observers.settled(now, from, message.kind, message.id));
                count(if known {
                    &mut self.counters.settled
                } else {
                    &mut self.counters.stray
                });
            }
            // RFC 7252 §4.3: an empty confirmable message is a ping.
            (Kind::Con, 0) if message.code == Code::EMPTY && !multicast => {
                count(&mut self.counters.pings);
                self.transmit(out, from, &empty(Kind::Rst, message.id));
            }
            (_, 0) if message.code != Code::EMPTY => {
                if !multicast {
                    self.request(now, from, false, datagram.len(), &message, app, out);
                } else if message.kind == Kind::Non {
                    self.delay(now, from, message.id, datagram);
                } else {
                    // RFC 7252 §8.1: requests to a group are non-confirmable.
                    count(&mut self.counters.suppressed);
                }
            }
            (kind, _) => {
                count(&mut self.counters.stray);
                // RFC 7252 §4.2: what we have no context for, responses and reserved classes, is rejected.
                if kind == Kind::Con && !multicast {
                    self.transmit(out, from, &empty(Kind::Rst, message.id));
                }
            }
        }
    }

    /// RFC 7252 §8.2: an answer to a group request waits for a random part of the leisure.
    fn delay(&mut self, now: u64, from: E, id: u16, datagram: &[u8]) {
        let same = |d: &Delayed<E>| d.from == from && d.bytes.get(2..4) == Some(&id.to_be_bytes());
        if self.delayed.iter().flatten().any(same) {
            count(&mut self.counters.duplicates);
            return;
        }
        let at = now + u64::from(self.random(DEFAULT_LEISURE));
        let mut bytes = [0; DELAYED_BYTES];
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
            count(&mut self.counters.full);
        }
    }

    /// Deals with a request of `size` bytes.
    #[expect(
        clippy::too_many_arguments,
        reason = "a datagram with all that is known of it"
    )]
    fn request<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        from: E,
        multicast: bool,
        size: usize,
        message: &Message<'_>,
        app: &mut A,
        out: &mut T,
    ) {
        let confirmable = message.kind == Kind::Con;
        if self.repeated(now, from, message, out) {
            count(&mut self.counters.duplicates);
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
        let mut reply = Reply::new(kind, id, message);
        // RFC 7252 §5.4.1: an unknown critical option in a non-confirmable message is grounds to ignore it.
        if reply.refused == Some(Code::BAD_OPTION) && !confirmable {
            count(&mut self.counters.suppressed);
            return;
        }
        reply.multicast = multicast;
        let known =
            (self.trusts)(&from) || self.peers.verified(from, message.options.get(option::ECHO));
        if !known {
            // Without its payload: then the requests for further blocks are answered with blocks of the same size.
            let bare = size.saturating_sub(message.payload.len());
            let least = if message.code.is_safe() {
                0
            } else {
                UNSAFE_ANSWER
            };
            reply.most = Some((AMPLIFICATION * (bare + HEADERS) - HEADERS).max(least));
            self.peers.refill(now);
        }
        if let Some(code) = reply.refused {
            let sent = self.plain(out, from, &reply, code);
            self.account(&sent);
            return;
        }
        let block1 = reply.block1;
        let key = if block1.is_some() {
            cache_key(&request)
        } else {
            0
        };
        if block1.is_some() && self.transfers.had(now, from, key, message.id) {
            count(&mut self.counters.duplicates);
            return;
        }
        // What is carried out is remembered, or else not carried out.
        let once = !message.code.is_safe() || block1.is_some();
        if once && (self.exchanges.room(now).is_none() || !self.separates.room()) {
            self.busy(out, from, &reply);
            return;
        }
        if let Some(part) = block1 {
            let length = message.payload.len();
            let resumes = || app.resumes(&request, part.offset);
            match self
                .transfers
                .part(now, from, key, message.id, part, length, resumes)
            {
                Ok(transfer) => request.transfer = transfer,
                Err(Code::SERVICE_UNAVAILABLE) => {
                    self.busy(out, from, &reply);
                    return;
                }
                Err(code) => {
                    let sent = self.plain(out, from, &reply, code);
                    self.account(&sent);
                    return;
                }
            }
        }
        let transfer = block1.map(|_| request.transfer);
        let observer = if multicast {
            None
        } else {
            self.register(now, from, known, message, &request, &mut reply, app)
        };
        let path = message.options.filter(|(n, _)| *n == option::URI_PATH);
        let core = path.map(|(_, s)| s).eq([&b".well-known"[..], b"core"]);
        reply.filtered = core && message.options.get(option::URI_QUERY).is_some();
        let rest = once && block1.is_none() && reply.block2.is_some_and(|b| b.offset > 0);
        let failed = reply.conditional && precondition_fails(&request, app);
        let sent = self.answer(out, from, &reply, |r| {
            if failed {
                r.code(Code::PRECONDITION_FAILED);
                Answer::Now
            } else if core {
                link::list(&*app, &request, r)
            } else if rest {
                // RFC 7959 §2.7: the request was carried out; this is about the rest of its answer.
                app.again(&request, r)
            } else {
                app.handle(&request, r)
            }
        });
        match sent {
            Sent::Now {
                code,
                format,
                at,
                end,
                ..
            } => {
                self.account(&sent);
                if once {
                    let answer = self.scratch.get(at..end).unwrap_or(&[]);
                    self.exchanges
                        .remember(now, from, message, transfer, answer);
                }
                if let Some(index) = observer {
                    // RFC 7641 §4.1: only a successful response makes an observer.
                    if code.class() != 2 {
                        self.observers.remove(index);
                    } else if let Some(o) = self.observers.at(index) {
                        o.format = format;
                    }
                }
                if let (Some(part), Some(transfer)) = (block1, transfer) {
                    self.transfers
                        .advance(now, transfer, part, message.payload.len(), code);
                }
            }
            Sent::Later(ticket) => {
                if let Some(index) = observer {
                    self.observers.remove(index);
                }
                if let (Some(part), Some(transfer)) = (block1, transfer) {
                    let length = message.payload.len();
                    self.transfers
                        .advance(now, transfer, part, length, Code::CONTINUE);
                }
                let added = self.separates.add(Separate {
                    to: from,
                    token: Token::new(message.token),
                    request: message.id,
                    confirmable,
                    multicast,
                    method: message.code,
                    silent: reply.silent,
                    block1,
                    block2: reply.block2,
                    most: reply.most,
                    transfer,
                    since: now,
                    state: Pending::Handler {
                        ticket,
                        acknowledge: confirmable.then_some(now + PROCESSING_DELAY),
                    },
                    message: [0; KEPT],
                    length: 0,
                });
                match added {
                    None => self.busy(out, from, &reply),
                    Some(gave_way) => {
                        self.counters.given_up =
                            self.counters.given_up.wrapping_add(u32::from(gave_way));
                        count(&mut self.counters.separate);
                        self.exchanges.remember(now, from, message, transfer, &[]);
                    }
                }
            }
        }
    }

    /// Whether this request has been seen before; then it gets what the first one got (RFC 7252 §4.5).
    fn repeated<T: Transmit<E>>(
        &mut self,
        now: u64,
        from: E,
        message: &Message<'_>,
        out: &mut T,
    ) -> bool {
        let mut short = [0; 12];
        if let Some(answer) = self.exchanges.seen(now, from, message, &mut short) {
            if !answer.is_empty() {
                count(&mut self.counters.sent);
                out.send(from, answer);
            }
            return true;
        }
        // A read that is answered later is known by its response that is to come.
        let Some(s) = self.separates.of_request(from, message.id) else {
            return false;
        };
        let waits = matches!(
            s.state,
            Pending::Handler {
                acknowledge: Some(_),
                ..
            }
        );
        if s.confirmable && !waits {
            self.transmit(out, from, &acknowledgement(message.id));
        }
        true
    }

    /// Counts what became of a request that was dealt with at once.
    fn account(&mut self, sent: &Sent) {
        count(match sent {
            Sent::Now {
                suppressed: true, ..
            } => &mut self.counters.suppressed,
            _ => &mut self.counters.answered,
        });
    }

    /// A table is full: 5.03 with the time after which to try again (RFC 7252 §5.9.3.4).
    fn busy<T: Transmit<E>>(&mut self, out: &mut T, to: E, reply: &Reply<'_>) {
        count(&mut self.counters.full);
        self.answer(out, to, reply, |r| {
            r.code(Code::SERVICE_UNAVAILABLE);
            r.max_age(RETRY);
            Answer::Now
        });
    }

    /// A response that is a code alone.
    fn plain<T: Transmit<E>>(&mut self, out: &mut T, to: E, reply: &Reply<'_>, code: Code) -> Sent {
        self.answer(out, to, reply, |r| {
            r.code(code);
            Answer::Now
        })
    }

    // ---- observers ----------------------------------------------------------------------------------------------------

    /// Registers or removes an observer (RFC 7641 §4.1); its place in the table.
    #[expect(
        clippy::too_many_arguments,
        reason = "a request with all that is known of it"
    )]
    fn register<A: Application>(
        &mut self,
        now: u64,
        from: E,
        known: bool,
        message: &Message<'_>,
        request: &Request<'_>,
        reply: &mut Reply<'_>,
        app: &mut A,
    ) -> Option<usize> {
        let observe = reply.wants?;
        if message.code != Code::GET && message.code != Code::FETCH {
            return None;
        }
        // Registering again replaces the entry (RFC 7641 §4.1: same endpoint and token), removing removes it. A later
        // block of a notification is asked for without Observe (RFC 7959 §2.6).
        self.observers.forget(from, message.token);
        let later_block = reply.block2.is_some_and(|b| b.offset > 0);
        if observe != 0 || later_block {
            return None;
        }
        let resource = app.observable(request)?;
        let sequence = self.next_sequence();
        // A piggy-backed response cannot be reset; it counts as one that was never sent.
        let response = if reply.kind == Kind::Non {
            reply.id
        } else {
            self.next_id()
        };
        let registration = Registration {
            from,
            message,
            resource,
            response,
            known,
            sequence,
        };
        let index = self.observers.register(now, &registration);
        if index.is_some() {
            reply.observe = Some(sequence);
        } else {
            count(&mut self.counters.unobserved);
        }
        index
    }

    /// A resource has changed: its observers are told at the next [`Server::poll`].
    pub fn notify(&mut self, resource: u16) {
        self.observers.notify(resource);
    }

    /// Whether anybody observes a resource.
    pub fn observed(&self, resource: u16) -> bool {
        self.observers.any(resource)
    }

    fn poll_observer<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        index: usize,
        app: &mut A,
        out: &mut T,
    ) {
        let Some(o) = self.observers.at(index) else {
            return;
        };
        let reliable = app.reliable(o.resource());
        match o.due(now, reliable) {
            observers::Due::Nothing => {}
            observers::Due::GiveUp => {
                count(&mut self.counters.given_up);
                self.observers.remove(index);
            }
            observers::Due::Fresh(kind) => {
                let (id, sequence) = (self.next_id(), self.next_sequence());
                self.notify_observer(now, index, kind, id, sequence, app, out);
            }
            observers::Due::Again(id) => {
                let sequence = o.sequence;
                count(&mut self.counters.retransmitted);
                self.notify_observer(now, index, Kind::Con, id, sequence, app, out);
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a notification with all that makes it"
    )]
    fn notify_observer<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        index: usize,
        kind: Kind,
        id: u16,
        sequence: u32,
        app: &mut A,
        out: &mut T,
    ) {
        let time_out = self.time_out();
        let Some(o) = self.observers.at(index) else {
            return;
        };
        o.sent(now, kind, id, sequence, time_out);
        let (from, token, format, known) = (o.from, o.token, o.format, o.known());
        let (bytes, length) = o.request();
        let Ok(message) = Message::parse(bytes.get(..length).unwrap_or(&[])) else {
            return;
        };
        let request = Request {
            method: message.code,
            payload: message.payload,
            options: message.options,
            transfer: u8::MAX,
            notification: true,
        };
        let mut reply = Reply::new(kind, id, &message);
        reply.token = token.get();
        reply.observe = Some(sequence);
        reply.notification = true;
        if !known && !(self.trusts)(&from) && !self.peers.verified(from, None) {
            reply.most = Some(AMPLIFICATION * (length + HEADERS) - HEADERS);
            self.peers.refill(now);
        }
        let sent = self.answer(out, from, &reply, |r| {
            if app.handle(&request, r) != Answer::Now {
                return r.fail(
                    Code::INTERNAL_SERVER_ERROR,
                    format_args!("what is observed answers at once"),
                );
            }
            // RFC 7641 §4.2: the format stays what it was at first.
            if r.code.is_none_or(|code| code.class() == 2) && r.format != format {
                return r.fail(Code::NOT_ACCEPTABLE, format_args!("the format has changed"));
            }
            Answer::Now
        });
        if let Sent::Now { code, at, end, .. } = sent
            && code.class() != 2
        {
            // RFC 7641 §4.2: a notification that is an error ends the observation; it is sent until it is acknowledged.
            self.observers.remove(index);
            let mut separate = Separate {
                to: from,
                token,
                request: id,
                confirmable: true,
                multicast: false,
                method: message.code,
                silent: 0,
                block1: None,
                block2: None,
                most: None,
                transfer: None,
                since: now,
                state: Pending::Sent {
                    id,
                    deadline: now + time_out,
                    attempts: 0,
                },
                message: [0; KEPT],
                length: 0,
            };
            if separate.keep(self.scratch.get(at..end).unwrap_or(&[])) {
                self.separates.add(separate);
            }
        }
    }

    // ---- responses ----------------------------------------------------------------------------------------------------

    /// Lets `write` make a response and sends it.
    fn answer<T: Transmit<E>>(
        &mut self,
        out: &mut T,
        to: E,
        reply: &Reply<'_>,
        write: impl FnOnce(&mut Response<'_>) -> Answer,
    ) -> Sent {
        let from = reply.block2.map_or(0, |b| b.offset);
        let window = self.scratch.get_mut(HEAD..HEAD + reply.block);
        let mut response = Response::new(window.unwrap_or(&mut []), from);
        if let Answer::Later(ticket) = write(&mut response) {
            return Sent::Later(ticket);
        }
        let mut code = response.code.unwrap_or(match reply.method {
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
        // RFC 7959 §2.3: a part that is not the last is answered 2.31.
        if code == Code::CHANGED && reply.block1.is_some_and(|b| b.more) {
            code = Code::CONTINUE;
        }
        let good = code.class() == 2;
        let etag = response.etag();
        let valid = code == Code::CONTENT && { reply.tags }
            .any(|(number, tag)| number == option::ETAG && tag == etag);
        // The block, the remains of the body when it fits, or less where that is all a peer may get.
        let mut size = reply.block2.map_or(reply.block, |b| usize::from(b.size));
        size = if good {
            size.min(reply.block)
        } else {
            reply.block
        };
        let remains = if good {
            total.saturating_sub(from) as usize
        } else {
            response.kept()
        };
        let room = reply.room();
        let large = !valid && remains.min(size) > room;
        let small = large && !self.peers.give(remains.min(size) - room);
        if small {
            size = 1 << room.max(16).ilog2();
        }
        let more = good && remains > size;
        let wise = good && (more || from > 0 || reply.block2.is_some() && total > 0);
        let kept = if valid {
            0
        } else {
            remains.min(if small && !good { room } else { size })
        };
        let unwanted = reply.silent >> (code.class().saturating_sub(1)) & 1 == 1;
        // RFC 7252 §8.2: nothing but good answers to a group, and none that says that nothing matches.
        let suppressed = unwanted || reply.multicast && (!good || reply.filtered && total == 0);
        let (format, max_age, size1) = (response.format, response.max_age, response.size1);
        let (path, query) = (response.location, response.location_query);
        let echo = large.then(|| {
            let fresh = u64::from(self.random(u32::MAX)) << 32 | u64::from(self.random(u32::MAX));
            self.peers.challenge(to, fresh.to_be_bytes())
        });
        let mut head = [0; HEAD];
        let code = if valid { Code::VALID } else { code };
        let kind = if reply.notification && !good {
            Kind::Con
        } else {
            reply.kind
        };
        let mut w = Writer::new(&mut head, kind, code, reply.id, reply.token);
        if good && (valid || total > 0 && (wise || reply.method.is_safe())) {
            w.option(option::ETAG, &etag);
        }
        if let Some(observe) = reply.observe.filter(|_| good) {
            w.uint(option::OBSERVE, observe);
        }
        for segment in path {
            w.option(option::LOCATION_PATH, segment.as_bytes());
        }
        if let Some(format) = format.filter(|_| !valid) {
            w.uint(option::CONTENT_FORMAT, u32::from(format));
        }
        if let Some(age) = max_age {
            w.uint(option::MAX_AGE, age);
        }
        for part in query {
            w.option(option::LOCATION_QUERY, part.as_bytes());
        }
        if wise && !valid {
            let size = size as u16;
            let part = Part {
                offset: from,
                more,
                size,
            };
            w.uint(option::BLOCK2, part.encode());
        }
        let first = Part {
            offset: 0,
            more: false,
            size: BLOCK as u16,
        };
        let too_large = reply.oversized && code == Code::REQUEST_ENTITY_TOO_LARGE;
        if let Some(part) = reply.block1.or(too_large.then_some(first)) {
            let more = code == Code::CONTINUE;
            w.uint(option::BLOCK1, Part { more, ..part }.encode());
        }
        // RFC 7959 §4: told to whoever asks.
        if reply.size2 && good && !valid {
            w.uint(option::SIZE2, total);
        }
        if let Some(size) = size1 {
            w.uint(option::SIZE1, size);
        }
        if let Some(echo) = echo {
            w.option(option::ECHO, &echo);
        }
        let head = w.head(kept > 0).unwrap_or(&[]);
        let at = HEAD - head.len();
        if let Some(place) = self.scratch.get_mut(at..HEAD) {
            place.copy_from_slice(head);
        }
        let (mut at, mut end) = (at, HEAD + kept);
        if suppressed {
            (at, end) = (0, 0);
            // RFC 7967 §2: a confirmable request is acknowledged all the same.
            if reply.kind == Kind::Ack {
                end = 4;
                if let Some(place) = self.scratch.get_mut(..end) {
                    place.copy_from_slice(&acknowledgement(reply.id));
                }
            }
        }
        if end > at {
            count(&mut self.counters.sent);
            out.send(to, self.scratch.get(at..end).unwrap_or(&[]));
        }
        Sent::Now {
            code,
            format,
            at,
            end,
            suppressed,
        }
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
        let found = self.separates.of_ticket(ticket);
        let Some(mut s) = found.and_then(|index| self.separates.take(index)) else {
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
            (true, true) => (Kind::Ack, s.request),
            (true, false) => (Kind::Con, self.next_id()),
            (false, _) => (Kind::Non, self.next_id()),
        };
        let token = s.token;
        let reply = Reply {
            kind,
            id,
            token: token.get(),
            method: s.method,
            tags: Options::new(&[]),
            block1: s.block1,
            block2: s.block2,
            refused: None,
            conditional: false,
            echo: None,
            wants: None,
            size2: false,
            silent: s.silent,
            observe: None,
            multicast: s.multicast,
            notification: false,
            oversized: false,
            filtered: false,
            most: s.most,
            block: KEPT_BLOCK,
        };
        let sent = self.answer(out, s.to, &reply, |r| {
            write(r);
            Answer::Now
        });
        let Sent::Now { code, at, end, .. } = sent else {
            return true;
        };
        let message = self.scratch.get(at..end).unwrap_or(&[]);
        // Who repeats a request after that gets the acknowledgement again; the response is sent until it is acknowledged.
        if kind == Kind::Con {
            let again = acknowledgement(s.request);
            self.exchanges.answered(s.to, s.request, &again);
        } else {
            self.exchanges.answered(s.to, s.request, message);
        }
        if let Some(transfer) = s.transfer.filter(|_| code.class() != 2) {
            // The upload has failed: what follows is not part of it.
            self.transfers.fail(s.to, transfer);
        }
        if kind == Kind::Con && s.keep(message) {
            s.state = Pending::Sent {
                id,
                deadline: now + self.time_out(),
                attempts: 0,
            };
            self.separates.add(s);
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
            if let Some(d) = due {
                let bytes = d.bytes.get(..usize::from(d.length)).unwrap_or(&[]);
                if let Ok(message) = Message::parse(bytes) {
                    self.request(now, d.from, true, bytes.len(), &message, app, out);
                }
            }
        }
        for index in 0..SEPARATE {
            self.poll_separate(now, index, out);
        }
        for index in 0..OBSERVERS {
            self.poll_observer(now, index, app, out);
        }
        let delayed = self.delayed.iter().flatten().map(|d| d.at);
        let separate = self.separates.deadline();
        let observers = self.observers.deadline();
        delayed.chain(separate).chain(observers).min()
    }

    fn poll_separate<T: Transmit<E>>(&mut self, now: u64, index: usize, out: &mut T) {
        let Some(s) = self.separates.at(index) else {
            return;
        };
        match s.due(now) {
            separate::Due::Nothing => {}
            separate::Due::Acknowledge => {
                if let Pending::Handler { acknowledge, .. } = &mut s.state {
                    *acknowledge = None;
                }
                let (to, again) = (s.to, acknowledgement(s.request));
                // A repeated request is acknowledged again.
                self.exchanges.answered(to, s.request, &again);
                self.transmit(out, to, &again);
            }
            separate::Due::Again => {
                if let Pending::Sent {
                    deadline, attempts, ..
                } = &mut s.state
                {
                    *attempts += 1;
                    *deadline = now + (ACK_TIMEOUT << *attempts);
                }
                count(&mut self.counters.retransmitted);
                count(&mut self.counters.sent);
                out.send(s.to, s.message.get(..usize::from(s.length)).unwrap_or(&[]));
            }
            separate::Due::GiveUp => {
                count(&mut self.counters.given_up);
                self.separates.take(index);
            }
        }
    }
}

impl<E> Separate<E> {
    /// Keeps a message for retransmission; `false` when there is none or no room.
    fn keep(&mut self, message: &[u8]) -> bool {
        let place = self.message.get_mut(..message.len());
        let Some(place) = place.filter(|place| !place.is_empty()) else {
            return false;
        };
        place.copy_from_slice(message);
        self.length = message.len() as u16;
        true
    }
}

impl<'m> Reply<'m> {
    fn new(kind: Kind, id: u16, message: &Message<'m>) -> Self {
        let mut reply = Self {
            kind,
            id,
            token: message.token,
            method: message.code,
            tags: message.options,
            block1: None,
            block2: None,
            refused: None,
            conditional: false,
            echo: None,
            wants: None,
            size2: false,
            silent: 0,
            observe: None,
            multicast: false,
            notification: false,
            oversized: false,
            filtered: false,
            most: None,
            block: BLOCK,
        };
        // One walk over the options for all that is to be known of them. What is wrong with a critical one is said below;
        // an elective one in a wrong form counts as not there (RFC 7252 §5.4.3).
        let mut last = None;
        for (number, value) in message.options {
            let repeated = last == Some(number);
            last = Some(number);
            let good = match number {
                option::URI_PATH | option::URI_QUERY => value.len() <= 255 && text(value),
                option::ACCEPT | option::URI_PORT => value.len() <= 2 && !repeated,
                option::URI_HOST => !repeated && !value.is_empty() && text(value),
                option::IF_MATCH | option::IF_NONE_MATCH => {
                    reply.conditional = true;
                    let longest = if number == option::IF_MATCH { 8 } else { 0 };
                    value.len() <= longest && (longest > 0 || !repeated)
                }
                option::BLOCK1 | option::BLOCK2 => {
                    let part = Part::decode(value);
                    // RFC 7959 §2.2: the reserved size is a bad request, and no unknown option.
                    if part.is_none() {
                        reply.refused = reply.refused.or(Some(Code::BAD_REQUEST));
                    }
                    if number == option::BLOCK1 {
                        reply.block1 = part;
                    } else {
                        reply.block2 = part;
                    }
                    value.len() <= 3 && !repeated
                }
                // RFC 7252 §5.7.2: there is no proxy here.
                option::PROXY_URI | option::PROXY_SCHEME => {
                    reply.refused = reply.refused.or(Some(Code::PROXYING_NOT_SUPPORTED));
                    true
                }
                option::OBSERVE if value.len() <= 3 && !repeated => {
                    reply.wants = uint(value);
                    true
                }
                option::ECHO if !repeated => {
                    reply.echo = Some(value);
                    true
                }
                option::SIZE2 => {
                    reply.size2 = true;
                    true
                }
                option::NO_RESPONSE => {
                    if let ([silent], false) = (value, repeated) {
                        reply.silent = *silent;
                    }
                    true
                }
                // RFC 7252 §5.4.1, §5.4.6: odd numbers are critical.
                _ => number & 1 == 0,
            };
            if !good {
                reply.refused = Some(Code::BAD_OPTION);
                break;
            }
        }
        if message.code.0 > Code::IPATCH.0 {
            reply.refused = reply.refused.or(Some(Code::METHOD_NOT_ALLOWED));
        }
        reply.oversized = reply.block1.is_none() && message.payload.len() > BLOCK;
        reply
    }

    /// Bytes of payload that the answer may have, after what stands before it in any case.
    fn room(&self) -> usize {
        // Header, ETag, Content-Format, Block2, Echo and the marker; what only some have.
        const BEFORE: usize = 4 + 5 + 3 + 3 + 11 + 1;
        let observe = if self.observe.is_some() { 4 } else { 0 };
        let block1 = if self.block1.is_some() { 5 } else { 0 };
        self.most.map_or(usize::MAX, |most| {
            most.saturating_sub(BEFORE + self.token.len() + observe + block1)
        })
    }
}

fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}

/// Whether a value is UTF-8; what is ASCII, as most is, is seen at once.
fn text(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii) || core::str::from_utf8(value).is_ok()
}

/// RFC 7252 §5.10.8: compares the entity tag of what a GET would return now.
fn precondition_fails<A: Application>(request: &Request<'_>, app: &mut A) -> bool {
    let tags = request.options.filter(|(n, _)| *n == option::IF_MATCH);
    let none = request.options.get(option::IF_NONE_MATCH).is_some();
    let get = Request {
        method: Code::GET,
        payload: &[],
        ..*request
    };
    let mut response = Response::new(&mut [], 0);
    let exists = app.handle(&get, &mut response) == Answer::Now
        && response.code.is_none_or(|code| code.class() == 2);
    let tag = response.etag();
    let mut asked = false;
    let mut matched = false;
    for (_, t) in tags {
        asked = true;
        matched |= exists && (t.is_empty() || t == tag);
    }
    none && exists || asked && !matched
}

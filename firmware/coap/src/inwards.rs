//! Inwards: what becomes of a request. Deduplication, then the security stage, then what its options and the tables allow, then
//! its handler; the answer goes out by `outwards.rs`.
use crate::application::{Application, Transmit};
use crate::asked::Asked;
use crate::counters::count;
use crate::deduplication::{Seen, acknowledgement};
use crate::discovery;
use crate::encode::{Audience, Encoded, Terms, Write};
use crate::limits::{AMPLIFICATION, HEADERS, KEPT, MTU, RETRY, SPARE_IDS, UNSAFE_ANSWER};
use crate::message::{Code, Kind, Message, Options, Token, option};
use crate::observers::{Registered, Registration};
use crate::outwards::{Envelope, code_only};
use crate::party::{Arrival, Party};
use crate::request::{Part, Principal, Read, Request};
use crate::response::{Answer, Response};
use crate::security::{Opened, Origin, Role, Security};
use crate::separate::{Owed, Pending, Separate};
use crate::server::{Core, Server};
use crate::shares::Rank;
use crate::transfers::{Arriving, Taken, cache_key};
use core::hash::Hash;

/// Bytes of the option Max-Age, where it is 0 and the only one.
const MAX_AGE: usize = 2;

/// What became of a request.
enum Work {
    /// Nothing is sent.
    Ignored,
    /// A part of an upload that was dealt with before.
    Duplicate,
    /// An answer lies in the workshop.
    Answered(Encoded),
    /// The same, and it is remembered with the request, which may have changed nothing; with the upload that it is a part of, and
    /// whether it goes on with it.
    CarriedOut {
        encoded: Encoded,
        transfer: Option<(u8, bool)>,
        safe: bool,
    },
    /// There was no room for it: the answer says so.
    Full(Encoded),
    /// Its handler answers later.
    Later,
}

impl Work {
    /// What answers a protected request that cannot be opened once more: one that repeats it gets the same.
    fn used_up(self) -> Self {
        match self {
            Self::Answered(encoded) => Self::CarriedOut {
                encoded,
                transfer: None,
                safe: true,
            },
            work => work,
        }
    }
}

/// A part of an upload, with its place in the table of uploads.
#[derive(Clone, Copy)]
struct Upload {
    taken: Taken,
    part: Part,
    length: usize,
}

impl Upload {
    fn of_exchange(&self) -> (u8, bool) {
        (self.taken.transfer, !self.taken.begins)
    }
}

impl<E: Copy + Eq + Hash, S: Security<E>> Server<E, S> {
    /// Deals with a request.
    pub(crate) fn request<A: Application, T: Transmit<E>>(
        &mut self,
        arrival: &Arrival<E>,
        message: &Message<'_>,
        app: &mut A,
        out: &mut T,
    ) {
        let (core, security) = (&mut self.core, &mut self.security);
        let (now, from) = (arrival.now, arrival.from);
        if core.repeated(now, from, message, out) {
            count(&mut core.counters.duplicates);
            return;
        }
        let to = core.party(now, from, message.options.get(option::ECHO));
        let Some((kind, id)) = core.header(now, &to, message) else {
            count(&mut core.counters.full);
            return;
        };
        let mut envelope = Envelope {
            to,
            kind,
            id,
            token: Token::new(message.token),
            role: Role::Response,
            binding: None,
        };
        let endpoint = to.hash;
        let host = core.shares.host(&from).unwrap_or(endpoint.into());
        let origin = Origin { endpoint, host };
        let work = match security.open(now, origin, message) {
            Opened::Plain => core.carry_out(arrival, &envelope, message, host, None, app),
            Opened::Protected {
                context,
                binding,
                numbered,
            } => {
                envelope.binding = Some(binding);
                if let Some(inner) = message.within(security.plaintext()) {
                    // RFC 9175 §2.4: what is echoed within counts as well.
                    let echo = inner.options.get(option::ECHO);
                    if echo.is_some() {
                        envelope.to = core.party(now, from, echo);
                    }
                    if !numbered && inner.options.uint(option::OBSERVE, 3) == Some(0) {
                        // Numbers are on their way to flash. Whoever would be told of nothing is told that, and asks again.
                        let work = core.refuse(arrival, &envelope, message, &mut |r| {
                            r.code(Code::SERVICE_UNAVAILABLE);
                            r.max_age(1);
                            Answer::Now
                        });
                        work.used_up()
                    } else {
                        core.carry_out(arrival, &envelope, &inner, host, Some(context), app)
                    }
                } else {
                    core.refuse(
                        arrival,
                        &envelope,
                        message,
                        &mut code_only(Code::BAD_OPTION),
                    )
                }
            }
            Opened::Challenged {
                binding,
                echo,
                once,
            } => {
                envelope.binding = Some(binding);
                let work = core.refuse(arrival, &envelope, message, &mut |r| {
                    r.code(Code::UNAUTHORIZED);
                    r.echo(echo);
                    Answer::Now
                });
                if once { work.used_up() } else { work }
            }
            Opened::Refused { code, text } => {
                // RFC 8613 §8.2, and never longer than the request (RFC 7252 §11.3): what is behind header and token goes before that.
                let room = arrival.size.saturating_sub(4 + message.token.len());
                core.refuse(arrival, &envelope, message, &mut |r| {
                    if room >= MAX_AGE {
                        r.max_age(0);
                    }
                    if room > MAX_AGE + text.len() {
                        return r.fail(code, format_args!("{text}"));
                    }
                    r.code(code);
                    Answer::Now
                })
            }
            Opened::Ignored => Work::Ignored,
        };
        core.finish(now, security, &envelope, message, work, out);
    }
}

impl<E: Copy + Eq + Hash, B: Copy> Core<E, B> {
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
                acknowledged: false,
                ..
            }
        );
        if s.confirmable && !waits {
            self.transmit(out, from, &acknowledgement(message.id));
        }
        true
    }

    /// Type and message ID of the answer; `None` when there is no ID for it.
    fn header(&mut self, now: u64, to: &Party<E>, message: &Message<'_>) -> Option<(Kind, u16)> {
        if message.kind == Kind::Con {
            return Some((Kind::Ack, message.id));
        }
        let id = self.lanes.id(now, to.hash, to.known, SPARE_IDS)?;
        Some((Kind::Non, id))
    }

    /// What holds for the answer to a request.
    fn terms(&self, arrival: &Arrival<E>, to: &Party<E>, message: &Message<'_>) -> Terms {
        // Without its payload: then the requests for further blocks are answered with blocks of the same size.
        let bare = arrival.size.saturating_sub(message.payload.len());
        let least = if message.code.is_safe() {
            0
        } else {
            UNSAFE_ANSWER
        };
        let most = AMPLIFICATION * (bare + HEADERS) - HEADERS;
        Terms {
            audience: if arrival.group {
                let filtered = is_core(message) && has_query(message);
                Audience::Group { filtered }
            } else {
                Audience::One
            },
            most: (!to.known).then_some(most.max(least)),
            // One datagram to a group is answered by many: nothing beyond that.
            allowance: !arrival.group,
            ..Terms::PLAIN
        }
    }

    /// An answer to a request that is not carried out.
    fn refuse(
        &mut self,
        arrival: &Arrival<E>,
        envelope: &Envelope<E, B>,
        message: &Message<'_>,
        write: Write<'_>,
    ) -> Work {
        let terms = self.terms(arrival, &envelope.to, message);
        let asked = Asked::nothing(message.code, message.options);
        self.say(arrival.now, envelope, &asked, &terms, write)
            .map_or(Work::Ignored, Work::Answered)
    }

    /// An answer that comes now.
    fn say(
        &mut self,
        now: u64,
        envelope: &Envelope<E, B>,
        asked: &Asked<'_>,
        terms: &Terms,
        write: Write<'_>,
    ) -> Option<Encoded> {
        self.make(now, &envelope.to, &envelope.token, asked, terms, write)
            .ok()
    }

    /// There is no room: 5.03 with the time after which to try again (RFC 7252 §5.9.3.4), and to a stranger 4.01 with what it is to
    /// echo (RFC 9175 §2.3), for then it goes before other strangers.
    fn busy(
        &mut self,
        now: u64,
        envelope: &Envelope<E, B>,
        asked: &Asked<'_>,
        terms: &Terms,
    ) -> Work {
        let stranger =
            !envelope.to.known && envelope.binding.is_none() && terms.audience == Audience::One;
        let terms = Terms {
            challenge: stranger,
            ..*terms
        };
        let answer = self.say(now, envelope, asked, &terms, &mut |r| {
            if stranger {
                r.code(Code::UNAUTHORIZED);
            } else {
                r.code(Code::SERVICE_UNAVAILABLE);
                r.max_age(RETRY);
            }
            Answer::Now
        });
        answer.map_or(Work::Ignored, Work::Full)
    }

    /// Does what a request asks, when its options and the tables allow it.
    fn carry_out<A: Application>(
        &mut self,
        arrival: &Arrival<E>,
        envelope: &Envelope<E, B>,
        message: &Message<'_>,
        host: u64,
        context: Option<u8>,
        app: &mut A,
    ) -> Work {
        let (now, from, to) = (arrival.now, arrival.from, &envelope.to);
        let asked = Asked::read(message);
        // RFC 7252 §5.4.1: an unknown critical option in a non-confirmable message is grounds to ignore it.
        if asked.refused == Some(Code::BAD_OPTION) && message.kind != Kind::Con {
            return Work::Ignored;
        }
        let mut terms = self.terms(arrival, to, message);
        let length = message.payload.len();
        let overlong = asked.block1.is_some_and(|b| length > usize::from(b.size));
        let wrong = asked.refused.or(overlong.then_some(Code::BAD_REQUEST));
        if let Some(code) = wrong {
            let answer = self.say(now, envelope, &asked, &terms, &mut code_only(code));
            return answer.map_or(Work::Ignored, Work::Answered);
        }
        let mut request = Request {
            method: message.code,
            payload: message.payload,
            options: message.options,
            transfer: u8::MAX,
            read: None,
            notification: false,
            principal: Principal {
                endpoint: to.hash,
                host,
                verified: to.known,
                context,
            },
        };
        let rank = if context.is_some() {
            Rank::Known
        } else {
            to.rank()
        };
        // What is carried out is remembered, or else not carried out.
        let once = !message.code.is_safe() || asked.part().is_some();
        let upload = match self.admit(now, from, rank, once, message.id, &asked, &request, app) {
            Ok(upload) => upload,
            Err(Refusal::Duplicate) => return Work::Duplicate,
            Err(Refusal::Busy) => return self.busy(now, envelope, &asked, &terms),
            Err(Refusal::Code(code)) => {
                let answer = self.say(now, envelope, &asked, &terms, &mut code_only(code));
                return answer.map_or(Work::Ignored, Work::Answered);
            }
        };
        if let Some(upload) = upload {
            request.transfer = upload.taken.transfer;
        }
        let observer = if arrival.group {
            None
        } else {
            self.register(now, envelope, message, &asked, &request, &mut terms, app)
        };
        request.read = self.read(now, from, rank, arrival.group, &asked, &request);
        let rest = upload.is_none() && !message.code.is_safe() && asked.later_block();
        let core = is_core(message);
        let failed = asked.conditional && self.precondition_fails(&request, app);
        let made = self.make(now, to, &envelope.token, &asked, &terms, &mut |r| {
            if failed {
                r.code(Code::PRECONDITION_FAILED);
                Answer::Now
            } else if core {
                discovery::list(&*app, &request, r)
            } else if rest {
                // RFC 7959 §2.7: the request was carried out; this is about the rest of its answer.
                app.again(&request, r)
            } else {
                app.handle(&request, r)
            }
        });
        if let Some(upload) = upload {
            let code = made.as_ref().map_or(Code::CONTINUE, |made| made.code);
            self.transfers
                .advance(now, upload.taken.transfer, upload.part, upload.length, code);
        }
        match made {
            Ok(encoded) => {
                self.observes(observer, &encoded);
                if let Some(read) = request.read
                    && (encoded.more || !read.begins)
                {
                    let key = cache_key(&self.secret, &request);
                    self.reads.sent(now, from, rank, key, read, encoded.more);
                }
                // RFC 7252 §4.5: nothing was done of what was refused for want of rights or of room, and a duplicate is looked at anew:
                // strangers take no place with it.
                let nothing = [Code::UNAUTHORIZED, Code::SERVICE_UNAVAILABLE];
                let refused = upload.is_none() && nothing.contains(&encoded.code);
                // RFC 8613 §8.3: what is protected is so once; who repeats a read gets the same bytes, if they are still there.
                if once && !refused || envelope.binding.is_some() {
                    Work::CarriedOut {
                        encoded,
                        transfer: upload.as_ref().map(Upload::of_exchange),
                        safe: !once,
                    }
                } else {
                    Work::Answered(encoded)
                }
            }
            Err(ticket) => {
                if let Some(index) = observer {
                    self.observers.remove(index);
                }
                let owed = Owed {
                    method: message.code,
                    silent: asked.silent,
                    block1: asked.block1,
                    block2: asked.block2,
                    most: terms.most.map(|most| most.min(MTU) as u16),
                    group: arrival.group,
                };
                if self.later(now, envelope, message, owed, upload, rank, ticket) {
                    Work::Later
                } else {
                    self.busy(now, envelope, &asked, &terms)
                }
            }
        }
    }

    /// Looks for the places that a request needs; the upload that it is a part of.
    #[expect(
        clippy::too_many_arguments,
        reason = "a request with all that is known of it"
    )]
    fn admit<A: Application>(
        &mut self,
        now: u64,
        from: E,
        rank: Rank,
        once: bool,
        id: u16,
        asked: &Asked<'_>,
        request: &Request<'_>,
        app: &mut A,
    ) -> Result<Option<Upload>, Refusal> {
        let arriving = asked.part().map(|part| Arriving {
            from,
            rank,
            key: cache_key(&self.secret, request),
            id,
            part,
            length: request.payload.len(),
        });
        if arriving.is_some_and(|a| self.transfers.had(now, from, a.key, id)) {
            return Err(Refusal::Duplicate);
        }
        let shares = &self.shares;
        if once
            && !(self.separates.room(shares, from, rank)
                && (self.exchanges.room(now, shares, from, rank)
                    || rank == Rank::Known
                        && sets(request.method, request.options)
                        && self.exchanges.gives_own(now, from)))
        {
            return Err(Refusal::Busy);
        }
        let Some(arriving) = arriving else {
            return Ok(None);
        };
        let resumes = || app.resumes(request, arriving.part.offset);
        match self.transfers.part(shares, now, &arriving, resumes) {
            Ok(taken) => {
                if taken.displaced {
                    count(&mut self.counters.displaced);
                }
                Ok(Some(Upload {
                    taken,
                    part: arriving.part,
                    length: arriving.length,
                }))
            }
            Err(Code::SERVICE_UNAVAILABLE) => Err(Refusal::Busy),
            Err(code) => Err(Refusal::Code(code)),
        }
    }

    /// The block-wise read that a request belongs to, or may begin.
    fn read(
        &mut self,
        now: u64,
        from: E,
        rank: Rank,
        group: bool,
        asked: &Asked<'_>,
        request: &Request<'_>,
    ) -> Option<Read> {
        if group || !request.method.is_safe() {
            None
        } else if asked.later_block() {
            let key = cache_key(&self.secret, request);
            self.reads.goes_on(from, key)
        } else {
            self.reads.may_begin(&self.shares, now, from, rank)
        }
    }

    /// Registers or removes an observer (RFC 7641 §4.1); its place in the table.
    #[expect(
        clippy::too_many_arguments,
        reason = "a request with all that is known of it"
    )]
    fn register<A: Application>(
        &mut self,
        now: u64,
        envelope: &Envelope<E, B>,
        message: &Message<'_>,
        asked: &Asked<'_>,
        request: &Request<'_>,
        terms: &mut Terms,
        app: &mut A,
    ) -> Option<usize> {
        let observe = asked.observe?;
        if !message.code.is_safe() {
            return None;
        }
        let context = request.principal.context;
        // Registering again replaces the entry (RFC 7641 §4.1: same endpoint and token), removing removes it. A later
        // block of a notification is asked for without Observe (RFC 7959 §2.6).
        self.observers
            .forget(envelope.to.endpoint, message.token, context);
        if observe != 0 || asked.later_block() {
            return None;
        }
        let resource = app.observable(request)?;
        let sequence = self.next_sequence();
        let registration = Registration {
            party: envelope.to,
            message,
            resource,
            // A piggy-backed response cannot be reset.
            response: (envelope.kind == Kind::Non).then_some(envelope.id),
            context,
            binding: envelope.binding,
            sequence,
        };
        match self.observers.register(&self.shares, now, &registration) {
            Registered::At(index, displaced) => {
                if displaced {
                    count(&mut self.counters.displaced);
                }
                terms.observe = Some(sequence);
                Some(index)
            }
            Registered::NoRoom => {
                count(&mut self.counters.unobserved);
                // Those that have shown themselves go before others.
                terms.challenge = !envelope.to.known && context.is_none();
                None
            }
            Registered::TooLong => {
                count(&mut self.counters.unobserved);
                None
            }
        }
    }

    /// RFC 7641 §4.1: only a successful response makes an observer.
    fn observes(&mut self, observer: Option<usize>, encoded: &Encoded) {
        let Some(index) = observer else { return };
        if encoded.code.class() != 2 {
            self.observers.remove(index);
        } else if let Some(o) = self.observers.at(index) {
            o.format = encoded.format;
        }
    }

    /// RFC 7252 §5.10.8: compares the entity tag of what a GET would return now.
    fn precondition_fails<A: Application>(&self, request: &Request<'_>, app: &mut A) -> bool {
        let tags = request.options.of(option::IF_MATCH);
        let tags = tags.filter(|(n, _)| *n == option::IF_MATCH);
        let none = request.options.get(option::IF_NONE_MATCH).is_some();
        let get = Request {
            method: Code::GET,
            payload: &[],
            ..*request
        };
        let mut response = Response::new(&mut [], 0, self.secret.body());
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

    /// Keeps what a later answer needs; `false` when there is no room for it.
    #[expect(
        clippy::too_many_arguments,
        reason = "a request with all that is known of it"
    )]
    fn later(
        &mut self,
        now: u64,
        envelope: &Envelope<E, B>,
        message: &Message<'_>,
        owed: Owed,
        upload: Option<Upload>,
        rank: Rank,
        ticket: u16,
    ) -> bool {
        let from = envelope.to.endpoint;
        let confirmable = message.kind == Kind::Con;
        let separate = Separate {
            to: envelope.to,
            token: envelope.token,
            request: message.id,
            confirmable,
            owed,
            binding: envelope.binding,
            transfer: upload.map(|upload| upload.taken.transfer),
            since: now,
            state: Pending::Handler {
                ticket,
                acknowledged: !confirmable,
            },
            message: [0; KEPT],
            length: 0,
        };
        if !self.separates.room(&self.shares, from, rank) {
            return false;
        }
        let Some(gave_way) = self.separates.add(separate) else {
            return false;
        };
        if gave_way {
            count(&mut self.counters.given_up);
        }
        let transfer = upload.as_ref().map(Upload::of_exchange);
        // A read is known by its response while that is to come; afterwards nothing is carried out twice that must not be.
        let safe = upload.is_none() && message.code.is_safe();
        let seen = seen(envelope, message, rank, safe);
        self.exchanges.remember(now, seen, transfer, &[]);
        true
    }

    /// Sends the answer, counts what became of the request, and remembers what was carried out.
    fn finish<S: Security<E, Binding = B>, T: Transmit<E>>(
        &mut self,
        now: u64,
        security: &mut S,
        envelope: &Envelope<E, B>,
        message: &Message<'_>,
        work: Work,
        out: &mut T,
    ) {
        let (encoded, full) = match &work {
            Work::Ignored => return count(&mut self.counters.suppressed),
            Work::Duplicate => return count(&mut self.counters.duplicates),
            Work::Later => return count(&mut self.counters.separate),
            Work::Full(encoded) => (encoded, true),
            Work::Answered(encoded) | Work::CarriedOut { encoded, .. } => (encoded, false),
        };
        let range = self.send(now, security, envelope, encoded, out);
        count(if full {
            &mut self.counters.full
        } else if encoded.suppressed {
            &mut self.counters.suppressed
        } else {
            &mut self.counters.answered
        });
        if let Work::CarriedOut { transfer, safe, .. } = work {
            let answer = self.workshop.get(range);
            let seen = seen(envelope, message, envelope.to.rank(), safe);
            self.exchanges.remember(now, seen, transfer, answer);
        }
    }
}

/// Why a request finds no place.
enum Refusal {
    Duplicate,
    Busy,
    Code(Code),
}

/// The message of a request, for those that repeat it.
fn seen<E: Copy, B>(
    envelope: &Envelope<E, B>,
    message: &Message<'_>,
    rank: Rank,
    safe: bool,
) -> Seen<E> {
    let protected = envelope.binding.is_some();
    Seen {
        from: envelope.to.endpoint,
        id: message.id,
        confirmable: message.kind == Kind::Con,
        known: protected || rank == Rank::Known,
        protected,
        safe,
        sets: sets(message.code, message.options),
    }
}

/// Whether a request sets something to a value in one go, so that carrying it out twice is as good as once (RFC 7252 §5.8.3).
fn sets(method: Code, options: Options<'_>) -> bool {
    method == Code::PUT && options.get(option::BLOCK1).is_none()
}

/// Whether a request is a discovery (RFC 6690 §4).
fn is_core(message: &Message<'_>) -> bool {
    let path = message.options.filter(|(n, _)| *n == option::URI_PATH);
    path.map(|(_, s)| s).eq([&b".well-known"[..], b"core"])
}

fn has_query(message: &Message<'_>) -> bool {
    message.options.get(option::URI_QUERY).is_some()
}

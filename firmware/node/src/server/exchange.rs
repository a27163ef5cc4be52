//! `/.well-known/edhoc`: key exchanges (RFC 9528 §A.2) at the Server's end, which says who may begin one, and what becomes of it. The
//! arithmetic is the Runner's (`runner/exchange.rs`).
//!
//! Anybody may begin. So that nobody keeps others from it, or the node from its work:
//!
//! * Whoever has not shown that it is where it says is asked to (RFC 9175 §2.3) before anything is computed; what is malformed is
//!   refused before that.
//! * There is one exchange at a time. Others are told when to come again (5.03 with Max-Age). Whoever does not go on within
//!   [`PATIENCE`] has lost its place, and a host has so many turns ([`Turn::Exchange`]) that it holds the place for a sixth of the
//!   time at most; whoever succeeds gets its turn back. A context takes the place of a stranger at once.
//! * Flash is written for those only who are known, and for each who is no administrator as often as [`WRITES`] says.
//!
//! The context is in flash before the initiator is told that it is. What he had until then stays until he has used the new one.
use super::{Resources, Server};
use crate::contract::Right;
use crate::keyring::Key;
use crate::mail::{Chunk, ChunkKind, Reply, ReplyKind};
use crate::package::INITIATORS;
use crate::turns::{Lane, Turn};
use core::hash::Hash;
use wasmote_coap::{Answer, Code, Request, Response, Transmit};
use wasmote_edhoc::{First, MESSAGE_3, MESSAGE_4, Refusal, addressed};
use wasmote_oscore::Id;

/// Milliseconds that an initiator has for its message_3, from message_2 on.
const PATIENCE: u64 = 20_000;
/// Contexts that an initiator may come to at once, and milliseconds until one more.
const WRITES: (u64, u64) = (4, 3_600_000);
/// Content-Formats of what is sent here, with an identifier in front, and of answers (RFC 9528 §10.9).
const ADDRESSED: u16 = 65;
const PLAIN: u16 = 64;
/// Milliseconds after which flash is looked at again that was busy.
const AGAIN: u64 = 20;

/// How far the exchange is.
#[derive(Clone, Copy)]
enum Phase {
    Free,
    /// The Runner works at message_1 or message_3, for this ticket.
    Works(u16),
    /// message_3 is waited for until then.
    Waits(u64),
    /// What came of it waits until flash can be written.
    Made(u16, Made),
    /// It is being written, in front of this message_4.
    Written(u16, [u8; MESSAGE_4]),
}

/// What came of an exchange.
#[derive(Clone, Copy)]
struct Made {
    key: Key,
    message_4: [u8; MESSAGE_4],
}

/// The exchange under way.
pub(super) struct Exchange {
    phase: Phase,
    /// Who it is with: an endpoint, and perhaps its context; and its host.
    with: (u32, Option<u8>),
    host: u64,
    /// What we call it.
    name: u8,
    lane: Option<Lane>,
    /// When each initiator would have all his turns again: see [`WRITES`].
    full_at: [u64; INITIATORS],
}

impl Exchange {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Free,
            with: (0, None),
            host: 0,
            name: 0,
            lane: None,
            full_at: [0; INITIATORS],
        }
    }

    /// Seconds until the place may be free; `None` where it is for this request.
    fn taken(&self, now: u64, request: &Request<'_>) -> Option<u64> {
        let (who, (_, context)) = (&request.principal, self.with);
        match self.phase {
            Phase::Free => None,
            Phase::Waits(until) if now >= until => None,
            // He begins anew, or is known where the other one is not.
            Phase::Waits(_) if who.host == self.host && who.context == context => None,
            Phase::Waits(_) if who.context.is_some() && context.is_none() => None,
            Phase::Waits(until) => Some((until - now).div_ceil(1_000)),
            _ => Some(1),
        }
    }
}

/// Says why an exchange ends (RFC 9528 §6).
fn refuse(response: &mut Response<'_>, code: Code, refusal: Refusal) -> Answer {
    response.code(code);
    response.format(PLAIN);
    response.write(refusal.message());
    Answer::Now
}

impl Resources {
    /// A message of a key exchange. Seldom, and not to be in the frame of what comes often.
    #[inline(never)]
    pub(super) fn exchange(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
    ) -> Answer {
        let who = &request.principal;
        if !(who.verified || who.context.is_some()) {
            return response.challenge();
        }
        if !matches!(request.content_format(), None | Some(ADDRESSED)) {
            response.code(Code::UNSUPPORTED_CONTENT_FORMAT);
            return Answer::Now;
        }
        let wise = request.block1().is_some_and(|b| b.more || b.offset > 0);
        if wise {
            return response.fail(
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("a message is one block"),
            );
        }
        match addressed(request.payload) {
            None => refuse(response, Code::BAD_REQUEST, Refusal::Malformed),
            Some((None, message)) => self.begin_exchange(request, response, message),
            Some((Some(name), message)) => self.end_exchange(request, response, &name, message),
        }
    }

    /// message_1, as far as it can be looked at here: whoever sends what is none takes nobody's place.
    fn begin_exchange(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        message: &[u8],
    ) -> Answer {
        let first = match First::parse(message) {
            Ok(first) => first,
            Err(refusal) => return refuse(response, Code::BAD_REQUEST, refusal),
        };
        if let Some(seconds) = self.exchange.taken(self.now, request) {
            response.max_age(seconds as u32);
            return response.fail(
                Code::SERVICE_UNAVAILABLE,
                format_args!("busy: keys are exchanged with somebody else"),
            );
        }
        let name = self.guard.name(first.initiator());
        let Some(name) = name.filter(|_| self.mail.chunks.ready()) else {
            return self.busy(response);
        };
        let lane = match self.turn(request, response, Turn::Exchange) {
            Ok(lane) => lane,
            Err(answer) => return answer,
        };
        self.exchange.with = (request.principal.endpoint, request.principal.context);
        self.exchange.host = request.principal.host;
        (self.exchange.name, self.exchange.lane) = (name, lane);
        self.hand_over(ChunkKind::First(name), message)
    }

    /// message_3: of whoever sent message_1, and nobody else.
    fn end_exchange(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        name: &Id,
        message: &[u8],
    ) -> Answer {
        let who = (request.principal.endpoint, request.principal.context);
        let ours = who == self.exchange.with && name.bytes() == [self.exchange.name];
        let waits = matches!(self.exchange.phase, Phase::Waits(until) if self.now < until);
        if !(ours && waits) || message.len() > MESSAGE_3 {
            return refuse(response, Code::BAD_REQUEST, Refusal::Malformed);
        }
        if !self.mail.chunks.ready() {
            return self.busy(response);
        }
        self.hand_over(ChunkKind::Third, message)
    }

    fn hand_over(&mut self, kind: ChunkKind, message: &[u8]) -> Answer {
        let ticket = self.next_ticket();
        // Either message is shorter than the room there is, and the queue has a place.
        let bytes = heapless::Vec::from_slice(message).unwrap_or_default();
        let _ = self.mail.chunks.enqueue(Chunk {
            ticket,
            kind,
            bytes,
        });
        self.exchange.phase = Phase::Works(ticket);
        Answer::Later(ticket)
    }

    /// The Runner has answered; whether the initiator is to be told.
    pub(super) fn exchanged(&mut self, reply: &mut Reply) -> bool {
        let works = matches!(self.exchange.phase, Phase::Works(ticket) if ticket == reply.ticket);
        if let ReplyKind::Session(initiator) = reply.kind {
            // Whatever becomes of it, this is told to nobody.
            let secret = core::mem::take(&mut reply.payload);
            if let Some(made) = self.made(initiator, &secret).filter(|_| works) {
                self.exchange.phase = Phase::Made(reply.ticket, made);
                return false;
            }
            (reply.code, reply.kind) = (Code::BAD_REQUEST, ReplyKind::Exchange(false));
            let _ = reply.payload.extend_from_slice(Refusal::Forged.message());
        }
        if works {
            self.exchange.phase = if reply.kind == ReplyKind::Exchange(true) {
                Phase::Waits(self.now + PATIENCE)
            } else {
                Phase::Free
            };
        } else if let Phase::Written(ticket, message_4) = self.exchange.phase
            && ticket == reply.ticket
        {
            self.exchange.phase = Phase::Free;
            if reply.code.class() == 2 {
                reply.kind = ReplyKind::Exchange(false);
                let _ = reply.payload.extend_from_slice(&message_4);
                if let Some(lane) = self.exchange.lane {
                    self.turns.give_back(lane, Turn::Exchange);
                }
            }
        }
        true
    }

    /// When flash should be looked at again.
    pub(super) fn seat_at(&self) -> Option<u64> {
        matches!(self.exchange.phase, Phase::Made(..)).then_some(self.now + AGAIN)
    }

    /// The context that came of an exchange; `None` for what is none.
    fn made(&self, initiator: u8, payload: &[u8]) -> Option<Made> {
        let (secret, rest) = payload.split_first_chunk::<16>()?;
        let (salt, rest) = rest.split_first_chunk::<8>()?;
        let (message_4, node) = rest.split_first_chunk::<MESSAGE_4>()?;
        let who = self.provision.initiators.get(usize::from(initiator))?;
        Some(Made {
            key: Key {
                secret: *secret,
                salt: *salt,
                peer: self.exchange.name,
                node: Id::new(node)?,
                rights: who.rights,
                replaces: None,
                initiator: Some(initiator),
            },
            message_4: *message_4,
        })
    }

    /// Whether an initiator may come to one more context; else in how many seconds.
    fn may_write(&mut self, initiator: u8, rights: u8) -> Result<(), u32> {
        let (most, each) = WRITES;
        let Some(full_at) = self.exchange.full_at.get_mut(usize::from(initiator)) else {
            return Ok(());
        };
        if rights & Right::Admin as u8 != 0 {
            return Ok(());
        }
        let next = (*full_at).max(self.now) + each;
        let latest = self.now + most * each;
        if next > latest {
            return Err((next - latest).div_ceil(1_000) as u32);
        }
        *full_at = next;
        Ok(())
    }
}

/// What an exchange ends with that came to a context which cannot be had.
enum Unseated {
    Unknown,
    Later(u32),
    Conflict(&'static str),
}

impl<E: Copy + Eq + Hash> Server<E> {
    /// Puts what came of a key exchange into its place, as soon as flash can be written; or says why it cannot.
    pub(super) fn seat<T: Transmit<E>>(&mut self, now: u64, out: &mut T) {
        let r = &mut self.resources;
        let Phase::Made(ticket, Made { mut key, message_4 }) = r.exchange.phase else {
            return;
        };
        if !r.guard.rests() || !r.mail.chunks.ready() {
            return;
        }
        let initiator = key.initiator.unwrap_or_default();
        let unseated = match r.guard.seat(initiator) {
            None => Unseated::Unknown,
            Some((place, replaces)) => {
                key.replaces = replaces;
                if let Some(why) = r.unseated(place, &key) {
                    Unseated::Conflict(why)
                } else if let Err(seconds) = r.may_write(initiator, key.rights) {
                    Unseated::Later(seconds)
                } else {
                    r.exchange.phase = if r.take_seat(ticket, place, key) {
                        Phase::Written(ticket, message_4)
                    } else {
                        Phase::Free
                    };
                    return;
                }
            }
        };
        r.exchange.phase = Phase::Free;
        let say = |response: &mut Response<'_>| {
            let _ = match unseated {
                Unseated::Unknown => refuse(response, Code::BAD_REQUEST, Refusal::Stranger),
                Unseated::Later(seconds) => {
                    response.max_age(seconds);
                    let text = format_args!("too many key exchanges: try again in {seconds} s");
                    response.fail(Code::SERVICE_UNAVAILABLE, text)
                }
                Unseated::Conflict(why) => response.fail(Code::CONFLICT, format_args!("{why}")),
            };
        };
        self.coap.complete(now, ticket, say, out);
    }
}

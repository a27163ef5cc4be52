//! Outwards: an answer gets its header, is protected where its request was, and goes out.
use crate::application::Transmit;
use crate::asked::Asked;
use crate::counters::count;
use crate::deduplication::acknowledgement;
use crate::encode::{Audience, Encoded, Means, Terms, Workshop, Write};
use crate::limits::KEPT_BLOCK;
use crate::message::{Code, Kind, Token, Writer, option};
use crate::party::Party;
use crate::response::{Answer, Response};
use crate::security::{Plaintext, Role, Sealed, Security};
use crate::separate::{Owed, Pending};
use crate::server::{Core, Server};
use core::hash::Hash;

/// What stands before an answer, and who protects it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<E, B> {
    pub(crate) to: Party<E>,
    pub(crate) kind: Kind,
    pub(crate) id: u16,
    pub(crate) token: Token,
    pub(crate) role: Role,
    pub(crate) binding: Option<B>,
}

impl Workshop {
    /// Puts a header before a plain answer; where the datagram lies.
    fn plain<E, B>(
        &mut self,
        envelope: &Envelope<E, B>,
        encoded: &Encoded,
    ) -> Option<(usize, usize)> {
        let mut head = [0; 12];
        let (kind, id, token) = (envelope.kind, envelope.id, envelope.token.get());
        let head = Writer::new(&mut head, kind, encoded.code, id, token).finish(&[])?;
        let at = encoded.start.checked_sub(head.len())?;
        self.0.get_mut(at..encoded.start)?.copy_from_slice(head);
        Some((at, encoded.end))
    }

    /// Hands an answer to `protect` as a plaintext, and puts the outer header and options before what comes back.
    fn sealed<E, B>(
        &mut self,
        envelope: &Envelope<E, B>,
        encoded: &Encoded,
        protect: impl FnOnce(Plaintext<'_>) -> Option<Sealed>,
    ) -> Option<(usize, usize)> {
        let at = encoded.start.checked_sub(1)?;
        *self.0.get_mut(at)? = encoded.code.0;
        let length = encoded.end - at;
        let bytes = self.0.get_mut(at..encoded.end + Plaintext::TAG)?;
        let sealed = protect(Plaintext {
            role: envelope.role,
            observed: encoded.observed,
            bytes,
            length,
        })
        .filter(|sealed| sealed.length <= length + Plaintext::TAG)?;
        let mut head = [0; 64];
        let (kind, id, token) = (envelope.kind, envelope.id, envelope.token.get());
        let mut w = Writer::new(&mut head, kind, sealed.code, id, token);
        if let Some(observe) = sealed.observe {
            w.uint(option::OBSERVE, observe);
        }
        let (value, count) = sealed.option;
        w.option(option::OSCORE, value.get(..count)?);
        let head = w.head(sealed.length > 0)?;
        let start = at.checked_sub(head.len())?;
        self.0.get_mut(start..at)?.copy_from_slice(head);
        Some((start, at + sealed.length))
    }
}

impl<E: Copy + Eq + Hash, B: Copy> Core<E, B> {
    /// Lets `write` make an answer to this party; its ticket when it comes later.
    pub(crate) fn make(
        &mut self,
        now: u64,
        to: &Party<E>,
        token: &Token,
        asked: &Asked<'_>,
        terms: &Terms,
        write: Write<'_>,
    ) -> Result<Encoded, u16> {
        let means = Means {
            secret: &self.secret,
            lanes: &mut self.lanes,
            now,
            to,
            token: token.get().len(),
        };
        self.workshop.make(means, asked, terms, write)
    }

    /// Sends an answer, or of one that is suppressed no more than an acknowledgement; where it lies: nowhere when nothing was sent.
    pub(crate) fn send<S: Security<E, Binding = B>, T: Transmit<E>>(
        &mut self,
        now: u64,
        security: &mut S,
        envelope: &Envelope<E, B>,
        encoded: &Encoded,
        out: &mut T,
    ) -> (usize, usize) {
        let to = envelope.to.endpoint;
        let range = if encoded.suppressed {
            // RFC 7967 §2: a confirmable request is acknowledged all the same.
            let range = (0, if envelope.kind == Kind::Ack { 4 } else { 0 });
            if let Some(place) = self.workshop.0.get_mut(range.0..range.1) {
                let empty = acknowledgement(envelope.id);
                place.copy_from_slice(empty.get(..place.len()).unwrap_or(&[]));
            }
            Some(range)
        } else if let Some(binding) = &envelope.binding {
            self.workshop.sealed(envelope, encoded, |plaintext| {
                security.protect(now, &to, binding, plaintext)
            })
        } else {
            self.workshop.plain(envelope, encoded)
        };
        let range = range.unwrap_or((0, 0));
        if range.1 > range.0 {
            count(&mut self.counters.sent);
            out.send(to, self.workshop.get(range));
        }
        range
    }
}

impl<E: Copy + Eq + Hash, S: Security<E>> Server<E, S> {
    /// Answers a request whose handler said [`Answer::Later`]; `false` when there is none with this ticket. The response
    /// goes with the acknowledgement when there is still time, else as a message of its own (RFC 7252 §5.2.2).
    pub fn complete<T: Transmit<E>>(
        &mut self,
        now: u64,
        ticket: u16,
        write: impl FnOnce(&mut Response<'_>),
        out: &mut T,
    ) -> bool {
        let (core, security) = (&mut self.core, &mut self.security);
        let found = core.separates.of_ticket(ticket);
        let Some(mut s) = found.and_then(|index| core.separates.take(index)) else {
            return false;
        };
        let piggy_backed = matches!(
            s.state,
            Pending::Handler {
                acknowledged: false,
                ..
            }
        );
        let kind = match (s.confirmable, piggy_backed) {
            (true, true) => Kind::Ack,
            (true, false) => Kind::Con,
            (false, _) => Kind::Non,
        };
        let id = if kind == Kind::Ack {
            Some(s.request)
        } else {
            core.lanes.id(now, s.to.hash, s.to.known, 0)
        };
        let Some(id) = id else {
            count(&mut core.counters.deferred);
            return true;
        };
        let envelope = Envelope {
            to: s.to,
            kind,
            id,
            token: s.token,
            role: Role::Response,
            binding: s.binding,
        };
        let (asked, terms) = (s.owed.asked(), s.owed.terms());
        let mut write = Some(write);
        let made = core.make(now, &s.to, &s.token, &asked, &terms, &mut |r| {
            if let Some(write) = write.take() {
                write(r);
            }
            Answer::Now
        });
        let Ok(encoded) = made else {
            return true;
        };
        let range = core.send(now, security, &envelope, &encoded, out);
        let message = core.workshop.get(range);
        // Who repeats a request after that gets the acknowledgement again; the response is sent until it is acknowledged.
        if kind == Kind::Con {
            let again = acknowledgement(s.request);
            core.exchanges.answered(s.to.endpoint, s.request, &again);
        } else {
            core.exchanges.answered(s.to.endpoint, s.request, message);
        }
        if let Some(transfer) = s.transfer.filter(|_| encoded.code.class() != 2) {
            // The upload has failed: what follows is not part of it.
            core.transfers.fail(s.to.endpoint, transfer);
        }
        if kind == Kind::Con && s.keep(message) {
            s.state = Pending::Sent {
                id,
                deadline: now + core.time_out(),
                attempts: 0,
            };
            core.separates.add(s);
        }
        true
    }
}

impl Owed {
    fn terms(&self) -> Terms {
        Terms {
            audience: if self.group {
                Audience::Group { filtered: false }
            } else {
                Audience::One
            },
            most: self.most.map(usize::from),
            allowance: !self.group,
            block: KEPT_BLOCK,
            ..Terms::PLAIN
        }
    }
}

/// A response that is a code and nothing else.
pub(crate) fn code_only(code: Code) -> impl FnMut(&mut Response<'_>) -> Answer {
    move |response| {
        response.code(code);
        Answer::Now
    }
}

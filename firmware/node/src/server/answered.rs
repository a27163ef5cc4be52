//! Requests to the module, and its long answers, of which the last is kept: whoever reads it block by block (RFC 7959 §2.4) is given
//! parts of the same answer, and the module has run once. Another long answer takes its place; then a GET runs the module again, which
//! the ETag shows, and what changes something is answered 4.08.
use super::Resources;
use crate::mail::{Body, ChunkKind, Reply};
use core::hash::Hasher;
use wasmote_coap::{Answer, Code, Request, Response};

/// Requests that are on their way to the module: one waits, one is dealt with.
const ASKED: usize = 2;

/// Whose request it was, and which.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    endpoint: u32,
    context: Option<u8>,
    method: Code,
    /// Of path, query and Accept; of a FETCH the body too (RFC 8132 §2.3.2).
    what: u64,
}

/// FNV-1a: a key is compared with others of the same endpoint only, who would mislead nobody but himself.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Key {
    fn of(request: &Request<'_>) -> Self {
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        // Neither UTF-8 nor a format has these bytes in it.
        for part in request.path() {
            hash.write(part.as_bytes());
            hash.write(&[0xff]);
        }
        for part in request.queries() {
            hash.write(&[0xfe]);
            hash.write(part.as_bytes());
        }
        let accept = request.accept().map_or([0xff; 3], |format| {
            let [high, low] = format.to_be_bytes();
            [1, high, low]
        });
        hash.write(&accept);
        if request.method == Code::FETCH {
            hash.write(request.payload);
        }
        Self {
            endpoint: request.principal.endpoint,
            context: request.principal.context,
            method: request.method,
            what: hash.finish(),
        }
    }
}

/// The answer that is kept.
struct Kept {
    key: Key,
    code: Code,
    format: Option<u16>,
}

/// What was asked of the module, and its last answer that may be read in blocks.
pub(super) struct Answered {
    /// Tickets, and whether only a part of the answer is wanted.
    asked: heapless::Deque<(u16, Key, bool), ASKED>,
    /// The place for it, unless the Runner has it; and whether that is asked for.
    body: Option<&'static mut Body>,
    wanted: bool,
    /// The ticket that the body answers.
    ticket: Option<u16>,
    kept: Option<Kept>,
}

impl Answered {
    pub(super) fn new(body: &'static mut Body) -> Self {
        Self {
            asked: heapless::Deque::new(),
            body: Some(body),
            wanted: false,
            ticket: None,
            kept: None,
        }
    }

    fn ask(&mut self, ticket: u16, request: &Request<'_>) {
        if self.asked.is_full() {
            self.asked.pop_front();
        }
        let wise = request.block2().is_some() || !request.principal.verified;
        let _ = self.asked.push_back((ticket, Key::of(request), wise));
    }

    /// The Runner needs the place.
    pub(super) fn lend(&mut self) {
        self.wanted = true;
    }

    /// The place, when it is asked for and here: what was kept in it is gone.
    pub(super) fn lent(&mut self) -> Option<&'static mut Body> {
        let body = self.body.take_if(|_| self.wanted)?;
        self.wanted = false;
        self.kept = None;
        self.ticket = None;
        Some(body)
    }

    /// Keeps what may be asked for in parts.
    pub(super) fn take(&mut self, reply: &mut Reply) {
        self.ticket = None;
        let (mut found, all) = (None, self.asked.len());
        for _ in 0..all {
            match self.asked.pop_front() {
                Some((ticket, key, wise)) if ticket == reply.ticket => found = Some((key, wise)),
                Some(other) => drop(self.asked.push_back(other)),
                None => {}
            }
        }
        if let Some(body) = reply.body.take() {
            self.body = Some(body);
        } else if let (Some((_, true)), 2, Some(body)) = (found, reply.code.class(), &mut self.body)
        {
            body.clear();
            let _ = body.extend_from_slice(&reply.payload);
            reply.payload.clear();
        } else {
            return;
        }
        self.ticket = Some(reply.ticket);
        self.kept = found.map(|(key, _)| Kept {
            key,
            code: reply.code,
            format: reply.format,
        });
    }

    /// The body that answers this ticket, if one does.
    pub(super) fn body(&self, ticket: u16) -> &[u8] {
        let body = self.body.as_deref().filter(|_| self.ticket == Some(ticket));
        body.map_or(&[], |body| body)
    }

    /// Writes the answer again for a later part of it; `false` where it is not there.
    pub(super) fn repeat(&self, request: &Request<'_>, response: &mut Response<'_>) -> bool {
        let later = request.block2().is_some_and(|part| part.offset > 0);
        let (Some(kept), Some(body), true) = (&self.kept, &self.body, later) else {
            return false;
        };
        if kept.key != Key::of(request) {
            return false;
        }
        response.code(kept.code);
        if let Some(format) = kept.format {
            response.format(format);
        }
        response.write(body);
        true
    }
}

impl Resources {
    /// Hands a request to the module, unless it asks for a later part of what that has answered.
    pub(super) fn forward(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        if self.answered.repeat(request, response) {
            return Answer::Now;
        }
        if request.block1().is_some_and(|b| b.more || b.offset > 0) {
            return response.fail(
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("a request to a module is one block"),
            );
        }
        let length: usize = request.path().skip(2).map(|s| s.len() + 1).sum();
        let length = length.saturating_sub(1);
        if length + request.payload.len() > self.app.facts.buffer as usize {
            return response.fail(
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("path and payload: at most {} bytes", self.app.facts.buffer),
            );
        }
        let kind = ChunkKind::Request(request.method, length as u16);
        let answer = self.chunk(request, response, kind, 2);
        if let Answer::Later(ticket) = answer {
            self.answered.ask(ticket, request);
        }
        answer
    }
}

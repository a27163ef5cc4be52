//! What the Runner answers: requests and parts of packages on their way to it, as far as whoever asks has a turn.
use super::Resources;
use crate::mail::{Chunk, ChunkKind, Down};
use crate::turns::{Lane, Turn, Wait};
use wasmote_coap::{Answer, Code, Request, Response, format};

/// Places in the queue to the Runner that are left for samples: more than come while it erases flash.
const FOR_SAMPLES: usize = 12;

impl Resources {
    pub(super) fn next_ticket(&mut self) -> u16 {
        self.ticket = self.ticket.wrapping_add(1);
        self.ticket
    }

    /// Takes a turn of whoever asks; the answer when there is none left.
    pub(super) fn turn(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        turn: Turn,
    ) -> Result<Option<Lane>, Answer> {
        let taken = self.turns.take(self.now, &request.principal, turn);
        taken.map_err(|wait| {
            self.refused = self.refused.saturating_add(1);
            match wait {
                Wait::Stranger => response.challenge(),
                Wait::Seconds(seconds) => {
                    response.max_age(seconds);
                    response.fail(
                        Code::SERVICE_UNAVAILABLE,
                        format_args!("busy: too much from one host; try again in {seconds} s"),
                    )
                }
            }
        })
    }

    /// A part of a package was answered: where one that is signed goes on with it, it was no turn.
    pub(super) fn settle(&mut self, ticket: u16, goes_on: bool) {
        for _ in 0..self.handed.len() {
            let Some((its, lane)) = self.handed.pop_front() else {
                return;
            };
            if its != ticket {
                let _ = self.handed.push_back((its, lane));
            } else if goes_on {
                self.turns.give_back(lane, Turn::Part);
            }
        }
    }

    /// Puts something into the queue to the Runner, as far as that is not for samples; the answer when there is no room.
    pub(super) fn post(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        down: Down,
    ) -> Result<(), Answer> {
        let turn = match down {
            // Reading changes nothing, and whoever reads a few states may read them often.
            Down::State(..) => Turn::Request,
            Down::Parameter(..) => Turn::Parameter,
            Down::Tier(_, interpreted) if interpreted != self.app.interpreted => Turn::Write,
            _ => Turn::Change,
        };
        self.turn(request, response, turn)?;
        let queue = &mut self.mail.down;
        if queue.len() + FOR_SAMPLES >= queue.capacity() || queue.enqueue(down).is_err() {
            return Err(self.busy(response));
        }
        Ok(())
    }

    pub(super) fn send(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        make: impl FnOnce(u16) -> Down,
    ) -> Answer {
        let ticket = self.next_ticket();
        match self.post(request, response, make(ticket)) {
            Ok(()) => Answer::Later(ticket),
            Err(answer) => answer,
        }
    }

    pub(super) fn upload(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        let (offset, more) = request.block1().map_or((0, false), |b| (b.offset, b.more));
        if !matches!(request.content_format(), None | Some(format::OCTETS)) {
            response.code(Code::UNSUPPORTED_CONTENT_FORMAT);
            return Answer::Now;
        }
        if request
            .size1()
            .is_some_and(|size| size > self.board.package)
        {
            response.size1(self.board.package);
            response.fail(
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("needs: larger than a slot"),
            );
            return Answer::Now;
        }
        let transfer = request.transfer;
        let kind = ChunkKind::Part {
            transfer,
            offset,
            more,
        };
        self.chunk(request, response, kind, 0)
    }

    /// Hands over a payload, with the path behind the first `skip` segments before it when it is a request.
    pub(super) fn chunk(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        kind: ChunkKind,
        skip: usize,
    ) -> Answer {
        if !self.mail.chunks.ready() {
            return self.busy(response);
        }
        let turn = match kind {
            ChunkKind::Part { .. } => Turn::Part,
            _ => Turn::Request,
        };
        let lane = match self.turn(request, response, turn) {
            Ok(lane) => lane,
            Err(answer) => return answer,
        };
        let mut bytes = heapless::Vec::new();
        if skip > 0 {
            for (index, segment) in request.path().skip(skip).enumerate() {
                let _ = bytes.extend_from_slice(if index > 0 { b"/" } else { b"" });
                let _ = bytes.extend_from_slice(segment.as_bytes());
            }
        }
        if bytes.extend_from_slice(request.payload).is_err() {
            return response.fail(
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("at most 1024 bytes at once"),
            );
        }
        let ticket = self.next_ticket();
        if let (Some(lane), Turn::Part) = (lane, turn) {
            if self.handed.is_full() {
                self.handed.pop_front();
            }
            let _ = self.handed.push_back((ticket, lane));
        }
        let _ = self.mail.chunks.enqueue(Chunk {
            ticket,
            kind,
            bytes,
        });
        Answer::Later(ticket)
    }

    /// 5.03: something is full; the client may try again.
    pub(super) fn busy(&mut self, response: &mut Response<'_>) -> Answer {
        self.refused = self.refused.saturating_add(1);
        response.max_age(1);
        response.fail(Code::SERVICE_UNAVAILABLE, format_args!("busy: try again"))
    }
}

//! What the Runner tells the Server, and what of it waits for room in a queue.
use crate::mail::{App, Body, LINE, REPLY, Reply, ReplyKind, RunnerMail, Stats, Up};
use core::fmt::{self, Write};
use wasmote_coap::Code;

/// The ends of the queues, with what did not fit yet.
pub(super) struct Post {
    pub(super) mail: RunnerMail,
    /// The answer to the last request.
    pub(super) reply: Option<Reply>,
    /// Where the next long answer goes, while the Server has lent it; and that it was asked for it.
    pub(super) body: Option<&'static mut Body>,
    wanted: bool,
    lines: heapless::Deque<heapless::String<LINE>, 6>,
    /// Lines that gave way to newer ones.
    pub(super) lines_lost: u32,
    /// What is to be told anew.
    pub(super) app: bool,
    /// See `app`.
    pub(super) stats: bool,
}

impl Post {
    pub(super) fn new(mail: RunnerMail) -> Self {
        Self {
            mail,
            reply: None,
            body: None,
            wanted: false,
            lines: heapless::Deque::new(),
            lines_lost: 0,
            app: true,
            stats: false,
        }
    }

    /// Writes a line to the node's log.
    pub(super) fn log(&mut self, text: fmt::Arguments<'_>) {
        let mut line = heapless::String::new();
        // A line that is too long is cut.
        let _ = line.write_fmt(text);
        if self.lines.is_full() {
            self.lines.pop_front();
            self.lines_lost = self.lines_lost.saturating_add(1);
        }
        let _ = self.lines.push_back(line);
    }

    /// Whether there is a place for a long answer. Where there is not, the Server is asked for it.
    pub(super) fn has_body(&mut self) -> bool {
        if self.body.is_none() {
            self.body = self.mail.bodies.dequeue();
            self.wanted &= self.body.is_none();
        }
        if self.body.is_none() && !self.wanted {
            self.wanted = self.mail.up.enqueue(Up::Body).is_ok();
        }
        self.body.is_some()
    }

    /// Answers a ticket.
    pub(super) fn answer(&mut self, ticket: u16, code: Code, text: fmt::Arguments<'_>) {
        let mut payload = heapless::String::<REPLY>::new();
        let _ = payload.write_fmt(text);
        self.reply = Some(Reply {
            ticket,
            code,
            payload: payload.into_bytes(),
            body: None,
            format: None,
            kind: ReplyKind::Plain,
        });
    }

    /// Hands over as much as there is room for.
    pub(super) fn flush(&mut self, app: Option<App>, stats: &Stats) {
        while self.mail.up.ready()
            && let Some(line) = self.lines.pop_front()
        {
            let _ = self.mail.up.enqueue(Up::Log(None, line));
        }
        if let Some(app) = app {
            self.app = self.mail.apps.enqueue(app).is_err();
        }
        // Whoever is answered sees the new state in the next request.
        if !self.app
            && let Some(reply) = self.reply.take()
            && let Err(reply) = self.mail.replies.enqueue(reply)
        {
            self.reply = Some(reply);
        }
        if self.stats && self.mail.up.ready() {
            let stats = Stats {
                lines_lost: self.lines_lost,
                ..*stats
            };
            self.stats = self.mail.up.enqueue(Up::Stats(stats)).is_err();
        }
    }

    /// Whether the Server has taken what was last told of the package: what a module says before would count as the one's before it.
    pub(super) fn introduced(&self) -> bool {
        !self.app && self.mail.apps.is_empty()
    }

    /// Whether something still waits for room, answers aside.
    pub(super) fn waits(&self) -> bool {
        self.app || self.stats || !self.lines.is_empty()
    }

    /// Whether the Server has something to fetch.
    pub(super) fn has_mail(&self) -> bool {
        let mail = &self.mail;
        mail.up.len() + mail.replies.len() + mail.apps.len() + mail.reserved.len() > 0
    }
}

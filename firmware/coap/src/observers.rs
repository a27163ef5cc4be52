//! Observers (RFC 7641): who is told of which resource, and when.
use crate::limits::{
    ACK_TIMEOUT, BURST, CONFIRM_EVERY, MAX_RETRANSMIT, OBSERVATION, OBSERVERS, QUIET, ROUND_TRIP,
    UNCONFIRMED, UNCONFIRMED_AT_FIRST,
};
use crate::message::{Code, Kind, Message, Token, Writer, option};

/// A client that observes.
#[derive(Debug)]
pub(crate) struct Observer<E> {
    pub(crate) from: E,
    pub(crate) token: Token,
    resource: u16,
    /// The request that a notification answers, as a message with the options that matter and the payload of a FETCH.
    request: [u8; OBSERVATION],
    length: u8,
    /// Content-Format of the first response; all others have the same (RFC 7641 §4.2).
    pub(crate) format: Option<u16>,
    /// The value of the Observe option of its newest notification.
    pub(crate) sequence: u32,
    changed: bool,
    /// Message IDs of the newest notification and of the one before: a reset of either ends the observation.
    last: [u16; 2],
    confirmed_at: u64,
    /// When the newest notification was sent.
    sent_at: u64,
    outstanding: Option<Outstanding>,
    /// Non-confirmable notifications since the last confirmable one.
    unconfirmed: u8,
    /// Whether it has ever acknowledged one, or shown itself otherwise.
    known: bool,
    /// Measured, in milliseconds.
    round_trip: Option<u16>,
    /// When the notifications so far are due at one a round trip: a new one may go up to `BURST` round trips before.
    due: u64,
}

/// A confirmable notification that is not acknowledged yet.
#[derive(Clone, Copy, Debug)]
struct Outstanding {
    deadline: u64,
    attempts: u8,
    sent: u64,
}

/// What an observer is to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// A notification of this kind with a message ID of its own.
    Fresh(Kind),
    /// The outstanding one once more: nothing has changed since.
    Again(u16),
    /// It does not acknowledge: remove it (RFC 7641 §4.5).
    GiveUp,
}

/// A registration as it comes in.
pub(crate) struct Registration<'m, E> {
    pub(crate) from: E,
    pub(crate) message: &'m Message<'m>,
    pub(crate) resource: u16,
    /// Message ID of a response that is no acknowledgement: it can be reset.
    pub(crate) response: u16,
    pub(crate) known: bool,
    pub(crate) sequence: u32,
}

impl<E: Copy + Eq> Observer<E> {
    fn new(now: u64, r: &Registration<'_, E>) -> Option<Self> {
        let mut request = [0; OBSERVATION];
        let length =
            keep(r.message, true, &mut request).or_else(|| keep(r.message, false, &mut request))?;
        Some(Self {
            from: r.from,
            token: Token::new(r.message.token),
            resource: r.resource,
            request,
            length,
            format: None,
            sequence: r.sequence,
            changed: false,
            last: [r.response; 2],
            confirmed_at: now,
            sent_at: now,
            outstanding: None,
            unconfirmed: 0,
            known: r.known,
            round_trip: None,
            due: now,
        })
    }

    /// The request, as it was kept.
    pub(crate) fn request(&self) -> ([u8; OBSERVATION], usize) {
        (self.request, usize::from(self.length))
    }

    pub(crate) fn resource(&self) -> u16 {
        self.resource
    }

    pub(crate) fn known(&self) -> bool {
        self.known
    }

    fn round_trip(&self) -> u64 {
        self.round_trip.map_or(ROUND_TRIP, u64::from)
    }

    /// From when on one more non-confirmable notification keeps to one a round trip.
    fn paced_from(&self) -> u64 {
        self.due.saturating_sub((BURST - 1) * self.round_trip())
    }

    /// What is due now. `reliable` says that all notifications of the resource are confirmable.
    pub(crate) fn due(&self, now: u64, reliable: bool) -> Due {
        if let Some(o) = self.outstanding {
            // RFC 7641 §4.5.1: none goes out while one waits for its acknowledgement.
            return if now < o.deadline {
                Due::Nothing
            } else if o.attempts >= MAX_RETRANSMIT {
                Due::GiveUp
            } else if self.changed {
                // RFC 7641 §4.5.2: a newer state takes the place of the one being retransmitted.
                Due::Fresh(Kind::Con)
            } else {
                Due::Again(self.last[0])
            };
        }
        let quiet = now >= self.sent_at + QUIET;
        if now >= self.confirmed_at + CONFIRM_EVERY || quiet && self.unconfirmed > 0 {
            return Due::Fresh(Kind::Con);
        }
        if !self.changed {
            return Due::Nothing;
        }
        let most = if self.known {
            UNCONFIRMED
        } else {
            UNCONFIRMED_AT_FIRST
        };
        let paced = now >= self.paced_from();
        if reliable || quiet || self.unconfirmed >= most || !paced && self.round_trip.is_none() {
            Due::Fresh(Kind::Con)
        } else if paced {
            Due::Fresh(Kind::Non)
        } else {
            Due::Nothing
        }
    }

    /// A notification goes out; `time_out` is the first one's.
    pub(crate) fn sent(&mut self, now: u64, kind: Kind, id: u16, sequence: u32, time_out: u64) {
        self.changed = false;
        self.sent_at = now;
        if id != self.last[0] {
            self.last = [id, self.last[0]];
            self.sequence = sequence;
        }
        let again = self.outstanding;
        if kind == Kind::Con {
            let attempts = again.map_or(0, |o| o.attempts + 1);
            self.outstanding = Some(Outstanding {
                deadline: now + (time_out << attempts),
                attempts,
                sent: now,
            });
            self.confirmed_at = now;
            self.unconfirmed = 0;
        } else {
            self.unconfirmed = self.unconfirmed.saturating_add(1);
            self.due = self.due.max(now) + self.round_trip();
        }
    }

    /// When to look again.
    fn deadline(&self) -> u64 {
        match self.outstanding {
            Some(o) => o.deadline,
            None if self.changed => self.paced_from(),
            None if self.unconfirmed > 0 => self.sent_at + QUIET,
            None => self.confirmed_at + CONFIRM_EVERY,
        }
    }

    /// An acknowledgement or a reset that may be of a notification: whether it was, and whether it ends the observation.
    fn settled(&mut self, now: u64, kind: Kind, id: u16) -> Option<bool> {
        let position = self.last.iter().position(|last| *last == id)?;
        if kind == Kind::Rst {
            return Some(true);
        }
        let o = self.outstanding?;
        self.known = true;
        if position == 0 {
            // Only what was sent once says how long a round trip takes.
            if o.attempts == 0 {
                if self.round_trip.is_none() {
                    // What was counted at the guess counts no more.
                    self.due = self.due.min(now);
                }
                self.round_trip = Some(now.saturating_sub(o.sent).clamp(1, ACK_TIMEOUT) as u16);
            }
            self.outstanding = None;
        } else if let Some(o) = &mut self.outstanding {
            // Of the one before: the client is there, and the newer one still on its way.
            o.attempts = 0;
        }
        Some(false)
    }
}

/// Keeps of a request what makes its answer; ETags only when there is room for them.
fn keep(message: &Message<'_>, tags: bool, to: &mut [u8]) -> Option<u8> {
    let mut w = Writer::new(to, Kind::Non, message.code, 0, &[]);
    for (number, value) in message.options {
        let kept = matches!(
            number,
            option::URI_PATH
                | option::URI_QUERY
                | option::ACCEPT
                | option::CONTENT_FORMAT
                | option::BLOCK2
        );
        if kept || tags && number == option::ETAG {
            w.option(number, value);
        }
    }
    let payload = if message.code == Code::FETCH {
        message.payload
    } else {
        &[]
    };
    Some(w.finish(payload)?.len() as u8)
}

#[derive(Debug)]
pub(crate) struct Observers<E>([Option<Observer<E>>; OBSERVERS]);

impl<E: Copy + Eq> Observers<E> {
    pub(crate) const fn new() -> Self {
        Self([const { None }; OBSERVERS])
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }

    pub(crate) fn at(&mut self, index: usize) -> Option<&mut Observer<E>> {
        self.0.get_mut(index)?.as_mut()
    }

    pub(crate) fn remove(&mut self, index: usize) {
        if let Some(place) = self.0.get_mut(index) {
            *place = None;
        }
    }

    /// Whether a resource is observed at all.
    pub(crate) fn any(&self, resource: u16) -> bool {
        self.0.iter().flatten().any(|o| o.resource == resource)
    }

    /// Registers a client; `None` when there is no room for it.
    pub(crate) fn register(&mut self, now: u64, r: &Registration<'_, E>) -> Option<usize> {
        let index = self.0.iter().position(Option::is_none)?;
        let place = self.0.get_mut(index)?;
        *place = Some(Observer::new(now, r)?);
        Some(index)
    }

    /// RFC 7641 §4.1: endpoint and token name an observation.
    pub(crate) fn forget(&mut self, from: E, token: &[u8]) {
        for place in &mut self.0 {
            place.take_if(|o| o.from == from && o.token.get() == token);
        }
    }

    pub(crate) fn notify(&mut self, resource: u16) {
        for o in self.0.iter_mut().flatten() {
            o.changed |= o.resource == resource;
        }
    }

    /// An acknowledgement or a reset: whether it was of a notification.
    pub(crate) fn settled(&mut self, now: u64, from: E, kind: Kind, id: u16) -> bool {
        for place in &mut self.0 {
            let Some(o) = place.as_mut().filter(|o| o.from == from) else {
                continue;
            };
            if let Some(ends) = o.settled(now, kind, id) {
                if ends {
                    *place = None;
                }
                return true;
            }
        }
        false
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        self.0.iter().flatten().map(Observer::deadline).min()
    }
}

//! Observers (RFC 7641): who is told of which resource, and when.
use crate::lanes::next_second;
use crate::limits::{
    ACK_TIMEOUT, BURST, CONFIRM_EVERY, CONFIRM_EVERY_WHEN_CROWDED, HEARD, MAX_RETRANSMIT,
    OBSERVATION, OBSERVERS, QUIET, ROUND_TRIP, UNCONFIRMED, UNCONFIRMED_AT_FIRST,
};
use crate::message::{Code, Kind, Message, Token, Writer, option};
use crate::party::Party;
use crate::shares::{Holder, Place, Rank, Shares};
use core::num::NonZeroU16;

/// A client that observes.
#[derive(Debug)]
pub(crate) struct Observer<E, B> {
    /// Who it is; known once it has acknowledged a notification, or shown itself otherwise.
    pub(crate) party: Party<E>,
    pub(crate) token: Token,
    resource: u16,
    /// The request that a notification answers, as a message with the options that matter and the payload of a FETCH.
    request: [u8; OBSERVATION],
    length: u8,
    /// The security context it observes under, and what protects its notifications.
    pub(crate) context: Option<u8>,
    pub(crate) binding: Option<B>,
    /// Content-Format of the first response; all others have the same (RFC 7641 §4.2).
    pub(crate) format: Option<u16>,
    /// The value of the Observe option of its newest notification.
    pub(crate) sequence: u32,
    changed: bool,
    /// Whether it is to be asked if it is there.
    probed: bool,
    /// Message IDs of the newest notification and of the one before: a reset of either ends an observation without protection.
    last: [Option<u16>; 2],
    /// When it was last heard of: it registered or acknowledged.
    heard_at: u64,
    /// When the newest notification was sent.
    sent_at: u64,
    /// When a confirmable notification is sent again that is not acknowledged yet; [`NEVER`] when there is none.
    again_at: u64,
    /// How often it was sent again.
    attempts: u8,
    /// Non-confirmable notifications since the last confirmable one.
    unconfirmed: u8,
    /// Measured, in milliseconds.
    round_trip: Option<NonZeroU16>,
    /// When the notifications so far are due at one a round trip: a new one may go up to `BURST` round trips before.
    due: u64,
}

/// A time that does not come.
const NEVER: u64 = u64::MAX;

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
pub(crate) struct Registration<'m, E, B> {
    pub(crate) party: Party<E>,
    pub(crate) message: &'m Message<'m>,
    pub(crate) resource: u16,
    /// Message ID of a response that is not an acknowledgement: it can be reset.
    pub(crate) response: Option<u16>,
    pub(crate) context: Option<u8>,
    pub(crate) binding: Option<B>,
    pub(crate) sequence: u32,
}

impl<E: Copy + Eq, B: Copy> Observer<E, B> {
    fn new(now: u64, r: &Registration<'_, E, B>) -> Option<Self> {
        let mut request = [0; OBSERVATION];
        let length =
            keep(r.message, true, &mut request).or_else(|| keep(r.message, false, &mut request))?;
        Some(Self {
            party: r.party,
            token: Token::new(r.message.token),
            resource: r.resource,
            request,
            length,
            context: r.context,
            binding: r.binding,
            format: None,
            sequence: r.sequence,
            changed: false,
            probed: false,
            last: [r.response, None],
            heard_at: now,
            sent_at: now,
            again_at: NEVER,
            attempts: 0,
            unconfirmed: 0,
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

    /// Whether a confirmable notification is not acknowledged yet.
    fn outstanding(&self) -> bool {
        self.again_at != NEVER
    }

    /// What holds for its place: one that does not acknowledge is gone.
    fn rank(&self) -> Rank {
        let patience = if self.party.known { 1 } else { 0 };
        if self.outstanding() && self.attempts > patience {
            Rank::Gone
        } else {
            self.party.rank()
        }
    }

    /// It is to be asked whether it is there, unless it was heard of lately.
    fn probe(&mut self, now: u64) {
        let lately = self.party.known && now < self.heard_at + HEARD;
        self.probed |= !self.outstanding() && !lately;
    }

    /// When it is asked for a sign of life if it gives none before.
    fn ask_at(&self, crowded: bool) -> u64 {
        self.heard_at
            + match (crowded, self.party.known) {
                (false, _) => CONFIRM_EVERY,
                (true, true) => CONFIRM_EVERY_WHEN_CROWDED,
                (true, false) => HEARD,
            }
    }

    fn round_trip(&self) -> u64 {
        self.round_trip.map_or(ROUND_TRIP, |t| t.get().into())
    }

    /// From when on one more non-confirmable notification keeps to one a round trip.
    fn paced_from(&self) -> u64 {
        self.due.saturating_sub((BURST - 1) * self.round_trip())
    }

    /// What is due now. `reliable` says that all notifications of the resource are confirmable, `crowded` that places are few.
    pub(crate) fn due(&self, now: u64, reliable: bool, crowded: bool) -> Due {
        if self.outstanding() {
            // RFC 7641 §4.5.1: none goes out while one waits for its acknowledgement.
            return if now < self.again_at {
                Due::Nothing
            } else if self.attempts >= MAX_RETRANSMIT {
                Due::GiveUp
            } else if self.changed {
                // RFC 7641 §4.5.2: a newer state takes the place of the one being retransmitted.
                Due::Fresh(Kind::Con)
            } else {
                self.last[0].map_or(Due::Nothing, Due::Again)
            };
        }
        let quiet = now >= self.sent_at + QUIET;
        let asked = self.probed || now >= self.ask_at(crowded);
        if asked || quiet && self.unconfirmed > 0 {
            return Due::Fresh(Kind::Con);
        }
        if !self.changed {
            return Due::Nothing;
        }
        let most = if self.party.known {
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

    /// What is due of a change that can be told now or never. One more than the pace allows is sent (RFC 7641 §4.5.1 is a SHOULD
    /// there); where one waits for its acknowledgement the change takes its place at once (§4.5.2).
    pub(crate) fn due_at_last(&self) -> Due {
        if !self.changed || self.attempts >= MAX_RETRANSMIT {
            Due::Nothing
        } else if self.outstanding() {
            Due::Fresh(Kind::Con)
        } else {
            Due::Fresh(Kind::Non)
        }
    }

    /// A notification goes out; `time_out` is the first one's.
    pub(crate) fn sent(&mut self, now: u64, kind: Kind, id: u16, sequence: u32, time_out: u64) {
        self.changed = false;
        self.probed = false;
        self.sent_at = now;
        if self.last[0] != Some(id) {
            self.last = [Some(id), self.last[0]];
            self.sequence = sequence;
        }
        if kind == Kind::Con {
            self.attempts = if self.outstanding() {
                self.attempts.saturating_add(1)
            } else {
                0
            };
            self.again_at = now + (time_out << self.attempts);
            self.unconfirmed = 0;
        } else {
            self.unconfirmed = self.unconfirmed.saturating_add(1);
            self.due = self.due.max(now) + self.round_trip();
        }
    }

    /// When to look again.
    fn deadline(&self, crowded: bool) -> u64 {
        let ask = self.ask_at(crowded);
        if self.outstanding() {
            self.again_at
        } else if self.probed {
            0
        } else if self.changed {
            self.paced_from().min(ask)
        } else if self.unconfirmed > 0 {
            (self.sent_at + QUIET).min(ask)
        } else {
            ask
        }
    }

    /// An acknowledgement or a reset that may be of a notification: whether it was, and whether it ends the observation.
    fn settled(&mut self, now: u64, kind: Kind, id: u16) -> Option<bool> {
        let position = self.last.iter().position(|last| *last == Some(id))?;
        if kind == Kind::Rst {
            // Nothing protects a reset, and whoever tries all 65,536 message IDs hits: what is protected asks its client (RFC 7641 §4.5), who
            // acknowledges or is gone.
            self.probed |= self.context.is_some() && !self.outstanding();
            return Some(self.context.is_none());
        }
        if !self.outstanding() {
            return None;
        }
        self.party.known = true;
        self.heard_at = now;
        if position == 0 {
            // Only what was sent once says how long a round trip takes.
            if self.attempts == 0 {
                if self.round_trip.is_none() {
                    // What was counted at the guess counts no more.
                    self.due = self.due.min(now);
                }
                let took = now.saturating_sub(self.sent_at).min(ACK_TIMEOUT);
                self.round_trip = NonZeroU16::new(took as u16).or(Some(NonZeroU16::MIN));
            }
            self.again_at = NEVER;
        } else {
            // Of the one before: the client is there, and the newer one still on its way.
            self.attempts = 0;
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

/// Where a registration went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registered {
    /// Into this place; whether another observer had it.
    At(usize, bool),
    NoRoom,
    /// Longer than what is kept.
    TooLong,
}

#[derive(Debug)]
pub(crate) struct Observers<E, B>([Option<Observer<E, B>>; OBSERVERS]);

impl<E: Copy + Eq, B: Copy> Observers<E, B> {
    pub(crate) const fn new() -> Self {
        Self([const { None }; OBSERVERS])
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// Whether more than half of the places are taken.
    pub(crate) fn crowded(&self) -> bool {
        self.count() > OBSERVERS / 2
    }

    pub(crate) fn at(&mut self, index: usize) -> Option<&mut Observer<E, B>> {
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

    /// Registers a client. When there is no room for it, all that were not heard of lately are asked whether they are there: the
    /// places of those that are not are free a few seconds later.
    pub(crate) fn register(
        &mut self,
        shares: &Shares<E>,
        now: u64,
        r: &Registration<'_, E, B>,
    ) -> Registered {
        let Some(new) = Observer::new(now, r) else {
            return Registered::TooLong;
        };
        let Some(Place { index, taken }) = self.place(shares, &new) else {
            self.0.iter_mut().flatten().for_each(|o| o.probe(now));
            return Registered::NoRoom;
        };
        if let Some(place) = self.0.get_mut(index) {
            *place = Some(new);
        }
        Registered::At(index, taken)
    }

    /// The place that a new observer gets: of those that are taken, first that of an older observation of the same by the same client, which has forgotten
    /// its token (RFC 7641 §3.1: none registers twice for one thing).
    fn place(&self, shares: &Shares<E>, new: &Observer<E, B>) -> Option<Place> {
        let same = |o: &Observer<E, B>| {
            o.party.endpoint == new.party.endpoint
                && o.context == new.context
                && (o.request, o.length) == (new.request, new.length)
        };
        let again = self
            .0
            .iter()
            .position(|o| o.as_ref().is_some_and(same))
            .filter(|_| self.count() == OBSERVERS);
        if let Some(index) = again {
            return Some(Place { index, taken: true });
        }
        shares.place(&new.party.endpoint, new.party.rank(), OBSERVERS, &|index| {
            let o = self.0.get(index)?.as_ref()?;
            Some(Holder {
                from: o.party.endpoint,
                rank: o.rank(),
                since: o.heard_at,
            })
        })
    }

    /// RFC 7641 §4.1: endpoint and token name an observation; it ends under the security context under which it began.
    pub(crate) fn forget(&mut self, from: E, token: &[u8], context: Option<u8>) {
        for place in &mut self.0 {
            place.take_if(|o| {
                o.party.endpoint == from && o.token.get() == token && o.context == context
            });
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
            let Some(o) = place.as_mut().filter(|o| o.party.endpoint == from) else {
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

    /// When to look again. What is due and was not sent had no message ID: there are more of them in the next second.
    pub(crate) fn deadline(&self, now: u64) -> Option<u64> {
        let crowded = self.crowded();
        let all = self.0.iter().flatten().map(|o| o.deadline(crowded));
        all.min()
            .map(|at| if at > now { at } else { next_second(now) })
    }
}

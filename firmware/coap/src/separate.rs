//! Responses that come later (RFC 7252 §5.2.2): waited for, sent, and sent again until they are acknowledged.
use crate::asked::Asked;
use crate::limits::{EXCHANGE_LIFETIME, KEPT, MAX_RETRANSMIT, PROCESSING_DELAY, SEPARATE};
use crate::message::{Code, Kind, Options, Token};
use crate::party::Party;
use crate::request::Part;
use crate::shares::{Holder, Rank, Shares};

/// What is kept of the request that a later response answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    pub(crate) method: Code,
    /// Classes of responses that the client does not want (RFC 7967 §2).
    pub(crate) silent: u8,
    pub(crate) block1: Option<Part>,
    pub(crate) block2: Option<Part>,
    /// The most the peer may be sent while it has not shown itself.
    pub(crate) most: Option<u16>,
    pub(crate) group: bool,
}

impl Owed {
    /// What the request asked, as far as it still matters.
    pub(crate) fn asked(&self) -> Asked<'static> {
        Asked {
            block1: self.block1,
            block2: self.block2,
            silent: self.silent,
            ..Asked::nothing(self.method, Options::new(&[]))
        }
    }
}

/// A response that comes later.
#[derive(Debug)]
pub(crate) struct Separate<E, B> {
    pub(crate) to: Party<E>,
    pub(crate) token: Token,
    /// Message ID of the request.
    pub(crate) request: u16,
    pub(crate) confirmable: bool,
    pub(crate) owed: Owed,
    /// What protects it.
    pub(crate) binding: Option<B>,
    /// The upload the request was a part of.
    pub(crate) transfer: Option<u8>,
    pub(crate) since: u64,
    pub(crate) state: Pending,
    pub(crate) message: [u8; KEPT],
    pub(crate) length: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// The handler has not answered; whether the request has been acknowledged, or needs not be.
    Handler { ticket: u16, acknowledged: bool },
    /// Sent with this message ID, not acknowledged: deadline and attempts.
    Sent {
        id: u16,
        deadline: u64,
        attempts: u8,
    },
}

impl<E, B> Separate<E, B> {
    /// When to look again.
    fn deadline(&self) -> u64 {
        match self.state {
            Pending::Handler {
                acknowledged: false,
                ..
            } => self.since + PROCESSING_DELAY,
            // A handler that never answers is forgotten in the end.
            Pending::Handler { .. } => self.since + EXCHANGE_LIFETIME,
            Pending::Sent { deadline, .. } => deadline,
        }
    }

    /// Whether it has been sent again at least once, and may give way to another.
    fn late(&self) -> bool {
        matches!(self.state, Pending::Sent { attempts: 1.., .. })
    }
}

#[derive(Debug)]
pub(crate) struct Separates<E, B>([Option<Separate<E, B>>; SEPARATE]);

impl<E: Copy + Eq, B> Separates<E, B> {
    pub(crate) const fn new() -> Self {
        Self([const { None }; SEPARATE])
    }

    pub(crate) fn at(&mut self, index: usize) -> Option<&mut Separate<E, B>> {
        self.0.get_mut(index)?.as_mut()
    }

    pub(crate) fn take(&mut self, index: usize) -> Option<Separate<E, B>> {
        self.0.get_mut(index)?.take()
    }

    /// Whether there is room for one more of this endpoint, if need be in the place of one whose peer does not acknowledge.
    pub(crate) fn room(&self, shares: &Shares<E>, from: E, rank: Rank) -> bool {
        let end = self.0.iter().rposition(Option::is_some);
        let end = end.map_or(0, |last| last + 1);
        shares.fits(&from, rank, SEPARATE, end, &|index| {
            let s = self.0.get(index)?.as_ref().filter(|s| !s.late())?;
            Some(Holder {
                from: s.to.endpoint,
                rank: s.to.rank(),
                since: s.since,
            })
        })
    }

    /// Adds one; whether another had to give way, or `None` when there is no room.
    pub(crate) fn add(&mut self, separate: Separate<E, B>) -> Option<bool> {
        let free = self.0.iter().position(Option::is_none);
        let index = free.or_else(|| {
            let late = |(i, s): (usize, &Option<Separate<E, B>>)| {
                let s = s.as_ref().filter(|s| s.late())?;
                Some((i, s.since))
            };
            let all = self.0.iter().enumerate().filter_map(late);
            all.min_by_key(|(_, since)| *since).map(|(index, _)| index)
        })?;
        *self.0.get_mut(index)? = Some(separate);
        Some(free.is_none())
    }

    /// The one that answers this request.
    pub(crate) fn of_request(&self, to: E, id: u16) -> Option<&Separate<E, B>> {
        let mut all = self.0.iter().flatten();
        all.find(|s| s.request == id && s.to.endpoint == to)
    }

    pub(crate) fn of_ticket(&self, wanted: u16) -> Option<usize> {
        self.0.iter().position(|s| {
            s.as_ref().is_some_and(
                |s| matches!(s.state, Pending::Handler { ticket, .. } if ticket == wanted),
            )
        })
    }

    /// An acknowledgement or a reset (RFC 7252 §4.2): whether it was of one of these. A reset, which nothing protects, ends no response that
    /// is protected: it goes out again until it is acknowledged or given up.
    pub(crate) fn settled(&mut self, to: E, kind: Kind, wanted: u16) -> bool {
        let found = |s: &Separate<E, B>| {
            s.to.endpoint == to && matches!(s.state, Pending::Sent { id, .. } if id == wanted)
        };
        for place in &mut self.0 {
            if let Some(s) = place.as_ref().filter(|s| found(s)) {
                if kind == Kind::Ack || s.binding.is_none() {
                    *place = None;
                }
                return true;
            }
        }
        false
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        self.0.iter().flatten().map(Separate::deadline).min()
    }
}

/// What is due of a separate response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// The request is to be acknowledged.
    Acknowledge,
    /// The response goes out again.
    Again,
    /// Nobody acknowledges, or the handler never answers.
    GiveUp,
}

impl<E, B> Separate<E, B> {
    /// Keeps a message for retransmission; `false` when there is none or no room.
    pub(crate) fn keep(&mut self, message: &[u8]) -> bool {
        let place = self.message.get_mut(..message.len());
        let Some(place) = place.filter(|place| !place.is_empty()) else {
            return false;
        };
        place.copy_from_slice(message);
        self.length = message.len() as u16;
        true
    }

    /// The message that was kept.
    pub(crate) fn kept(&self) -> &[u8] {
        self.message.get(..usize::from(self.length)).unwrap_or(&[])
    }

    pub(crate) fn due(&self, now: u64) -> Due {
        match self.state {
            _ if now < self.deadline() => Due::Nothing,
            Pending::Handler {
                acknowledged: false,
                ..
            } => Due::Acknowledge,
            Pending::Sent { attempts, .. } if attempts < MAX_RETRANSMIT => Due::Again,
            Pending::Handler { .. } | Pending::Sent { .. } => Due::GiveUp,
        }
    }
}

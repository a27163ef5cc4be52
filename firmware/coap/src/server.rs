//! The server: its tables, what comes in by kind, and what is due by the clock.
use crate::application::{Application, Transmit};
use crate::counters::{Counters, count};
use crate::deduplication::{Exchanges, acknowledgement, empty};
use crate::echo::Verified;
use crate::encode::Workshop;
use crate::group::{Delay, Group};
use crate::lanes::Lanes;
use crate::limits::{ACK_TIMEOUT, DEFAULT_LEISURE, OBSERVERS, SEPARATE};
use crate::message::{Code, Kind, Malformed, Message, option};
use crate::observers::Observers;
use crate::party::{Arrival, Party};
use crate::reads::Reads;
use crate::secret::{Purpose, Secret};
use crate::security::{Open, Security};
use crate::separate::{self, Pending, Separates};
use crate::shares::Shares;
use crate::transfers::Transfers;
use core::hash::Hash;

/// A CoAP server for endpoints of type `E`, with the security stage `S`.
pub struct Server<E, S: Security<E> = Open> {
    pub(crate) core: Core<E, S::Binding>,
    pub(crate) security: S,
}

/// All but the security stage, which looks at requests while this deals with them.
pub(crate) struct Core<E, B> {
    pub(crate) secret: Secret,
    /// The value of the newest Observe option: one count for all, so that it never falls for any (RFC 7641 §4.4).
    pub(crate) sequence: u32,
    pub(crate) trusts: fn(&E) -> bool,
    pub(crate) shares: Shares<E>,
    pub(crate) lanes: Lanes,
    pub(crate) verified: Verified<E>,
    pub(crate) exchanges: Exchanges<E>,
    pub(crate) transfers: Transfers<E>,
    pub(crate) reads: Reads<E>,
    pub(crate) observers: Observers<E, B>,
    pub(crate) separates: Separates<E, B>,
    pub(crate) group: Group<E>,
    pub(crate) counters: Counters,
    pub(crate) workshop: Workshop,
}

impl<E: Copy + Eq + Hash> Server<E> {
    /// A server without a security stage; see [`Server::with`].
    // In one piece with what calls it, and its parts with it: else the stack of a small board needs room for a second one.
    #[inline(always)]
    pub const fn new(seed: u128) -> Self {
        Self::with(seed, Open)
    }
}

impl<E: Copy + Eq + Hash, S: Security<E>> Server<E, S> {
    /// A server. The seed is the secret from which all comes that a stranger must not guess (what is to be echoed, message IDs,
    /// entity tags, times): it must differ from boot to boot, and be as random as the board can make it.
    #[inline(always)]
    pub const fn with(seed: u128, security: S) -> Self {
        Self {
            core: Core::new(seed),
            security,
        }
    }

    /// Another secret, before anything was received.
    pub fn seed(&mut self, seed: u128) {
        self.core.secret = Secret::new(seed);
    }

    /// Which endpoints need not show that they are where they say: those of a link on which nobody can claim to be another, such
    /// as a serial line.
    pub fn trust(&mut self, trusts: fn(&E) -> bool) {
        self.core.trusts = trusts;
    }

    /// Which host an endpoint is at, as a number of the embedder's choice: then shares are fair between hosts as well as between
    /// endpoints, however many ports one uses.
    pub fn hosts(&mut self, host: fn(&E) -> u64) {
        self.core.shares.hosts(host);
    }

    /// The security stage.
    pub fn security(&mut self) -> &mut S {
        &mut self.security
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// How many clients observe.
    pub fn observers(&self) -> usize {
        self.core.observers.count()
    }

    /// How many uploads are under way.
    pub fn transfers(&self) -> usize {
        self.core.transfers.open()
    }

    /// How many multicast requests wait for their leisure.
    pub fn waiting(&self) -> usize {
        self.core.group.count()
    }

    /// A resource has changed: its observers are told at the next [`Server::poll`].
    pub fn notify(&mut self, resource: u16) {
        self.core.observers.notify(resource);
    }

    /// Whether anybody observes a resource.
    pub fn observed(&self, resource: u16) -> bool {
        self.core.observers.any(resource)
    }

    /// Takes a datagram at the time `now`, in milliseconds since any moment, which never falls. `multicast` says that it was sent
    /// to a multicast group, not to this node.
    pub fn receive<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        from: E,
        multicast: bool,
        datagram: &[u8],
        app: &mut A,
        out: &mut T,
    ) {
        let core = &mut self.core;
        count(&mut core.counters.received);
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(problem) => {
                count(&mut core.counters.malformed);
                // RFC 7252 §4.2: a confirmable message with a format error is rejected, all else ignored (§4.3).
                if let Malformed::Reject(Kind::Con, id) = problem
                    && !multicast
                {
                    core.transmit(out, from, &empty(Kind::Rst, id));
                }
                return;
            }
        };
        match (message.kind, message.code.class()) {
            (Kind::Ack | Kind::Rst, _) => {
                // RFC 7252 §4.2: both are empty when they answer what we send, which is not a request.
                let known = message.code == Code::EMPTY
                    && (core.separates.settled(from, message.kind, message.id)
                        || core.observers.settled(now, from, message.kind, message.id));
                count(if known {
                    &mut core.counters.settled
                } else {
                    &mut core.counters.stray
                });
            }
            // RFC 7252 §4.3: an empty confirmable message is a ping.
            (Kind::Con, 0) if message.code == Code::EMPTY && !multicast => {
                count(&mut core.counters.pings);
                core.transmit(out, from, &empty(Kind::Rst, message.id));
            }
            (_, 0) if message.code != Code::EMPTY => {
                if !multicast {
                    let arrival = Arrival {
                        now,
                        from,
                        group: false,
                        size: datagram.len(),
                    };
                    self.request(&arrival, &message, app, out);
                } else if message.kind == Kind::Non {
                    core.delay(now, from, &message, datagram);
                } else {
                    // RFC 7252 §8.1: requests to a group are non-confirmable.
                    count(&mut core.counters.suppressed);
                }
            }
            (kind, _) => {
                count(&mut core.counters.stray);
                // RFC 7252 §4.2: what we have no context for, responses and reserved classes, is rejected.
                if kind == Kind::Con && !multicast {
                    core.transmit(out, from, &empty(Kind::Rst, message.id));
                }
            }
        }
    }

    /// Sends what is due and returns when to call again at the latest.
    pub fn poll<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        app: &mut A,
        out: &mut T,
    ) -> Option<u64> {
        while let Some(delayed) = self.core.group.due(now) {
            let bytes = delayed.datagram();
            if let Ok(message) = Message::parse(bytes) {
                let arrival = Arrival {
                    now,
                    from: delayed.from,
                    group: true,
                    size: bytes.len(),
                };
                self.request(&arrival, &message, app, out);
            }
        }
        for index in 0..SEPARATE {
            self.core.poll_separate(now, index, out);
        }
        let crowded = self.core.observers.crowded();
        for index in 0..OBSERVERS {
            self.poll_observer(now, index, crowded, app, out);
        }
        let core = &self.core;
        let deadlines = [
            core.group.deadline(),
            core.separates.deadline(),
            core.observers.deadline(now),
        ];
        deadlines.into_iter().flatten().min()
    }
}

impl<E: Copy + Eq + Hash, B: Copy> Core<E, B> {
    #[inline(always)]
    const fn new(seed: u128) -> Self {
        Self {
            secret: Secret::new(seed),
            sequence: 0,
            trusts: |_| false,
            shares: Shares::new(),
            lanes: Lanes::new(),
            verified: Verified::new(),
            exchanges: Exchanges::new(),
            transfers: Transfers::new(),
            reads: Reads::new(),
            observers: Observers::new(),
            separates: Separates::new(),
            group: Group::new(),
            counters: Counters::ZERO,
            workshop: Workshop::new(),
        }
    }

    /// RFC 7641 §4.4: 24 bits that only rise, and begin anew. A client takes a number for older when it is further behind than half
    /// of them within 128 seconds (§3.4): that would be 65,536 notifications a second.
    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence = (self.sequence + 1) & 0xff_ffff;
        self.sequence
    }

    /// The first time-out: ACK_TIMEOUT times 1 to 1.5 (RFC 7252 §4.2).
    pub(crate) fn time_out(&mut self) -> u64 {
        ACK_TIMEOUT + u64::from(self.secret.below(ACK_TIMEOUT as u32 / 2))
    }

    pub(crate) fn transmit<T: Transmit<E>>(&mut self, out: &mut T, to: E, datagram: &[u8]) {
        count(&mut self.counters.sent);
        out.send(to, datagram);
    }

    /// What is known of an endpoint; `echo` is what it echoes.
    pub(crate) fn party(&mut self, now: u64, from: E, echo: Option<&[u8]>) -> Party<E> {
        let known = (self.trusts)(&from)
            || self
                .verified
                .knows(&self.secret, &self.shares, now, from, echo);
        Party {
            endpoint: from,
            hash: self.secret.of(Purpose::Endpoint, &from),
            known,
        }
    }

    /// RFC 7252 §8.2: an answer to a group request waits for a random part of the leisure.
    fn delay(&mut self, now: u64, from: E, message: &Message<'_>, datagram: &[u8]) {
        let party = self.party(now, from, message.options.get(option::ECHO));
        let at = now + u64::from(self.secret.below(DEFAULT_LEISURE));
        match self
            .group
            .add(&self.shares, from, party.rank(), at, datagram)
        {
            Delay::Waits => {}
            // The other one is dropped.
            Delay::WaitsInstead => {
                count(&mut self.counters.displaced);
                count(&mut self.counters.full);
            }
            Delay::Duplicate => count(&mut self.counters.duplicates),
            Delay::NoRoom => count(&mut self.counters.full),
        }
    }

    fn poll_separate<T: Transmit<E>>(&mut self, now: u64, index: usize, out: &mut T) {
        let Some(s) = self.separates.at(index) else {
            return;
        };
        let to = s.to.endpoint;
        match s.due(now) {
            separate::Due::Nothing => {}
            separate::Due::Acknowledge => {
                if let Pending::Handler { acknowledged, .. } = &mut s.state {
                    *acknowledged = true;
                }
                let again = acknowledgement(s.request);
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
                out.send(to, s.kept());
            }
            separate::Due::GiveUp => {
                count(&mut self.counters.given_up);
                self.separates.take(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7641 §3.4: whether a client takes the second for newer.
    fn newer(v1: u32, v2: u32) -> bool {
        v1 < v2 && v2 - v1 < 1 << 23 || v1 > v2 && v1 - v2 > 1 << 23
    }

    #[test]
    fn observe_numbers_rise_over_their_end() {
        let mut server: Server<u8> = Server::new(1);
        server.core.sequence = 0xff_fff0;
        let mut last = server.core.next_sequence();
        for _ in 0..64 {
            let next = server.core.next_sequence();
            assert!(next <= 0xff_ffff && newer(last, next), "{last} {next}");
            last = next;
        }
        assert_eq!(last, 0x31);
    }

    #[test]
    fn time_outs_are_between_two_and_three_seconds() {
        let mut server: Server<u8> = Server::new(1);
        let all = std::vec::Vec::from_iter((0..200).map(|_| server.core.time_out()));
        assert!(all.iter().all(|t| (2_000..3_000).contains(t)));
        assert!(all.iter().any(|t| *t < 2_100) && all.iter().any(|t| *t > 2_900));
    }
}

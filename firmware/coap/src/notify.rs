//! Notifications (RFC 7641 §4): rendered, protected and sent to each observer when they are due.
use crate::application::{Application, Transmit};
use crate::asked::Asked;
use crate::counters::count;
use crate::encode::Terms;
use crate::limits::{AMPLIFICATION, HEADERS, KEPT, OBSERVERS, SPARE_IDS};
use crate::message::{Code, Kind, Message};
use crate::observers;
use crate::outwards::Envelope;
use crate::request::{Principal, Request};
use crate::response::Answer;
use crate::security::{Role, Security};
use crate::separate::{Owed, Pending, Separate};
use crate::server::Server;
use core::hash::Hash;
use core::ops::Range;

/// A notification that is due.
#[derive(Clone, Copy)]
struct Notification {
    kind: Kind,
    id: u16,
    sequence: u32,
}

impl<E: Copy + Eq + Hash, S: Security<E>> Server<E, S> {
    /// Tells the observers of these resources what they have not been told yet, whatever the pace: for a state that is about to be
    /// gone. To be called where few things happen, as at a change of the program that the states are of.
    pub fn tell_at_last<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        resources: Range<u16>,
        app: &mut A,
        out: &mut T,
    ) {
        for index in 0..OBSERVERS {
            let observer = self.core.observers.at(index);
            if let Some(o) = observer.filter(|o| resources.contains(&o.resource())) {
                let due = o.due_at_last();
                self.tell_due(now, index, due, app, out);
            }
        }
    }

    pub(crate) fn poll_observer<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        index: usize,
        crowded: bool,
        app: &mut A,
        out: &mut T,
    ) {
        if let Some(o) = self.core.observers.at(index) {
            let due = o.due(now, app.reliable(o.resource()), crowded);
            self.tell_due(now, index, due, app, out);
        }
    }

    fn tell_due<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        index: usize,
        due: observers::Due,
        app: &mut A,
        out: &mut T,
    ) {
        let core = &mut self.core;
        let Some(o) = core.observers.at(index) else {
            return;
        };
        let notification = match due {
            observers::Due::Nothing => return,
            observers::Due::GiveUp => {
                count(&mut core.counters.given_up);
                core.observers.remove(index);
                return;
            }
            observers::Due::Fresh(kind) => {
                let id = core.lanes.id(now, o.party.hash, o.party.known, SPARE_IDS);
                let Some(id) = id else {
                    // RFC 7252 §4.4: rather late than with an ID that may not be used yet; it will be the newest state then.
                    count(&mut core.counters.deferred);
                    return;
                };
                Notification {
                    kind,
                    id,
                    sequence: core.next_sequence(),
                }
            }
            observers::Due::Again(id) => {
                let sequence = o.sequence;
                count(&mut core.counters.retransmitted);
                Notification {
                    kind: Kind::Con,
                    id,
                    sequence,
                }
            }
        };
        self.tell(now, index, notification, app, out);
    }

    /// Tells an observer the present state.
    fn tell<A: Application, T: Transmit<E>>(
        &mut self,
        now: u64,
        index: usize,
        notification: Notification,
        app: &mut A,
        out: &mut T,
    ) {
        let (core, security) = (&mut self.core, &mut self.security);
        let time_out = core.time_out();
        let Some(o) = core.observers.at(index) else {
            return;
        };
        let Notification { kind, id, sequence } = notification;
        o.sent(now, kind, id, sequence, time_out);
        let (mut to, token, format) = (o.party, o.token, o.format);
        let (context, binding) = (o.context, o.binding);
        let (bytes, length) = o.request();
        let Ok(message) = Message::parse(bytes.get(..length).unwrap_or(&[])) else {
            return;
        };
        to.known = to.known
            || core
                .verified
                .knows(&core.secret, &core.shares, now, to.endpoint, None);
        let request = Request {
            method: message.code,
            payload: message.payload,
            options: message.options,
            transfer: u8::MAX,
            read: None,
            notification: true,
            principal: Principal {
                endpoint: to.hash,
                host: core.shares.host(&to.endpoint).unwrap_or(to.hash.into()),
                verified: to.known,
                context,
            },
        };
        let terms = Terms {
            observe: Some(sequence),
            most: (!to.known).then_some(AMPLIFICATION * (length + HEADERS) - HEADERS),
            ..Terms::PLAIN
        };
        let made = core.make(now, &to, &token, &Asked::read(&message), &terms, &mut |r| {
            if app.handle(&request, r) != Answer::Now {
                return r.fail(
                    Code::INTERNAL_SERVER_ERROR,
                    format_args!("what is observed answers at once"),
                );
            }
            // RFC 7641 §4.2: the format stays what it was at first.
            if r.code.is_none_or(|code| code.class() == 2) && r.format != format {
                return r.fail(Code::NOT_ACCEPTABLE, format_args!("the format has changed"));
            }
            Answer::Now
        });
        let Ok(encoded) = made else {
            return;
        };
        let ends = encoded.code.class() != 2;
        let envelope = Envelope {
            to,
            kind: if ends { Kind::Con } else { kind },
            id,
            token,
            role: Role::Notification,
            binding,
        };
        let range = core.send(now, security, &envelope, &encoded, out);
        if !ends {
            return;
        }
        // RFC 7641 §4.2: a notification that is an error ends the observation; it is sent until it is acknowledged.
        core.observers.remove(index);
        let mut separate = Separate {
            to,
            token,
            request: id,
            confirmable: true,
            owed: Owed {
                method: message.code,
                silent: 0,
                block1: None,
                block2: None,
                most: None,
                group: false,
            },
            binding: None,
            transfer: None,
            since: now,
            state: Pending::Sent {
                id,
                deadline: now + time_out,
                attempts: 0,
            },
            message: [0; KEPT],
            length: 0,
        };
        if separate.keep(core.workshop.get(range)) {
            core.separates.add(separate);
        }
    }
}

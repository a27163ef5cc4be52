//! The node's end of a key exchange (RFC 9528): one at a time, and one multiplication on the curve in a step, so that the module waits
//! for no more than that. Who may begin one, and for how long it goes on, is the Server's matter (`server/exchange.rs`).
//!
//! What fails ends it, and is answered with an error message (RFC 9528 §6). What is secret is wiped when it goes.
use super::Runner;
use crate::mail::{REPLY, Reply, ReplyKind};
use crate::package::{INITIATORS, Own};
use crate::slot::Flash;
use wasmote_coap::Code;
use wasmote_edhoc::{
    Answering, Credential, First, Identity, MESSAGE_2, MESSAGE_4, Opened, P256, Progress, Refusal,
    Waiting,
};
use wasmote_oscore::Id;

/// Bytes of what a [`ReplyKind::Session`] has before the node's ID.
pub(crate) const SESSION: usize = 16 + 8 + MESSAGE_4;
const _: () = assert!(MESSAGE_2 <= REPLY && SESSION + 7 <= REPLY);

/// How far it is.
#[derive(Default)]
enum State {
    #[default]
    Nothing,
    /// message_2 is being made, for this ticket.
    First(u16, Answering<P256>),
    Waiting(Waiting),
    /// Whose message_3 it is is being found out, for this ticket.
    Third(u16, Opened),
}

/// What the Runner knows of it.
#[derive(Default)]
pub(super) struct Exchange {
    state: State,
    /// Others had a turn since its last step.
    rested: bool,
}

impl Exchange {
    fn works(&self) -> bool {
        matches!(self.state, State::First(..) | State::Third(..))
    }

    /// Whether the next step comes before what else waits.
    pub(super) fn due(&mut self) -> bool {
        self.works() && core::mem::replace(&mut self.rested, true)
    }
}

impl<F: Flash> Runner<F> {
    fn own(&self) -> Option<Identity<'static>> {
        let Own { secret, ccs } = self.provision.identity?;
        Credential::parse(ccs).map(|credential| Identity::new(credential, secret))
    }

    /// message_1 of a key exchange that we call `name`.
    pub(super) fn first(&mut self, ticket: u16, name: u8, bytes: &[u8], random: Option<[u8; 32]>) {
        if self.exchange.works() {
            // The Server lets nobody in meanwhile.
            return self.refuse(ticket, Refusal::Identifier);
        }
        // The one before it, if it still waits, is over.
        self.exchange.state = State::Nothing;
        let Some(random) = random else {
            let text = format_args!("no random numbers: the generator is out of order");
            self.post.answer(ticket, Code::INTERNAL_SERVER_ERROR, text);
            return;
        };
        let named = Id::new(&[name]).ok_or(Refusal::Identifier);
        let begun = First::parse(bytes).and_then(|first| first.begin(named?, &random));
        match begun {
            Ok(answering) => self.exchange.state = State::First(ticket, answering),
            Err(refusal) => self.refuse(ticket, refusal),
        }
    }

    /// message_3 of the key exchange under way.
    pub(super) fn third(&mut self, ticket: u16, bytes: &[u8]) {
        let opened = match core::mem::take(&mut self.exchange.state) {
            State::Waiting(waiting) => waiting.open(bytes),
            _ => Err(Refusal::Malformed),
        };
        match opened {
            Ok(opened) => self.exchange.state = State::Third(ticket, opened),
            Err(refusal) => self.refuse(ticket, refusal),
        }
    }

    /// One step; whether there was one.
    pub(super) fn advance(&mut self) -> bool {
        self.exchange.rested = false;
        match core::mem::take(&mut self.exchange.state) {
            State::First(ticket, answering) => self.compose(ticket, answering),
            State::Third(ticket, opened) => self.verify(ticket, opened),
            other => {
                self.exchange.state = other;
                return false;
            }
        }
        true
    }

    fn compose(&mut self, ticket: u16, answering: Answering<P256>) {
        let mut message = [0; MESSAGE_2];
        let own = self.own().ok_or(Refusal::Malformed);
        match own.and_then(|own| answering.step(&own, &mut message)) {
            Ok(Progress::More(next)) => self.exchange.state = State::First(ticket, next),
            Ok(Progress::Done(waiting, length)) => {
                self.exchange.state = State::Waiting(waiting);
                let message = message.get(..length).unwrap_or(&[]);
                self.tell(ticket, Code::CHANGED, ReplyKind::Exchange(true), &[message]);
            }
            Err(refusal) => self.refuse(ticket, refusal),
        }
    }

    fn verify(&mut self, ticket: u16, opened: Opened) {
        let mut known = heapless::Vec::<Credential<'static>, INITIATORS>::new();
        let mut numbers = [0; INITIATORS];
        let all = self.provision.initiators.iter();
        for (number, initiator) in (0..).zip(all).filter(|(_, one)| one.rights != 0) {
            let place = numbers.get_mut(known.len());
            if let (Some(credential), Some(place)) = (Credential::parse(initiator.ccs), place) {
                *place = number;
                let _ = known.push(credential);
            }
        }
        let session = match opened.verify::<P256>(&known) {
            Ok(session) => session,
            Err(refusal) => return self.refuse(ticket, refusal),
        };
        let made = session.oscore().zip(session.message_4());
        let Some(((oscore, message_4), number)) = made.zip(numbers.get(session.peer)) else {
            return self.refuse(ticket, Refusal::Forged);
        };
        let parts: [&[u8]; 4] = [
            &*oscore.secret,
            &oscore.salt,
            &message_4,
            oscore.sender.bytes(),
        ];
        self.tell(ticket, Code::CHANGED, ReplyKind::Session(*number), &parts);
    }

    fn refuse(&mut self, ticket: u16, refusal: Refusal) {
        let kind = ReplyKind::Exchange(false);
        self.tell(ticket, Code::BAD_REQUEST, kind, &[refusal.message()]);
    }

    fn tell(&mut self, ticket: u16, code: Code, kind: ReplyKind, parts: &[&[u8]]) {
        let mut payload = heapless::Vec::new();
        for part in parts {
            // It has room for the longest.
            let _ = payload.extend_from_slice(part);
        }
        self.post.reply = Some(Reply {
            ticket,
            code,
            payload,
            body: None,
            format: None,
            kind,
        });
    }
}

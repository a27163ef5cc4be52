//! Who may do what, and the contexts that come and go. Rights are those of contract.toml; they are looked at before anything else
//! of a request, which was decrypted by then.
use super::{Path, Resources, Server};
use crate::contract::{Kind as Named, RESOURCES, Resource, Right, key};
use crate::document::Document;
use crate::keyring::{END, Key, Keyring, Limits, UNIT};
use crate::mail::{Chunk, ChunkKind, ServerMail};
use crate::package::{INITIATORS, Provision};
use crate::slot::CONTEXT_CELLS;
use core::hash::Hash;
use wasmote_coap::{Answer, Code, Kind, Message, Request, Response, option};
use wasmote_oscore::{CONTEXTS, Counters, Entry, Id, Stage, Window};

/// Milliseconds after which numbers that could not be reserved are asked for again; and those that a node waits with it after a
/// fault, so that one which falls over again and again does not wear its flash.
const AGAIN: u64 = 1_000;
const AFTER_FAULT: u64 = 10_000;

/// What the Server knows of the contexts.
pub(super) struct Guard {
    all: [Option<Key>; CONTEXTS],
    /// What lies in flash.
    limits: Limits,
    open: bool,
    hidden: bool,
    /// Who may do what is not known any more: see [`Provision::damaged`].
    damaged: bool,
    /// Administrators who come to a context by a key exchange: a bit for each of the initiators.
    governors: u8,
    /// The present request came over a link on which nobody can claim to be another.
    pub(super) local: bool,
    /// The Runner was asked to reserve numbers, and has not answered.
    reserving: bool,
    /// When to ask it again.
    again: u64,
    /// What is on its way to flash.
    change: Option<Change>,
    /// How often the keys of each context were used, and whether they should be replaced.
    pub(super) used: [(u32, bool); CONTEXTS],
    pub(super) counters: Counters,
}

#[derive(Clone, Copy)]
struct Change {
    ticket: u16,
    place: u8,
    key: Option<Key>,
    /// Whose key is withdrawn with it.
    withdraws: Option<u8>,
}

/// Which of the initiators may give contexts away; none where the node has no key of its own to exchange keys with.
fn governors(provision: &Provision) -> u8 {
    let admin = Right::Admin as u8;
    let all = (0..).zip(&provision.initiators);
    let all = all.filter(|(_, one)| provision.identity.is_some() && one.rights & admin != 0);
    all.fold(0, |mask, (number, _)| mask | 1u8 << number)
}

/// How a node is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// It answers everybody: so it was provisioned.
    Open,
    /// It answers everybody: nobody has given it a context yet.
    Unclaimed,
    /// It answers those who have a context; also where nobody has one any more, because the record that said who was damaged.
    Secured,
}

impl Security {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Unclaimed => "unclaimed",
            Self::Secured => "secured",
        }
    }
}

impl Guard {
    /// Puts the contexts into the stage.
    pub(super) fn new(
        provision: &Provision,
        keyring: &Keyring,
        stage: &mut Stage,
        seed: u128,
        reset: &str,
    ) -> Self {
        stage.seed(seed);
        stage.demand();
        let mut guard = Self {
            all: [None; CONTEXTS],
            limits: keyring.limits,
            open: provision.open,
            hidden: provision.hidden,
            damaged: provision.damaged,
            governors: governors(provision),
            local: false,
            reserving: false,
            again: if matches!(reset, "watchdog" | "software") {
                AFTER_FAULT
            } else {
                0
            },
            change: None,
            used: [(0, false); CONTEXTS],
            counters: Counters::default(),
        };
        for (place, key) in keyring.all.iter().enumerate() {
            // What requests could not be told from another is left out: the place with the lower number counts.
            if let Some(key) = key
                && guard.set(stage, place, key, None)
                && let Some(own) = guard.all.get_mut(place)
            {
                *own = Some(*key);
            }
        }
        guard
    }

    fn set(&self, stage: &mut Stage, place: usize, key: &Key, window: Option<Window>) -> bool {
        let limit = self.limits.numbers.get(place).copied().unwrap_or(0);
        key.material().is_some_and(|material| {
            let entry = Entry {
                material,
                rights: key.rights,
                limit: u64::from(limit) * UNIT,
                window,
            };
            stage.set(place, Some(&entry))
        })
    }

    pub(super) fn security(&self) -> Security {
        if self.open {
            Security::Open
        } else if !self.damaged && !self.is_owned() {
            Security::Unclaimed
        } else {
            Security::Secured
        }
    }

    /// Whether somebody has a context, or comes to an administrator's by a key exchange.
    fn is_owned(&self) -> bool {
        self.all.iter().any(Option::is_some) || self.governors & !self.limits.withdrawn != 0
    }

    fn key(&self, place: u8) -> Option<&Key> {
        self.all.get(usize::from(place))?.as_ref()
    }

    /// Whether a request may have what needs this right; else with which code it is refused.
    fn permits(&self, request: &Request<'_>, right: Option<Right>) -> Result<(), Code> {
        let refused = if request.principal.context.is_some() {
            Code::FORBIDDEN
        } else {
            Code::UNAUTHORIZED
        };
        let Some(right) = right else {
            return Err(refused);
        };
        let bit = right as u8;
        let held = request.principal.context.and_then(|place| self.key(place));
        let held = held.map_or(0, |key| key.rights);
        let anybody = match right {
            Right::Public => true,
            // Whoever may give contexts away has the node: the first comes over a cable, all others from an administrator.
            // That there is none, anybody may read.
            Right::Admin => {
                let may = self.local || request.method.is_safe();
                may && !self.is_owned()
            }
            _ => request.principal.context.is_none() && self.security() != Security::Secured,
        };
        if anybody || held & bit != 0 {
            Ok(())
        } else {
            Err(refused)
        }
    }

    /// Asks flash for the numbers that the stage wants, where it wants any and it is time for it; whether that was so.
    pub(super) fn asks(&mut self, stage: &Stage, mail: &mut ServerMail, now: u64) -> bool {
        let mut wanted = self.limits;
        for (place, limit) in stage.wanted() {
            if let Some(own) = wanted.numbers.get_mut(usize::from(place)) {
                // After that no number is left.
                *own = (limit.div_ceil(UNIT).min(END.into()) as u32).max(*own);
            }
        }
        let due = wanted != self.limits && now >= self.again;
        if due {
            self.reserving = mail.reserve.enqueue(wanted).is_ok();
        }
        due
    }

    /// Whether a context is there to stay: it waits for no first use, after which the one before it goes.
    fn stands(&self, key: &Key) -> bool {
        key.replaces.is_none_or(|place| self.key(place).is_none())
    }

    /// Whether a context waits for its first use to take the place of this one.
    fn is_replaced(&self, place: u8) -> bool {
        let all = self.all.iter().flatten();
        all.into_iter().any(|key| key.replaces == Some(place))
    }

    /// Whether somebody would be left who may give contexts away, if this place were empty. One that was never used does not count.
    fn governed_without(&self, place: u8) -> bool {
        self.all.iter().enumerate().any(|(other, key)| {
            let admin = |key: &Key| self.stands(key) && key.rights & Right::Admin as u8 != 0;
            other != usize::from(place) && key.as_ref().is_some_and(admin)
        })
    }

    /// Why a context may not come to this place; `None` where it may.
    fn conflict(&self, place: u8, key: &Key) -> Option<&'static str> {
        if self.key(place).is_some_and(|old| self.stands(old)) {
            return Some("this place is taken: remove its context first");
        }
        if self.key(place).is_none() && self.is_replaced(place) {
            return Some("the successor of this place's context was not used yet");
        }
        let mut others = (0..CONTEXTS as u8).filter(|other| *other != place);
        if others.any(|other| self.key(other).is_some_and(|old| old.peer == key.peer)) {
            return Some("another context has this peer ID");
        }
        let admin = key.rights & Right::Admin as u8 != 0;
        if let Some(replaced) = key.replaces {
            if replaced == place || self.key(replaced).is_none_or(|old| !self.stands(old)) {
                return Some("there is no context to replace");
            }
            if self.key(place).is_none() && self.is_replaced(replaced) {
                return Some("another context is about to replace this one");
            }
            if !admin && !self.governed_without(replaced) {
                return Some("the last administrator stays one");
            }
        } else if self.all.iter().flatten().count() >= CONTEXTS - 1 {
            return Some("the last place is for a successor: remove a context first");
        } else if !admin && !self.governed_without(place) && !self.is_owned() {
            return Some("the first context is an administrator's");
        }
        // Flash has room for eight short ones, or fewer of those that come of key exchanges; for the successor of an administrator's
        // always.
        let others = (0..).zip(&self.all).filter(|(other, _)| *other != place);
        let others: usize = others.map(|(_, key)| cells(key.as_ref())).sum();
        let spare = if admin && key.replaces.is_some() {
            0
        } else {
            2
        };
        let needed = others + cells(Some(key)) + spare;
        (needed > CONTEXT_CELLS).then_some("no room: remove a context first")
    }

    /// Where the context goes that comes of a key exchange with this initiator, and what it replaces: what he has stays until the new
    /// one was used. `None` where his key is withdrawn.
    pub(super) fn seat(&self, initiator: u8) -> Option<(u8, Option<u8>)> {
        if self.limits.withdrawn >> initiator & 1 != 0 {
            return None;
        }
        let own = |place: &u8| {
            let key = self.key(*place);
            key.is_some_and(|key| key.initiator == Some(initiator) && self.stands(key))
        };
        let places = 0..CONTEXTS as u8;
        let replaces = places.clone().find(own);
        let pending = |place: &u8| {
            let key = self.key(*place);
            replaces.is_some() && key.is_some_and(|key| key.replaces == replaces)
        };
        // What was just taken away for a successor is not free before that one stands by itself, or the next to come there would go with it.
        let free = |place: &u8| self.key(*place).is_none() && !self.is_replaced(*place);
        let place = places
            .clone()
            .find(pending)
            .or_else(|| places.clone().find(free))?;
        Some((place, replaces))
    }

    /// What we call a key exchange, which becomes the ID that the peer sends with: none that is taken, nor the peer's for us.
    pub(super) fn name(&self, theirs: &Id) -> Option<u8> {
        let all = self.all.iter().flatten();
        (0..u8::MAX)
            .find(|name| theirs.bytes() != [*name] && all.clone().all(|key| key.peer != *name))
    }

    /// Whether nothing is on its way to flash.
    pub(super) fn rests(&self) -> bool {
        self.change.is_none() && !self.reserving
    }
}

/// What a place takes in flash at most: see `slot/records.rs`.
fn cells(key: Option<&Key>) -> usize {
    match key {
        None => 1,
        Some(key) if key.is_long() => 3,
        Some(_) => 2,
    }
}

impl Resources {
    /// The kind of resource that a path names, with the name in it, whether or not there is one of that name.
    pub(super) fn route<'a>(request: &Request<'a>) -> Option<(&'static Resource, &'a str)> {
        let mut path = Path::new();
        for segment in request.path() {
            // What lies below /app/x is the module's.
            if path.as_slice() == ["app", "x"] {
                break;
            }
            path.push(segment).ok()?;
        }
        RESOURCES.iter().find_map(|r| {
            let rest = path.strip_prefix(r.path)?;
            match rest {
                [] if !r.named => Some((r, "")),
                [name] if r.named => Some((r, *name)),
                _ => None,
            }
        })
    }

    /// Whether there is such a resource.
    pub(super) fn there(&self, (resource, name): &(&'static Resource, &str)) -> bool {
        match resource.kind {
            Named::Sensors => self.find_sensor(name).is_some(),
            Named::Outputs => self.find_output(name).is_some(),
            Named::Params => self.find_parameter(name).is_some(),
            Named::State => self.find_state(name).is_some(),
            Named::Request => self.app.requests,
            Named::Exchange => self.provision.identity.is_some(),
            _ => true,
        }
    }

    /// The code that a request is refused with, before it is looked at any further; `None` where its sender has the right.
    pub(super) fn refuses(
        &self,
        request: &Request<'_>,
        resource: Option<&'static Resource>,
    ) -> Option<Code> {
        let Some(resource) = resource else {
            // What there is not, whoever has a context may know.
            let stranger = request.principal.context.is_none();
            return (stranger && self.guard.security() == Security::Secured)
                .then_some(Code::UNAUTHORIZED);
        };
        let row = resource.rights.iter();
        let mut row = row.filter(|(method, _)| *method == request.method);
        let right = row.next().map(|(_, right)| *right);
        // A method that there is not is told to those who may read: that it is none is no secret.
        if right.is_none() && !resource.methods.contains(&request.method) {
            return self.guard.permits(request, Some(Right::Read)).err();
        }
        self.guard.permits(request, right).err()
    }

    /// Whether a request gets no more of `/node` than anybody may know.
    pub(super) fn stranger(&self, request: &Request<'_>) -> bool {
        self.guard.permits(request, Some(Right::Read)).is_err()
    }

    /// `/keys`.
    pub(super) fn keys(&self, d: &mut Document<'_, '_>) {
        let all = || {
            let places = self.guard.all.iter().zip(&self.guard.used).enumerate();
            places.filter_map(|(place, (key, used))| Some((place as u32, key.as_ref()?, *used)))
        };
        d.uint(key::FREE, (CONTEXTS - all().count()) as u32);
        d.uints(key::PLACE, all().map(|(place, ..)| place));
        d.uints(key::PEER, all().map(|(_, key, _)| key.peer.into()));
        // One of another length than a byte, as others may choose it in a key exchange, is no number.
        let node = |key: &Key| match key.node.bytes() {
            [id] => u32::from(*id),
            _ => 0x100,
        };
        d.uints(key::NODE, all().map(|(_, key, _)| node(key)));
        d.uints(key::RIGHTS, all().map(|(_, key, _)| key.rights.into()));
        // The place that goes when this one was used; 8 where it stands by itself.
        let replaces = |key: &Key| key.replaces.map_or(CONTEXTS as u32, u32::from);
        d.uints(key::REPLACES, all().map(|(_, key, _)| replaces(key)));
        d.uints(key::USED, all().map(|(.., (used, _))| used));
        d.uints(key::WORN, all().map(|(.., (_, worn))| worn.into()));
        if self.provision.identity.is_some() {
            let whose = |key: &Key| key.initiator.map_or(INITIATORS as u32, u32::from);
            d.uints(key::INITIATOR, all().map(|(_, key, _)| whose(key)));
        }
    }

    /// `PUT` and `DELETE` of `/keys/N`.
    pub(super) fn change_key(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        name: &str,
    ) -> Answer {
        let place = name.parse().ok().filter(|n| usize::from(*n) < CONTEXTS);
        let Some(place) = place else {
            response.code(Code::NOT_FOUND);
            return Answer::Now;
        };
        let key = if request.method == Code::PUT {
            let Some(mut key) = Key::read(request.payload) else {
                return response.fail(Code::BAD_REQUEST, format_args!("not a context"));
            };
            // Whose the old one is, the new one is too.
            let old = key.replaces.and_then(|old| self.guard.key(old));
            key.initiator = old.and_then(|old| old.initiator);
            Some(key)
        } else {
            None
        };
        if !self.guard.rests() {
            return self.busy(response);
        }
        let there = self.guard.key(place);
        if there == key.as_ref() {
            // Done before: the answer was lost.
            return Answer::Now;
        }
        let wrong = match &key {
            Some(key) => self.guard.conflict(place, key),
            None if there.is_some_and(|key| !self.guard.stands(key)) => None,
            None if self.guard.is_replaced(place) => {
                Some("its successor was not used yet: remove that first")
            }
            None => {
                let last = !self.guard.governed_without(place);
                last.then_some("the last administrator cannot be removed")
            }
        };
        if let Some(wrong) = wrong {
            return response.fail(Code::CONFLICT, format_args!("{wrong}"));
        }
        let withdraws = there.filter(|_| key.is_none());
        let withdraws = withdraws.and_then(|there| there.initiator);
        let ticket = self.next_ticket();
        let change = Change {
            ticket,
            place,
            key,
            withdraws,
        };
        if self.begin(change) {
            Answer::Later(ticket)
        } else {
            self.busy(response)
        }
    }

    /// Puts what came of a key exchange into a place: answered with this ticket. `false`: not now.
    pub(super) fn take_seat(&mut self, ticket: u16, place: u8, key: Key) -> bool {
        self.begin(Change {
            ticket,
            place,
            key: Some(key),
            withdraws: None,
        })
    }

    /// Why a context may not come to a place.
    pub(super) fn unseated(&self, place: u8, key: &Key) -> Option<&'static str> {
        self.guard.conflict(place, key)
    }

    /// Sends a change to flash; whether that was possible.
    fn begin(&mut self, change: Change) -> bool {
        if !self.mail.chunks.ready() {
            return false;
        }
        let mut bytes = heapless::Vec::new();
        if let Some(key) = &change.key {
            let _ = bytes.extend_from_slice(&key.bytes());
        }
        let Change { ticket, place, .. } = change;
        let kind = match change.withdraws {
            Some(initiator) => ChunkKind::Revoke(place, Some(initiator)),
            None => ChunkKind::Key(place),
        };
        let chunk = Chunk {
            ticket,
            kind,
            bytes,
        };
        self.guard.change = Some(change);
        self.mail.chunks.enqueue(chunk).is_ok()
    }

    /// The Runner has answered: what it did to flash is done here too.
    pub(super) fn changed(&mut self, stage: &mut Stage, ticket: u16, code: Code) {
        let Some(change) = self.guard.change.filter(|c| c.ticket == ticket) else {
            return;
        };
        self.guard.change = None;
        let place = usize::from(change.place);
        if code.class() != 2 {
            // Flash that fails is not worn by trying again at once.
            self.guard.again = self.now + AGAIN;
            return;
        }
        let old = self.guard.key(change.place).copied();
        self.guard.limits.withdrawn |= change.withdraws.map_or(0, |one| 1 << one);
        match &change.key {
            None => {
                let _ = stage.set(place, None);
            }
            // Only that it is not pending any more.
            Some(new) if old.is_some_and(|old| old.same_secret(new)) => {}
            Some(new) => {
                if let Some(limit) = self.guard.limits.numbers.get_mut(place) {
                    *limit = 0;
                }
                // Nobody has used it yet.
                let _ = self.guard.set(stage, place, new, Some(Window::new()));
            }
        }
        if let Some(key) = self.guard.all.get_mut(place) {
            *key = change.key;
        }
    }

    /// Hands numbers that lie in flash to the stage.
    pub(super) fn reserved(&mut self, stage: &mut Stage, now: u64) {
        while let Some(done) = self.mail.reserved.dequeue() {
            self.guard.reserving = false;
            self.guard.again = now + AGAIN;
            if let Some(limits) = done {
                self.guard.limits = limits;
                self.guard.again = now;
                for (place, limit) in limits.numbers.iter().enumerate() {
                    stage.reserved(place as u8, u64::from(*limit) * UNIT);
                }
            }
        }
    }

    /// Does what the stage needs: numbers reserved in flash, and the end of contexts whose successor was used.
    pub(super) fn tend(&mut self, stage: &mut Stage, now: u64) {
        self.reserved(stage, now);
        if stage.is_empty() || !self.guard.rests() {
            return;
        }
        for (place, used) in self.guard.used.iter_mut().enumerate() {
            let count = u32::try_from(stage.encryptions(place as u8)).unwrap_or(u32::MAX);
            *used = (count, stage.is_worn(place as u8));
        }
        if self.guard.asks(stage, &mut self.mail, now) || now < self.guard.again {
            return;
        }
        // First the old one goes, then the new one stands by itself: wherever power is cut, one of them is there.
        for place in 0..CONTEXTS as u8 {
            let Some(key) = self.guard.key(place).copied() else {
                continue;
            };
            let Some(replaced) = key.replaces.filter(|_| stage.is_proven(place)) else {
                continue;
            };
            let settled = Key {
                replaces: None,
                ..key
            };
            let (place, key) = if self.guard.key(replaced).is_some() {
                (replaced, None)
            } else {
                (place, Some(settled))
            };
            let ticket = self.next_ticket();
            let _ = self.begin(Change {
                ticket,
                place,
                key,
                withdraws: None,
            });
            return;
        }
    }

    /// When the stage should be looked after again.
    pub(super) fn tend_at(&self, stage: &Stage) -> Option<u64> {
        let settles = |place: u8| {
            let pending = self
                .guard
                .key(place)
                .is_some_and(|key| key.replaces.is_some());
            pending && stage.is_proven(place)
        };
        let busy = !self.guard.rests();
        let waits = stage.wanted().next().is_some() || (0..CONTEXTS as u8).any(settles);
        (!busy && waits).then_some(self.guard.again)
    }
}

impl<E: Copy + Eq + Hash> Server<E> {
    /// Whether a datagram is to be passed over: where strangers get nothing, whatever is neither protected nor an answer to what
    /// the node sent.
    pub(super) fn passes_over(&self, datagram: &[u8]) -> bool {
        let guard = &self.resources.guard;
        if !guard.hidden || guard.security() != Security::Secured {
            return false;
        }
        let Ok(message) = Message::parse(datagram) else {
            return true;
        };
        let answers = matches!(message.kind, Kind::Ack | Kind::Rst);
        !answers && message.options.get(option::OSCORE).is_none()
    }
}

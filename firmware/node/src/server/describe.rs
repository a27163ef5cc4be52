//! What a node says of itself: `/node`, `/stats`, `/app` and `/app/staged`. Their names are in contract.toml.
use super::Resources;
use crate::board::Fault;
use crate::contract::{Resource, VERSION, key, word};
use crate::document::{Document, Value};
use crate::mail::{EXHAUSTED, Event};
use crate::slot::{SLOTS, State};
use core::fmt::Write;
use wasmote_coap::{Code, Response, format};

impl Resources {
    // Once in flash, whatever is written.
    #[inline(never)]
    pub(super) fn document(
        &self,
        response: &mut Response<'_>,
        resource: &Resource,
        format: u16,
        write: &mut dyn FnMut(&Self, &mut Document<'_, '_>),
    ) {
        let base = [
            self.node_name(),
            resource.path.last().copied().unwrap_or(""),
        ];
        let mut document = Document::new(response, format, base);
        write(self, &mut document);
        document.end();
    }

    /// What anybody may know of a node: that it is one, which, and how it is guarded.
    pub(super) fn front(&self, d: &mut Document<'_, '_>) {
        d.text(key::NAME, self.node_name());
        d.text(key::CLASS, self.board.class);
        d.uint(key::CONTRACT, VERSION);
        d.text(key::SECURITY, self.guard.security().name());
    }

    pub(super) fn node(&self, d: &mut Document<'_, '_>) {
        let (b, m) = (&self.board, &self.moment);
        d.text(key::NAME, self.node_name());
        d.text(key::BOARD, b.name);
        d.text(key::CLASS, b.class);
        d.text(key::VENDOR, self.provision.vendor);
        d.text(key::FIRMWARE, b.version);
        d.uint(key::CONTRACT, VERSION);
        d.uint(key::UPTIME, m.now);
        d.text(key::RESET, b.reset);
        d.text(key::CLOCK, b.clock);
        d.uint(key::HERTZ, b.hertz);
        d.texts(key::MISSING, b.missing.iter().copied());
        d.text(key::SECURITY, self.guard.security().name());
        if let Some(readout) = b.readout {
            d.bool(key::READOUT, readout);
        }
        d.bool(key::DEVELOPMENT, self.provision.development);
        if let Some(height) = self.provision.height {
            d.uint(key::HEIGHT, height);
        }
        d.uint(key::KEYS, self.app.trusted.len() as u64);
        d.list(
            key::TRUSTED,
            &mut self.app.trusted.iter().map(|id| Value::Bytes(id)),
        );
        d.map(key::LIMITS);
        d.uint(key::MEMORY, b.memory);
        d.uint(key::PACKAGE, b.package);
        d.uint(key::FUEL, b.fuel);
        d.uint(key::OBSERVERS, wasmote_coap::OBSERVERS as u64);
        d.uint(key::TRANSFERS, wasmote_coap::TRANSFERS as u64);
        d.end();
        let taken = u32::from(self.app.sequence > 0) + u32::from(self.app.previous > 0);
        d.uint(key::FREE_SLOTS, SLOTS as u32 - taken);
        d.uints(key::ERASED, self.app.erased.iter().copied());
        d.uint(key::ERASURES_LEFT, self.app.budget.0);
        d.uint(key::ERASURES_REFUSED, self.app.budget.1);
        d.map(key::COAP);
        let c = &m.counters;
        for (name, value) in [
            (key::RECEIVED, c.received),
            (key::SENT, c.sent),
            (key::MALFORMED, c.malformed),
            (key::PINGS, c.pings),
            (key::SETTLED, c.settled),
            (key::STRAY, c.stray),
            (key::DUPLICATES, c.duplicates),
            (key::ANSWERED, c.answered),
            (key::SEPARATE, c.separate),
            (key::FULL, c.full),
            (key::SUPPRESSED, c.suppressed),
            (key::UNOBSERVED, c.unobserved),
            (key::RETRANSMITTED, c.retransmitted),
            (key::GIVEN_UP, c.given_up),
            (key::DISPLACED, c.displaced),
            (key::DEFERRED, c.deferred),
        ] {
            d.uint(name, value);
        }
        d.uint(key::OBSERVERS, m.observers as u64);
        d.end();
        d.map(key::OSCORE);
        let g = &m.guard;
        for (name, value) in [
            (key::OPENED, g.opened),
            (key::UNKNOWN, g.unknown),
            (key::REPLAYED, g.replayed),
            (key::FORGED, g.forged),
            (key::CHALLENGED, g.challenged),
            (key::STARVED, g.starved),
        ] {
            d.uint(name, value);
        }
        d.end();
        d.map(key::LINK);
        d.uint(key::LOST, m.gauges.link_lost);
        d.uint(key::DAMAGED, m.gauges.link_damaged);
        d.uint(key::UNSENT, m.gauges.link_unsent);
        if let Some(address) = m.gauges.address {
            let mut text = heapless::String::<15>::new();
            let _ = write!(text, "{address}");
            d.text(key::ADDRESS, &text);
            d.text(key::ORIGIN, m.gauges.origin);
        }
        d.end();
        // What found a queue between the two halves full.
        d.map(key::QUEUES);
        d.uint(key::SAMPLES_DROPPED, m.dropped);
        d.uint(key::REQUESTS_REFUSED, m.refused);
        d.uint(key::LINES_LOST, m.stats.lines_lost);
        d.uint(key::WAITS, m.stats.waits);
        d.end();
        d.uint(key::STACK_SIZE, m.gauges.stack_size);
        d.uint(key::STACK_FREE, m.gauges.stack_free);
    }

    pub(super) fn stats(&self, d: &mut Document<'_, '_>) {
        let m = &self.moment;
        let s = &m.stats;
        d.uint(key::RUNS, s.runs);
        d.uint(key::FUEL, s.fuel);
        d.uint(key::FUEL_MAX, s.fuel_max);
        d.uint(key::FUEL_TOTAL, s.fuel_total);
        d.uint(key::MICROS, s.micros);
        d.uint(key::MICROS_MAX, s.micros_max);
        d.uint(key::GAP_MAX, s.gap_max);
        d.uint(key::TRAPS, s.traps);
        d.uint(key::TICKS_MISSED, s.ticks_missed);
        d.uint(key::SAMPLES_DROPPED, m.dropped);
        d.uint(key::IDLE, m.gauges.idle);
        d.map(key::FAULTS);
        for (place, fault) in Fault::ALL.iter().enumerate() {
            let counts = self.history.0.iter().filter_map(|t| t.faults().get(place));
            d.uint(
                fault.counter(),
                counts.fold(0u32, |sum, n| sum.saturating_add(*n)),
            );
        }
        d.end();
        if !m.gauges.tasks.is_empty() {
            d.map(key::LONGEST);
            for (name, cycles) in m.longest() {
                d.uint(name, cycles);
            }
            d.end();
        }
    }

    pub(super) fn app(&self, d: &mut Document<'_, '_>) {
        let a = &self.app;
        let running = self.runs();
        d.text(
            key::STATE,
            if running { a.state.name() } else { word::EMPTY },
        );
        if running {
            d.text(key::NAME, &a.name);
            d.text(key::VERSION, &a.version);
            d.uint(key::SEQUENCE, a.sequence);
            d.put(key::DIGEST, Value::Bytes(&a.digest));
            d.uint(key::SIZE, a.size);
            d.uint(key::TABLE, a.table);
            d.uint(key::RAM, a.ram);
            d.uint(key::SLOT, a.slot);
            d.uint(key::TRIAL, a.trial);
            self.tiers(d);
            d.uint(key::TICK, a.facts.tick);
            d.texts(key::SENSORS, a.facts.sensors());
            d.texts(key::OUTPUTS, a.facts.outputs().map(|o| o.name));
            d.texts(key::PARAMS, a.facts.parameters().map(|p| p.name));
            d.texts(key::STATES, a.facts.states().map(|s| s.name));
            d.bool(key::REQUESTS, a.requests);
        }
        d.uint(key::PREVIOUS, a.previous);
        d.uint(key::ERA, a.era);
        d.uint(key::HIGHEST, a.highest);
        d.bool(key::RETURNED, a.returned);
        let (what, sequence) = match a.event {
            Event::None => return,
            Event::Trap(sequence, _) | Event::Memory(sequence, _) => (word::TRAP, sequence),
            Event::Fuel(sequence, _) => (word::FUEL, sequence),
            Event::Reset(sequence) => (word::RESET, sequence),
            Event::Hand(sequence) => (word::ROLLBACK, sequence),
            Event::Damaged(sequence) => (word::DAMAGED, sequence),
        };
        d.map(key::EVENT);
        d.text(key::WHAT, what);
        d.uint(key::SEQUENCE, sequence);
        if let Event::Trap(_, Some(trap)) = a.event {
            d.text(key::TRAP, trap.kind.message());
        } else if let Event::Memory(..) = a.event {
            d.text(key::TRAP, EXHAUSTED);
        }
        let place = match a.event {
            Event::Trap(_, trap) => trap.map(|trap| trap.place),
            Event::Fuel(_, place) => place,
            Event::Memory(_, place) => Some(place),
            _ => None,
        };
        if let Some(place) = place {
            d.uint(key::FUNCTION, place.function);
            d.uint(key::OFFSET, place.offset);
            d.uints(key::BACKTRACE, a.backtrace.iter().map(|p| p.offset));
        }
        d.end();
    }

    /// Whether a package runs.
    pub(super) fn runs(&self) -> bool {
        matches!(self.app.state, State::Trial | State::Confirmed)
    }

    /// A state of the module: a number as itself, a record by its fields. `payload`: see [`crate::mail::ReplyKind::State`].
    pub(super) fn state(&self, response: &mut Response<'_>, number: u8, form: u16, payload: &[u8]) {
        let Some(fact) = self.app.facts.states().nth(usize::from(number)) else {
            response.code(Code::NOT_FOUND);
            return;
        };
        let (age, bytes) = payload.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
        let age = u32::from_le_bytes(*age);
        let mut d = Document::new(response, form, [self.node_name(), "state"]);
        fact.shape.put(&mut d, fact.name, form, bytes);
        if age < u32::MAX && matches!(form, format::CBOR | format::JSON) {
            d.uint("saved", age);
        }
        d.end();
    }

    pub(super) fn staged(&self, d: &mut Document<'_, '_>) {
        if let Some((digest, size, received)) = &self.app.staged {
            d.put(key::DIGEST, Value::Bytes(digest));
            d.uint(key::SIZE, *size);
            d.uint(key::RECEIVED, *received);
        }
    }
}

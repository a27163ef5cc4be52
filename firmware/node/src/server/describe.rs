//! What a node says of itself: `/node`, `/stats`, `/app` and `/app/staged`. Their names are in contract.toml.
use super::Resources;
use crate::board::Fault;
use crate::contract::{Resource, VERSION};
use crate::document::{Document, Value};
use crate::mail::Event;
use crate::slot::{SLOTS, State};
use core::fmt::Write;
use core::sync::atomic::Ordering;
use wasmote_coap::Response;

impl Resources {
    pub(super) fn document(
        &self,
        response: &mut Response<'_>,
        resource: &Resource,
        format: u16,
        write: impl FnOnce(&Self, &mut Document<'_, '_>),
    ) {
        let base = [
            self.node_name(),
            resource.path.last().copied().unwrap_or(""),
        ];
        let mut document = Document::new(response, format, base);
        write(self, &mut document);
        document.end();
    }

    pub(super) fn node(&self, d: &mut Document<'_, '_>) {
        let (b, m) = (&self.board, &self.moment);
        d.text("name", self.node_name());
        d.text("board", b.name);
        d.text("class", b.class);
        d.text("vendor", self.provision.vendor);
        d.text("firmware", b.version);
        d.uint("contract", VERSION);
        d.uint("uptime", m.now);
        d.text("reset", b.reset);
        d.text("clock", b.clock);
        d.uint("hertz", b.hertz);
        d.texts("missing", b.missing.iter().copied());
        d.bool("development", self.provision.development);
        if let Some(height) = self.provision.height {
            d.uint("height", height);
        }
        d.uint("keys", self.app.trusted.len() as u64);
        d.list(
            "trusted",
            &mut self.app.trusted.iter().map(|id| Value::Bytes(id)),
        );
        d.map("limits");
        d.uint("memory", b.memory);
        d.uint("package", b.package);
        d.uint("fuel", b.fuel);
        d.uint("observers", wasmote_coap::OBSERVERS as u64);
        d.uint("transfers", wasmote_coap::TRANSFERS as u64);
        d.end();
        let taken = u32::from(self.app.sequence > 0) + u32::from(self.app.previous > 0);
        d.uint("free_slots", SLOTS as u32 - taken);
        d.uints("erased", self.app.erased.iter().copied());
        d.uint("erasures_left", self.app.budget.0);
        d.uint("erasures_refused", self.app.budget.1);
        d.map("coap");
        let c = &m.counters;
        for (name, value) in [
            ("received", c.received),
            ("sent", c.sent),
            ("malformed", c.malformed),
            ("pings", c.pings),
            ("settled", c.settled),
            ("stray", c.stray),
            ("duplicates", c.duplicates),
            ("answered", c.answered),
            ("separate", c.separate),
            ("full", c.full),
            ("suppressed", c.suppressed),
            ("unobserved", c.unobserved),
            ("retransmitted", c.retransmitted),
            ("given_up", c.given_up),
        ] {
            d.uint(name, value);
        }
        d.uint("observers", m.observers as u64);
        d.end();
        d.map("link");
        d.uint("lost", m.gauges.link_lost);
        d.uint("damaged", m.gauges.link_damaged);
        d.uint("unsent", m.gauges.link_unsent);
        if let Some(address) = m.gauges.address {
            let mut text = heapless::String::<15>::new();
            let _ = write!(text, "{address}");
            d.text("address", &text);
            d.text("origin", m.gauges.origin);
        }
        d.end();
        // What found a queue between the two halves full.
        d.map("queues");
        d.uint("samples_dropped", m.dropped);
        d.uint("requests_refused", m.refused);
        d.uint("lines_lost", m.stats.lines_lost);
        d.uint("waits", m.stats.waits);
        d.end();
        d.uint("stack_size", m.gauges.stack_size);
        d.uint("stack_free", m.gauges.stack_free);
    }

    pub(super) fn stats(&self, d: &mut Document<'_, '_>) {
        let m = &self.moment;
        let s = &m.stats;
        d.uint("runs", s.runs);
        d.uint("fuel", s.fuel);
        d.uint("fuel_max", s.fuel_max);
        d.uint("fuel_total", s.fuel_total);
        d.uint("micros", s.micros);
        d.uint("micros_max", s.micros_max);
        d.uint("gap_max", s.gap_max);
        d.uint("traps", s.traps);
        d.uint("ticks_missed", s.ticks_missed);
        d.uint("samples_dropped", m.dropped);
        d.uint("idle", m.gauges.idle);
        d.map("faults");
        for (place, fault) in Fault::ALL.iter().enumerate() {
            let counts = self.history.0.iter().filter_map(|t| t.faults().get(place));
            d.uint(
                fault.counter(),
                counts.fold(0u32, |sum, n| sum.saturating_add(*n)),
            );
        }
        d.end();
        if !m.gauges.tasks.is_empty() {
            d.map("longest");
            for (name, cycles) in m.gauges.tasks {
                d.uint(name, cycles.load(Ordering::Relaxed));
            }
            d.end();
        }
    }

    pub(super) fn app(&self, d: &mut Document<'_, '_>) {
        let a = &self.app;
        let running = matches!(a.state, State::Trial | State::Confirmed);
        d.text("state", if running { a.state.name() } else { "empty" });
        if running {
            d.text("name", &a.name);
            d.text("version", &a.version);
            d.uint("sequence", a.sequence);
            d.put("digest", Value::Bytes(&a.digest));
            d.uint("size", a.size);
            d.uint("table", a.table);
            d.uint("ram", a.ram);
            d.uint("slot", a.slot);
            d.uint("trial", a.trial);
            d.uint("tick", a.facts.tick);
            d.texts("sensors", a.facts.sensors());
            d.texts("outputs", a.facts.outputs().map(|(name, _)| name));
            d.texts("params", a.facts.parameters().map(|p| p.name));
            d.bool("requests", a.requests);
        }
        d.uint("previous", a.previous);
        d.uint("era", a.era);
        d.uint("highest", a.highest);
        d.bool("returned", a.returned);
        let (what, sequence) = match a.event {
            Event::None => return,
            Event::Trap(sequence, _) => ("trap", sequence),
            Event::Fuel(sequence, _) => ("fuel", sequence),
            Event::Reset(sequence) => ("reset", sequence),
            Event::Hand(sequence) => ("rollback", sequence),
            Event::Damaged(sequence) => ("damaged", sequence),
        };
        d.map("event");
        d.text("what", what);
        d.uint("sequence", sequence);
        if let Event::Trap(_, Some(trap)) = a.event {
            d.text("trap", trap.kind.message());
        }
        let place = match a.event {
            Event::Trap(_, trap) => trap.map(|trap| trap.place),
            Event::Fuel(_, place) => place,
            _ => None,
        };
        if let Some(place) = place {
            d.uint("function", place.function);
            d.uint("offset", place.offset);
            d.uints("backtrace", a.backtrace.iter().map(|p| p.offset));
        }
        d.end();
    }

    pub(super) fn staged(&self, d: &mut Document<'_, '_>) {
        if let Some((digest, size, received)) = &self.app.staged {
            d.put("digest", Value::Bytes(digest));
            d.uint("size", *size);
            d.uint("received", *received);
        }
    }
}

//! What the module published: singles, and texts, numbers of other types and small records.
use super::Resources;
use crate::contract::limits;
use crate::document::{Document, Sample, Value};
use crate::mail::OUTPUT;
use crate::module::{Facts, NAMES, OutputFact, OutputKind};
use wasmote_coap::{Response, format};

const TYPED: usize = limits::TYPED_OUTPUTS as usize;

/// The newest values of a package's outputs.
pub(super) struct Outputs {
    /// Of an output with a type only the time.
    newest: [Option<Sample>; NAMES],
    /// Those of outputs with a type, in their order.
    typed: [heapless::Vec<u8, OUTPUT>; TYPED],
    /// Which outputs have a type, as bits by their number.
    which: u16,
}

const _: () = assert!(NAMES <= u16::BITS as usize);

impl Outputs {
    pub(super) const fn new() -> Self {
        Self {
            newest: [None; NAMES],
            typed: [const { heapless::Vec::new() }; TYPED],
            which: 0,
        }
    }

    /// Nothing yet, of a package with these outputs.
    pub(super) fn of(facts: &Facts) -> Self {
        let typed = facts.outputs().enumerate().filter(|(_, o)| o.is_typed());
        Self {
            which: typed.fold(0, |bits, (number, _)| bits | 1 << number),
            ..Self::new()
        }
    }

    /// Where the value of an output with a type is.
    fn rank(&self, number: usize) -> usize {
        let before = (1u32 << number.min(NAMES)) - 1;
        (u32::from(self.which) & before).count_ones() as usize
    }

    pub(super) fn publish(&mut self, number: u8, sample: Sample) {
        if let Some(output) = self.newest.get_mut(usize::from(number)) {
            *output = Some(sample);
        }
    }

    pub(super) fn tell(&mut self, number: u8, at: u64, value: heapless::Vec<u8, OUTPUT>) {
        let rank = self.rank(number.into());
        if let Some(place) = self.typed.get_mut(rank) {
            *place = value;
            let value = f32::NAN;
            self.publish(number, Sample { value, at });
        }
    }
}

impl Resources {
    pub(super) fn find_output(&self, name: &str) -> Option<(usize, OutputFact)> {
        let mut all = self.app.facts.outputs().enumerate();
        all.find(|(_, fact)| fact.name == name)
    }

    pub(super) fn output(&self, response: &mut Response<'_>, name: &str, form: u16) {
        let Some((index, fact)) = self.find_output(name) else {
            return;
        };
        let newest = self.outputs.newest.get(index).and_then(Option::as_ref);
        let (name, unit) = (fact.name, fact.unit);
        if !fact.is_typed() {
            return self.samples(response, form, name, unit, None, &mut newest.into_iter());
        }
        let typed = self.outputs.typed.get(self.outputs.rank(index));
        let bytes: &[u8] = typed.map_or(&[], |value| value);
        let mut d = Document::new(response, form, [self.node_name(), ""]);
        let plain = matches!(form, format::CBOR | format::JSON);
        match (newest, fact.kind) {
            (None, _) | (_, OutputKind::Single) => d.only(name, Value::None),
            (Some(sample), kind) => {
                d.stamp(unit, self.seconds(sample));
                match kind {
                    OutputKind::Shaped(shape) => shape.put(&mut d, name, form, bytes),
                    _ => d.only(name, Value::Text(core::str::from_utf8(bytes).unwrap_or(""))),
                }
            }
        }
        if plain {
            d.text("unit", unit);
            if let Some(sample) = newest {
                d.uint("at", sample.at);
                d.uint("age", self.now.saturating_sub(sample.at));
            }
        }
        d.end();
    }

    /// When it was, in seconds: absolute once the clock is set, else relative to now (RFC 8428 §4.5.3).
    fn seconds(&self, sample: &Sample) -> f64 {
        let base = self.clock.unwrap_or(0i64.wrapping_sub(self.now as i64));
        base.wrapping_add(sample.at as i64) as f64 / 1000.0
    }
}

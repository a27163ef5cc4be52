//! What the Runner says: which package runs, and what that published and logged.
use super::{Resources, observed, outputs};
use crate::document::Sample;
use crate::mail::Up;
use crate::memory::Guarded;
use core::hash::Hash;
use wasmote_coap::Transmit;

impl Resources {
    /// Takes what the Runner tells of the package.
    pub(super) fn adopt<E: Copy + Eq + Hash, T: Transmit<E>>(
        &mut self,
        now: u64,
        coap: &mut Guarded<E>,
        out: &mut T,
    ) {
        let Some(app) = self.mail.apps.dequeue() else {
            return;
        };
        if app.sequence != self.app.sequence {
            // The last values are told before they are gone: a slower pace would lose them.
            coap.tell_at_last(now, observed::OUTPUT..observed::PARAMETER, self, out);
            self.outputs = outputs::Outputs::of(&app.facts);
        }
        self.app = app;
        coap.notify(observed::APP);
    }

    /// Takes what the module and the Runner said.
    pub(super) fn hear<E: Copy + Eq + Hash, T: Transmit<E>>(
        &mut self,
        now: u64,
        coap: &mut Guarded<E>,
        out: &mut T,
    ) {
        while let Some(up) = self.mail.up.dequeue() {
            match up {
                Up::Output(number, value) => {
                    self.outputs.publish(number, Sample { value, at: now });
                    // Told one by one, so that two values in a row are both seen.
                    coap.notify(observed::OUTPUT + u16::from(number));
                    coap.poll(now, self, out);
                }
                Up::Value(number, value) => {
                    self.outputs.tell(number, now, value);
                    coap.notify(observed::OUTPUT + u16::from(number));
                    coap.poll(now, self, out);
                }
                Up::Body => self.answered.lend(),
                Up::Parameter(number, value) => {
                    if let Some(place) = self.app.parameters.get_mut(usize::from(number)) {
                        *place = value;
                    }
                    coap.notify(observed::PARAMETER + u16::from(number));
                }
                Up::Log(said, text) => {
                    self.line(now, said, text);
                    coap.notify(observed::LOG);
                }
                Up::Stats(stats) => self.stats = stats,
            }
        }
    }
}

//! What the board's sensors bring: samples, distances, faults.
use super::{NO_HEIGHT, Resources, Server, observed};
use crate::board::Fault;
use crate::document::Sample;
use crate::mail::Down;
use crate::module::NAMES;
use core::hash::Hash;
use wasmote_coap::Transmit;

impl<E: Copy + Eq + Hash> Server<E> {
    /// Takes a sample of the board's sensor with this number, and tells whoever observes it.
    pub fn sample<T: Transmit<E>>(&mut self, now: u64, sensor: u8, value: f32, out: &mut T) {
        let r = &mut self.resources;
        r.now = now;
        let known = usize::from(sensor) < r.board.sensors.len();
        let Some(history) = r.history.0.get_mut(usize::from(sensor)).filter(|_| known) else {
            return;
        };
        history.sample(Sample { value, at: now });
        r.lost &= !(1 << sensor);
        if r.mail.down.enqueue(Down::Sample(sensor, value)).is_err() {
            r.dropped = r.dropped.saturating_add(1);
        }
        self.coap.notify(observed::SENSOR + u16::from(sensor));
        self.coap.poll(now, &mut self.resources, out);
    }

    /// Takes a distance, in millimetres, from a ranger that looks down on the water: the level is how high it hangs less
    /// that. Where nobody said how high, the distance is taken for the level as it is, and `/node`, the log and discovery say so.
    pub fn distance<T: Transmit<E>>(&mut self, now: u64, sensor: u8, distance: f32, out: &mut T) {
        let r = &mut self.resources;
        let raw = Sample {
            value: distance,
            at: now,
        };
        r.raw = Some((sensor, raw));
        let height = r.provision.height;
        self.missing(now, NO_HEIGHT, height.is_none());
        let level = height.map_or(distance, |height| height as f32 - distance);
        self.sample(now, sensor, level, out);
    }

    /// Something is wrong with the board's sensor with this number: it is counted, and until the next sample its resource says so
    /// instead of giving an old value, and so does the module's. Observers are told when the state changes.
    pub fn fault<T: Transmit<E>>(&mut self, now: u64, sensor: u8, fault: Fault, out: &mut T) {
        let r = &mut self.resources;
        r.now = now;
        let known = usize::from(sensor) < r.board.sensors.len();
        let track = r.history.0.get_mut(usize::from(sensor)).filter(|_| known);
        let Some(track) = track else { return };
        let news = track.fail(fault);
        r.lost |= u16::from(track.lose(now)) << sensor;
        r.tell_lost();
        if news {
            self.coap.notify(observed::SENSOR + u16::from(sensor));
            self.coap.poll(now, &mut self.resources, out);
        }
    }
}

const _: () = assert!(NAMES <= u16::BITS as usize);

impl Resources {
    /// Tells the Runner which sensors have no value any more, as far as there is room in its queue.
    pub(super) fn tell_lost(&mut self) {
        while self.lost != 0 {
            let sensor = self.lost.trailing_zeros() as u8;
            if self.mail.down.enqueue(Down::Lost(sensor)).is_err() {
                return;
            }
            self.lost &= self.lost - 1;
        }
    }
}

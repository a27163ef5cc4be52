//! Rain: a tipping bucket, whose contact closes for a moment at every tip. Read once a millisecond or so.
use crate::Debounce;
use embedded_hal::digital::InputPin;

/// Millimetres of rain that a tip stands for.
const TIP: f64 = 0.2;
/// The contact bounces for less than this and stays closed for longer, in milliseconds (reed contacts: about 1 and 100).
const STABLE: u64 = 10;

/// A tipping-bucket gauge on a pin that is low while the contact is closed.
#[derive(Debug)]
pub struct Rain<P> {
    pin: P,
    contact: Debounce,
    tips: u32,
}

impl<P: InputPin> Rain<P> {
    /// A gauge whose contact is open. When it is not, closing it counts only after it has opened.
    pub fn new(mut pin: P) -> Self {
        let closed = pin.is_low().unwrap_or(false);
        Self {
            pin,
            contact: Debounce::new(closed, STABLE),
            tips: 0,
        }
    }

    /// Looks at the contact at `now` (milliseconds); true when the bucket has tipped. A pin that cannot be read is an open
    /// contact.
    pub fn poll(&mut self, now: u64) -> bool {
        let closed = self.pin.is_low().unwrap_or(false);
        let tipped = self.contact.push(now, closed) == Some(true);
        self.tips = self.tips.saturating_add(u32::from(tipped));
        tipped
    }

    /// Millimetres of rain since the start. It stands still at the end of its range of 2^32 tips, rather than begin anew.
    pub fn millimetres(&self) -> f32 {
        (f64::from(self.tips) * TIP) as f32
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use embedded_hal_mock::eh1::MockError;
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};
    use std::io::ErrorKind;
    use std::vec::Vec;

    /// A gauge that sees these levels, one a millisecond, after an open contact; and how often it tipped.
    fn run(levels: &[State]) -> (f32, usize) {
        let seen: Vec<_> = [State::High]
            .iter()
            .chain(levels)
            .map(|level| Transaction::get(*level))
            .collect();
        let mut pin = Mock::new(&seen);
        let mut rain = Rain::new(pin.clone());
        let tips = (0..levels.len())
            .filter(|now| rain.poll(*now as u64))
            .count();
        pin.done();
        (rain.millimetres(), tips)
    }

    #[test]
    fn each_tip_is_a_fifth_of_a_millimetre() {
        let tip = [[State::Low; 100], [State::High; 100]].concat();
        assert_eq!(run(&tip.repeat(3)), (0.6, 3));
    }

    #[test]
    fn a_bouncing_contact_tips_once() {
        let bounces = [State::Low, State::High].repeat(5);
        let tip = [
            bounces.clone(),
            [State::Low; 50].to_vec(),
            bounces,
            [State::High; 50].to_vec(),
        ]
        .concat();
        assert_eq!(run(&tip), (0.2, 1));
    }

    #[test]
    fn a_spike_is_no_rain() {
        let spike = [[State::Low; 9].to_vec(), [State::High; 30].to_vec()].concat();
        assert_eq!(run(&spike.repeat(10)), (0.0, 0));
    }

    #[test]
    fn a_contact_that_is_closed_from_the_start_is_no_tip() {
        let mut pin = Mock::new(
            &[
                [const { State::Low }; 40].to_vec(),
                [State::High; 20].to_vec(),
                [State::Low; 20].to_vec(),
            ]
            .concat()
            .iter()
            .map(|level| Transaction::get(*level))
            .collect::<Vec<_>>(),
        );
        let mut rain = Rain::new(pin.clone());
        assert_eq!((0..79).filter(|now| rain.poll(*now)).count(), 1);
        pin.done();
    }

    #[test]
    fn a_pin_that_cannot_be_read_is_an_open_contact() {
        let error =
            || Transaction::get(State::Low).with_error(MockError::Io(ErrorKind::NotConnected));
        let mut pin = Mock::new(&(0..50).map(|_| error()).collect::<Vec<_>>());
        let mut rain = Rain::new(pin.clone());
        assert!(!(0..49).any(|now| rain.poll(now)));
        pin.done();
    }

    #[test]
    fn the_sum_stays_at_its_end() {
        let levels = [[State::High; 1].to_vec(), [State::Low; 20].to_vec()].concat();
        let seen: Vec<_> = levels.iter().map(|l| Transaction::get(*l)).collect();
        let mut pin = Mock::new(&seen);
        let mut rain = Rain::new(pin.clone());
        rain.tips = u32::MAX;
        assert_eq!((0..20).filter(|now| rain.poll(*now)).count(), 1);
        assert_eq!(rain.millimetres(), 858_993_459.0);
        pin.done();
    }
}

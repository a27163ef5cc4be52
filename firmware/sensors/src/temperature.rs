//! The chip's own temperature, from its sensor and voltage reference on the converter, and what the factory measured of both
//! (STM32F405/407 datasheet §5.3.21 and §5.3.23; RM0090 §13.10).

/// Temperatures at which the factory read the sensor.
const COLD: f32 = 30.0;
const HOT: f32 = 110.0;
/// The converter's readings have twelve bits.
const FULL: u16 = 0xfff;

/// What the factory measured, with a supply of 3.3 V.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calibration {
    cold: u16,
    hot: u16,
    reference: u16,
}

impl Calibration {
    /// Of the readings of the sensor at 30 and 110 degrees Celsius (TS_CAL1, TS_CAL2) and of the voltage reference
    /// (VREFIN_CAL). None when they cannot be readings: an erased or absent memory.
    pub const fn new(cold: u16, hot: u16, reference: u16) -> Option<Self> {
        if cold == 0 || hot <= cold || hot > FULL || reference == 0 || reference > FULL {
            return None;
        }
        Some(Self {
            cold,
            hot,
            reference,
        })
    }

    /// Degrees Celsius, of readings of the sensor and of the reference with whatever the supply is now. None when the
    /// converter does not answer, or with what no chip survives.
    pub fn celsius(&self, sensor: u16, reference: u16) -> Option<f32> {
        if sensor == 0 || sensor > FULL || reference == 0 || reference > FULL {
            return None;
        }
        // As it would read with the supply of the factory.
        let sensor = f32::from(sensor) * f32::from(self.reference) / f32::from(reference);
        let slope = (HOT - COLD) / f32::from(self.hot - self.cold);
        let celsius = COLD + (sensor - f32::from(self.cold)) * slope;
        (-60.0..=160.0).contains(&celsius).then_some(celsius)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// The datasheet's typical chip: 0.76 V at 25 degrees and 2.5 mV a degree, 1.21 V of reference.
    fn reading(volts: f64, supply: f64) -> u16 {
        (volts / supply * 4095.0).round() as u16
    }
    fn sensor(celsius: f64, supply: f64) -> u16 {
        reading(0.76 + 0.0025 * (celsius - 25.0), supply)
    }
    fn typical() -> Calibration {
        let made = Calibration::new(sensor(30.0, 3.3), sensor(110.0, 3.3), reading(1.21, 3.3));
        made.unwrap_or(Calibration {
            cold: 1,
            hot: 2,
            reference: 1,
        })
    }

    #[test]
    fn readings_at_the_ends_of_the_converter_are_good_and_beyond_them_none() {
        // A chip whose sensor covers the whole range, so that only the ends decide.
        let wide = Calibration {
            cold: 1000,
            hot: 3000,
            reference: 2000,
        };
        assert!(wide.celsius(FULL, 2000).is_some());
        assert!(wide.celsius(2000, FULL).is_some());
        assert!(wide.celsius(1, 2000).is_some());
        assert_eq!(wide.celsius(FULL + 1, 2000), None);
        assert_eq!(wide.celsius(2000, FULL + 1), None);
        assert_eq!(wide.celsius(0, 2000), None);
        assert_eq!(wide.celsius(2000, 0), None);
    }

    #[test]
    fn the_points_of_the_factory_are_exact() {
        let c = typical();
        assert_eq!(c.celsius(c.cold, c.reference), Some(30.0));
        assert_eq!(c.celsius(c.hot, c.reference), Some(110.0));
    }

    #[test]
    fn the_supply_does_not_matter() {
        for supply in [1.9, 2.5, 3.0, 3.3, 3.6] {
            for celsius in [-40.0, 0.0, 21.5, 85.0] {
                let found = typical().celsius(sensor(celsius, supply), reading(1.21, supply));
                let error = found.map(|f| (f64::from(f) - celsius).abs());
                // Half a step of the converter is 0.2 degrees, and the calibration has two of them.
                assert!(
                    error.is_some_and(|e| e < 0.9),
                    "{celsius} at {supply}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn erased_or_absent_factory_values_are_none() {
        let wrong: Vec<_> = [
            (0xffff, 0xffff, 0xffff),
            (0, 0, 0),
            (950, 950, 1500),
            (1200, 950, 1500),
            (950, 1200, 0),
            (950, 1200, 0xffff),
            (950, 0x1000, 1500),
        ]
        .into_iter()
        .filter(|(cold, hot, reference)| Calibration::new(*cold, *hot, *reference).is_some())
        .collect();
        assert_eq!(wrong, []);
    }

    #[test]
    fn a_converter_that_does_not_answer_gives_no_temperature() {
        let c = typical();
        for (sensor, reference) in [
            (0, 1500),
            (950, 0),
            (0xffff, 1500),
            (950, 0xffff),
            (4095, 1),
        ] {
            assert_eq!(c.celsius(sensor, reference), None);
        }
    }
}

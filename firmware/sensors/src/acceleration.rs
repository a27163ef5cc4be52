//! Acceleration: the accelerometer of the Discovery board over SPI, an LIS302DL on the older and an LIS3DSH on the newer
//! ones (both: mode 3, at most 10 MHz, registers read with the highest bit of their address set).
use embedded_hal::spi::{Operation, SpiDevice};

/// Standard gravity, in m/s².
const GRAVITY: f32 = 9.806_65;
/// In an address: the register is read.
const READ: u8 = 0x80;
/// In an address of the LIS302DL: and those behind it. The LIS3DSH does that by itself.
const MANY: u8 = 0x40;
/// The register that tells what a chip is.
const WHO_AM_I: u8 = 0x0f;
/// The register before those of the measurements, in both: whether there is a new one of all axes.
const STATUS: u8 = 0x27;
const NEW: u8 = 1 << 3;
const LIS302DL: u8 = 0x3b;
const LIS3DSH: u8 = 0x3f;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chip {
    Lis302dl,
    Lis3dsh,
}

/// Nothing answers, or not as an accelerometer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent;

/// An accelerometer that was found, in its range of ±2 g.
#[derive(Debug)]
pub struct Accelerometer<S> {
    spi: S,
    chip: Chip,
}

fn identify<S: SpiDevice>(spi: &mut S) -> Result<Chip, Absent> {
    let mut who = [0];
    let asked = spi.transaction(&mut [
        Operation::Write(&[READ | WHO_AM_I]),
        Operation::Read(&mut who),
    ]);
    match (asked, who) {
        (Ok(()), [LIS302DL]) => Ok(Chip::Lis302dl),
        (Ok(()), [LIS3DSH]) => Ok(Chip::Lis3dsh),
        _ => Err(Absent),
    }
}

impl<S: SpiDevice> Accelerometer<S> {
    /// Looks for an accelerometer and wakes it: a hundred measurements a second on three axes.
    pub fn new(mut spi: S) -> Result<Self, Absent> {
        let chip = identify(&mut spi)?;
        let mut found = Self { spi, chip };
        found.wake()?;
        Ok(found)
    }

    fn wake(&mut self) -> Result<(), Absent> {
        let registers: &[[u8; 2]] = match self.chip {
            // CTRL_REG1: 100 Hz, active, ±2 g, three axes (LIS302DL datasheet §7.2).
            Chip::Lis302dl => &[[0x20, 0x47]],
            // CTRL_REG4: 100 Hz, whole values, three axes; CTRL_REG5: ±2 g; CTRL_REG6: addresses advance (LIS3DSH
            // datasheet §8.5 to 8.7).
            Chip::Lis3dsh => &[[0x20, 0x6f], [0x24, 0x00], [0x25, 0x10]],
        };
        for register in registers {
            self.spi.write(register).map_err(|_| Absent)?;
        }
        Ok(())
    }

    /// Acceleration along x, y and z in m/s², measured since the last call, at most ten times a second. Asks first who answers: a sensor
    /// that has come off its bus is absent, and not at rest. One that lost its supply for a moment sleeps, and would say
    /// the same for ever: it is woken, and absent until it measures.
    pub fn read(&mut self) -> Result<[f32; 3], Absent> {
        if identify(&mut self.spi)? != self.chip {
            return Err(Absent);
        }
        // STATUS, then OUT_X to OUT_Z: of the LIS302DL one byte each, every other one unused; of the LIS3DSH two bytes, low first.
        let mut raw = [0; 7];
        let first = match self.chip {
            Chip::Lis302dl => STATUS | MANY,
            Chip::Lis3dsh => STATUS,
        };
        self.spi
            .transaction(&mut [Operation::Write(&[READ | first]), Operation::Read(&mut raw)])
            .map_err(|_| Absent)?;
        let [status, xl, xh, yl, yh, zl, zh] = raw;
        if status & NEW == 0 {
            self.wake()?;
            return Err(Absent);
        }
        Ok([[xl, xh], [yl, yh], [zl, zh]].map(|[low, high]| {
            // Thousandths of g: 18 a step of the one chip, 0.06 of the other (their datasheets, mechanical characteristics).
            let milli = match self.chip {
                Chip::Lis302dl => f32::from(high.cast_signed()) * 18.0,
                Chip::Lis3dsh => f32::from(i16::from_le_bytes([low, high])) * 0.06,
            };
            milli * GRAVITY / 1000.0
        }))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use embedded_hal_mock::eh1::spi::{Mock, Transaction};
    use std::vec;
    use std::vec::Vec;

    fn read(address: u8, answer: Vec<u8>) -> Vec<Transaction<u8>> {
        vec![
            Transaction::transaction_start(),
            Transaction::write_vec(vec![address]),
            Transaction::read_vec(answer),
            Transaction::transaction_end(),
        ]
    }

    fn write(address: u8, value: u8) -> Vec<Transaction<u8>> {
        vec![
            Transaction::transaction_start(),
            Transaction::write_vec(vec![address, value]),
            Transaction::transaction_end(),
        ]
    }

    /// What an accelerometer finds that sees this on its bus.
    fn run(bus: &[Vec<Transaction<u8>>]) -> Result<[f32; 3], Absent> {
        let mut spi = Mock::new(&bus.concat());
        let found = Accelerometer::new(spi.clone()).and_then(|mut a| a.read());
        spi.done();
        found
    }

    /// Whether both are within a thousandth of each other.
    fn near(found: Result<[f32; 3], Absent>, expected: [f32; 3]) -> bool {
        found.is_ok_and(|f| f.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-3))
    }

    #[test]
    fn an_lis302dl_measures_in_steps_of_18_thousandths_of_g() {
        let found = run(&[
            read(0x8f, vec![0x3b]),
            write(0x20, 0x47),
            read(0x8f, vec![0x3b]),
            read(0xe7, vec![0x0f, 9, 1, 9, 0xff, 9, 56]),
        ]);
        assert!(near(found, [0.176_52, -0.176_52, 9.885_10]), "{found:?}");
    }

    #[test]
    fn an_lis3dsh_measures_in_steps_of_60_millionths_of_g() {
        let found = run(&[
            read(0x8f, vec![0x3f]),
            write(0x20, 0x6f),
            write(0x24, 0x00),
            write(0x25, 0x10),
            read(0x8f, vec![0x3f]),
            read(0xa7, vec![0x08, 0x00, 0x80, 0xff, 0x7f, 0x1b, 0x41]),
        ]);
        assert!(near(found, [-19.280_7, 19.280_11, 9.806_85]), "{found:?}");
    }

    #[test]
    fn wrong_answers_and_none_are_an_absent_sensor() {
        for answer in [0x00, 0xff, 0x33, 0x3a] {
            assert_eq!(run(&[read(0x8f, vec![answer])]), Err(Absent));
        }
    }

    /// A bus on which every transfer fails.
    struct Broken;
    impl embedded_hal::spi::ErrorType for Broken {
        type Error = embedded_hal::spi::ErrorKind;
    }
    impl SpiDevice for Broken {
        fn transaction(&mut self, _: &mut [Operation<'_, u8>]) -> Result<(), Self::Error> {
            Err(embedded_hal::spi::ErrorKind::Other)
        }
    }

    #[test]
    fn a_bus_that_fails_is_an_absent_sensor() {
        assert_eq!(Accelerometer::new(Broken).err(), Some(Absent));
        let chip = Chip::Lis3dsh;
        assert_eq!(Accelerometer { spi: Broken, chip }.read(), Err(Absent));
    }

    #[test]
    fn a_sensor_that_comes_off_is_absent_from_then_on() {
        for answer in [0x00, 0xff, 0x3f] {
            let found = run(&[
                read(0x8f, vec![0x3b]),
                write(0x20, 0x47),
                read(0x8f, vec![answer]),
            ]);
            assert_eq!(found, Err(Absent));
        }
    }

    #[test]
    fn a_sensor_that_measures_nothing_new_is_woken_and_absent_until_it_does() {
        // All but the bit that counts.
        let asleep = || read(0xa7, vec![0xf7, 0x00, 0x80, 0xff, 0x7f, 0x1b, 0x41]);
        let wake = || {
            [
                write(0x20, 0x6f),
                write(0x24, 0x00),
                write(0x25, 0x10),
                read(0x8f, vec![0x3f]),
            ]
        };
        let mut bus = vec![read(0x8f, vec![0x3f])];
        bus.extend(wake());
        bus.push(asleep());
        bus.extend(wake());
        bus.push(asleep());
        bus.extend(wake());
        bus.push(read(0xa7, vec![0x08, 0, 0, 0, 0, 0x1b, 0x41]));
        let mut spi = Mock::new(&bus.concat());
        let found = Accelerometer::new(spi.clone()).map(|mut a| [a.read(), a.read(), a.read()]);
        spi.done();
        let [first, second, third] = found.unwrap_or([Ok([0.0; 3]); 3]);
        assert_eq!((first, second), (Err(Absent), Err(Absent)));
        assert!(near(third, [0.0, 0.0, 9.806_85]), "{third:?}");
    }
}

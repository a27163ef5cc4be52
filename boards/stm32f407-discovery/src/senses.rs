//! The sensors that have to be asked: acceleration, and the chip's temperature; and what the ranger's bytes say.
use crate::converter::{self, Converter};
use embedded_hal_bus::spi::{ExclusiveDevice, NoDelay};
use heapless::spsc::Consumer;
use stm32f4xx_hal::gpio::{Output, Pin};
use stm32f4xx_hal::pac;
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Rcc;
use stm32f4xx_hal::spi::{Mode, Phase, Polarity, Spi};
use wasmote_cortex_m::ranger::Ranger;
use wasmote_cortex_m::sensors::{OWN, TEMPERATURE};
use wasmote_net::Endpoint;
use wasmote_node::{Fault, Server};
use wasmote_sensors::Accelerometer;
use wasmote_sensors::temperature::Calibration;

/// Milliseconds between two samples.
const TEMPERATURE_EVERY: u64 = 5_000;
const ACCELERATION_EVERY: u64 = 100;
/// The first of its three numbers.
const ACCELERATION: u8 = OWN;

/// The accelerometer, on a bus of its own.
pub type Gravity = Accelerometer<ExclusiveDevice<Spi<pac::SPI1>, Pin<'E', 3, Output>, NoDelay>>;

/// Looks for the accelerometer, on the pins of its bus: clock, from it, to it, and its select.
pub fn accelerometer(
    bus: pac::SPI1,
    (clock, from, to): (Pin<'A', 5>, Pin<'A', 6>, Pin<'A', 7>),
    select: Pin<'E', 3>,
    rcc: &mut Rcc,
) -> Option<Gravity> {
    let mode = Mode {
        polarity: Polarity::IdleHigh,
        phase: Phase::CaptureOnSecondTransition,
    };
    let pins = (Some(clock), Some(from), Some(to));
    let bus = Spi::new(bus, pins, mode, 2.MHz(), rcc);
    let mut select = select.into_push_pull_output();
    select.set_high();
    let device = ExclusiveDevice::new_no_delay(bus, select).ok()?;
    Accelerometer::new(device).ok()
}

/// What is known of them.
pub struct Senses {
    ranger: Ranger,
    gravity: Option<Gravity>,
    gravity_due: u64,
    converter: Converter,
    calibration: Option<Calibration>,
    /// The sensor's reading, while the reference is read.
    first: Option<u16>,
    converting: bool,
    temperature_due: u64,
    /// Whether there ever was a temperature.
    measured: bool,
}

impl Senses {
    /// Nothing was asked yet.
    pub fn new(
        gravity: Option<Gravity>,
        converter: Converter,
        calibration: Option<Calibration>,
    ) -> Self {
        Self {
            ranger: Ranger::new(),
            gravity,
            // It has just been woken, and has measured nothing yet.
            gravity_due: ACCELERATION_EVERY,
            converter,
            calibration,
            first: None,
            converting: false,
            temperature_due: 0,
            measured: false,
        }
    }

    /// Reads what the ranger has said.
    pub fn listen(
        &mut self,
        now: u64,
        heard: &mut Consumer<'static, u16>,
        server: &mut Server<Endpoint>,
        out: &mut impl FnMut(Endpoint, &[u8]),
    ) {
        while let Some(heard) = heard.dequeue() {
            self.ranger.listen(now, heard, server, out);
        }
    }

    /// Asks the sensors that have to be asked, and tells what they say.
    pub fn ask(
        &mut self,
        now: u64,
        server: &mut Server<Endpoint>,
        out: &mut impl FnMut(Endpoint, &[u8]),
    ) {
        if now >= self.gravity_due {
            self.gravity_due = now + ACCELERATION_EVERY;
            if let Some(gravity) = &mut self.gravity {
                let read = gravity.read();
                server.missing(now, "accelerometer", read.is_err());
                if read.is_err() {
                    for axis in 0..3 {
                        server.fault(now, ACCELERATION + axis, Fault::Silent, out);
                    }
                }
                for (axis, value) in read.into_iter().flatten().enumerate() {
                    server.sample(now, ACCELERATION + axis as u8, value, out);
                }
            }
            self.ranger.watch(now, server, out);
        }
        if !self.converting {
            if now < self.temperature_due {
                return;
            }
            self.temperature_due = now + TEMPERATURE_EVERY;
            self.converter.start(converter::TEMPERATURE);
            (self.first, self.converting) = (None, true);
            return;
        }
        let value = self.converter.done();
        if let Some(value) = value
            && self.first.is_none()
        {
            self.first = Some(value);
            self.converter.start(converter::REFERENCE);
            return;
        }
        if value.is_none() && now < self.temperature_due {
            return;
        }
        self.converting = false;
        let readings = self.first.zip(value).zip(self.calibration);
        let celsius = readings.and_then(|((sensor, reference), c)| c.celsius(sensor, reference));
        server.missing(now, "temperature", celsius.is_none());
        if let Some(celsius) = celsius {
            server.sample(now, TEMPERATURE, celsius, out);
            self.measured = true;
        } else if self.measured {
            // A chip that never measured has no such sensor; one that did gives no old value for the present one.
            server.fault(now, TEMPERATURE, Fault::Silent, out);
        }
    }
}

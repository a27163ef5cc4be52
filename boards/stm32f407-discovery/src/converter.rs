//! The analogue converter, as far as the chip's temperature needs it (RM0090 §13): one reading at a time, never waited for.
use stm32f4xx_hal::pac::{ADC_COMMON, ADC1, RCC};

/// Inputs of the temperature sensor and of the voltage reference.
pub const TEMPERATURE: u8 = 16;
/// See [`TEMPERATURE`].
pub const REFERENCE: u8 = 17;

/// The converter, ready for readings.
pub struct Converter(ADC1);

impl Converter {
    /// Switches it on, with the two inputs that are inside the chip.
    pub fn new(rcc: &RCC, common: &ADC_COMMON, adc: ADC1) -> Self {
        rcc.apb2enr().modify(|_, w| w.adc1en().set_bit());
        common.ccr().modify(|_, w| {
            // A quarter of the bus clock: 21 MHz, of at most 36.
            w.adcpre().div4();
            w.tsvrefe().set_bit()
        });
        // The sensor needs 10 µs: the longest sampling takes 23.
        adc.smpr1().modify(|_, w| {
            w.smp16().cycles480();
            w.smp17().cycles480()
        });
        // A sequence of one, as after a reset; some emulators learn it only when it is written.
        // SAFETY: one less than the length.
        adc.sqr1().write(|w| unsafe { w.l().bits(0) });
        adc.cr2().modify(|_, w| w.adon().set_bit());
        Self(adc)
    }

    /// Begins to read an input.
    pub fn start(&mut self, input: u8) {
        self.0.sr().modify(|_, w| w.eoc().clear_bit());
        // SAFETY: one conversion, of an input that there is.
        self.0.sqr3().write(|w| unsafe { w.sq1().bits(input) });
        self.0.cr2().modify(|_, w| w.swstart().set_bit());
    }

    /// The reading, once it is there.
    pub fn done(&mut self) -> Option<u16> {
        let done = self.0.sr().read().eoc().bit_is_set();
        done.then(|| self.0.dr().read().data().bits())
    }
}

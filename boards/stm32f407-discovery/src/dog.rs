//! The independent watchdog (RM0090 §21): it starts the chip anew when the module's task has not fed it for 30 s, which is
//! longer than three erasures. Its registers are read and written in whole words, as the manual has them; the HAL accesses halves,
//! and waits for a flag that is only set between two changes of a setting that is set once.
use stm32f4xx_hal::pac::IWDG;

/// Its own oscillator has 32 kHz; divided by 256 that is 125 Hz.
const DIVIDER: u32 = 6;
const RELOAD: u32 = 30 * 125;
const START: u32 = 0xcccc;
const OPEN: u32 = 0x5555;
const FEED: u32 = 0xaaaa;

/// The watchdog, once it has begun to watch; nothing ends that but a reset.
pub struct Dog(IWDG);

impl Dog {
    /// Begins.
    pub fn start(parts: IWDG) -> Self {
        let dog = Self(parts);
        dog.write(0, START);
        dog.write(0, OPEN);
        dog.write(1, DIVIDER);
        dog.write(2, RELOAD);
        dog
    }

    /// It begins to count anew.
    pub fn feed(&mut self) {
        self.write(0, FEED);
    }

    /// Key, prescaler and reload are the first three words.
    fn write(&self, register: usize, value: u32) {
        let _ = &self.0;
        // SAFETY: registers of the watchdog, which only this code uses.
        unsafe {
            IWDG::ptr()
                .cast::<u32>()
                .cast_mut()
                .add(register)
                .write_volatile(value);
        }
    }
}

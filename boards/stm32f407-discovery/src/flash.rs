//! The chip's own flash, as far as the slots reach: sectors 0 to 3 (RM0090 §3.6).
//!
//! What runs from flash stands still while a sector is erased, which takes 250 to 500 ms (STM32F407 datasheet, flash memory
//! programming, 32 bits at a time); the watchdog's 30 s are longer than three of them. DMA goes on meanwhile.
use core::ops::Range;
use discovery::sectors;
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash,
};
use stm32f4xx_hal::pac::FLASH;
use wasmote_node::slot::Flash as Mapped;

/// Sectors 0 to 3; the code behind them is not for a driver that runs from there to change.
const SIZE: u32 = sectors::CODE;
/// What opens the control register (RM0090 §3.6.1).
const KEYS: [u32; 2] = [0x4567_0123, 0xcdef_89ab];
/// Looks at a register until two seconds have gone, at two loads a look and 168 MHz: four times the longest erasure.
const PATIENCE: u32 = 42_000_000;

/// The first 64 KiB of flash.
pub struct Flash(FLASH);

impl Flash {
    /// Takes the flash controller. `None` if there is none, as in QEMU: its control register is then not locked after a reset.
    pub fn new(flash: FLASH) -> (Self, bool) {
        let there = flash.cr().read().lock().bit_is_set();
        (Self(flash), there)
    }

    /// Whether it can be read out through the debug port: level 0 of the chip's protection (RM0090 §3.7.3).
    pub fn readout(&self) -> bool {
        const LEVEL_0: u8 = 0xaa;
        self.0.optcr().read().rdp().bits() == LEVEL_0
    }

    fn check(offset: u32, length: usize) -> Result<(), NorFlashErrorKind> {
        if u64::from(offset) + length as u64 > u64::from(SIZE) {
            return Err(NorFlashErrorKind::OutOfBounds);
        }
        Ok(())
    }

    /// Waits for the controller; an error when it does not come to an end, or says that something was wrong.
    fn wait(&self) -> Result<(), NorFlashErrorKind> {
        let done = (0..PATIENCE).any(|_| self.0.sr().read().bsy().bit_is_clear());
        let sr = self.0.sr().read();
        let wrong = sr.operr().bit_is_set()
            || sr.wrperr().bit_is_set()
            || sr.pgaerr().bit_is_set()
            || sr.pgperr().bit_is_set()
            || sr.pgserr().bit_is_set();
        if done && !wrong {
            Ok(())
        } else {
            Err(NorFlashErrorKind::Other)
        }
    }

    /// Does something with the control register open, and closes it again whatever came of it.
    fn opened(
        &mut self,
        work: impl FnOnce(&Self) -> Result<(), NorFlashErrorKind>,
    ) -> Result<(), NorFlashErrorKind> {
        let registers = &self.0;
        if registers.cr().read().lock().bit_is_set() {
            for key in KEYS {
                // SAFETY: the keys of the manual.
                registers.keyr().write(|w| unsafe { w.key().bits(key) });
            }
            if registers.cr().read().lock().bit_is_set() {
                return Err(NorFlashErrorKind::Other);
            }
        } else {
            return Err(NorFlashErrorKind::Other);
        }
        // Errors stay until they are cleared, each by writing a one: also those of a debugger.
        registers.sr().write(|w| {
            w.eop().clear_bit_by_one();
            w.operr().clear_bit_by_one();
            w.wrperr().clear_bit_by_one();
            w.pgaerr().clear_bit_by_one();
            w.pgperr().clear_bit_by_one();
            w.pgserr().clear_bit_by_one()
        });
        let done = self.wait().and_then(|()| work(self));
        registers.cr().modify(|_, w| {
            w.pg().clear_bit();
            w.ser().clear_bit();
            w.lock().set_bit()
        });
        done
    }

    /// Throws away what the flash interface remembers of data that was there before (RM0090 §3.6.6): modules are read as data.
    fn forget(&self) {
        let acr = self.0.acr();
        acr.modify(|_, w| w.dcen().clear_bit());
        acr.modify(|_, w| w.dcrst().set_bit());
        acr.modify(|_, w| w.dcrst().clear_bit());
        acr.modify(|_, w| w.dcen().set_bit());
    }

    fn erase_sectors(&self, wanted: Range<u8>) -> Result<(), NorFlashErrorKind> {
        for sector in wanted {
            self.0.cr().modify(|_, w| {
                w.pg().clear_bit();
                w.ser().set_bit();
                w.psize().psize32();
                // SAFETY: a sector that there is.
                unsafe { w.snb().bits(sector) }
            });
            self.0.cr().modify(|_, w| w.strt().set_bit());
            self.wait()?;
        }
        Ok(())
    }

    fn program(&self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.0.cr().modify(|_, w| {
            w.ser().clear_bit();
            w.psize().psize32();
            w.pg().set_bit()
        });
        let (words, _) = bytes.as_chunks::<4>();
        for (index, word) in words.iter().enumerate() {
            let at = ((sectors::START + offset) as usize + index * 4) as *mut u32;
            let word = u32::from_le_bytes(*word);
            // SAFETY: checked by the caller: inside the flash, aligned; nobody holds what is written.
            unsafe { at.write_volatile(word) };
            self.wait()?;
        }
        Ok(())
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        Self::check(offset, bytes.len())?;
        bytes.copy_from_slice(self.mapped(offset, bytes.len() as u32));
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = sectors::SLOT as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        // Never sector 0, in which the vector table is.
        let wanted = sectors::covering(from..to, SIZE).filter(|s| s.start > 0);
        let wanted = wanted.ok_or(NorFlashErrorKind::OutOfBounds)?;
        let done = self.opened(|flash| flash.erase_sectors(wanted));
        self.forget();
        done?;
        // Read back: flash at the end of its life erases in part, and says nothing.
        let erased = self.words(from, (to - from) / 4);
        let good = erased.iter().all(|word| {
            // SAFETY: a reference to a word, read as it is now.
            unsafe { core::ptr::from_ref(word).read_volatile() == u32::MAX }
        });
        good.then_some(()).ok_or(NorFlashErrorKind::Other)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        Self::check(offset, bytes.len())?;
        if !offset.is_multiple_of(4) || !bytes.len().is_multiple_of(4) {
            return Err(NorFlashErrorKind::NotAligned);
        }
        if offset < sectors::SLOTS {
            return Err(NorFlashErrorKind::OutOfBounds);
        }
        let done = self.opened(|flash| flash.program(offset, bytes));
        self.forget();
        done?;
        // Read back: every bit that was to be cleared is; others may have been cleared before.
        let now = self.mapped(offset, bytes.len() as u32);
        let good = now.iter().zip(bytes).all(|(now, wanted)| {
            // SAFETY: a reference to a byte, read as it is now.
            unsafe { core::ptr::from_ref(now).read_volatile() & !wanted == 0 }
        });
        good.then_some(()).ok_or(NorFlashErrorKind::Other)
    }
}

// Bits can be cleared without erasing what is beside them.
impl MultiwriteNorFlash for Flash {}

impl Mapped for Flash {
    fn mapped(&self, offset: u32, length: u32) -> &'static [u8] {
        if Self::check(offset, length as usize).is_err() {
            return &[];
        }
        // SAFETY: inside the flash, and unchanged while it is held, as the trait says.
        unsafe {
            core::slice::from_raw_parts(
                (sectors::START + offset) as usize as *const u8,
                length as usize,
            )
        }
    }

    fn words(&self, offset: u32, words: u32) -> &'static [u32] {
        let length = (words as usize).saturating_mul(4);
        if !offset.is_multiple_of(4) || Self::check(offset, length).is_err() {
            return &[];
        }
        // SAFETY: as above, and aligned.
        unsafe {
            core::slice::from_raw_parts(
                (sectors::START + offset) as usize as *const u32,
                words as usize,
            )
        }
    }
}

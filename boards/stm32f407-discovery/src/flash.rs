//! The chip's own flash: sectors 0 to 3, of 16 KiB each (RM0090 §3.3). Erasing stalls the CPU for 0.25 to 0.5 s.
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash,
};
use stm32f4xx_hal::flash::{FlashExt, LockedFlash};
use wasmote_node::slot::Flash as Mapped;

const START: usize = 0x0800_0000;
const SIZE: u32 = 0x1_0000;

/// The first 64 KiB of flash.
pub struct Flash(LockedFlash);

impl Flash {
    /// Takes the flash controller.
    pub fn new(flash: stm32f4xx_hal::pac::FLASH) -> Self {
        Self(LockedFlash::new(flash))
    }

    fn check(&self, offset: u32, length: usize) -> Result<(), NorFlashErrorKind> {
        if u64::from(offset) + length as u64 > u64::from(SIZE) {
            return Err(NorFlashErrorKind::OutOfBounds);
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
        self.check(offset, bytes.len())?;
        bytes.copy_from_slice(self.mapped(offset, bytes.len() as u32));
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = super::SLOT as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.check(from, to.saturating_sub(from) as usize)?;
        for sector in from / super::SLOT..to.div_ceil(super::SLOT) {
            self.0
                .unlocked()
                .erase(sector as u8)
                .map_err(|_| NorFlashErrorKind::Other)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.check(offset, bytes.len())?;
        self.0
            .unlocked()
            .program(offset as usize, bytes.iter())
            .map_err(|_| NorFlashErrorKind::Other)
    }
}

// Bits can be cleared without erasing what is beside them.
impl MultiwriteNorFlash for Flash {}

impl Mapped for Flash {
    fn mapped(&self, offset: u32, length: u32) -> &'static [u8] {
        if self.check(offset, length as usize).is_err() {
            return &[];
        }
        // SAFETY: inside the flash, and unchanged while it is held, as the trait says.
        unsafe {
            core::slice::from_raw_parts((START + offset as usize) as *const u8, length as usize)
        }
    }

    fn words(&self, offset: u32, words: u32) -> &'static [u32] {
        if !offset.is_multiple_of(4) || self.check(offset, words as usize * 4).is_err() {
            return &[];
        }
        // SAFETY: as above, and aligned.
        unsafe {
            core::slice::from_raw_parts((START + offset as usize) as *const u32, words as usize)
        }
    }
}

//! A flash that is memory: a node's other half needs one, and what it costs is not what is measured here.
use core::cell::UnsafeCell;
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash,
};
use wasmote_node::slot::{Flash, SLOTS};

const SLOT: u32 = 0x2000;
const WORDS: usize = SLOTS * SLOT as usize / 4;

/// The slots of this flash: where each begins, and its bytes.
pub const PLACES: [(u32, u32); SLOTS] = [(0, SLOT), (SLOT, SLOT), (2 * SLOT, SLOT)];

struct Cells(UnsafeCell<[u32; WORDS]>);

// SAFETY: one core, no interrupts, and one owner.
unsafe impl Sync for Cells {}

static CELLS: Cells = Cells(UnsafeCell::new([u32::MAX; WORDS]));

/// The only owner of the memory.
pub struct Ram(());

impl Ram {
    /// # Safety
    /// There is one at a time.
    pub unsafe fn take() -> Self {
        Self(())
    }

    fn change(&mut self, offset: u32, length: u32, new: impl Fn(usize, u32) -> u32) {
        let start = offset as usize / 4;
        for at in 0..length as usize / 4 {
            assert!(start + at < WORDS);
            // SAFETY: in bounds, and what is read elsewhere is not written meanwhile, as in flash.
            unsafe {
                let word = CELLS.0.get().cast::<u32>().add(start + at);
                word.write_volatile(new(at, word.read_volatile()));
            }
        }
    }
}

impl ErrorType for Ram {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Ram {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        bytes.copy_from_slice(self.mapped(offset, bytes.len() as u32));
        Ok(())
    }
    fn capacity(&self) -> usize {
        WORDS * 4
    }
}

impl NorFlash for Ram {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SLOT as usize;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.change(from, to - from, |_, _| u32::MAX);
        Ok(())
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let words = bytes.as_chunks::<4>().0;
        let new = |at: usize| {
            words
                .get(at)
                .map_or(u32::MAX, |word| u32::from_le_bytes(*word))
        };
        self.change(offset, bytes.len() as u32, |at, old| old & new(at));
        Ok(())
    }
}

impl MultiwriteNorFlash for Ram {}

impl Flash for Ram {
    fn mapped(&self, offset: u32, length: u32) -> &'static [u8] {
        assert!((offset + length) as usize <= WORDS * 4);
        // SAFETY: in bounds; those who read hold ranges that are not written meanwhile.
        unsafe {
            let start = CELLS.0.get().cast::<u8>().add(offset as usize);
            core::slice::from_raw_parts(start, length as usize)
        }
    }
    fn words(&self, offset: u32, words: u32) -> &'static [u32] {
        assert!((offset / 4 + words) as usize <= WORDS);
        // SAFETY: likewise, and aligned.
        unsafe {
            let start = CELLS.0.get().cast::<u32>().add(offset as usize / 4);
            core::slice::from_raw_parts(start, words as usize)
        }
    }
}

//! A file as flash: the first 64 KiB of the STM32F407's, byte for byte. Sector 0 holds the provisioning record at its end,
//! sectors 1 to 3 are the slots. Bits are only ever cleared by a write, as in the chip.
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use wasmote_node::contract::flash::{END, SLOT};
use wasmote_node::slot::Flash;

const SIZE: usize = END as usize;

/// Flash whose content is in memory and, where it has one, in a file.
#[derive(Clone, Copy, Debug)]
pub struct FileFlash {
    memory: *mut u32,
    file: Option<&'static File>,
}

// SAFETY: one Runner owns the writing side; those who read hold ranges that are not written meanwhile (`Flash::mapped`).
unsafe impl Send for FileFlash {}

/// The file could not be written.
#[derive(Clone, Copy, Debug)]
pub struct FlashError;

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl FileFlash {
    /// Flash from a file, which is made erased when it does not exist; or without one.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let mut content = vec![0xffu8; SIZE];
        let file = match path {
            Some(path) => {
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(path)?;
                let length = file.metadata()?.len().min(SIZE as u64) as usize;
                file.read_exact_at(content.get_mut(..length).unwrap_or(&mut []), 0)?;
                file.write_all_at(&content, 0)?;
                Some(&*Box::leak(Box::new(file)))
            }
            None => None,
        };
        let words: Vec<u32> = content
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| u32::from_ne_bytes(*b))
            .collect();
        Ok(Self {
            memory: words.leak().as_mut_ptr(),
            file,
        })
    }

    fn bytes(&self, offset: u32, length: u32) -> Option<*mut u8> {
        let end = u64::from(offset) + u64::from(length);
        // SAFETY: inside the allocation, as was checked.
        (end <= SIZE as u64).then(|| unsafe { self.memory.cast::<u8>().add(offset as usize) })
    }

    fn store(
        &mut self,
        offset: u32,
        length: u32,
        change: impl Fn(usize, u8) -> u8,
    ) -> Result<(), FlashError> {
        let bytes = self.bytes(offset, length).ok_or(FlashError)?;
        for i in 0..length as usize {
            // SAFETY: inside the range that `bytes` checked; nobody reads what is written, see above.
            unsafe {
                bytes
                    .add(i)
                    .write_volatile(change(i, bytes.add(i).read_volatile()))
            };
        }
        if let Some(file) = self.file {
            // SAFETY: as above.
            let content = unsafe { std::slice::from_raw_parts(bytes, length as usize) };
            file.write_all_at(content, u64::from(offset))
                .map_err(|_| FlashError)?;
        }
        Ok(())
    }
}

impl ErrorType for FileFlash {
    type Error = FlashError;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.bytes(offset, bytes.len() as u32).ok_or(FlashError)?;
        bytes.copy_from_slice(self.mapped(offset, bytes.len() as u32));
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SLOT as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.store(from, to.saturating_sub(from), |_, _| 0xff)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.store(offset, bytes.len() as u32, |i, old| {
            old & bytes.get(i).copied().unwrap_or(0xff)
        })
    }
}

// Bits can be cleared without erasing what is beside them.
impl MultiwriteNorFlash for FileFlash {}

impl Flash for FileFlash {
    fn mapped(&self, offset: u32, length: u32) -> &'static [u8] {
        match self.bytes(offset, length) {
            // SAFETY: inside the allocation, which is never freed; unchanged while it is held, as the trait says.
            Some(bytes) => unsafe { std::slice::from_raw_parts(bytes, length as usize) },
            None => &[],
        }
    }

    fn words(&self, offset: u32, words: u32) -> &'static [u32] {
        match self.bytes(offset, words.saturating_mul(4)) {
            Some(_) if offset.is_multiple_of(4) => {
                // SAFETY: as in `mapped`, and aligned.
                unsafe {
                    std::slice::from_raw_parts(self.memory.add(offset as usize / 4), words as usize)
                }
            }
            _ => &[],
        }
    }
}

//! What QEMU lacks, through semihosting: flash that can be written (a file, named by the command line's second word) and
//! a console for the pins. The flash is mirrored in RAM, so that modules run from where they lie. The board says where.
use crate::layout::{END, PROVISION, SLOT};
use core::ffi::CStr;
use cortex_m_semihosting::{hprintln, syscall};
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash,
};
use wasmote_node::slot::Flash as Mapped;

/// The part of flash that is mirrored: the provisioning record and the slots.
const START: u32 = PROVISION;
/// Bytes of the mirror.
pub const SIZE: u32 = END - START;

/// Flash in a file.
#[derive(Debug)]
pub struct Flash {
    file: usize,
    /// The address of the mirror.
    mirror: usize,
    /// Operations until the power is cut, as the word `cut=` of the command line wants it; 0: never.
    left: u32,
}

/// The emulator's command line: the program's name, the file that is the flash, and how often that may be changed.
fn command_line(buffer: &mut [u8]) -> Option<&[u8]> {
    let mut block = [buffer.as_mut_ptr() as usize, buffer.len()];
    // SAFETY: SYS_GET_CMDLINE (0x15) writes at most the given length into the buffer, and the length into the block.
    let failed = unsafe { cortex_m_semihosting::syscall1(0x15, block.as_mut_ptr() as usize) };
    (failed == 0).then_some(buffer)
}

/// The first word after the program's name.
fn argument(buffer: &mut [u8]) -> Option<&CStr> {
    command_line(buffer)?;
    let start = buffer.iter().position(|b| *b == b' ')? + 1;
    let word = buffer.get_mut(start..)?;
    if let Some(end) = word.iter_mut().find(|b| **b == b' ') {
        *end = 0;
    }
    CStr::from_bytes_until_nul(word).ok()
}

/// After how many changes of the flash the power is cut: the word `cut=N`, or 0 if absent.
fn cut(buffer: &mut [u8]) -> u32 {
    let line = command_line(buffer).and_then(|line| CStr::from_bytes_until_nul(line).ok());
    let text = line.and_then(|line| line.to_str().ok()).unwrap_or("");
    let word = text.split(' ').find_map(|word| word.strip_prefix("cut="));
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn open(path: &CStr, mode: usize) -> usize {
    // SAFETY: SYS_OPEN: a string with its end, the mode (ISO C), the length.
    unsafe { syscall!(OPEN, path.as_ptr(), mode, path.to_bytes().len()) }
}

impl Flash {
    /// Opens the file, which is made erased when it does not exist.
    ///
    /// # Safety
    ///
    /// From `mirror` on there are [`SIZE`] bytes of RAM that nobody else uses, aligned for words.
    pub unsafe fn new(mirror: *mut u8) -> Self {
        let mut buffer = [0; 512];
        let left = cut(&mut buffer);
        let path = argument(&mut buffer).unwrap_or(c"flash");
        // "r+b", else "w+b".
        let mut file = open(path, 3);
        if file == usize::MAX {
            file = open(path, 7);
        }
        // SAFETY: as many bytes as the mirror has; SYS_SEEK and SYS_READ of an open file. A shorter file leaves the rest erased.
        unsafe {
            mirror.write_bytes(0xff, SIZE as usize);
            syscall!(SEEK, file, START);
            syscall!(READ, file, mirror, SIZE);
        }
        let mirror = mirror as usize;
        let mut flash = Self { file, mirror, left };
        let _ = flash.save(START, SIZE);
        flash
    }

    /// Where these bytes of flash are mirrored.
    fn place(&self, offset: u32, length: u32) -> Option<*mut u8> {
        let at = offset.checked_sub(START)?;
        let inside = u64::from(at) + u64::from(length) <= u64::from(SIZE);
        // SAFETY: inside the mirror.
        inside.then(|| unsafe { (self.mirror as *mut u8).add(at as usize) })
    }

    fn save(&mut self, offset: u32, length: u32) -> Result<(), NorFlashErrorKind> {
        let bytes = self.mapped(offset, length);
        // SAFETY: SYS_SEEK and SYS_WRITE of an open file and so many bytes.
        let left = unsafe {
            syscall!(SEEK, self.file, offset);
            syscall!(WRITE, self.file, bytes.as_ptr(), bytes.len())
        };
        if left == 0 {
            Ok(())
        } else {
            Err(NorFlashErrorKind::Other)
        }
    }

    fn change(
        &mut self,
        offset: u32,
        length: u32,
        new: impl Fn(usize, u8) -> u8,
    ) -> Result<(), NorFlashErrorKind> {
        let to = self
            .place(offset, length)
            .ok_or(NorFlashErrorKind::OutOfBounds)?;
        // The operation that the power cut comes into is done by half, a word at a time.
        let cut = self.left == 1;
        let length = if cut { (length / 2) & !3 } else { length };
        self.left = self.left.saturating_sub(1);
        for i in 0..length as usize {
            // SAFETY: inside the mirror; nobody holds what is written, as `Flash::mapped` says.
            unsafe {
                let at = to.add(i);
                at.write_volatile(new(i, at.read_volatile()));
            }
        }
        let saved = self.save(offset, length);
        if cut {
            hprintln!("power cut at {}", offset);
            cortex_m_semihosting::debug::exit(cortex_m_semihosting::debug::EXIT_SUCCESS);
        }
        saved
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let from = self.mapped(offset, bytes.len() as u32);
        if from.len() != bytes.len() {
            return Err(NorFlashErrorKind::OutOfBounds);
        }
        bytes.copy_from_slice(from);
        Ok(())
    }

    fn capacity(&self) -> usize {
        (START + SIZE) as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SLOT as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.change(from, to.saturating_sub(from), |_, _| 0xff)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.change(offset, bytes.len() as u32, |i, old| {
            old & bytes.get(i).copied().unwrap_or(0xff)
        })
    }
}

// Bits can be cleared without erasing what is beside them.
impl MultiwriteNorFlash for Flash {}

impl Mapped for Flash {
    fn mapped(&self, offset: u32, length: u32) -> &'static [u8] {
        match self.place(offset, length) {
            // SAFETY: inside the mirror, and unchanged while it is held, as the trait says.
            Some(at) => unsafe { core::slice::from_raw_parts(at, length as usize) },
            None => &[],
        }
    }

    fn words(&self, offset: u32, words: u32) -> &'static [u32] {
        match self.place(offset, words.saturating_mul(4)) {
            // SAFETY: as above, and aligned: the mirror and its beginning in flash are.
            Some(at) if offset.is_multiple_of(4) => unsafe {
                core::slice::from_raw_parts(at.cast::<u32>(), words as usize)
            },
            _ => &[],
        }
    }
}

/// The console's word on a pin.
pub fn gpio(pin: u8, high: bool) {
    hprintln!("gpio {} {}", pin, u8::from(high));
}

/// Where randomness comes from: the time of the emulator's host.
pub fn seed() -> u64 {
    // SAFETY: SYS_CLOCK and SYS_TIME take nothing.
    let (clock, time) = unsafe { (syscall!(CLOCK), syscall!(TIME)) };
    (time as u64) << 32 | clock as u64
}

/// The stated substitute for a generator of true random numbers: those of the operating system that the emulator runs on. Nothing of
/// them goes into [`seed`], whose values are seen.
pub fn random() -> Option<[u8; 32]> {
    // "rb".
    let file = open(c"/dev/urandom", 1);
    if file == usize::MAX {
        return None;
    }
    let mut bytes = [0u8; 32];
    // SAFETY: SYS_READ of an open file into so many bytes, and SYS_CLOSE of it.
    let left = unsafe {
        let left = syscall!(READ, file, bytes.as_mut_ptr(), bytes.len());
        syscall!(CLOSE, file);
        left
    };
    (left == 0).then_some(bytes)
}

//! Where the validator writes the table that execution needs beside the module: in RAM, or word by word into flash.

/// The table does not fit in what the caller gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull;

/// A store of 32-bit little-endian words. Every word is written exactly once, in no particular order (so erased flash
/// will do), and some are read back later in the same validation.
pub trait Emit {
    /// Writes the word at this byte offset (a multiple of 4).
    fn write(&mut self, offset: u32, word: u32) -> Result<(), TableFull>;
    /// Reads a word that was written before.
    fn read(&mut self, offset: u32) -> u32;
}

impl Emit for [u32] {
    fn write(&mut self, offset: u32, word: u32) -> Result<(), TableFull> {
        *self.get_mut((offset / 4) as usize).ok_or(TableFull)? = word.to_le();
        Ok(())
    }

    fn read(&mut self, offset: u32) -> u32 {
        self.get((offset / 4) as usize)
            .map_or(0, |word| u32::from_le(*word))
    }
}

//! The branch table that validation derives from a module, in flash beside it.
use crate::slot::Flash;
use wasmote_engine::{Emit, TableFull};

/// The branch table on its way into flash.
pub(super) struct Table<'f, F> {
    pub(super) flash: &'f mut F,
    pub(super) at: u32,
    pub(super) space: u32,
}

impl<F: Flash> Emit for Table<'_, F> {
    fn write(&mut self, offset: u32, word: u32) -> Result<(), TableFull> {
        if offset.checked_add(4).is_none_or(|end| end > self.space) {
            return Err(TableFull);
        }
        // What is there is not written again, and a bit that is cleared stays so until flash is erased.
        let there = self.read(offset);
        if there == word {
            return Ok(());
        }
        if there & word != word {
            return Err(TableFull);
        }
        let written = self.flash.write(self.at + offset, &word.to_le_bytes());
        if written.is_ok() && self.read(offset) == word {
            Ok(())
        } else {
            Err(TableFull)
        }
    }

    fn read(&mut self, offset: u32) -> u32 {
        peek(self.flash, self.at, self.space, offset)
    }
}

/// The branch table as it should be in flash already.
pub(super) struct Compare<'f, F> {
    pub(super) flash: &'f F,
    pub(super) at: u32,
    pub(super) space: u32,
}

impl<F: Flash> Emit for Compare<'_, F> {
    fn write(&mut self, offset: u32, word: u32) -> Result<(), TableFull> {
        if peek(self.flash, self.at, self.space, offset) == word {
            Ok(())
        } else {
            Err(TableFull)
        }
    }

    fn read(&mut self, offset: u32) -> u32 {
        peek(self.flash, self.at, self.space, offset)
    }
}

fn peek<F: Flash>(flash: &F, at: u32, space: u32, offset: u32) -> u32 {
    if offset.checked_add(4).is_none_or(|end| end > space) {
        return u32::MAX;
    }
    flash
        .words(at + offset, 1)
        .first()
        .map_or(u32::MAX, |word| u32::from_le(*word))
}

//! What the operator has set of a package: parameters, in the journal of its slot.
//!
//! A change is one cell, written [`COPIES`] times where there is room for that, so that no two bits which flip bring an older value
//! back. A package that moves takes the newest of each along in one cell with content.
use super::journal::{COPIES, Cell, Content};
use super::{Flash, SlotError, Slots, kind};
use crate::module::PARAMETERS;

/// The values by their numbers.
type Values = [Option<f32>; PARAMETERS];

const _: () = assert!(PARAMETERS <= u16::BITS as usize);

/// Those of one cell, as bits: the first two in it, the others behind it.
fn read(cell: &Cell, content: Content<'_>, values: &mut Values) {
    let mut more = [0; 4 * PARAMETERS];
    more[..4].copy_from_slice(&cell.x.to_le_bytes());
    more[4..8].copy_from_slice(&cell.y.to_le_bytes());
    content.copy(&mut more[8..]);
    let numbers = (0..PARAMETERS).filter(|number| cell.small >> number & 1 == 1);
    for (number, bits) in numbers.zip(more.as_chunks::<4>().0) {
        if let Some(place) = values.get_mut(number) {
            *place = Some(f32::from_bits(u32::from_le_bytes(*bits)));
        }
    }
}

impl<F: Flash> Slots<F> {
    /// Keeps a parameter of the current package over resets. A full journal is moved to a fresh slot with the package.
    pub fn set_parameter(&mut self, number: u16, value: f32) -> Result<(), SlotError> {
        let mut index = self.current().ok_or(SlotError::Nothing)?;
        if usize::from(number) >= PARAMETERS {
            return Err(SlotError::TooLarge);
        }
        if self.parameter(number).map(f32::to_bits) == Some(value.to_bits()) {
            return Ok(());
        }
        if self.room(index) == 0 {
            self.renew(false)?;
            index = self.current().ok_or(SlotError::Nothing)?;
        }
        let cell = Cell::new(kind::PARAMETER, number, value.to_bits(), 0);
        let copies = COPIES.min(self.room(index) as usize).max(1);
        self.copy_out(index, &cell, &[], copies)
    }

    /// Makes the copies that are missing of each value that was set last, as far as there is room for that.
    pub(super) fn mend_parameters(&mut self) {
        let Some(index) = self.current() else { return };
        // These bits are no value (they are no number): nothing was set.
        let mut found = [(u32::MAX, COPIES); PARAMETERS];
        self.journal(index).read(&self.flash, |cell, _| {
            let place = found.get_mut(usize::from(cell.small));
            if let Some((bits, copies)) = place.filter(|_| cell.kind == kind::PARAMETER) {
                *copies = if *bits == cell.x { *copies + 1 } else { 1 };
                *bits = cell.x;
            }
        });
        for (number, (bits, copies)) in (0..).zip(found) {
            let missing = COPIES.saturating_sub(copies);
            let missing = missing.min(self.room(index) as usize);
            if missing > 0 {
                let cell = Cell::new(kind::PARAMETER, number, bits, 0);
                let _ = self.copy_out(index, &cell, &[], missing);
            }
        }
    }

    /// The kept value of a parameter of the current package.
    pub fn parameter(&self, number: u16) -> Option<f32> {
        let values = self.parameters_in(self.current()?);
        values.get(usize::from(number)).copied().flatten()
    }

    fn parameters_in(&self, index: usize) -> Values {
        let mut values = [None; PARAMETERS];
        self.journal(index)
            .read(&self.flash, |cell, content| match cell.kind {
                kind::PARAMETER => {
                    if let Some(place) = values.get_mut(usize::from(cell.small)) {
                        *place = Some(f32::from_bits(cell.x));
                    }
                }
                kind::PARAMETERS => read(cell, content, &mut values),
                _ => {}
            });
        values
    }

    /// Takes them along to another slot.
    pub(super) fn carry_parameters(&mut self, from: usize, to: usize) -> Result<(), SlotError> {
        let mut numbers = 0;
        let mut bits = heapless::Vec::<u8, { 4 * PARAMETERS }>::new();
        for (number, value) in self.parameters_in(from).iter().enumerate() {
            if let Some(value) = value {
                numbers |= 1 << number;
                let _ = bits.extend_from_slice(&value.to_bits().to_le_bytes());
            }
        }
        if numbers == 0 {
            return Ok(());
        }
        let mut first = [0; 8];
        for (to, from) in first.iter_mut().zip(&bits) {
            *to = *from;
        }
        let [x, y] = [0, 4].map(|at| first.get(at..).and_then(<[u8]>::first_chunk));
        let word = |bytes: Option<&[u8; 4]>| bytes.map_or(0, |b| u32::from_le_bytes(*b));
        let cell = Cell::new(kind::PARAMETERS, numbers, word(x), word(y));
        self.copy_out(to, &cell, bits.get(8..).unwrap_or(&[]), COPIES)
    }
}

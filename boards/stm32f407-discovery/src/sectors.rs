//! The flash of the STM32F407 in sectors (RM0090 §3.3), and what lies where in it. Sectors 0 to 3 are the same in the parts of
//! 512 KiB and of 1 MiB, which have one bank and differ only in the number of large sectors.
use core::ops::Range;
pub use wasmote_cortex_m::layout::{END, PROVISION, SLOT, SLOTS, START};

/// Flash of the smaller part (STM32F407VE) and of the larger (VG), in bytes. The firmware fits the smaller.
pub const PARTS: [u32; 2] = [512 * 1024, 1024 * 1024];

/// Code begins in sector 4; memory.x says the same to the linker.
pub const CODE: u32 = END;

/// Bytes of a sector, if the chip has it.
const fn size(number: u8) -> Option<u32> {
    match number {
        0..=3 => Some(16 * 1024),
        4 => Some(64 * 1024),
        5..=11 => Some(128 * 1024),
        _ => None,
    }
}

/// The sectors that these bytes are, in a part with so much flash. None when the range does not begin and end with a sector,
/// holds none, or is not in the flash.
pub fn covering(range: Range<u32>, flash: u32) -> Option<Range<u8>> {
    let (mut number, mut at) = (0, 0);
    let mut first = None;
    while at < range.end {
        if at == range.start {
            first = Some(number);
        }
        at += size(number).filter(|size| at + size <= flash)?;
        number += 1;
    }
    let first = first?;
    (at == range.end).then_some(first..number)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn the_sectors_are_all_of_the_flash() {
        assert_eq!(covering(0..PARTS[0], PARTS[0]), Some(0..8));
        assert_eq!(covering(0..PARTS[1], PARTS[1]), Some(0..12));
        assert_eq!(covering(0..PARTS[1], PARTS[0]), None);
        assert_eq!(covering(0..2 * PARTS[1], 2 * PARTS[1]), None);
    }

    #[test]
    fn each_slot_is_one_sector_in_both_parts() {
        for flash in PARTS {
            for slot in 0..3_u8 {
                let start = SLOTS + u32::from(slot) * SLOT;
                let sector = covering(start..start + SLOT, flash);
                assert_eq!(sector, Some(slot + 1..slot + 2));
            }
            assert_eq!(covering(SLOTS..SLOTS + 3 * SLOT, flash), Some(1..4));
        }
    }

    #[test]
    fn code_begins_with_a_sector_behind_the_slots() {
        assert_eq!(covering(CODE..PARTS[0], PARTS[0]), Some(4..8));
    }

    #[test]
    fn what_is_no_whole_sectors_is_refused() {
        for range in [
            0..1,
            1..0x4000,
            0x4000..0x4001,
            0x4001..0x8000,
            0x4000..0x7fff,
            Range {
                start: 0x8000,
                end: 0x4000,
            },
            0x4000..0x4000,
            0x1_0000..0x1_4000,
            0x7_0000..0x8_0000,
            PARTS[1]..PARTS[1] + 0x2_0000,
            0..u32::MAX,
        ] {
            assert_eq!(covering(range.clone(), PARTS[1]), None, "{range:x?}");
        }
    }

    #[test]
    fn the_linker_is_told_the_same() {
        let script = include_str!("../memory.x");
        for fact in [
            std::format!("ORIGIN = {START:#010x}, LENGTH = {}K", PARTS[0] / 1024),
            std::format!("_stext = {:#010x};", START + CODE),
            std::format!("SIZEOF(.vector_table) <= {PROVISION:#x}"),
        ] {
            assert!(script.contains(&fact), "{fact}");
        }
    }
}

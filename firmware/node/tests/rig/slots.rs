//! Slots without a node around them: packages that are none, what is kept, and bits that flip in pairs.
use super::Memory;
use wasmote_node::slot::{Coming, Flash, PACKAGE, RECORD, Rotation, SLOTS, STATE, Slots};

pub fn open(memory: &Memory) -> Slots<Memory> {
    Slots::at(memory.clone(), std::array::from_fn(|i| memory.place(i)))
}

/// A package that is not one, but has a place for all that a journal says of it.
pub fn coming(sequence: u32, module: u8) -> Coming {
    Coming {
        era: 0,
        sequence,
        envelope: 64,
        size: 256,
        digest: [module; 32],
    }
}

/// Receives, tries and confirms a package.
pub fn install(slots: &mut Slots<Memory>, sequence: u32, module: u8) -> usize {
    let index = slots.prepare(&coming(sequence, module)).unwrap();
    slots.write(index, 0, &[module; 256]).unwrap();
    slots.stage(index, 32).unwrap();
    slots.activate(index).unwrap();
    slots.confirm(index, Rotation::default(), &[]).unwrap();
    index
}

pub fn sequence(slots: &Slots<Memory>) -> u32 {
    slots.current().map_or(0, |i| slots.slot(i).sequence)
}

/// Pairs of bits in the headers and journals: each pair that lies in two copies of one cell, and many others.
pub fn pairs(memory: &Memory, count: usize) -> Vec<[(u32, u8); 2]> {
    let mut bits = vec![];
    for slot in 0..SLOTS {
        let (base, _) = memory.place(slot);
        let used = memory.mapped(base, PACKAGE);
        let used = used
            .iter()
            .rposition(|b| *b != 0xff)
            .map_or(0, |at| at + 17);
        bits.extend((0..used as u32 * 8).map(|bit| (base + bit / 8, (bit % 8) as u8)));
    }
    let mut x = 1u32;
    let mut random = move || {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 8) as usize
    };
    let mut all = vec![];
    while all.len() < count {
        let (a, b) = (bits[random() % bits.len()], bits[random() % bits.len()]);
        // The same bit in another copy of the cell, and any other.
        all.push([a, (a.0 + 16 * (1 + all.len() as u32 % 2), a.1)]);
        if a != b {
            all.push([a, b]);
        }
    }
    all
}

pub fn flipped(memory: &Memory, pair: &[(u32, u8)]) -> Slots<Memory> {
    for (at, bit) in pair {
        memory.flip(*at, *bit);
    }
    let slots = open(memory);
    for (at, bit) in pair {
        memory.flip(*at, *bit);
    }
    slots
}

pub fn kept(slots: &Slots<Memory>, number: u8) -> Option<Vec<u8>> {
    let mut to = [0; RECORD];
    let length = slots.kept(number, &mut to)?;
    Some(to[..length].to_vec())
}

pub fn saved(slots: &Slots<Memory>) -> Option<(u32, Vec<u8>)> {
    let mut to = [0; STATE];
    let (tag, length) = slots.saved(slots.current()?, &mut to)?;
    Some((tag, to[..length].to_vec()))
}

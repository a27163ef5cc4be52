//! Copies of what decides something: made again after a start, whatever bits or a power cut left of them; and slots in any order of
//! events.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::slots::{coming, flipped, install, kept, open, pairs, saved, sequence};
use rig::{EVEN, Memory, TEARS};
use wasmote_node::slot::{
    Flash, PACKAGE, RECORD, Reason, Rotation, SLOTS, SlotError, Slots, State,
};

const HOUR: u64 = 3_600_000;

/// What is kept at three places of a journal: how to do it, and whether it is so.
type Kept = (
    &'static str,
    fn(&mut Slots<Memory>) -> Result<(), SlotError>,
    fn(&Slots<Memory>) -> bool,
);

const KEPT: [Kept; 4] = [
    (
        "a record of many cells",
        |s| s.keep(0, b"the secret that is used now"),
        |s| kept(s, 0).unwrap() == b"the secret that is used now",
    ),
    (
        "numbers that are taken",
        |s| s.keep(8, &9u32.to_le_bytes()),
        |s| kept(s, 8).unwrap() == 9u32.to_le_bytes(),
    ),
    (
        "a parameter",
        |s| s.set_parameter(1, 2.5),
        |s| s.parameter(1) == Some(2.5),
    ),
    (
        "a withdrawal",
        |s| s.withdraw(Reason::Hand),
        |s| sequence(s) == 5,
    ),
];

/// A node on which each of these has had another value before.
fn before() -> Memory {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    install(&mut slots, 5, 5);
    install(&mut slots, 6, 6);
    slots.keep(0, b"an older secret of some length").unwrap();
    slots.keep(8, &8u32.to_le_bytes()).unwrap();
    slots.set_parameter(1, 1.5).unwrap();
    memory
}

#[test]
fn what_power_cut_between_its_copies_survives_two_bits_after_the_next_start() {
    for (what, act, is) in KEPT {
        let (fresh, mut counted) = (before(), 0);
        let cuts = TEARS
            .into_iter()
            .flat_map(|tear| (1..30).map(move |left| (tear, left)));
        for (tear, left) in cuts {
            let memory = fresh.copy();
            memory.left.set(left);
            memory.tear.set(tear);
            let _ = act(&mut open(&memory));
            if memory.asked.get() < left {
                continue;
            }
            memory.left.set(u64::MAX);
            let mut slots = open(&memory);
            slots.mend();
            if is(&slots) {
                counted += 1;
                for pair in pairs(&memory, 200) {
                    let slots = flipped(&memory, &pair);
                    assert!(is(&slots), "{what} {tear:?} {left} {pair:?}");
                }
            }
        }
        assert!(counted > 3, "{what}: {counted}");
    }
}

/// Groups of cells that are written and equal: copies of one another.
fn copies(before: &[u8], memory: &Memory) -> Vec<Vec<u32>> {
    let mut groups: Vec<Vec<u32>> = vec![];
    let cell = |at: u32| memory.mapped(at, 16);
    let slot = |at: u32| (0..SLOTS).rfind(|i| memory.place(*i).0 <= at);
    for at in (0..before.len() as u32).step_by(16) {
        if cell(at) == &before[at as usize..at as usize + 16] {
            continue;
        }
        let same = |group: &&mut Vec<u32>| slot(group[0]) == slot(at) && cell(group[0]) == cell(at);
        match groups.iter_mut().find(same) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups
}

#[test]
fn of_what_was_decided_one_copy_is_enough_for_the_next_start_to_make_all_again() {
    let confirmed: Kept = (
        "a confirmation",
        |s| s.confirm(s.current().unwrap(), Rotation::default(), &[]),
        |s| {
            let confirmed = |i: usize| s.slot(i).state == State::Confirmed;
            s.current().is_some_and(confirmed) && sequence(s) == 7
        },
    );
    let removed: Kept = (
        "a removal",
        |s| s.current().map_or(Ok(()), |i| s.remove(i)),
        |s| s.current().is_none(),
    );
    for (what, act, is) in KEPT.into_iter().chain([confirmed, removed]) {
        let memory = before();
        if what == confirmed.0 {
            let mut slots = open(&memory);
            let index = slots.prepare(&coming(7, 7)).unwrap();
            slots.write(index, 0, &[7; 256]).unwrap();
            slots.stage(index, 32).unwrap();
            slots.activate(index).unwrap();
        }
        let old = memory.mapped(0, memory.place(SLOTS - 1).0 + memory.place(SLOTS - 1).1);
        let old = old.to_vec();
        act(&mut open(&memory)).unwrap();
        let groups = copies(&old, &memory);
        assert!(groups.iter().any(|group| group.len() == COPIES), "{what}");
        // Of each group only the last is left.
        let left: Vec<u32> = groups
            .iter()
            .filter_map(|group| group.last().copied())
            .collect();
        for group in groups.iter().filter(|group| group.len() == COPIES) {
            for at in &group[..COPIES - 1] {
                memory.flip(at + 9, 3);
            }
        }
        let mut slots = open(&memory);
        assert!(is(&slots), "{what}: one copy is not enough");
        slots.mend();
        assert!(is(&slots), "{what}");
        // Then that goes too.
        for (group, at) in groups.iter().zip(left) {
            if group.len() == COPIES {
                memory.flip(at + 9, 3);
            }
        }
        assert!(is(&open(&memory)), "{what}: nothing was made again");
        assert_eq!(memory.violations.get(), 0);
    }
}

#[test]
fn a_bit_of_the_erased_journal_that_flipped_stops_nothing() {
    let fresh = before();
    for (what, act, is) in KEPT {
        for slot in 0..SLOTS {
            let (base, _) = fresh.place(slot);
            let used = fresh.mapped(base, PACKAGE);
            let end = used
                .iter()
                .rposition(|b| *b != 0xff)
                .map_or(0, |at| at as u32 + 1);
            for at in (end.next_multiple_of(16)..PACKAGE).step_by(7).take(60) {
                let memory = fresh.copy();
                memory.flip(base + at, (at % 8) as u8);
                act(&mut open(&memory)).unwrap();
                assert!(is(&open(&memory)), "{what}: slot {slot}, byte {at}");
            }
        }
    }
}

/// Where these bytes lie in flash.
fn places(memory: &Memory, needle: &[u8]) -> Vec<u32> {
    let all = memory.mapped(0, memory.place(SLOTS - 1).0 + memory.place(SLOTS - 1).1);
    let found = all.windows(needle.len()).enumerate();
    found
        .filter(|(_, bytes)| *bytes == needle)
        .map(|(at, _)| at as u32)
        .collect()
}

/// Copies that no two bits can take from a node.
const COPIES: usize = 3;

#[test]
fn a_record_has_all_its_copies_whatever_is_erased_and_whatever_was_damaged() {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    // Two of the same version, which must not be taken for one another.
    let marked = |mark: &[u8; 8]| {
        let mut bytes = [0x5a; RECORD];
        bytes[4..12].copy_from_slice(mark);
        bytes
    };
    let records = [(0u8, marked(b"record A")), (8, marked(b"record B"))];
    for (number, bytes) in &records {
        slots.keep(*number, bytes).unwrap();
    }
    let whole = |memory: &Memory, what: &str| {
        for (number, bytes) in &records {
            assert_eq!(kept(&open(memory), *number).unwrap(), bytes, "{what}");
            let copies = places(memory, &bytes[4..12]).len();
            assert!(copies >= COPIES, "{what}: {number} has {copies}");
        }
    };
    for round in 0..24u32 {
        slots.tick(u64::from(round) * 24 * HOUR);
        match round % 4 {
            3 => slots.withdraw(Reason::Hand).unwrap(),
            _ => assert!(install(&mut slots, round + 1, round as u8) < SLOTS),
        }
        whole(&memory, &format!("round {round}"));
    }
    // All copies but one are damaged: the next start makes them anew.
    for round in 0..3 {
        for (_, bytes) in &records {
            let all = places(&memory, &bytes[4..12]);
            for at in all.iter().skip(1) {
                memory.flip(*at, round);
            }
        }
        let mut slots = open(&memory);
        slots.mend();
        whole(&memory, &format!("damaged {round} times"));
    }
    assert_eq!(memory.violations.get(), 0);
}

#[test]
fn a_parameter_of_which_copies_were_damaged_has_all_again_after_the_next_start() {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    install(&mut slots, 5, 5);
    let values = [1234.5f32, -0.125];
    for (number, value) in (3u16..).zip(values) {
        slots.set_parameter(number, value).unwrap();
    }
    for round in 0..3 {
        for value in values {
            let all = places(&memory, &value.to_le_bytes());
            assert_eq!(all.len(), COPIES, "{value}");
            for at in all.iter().skip(1) {
                memory.flip(*at, round);
            }
            assert!(places(&memory, &value.to_le_bytes()).len() < COPIES);
        }
        let mut slots = open(&memory);
        slots.mend();
        for (number, value) in (3u16..).zip(values) {
            assert_eq!(places(&memory, &value.to_le_bytes()).len(), COPIES);
            assert_eq!(slots.parameter(number), Some(value));
        }
    }
}

#[test]
fn a_package_whose_table_is_made_again_keeps_its_state_and_knows_the_tables_size() {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    let index = install(&mut slots, 5, 5);
    slots.save(7, b"what it kept").unwrap();
    let before = slots.slot(index);
    let other = slots.remake(index).unwrap();
    assert_ne!(other, index);
    // Another firmware makes a table of another size.
    slots.remade(index, other, before.table + 8).unwrap();
    let slots = open(&memory);
    let after = slots.slot(slots.current().unwrap());
    assert_eq!((after.sequence, after.state), (5, State::Confirmed));
    assert_eq!(after.table, before.table + 8);
    assert_eq!(saved(&slots), Some((7, b"what it kept".to_vec())));
    // Where nothing has changed, nothing is written.
    let (mut slots, asked) = (slots, memory.asked.get());
    slots.remade(other, other, before.table + 8).unwrap();
    assert_eq!(memory.asked.get(), asked);
}

/// What may happen to slots, in any order.
fn act(slots: &mut Slots<Memory>, what: u32, sequence: u32) -> Result<(), SlotError> {
    match what {
        0..=2 => {
            let index = slots.prepare(&coming(sequence, sequence as u8))?;
            slots.write(index, 0, &[sequence as u8; 256])?;
            slots.stage(index, 32)?;
            slots.activate(index)?;
            slots.confirm(index, Rotation::default(), &[])
        }
        // Received in part, and left.
        3 => slots.prepare(&coming(sequence, sequence as u8)).map(drop),
        4 => slots.withdraw(Reason::Hand),
        5 => match slots.current() {
            Some(index) => slots.remove(index),
            None => Ok(()),
        },
        6 => slots.keep(2, &[sequence as u8; RECORD]),
        7 => slots.save(sequence, &[sequence as u8; 90]),
        _ => slots.set_parameter(1, sequence as f32),
    }
}

#[test]
fn in_any_order_of_events_a_power_cut_leaves_what_was_or_what_is_and_nothing_that_was_removed() {
    let mut cuts = 0;
    for seed in 1..=24u32 {
        let mut x = seed;
        let mut random = move || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            x >> 16
        };
        let memory = Memory::with(&EVEN);
        let mut gone = vec![];
        for step in 1..=20u32 {
            let what = random() % 9;
            let mut slots = open(&memory);
            let before = sequence(&slots);
            let done = memory.copy();
            done.asked.set(0);
            let mut after = open(&done);
            after.tick(u64::from(step) * 24 * HOUR);
            let result = act(&mut after, what, step);
            let after = sequence(&after);
            let removed = what == 5 && result.is_ok();
            let all = done.asked.get();
            for left in (0..all).step_by(1 + all as usize / 12) {
                let torn = memory.copy();
                torn.left.set(left + 1);
                torn.tear
                    .set(TEARS[(left + u64::from(step)) as usize % TEARS.len()]);
                slots = open(&torn);
                slots.tick(u64::from(step) * 24 * HOUR);
                let _ = act(&mut slots, what, step);
                torn.left.set(u64::MAX);
                let mut slots = open(&torn);
                slots.mend();
                let now = sequence(&slots);
                let on_the_way = slots.slot(slots.current().unwrap_or(0)).state == State::Trial;
                let told = format!("seed {seed}, step {step}: {what} cut at {left} of {all}");
                assert!(
                    now == before || now == after || on_the_way,
                    "{told}: {now} is neither {before} nor {after}"
                );
                assert!(!gone.contains(&now) || now == 0, "{told}: {now} is back");
                cuts += 1;
            }
            if removed && before != 0 {
                gone.push(before);
            }
            if what == 4 && result.is_ok() {
                gone.push(before);
            }
            // What really happens.
            let mut slots = open(&memory);
            slots.tick(u64::from(step) * 24 * HOUR);
            let _ = act(&mut slots, what, step);
            slots = open(&memory);
            slots.mend();
            assert_eq!(sequence(&slots), after);
            assert!(!gone.contains(&after) || after == 0);
        }
    }
    assert!(cuts > 3_000, "{cuts}");
}

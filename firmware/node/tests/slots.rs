//! Slots without a node around them: bits that flip in pairs, an older layout, the records of others, and the budget.
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
    ERASES, PACKAGE, RECORD, RECORDS, Reason, Rotation, SLOTS, STATE, SlotError, Slots, State,
    checksum,
};

const HOUR: u64 = 3_600_000;

#[test]
fn no_two_bits_in_a_journal_change_which_package_runs() {
    type Case = (&'static str, fn(&mut Slots<Memory>), u32);
    let cases: &[Case] = &[
        ("two confirmed", |_| {}, 6),
        (
            "withdrawn by hand",
            |s| s.withdraw(Reason::Hand).unwrap(),
            5,
        ),
        (
            "withdrawn after a trap, and something is kept since",
            |s| {
                s.withdraw(Reason::Trap).unwrap();
                s.keep(3, b"0123456789").unwrap();
            },
            5,
        ),
        (
            "removed",
            |s| {
                let current = s.current().unwrap();
                s.remove(current).unwrap();
            },
            0,
        ),
        (
            "removed, and another is received since",
            |s| {
                let current = s.current().unwrap();
                s.remove(current).unwrap();
                s.prepare(&coming(7, 7)).unwrap();
            },
            0,
        ),
        (
            "the same once more",
            |s| assert!(install(s, 7, 6) < SLOTS),
            7,
        ),
        (
            "moved",
            |s| {
                let current = s.current().unwrap();
                s.remake(current).unwrap();
            },
            6,
        ),
    ];
    for (what, act, expected) in cases {
        let memory = Memory::with(&EVEN);
        let mut slots = open(&memory);
        install(&mut slots, 5, 5);
        install(&mut slots, 6, 6);
        act(&mut slots);
        let whole = open(&memory);
        assert_eq!(sequence(&whole), *expected, "{what}");
        let highest = whole.memory().highest;
        for pair in pairs(&memory, 1_500) {
            let slots = flipped(&memory, &pair);
            assert_eq!(sequence(&slots), *expected, "{what}: {pair:?}");
            assert_eq!(slots.memory().highest, highest, "{what}: {pair:?}");
            assert_eq!(
                slots.previous().map(|i| slots.slot(i).sequence),
                whole.previous().map(|i| whole.slot(i).sequence),
                "{what}: {pair:?}"
            );
        }
    }
}

#[test]
fn no_two_bits_bring_a_dropped_key_back_or_lose_an_added_one() {
    let (old, new) = ([1; 32], [2; 32]);
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    install(&mut slots, 5, 5);
    let index = slots.prepare(&coming(6, 6)).unwrap();
    slots.stage(index, 0).unwrap();
    slots.activate(index).unwrap();
    let rotation = Rotation {
        add: Some(new),
        drop: Some(wasmote_node::package::key_id(&old)),
    };
    slots.confirm(index, rotation, &[old]).unwrap();
    for pair in pairs(&memory, 3_000) {
        let slots = flipped(&memory, &pair);
        let trusted: Vec<_> = slots.memory().trusted(&[old]).map(|(k, _)| *k).collect();
        assert_eq!(trusted, [new], "{pair:?}");
    }
}

#[test]
fn a_withdrawal_that_power_cut_short_is_completed_and_then_survives_two_bits() {
    for tear in TEARS {
        for left in 1..4 {
            let memory = Memory::with(&EVEN);
            let mut slots = open(&memory);
            install(&mut slots, 5, 5);
            install(&mut slots, 6, 6);
            memory.tear.set(tear);
            memory.left.set(left);
            let _ = slots.withdraw(Reason::Hand);
            memory.left.set(u64::MAX);
            let mut slots = open(&memory);
            let now = sequence(&slots);
            assert!(now == 5 || left == 1 && now == 6, "{tear:?} {left}: {now}");
            slots.mend();
            for pair in pairs(&memory, 300) {
                assert_eq!(sequence(&flipped(&memory, &pair)), now, "{tear:?} {pair:?}");
            }
        }
    }
}

#[test]
fn the_same_module_once_more_leaves_the_way_back() {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    install(&mut slots, 5, 5);
    for again in 6..12 {
        install(&mut slots, again, 6);
        let back = slots.previous().unwrap();
        assert_eq!(slots.slot(back).sequence, 5);
    }
    // Going back is to the other module, not to a copy of the same.
    slots.withdraw(Reason::Hand).unwrap();
    assert_eq!(sequence(&slots), 5);
    assert_eq!(sequence(&open(&memory)), 5);
}

/// Writes a slot as the first layout had it.
fn first_layout(
    memory: &mut Memory,
    index: usize,
    epoch: u32,
    cells: &[(u8, u16, u32, u32, &[u8])],
) {
    use embedded_storage::nor_flash::NorFlash;
    let (base, _) = memory.place(index);
    let mut bytes = vec![];
    let mut part = |head: &[u8], content: &[u8]| {
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(&checksum(&[head, content]).to_le_bytes());
        bytes.extend_from_slice(content);
    };
    let mut header = b"WMS1".to_vec();
    header.extend_from_slice(&epoch.to_le_bytes());
    header.extend_from_slice(&7u32.to_le_bytes());
    part(&header, &[]);
    for (kind, small, x, y, content) in cells {
        let mut head = vec![*kind, (content.len() / 16) as u8];
        head.extend_from_slice(&small.to_le_bytes());
        head.extend_from_slice(&x.to_le_bytes());
        head.extend_from_slice(&y.to_le_bytes());
        part(&head, content);
    }
    memory.write(base, &bytes).unwrap();
}

#[test]
fn slots_of_the_first_layout_are_read_written_on_and_replaced_with_their_keys() {
    let (provisioned, added) = ([1; 32], [9; 32]);
    let mut memory = Memory::with(&EVEN);
    let dropped = wasmote_node::package::key_id(&provisioned);
    let mut content = added.to_vec();
    content.extend_from_slice(&dropped);
    content.resize(48, 0xff);
    first_layout(
        &mut memory,
        0,
        3,
        &[
            (1, 64, 256, 5, &[]),
            (2, 0, 32, 0x1234, &[]),
            (3, 0, 0, 5, &[]),
            (4, 0, 1, 5, &[]),
        ],
    );
    first_layout(
        &mut memory,
        1,
        4,
        &[
            (1, 64, 256, 6, &[]),
            (2, 0, 32, 0x1234, &[]),
            (3, 0, 0, 6, &[]),
            // Confirmed, with a key that was added and one that was dropped.
            (4, 1 | 1 << 8, 2, 6, &content),
            (7, 0, 2.5f32.to_bits(), 0, &[]),
        ],
    );
    let trusted = |slots: &Slots<Memory>| {
        let keys = [provisioned];
        let all = slots.memory().trusted(&keys);
        all.map(|(key, _)| *key).collect::<Vec<_>>()
    };
    let mut slots = open(&memory);
    assert_eq!(sequence(&slots), 6);
    assert_eq!(slots.previous(), Some(0));
    assert_eq!(slots.slot(1).erased, 7);
    assert_eq!(slots.parameter(0), Some(2.5));
    assert_eq!((slots.memory().highest, trusted(&slots)), (6, vec![added]));
    // It is written on, in its own layout.
    slots.mend();
    slots.set_parameter(1, 4.0).unwrap();
    let mut slots = open(&memory);
    assert_eq!(slots.parameter(1), Some(4.0));
    assert_eq!(trusted(&slots), [added]);
    // What else is kept goes where the new layout is.
    slots.keep(0, b"secret").unwrap();
    for next in 7..10 {
        install(&mut slots, next, next as u8);
        let again = open(&memory);
        assert_eq!((sequence(&again), trusted(&again)), (next, vec![added]));
        assert_eq!(again.kept(0, &mut [0; 8]), Some(6));
    }
    assert_eq!(memory.violations.get(), 0);
}

#[test]
fn slots_of_a_later_layout_are_left_alone_and_told() {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    install(&mut slots, 5, 5);
    // The header of a third layout, as far as any layout must agree: its first word, and a checksum.
    let (base, _) = memory.place(1);
    let mut header = b"WMS3\x09\x00\x00\x00\x01\x00\x00\x00".to_vec();
    header.extend_from_slice(&checksum(&[&header]).to_le_bytes());
    embedded_storage::nor_flash::NorFlash::write(&mut memory.clone(), base, &header).unwrap();
    let asked = memory.asked.get();
    let mut slots = open(&memory);
    assert_eq!(slots.unknown(), Some(b'3'));
    assert_eq!(sequence(&slots), 5);
    assert_eq!(slots.prepare(&coming(6, 6)), Err(SlotError::Layout));
    assert_eq!(slots.set_parameter(0, 1.0), Err(SlotError::Layout));
    assert_eq!(slots.keep(0, b"x"), Err(SlotError::Layout));
    assert_eq!(memory.asked.get(), asked);
}

#[test]
fn no_bit_hides_that_a_later_firmware_wrote_a_slot() {
    let mut header = b"WMS3\x09\x00\x00\x00\x01\x00\x00\x00".to_vec();
    header.extend_from_slice(&checksum(&[&header]).to_le_bytes());
    let memory = Memory::with(&EVEN);
    let (base, _) = memory.place(1);
    embedded_storage::nor_flash::NorFlash::write(&mut memory.clone(), base, &header.repeat(3))
        .unwrap();
    for first in 0..16 * 8 {
        for second in [first, 16 * 8 + first, 32 * 8 + 127 - first] {
            let pair = [first, second].map(|bit| (base + bit / 8, (bit % 8) as u8));
            let pair = &pair[..if first == second { 1 } else { 2 }];
            assert_eq!(flipped(&memory, pair).unknown(), Some(b'3'), "{pair:?}");
        }
    }
}

#[test]
fn numbers_in_flash_that_are_at_their_end_stop_no_node() {
    let memory = Memory::with(&EVEN);
    for slot in 0..2 {
        let (base, _) = memory.place(slot);
        let mut header = b"WMS2\xff\xff\xff\xff\xff\xff\xff\xff".to_vec();
        header.extend_from_slice(&checksum(&[&header]).to_le_bytes());
        // The newest record there can be, and keys as new.
        let mut journal = header.repeat(3);
        for cell in [
            b"\x0b\0\x08\x04\xff\xff\xff\xffABCD",
            b"\x08\0\0\0\xff\xff\xff\xff\x05\0\0\0",
        ] {
            journal.extend_from_slice(cell);
            journal.extend_from_slice(&checksum(&[cell]).to_le_bytes());
        }
        embedded_storage::nor_flash::NorFlash::write(&mut memory.clone(), base, &journal).unwrap();
    }
    for _ in 0..3 {
        let mut slots = open(&memory);
        slots.mend();
        assert_eq!(
            (slots.memory().highest >= 5, kept(&slots, 8).unwrap()),
            (true, b"ABCD".to_vec())
        );
        let _ = slots.keep(8, b"EFGH");
        if let Ok(index) = slots.prepare(&coming(6, 6)) {
            slots.stage(index, 32).unwrap();
            let _ = slots.activate(index);
            let _ = slots.confirm(index, Rotation::default(), &[]);
            let _ = slots.set_parameter(1, 1.0);
        }
    }
    assert_eq!(memory.violations.get(), 0);
}

// ---- records ------------------------------------------------------------------------------------------------------------

#[test]
fn records_outlive_every_package_and_each_other() {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    // Before there is any package.
    slots.keep(0, &[7; 48]).unwrap();
    let mut count = 0u32;
    for round in 0..40u32 {
        for _ in 0..25 {
            count += 1;
            slots.keep(8, &count.to_le_bytes()).unwrap();
        }
        slots = open(&memory);
        slots.mend();
        match round % 8 {
            1 | 5 => assert!(install(&mut slots, round + 1, round as u8) < SLOTS),
            3 => slots.withdraw(Reason::Hand).unwrap(),
            7 => {
                let current = slots.current().unwrap();
                slots.remove(current).unwrap();
            }
            _ => {}
        }
        assert_eq!(kept(&slots, 0).unwrap(), [7; 48], "{round}");
        assert_eq!(kept(&slots, 8).unwrap(), count.to_le_bytes(), "{round}");
    }
    slots.keep(0, &[]).unwrap();
    for next in 100..104 {
        install(&mut slots, next, next as u8);
        assert_eq!(kept(&open(&memory), 0), None);
        assert_eq!(kept(&open(&memory), 8).unwrap(), count.to_le_bytes());
    }
    assert_eq!(memory.violations.get(), 0);
    let erased: u32 = (0..SLOTS).map(|i| slots.slot(i).erased).sum();
    assert!(
        erased < 1_000 / 20 + 30,
        "{erased} erasures for 1,000 records"
    );
}

#[test]
fn records_are_bounded_and_unchanged_ones_write_nothing() {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    assert_eq!(slots.keep(RECORDS, b"x"), Err(SlotError::TooLarge));
    assert_eq!(slots.keep(0, &[0; RECORD + 1]), Err(SlotError::TooLarge));
    assert_eq!(slots.kept(0, &mut [0; 8]), None);
    slots.keep(0, &[]).unwrap();
    assert_eq!(memory.asked.get(), 0);
    for number in 0..4 {
        slots.keep(number, &[number; RECORD]).unwrap();
    }
    slots.keep(4, &[4; 49]).unwrap();
    assert_eq!(slots.keep(5, b"x"), Err(SlotError::Full));
    let asked = memory.asked.get();
    for number in 0..4 {
        slots.keep(number, &[number; RECORD]).unwrap();
        assert_eq!(slots.kept(number, &mut [0; 8]), None, "does not fit");
    }
    assert_eq!(memory.asked.get(), asked);
    // With all that fits, packages come and go.
    for next in 1..8 {
        install(&mut slots, next, next as u8);
        for number in 0..16 {
            slots.set_parameter(number, next as f32).unwrap();
        }
        for number in 0..4 {
            assert_eq!(kept(&open(&memory), number).unwrap(), [number; RECORD]);
        }
        assert_eq!(kept(&open(&memory), 4).unwrap(), [4; 49]);
    }
}

#[test]
fn a_record_is_the_old_one_or_the_new_one_wherever_power_is_cut() {
    // So full that the record after the next needs a fresh journal.
    let full = |last: u32| {
        let memory = Memory::with(&EVEN);
        let mut slots = open(&memory);
        slots.keep(0, &[1; 40]).unwrap();
        install(&mut slots, 5, 5);
        install(&mut slots, 6, 6);
        let erased = |s: &Slots<Memory>| (0..SLOTS).map(|i| s.slot(i).erased).sum::<u32>();
        let before = erased(&slots);
        for count in 1..=last {
            slots.keep(8, &count.to_le_bytes()).unwrap();
            if erased(&slots) > before {
                return (memory, count - 1);
            }
        }
        (memory, last)
    };
    let (_, most) = full(1_000);
    let (base, most) = full(most - 1);
    let mut cuts = 0;
    for tear in TEARS {
        for left in 1.. {
            let memory = base.copy();
            let mut slots = open(&memory);
            memory.tear.set(tear);
            memory.left.set(left);
            let mut last = most;
            while last < most + 3 && slots.keep(8, &(last + 1).to_le_bytes()).is_ok() {
                last += 1;
            }
            let done = memory.asked.get() < left;
            memory.left.set(u64::MAX);
            let mut slots = open(&memory);
            let now = kept(&slots, 8).map_or(0, |b| u32::from_le_bytes(b.try_into().unwrap()));
            assert!(
                now == last || now == last + 1,
                "{tear:?} {left}: {now} {last}"
            );
            assert_eq!(kept(&slots, 0).unwrap(), [1; 40], "{tear:?} {left}");
            assert_eq!(sequence(&slots), 6, "{tear:?} {left}");
            slots.keep(8, &1_000u32.to_le_bytes()).unwrap();
            install(&mut slots, 7, 7);
            assert_eq!(kept(&open(&memory), 8).unwrap(), 1_000u32.to_le_bytes());
            assert_eq!(memory.violations.get(), 0);
            cuts += 1;
            if done {
                break;
            }
        }
    }
    assert!(cuts > 100, "{cuts}");
}

#[test]
fn no_two_bits_change_a_record() {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    slots.keep(0, b"an older secret of some length").unwrap();
    install(&mut slots, 5, 5);
    slots
        .keep(0, b"the secret that is used at present")
        .unwrap();
    slots.keep(8, &7u32.to_le_bytes()).unwrap();
    slots.keep(8, &8u32.to_le_bytes()).unwrap();
    install(&mut slots, 6, 6);
    for pair in pairs(&memory, 3_000) {
        let slots = flipped(&memory, &pair);
        assert_eq!(
            kept(&slots, 0).unwrap(),
            b"the secret that is used at present",
            "{pair:?}"
        );
        assert_eq!(kept(&slots, 8).unwrap(), 8u32.to_le_bytes(), "{pair:?}");
    }
}

#[test]
fn no_two_bits_bring_an_older_value_of_a_parameter_back() {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    install(&mut slots, 5, 5);
    let value = |round: u16, number: u16| f32::from(round) + f32::from(number) / 16.0;
    // As they were set, and after the journal was full and the package moved with all of them.
    for (round, count) in [(1, 3), (2, 3), (3, 16), (4, 16), (5, 16)] {
        for number in 0..count {
            slots.set_parameter(number, value(round, number)).unwrap();
        }
        for pair in pairs(&memory, 300) {
            let slots = flipped(&memory, &pair);
            for number in 0..count {
                let kept = slots.parameter(number);
                assert_eq!(
                    kept,
                    Some(value(round, number)),
                    "{round} {number} {pair:?}"
                );
            }
        }
    }
    let moved: u32 = (0..SLOTS).map(|i| slots.slot(i).erased).sum();
    assert!(moved > 2, "it was never moved: this tests less");
    assert_eq!(slots.parameter(16), None);
    assert_eq!(slots.set_parameter(16, 1.0), Err(SlotError::TooLarge));
    assert_eq!(memory.violations.get(), 0);
}

#[test]
fn a_full_slot_is_not_moved_over_the_package_that_goes_on_trial_next() {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    for sequence in [5, 6] {
        install(&mut slots, sequence, sequence as u8);
    }
    // Until the next change would move the package.
    let room = |slots: &mut Slots<Memory>, tag: u32| slots.save(tag, &[tag as u8; 512]);
    let old = slots.current();
    let mut tag = 0;
    while slots.current() == old {
        tag += 1;
        let before = memory.copy();
        room(&mut slots, tag).unwrap();
        if slots.current() != old {
            // As it was before that.
            slots = open(&before);
            break;
        }
    }
    let staged = slots.prepare(&coming(7, 7)).unwrap();
    slots.write(staged, 0, &[7; 200]).unwrap();
    slots.stage(staged, 0).unwrap();
    assert_eq!(room(&mut slots, tag), Err(SlotError::Full));
    for value in 0..200 {
        let _ = slots.set_parameter(0, value as f32);
    }
    slots.activate(staged).unwrap();
    assert_eq!((slots.current(), sequence(&slots)), (Some(staged), 7));
    assert_eq!(slots.package(staged)[..200], [7; 200]);
}

#[test]
fn content_cannot_pose_as_a_cell_when_its_own_is_torn() {
    // The bytes of a removal with its checksum, as a module might save them.
    let mut forged = vec![6, 0, 0, 0];
    forged.resize(12, 0);
    let crc = checksum(&[&forged]);
    forged.extend_from_slice(&crc.to_le_bytes());
    for shift in 0..16 {
        let memory = Memory::with(&EVEN);
        let mut slots = open(&memory);
        install(&mut slots, 5, 5);
        let mut bytes = vec![0xee; shift];
        bytes.extend_from_slice(&forged);
        bytes.extend_from_slice(&forged);
        slots.keep(0, &bytes).unwrap();
        let (base, _) = memory.place(slots.current().unwrap());
        for at in base..base + PACKAGE {
            memory.flip(at, 3);
            assert_eq!(sequence(&open(&memory)), 5, "{shift} {at}");
            memory.flip(at, 3);
        }
    }
}

// ---- states of a module -------------------------------------------------------------------------------------------------

#[test]
fn a_state_is_given_back_after_a_reset_and_moves_with_its_package() {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    assert_eq!(slots.save(1, b"x"), Err(SlotError::Nothing));
    install(&mut slots, 5, 5);
    install(&mut slots, 6, 6);
    assert_eq!(saved(&slots), None);
    for round in 0..200u8 {
        slots.tick(u64::from(round) * HOUR);
        let bytes = vec![round; usize::from(round) * 4];
        slots.save(u32::from(round), &bytes).unwrap();
        let asked = memory.asked.get();
        slots.save(u32::from(round), &bytes).unwrap();
        assert_eq!(memory.asked.get(), asked, "unchanged");
        assert_eq!(saved(&open(&memory)).unwrap(), (u32::from(round), bytes));
        assert_eq!(sequence(&slots), 6);
    }
    assert_eq!(slots.save(0, &[0; STATE + 1]), Err(SlotError::TooLarge));
    // Another package begins without it, and the one before has none of it either.
    install(&mut slots, 7, 7);
    assert_eq!(saved(&slots), None);
    slots.withdraw(Reason::Hand).unwrap();
    assert_eq!(saved(&slots).unwrap().0, 199);
    assert_eq!(memory.violations.get(), 0);
}

#[test]
fn a_state_is_the_old_one_or_the_new_one_wherever_power_is_cut() {
    for tear in TEARS {
        for left in 1..40 {
            let memory = Memory::with(&EVEN);
            let mut slots = open(&memory);
            install(&mut slots, 5, 5);
            slots.save(0, &[1; 100]).unwrap();
            memory.tear.set(tear);
            memory.left.set(left);
            let mut last = 0;
            for round in 1..5 {
                let done = slots.save(round, &[round as u8; 1000]);
                if done.is_err() {
                    break;
                }
                last = round;
            }
            memory.left.set(u64::MAX);
            let mut slots = open(&memory);
            let (tag, bytes) = saved(&slots).unwrap();
            assert!(tag == last || tag == last + 1, "{tear:?} {left}");
            assert!(
                bytes.iter().all(|b| u32::from(*b) == tag.max(1)),
                "{tear:?} {left}"
            );
            slots.save(9, b"on it goes").unwrap();
            assert_eq!(saved(&open(&memory)).unwrap(), (9, b"on it goes".to_vec()));
            assert_eq!(memory.violations.get(), 0);
        }
    }
}

// ---- wear ---------------------------------------------------------------------------------------------------------------

#[test]
fn erasures_that_nobody_with_a_key_asked_for_have_a_daily_budget() {
    let memory = Memory::with(&EVEN);
    let mut slots = open(&memory);
    let erased = |s: &Slots<Memory>| (0..SLOTS).map(|i| s.slot(i).erased).sum::<u32>();
    for sequence in 3..=5 {
        install(&mut slots, sequence, sequence as u8);
    }
    let began = erased(&slots);
    let mut refused = 0;
    for _ in 0..100 {
        // Somebody repeats two packages that he heard.
        for sequence in [8, 7] {
            match slots.prepare(&coming(sequence, 7)) {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error, SlotError::Worn);
                    refused += 1;
                }
            }
        }
    }
    // The first time the newer one was its maker's doing; and one in four evens the wear out.
    let count = erased(&slots) - began - 1;
    assert!(
        (u32::from(ERASES)..=u32::from(ERASES) * 5 / 4).contains(&count),
        "{count}"
    );
    assert_eq!(slots.budget(), (0, refused));
    // Parameters do not get more of it.
    for value in 0..1_000 {
        if slots.set_parameter(0, value as f32).is_err() {
            break;
        }
        assert!(value < 200);
    }
    // Whoever has the key goes on: every newer package is his.
    for sequence in 9..40 {
        install(&mut slots, sequence, sequence as u8);
    }
    // It comes back with time, and is never more than a day's.
    slots.tick(2 * HOUR);
    assert_eq!(slots.budget().0, 1);
    slots.tick(1_000 * HOUR);
    assert_eq!(slots.budget().0, ERASES);
    slots.prepare(&coming(7, 7)).unwrap();
    assert_eq!(slots.budget().0, ERASES - 1);
    slots.tick(1_001 * HOUR);
    assert_eq!(slots.budget().0, ERASES - 1);
    slots.tick(1_002 * HOUR);
    assert_eq!(slots.budget().0, ERASES);
    let state = slots.slot(slots.receiving().unwrap()).state;
    assert_eq!(state, State::Receiving);
}

//! The option, the window and the sequence against simple models.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::collections::BTreeSet;
use wasmote_oscore::option::LONGEST;
use wasmote_oscore::sequence::{AHEAD, END};
use wasmote_oscore::window::SIZE;
use wasmote_oscore::{Compressed, Sequence, Window};

#[test]
fn malformed_options_are_refused() {
    let bad: [&[u8]; 12] = [
        &[0x00],       // should have been empty
        &[0x20, 0x14], // reserved bits
        &[0x40],
        &[0x80],
        &[0x0e, 1, 2, 3, 4, 5, 6], // a Partial IV of six bytes
        &[0x0f, 1, 2, 3, 4, 5, 6, 7],
        &[0x0a, 0x00, 0x14],    // a leading zero
        &[0x0c, 0x12, 0x34],    // shorter than it says
        &[0x19, 0x14],          // no length of the kid context
        &[0x19, 0x14, 5, 1, 2], // a kid context that ends early
        &[0x01],                // no Partial IV
        &[0x01, 0x14, 0x00],    // something behind, though there is no kid
    ];
    for value in bad {
        assert_eq!(Compressed::parse(value), None, "{value:02x?}");
    }
    assert_eq!(Compressed::parse(&[]), Some(Compressed::default()));
}

#[test]
fn whatever_is_taken_comes_back_as_it_was() {
    // Every value of up to three bytes, and many longer ones.
    let mut state = 1u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    let mut taken = 0;
    let mut check = |value: &[u8]| {
        if let Some(option) = Compressed::parse(value) {
            taken += 1;
            assert_eq!(option.write(&mut [0; LONGEST]), Some(value), "{value:02x?}");
            assert!(option.number().is_none_or(|number| number < END));
        }
    };
    for value in 0..1u32 << 16 {
        check(&value.to_be_bytes()[2..]);
    }
    for _ in 0..100_000 {
        let length = random() % LONGEST + 1;
        let value: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        let mut small = value.clone();
        small[0] &= 0x1f;
        check(&small);
        check(&value);
    }
    assert!(taken > 10_000);
}

#[test]
fn the_window_takes_each_number_once_whatever_the_order() {
    let mut state = 7u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        state >> 33
    };
    for start in [0, 1, SIZE - 1, 1 << 31, (1 << 32) - 5, END - 200] {
        let mut window = if start == 0 {
            Window::new()
        } else {
            Window::after(start - 1)
        };
        let (mut seen, mut highest) = (BTreeSet::new(), start.checked_sub(1));
        for _ in 0..2_000 {
            let top = highest.map_or(start, |highest| highest + 1);
            let number = (top + random() % 40)
                .saturating_sub(random() % 60)
                .min(END - 1);
            let old = number < start || highest.is_some_and(|highest| number + SIZE <= highest);
            let new = !old && !seen.contains(&number);
            assert_eq!(window.is_new(number), new, "{number} after {highest:?}");
            assert_eq!(window.strike(number), new);
            assert!(!window.is_new(number));
            if new {
                seen.insert(number);
                highest = highest.max(Some(number));
            }
            assert_eq!(
                window.above(),
                highest.map_or(0, |highest| highest + 1).max(start)
            );
        }
    }
    // The largest step there is.
    let mut window = Window::new();
    assert!(
        window.strike(0) && window.strike(END - 1) && !window.strike(0) && !window.strike(END - 1)
    );
    assert!(window.strike(END - SIZE) && !window.is_new(END - SIZE - 1));
}

#[test]
fn no_number_is_used_twice_whenever_power_is_cut() {
    let mut random = 3u64;
    let (mut flash, mut used) = (0, BTreeSet::new());
    for _ in 0..300 {
        let mut sequence = Sequence::resume(flash);
        assert_eq!(
            sequence.take(),
            None,
            "nothing before a limit lies in flash"
        );
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        for step in 0..random >> 54 {
            if let Some(limit) = sequence.wanted() {
                // The cut may come before or after the write, and the numbers that are left may be used meanwhile.
                if random >> (step % 50) & 7 == 0 {
                    break;
                }
                flash = limit;
                if random >> (step % 40) & 3 == 0 {
                    break;
                }
                sequence.reserved(limit);
            }
            if let Some(number) = sequence.take() {
                assert!(used.insert(number), "{number} twice");
            }
        }
    }
    assert!(used.len() > 1_000);
}

#[test]
fn numbers_end_where_partial_ivs_do() {
    let mut sequence = Sequence::resume(END - 3);
    assert_eq!(sequence.wanted(), Some(END));
    sequence.reserved(END + 100);
    assert_eq!(
        [(); 3].map(|()| sequence.take()),
        [Some(END - 3), Some(END - 2), Some(END - 1)]
    );
    assert_eq!((sequence.take(), sequence.wanted()), (None, None));
    sequence.reserved(u64::MAX);
    assert_eq!(sequence.take(), None);
    assert_eq!(Sequence::resume(0).wanted(), Some(AHEAD));
}

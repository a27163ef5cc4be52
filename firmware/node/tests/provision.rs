//! The record that a node is given at flash time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
use minicbor::Encoder;
use minicbor::encode::write::Cursor;
use wasmote_node::Provision;
use wasmote_node::contract::provision as key;
use wasmote_node::slot::checksum;

struct Given<'g> {
    name: &'g str,
    vendor: &'g str,
    keys: usize,
}

/// A record with all there is in it.
fn record(given: &Given<'_>) -> Vec<u8> {
    let mut buffer = [0; 512];
    let mut e = Encoder::new(Cursor::new(&mut buffer[..]));
    e.map(7).unwrap();
    e.u8(key::NAME).unwrap().str(given.name).unwrap();
    e.u8(key::VENDOR).unwrap().str(given.vendor).unwrap();
    e.u8(key::KEYS).unwrap().array(given.keys as u64).unwrap();
    for number in 0..given.keys {
        e.bytes(&[number as u8; 32]).unwrap();
    }
    e.u8(key::DEVELOPMENT).unwrap().bool(true).unwrap();
    e.u8(key::HEIGHT).unwrap().u32(4_200).unwrap();
    let directory = e.u8(key::DIRECTORY).unwrap().array(3).unwrap();
    directory.bytes(&[192, 168, 1, 10]).unwrap();
    directory.u16(5683).unwrap().u32(600).unwrap();
    // What a later tool may write is passed over.
    e.u8(200).unwrap().str("later").unwrap();
    let length = e.writer().position();
    framed(&buffer[..length])
}

fn framed(map: &[u8]) -> Vec<u8> {
    let mut bytes = b"WMPR".to_vec();
    bytes.extend_from_slice(&(map.len() as u32).to_le_bytes());
    bytes.extend_from_slice(map);
    bytes.extend_from_slice(&checksum(&[map]).to_le_bytes());
    bytes
}

fn read(bytes: Vec<u8>) -> Option<Provision> {
    Provision::read(bytes.leak())
}

const GOOD: Given<'_> = Given {
    name: "wye",
    vendor: "ACME",
    keys: 4,
};

#[test]
fn all_that_a_record_says_is_read() {
    let given = read(record(&GOOD)).unwrap();
    assert_eq!((given.name, given.vendor), ("wye", "ACME"));
    let keys: Vec<_> = (0..4).map(|number| [number; 32]).collect();
    assert_eq!(given.keys.as_slice(), keys);
    assert!(given.development);
    assert_eq!(given.height, Some(4_200));
    let directory = given.directory.unwrap();
    assert_eq!(
        (directory.address, directory.port, directory.lifetime),
        ([192, 168, 1, 10], 5683, 600)
    );
    let nothing = read(framed(&[0xa0])).unwrap();
    let generation = nothing.generation;
    assert_eq!(
        nothing,
        Provision {
            generation,
            ..Provision::default()
        }
    );
    assert_ne!(generation, 0, "each record is told from the others");
}

#[test]
fn a_name_that_breaks_its_rule_is_none_and_the_keys_stay() {
    for name in [
        "",
        "a b",
        "a\"b",
        "-x",
        "x234567890123456789012345678901234",
    ] {
        let given = read(record(&Given { name, ..GOOD })).unwrap();
        assert_eq!((given.name, given.keys.len()), ("", 4), "{name}");
    }
}

#[test]
fn a_record_that_could_take_more_than_it_says_is_none() {
    // A vendor that cannot be compared would let everybody's packages in.
    for vendor in ["a\nb", "a\u{202e}b", "x23456789012345678901234567890123"] {
        assert_eq!(read(record(&Given { vendor, ..GOOD })), None, "{vendor}");
    }
    assert_eq!(read(record(&Given { keys: 5, ..GOOD })), None);
}

#[test]
fn a_record_that_is_cut_short_or_damaged_anywhere_is_none() {
    let good = record(&GOOD);
    for length in 0..good.len() {
        assert_eq!(read(good[..length].to_vec()), None, "{length}");
    }
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read(bytes), None, "{bit}");
    }
    for map in [
        &[][..],
        &[0x80],
        &[0xbf, 0xff],
        &[0xa1, 0x01],
        &[0xa1, 0x01, 0x05],
        &[0xa1, 0x03, 0x81, 0x41, 0x00],
    ] {
        assert_eq!(read(framed(map)), None, "{map:x?}");
    }
}

/// The part of flash where the record lies, with copies one behind the other, each from a whole word on.
fn place(copies: usize) -> Vec<u8> {
    let mut bytes = vec![];
    for _ in 0..copies {
        bytes.extend_from_slice(&record(&GOOD));
        bytes.resize(bytes.len().next_multiple_of(4), 0xff);
    }
    bytes.resize(1024, 0xff);
    bytes
}

fn find(bytes: &[u8]) -> Provision {
    Provision::find(bytes.to_vec().leak())
}

#[test]
fn no_two_bits_change_what_a_node_was_provisioned_with() {
    let good = find(&place(3));
    assert_eq!(good, read(record(&GOOD)).unwrap());
    let copy = record(&GOOD).len().next_multiple_of(4);
    let bytes = place(3);
    let flipped = |pair: &[usize]| {
        let mut bytes = bytes.clone();
        for bit in pair {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        find(&bytes)
    };
    // One in each of two copies: the same one, and another; and each of the part on its own.
    for bit in 0..copy * 8 {
        for (one, other) in [(0, 1), (1, 2), (0, 2)] {
            let at = |copy_of: usize, bit: usize| copy_of * copy * 8 + bit % (copy * 8);
            assert_eq!(flipped(&[at(one, bit), at(other, bit)]), good, "{bit}");
            assert_eq!(flipped(&[at(one, bit), at(other, bit * 7 + 5)]), good);
        }
    }
    for bit in 0..bytes.len() * 8 {
        assert_eq!(flipped(&[bit]), good, "{bit}");
    }
    // What an older tool wrote.
    assert_eq!(find(&place(1)), good);
}

#[test]
fn a_place_with_nothing_but_damaged_records_is_told_from_one_that_was_never_written() {
    let lost = Provision {
        damaged: true,
        ..Provision::default()
    };
    let copy = record(&GOOD).len();
    for bit in 0..copy * 8 {
        let mut bytes = place(1);
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(find(&bytes), lost, "{bit}");
    }
    for empty in [
        &[][..],
        &[0xff; 1024],
        &[0; 1024],
        &[0xff; 3],
        &[0x55; 1023],
    ] {
        assert_eq!(find(empty), Provision::default());
    }
}

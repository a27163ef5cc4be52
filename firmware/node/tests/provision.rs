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
use wasmote_node::package::Own;
use wasmote_node::slot::checksum;

struct Given<'g> {
    name: &'g str,
    vendor: &'g str,
    keys: usize,
}

/// A Claims Set of a kid and a key; whether that is on the curve is asked when it is used.
fn claims(kid: u8) -> Vec<u8> {
    let head = [
        0xa1, 8, 0xa1, 1, 0xa4, 1, 2, 2, 0x41, kid, 0x20, 1, 0x21, 0x58, 0x20,
    ];
    [&head[..], &[kid; 32]].concat()
}

/// A record with all there is in it.
fn record(given: &Given<'_>) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let mut e = Encoder::new(Cursor::new(&mut buffer[..]));
    e.map(9).unwrap();
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
    e.u8(key::IDENTITY).unwrap().array(2).unwrap();
    e.bytes(&[0x21; 32]).unwrap().bytes(&claims(0)).unwrap();
    e.u8(key::INITIATORS).unwrap().array(3).unwrap();
    for (ccs, rights, place) in [
        (claims(1), 15, 0),
        (claims(2), 0xf1, 8),
        (vec![0xa0], 15, 1),
    ] {
        e.array(3).unwrap().bytes(&ccs).unwrap();
        e.u8(rights).unwrap().u8(place).unwrap();
    }
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
    assert_eq!(given.identity, Own::new(&[0x21; 32], claims(0).leak()));
    assert!(given.identity.is_some());
    let known: Vec<_> = given
        .initiators
        .iter()
        .map(|one| (one.rights, one.place))
        .collect();
    // One whose credential is none is known to nobody, and the numbers of the others stay.
    assert_eq!(known, [(15, Some(0)), (1, None), (0, Some(1))]);
    assert_eq!(given.initiators[1].ccs, claims(2));
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
fn who_is_answered_is_read_by_itself_whatever_else_the_record_says() {
    for (open, hidden) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut map = vec![];
        let mut e = Encoder::new(&mut map);
        e.map(4).unwrap();
        e.u8(key::CONTEXTS).unwrap().bytes(&[7; 19]).unwrap();
        e.u8(key::OPEN).unwrap().bool(open).unwrap();
        e.u8(key::HIDDEN).unwrap().bool(hidden).unwrap();
        e.u8(key::HEIGHT).unwrap().u32(0).unwrap();
        let given = read(framed(&map)).unwrap();
        assert_eq!((given.open, given.hidden), (open, hidden));
        assert_eq!(given.contexts, [7; 19]);
        // A ranger that hangs in the water has no height.
        assert_eq!((given.height, given.development), (None, false));
    }
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
    bytes.resize(ROOM, 0xff);
    bytes
}

/// Bytes of the part of flash where it lies.
const ROOM: usize = 2048;

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
    // What an older tool wrote; and where it did, further behind.
    assert_eq!(find(&place(1)), good);
    let mut old = vec![0xff; 1024];
    old.extend_from_slice(&place(1)[..1024]);
    assert_eq!(find(&old), good);
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

#[test]
fn what_is_no_key_or_no_initiator_makes_no_record_of_it() {
    let of = |key: u8, value: &[u8]| read(framed(&[&[0xa1, key][..], value].concat()));
    for wrong in [
        &[0x80][..],
        &[0x82, 0x41, 0, 0x41, 0],
        &[0x81, 0x41, 0],
        &[0x82, 0x00, 0x41, 0],
        &[0x40],
    ] {
        assert_eq!(of(key::IDENTITY, wrong), None, "{wrong:x?}");
    }
    // A credential that is none is no key, and the rest stays.
    let secret = [&[0x82, 0x58, 32][..], &[1; 32], &[0x41, 0]].concat();
    assert_eq!(of(key::IDENTITY, &secret).unwrap().identity, None);
    let one = [0x83, 0x41, 0, 0x0f, 0x08];
    let many = |count: usize| [&[0x80 | count as u8][..], &one.repeat(count)].concat();
    assert_eq!(of(key::INITIATORS, &many(4)).unwrap().initiators.len(), 4);
    for wrong in [
        &many(5)[..],
        &[0x81, 0x82, 0x41, 0, 1],
        &[0x81, 0x83, 0x41, 0, 1, 0x20],
        &[0x81, 0x83, 0x41, 0, 0x19, 1, 0, 0],
        &[0x9f],
    ] {
        assert_eq!(of(key::INITIATORS, wrong), None, "{wrong:x?}");
    }
}

//! Envelopes at their edges: as long as they may be, a byte more, and payloads whose length takes one, two and three bytes in what is
//! signed (RFC 9052 §4.4).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use ed25519_dalek::SigningKey;
use minicbor::Encoder;
use rig::package::{key, signed};
use wasmote_node::contract::manifest;
use wasmote_node::package::{ENVELOPE, Envelope};

/// A manifest whose texts are so long.
fn payload(text: usize, keys: bool) -> Vec<u8> {
    let mut bytes = vec![];
    let mut e = Encoder::new(&mut bytes);
    e.map(if keys { 11 } else { 9 }).unwrap();
    e.u8(manifest::CONTRACT).unwrap().u8(1).unwrap();
    for number in [manifest::VENDOR, manifest::CLASS] {
        e.u8(number).unwrap().str(&"v".repeat(text)).unwrap();
    }
    e.u8(manifest::SEQUENCE).unwrap().u32(70_000).unwrap();
    e.u8(manifest::DIGEST).unwrap().bytes(&[3; 32]).unwrap();
    e.u8(manifest::SIZE).unwrap().u32(70_000).unwrap();
    for number in [manifest::NAME, manifest::VERSION] {
        e.u8(number).unwrap().str(&"n".repeat(text)).unwrap();
    }
    e.u8(manifest::NEEDS).unwrap().array(5).unwrap();
    for _ in 0..5 {
        e.u32(70_000).unwrap();
    }
    if keys {
        e.u8(manifest::ADD_KEY).unwrap().bytes(&[9; 32]).unwrap();
        e.u8(manifest::DROP_KEY).unwrap().bytes(&[8; 8]).unwrap();
    }
    bytes
}

#[test]
fn signatures_hold_for_payloads_of_every_length() {
    let (key, other) = (key(), SigningKey::from_bytes(&[8; 32]));
    let mut lengths = vec![];
    for (text, keys) in [(0, false), (8, false), (24, false), (32, false), (32, true)] {
        let payload = payload(text, keys);
        lengths.push(payload.len());
        let bytes = signed(&payload, &key);
        let envelope = Envelope::parse(&bytes).unwrap().unwrap();
        assert_eq!(envelope.length, bytes.len());
        assert_eq!(envelope.manifest.name.len(), text);
        assert!(envelope.verify(key.verifying_key().as_bytes()), "{text}");
        assert!(!envelope.verify(other.verifying_key().as_bytes()));
        assert!(!envelope.verify(&[0xff; 32]));
        // Any bit of it.
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1 << (at % 8);
            let taken = Envelope::parse(&wrong).ok().flatten();
            let taken = taken.is_some_and(|e| e.verify(key.verifying_key().as_bytes()));
            assert!(!taken, "{at}");
        }
    }
    // One, two and three bytes of length, or this tests less than it says.
    assert!(
        lengths.iter().any(|n| *n < 256) && lengths.iter().any(|n| *n >= 256),
        "{lengths:?}"
    );
}

#[test]
fn an_envelope_that_is_not_whole_is_waited_for_as_long_as_it_may_be() {
    // An array of four whose payload says that it is longer than anything that is taken.
    let mut endless = vec![0xd2, 0x84, 0x40, 0xa0, 0x59, 0xff, 0xff];
    while endless.len() < ENVELOPE + 8 {
        let more = Envelope::parse(&endless);
        assert_eq!(
            more.as_ref().is_ok_and(Option::is_none),
            endless.len() < ENVELOPE,
            "{} bytes",
            endless.len()
        );
        assert_eq!(more.is_err(), endless.len() >= ENVELOPE);
        endless.push(0);
    }
    let bytes = signed(&payload(32, true), &key());
    for length in 0..bytes.len() {
        assert!(
            Envelope::parse(&bytes[..length]).is_ok_and(|e| e.is_none()),
            "{length}"
        );
    }
}

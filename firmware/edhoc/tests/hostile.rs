//! Messages that are cut off, changed, replayed or made by those who are not known: all are refused, for the right reason, and none
//! panics.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod trace;

use trace::Trace;
use wasmote_edhoc::schedule::{self, label};
use wasmote_edhoc::{
    CREDENTIAL, Credential, Curve, First, MESSAGE_1, MESSAGE_2, MESSAGE_3, P256, Refusal,
};
use wasmote_oscore::Id;

/// All messages that differ from this one in a bit.
fn flipped(good: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..good.len() * 8).map(|bit| {
        let mut bad = good.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        (bit, bad)
    })
}

#[test]
fn no_part_of_a_message_is_one() {
    let t = Trace::read();
    let known = [t.get("initiator/credential")];
    let (message_1, message_3) = (t.get("messages/message_1"), t.get("messages/message_3"));
    for length in 0..message_1.len() {
        let refused = t.answer(&message_1[..length]).err();
        assert_eq!(
            refused,
            Some(Refusal::Malformed),
            "{length} bytes of message_1"
        );
    }
    for length in 0..message_3.len() {
        let refused = t.finish(&message_3[..length], &known).err();
        assert_eq!(
            refused,
            Some(Refusal::Malformed),
            "{length} bytes of message_3"
        );
    }
    // Ciphertexts that are too short for a tag, or for anything behind one.
    for length in 0..=8 {
        let mut short = vec![0x40 | length];
        short.resize(1 + usize::from(length), 0);
        let refused = t.finish(&short, &known).err().unwrap();
        let expected = if length < 8 {
            Refusal::Malformed
        } else {
            Refusal::Forged
        };
        assert_eq!(refused, expected, "a ciphertext of {length} bytes");
    }
}

#[test]
fn a_changed_message_1_is_refused_or_leads_to_another_transcript() {
    let t = Trace::read();
    let good = t.get("messages/message_1");
    let message_2 = t.get("messages/message_2");
    let (mut refused, mut other) = (0, 0);
    for (bit, bad) in flipped(&good) {
        match t.answer(&bad) {
            Err(why) => {
                // An integer that is not 3, in one byte.
                let method = bit < 6;
                assert_eq!(why == Refusal::Method, method, "bit {bit}: {why:?}");
                refused += 1;
            }
            // What is not refused, the initiator refuses: MAC_2 is over all of message_1.
            Ok((waiting, answer)) => {
                assert_ne!(answer, message_2, "bit {bit}");
                let message_3 = waiting.open(&t.get("messages/message_3"));
                assert_eq!(message_3.err(), Some(Refusal::Forged), "bit {bit}");
                other += 1;
            }
        }
    }
    // About half of all x-coordinates are on no point of the curve.
    assert!(
        refused > 100 && other > 100,
        "{refused} refused, {other} not"
    );
}

#[test]
fn a_changed_message_3_is_refused() {
    let t = Trace::read();
    let known = [t.get("initiator/credential")];
    for (bit, bad) in flipped(&t.get("messages/message_3")) {
        let refused = t.finish(&bad, &known).err();
        let expected = if bit < 8 {
            Refusal::Malformed
        } else {
            Refusal::Forged
        };
        assert_eq!(refused, Some(expected), "bit {bit}");
    }
}

/// Whoever made message_1 can seal what he likes in message_3: without a key that is known it is nothing.
#[test]
fn a_plaintext_that_is_not_the_known_initiators_is_refused() {
    let t = Trace::read();
    let known = [t.get("initiator/credential")];
    let good = t.get("values/plaintext_3");
    assert!(t.finish(&t.sealed(&good), &known).is_ok());
    for (bit, bad) in flipped(&good) {
        let refused = t.finish(&t.sealed(&bad), &known).err().unwrap();
        // The kid is the first byte, 2b: changed in one bit it is another one, no identifier, or a map.
        let expected = match bit {
            0..=3 | 5 => Refusal::Stranger,
            7 => Refusal::Identification,
            ..16 => Refusal::Malformed,
            _ => Refusal::Forged,
        };
        assert_eq!(refused, expected, "bit {bit}");
    }
    for length in 0..good.len() {
        let refused = t.finish(&t.sealed(&good[..length]), &known).err();
        assert_eq!(refused, Some(Refusal::Malformed), "{length} bytes");
    }
    for (plaintext, expected) in [
        // Credentials by other means than a kid (RFC 9528 §6.4: not error 3).
        (
            [&[0xa1, 0x04, 0x41, 0x2b], &good[1..]].concat(),
            Refusal::Identification,
        ),
        (
            [&[0xa1, 0x0e, 0xa0], &good[1..]].concat(),
            Refusal::Identification,
        ),
        // An authorization that must be understood, one that need not be, and what is none.
        ([&good[..], &[0x20]].concat(), Refusal::Critical),
        ([&good[..], &[0x00, 0x41, 0x01]].concat(), Refusal::Forged),
        ([&good[..], &[0x40]].concat(), Refusal::Malformed),
        (
            [&good[..], &[0x00, 0x42, 0x01]].concat(),
            Refusal::Malformed,
        ),
    ] {
        let refused = t.finish(&t.sealed(&plaintext), &known).err();
        assert_eq!(refused, Some(expected), "{plaintext:x?}");
    }
    // The longest that there is room for, and one byte more.
    let mut long = good.clone();
    long.resize(MESSAGE_3 - 10, 0);
    assert_eq!(
        t.finish(&t.sealed(&long), &known).err(),
        Some(Refusal::Forged)
    );
    long.push(0);
    assert_eq!(
        t.finish(&t.sealed(&long), &known).err(),
        Some(Refusal::Malformed)
    );
}

#[test]
fn authorization_data_that_need_not_be_understood_is_part_of_the_transcript() {
    let t = Trace::read();
    let ccs = t.get("initiator/credential");
    let credential = Credential::parse(&ccs).unwrap();
    let ead = [0x0e, 0x00, 0x42, 1, 2];
    let (prk, th_3) = (t.key("values/prk_4e3m"), t.array("values/th_3"));
    let mac = schedule::mac(&prk, label::MAC_3, &[], &credential, &th_3, &ead).unwrap();
    let plaintext = [&[0x2b, 0x48], &mac[..], &ead].concat();
    let session = t.finish(&t.sealed(&plaintext), std::slice::from_ref(&ccs));
    let oscore = session.unwrap().oscore().unwrap();
    assert_ne!(oscore.secret[..], t.get("values/oscore_secret"));

    let message_1 = t.get("messages/message_1");
    for (ead, expected) in [
        (&[0x0e][..], None),
        (&[0x00, 0x41, 0xff, 0x18, 0x20], None),
        (&[0x20], Some(Refusal::Critical)),
        (&[0x0e, 0x3a, 0, 1, 0, 0, 0x40], Some(Refusal::Critical)),
        (&[0x40], Some(Refusal::Malformed)),
        (&[0x00, 0x40, 0x40], Some(Refusal::Malformed)),
        (&[0x18, 0x00], Some(Refusal::Malformed)),
        (&[0xf5], Some(Refusal::Malformed)),
    ] {
        let refused = t.answer(&[&message_1[..], ead].concat()).err();
        assert_eq!(refused, expected, "{ead:x?}");
    }
    let padded = |length: usize| {
        let mut long = message_1.clone();
        long.resize(length, 0);
        First::parse(&long).err()
    };
    assert_eq!(padded(MESSAGE_1), None);
    assert_eq!(padded(MESSAGE_1 + 1), Some(Refusal::Malformed));
}

#[test]
fn strangers_and_those_with_another_key_are_refused() {
    let t = Trace::read();
    let message_3 = t.get("messages/message_3");
    let known = t.get("initiator/credential");
    assert_eq!(t.finish(&message_3, &[]).err(), Some(Refusal::Stranger));
    assert_eq!(Refusal::Stranger.message(), [3, 0xf5]);
    let other = t.get("responder/credential");
    assert_eq!(
        t.finish(&message_3, &[other]).err(),
        Some(Refusal::Stranger)
    );
    // A key under the same kid, and a name other than the one that was said.
    let at = known
        .windows(3)
        .position(|part| part == [0x21, 0x58, 0x20])
        .unwrap();
    let mut key = known.clone();
    key[at + 3..][..32].copy_from_slice(&t.get("responder/x"));
    let mut name = known.clone();
    name[5] ^= 1;
    for bad in [key.clone(), name] {
        assert_eq!(t.finish(&message_3, &[bad]).err(), Some(Refusal::Forged));
    }
    // A key that is not on the curve was provisioned.
    key[at + 3..][..32].fill(0xff);
    assert_eq!(t.finish(&message_3, &[key]).err(), Some(Refusal::Point));
}

#[test]
fn message_3_of_another_handshake_is_refused() {
    let t = Trace::read();
    let ccs = t.get("responder/credential");
    let first = First::parse(&t.get("messages/message_1")).unwrap();
    let message_3 = t.get("messages/message_3");
    // The same initiator, and another ephemeral key of ours; the same key, and another identifier.
    let mut random: [u8; 32] = t.array("responder/ephemeral");
    random[31] ^= 1;
    for (c_r, random) in [
        (t.id("responder/c_r"), random),
        (Id::new(&[0x80]).unwrap(), t.array("responder/ephemeral")),
        (Id::new(&[]).unwrap(), t.array("responder/ephemeral")),
        (
            Id::new(&[1, 2, 3, 4, 5, 6, 7]).unwrap(),
            t.array("responder/ephemeral"),
        ),
    ] {
        let mut out = [0; MESSAGE_2];
        let own = t.identity(&ccs);
        let (waiting, length) = first.answer::<P256>(&own, c_r, &random, &mut out).unwrap();
        assert_eq!(usize::from(out[1]), length - 2);
        // What is no integer of a byte has a head (RFC 9528 §3.3.2).
        let identifier = match c_r.bytes() {
            [0x27] => 1,
            bytes => 1 + bytes.len(),
        };
        assert_eq!(length, 2 + 32 + identifier + 1 + 9);
        assert_eq!(waiting.open(&message_3).err(), Some(Refusal::Forged));
    }
}

#[test]
fn methods_points_identifiers_and_random_bytes_are_looked_at() {
    let t = Trace::read();
    let message_1 = t.get("messages/message_1");
    for method in [0, 1, 2, 4, 0x20] {
        let mut other = message_1.clone();
        other[0] = method;
        let refused = t.answer(&other).err();
        assert_eq!(refused, Some(Refusal::Method), "{method}");
        assert_eq!(Refusal::Method.message()[..2], [1, 0x74]);
    }
    // Half of all coordinates are on no point: those that are, are on one from either side.
    let (mut on, mut off) = (0, 0);
    for byte in 0..=255 {
        let x = [byte; 32];
        match P256::point(&x) {
            Some(point) => {
                assert!(P256::agree(&t.array("initiator/secret"), &point).is_some());
                on += 1;
            }
            None => {
                let mut other = message_1.clone();
                other[6..38].copy_from_slice(&x);
                assert_eq!(t.answer(&other).err(), Some(Refusal::Point));
                off += 1;
            }
        }
    }
    assert!(on > 90 && off > 90, "{on} on the curve, {off} off it");

    let ccs = t.get("responder/credential");
    let own = t.identity(&ccs);
    let first = First::parse(&message_1).unwrap();
    let answer = |c_r: &[u8], random: &[u8; 32]| {
        let mut out = [0; MESSAGE_2];
        let id = Id::new(c_r).unwrap();
        first.answer::<P256>(&own, id, random, &mut out).err()
    };
    assert_eq!(*first.initiator(), t.id("initiator/c_i"));
    assert_eq!(answer(&[0x37], &[1; 32]), Some(Refusal::Identifier));
    let order = trace::unhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    for random in [[0; 32], [0xff; 32], order.try_into().unwrap()] {
        assert_eq!(answer(&[0x27], &random), Some(Refusal::Random));
    }
    // An identifier that OSCORE has no room for.
    let mut long = message_1[..38].to_vec();
    long.extend([0x48, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(t.answer(&long).err(), Some(Refusal::Malformed));
    long[38] = 0x47;
    long.pop();
    assert_eq!(t.answer(&long).err(), None);
}

#[test]
fn every_error_message_is_a_code_and_its_information() {
    for refusal in [
        Refusal::Malformed,
        Refusal::Method,
        Refusal::Critical,
        Refusal::Point,
        Refusal::Identifier,
        Refusal::Random,
        Refusal::Identification,
        Refusal::Forged,
    ] {
        let message = refusal.message();
        let (length, text) = match message[1] {
            0x78 => (usize::from(message[2]), &message[3..]),
            head => (usize::from(head & 0x1f), &message[2..]),
        };
        assert_eq!((message[0], message[1] >> 5), (1, 3), "{refusal:?}");
        assert_eq!(text.len(), length, "{refusal:?}");
        assert!(text.is_ascii(), "{refusal:?}");
    }
}

#[test]
fn credentials_are_read_in_their_only_encoding() {
    let t = Trace::read();
    let good = t.get("initiator/credential");
    assert!(Credential::parse(&good).is_some());
    for length in 0..good.len() {
        assert_eq!(Credential::parse(&good[..length]), None, "{length} bytes");
    }
    assert_eq!(Credential::parse(&[&good[..], &[0]].concat()), None);
    // A changed bit is no credential, or one with another name or key: nothing is read beyond its end.
    for (bit, bad) in flipped(&good) {
        if let Some(other) = Credential::parse(&bad) {
            assert_ne!(Some(other), Credential::parse(&good), "bit {bit}");
        }
    }
    let key = "a5010202412b2001215820ac75e9ece3e50bfc8ed60399889522405c47bf16df96660a41298cb4307f7eb6225820\
               6e5de611388a4b8a8211334ac7d37ecb52a387d257e6db3c2a93df21ff3affc8";
    let key: String = key.split_whitespace().collect();
    let whole = |claims: &str| trace::unhex(&format!("{claims}{key}"));
    for (claims, expected) in [
        ("a108a101", true),
        ("a2026161 08a101", true),
        ("a4016161 026162 036163 08a101", true),
        // Unknown claims, claims twice, out of order, none, and a confirmation of something else.
        ("a2046161 08a101", false),
        // A subject that is no text.
        ("a20261ff 08a101", false),
        ("a2026161 026161", false),
        ("a208a101", false),
        ("a108a102", false),
        ("a108a201", false),
        ("bf08a101", false),
        ("b80108a101", false),
    ] {
        let claims: String = claims.split_whitespace().collect();
        assert_eq!(
            Credential::parse(&whole(&claims)).is_some(),
            expected,
            "{claims}"
        );
    }
    // No kid, no x, another curve, another type, another order of labels.
    for other in [
        key.replacen("a5010202412b", "a40102", 1),
        key.replacen("2001", "2002", 1),
        key.replacen("0102", "0101", 1),
        key.replacen("010202412b", "02412b0102", 1),
        key.replacen("a5", "a4", 1),
    ] {
        let ccs = trace::unhex(&format!("a108a101{other}"));
        assert_eq!(Credential::parse(&ccs), None, "{other}");
    }
    let mut long = vec![0xa2, 0x02, 0x78, 0];
    long[3] = (CREDENTIAL - 4 - 4 - key.len() / 2) as u8;
    long.resize(4 + usize::from(long[3]), b'a');
    let tail = trace::unhex(&format!("08a101{key}"));
    assert_eq!(long.len() + tail.len(), CREDENTIAL - 1);
    assert!(Credential::parse(&[&long[..], &tail].concat()).is_some());
    long.insert(4, b'a');
    long[3] += 1;
    assert!(Credential::parse(&[&long[..], &tail].concat()).is_some());
    long.insert(4, b'a');
    long[3] += 1;
    assert!(Credential::parse(&[&long[..], &tail].concat()).is_none());
}

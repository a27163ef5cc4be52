//! The traces of RFC 9529 (test/vectors/edhoc.json, which host/lib reads too): every value of section 3, and what section 4 has
//! refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod trace;

use trace::{Trace, unhex};
use wasmote_edhoc::schedule::{self, Cipher, exporter, label};
use wasmote_edhoc::{Credential, Curve, First, P256, Refusal, addressed};
use wasmote_oscore::{Context, Id, Material};

/// A value that is derived, as bytes.
fn derived(trace: &Trace, prk: &str, label: u8, context: &[u8], length: usize) -> Vec<u8> {
    let mut out = vec![0xaa; length];
    schedule::derive(&trace.key(prk), label, &[context], &mut out).unwrap();
    out
}

/// What is exported of the PRK_out in this part of the trace.
fn exported_is_as_in(t: &Trace, part: &str) {
    let at = |name: &str| format!("{part}/{name}");
    for (name, prk, label, length) in [
        ("prk_exporter", "prk_out", label::PRK_EXPORTER, 32),
        ("oscore_secret", "prk_exporter", exporter::OSCORE_SECRET, 16),
        ("oscore_salt", "prk_exporter", exporter::OSCORE_SALT, 8),
    ] {
        let value = derived(t, &at(prk), label, &[], length);
        assert_eq!(value, t.get(&at(name)), "{}", at(name));
    }
}

#[test]
fn all_that_is_derived_is_as_in_the_trace() {
    let t = Trace::read();
    let (ccs_i, ccs_r) = (t.get("initiator/credential"), t.get("responder/credential"));
    let cred_i = Credential::parse(&ccs_i).unwrap();
    let cred_r = Credential::parse(&ccs_r).unwrap();
    for (end, credential) in [("initiator", &cred_i), ("responder", &cred_r)] {
        assert_eq!(*credential.kid(), t.id(&format!("{end}/kid")));
        assert_eq!(*credential.x(), t.array(&format!("{end}/x")));
        let secret = t.array(&format!("{end}/secret"));
        assert_eq!(P256::public(&secret), Some(*credential.x()));
    }
    let agree = |secret: &str, x: &str| {
        let point = P256::point(&t.array(x)).unwrap();
        P256::agree(&t.array(secret), &point).unwrap().to_vec()
    };
    let (e_i, e_r) = ("initiator/ephemeral", "responder/ephemeral");
    for (value, ways) in [
        ("g_xy", [(e_i, "responder/g_y"), (e_r, "initiator/g_x")]),
        (
            "g_rx",
            [(e_i, "responder/x"), ("responder/secret", "initiator/g_x")],
        ),
        (
            "g_iy",
            [("initiator/secret", "responder/g_y"), (e_r, "initiator/x")],
        ),
    ] {
        for (secret, x) in ways {
            assert_eq!(
                agree(secret, x),
                t.get(&format!("values/{value}")),
                "{value}"
            );
        }
    }
    let message_1_hash = schedule::hash(&[&t.get("messages/message_1")]);
    let extract = |salt: &str, shared: &str| {
        let prk = schedule::extract(&t.array(salt), &t.array(shared)).unwrap();
        prk.to_vec()
    };
    let (th_2, th_3, th_4) = (
        t.get("values/th_2"),
        t.get("values/th_3"),
        t.get("values/th_4"),
    );
    let mac = |prk: &str, label, front: &[u8], credential, th: &str| {
        let mac = schedule::mac(&t.key(prk), label, front, credential, &t.array(th), &[]);
        mac.unwrap().to_vec()
    };
    let next = |th: &str, plaintext: &str, credential| {
        schedule::th_next(&t.array(th), &t.get(plaintext), credential).to_vec()
    };
    let (prk_2e, prk_3e2m, prk_4e3m) = ("values/prk_2e", "values/prk_3e2m", "values/prk_4e3m");
    for (name, value) in [
        ("message_1_hash", message_1_hash.to_vec()),
        (
            "th_2",
            schedule::th_2(&t.array("responder/g_y"), &message_1_hash).to_vec(),
        ),
        ("prk_2e", extract("values/th_2", "values/g_xy")),
        (
            "salt_3e2m",
            derived(&t, prk_2e, label::SALT_3E2M, &th_2, 32),
        ),
        ("prk_3e2m", extract("values/salt_3e2m", "values/g_rx")),
        (
            "mac_2",
            mac(prk_3e2m, label::MAC_2, &[0x27], &cred_r, "values/th_2"),
        ),
        (
            "keystream_2",
            derived(&t, prk_2e, label::KEYSTREAM_2, &th_2, 11),
        ),
        ("th_3", next("values/th_2", "values/plaintext_2", &cred_r)),
        (
            "salt_4e3m",
            derived(&t, prk_3e2m, label::SALT_4E3M, &th_3, 32),
        ),
        ("prk_4e3m", extract("values/salt_4e3m", "values/g_iy")),
        (
            "mac_3",
            mac(prk_4e3m, label::MAC_3, &[], &cred_i, "values/th_3"),
        ),
        ("k_3", derived(&t, prk_3e2m, label::K_3, &th_3, 16)),
        ("iv_3", derived(&t, prk_3e2m, label::IV_3, &th_3, 13)),
        ("th_4", next("values/th_3", "values/plaintext_3", &cred_i)),
        ("k_4", derived(&t, prk_4e3m, label::K_4, &th_4, 16)),
        ("iv_4", derived(&t, prk_4e3m, label::IV_4, &th_4, 13)),
        ("prk_out", derived(&t, prk_4e3m, label::PRK_OUT, &th_4, 32)),
    ] {
        assert_eq!(value, t.get(&format!("values/{name}")), "{name}");
    }
    exported_is_as_in(&t, "values");
    // An update of what came of it (RFC 9528 Appendix H), which takes no more than what is above.
    let context = t.get("key_update/context");
    assert_eq!(
        derived(&t, "values/prk_out", 11, &context, 32),
        t.get("key_update/prk_out")
    );
    exported_is_as_in(&t, "key_update");
    let plaintext_3 = t.get("values/plaintext_3");
    assert_eq!(t.sealed(&plaintext_3), t.get("messages/message_3"));
    let cipher = Cipher::new(
        &t.key(prk_3e2m),
        (label::K_3, label::IV_3),
        &t.array("values/th_3"),
    );
    let mut text = t.get("values/ciphertext_3");
    let tag = text.split_off(text.len() - 8).try_into().unwrap();
    assert!(cipher.unwrap().open(&mut text, &tag));
    assert_eq!(text, plaintext_3);
}

#[test]
fn the_responder_says_what_it_says_in_the_trace() {
    let t = Trace::read();
    let first = First::parse(&t.get("messages/first_message_1")).err();
    assert_eq!(first, Some(Refusal::Suite));
    assert_eq!(Refusal::Suite.message(), t.get("messages/error"));

    let (waiting, message_2) = t.answer(&t.get("messages/message_1")).unwrap();
    assert_eq!(message_2, t.get("messages/message_2"));
    assert_eq!(*waiting.identifier(), t.id("responder/c_r"));

    let stranger = t.get("responder/credential");
    let known = [stranger, t.get("initiator/credential")];
    let session = t.finish(&t.get("messages/message_3"), &known).unwrap();
    assert_eq!(session.peer, 1);
    assert_eq!(
        session.message_4().unwrap()[..],
        t.get("messages/message_4")
    );
    let oscore = session.oscore().unwrap();
    assert_eq!(oscore.secret[..], t.get("values/oscore_secret"));
    assert_eq!(oscore.salt[..], t.get("values/oscore_salt"));
    // RFC 9528 §A.1, Table 14: the responder sends with what the initiator chose.
    assert_eq!(oscore.sender, t.id("initiator/c_i"));
    assert_eq!(oscore.recipient, t.id("responder/c_r"));
    let context = Context::derive(&Material {
        secret: &*oscore.secret,
        salt: &oscore.salt,
        id_context: None,
        sender: oscore.sender,
        recipient: oscore.recipient,
    });
    assert!(context.is_some());
}

#[test]
fn what_section_4_has_refused_is_refused() {
    let t = Trace::read();
    let mut seen = 0;
    for one in t.0["invalid"].as_array().unwrap() {
        let bytes = unhex(one["bytes"].as_str().unwrap());
        let refused = match one["message"].as_str().unwrap() {
            "message_1" => t.answer(&bytes).err(),
            // The same faults, in the message that we read: C_R is in front of the second only.
            "plaintext_2" => {
                let known = [t.get("initiator/credential")];
                t.finish(&t.sealed(&bytes[1..]), &known).err()
            }
            // A surplus item behind the message.
            "message_2" => {
                let surplus = [t.get("messages/message_3"), vec![0x40]].concat();
                t.finish(&surplus, &[]).err()
            }
            other => panic!("{other}"),
        };
        let refused = refused.unwrap_or_else(|| panic!("{} is taken", one["section"]));
        let message = refused.message();
        assert_eq!(
            u64::from(message[0]),
            one["code"].as_u64().unwrap(),
            "{}",
            one["section"]
        );
        seen += 1;
    }
    assert_eq!(seen, 15);
}

#[test]
fn a_suite_is_taken_only_where_it_is_the_first_that_both_have() {
    let t = Trace::read();
    for one in t.0["suites"].as_array().unwrap() {
        let suites = unhex(one["suites"].as_str().unwrap());
        let message_1 = [&[3][..], &suites, &t.get("messages/message_1")[4..]].concat();
        let taken = First::parse(&message_1);
        let expected = one["good"].as_bool().unwrap();
        assert_eq!(taken.is_ok(), expected, "{one}");
        if !expected {
            assert_eq!(taken.err(), Some(Refusal::Suite), "{one}");
        }
    }
}

#[test]
fn a_message_on_coap_says_whether_it_is_the_first() {
    let id = |bytes: &[u8]| Id::new(bytes);
    for (payload, expected) in [
        (&[0xf5, 1, 2][..], Some((None, &[1, 2][..]))),
        (&[0x27, 0x40], Some((id(&[0x27]), &[0x40][..]))),
        (&[0x41, 0xff, 1], Some((id(&[0xff]), &[1][..]))),
        (&[0x40, 1], Some((id(&[]), &[1][..]))),
        // What an integer says is not said in bytes; and nothing else is an identifier.
        (&[0x41, 0x27, 1], None),
        (&[0xf4, 1], None),
        (&[0x42, 1], None),
        (&[0x18, 0x18], None),
        (&[], None),
    ] {
        assert_eq!(addressed(payload), expected, "{payload:x?}");
    }
}

//! The vectors of RFC 8613, Appendix C (test/vectors/oscore.json, which host/lib reads too).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use serde_json::Value;
use wasmote_oscore::context::NONCE;
use wasmote_oscore::option::{LONGEST, piv};
use wasmote_oscore::{Compressed, Context, Id, Material, TAG};

fn vectors() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../test/vectors/oscore.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or("");
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap())
        .collect()
}

/// The context of a derivation, with its ID Context.
fn context(vectors: &Value, section: &Value) -> (Context, Option<Vec<u8>>) {
    let all = vectors["derivations"].as_array().unwrap();
    let one = all.iter().find(|one| one["section"] == *section).unwrap();
    let id_context = one.get("id_context").map(hex);
    let context = Context::derive(&Material {
        secret: &hex(&one["secret"]),
        salt: &hex(&one["salt"]),
        id_context: id_context.as_deref(),
        sender: Id::new(&hex(&one["sender"])).unwrap(),
        recipient: Id::new(&hex(&one["recipient"])).unwrap(),
    });
    (context.unwrap(), id_context)
}

#[test]
fn derived_contexts_have_the_nonces_of_the_appendix() {
    let vectors = vectors();
    for one in vectors["derivations"].as_array().unwrap() {
        let (context, _) = context(&vectors, &one["section"]);
        let what = &one["section"];
        assert_eq!(
            context.nonce(&context.sender, 0)[..],
            hex(&one["sender_nonce"]),
            "{what}"
        );
        assert_eq!(
            context.nonce(&context.recipient, 0)[..],
            hex(&one["recipient_nonce"]),
            "{what}"
        );
    }
}

#[test]
fn messages_are_protected_and_opened_to_the_byte() {
    let vectors = vectors();
    for one in vectors["messages"].as_array().unwrap() {
        let what = &one["section"];
        let (client, id_context) = context(&vectors, &one["client"]);
        let (server, _) = context(&vectors, &one["server"]);
        let is_request = one["what"] == "request";
        let number = one["number"].as_u64();
        let request = (&client.sender, one["request"].as_u64().or(number).unwrap());
        let (from, to) = if is_request {
            (&client, &server)
        } else {
            (&server, &client)
        };
        // A response without a Partial IV takes the nonce of its request.
        let (id, counted) = number.map_or(request, |number| (&from.sender, number));
        let nonce: [u8; NONCE] = from.nonce(id, counted);

        let plaintext = hex(&one["plaintext"]);
        let mut buffer = vec![0xaa; plaintext.len() + TAG];
        buffer[..plaintext.len()].copy_from_slice(&plaintext);
        let length = from
            .seal(&nonce, request, &mut buffer, plaintext.len())
            .unwrap();
        assert_eq!(buffer[..length], hex(&one["ciphertext"]), "{what}");
        assert_eq!(
            to.open(&nonce, request, &mut buffer),
            Ok(plaintext.len()),
            "{what}"
        );
        assert_eq!(buffer[..plaintext.len()], plaintext, "{what}");

        let (bytes, significant) = piv(number.unwrap_or(0));
        let option = Compressed {
            piv: if number.is_some() {
                &bytes[8 - significant..]
            } else {
                &[]
            },
            kid_context: id_context.as_deref().filter(|_| is_request),
            kid: is_request.then(|| client.sender.bytes()),
        };
        let mut room = [0; LONGEST];
        let written = option.write(&mut room).unwrap();
        assert_eq!(written, hex(&one["option"]), "{what}");
        assert_eq!(Compressed::parse(written), Some(option), "{what}");
        assert_eq!(option.number(), number, "{what}");
    }
}

#[test]
fn every_single_bit_that_changes_is_noticed() {
    let vectors = vectors();
    let one = &vectors["messages"][0];
    let (client, _) = context(&vectors, &one["client"]);
    let (server, _) = context(&vectors, &one["server"]);
    let nonce = server.nonce(&client.sender, 20);
    let request = (&client.sender, 20);
    let good = hex(&one["ciphertext"]);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(server.open(&nonce, request, &mut bad).is_err(), "bit {bit}");
        assert!(
            bad[..good.len() - TAG].iter().all(|byte| *byte == 0),
            "what is not authentic is wiped"
        );
    }
    for bit in 0..NONCE * 8 {
        let mut other = nonce;
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(server.open(&other, request, &mut good.clone()).is_err());
    }
    let other = Id::new(&[1]).unwrap();
    for request in [(&client.sender, 21), (&other, 20)] {
        assert!(server.open(&nonce, request, &mut good.clone()).is_err());
    }
    for length in 0..good.len() {
        assert!(
            server
                .open(&nonce, request, &mut good[..length].to_vec())
                .is_err()
        );
    }
    assert!(
        client.open(&nonce, request, &mut good.clone()).is_err(),
        "the keys are of one direction"
    );
}

//! The wire vectors of test/vectors/coap.json, which test/coap.test.ts sends to nodes over UDP as well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{Memory, Rig};
use wasmote_coap::{Kind, Message};

#[test]
fn every_datagram_is_answered_as_its_rfc_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/vectors/coap.json");
    let all: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut wrong = vec![];
    for vector in all.as_array().unwrap() {
        let hex = vector["datagram"].as_str().unwrap();
        let datagram: Vec<u8> = (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[i * 2..i * 2 + 2], 16).unwrap())
            .collect();
        let mut node = Rig::boot(&Memory::new(), &[]);
        let answers = node.datagram(&datagram);
        let first = answers.first().map(|a| Message::parse(a).unwrap());
        let kind = first.as_ref().map(|m| match m.kind {
            Kind::Con => "con",
            Kind::Non => "non",
            Kind::Ack => "ack",
            Kind::Rst => "rst",
        });
        let code = first
            .as_ref()
            .map(|m| format!("{}.{:02}", m.code.0 >> 5, m.code.0 & 31));
        let expected = (vector["answer"].as_str(), vector["code"].as_str());
        let same_token = first.as_ref().is_none_or(|m| {
            m.kind == Kind::Rst || m.token == &datagram[4..4 + usize::from(datagram[0] & 15)]
        });
        if kind != expected.0
            || expected.1.is_some_and(|c| code.as_deref() != Some(c))
            || !same_token
            || answers.len() > 1
        {
            wrong.push(format!(
                "{} ({}): {kind:?} {code:?}, {} answers",
                vector["name"],
                vector["rfc"],
                answers.len()
            ));
        }
        // The node lives on, and a duplicate gets the same answer; a safe request may be looked at anew (RFC 7252 §4.5).
        if let Some(Kind::Ack) = first.as_ref().map(|m| m.kind) {
            let again = node.datagram(&datagram);
            assert_eq!(again.len(), 1, "{}", vector["name"]);
            assert_eq!(again[0][..4], answers[0][..4], "{}", vector["name"]);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

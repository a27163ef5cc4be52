//! The wire vectors of test/vectors/coap, which test/coap/coap.test.ts reads as well: messages as the codec reads and writes them,
//! datagrams with their answers, and exchanges of several.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{Memory, Rig};
use serde_json::Value;
use wasmote_coap::{Kind, Malformed, Message, Writer, option};

fn vectors(name: &str) -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/vectors/coap/");
    let text = std::fs::read_to_string(format!("{folder}{name}.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap();
    let byte = |i| u8::from_str_radix(&hex[i * 2..i * 2 + 2], 16).unwrap();
    (0..hex.len() / 2).map(byte).collect()
}

fn kind(m: &Message<'_>) -> &'static str {
    match m.kind {
        Kind::Con => "con",
        Kind::Non => "non",
        Kind::Ack => "ack",
        Kind::Rst => "rst",
    }
}

#[test]
fn every_message_is_read_as_it_was_written() {
    for vector in vectors("messages") {
        let name = &vector["name"];
        let datagram = hex(&vector["datagram"]);
        let read = Message::parse(&datagram);
        if let Some(how) = vector["malformed"].as_str() {
            let found = match read {
                Ok(_) => "good",
                Err(Malformed::Ignore) => "ignore",
                Err(Malformed::Reject(..)) => "reject",
            };
            assert_eq!(found, how, "{name}");
            continue;
        }
        let expected = &vector["message"];
        let m = read.unwrap_or_else(|_| panic!("{name}"));
        assert_eq!(kind(&m), expected["type"], "{name}");
        assert_eq!(
            m.code.to_string(),
            expected["code"].as_str().unwrap(),
            "{name}"
        );
        assert_eq!(u64::from(m.id), expected["id"].as_u64().unwrap(), "{name}");
        assert_eq!(m.token, hex(&expected["token"]), "{name}");
        assert_eq!(m.payload, hex(&expected["payload"]), "{name}");
        let options: Vec<(u16, Vec<u8>)> = m.options.map(|(n, v)| (n, v.to_vec())).collect();
        let wanted = expected["options"].as_array().unwrap().iter();
        let wanted = wanted.map(|o| (o[0].as_u64().unwrap() as u16, hex(&o[1])));
        assert_eq!(options, wanted.collect::<Vec<_>>(), "{name}");
        // Written again, into a buffer that was not empty, it is the same.
        let mut buffer = [0xa5; 2_000];
        let mut w = Writer::new(&mut buffer, m.kind, m.code, m.id, m.token);
        for (number, value) in &options {
            w.option(*number, value);
        }
        assert_eq!(w.finish(m.payload).unwrap(), datagram, "{name}");
    }
}

/// What is wrong with the answers to a datagram.
fn judge(vector: &Value, answers: &[Vec<u8>]) -> Option<String> {
    let datagram = hex(&vector["datagram"]);
    let first = answers.first().map(|a| Message::parse(a).unwrap());
    let code = first.as_ref().map(|m| m.code.to_string());
    let same_token = first.as_ref().is_none_or(|m| {
        m.code.0 == 0 || m.token == &datagram[4..4 + usize::from(datagram[0] & 15)]
    });
    let good = first.as_ref().map(kind) == vector["answer"].as_str()
        && vector["code"]
            .as_str()
            .is_none_or(|c| code.as_deref() == Some(c))
        && same_token
        && answers.len() <= 1;
    (!good).then(|| {
        let kind = first.as_ref().map(kind);
        format!("{kind:?} {code:?}, {} answers", answers.len())
    })
}

#[test]
fn every_datagram_is_answered_as_its_rfc_says() {
    let mut wrong = vec![];
    for vector in vectors("answers") {
        let mut node = Rig::boot(&Memory::new(), &[]);
        let datagram = hex(&vector["datagram"]);
        let answers = node.datagram(&datagram);
        if let Some(problem) = judge(&vector, &answers) {
            wrong.push(format!("{} ({}): {problem}", vector["name"], vector["rfc"]));
        }
        // The node lives on, and a duplicate gets the same answer; a safe request may be looked at anew (RFC 7252 §4.5).
        if let Some(first) = answers.first()
            && Message::parse(first).unwrap().kind == Kind::Ack
        {
            let again = node.datagram(&datagram);
            assert_eq!(again.len(), 1, "{}", vector["name"]);
            assert_eq!(again[0][..4], first[..4], "{}", vector["name"]);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_exchange_goes_as_its_rfc_says() {
    for vector in vectors("exchanges") {
        let mut node = Rig::boot(&Memory::new(), &[]);
        let mut all: Vec<Vec<u8>> = vec![];
        for (index, step) in vector["steps"].as_array().unwrap().iter().enumerate() {
            let at = format!("{}, step {index}", vector["name"]);
            let answers = node.datagram(&hex(&step["datagram"]));
            assert_eq!(judge(step, &answers), None, "{at}");
            let answer = answers.into_iter().next().unwrap_or_default();
            if let Some(same) = step["same"].as_u64() {
                assert_eq!(answer, all[same as usize], "{at}");
            }
            for wanted in step["has"].as_array().into_iter().flatten() {
                let number = wanted[0].as_u64().unwrap() as u16;
                let find = |bytes: &[u8]| {
                    let found = Message::parse(bytes).unwrap().options.get(number);
                    found.map(<[u8]>::to_vec)
                };
                let value = find(&answer);
                match wanted[1].as_str() {
                    None => assert!(value.is_some(), "{at}: option {number}"),
                    Some("absent") => assert_eq!(value, None, "{at}: option {number}"),
                    Some("as before") => assert_eq!(value, find(&all[index - 1]), "{at}"),
                    Some(_) => assert_eq!(value, Some(hex(&wanted[1])), "{at}: option {number}"),
                }
            }
            all.push(answer);
        }
    }
    // What the vectors name by number.
    assert_eq!(
        (option::OBSERVE, option::BLOCK2, option::SIZE2),
        (6, 23, 28)
    );
}

//! The handshake of RFC 9529, section 3, as test/vectors/edhoc.json has it: its values, and both ends as they were there.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]
use serde_json::Value;
use wasmote_edhoc::schedule::{Cipher, Key, label};
use wasmote_edhoc::{Credential, First, Identity, MESSAGE_2, P256, Refusal, Session, Waiting};
use wasmote_oscore::Id;

pub struct Trace(pub Value);

pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap())
        .collect()
}

impl Trace {
    pub fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/vectors/edhoc.json");
        Self(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
    }

    /// What is at a path such as `values/th_2`.
    pub fn get(&self, path: &str) -> Vec<u8> {
        unhex(
            self.0
                .pointer(&format!("/{path}"))
                .unwrap()
                .as_str()
                .unwrap(),
        )
    }

    pub fn array<const N: usize>(&self, path: &str) -> [u8; N] {
        self.get(path).try_into().unwrap()
    }

    pub fn key(&self, path: &str) -> Key {
        Key::new(self.array(path))
    }

    pub fn id(&self, path: &str) -> Id {
        Id::new(&self.get(path)).unwrap()
    }

    /// The responder's credential, as it is read from its bytes.
    pub fn identity<'c>(&self, ccs: &'c [u8]) -> Identity<'c> {
        Identity::new(
            Credential::parse(ccs).unwrap(),
            &self.array("responder/secret"),
        )
    }

    /// What the responder says to a message_1.
    pub fn answer(&self, message_1: &[u8]) -> Result<(Waiting, Vec<u8>), Refusal> {
        let ccs = self.get("responder/credential");
        let mut out = [0xaa; MESSAGE_2];
        let (waiting, length) = First::parse(message_1)?.answer::<P256>(
            &self.identity(&ccs),
            self.id("responder/c_r"),
            &self.array("responder/ephemeral"),
            &mut out,
        )?;
        Ok((waiting, out[..length].to_vec()))
    }

    /// The responder of the trace when it waits for message_3.
    pub fn waiting(&self) -> Waiting {
        self.answer(&self.get("messages/message_1")).unwrap().0
    }

    /// What becomes of a message_3 when these are known.
    pub fn finish(&self, message_3: &[u8], known: &[Vec<u8>]) -> Result<Session, Refusal> {
        let peers: Vec<_> = known
            .iter()
            .map(|ccs| Credential::parse(ccs).unwrap())
            .collect();
        self.waiting().open(message_3)?.verify::<P256>(&peers)
    }

    /// A message_3 with this plaintext, under the keys of the trace: what only its initiator can make.
    pub fn sealed(&self, plaintext: &[u8]) -> Vec<u8> {
        let prk = self.key("values/prk_3e2m");
        let cipher = Cipher::new(&prk, (label::K_3, label::IV_3), &self.array("values/th_3"));
        let mut text = plaintext.to_vec();
        let tag = cipher.unwrap().seal(&mut text);
        text.extend(tag);
        let head = match text.len() {
            0..24 => vec![0x40 | text.len() as u8],
            length => vec![0x58, length as u8],
        };
        [head, text].concat()
    }
}

//! Packages that a test writes itself: a module as a text, what it says of itself, a manifest, and the signature over it.
use ed25519_dalek::{Signer, SigningKey};
use minicbor::Encoder;
use minicbor::data::Tag;
use sha2::{Digest, Sha256};
use wasmote_node::contract::{CUSTOM_SECTION, manifest};
use wasmote_node::package::key_id;
use wast::Wat;
use wast::parser::{self, ParseBuffer};

/// The key whose public half is the first of the vectors.
pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A module in binary form.
pub fn wasm(text: &str) -> Vec<u8> {
    let buffer = ParseBuffer::new(text).unwrap();
    parser::parse::<Wat>(&buffer).unwrap().encode().unwrap()
}

/// Puts what a module says of itself behind it.
pub fn with_section(mut module: Vec<u8>, section: &[u8]) -> Vec<u8> {
    let name = CUSTOM_SECTION.as_bytes();
    let length = 1 + name.len() + section.len();
    // LEB128 in two bytes, as long as any may be here.
    module.extend([0, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
    module.push(name.len() as u8);
    module.extend_from_slice(name);
    module.extend_from_slice(section);
    module
}

/// A byte string as RFC 8949 §3.1 has it, by hand: what is signed must not depend on the library that the node uses.
fn string(bytes: &[u8]) -> Vec<u8> {
    let mut all = match bytes.len() {
        n if n < 24 => vec![0x40 | n as u8],
        n if n < 256 => vec![0x58, n as u8],
        n => vec![0x59, (n >> 8) as u8, n as u8],
    };
    all.extend_from_slice(bytes);
    all
}

/// An envelope around a manifest (RFC 9052 §4.2, §4.4).
pub fn signed(payload: &[u8], key: &SigningKey) -> Vec<u8> {
    let mut protected = vec![];
    let mut e = Encoder::new(&mut protected);
    let id = key_id(key.verifying_key().as_bytes());
    e.map(2).unwrap().u8(1).unwrap().i8(-8).unwrap();
    e.u8(4).unwrap().bytes(&id).unwrap();
    let mut message = b"\x84\x6aSignature1".to_vec();
    for part in [&protected[..], &[], payload] {
        message.extend(string(part));
    }
    let mut all = vec![];
    let mut e = Encoder::new(&mut all);
    e.tag(Tag::new(18)).unwrap().array(4).unwrap();
    e.bytes(&protected).unwrap().map(0).unwrap();
    e.bytes(payload).unwrap();
    e.bytes(&key.sign(&message).to_bytes()).unwrap();
    all
}

/// What a manifest says of a package, beside its module.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub era: u32,
    pub sequence: u32,
    /// RAM, bytes of the table, fuel, sensors, outputs.
    pub needs: [u32; 5],
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            era: 0,
            sequence: 1,
            needs: [0; 5],
        }
    }
}

/// A package for the rig.
pub fn wanted(all: &Wanted, module: &[u8]) -> Vec<u8> {
    let mut payload = vec![];
    let mut e = Encoder::new(&mut payload);
    e.map(9).unwrap();
    e.u8(manifest::CONTRACT).unwrap().u8(1).unwrap();
    e.u8(manifest::CLASS).unwrap().str("test").unwrap();
    e.u8(manifest::SEQUENCE).unwrap().u32(all.sequence).unwrap();
    let digest = Sha256::digest(module);
    e.u8(manifest::DIGEST).unwrap().bytes(&digest).unwrap();
    e.u8(manifest::SIZE)
        .unwrap()
        .u32(module.len() as u32)
        .unwrap();
    e.u8(manifest::NAME).unwrap().str("own").unwrap();
    e.u8(manifest::VERSION).unwrap().str("1").unwrap();
    e.u8(manifest::NEEDS).unwrap().array(5).unwrap();
    for need in all.needs {
        e.u32(need).unwrap();
    }
    e.u8(manifest::ERA).unwrap().u32(all.era).unwrap();
    let mut all = signed(&payload, &key());
    all.extend_from_slice(module);
    all
}

/// One with this sequence number, whose module needs no more than any node grants.
pub fn package(sequence: u32, module: &[u8]) -> Vec<u8> {
    let all = Wanted {
        sequence,
        ..Wanted::default()
    };
    wanted(&all, module)
}

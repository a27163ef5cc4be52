//! What two ends derive from what they say and share (RFC 9528 §4): transcript hashes, pseudorandom keys, MACs.
use crate::cbor::{Head, identifier_head, major};
use crate::credential::Credential;
use sha2::{Digest, Sha256};
use wasmote_oscore::ccm::{NONCE, TAG};
use wasmote_oscore::kdf;
use wasmote_oscore::{Id, ccm};
use zeroize::Zeroizing;

/// A hash, or a public key's x-coordinate: 32 bytes.
pub type Hash = [u8; kdf::HASH];
/// A pseudorandom key (RFC 9528 §4.1), which is wiped when it goes.
pub type Key = Zeroizing<[u8; kdf::HASH]>;
/// Bytes of a MAC of cipher suite 2.
pub const MAC: usize = TAG;

/// What a key is derived for (RFC 9528 §4.1.2, Figure 6).
pub mod label {
    #![allow(missing_docs)]
    pub const KEYSTREAM_2: u8 = 0;
    pub const SALT_3E2M: u8 = 1;
    pub const MAC_2: u8 = 2;
    pub const K_3: u8 = 3;
    pub const IV_3: u8 = 4;
    pub const SALT_4E3M: u8 = 5;
    pub const MAC_3: u8 = 6;
    pub const PRK_OUT: u8 = 7;
    pub const K_4: u8 = 8;
    pub const IV_4: u8 = 9;
    pub const PRK_EXPORTER: u8 = 10;
}

/// Labels of the exporter (RFC 9528 §10.1).
pub mod exporter {
    #![allow(missing_docs)]
    pub const OSCORE_SECRET: u8 = 0;
    pub const OSCORE_SALT: u8 = 1;
}

/// The head of a byte string of 32 bytes.
const HASH_HEAD: [u8; 2] = [0x58, kdf::HASH as u8];

/// SHA-256 of these parts, one after the other.
pub fn hash(parts: &[&[u8]]) -> Hash {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// TH_2 = H(G_Y, H(message_1)) (RFC 9528 §5.3.2).
pub fn th_2(g_y: &[u8; 32], message_1: &Hash) -> Hash {
    hash(&[&HASH_HEAD, g_y, &HASH_HEAD, message_1])
}

/// TH_3 = H(TH_2, PLAINTEXT_2, CRED_R), and TH_4 = H(TH_3, PLAINTEXT_3, CRED_I) (RFC 9528 §5.3.2, §5.4.2).
pub fn th_next(th: &Hash, plaintext: &[u8], credential: &Credential<'_>) -> Hash {
    hash(&[&HASH_HEAD, th, plaintext, credential.ccs])
}

/// EDHOC_Extract (RFC 9528 §4.1.1).
pub fn extract(salt: &Hash, shared: &[u8; 32]) -> Option<Key> {
    kdf::extract(salt, shared).map(Zeroizing::new)
}

/// EDHOC_KDF of at most 32 bytes; the context is given in parts (RFC 9528 §4.1.2).
pub fn derive(prk: &Key, label: u8, context: &[&[u8]], out: &mut [u8]) -> Option<()> {
    let length = context.iter().map(|part| part.len()).sum();
    let context_head = Head::new(major::BYTES, length);
    let wanted = Head::new(major::UNSIGNED, out.len());
    let head = [&[label][..], context_head.bytes()];
    kdf::expand(prk, &[&head, context, &[wanted.bytes()]], out)
}

/// EDHOC_KDF of 32 bytes with a transcript hash for its context.
pub fn derive_key(prk: &Key, label: u8, th: &Hash) -> Option<Key> {
    let mut key = Key::default();
    derive(prk, label, &[th], &mut *key)?;
    Some(key)
}

/// MAC_2 or MAC_3 (RFC 9528 §5.3.2, §5.4.2): `front` is C_R as it is encoded, for the former, and `ead` external authorization data
/// as it was sent.
pub fn mac(
    prk: &Key,
    label: u8,
    front: &[u8],
    credential: &Credential<'_>,
    th: &Hash,
    ead: &[u8],
) -> Option<[u8; MAC]> {
    let kid = credential.kid.bytes();
    // ID_CRED as a map of one kid (RFC 9528 §3.5.3).
    let kid_head = [0xa1, 4, 0x40 | kid.len() as u8];
    let context = [front, &kid_head, kid, &HASH_HEAD, th, credential.ccs, ead];
    let mut mac = [0; MAC];
    derive(prk, label, &context, &mut mac)?;
    Some(mac)
}

/// An identifier as it is encoded (RFC 9528 §3.3.2), at most 8 bytes.
pub(crate) fn encode_identifier<'b>(id: &Id, out: &'b mut [u8; 8]) -> &'b [u8] {
    let head = identifier_head(id);
    let bytes = head.bytes().iter().chain(id.bytes());
    let mut length = 0;
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
        length += 1;
    }
    out.get(..length).unwrap_or(&[])
}

/// What message_3 or message_4 is encrypted with (RFC 9528 §5.4.2, §5.5.2).
pub struct Cipher {
    key: Zeroizing<[u8; 16]>,
    nonce: [u8; NONCE],
    aad: [u8; AAD],
}

/// `["Encrypt0", h'', TH]` behind its length, as CCM has it (RFC 3610 §2.2).
const AAD: usize = 2 + 11 + 2 + kdf::HASH;

impl Cipher {
    /// With these labels of key and nonce.
    pub fn new(prk: &Key, labels: (u8, u8), th: &Hash) -> Option<Self> {
        let mut key = Zeroizing::new([0; 16]);
        let mut nonce = [0; NONCE];
        derive(prk, labels.0, &[th], &mut *key)?;
        derive(prk, labels.1, &[th], &mut nonce)?;
        let mut aad = [0; AAD];
        let length = [0, AAD as u8 - 2];
        let parts = [&length[..], b"\x83\x68Encrypt0\x40", &HASH_HEAD, th];
        for (to, from) in aad.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        Some(Self { key, nonce, aad })
    }

    /// Encrypts in place; the tag.
    pub fn seal(&self, text: &mut [u8]) -> [u8; TAG] {
        ccm::seal(&self.key, &self.nonce, &self.aad, text)
    }

    /// Decrypts in place; whether the tag is right.
    #[must_use]
    pub fn open(&self, text: &mut [u8], tag: &[u8; TAG]) -> bool {
        ccm::open(&self.key, &self.nonce, &self.aad, text, tag)
    }
}

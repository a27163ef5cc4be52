//! A security context (RFC 8613 §3): what two ends derive from the secret they share.
pub use crate::ccm::{NONCE, TAG};
use crate::{ccm, kdf, option};

/// The longest ID, in bytes: the length of a nonce less 6 (RFC 8613 §3.3).
pub const ID: usize = NONCE - 6;
/// COSE's number of AES-CCM-16-64-128 (RFC 9053 §4.2).
const ALGORITHM: u8 = 10;

/// The ID of an end: at most [`ID`] bytes, and the empty one is an ID like any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Id {
    bytes: [u8; ID],
    length: u8,
}

impl Id {
    /// An ID of these bytes; `None` when there are too many.
    pub fn new(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; ID];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self {
            bytes,
            length: id.len() as u8,
        })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

/// What two ends agree on beforehand (RFC 8613 §3.2).
#[derive(Clone, Copy)]
pub struct Material<'m> {
    /// The Master Secret.
    pub secret: &'m [u8],
    /// The Master Salt; empty if there is none.
    pub salt: &'m [u8],
    /// The ID Context, at most 23 bytes.
    pub id_context: Option<&'m [u8]>,
    /// The ID that we send with.
    pub sender: Id,
    /// The ID of the other end.
    pub recipient: Id,
}

/// The keys of a context. There is no `Debug`: keys belong in no log.
#[derive(Clone)]
pub struct Context {
    sender_key: [u8; 16],
    recipient_key: [u8; 16],
    common_iv: [u8; NONCE],
    /// The ID that we send with.
    pub sender: Id,
    /// The ID of the other end.
    pub recipient: Id,
}

/// A message could not be opened: it was made with another key, or changed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

impl Context {
    /// Derives the keys (RFC 8613 §3.2.1); `None` when the ID Context is too long.
    pub fn derive(material: &Material<'_>) -> Option<Self> {
        let root = kdf::extract(material.salt, material.secret)?;
        let mut context = Self {
            sender_key: [0; 16],
            recipient_key: [0; 16],
            common_iv: [0; NONCE],
            sender: material.sender,
            recipient: material.recipient,
        };
        let id_context = material.id_context;
        let nobody = Id::default();
        for (id, kind, out) in [
            (&material.sender, "Key", &mut context.sender_key[..]),
            (&material.recipient, "Key", &mut context.recipient_key),
            (&nobody, "IV", &mut context.common_iv),
        ] {
            expand(&root, id, id_context, kind, out)?;
        }
        Some(context)
    }

    /// The nonce for a Partial IV of the end with this ID (RFC 8613 §5.2).
    pub fn nonce(&self, id: &Id, number: u64) -> [u8; NONCE] {
        let mut nonce = [0; NONCE];
        let (length, rest) = nonce.split_at_mut(1);
        length.fill(id.length);
        let (padded, piv) = rest.split_at_mut(ID);
        let start = ID - usize::from(id.length);
        for (to, from) in padded.iter_mut().skip(start).zip(id.bytes()) {
            *to = *from;
        }
        for (to, from) in piv.iter_mut().zip(number.to_be_bytes().iter().skip(3)) {
            *to = *from;
        }
        for (byte, iv) in nonce.iter_mut().zip(&self.common_iv) {
            *byte ^= iv;
        }
        nonce
    }

    /// Encrypts what lies in the first `length` bytes in place, with the key that we send with, and puts the tag behind it.
    /// `request` is the kid and the number of the request that this is or answers. `None` when there is no room for the tag.
    pub fn seal(
        &self,
        nonce: &[u8; NONCE],
        request: (&Id, u64),
        buffer: &mut [u8],
        length: usize,
    ) -> Option<usize> {
        let (plaintext, rest) = buffer.split_at_mut_checked(length)?;
        let room = rest.get_mut(..TAG)?;
        let mut aad = [0; AAD];
        let aad = additional(request, &mut aad)?;
        room.copy_from_slice(&ccm::seal(&self.sender_key, nonce, aad, plaintext));
        Some(length + TAG)
    }

    /// Decrypts a message of the other end in place, and says how long the plaintext is. The tag is compared in constant
    /// time; what was not authentic is wiped.
    pub fn open(
        &self,
        nonce: &[u8; NONCE],
        request: (&Id, u64),
        buffer: &mut [u8],
    ) -> Result<usize, Forged> {
        let length = buffer.len().checked_sub(TAG).ok_or(Forged)?;
        let (ciphertext, tag) = buffer.split_at_mut_checked(length).ok_or(Forged)?;
        let mut expected = [0; TAG];
        expected.copy_from_slice(tag);
        let mut aad = [0; AAD];
        let aad = additional(request, &mut aad).ok_or(Forged)?;
        if ccm::open(&self.recipient_key, nonce, aad, ciphertext, &expected) {
            Ok(length)
        } else {
            Err(Forged)
        }
    }
}

/// `info` of RFC 8613 §3.2.1 (`[id, id_context, alg, type, L]` in CBOR), and what HKDF makes of it.
fn expand(
    root: &[u8; 32],
    id: &Id,
    id_context: Option<&[u8]>,
    kind: &str,
    out: &mut [u8],
) -> Option<()> {
    let id_context_head = match id_context {
        None => 0xf6,
        Some(context) => byte_string(context)?,
    };
    let info = [
        &[0x85, byte_string(id.bytes())?][..],
        id.bytes(),
        &[id_context_head],
        id_context.unwrap_or(&[]),
        &[ALGORITHM, 0x60 | kind.len() as u8],
        kind.as_bytes(),
        &[out.len() as u8],
    ];
    kdf::expand(root, &[&info], out)
}

/// The longest additional data: its length, 11 bytes of structure, its head, 6 of `external_aad`, a kid and a Partial IV.
const AAD: usize = 2 + 12 + 8 + ID + option::PIV;

/// The additional data (RFC 8613 §5.4): `["Encrypt0", h'', bstr .cbor [1, [alg], request_kid, request_piv, h'']]`, behind its
/// length as CCM has it (RFC 3610 §2.2).
fn additional<'b>((kid, number): (&Id, u64), buffer: &'b mut [u8; AAD]) -> Option<&'b [u8]> {
    let (piv, significant) = option::piv(number);
    let piv = piv.get(8 - significant..)?;
    let kid = kid.bytes();
    let length = 4 + 1 + kid.len() + 1 + piv.len() + 1;
    let parts = [
        &[0, 12 + length as u8][..],
        &b"\x83\x68Encrypt0\x40"[..],
        &[0x40 | length as u8],
        &[0x85, 1, 0x81, ALGORITHM],
        &[byte_string(kid)?],
        kid,
        &[byte_string(piv)?],
        piv,
        &[0x40],
    ];
    let mut end = 0;
    for part in parts {
        let start = end;
        end += part.len();
        buffer.get_mut(start..end)?.copy_from_slice(part);
    }
    buffer.get(..end)
}

/// The head of a CBOR byte string that is shorter than 24 bytes (RFC 8949 §3).
fn byte_string(bytes: &[u8]) -> Option<u8> {
    let length = u8::try_from(bytes.len())
        .ok()
        .filter(|length| *length < 24)?;
    Some(0x40 | length)
}

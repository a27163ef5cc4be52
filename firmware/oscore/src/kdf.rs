//! HKDF with SHA-256 (RFC 5869) over HMAC (RFC 2104), as far as OSCORE and EDHOC need it: keys and salts of at most a block, and
//! at most one block of output.
use sha2::{Digest, Sha256};

/// Bytes of what SHA-256 gives.
pub const HASH: usize = 32;
/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// HMAC-SHA-256 of these groups of parts, one after the other, and of `last`; `None` when the key is longer than a block.
#[inline(never)]
fn hmac(key: &[u8], groups: &[&[&[u8]]], last: &[u8]) -> Option<[u8; HASH]> {
    let mut pad = [0; BLOCK];
    pad.get_mut(..key.len())?.copy_from_slice(key);
    let mut hash = [0; HASH];
    // Inner and outer hash, of which the second has the first for its text.
    for (flip, outer) in [(0x36, false), (0x5c, true)] {
        let mut digest = Sha256::new();
        digest.update(pad.map(|byte| byte ^ flip));
        if outer {
            digest.update(hash);
        } else {
            for part in groups.iter().copied().flatten() {
                digest.update(part);
            }
            digest.update(last);
        }
        hash = digest.finalize().into();
    }
    Some(hash)
}

/// The pseudorandom key of a secret and a salt (RFC 5869 §2.2); `None` when the salt is longer than 64 bytes.
pub fn extract(salt: &[u8], secret: &[u8]) -> Option<[u8; HASH]> {
    hmac(salt, &[&[secret]], &[])
}

/// Fills `out` with what follows from the key and the groups of parts of `info` (RFC 5869 §2.3); `None` for more than 32 bytes.
pub fn expand(key: &[u8; HASH], info: &[&[&[u8]]], out: &mut [u8]) -> Option<()> {
    let block = hmac(key, info, &[1])?;
    out.copy_from_slice(block.get(..out.len())?);
    Some(())
}

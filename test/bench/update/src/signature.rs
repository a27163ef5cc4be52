//! Verifies one signature with the crate that a feature chooses: public key, signature and message are in the file `job`. Answers
//! the instructions it took, and whether the signature was taken and one of another message was not.
#![no_std]
#![no_main]

extern crate alloc;

mod chip;

/// Whether this public key made this signature of this message. Without a crate, nobody did.
#[inline(never)]
fn verify(_key: &[u8; 32], _signature: &[u8; 64], _message: &[u8]) -> bool {
    #[cfg(feature = "dalek")]
    return ed25519_dalek::VerifyingKey::from_bytes(_key).is_ok_and(|key| {
        let signature = ed25519_dalek::Signature::from_bytes(_signature);
        key.verify_strict(_message, &signature).is_ok()
    });
    #[cfg(feature = "salty")]
    return salty::PublicKey::try_from(_key).is_ok_and(|key| {
        key.verify(_message, &salty::Signature::from(_signature))
            .is_ok()
    });
    #[cfg(feature = "compact")]
    return ed25519_compact::PublicKey::new(*_key)
        .verify(_message, &ed25519_compact::Signature::new(*_signature))
        .is_ok();
    #[cfg(not(any(feature = "dalek", feature = "salty", feature = "compact")))]
    false
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let (mut job, mut clock) = chip::begin();
    let Some((key, rest)) = job.split_first_chunk_mut::<32>() else {
        chip::end(&[]);
    };
    let Some((signature, message)) = rest.split_first_chunk_mut::<64>() else {
        chip::end(&[]);
    };
    let before = clock.now();
    let good = verify(key, signature, message);
    let time = clock.now() - before;
    if let Some(byte) = message.first_mut() {
        *byte ^= 1;
    }
    let bad = verify(key, signature, message);
    chip::end(&[time, u64::from(good), u64::from(bad)]);
}

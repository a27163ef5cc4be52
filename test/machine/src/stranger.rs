//! Somebody who begins a handshake of EDHOC, and has no key that the responder knows: what he may send in message_3.
use crate::trace::value;
use wasmote_edhoc::schedule::{self, Cipher, Key, label};
use wasmote_edhoc::{Credential, Curve, First, Identity, MESSAGE_2, P256};
use wasmote_oscore::Id;

/// Whether he is taken for somebody who is known; `None` when it does not come to that.
pub fn attempt(what: u32) -> Option<bool> {
    let (r, i, values) = ("responder", "initiator", "values");
    let (ccs_r, ccs_i) = (
        value::<95>(r, "credential")?,
        value::<107>(i, "credential")?,
    );
    let credential = Credential::parse(&ccs_i)?;
    let own = Identity::new(Credential::parse(&ccs_r)?, &value(r, "secret")?);
    let c_r = Id::new(&value::<1>(r, "c_r")?)?;
    let first = First::parse(&value::<39>("messages", "message_1")?).ok()?;
    let mut out = [0; MESSAGE_2];
    let answered = first.answer::<P256>(&own, c_r, &value(r, "ephemeral")?, &mut out);
    let (waiting, _) = answered.ok()?;

    // He knows what any initiator knows by then.
    let (prk_3e2m, th_3) = (Key::new(value(values, "prk_3e2m")?), value(values, "th_3")?);
    let salt = schedule::derive_key(&prk_3e2m, label::SALT_4E3M, &th_3)?;
    let mut plaintext = value::<10>(values, "plaintext_3")?;
    match what {
        10 => *plaintext.last_mut()? ^= 1,
        // What he would have to share with the responder is taken for nothing, as where it was never computed; for what both have; or is that of a key
        // of his own, under a name that nobody has.
        11..=13 => {
            let shared = match what {
                11 => [0; 32],
                12 => value(values, "g_xy")?,
                _ => {
                    *plaintext.first_mut()? ^= 1;
                    P256::agree(&[3; 32], &P256::point(&value(r, "g_y")?)?)?
                }
            };
            let prk = schedule::extract(&salt, &shared)?;
            let mac = schedule::mac(&prk, label::MAC_3, &[], &credential, &th_3, &[])?;
            plaintext.get_mut(2..)?.copy_from_slice(&mac);
        }
        // All is right.
        _ => {}
    }
    let cipher = Cipher::new(&prk_3e2m, (label::K_3, label::IV_3), &th_3)?;
    let mut message_3 = [0x52; 19];
    let (text, tag) = message_3.get_mut(1..)?.split_at_mut_checked(10)?;
    text.copy_from_slice(&plaintext);
    tag.copy_from_slice(&cipher.seal(text));
    let opened = waiting.open(&message_3).ok()?;
    let known = [credential];
    crate::skip_begin();
    let session = opened.verify::<P256>(&known).ok();
    let oscore = session.and_then(|session| session.oscore());
    crate::skip_judge();
    Some(oscore.is_some())
}

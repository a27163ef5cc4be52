//! libFuzzer's target `handshake`: messages of EDHOC at the end that is asked, in agreement with another reader of CBOR and with an initiator
//! that is written here. What is accepted is a handshake that came to its end.
//!
//! An input is a byte that says what is done with the rest, a length, so many bytes for message_1, and the others for message_3. The curve
//! is none: points are any bytes, and an agreement is their sum, so that all the time goes into the messages.
#![no_main]

#[path = "handshake/oracle.rs"]
mod oracle;
mod tally;

use libfuzzer_sys::Corpus;
use oracle::Shape;
use tally::tally;
use wasmote_edhoc::schedule::{self, Cipher, Hash, Key, label};
use wasmote_edhoc::{
    Credential, Curve, First, Identity, MESSAGE_1, MESSAGE_2, MESSAGE_3, Refusal, Waiting,
    addressed,
};
use wasmote_oscore::Id;

/// A group that costs nothing: bytes under exclusive or, of which some are no points.
enum Cheap {}

impl Curve for Cheap {
    type Point = [u8; 32];

    fn point(x: &[u8; 32]) -> Option<[u8; 32]> {
        (x[0] != 0xff).then_some(*x)
    }

    fn public(secret: &[u8; 32]) -> Option<[u8; 32]> {
        (*secret != [0; 32]).then_some(*secret)
    }

    fn agree(secret: &[u8; 32], point: &[u8; 32]) -> Option<[u8; 32]> {
        Some(std::array::from_fn(|at| secret[at] ^ point[at]))
    }
}

const X: [u8; 32] = [0x11; 32];
const Y: [u8; 32] = [0x22; 32];
const SECRET_I: [u8; 32] = [0x44; 32];
const SECRET_R: [u8; 32] = [0x88; 32];

/// A Claims Set with this kid and key.
fn claims(kid: u8, x: &[u8; 32]) -> Vec<u8> {
    let head = [
        0xa1, 8, 0xa1, 1, 0xa4, 1, 2, 2, 0x41, kid, 0x20, 1, 0x21, 0x58, 0x20,
    ];
    [&head[..], x].concat()
}

/// What an initiator derives of message_2.
struct Initiator {
    prk_3e2m: Key,
    th_3: Hash,
}

impl Initiator {
    /// Opens message_2, which has to be what a responder with these says.
    fn new(message_1: &[u8], message_2: &[u8], c_r: &Id, credential: &Credential<'_>) -> Self {
        let first = Shape::read(message_1).expect("a message_1 that was taken");
        assert_eq!(usize::from(message_2[1]), message_2.len() - 2);
        let (g_y, ciphertext) = message_2[2..].split_at(32);
        assert_eq!(g_y, Y);
        let th_2 = schedule::th_2(&Y, &schedule::hash(&[message_1]));
        let shared = |secret| Cheap::agree(secret, &first.g_x).unwrap();
        let prk_2e = schedule::extract(&th_2, &shared(&Y)).unwrap();
        let mut plaintext = vec![0; ciphertext.len()];
        schedule::derive(&prk_2e, label::KEYSTREAM_2, &[&th_2], &mut plaintext).unwrap();
        plaintext
            .iter_mut()
            .zip(ciphertext)
            .for_each(|(to, from)| *to ^= from);
        let salt = schedule::derive_key(&prk_2e, label::SALT_3E2M, &th_2).unwrap();
        let prk_3e2m = schedule::extract(&salt, &shared(&SECRET_R)).unwrap();
        let front = oracle::identifier(c_r.bytes());
        let mac = schedule::mac(&prk_3e2m, label::MAC_2, &front, credential, &th_2, &[]).unwrap();
        let kid = oracle::identifier(credential.kid().bytes());
        assert_eq!(plaintext, [&front[..], &kid, &[0x48], &mac].concat());
        let th_3 = schedule::th_next(&th_2, &plaintext, credential);
        Self { prk_3e2m, th_3 }
    }

    /// PRK_4e3m, with what `SECRET_I` shares with the responder.
    fn prk_4e3m(&self) -> Key {
        let salt = schedule::derive_key(&self.prk_3e2m, label::SALT_4E3M, &self.th_3).unwrap();
        schedule::extract(&salt, &Cheap::agree(&SECRET_I, &Y).unwrap()).unwrap()
    }

    /// A message_3 with this plaintext.
    fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        let labels = (label::K_3, label::IV_3);
        let mut text = plaintext.to_vec();
        let cipher = Cipher::new(&self.prk_3e2m, labels, &self.th_3).unwrap();
        let tag = cipher.seal(&mut text);
        text.extend(tag);
        oracle::bytes(&text)
    }

    /// PLAINTEXT_3 of one who is known, with this behind it.
    fn plaintext(&self, credential: &Credential<'_>, ead: &[u8]) -> Vec<u8> {
        let (prk, th) = (self.prk_4e3m(), &self.th_3);
        let mac = schedule::mac(&prk, label::MAC_3, &[], credential, th, ead).unwrap();
        let kid = oracle::identifier(credential.kid().bytes());
        [&kid[..], &[0x48], &mac, ead].concat()
    }
}

/// Whether a handshake with message_3 has to succeed, and does; both ends have the same at its end.
fn finish(
    initiator: &Initiator,
    waiting: Waiting,
    (message_3, plaintext): (&[u8], Option<&[u8]>),
    known: &Credential<'_>,
) -> bool {
    let peers = [*known];
    let ended = waiting
        .open(message_3)
        .and_then(|opened| opened.verify::<Cheap>(&peers));
    let plaintext = plaintext.filter(|text| {
        let good = initiator.plaintext(known, &[]).len();
        let ead = text.get(good..).and_then(oracle::ead);
        message_3.len() <= MESSAGE_3 && ead == Some(true)
    });
    // Without the key of somebody who is known nothing succeeds.
    let plaintext = plaintext.filter(|text| {
        let ead = &text[initiator.plaintext(known, &[]).len()..];
        *text == initiator.plaintext(known, ead)
    });
    assert_eq!(ended.is_ok(), plaintext.is_some(), "{:?}", ended.err());
    let Ok(session) = ended else {
        return false;
    };
    let prk = initiator.prk_4e3m();
    let th_4 = schedule::th_next(&initiator.th_3, plaintext.unwrap_or(&[]), known);
    let cipher = Cipher::new(&prk, (label::K_4, label::IV_4), &th_4).unwrap();
    let message_4 = oracle::bytes(&cipher.seal(&mut []));
    assert_eq!(session.message_4().unwrap()[..], message_4);
    assert_eq!(session.peer, 0);
    assert!(session.oscore().is_some());
    true
}

fn handshake(input: &[u8]) -> bool {
    let [what, length, rest @ ..] = input else {
        return false;
    };
    let (one, two) = rest.split_at(usize::from(*length).min(rest.len()));
    oracle::judge_addressed(one, addressed(one));
    oracle::judge_credential(one, Credential::parse(one));
    // As it is, or authorization data behind one that is good.
    let message_1 = match what & 1 {
        0 => one.to_vec(),
        _ => [&[3, 2, 0x58, 0x20], &X[..], &[0x0e], one].concat(),
    };
    let first = First::parse(&message_1);
    let shape = Shape::read(&message_1).filter(|_| message_1.len() <= MESSAGE_1);
    let expected = shape.as_ref().map_or(Err(Refusal::Malformed), Shape::judge);
    assert_eq!(first.as_ref().map(|_| ()).map_err(|why| *why), expected);
    let Ok(first) = first else {
        return false;
    };
    let (ccs_i, ccs_r) = (claims(0x2b, &SECRET_I), claims(0x81, &SECRET_R));
    let known = Credential::parse(&ccs_i).unwrap();
    let credential = Credential::parse(&ccs_r).unwrap();
    let own = Identity::new(credential, &SECRET_R);
    let c_r = Id::new(if what & 2 == 0 {
        &[0x27]
    } else {
        &[0x80, 0x81]
    })
    .unwrap();
    let mut message_2 = [0; MESSAGE_2];
    let (waiting, length) = match first.answer::<Cheap>(&own, c_r, &Y, &mut message_2) {
        Ok(answered) => answered,
        Err(why) => {
            let same = *first.initiator() == c_r;
            let off = shape.is_some_and(|shape| shape.g_x[0] == 0xff);
            assert!(why == Refusal::Identifier && same || why == Refusal::Point && off);
            return false;
        }
    };
    let initiator = Initiator::new(&message_1, &message_2[..length], &c_r, &credential);
    let good = initiator.plaintext(&known, two);
    let (message_3, plaintext) = match what >> 2 & 3 {
        0 => (two.to_vec(), None),
        1 => (initiator.seal(two), Some(two)),
        _ => (initiator.seal(&good), Some(&good[..])),
    };
    finish(&initiator, waiting, (&message_3, plaintext), &known)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| -> Corpus {
    tally(handshake(bytes));
    Corpus::Keep
});

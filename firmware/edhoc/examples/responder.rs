//! A responder as a program, for peers written by others: takes its secret, its credential, what it calls connections and whom it knows as
//! words in hexadecimal; then each line of input is a message as it comes on CoAP, and each line of output what becomes of it.
//!
//! ```text
//! message HEX                                      message_2
//! session PEER SECRET SALT SENDER RECIPIENT HEX    the OSCORE context, and message_4
//! error HEX                                        an error message; the handshake is over
//! ```
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
use std::io::{BufRead, Read, Write};
use wasmote_edhoc::{
    Credential, First, Identity, MESSAGE_2, P256, Refusal, Session, Waiting, addressed,
};
use wasmote_oscore::Id;

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let pairs = digits.map(|pair| std::str::from_utf8(pair).expect("hexadecimal"));
    let bytes: Result<_, _> = pairs.map(|pair| u8::from_str_radix(pair, 16)).collect();
    bytes.expect("hexadecimal")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut source = std::fs::File::open("/dev/urandom").expect("random bytes");
    source.read_exact(&mut bytes).expect("random bytes");
    bytes
}

struct Responder<'c> {
    own: Identity<'c>,
    connection: Id,
    known: Vec<Credential<'c>>,
    waiting: Option<Waiting>,
}

impl Responder<'_> {
    fn take(&mut self, payload: &[u8]) -> Result<String, Refusal> {
        let waiting = self.waiting.take();
        match addressed(payload) {
            Some((None, message_1)) => {
                let first = First::parse(message_1)?;
                let mut out = [0; MESSAGE_2];
                let (waiting, length) =
                    first.answer::<P256>(&self.own, self.connection, &random(), &mut out)?;
                self.waiting = Some(waiting);
                Ok(format!("message {}", hex(&out[..length])))
            }
            Some((Some(id), message_3)) => {
                let waiting = waiting.filter(|waiting| *waiting.identifier() == id);
                let opened = waiting.ok_or(Refusal::Malformed)?.open(message_3)?;
                Ok(told(&opened.verify::<P256>(&self.known)?))
            }
            None => Err(Refusal::Malformed),
        }
    }
}

fn told(session: &Session) -> String {
    let oscore = session.oscore().expect("short enough");
    let id = |id: &Id| format!("0x{}", hex(id.bytes()));
    format!(
        "session {} {} {} {} {} {}",
        session.peer,
        hex(&*oscore.secret),
        hex(&oscore.salt),
        id(&oscore.sender),
        id(&oscore.recipient),
        hex(&session.message_4().expect("short enough")),
    )
}

fn main() {
    let words: Vec<_> = std::env::args().skip(1).map(|word| unhex(&word)).collect();
    let [secret, credential, connection, known @ ..] = &words[..] else {
        panic!("usage: SECRET CREDENTIAL CONNECTION KNOWN…");
    };
    let read = |ccs| Credential::parse(ccs).expect("a credential");
    let secret = secret[..].try_into().expect("32 bytes");
    let mut responder = Responder {
        own: Identity::new(read(credential), secret),
        connection: Id::new(connection).expect("at most 7 bytes"),
        known: known.iter().map(|ccs| read(ccs)).collect(),
        waiting: None,
    };
    for line in std::io::stdin().lock().lines() {
        let told = responder.take(&unhex(&line.expect("text")));
        let told = told.unwrap_or_else(|why| format!("error {}", hex(why.message())));
        println!("{told}");
        std::io::stdout().flush().expect("somebody who reads");
    }
}

//! The other end of a key exchange (RFC 9528 §5): one who begins it.
use super::Rig;
use super::holder::Holder;
use wasmote_coap::{Code, Kind, Message, Writer, option};
use wasmote_edhoc::schedule::{self, Cipher, Hash, Key, exporter, label};
use wasmote_edhoc::{Credential, Curve, P256};
use wasmote_node::package::{Initiator as Known, Own};
use wasmote_oscore::{Id, Material};

/// A Claims Set of a kid and a key for P-256.
pub fn claims(kid: u8, secret: &[u8; 32]) -> &'static [u8] {
    let mut ccs = vec![
        0xa1, 8, 0xa1, 1, 0xa4, 1, 2, 2, 0x41, kid, 0x20, 1, 0x21, 0x58, 0x20,
    ];
    ccs.extend(P256::public(secret).unwrap());
    ccs.leak()
}

/// The node's own key.
pub const NODE: [u8; 32] = [0x21; 32];

pub fn own() -> Own {
    Own::new(Box::leak(Box::new(NODE)), claims(0x72, &NODE)).unwrap()
}

/// Somebody with a key of his own, whose kid is this number.
#[derive(Clone, Copy)]
pub struct Person(pub u8);

impl Person {
    fn secret(self) -> [u8; 32] {
        [self.0; 32]
    }

    pub fn known(self, rights: u8, place: Option<u8>) -> Known {
        let ccs = claims(self.0, &self.secret());
        Known { ccs, rights, place }
    }
}

/// An answer: code, payload, Max-Age.
pub type Said = (Code, Vec<u8>, u32);

/// A handshake of his.
pub struct Handshake {
    who: Person,
    ephemeral: [u8; 32],
    c_i: Vec<u8>,
    pub message_1: Vec<u8>,
    then: Option<Then>,
}

/// What he knows since message_2.
struct Then {
    c_r: u8,
    prk_4e3m: Key,
    th_4: Hash,
    pub message_3: Vec<u8>,
}

fn encoded(id: &[u8]) -> Vec<u8> {
    match id {
        [one @ (0..=0x17 | 0x20..=0x37)] => vec![*one],
        _ => [&[0x40 | id.len() as u8], id].concat(),
    }
}

impl Handshake {
    pub fn begin(who: Person, number: u8, c_i: &[u8]) -> Self {
        let mut ephemeral = [number; 32];
        // Below the order of the curve.
        ephemeral[31] = 0x10;
        ephemeral[0] &= 0x7f;
        let x = P256::public(&ephemeral).unwrap();
        let message_1 = [&[3, 2, 0x58, 0x20], &x[..], &encoded(c_i)].concat();
        Self {
            who,
            ephemeral,
            c_i: c_i.to_vec(),
            message_1,
            then: None,
        }
    }

    /// Takes message_2 of the node; what we are called in front of message_3.
    pub fn take(&mut self, message_2: &[u8]) {
        let (node, own) = (claims(0x72, &NODE), claims(self.who.0, &self.who.secret()));
        let (node, own) = (
            Credential::parse(node).unwrap(),
            Credential::parse(own).unwrap(),
        );
        assert_eq!(usize::from(message_2[1]), message_2.len() - 2);
        let (g_y, ciphertext) = message_2[2..].split_at(32);
        let g_y: [u8; 32] = g_y.try_into().unwrap();
        let point = |x: &[u8; 32]| P256::point(x).unwrap();
        let agree = |secret, x| P256::agree(secret, &point(x)).unwrap();
        let th_2 = schedule::th_2(&g_y, &schedule::hash(&[&self.message_1]));
        let prk_2e = schedule::extract(&th_2, &agree(&self.ephemeral, &g_y)).unwrap();
        let mut plaintext = vec![0; ciphertext.len()];
        schedule::derive(&prk_2e, label::KEYSTREAM_2, &[&th_2], &mut plaintext).unwrap();
        for (to, from) in plaintext.iter_mut().zip(ciphertext) {
            *to ^= from;
        }
        let salt = schedule::derive_key(&prk_2e, label::SALT_3E2M, &th_2).unwrap();
        let prk_3e2m = schedule::extract(&salt, &agree(&self.ephemeral, node.x())).unwrap();
        // Ours are called by one byte, mostly one that is an integer.
        let (front, c_r) = match plaintext[0] {
            0x41 => (&plaintext[..2], plaintext[1]),
            one => (&plaintext[..1], one),
        };
        let mac = schedule::mac(&prk_3e2m, label::MAC_2, front, &node, &th_2, &[]).unwrap();
        let kid = encoded(node.kid().bytes());
        assert_eq!(
            plaintext,
            [front, &kid, &[0x48], &mac].concat(),
            "the node shows who it is"
        );
        let th_3 = schedule::th_next(&th_2, &plaintext, &node);
        let salt = schedule::derive_key(&prk_3e2m, label::SALT_4E3M, &th_3).unwrap();
        let prk_4e3m = schedule::extract(&salt, &agree(&self.who.secret(), &g_y)).unwrap();
        let mac = schedule::mac(&prk_4e3m, label::MAC_3, &[], &own, &th_3, &[]).unwrap();
        let text = [&encoded(own.kid().bytes())[..], &[0x48], &mac].concat();
        let mut sealed = text.clone();
        let cipher = Cipher::new(&prk_3e2m, (label::K_3, label::IV_3), &th_3).unwrap();
        let tag = cipher.seal(&mut sealed);
        sealed.extend(tag);
        self.then = Some(Then {
            c_r,
            prk_4e3m,
            th_4: schedule::th_next(&th_3, &text, &own),
            message_3: [&[0x40 | sealed.len() as u8][..], &sealed].concat(),
        });
    }

    pub fn first(&self) -> Vec<u8> {
        [&[0xf5], &self.message_1[..]].concat()
    }

    pub fn third(&self) -> Vec<u8> {
        let then = self.then.as_ref().unwrap();
        [&encoded(&[then.c_r])[..], &then.message_3].concat()
    }

    /// What he has once message_4 is right, or without it.
    pub fn holder(&self, message_4: Option<&[u8]>) -> Holder {
        let then = self.then.as_ref().unwrap();
        if let Some(message_4) = message_4 {
            let labels = (label::K_4, label::IV_4);
            let cipher = Cipher::new(&then.prk_4e3m, labels, &then.th_4).unwrap();
            let tag = cipher.seal(&mut []);
            assert_eq!(message_4, [&[0x48], &tag[..]].concat());
        }
        let prk_out = schedule::derive_key(&then.prk_4e3m, label::PRK_OUT, &then.th_4).unwrap();
        let mut prk = Key::default();
        schedule::derive(&prk_out, label::PRK_EXPORTER, &[], &mut *prk).unwrap();
        let (mut secret, mut salt) = ([0; 16], [0; 8]);
        schedule::derive(&prk, exporter::OSCORE_SECRET, &[], &mut secret).unwrap();
        schedule::derive(&prk, exporter::OSCORE_SALT, &[], &mut salt).unwrap();
        let mut holder = Holder::with(&Material {
            secret: &secret,
            salt: &salt,
            id_context: None,
            sender: Id::new(&[then.c_r]).unwrap(),
            recipient: Id::new(&self.c_i).unwrap(),
        });
        // What we are called is used again, and message IDs are not.
        holder.id = 0x2000 + u16::from(self.ephemeral[1]) * 32;
        holder
    }
}

impl Rig {
    /// Whether the board's generator of random numbers works.
    pub fn random(&mut self, works: bool) {
        self.clock.2 = works;
    }

    /// A request with a message of a key exchange, and its token.
    fn first_or_third(&mut self, payload: &[u8]) -> (Vec<u8>, [u8; 2]) {
        self.serial = self.serial.wrapping_add(1);
        let (id, token) = (0x8000 | self.serial, self.serial.to_be_bytes());
        let mut buffer = [0; 1_200];
        let mut w = Writer::new(&mut buffer, Kind::Con, Code::POST, id, &token);
        for segment in [".well-known", "edhoc"] {
            w.option(option::URI_PATH, segment.as_bytes());
        }
        w.option(option::CONTENT_FORMAT, &[65]);
        (w.finish(payload).unwrap().to_vec(), token)
    }

    /// Begins to work at a message of a key exchange, whose token this is; what comes of it is not waited for.
    pub fn put_message(&mut self, payload: &[u8]) -> [u8; 2] {
        let (datagram, token) = self.first_or_third(payload);
        let told = self.hears(&datagram);
        assert!(told.is_empty(), "it is answered at once: {told:x?}");
        token
    }

    /// A sample comes; how many steps of the Runner it takes until `flow` is what the module says of it.
    pub fn steps_until(&mut self, value: f32, flow: &str) -> u32 {
        self.put_sample(value);
        for steps in 1..100 {
            self.hold(1);
            let now = self.now();
            self.server.poll(now, &mut |_: u8, _: &[u8]| {});
            let mut told = Vec::new();
            self.id = self.id.wrapping_add(1);
            let mut buffer = [0; 64];
            let mut w = Writer::new(&mut buffer, Kind::Con, Code::GET, self.id, b"f");
            for segment in ["outputs", "flow"] {
                w.option(option::URI_PATH, segment.as_bytes());
            }
            let datagram = w.finish(&[]).unwrap();
            let mut hear = |_: u8, d: &[u8]| told = d.to_vec();
            self.server
                .receive(now, self.peer, false, datagram, &mut hear);
            if Message::parse(&told).unwrap().payload == flow.as_bytes() {
                return steps;
            }
        }
        panic!("the module says nothing");
    }

    /// A message of a key exchange, in a request of its own; what it is answered with, if it is.
    pub fn hand(&mut self, payload: &[u8]) -> Option<Said> {
        let (datagram, token) = self.first_or_third(payload);
        let answers = self.datagram(&datagram);
        self.said(&answers, &token)
    }

    /// What a request of this token was answered with, where one of these is its answer.
    pub fn said(&mut self, answers: &[Vec<u8>], token: &[u8]) -> Option<Said> {
        let answer = self.answer(answers, token)?;
        let message = Message::parse(&answer).unwrap();
        let age = message.options.get(option::MAX_AGE).unwrap_or(&[]);
        let age = age.iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
        Some((message.code, message.payload.to_vec(), age))
    }

    /// The answer to a request of this token among these, which is acknowledged where it has to be.
    pub fn answer(&mut self, answers: &[Vec<u8>], token: &[u8]) -> Option<Vec<u8>> {
        let answers_it = |answer: &&Vec<u8>| {
            let message = Message::parse(answer).unwrap();
            message.token == token && message.code != Code(0)
        };
        let answer = answers.iter().find(answers_it)?;
        let message = Message::parse(answer).unwrap();
        if message.kind == Kind::Con {
            let mut buffer = [0; 8];
            let ack = Writer::new(&mut buffer, Kind::Ack, Code(0), message.id, &[]);
            let ack = ack.finish(&[]).unwrap().to_vec();
            assert!(self.datagram(&ack).is_empty());
        }
        Some(answer.clone())
    }

    /// A whole exchange; what he has then, or what he was refused with.
    pub fn agree(&mut self, who: Person, number: u8, c_i: &[u8]) -> Result<Holder, Said> {
        let mut handshake = Handshake::begin(who, number, c_i);
        let said = self.hand(&handshake.first()).expect("an answer");
        if said.0 != Code::CHANGED {
            return Err(said);
        }
        handshake.take(&said.1);
        let said = self.hand(&handshake.third()).expect("an answer");
        if said.0 != Code::CHANGED {
            return Err(said);
        }
        Ok(handshake.holder(Some(&said.1)))
    }
}

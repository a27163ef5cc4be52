//! The responder of a handshake (RFC 9528 §5): a node, which is asked.
use crate::cbor::{Head, Reader, major};
use crate::credential::{Credential, Identity};
use crate::curve::Curve;
use crate::refusal::Refusal;
use crate::schedule::{self, Cipher, Hash, Key, MAC, exporter, label};
use core::ops::Range;
use wasmote_oscore::Id;
use wasmote_oscore::ccm::{TAG, same};
use zeroize::Zeroizing;

/// The longest message_1 that is taken, with external authorization data.
pub const MESSAGE_1: usize = 256;
/// The longest message_2: an x-coordinate, two identifiers and a MAC.
pub const MESSAGE_2: usize = 2 + 32 + PLAINTEXT_2;
/// The longest message_3 that is taken.
pub const MESSAGE_3: usize = 128;
/// Bytes of message_4: a tag.
pub const MESSAGE_4: usize = 1 + TAG;

/// C_R, a kid and MAC_2; [`schedule::derive`] gives a key stream for no more than 32.
const PLAINTEXT_2: usize = 8 + 8 + 1 + MAC;
const _: () = assert!(PLAINTEXT_2 <= 32);

/// The method: both ends have static Diffie-Hellman keys (RFC 9528 §3.2).
const METHOD: i64 = 3;
/// The cipher suite (RFC 9528 §3.6).
const SUITE: i64 = 2;

/// Whom a message is for that comes in a CoAP request (RFC 9528 §A.2): `None` in front of message_1, of message_3 what we call the
/// connection; behind it the message. `None` for the whole where neither is in front.
pub fn addressed(payload: &[u8]) -> Option<(Option<Id>, &[u8])> {
    match payload {
        // The simple value `true`.
        [0xf5, message @ ..] => Some((None, message)),
        _ => {
            let mut r = Reader::new(payload);
            let id = r.identifier()?;
            Some((Some(id), r.rest))
        }
    }
}

/// message_1 as far as it can be checked without the curve.
#[derive(Clone)]
pub struct First {
    g_x: [u8; 32],
    c_i: Id,
    hash: Hash,
}

impl First {
    /// Reads message_1 (RFC 9528 §5.2.3).
    pub fn parse(message_1: &[u8]) -> Result<Self, Refusal> {
        if message_1.len() > MESSAGE_1 {
            return Err(Refusal::Malformed);
        }
        let mut r = Reader::new(message_1);
        let method = r.integer().ok_or(Refusal::Malformed)?;
        let suites = Suites::read(&mut r).ok_or(Refusal::Malformed)?;
        let g_x = r.bytes().ok_or(Refusal::Malformed)?;
        let c_i = r.identifier().ok_or(Refusal::Malformed)?;
        let harmless = r.ead().ok_or(Refusal::Malformed)?;
        if method != METHOD {
            return Err(Refusal::Method);
        }
        if !suites.good() {
            return Err(Refusal::Suite);
        }
        let g_x = <[u8; 32]>::try_from(g_x).map_err(|_| Refusal::Malformed)?;
        if !harmless {
            return Err(Refusal::Critical);
        }
        Ok(Self {
            g_x,
            c_i,
            hash: schedule::hash(&[message_1]),
        })
    }

    /// What the initiator calls this connection, C_I: we must not call it the same.
    pub fn initiator(&self) -> &Id {
        &self.c_i
    }

    /// Composes message_2 (RFC 9528 §5.3.2) in one go: see [`First::begin`].
    pub fn answer<C: Curve>(
        &self,
        own: &Identity<'_>,
        c_r: Id,
        random: &[u8; 32],
        out: &mut [u8; MESSAGE_2],
    ) -> Result<(Waiting, usize), Refusal> {
        let mut answering = self.clone().begin::<C>(c_r, random)?;
        loop {
            match answering.step(own, out)? {
                Progress::More(next) => answering = next,
                Progress::Done(waiting, length) => return Ok((waiting, length)),
            }
        }
    }

    /// Begins to compose message_2. `c_r` is what we call this connection; `random` becomes our ephemeral secret, and is never to be
    /// used again. What follows takes the curve four times, once a [`step`](Answering::step).
    pub fn begin<C: Curve>(self, c_r: Id, random: &[u8; 32]) -> Result<Answering<C>, Refusal> {
        if c_r == self.c_i {
            return Err(Refusal::Identifier);
        }
        Ok(Answering {
            first: self,
            c_r,
            ephemeral: Zeroizing::new(*random),
            g_x: None,
            g_y: None,
            g_xy: None,
        })
    }

    /// Writes message_2; PRK_3e2m, TH_3 and the length.
    fn compose(
        &self,
        own: &Identity<'_>,
        c_r: Id,
        g_y: &[u8; 32],
        (g_xy, g_rx): (&[u8; 32], &[u8; 32]),
        out: &mut [u8; MESSAGE_2],
    ) -> Option<(Key, Hash, usize)> {
        let credential = &own.credential;
        let th_2 = schedule::th_2(g_y, &self.hash);
        let prk_2e = schedule::extract(&th_2, g_xy)?;
        let salt = schedule::derive_key(&prk_2e, label::SALT_3E2M, &th_2)?;
        let prk_3e2m = schedule::extract(&salt, g_rx)?;
        let (mut c_r_room, mut kid_room) = ([0; 8], [0; 8]);
        let c_r = schedule::encode_identifier(&c_r, &mut c_r_room);
        let kid = schedule::encode_identifier(&credential.kid, &mut kid_room);
        let mac = schedule::mac(&prk_3e2m, label::MAC_2, c_r, credential, &th_2, &[])?;

        let length = c_r.len() + kid.len() + 1 + MAC;
        let head = Head::new(major::BYTES, 32 + length);
        let whole = head.bytes().len() + 32 + length;
        let parts = [head.bytes(), g_y, c_r, kid, &[0x40 | MAC as u8], &mac];
        let out = out.get_mut(..whole)?;
        for (to, from) in out.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        let plaintext = out.get_mut(head.bytes().len() + 32..)?;
        let th_3 = schedule::th_next(&th_2, plaintext, credential);
        let mut stream = Zeroizing::new([0; PLAINTEXT_2]);
        let stream = stream.get_mut(..length)?;
        schedule::derive(&prk_2e, label::KEYSTREAM_2, &[&th_2], stream)?;
        for (byte, key) in plaintext.iter_mut().zip(stream) {
            *byte ^= *key;
        }
        Some((prk_3e2m, th_3, whole))
    }
}

/// message_2 in the making: between two steps others may have the processor. What it holds is wiped when it goes.
pub struct Answering<C: Curve> {
    first: First,
    c_r: Id,
    ephemeral: Zeroizing<[u8; 32]>,
    g_x: Option<C::Point>,
    g_y: Option<[u8; 32]>,
    g_xy: Option<Zeroizing<[u8; 32]>>,
}

/// How far message_2 is.
pub enum Progress<C: Curve> {
    /// Not whole yet.
    More(Answering<C>),
    /// Whole, with its length.
    Done(Waiting, usize),
}

impl<C: Curve> Answering<C> {
    /// Takes the curve once: for the point of the initiator, a key of our own, and two agreements in turn. With the last it writes message_2.
    pub fn step(
        mut self,
        own: &Identity<'_>,
        out: &mut [u8; MESSAGE_2],
    ) -> Result<Progress<C>, Refusal> {
        let Some(g_x) = &self.g_x else {
            self.g_x = Some(C::point(&self.first.g_x).ok_or(Refusal::Point)?);
            return Ok(Progress::More(self));
        };
        let Some(g_y) = &self.g_y else {
            self.g_y = Some(C::public(&self.ephemeral).ok_or(Refusal::Random)?);
            return Ok(Progress::More(self));
        };
        let Some(g_xy) = &self.g_xy else {
            let shared = C::agree(&self.ephemeral, g_x).ok_or(Refusal::Random)?;
            self.g_xy = Some(Zeroizing::new(shared));
            return Ok(Progress::More(self));
        };
        let g_rx = C::agree(&own.secret, g_x).map(Zeroizing::new);
        let g_rx = g_rx.ok_or(Refusal::Random)?;
        let composed = self.first.compose(own, self.c_r, g_y, (g_xy, &g_rx), out);
        // Nothing that is derived here is too long for what derives it.
        let (prk_3e2m, th_3, length) = composed.ok_or(Refusal::Malformed)?;
        let waiting = Waiting {
            prk_3e2m,
            th_3,
            ephemeral: self.ephemeral,
            c_i: self.first.c_i,
            c_r: self.c_r,
        };
        Ok(Progress::Done(waiting, length))
    }
}

/// Cipher suites that the initiator has, the one it selected last (RFC 9528 §5.2.2).
struct Suites {
    /// Whether ours is among those before the last, and whether it is the last.
    before: bool,
    selected: bool,
}

impl Suites {
    /// An integer, or an array of at least two.
    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let count = match r.rest.first()? >> 5 {
            major::ARRAY => r.of(major::ARRAY).filter(|count| *count >= 2)?,
            _ => 1,
        };
        let mut all = Self {
            before: false,
            selected: false,
        };
        for _ in 0..count {
            all.before |= all.selected;
            all.selected = r.integer()? == SUITE;
        }
        Some(all)
    }

    /// Whether ours was selected, and none that is liked better could have been (RFC 9528 §5.2.3).
    fn good(&self) -> bool {
        self.selected && !self.before
    }
}

/// A handshake that waits for message_3. What it holds is wiped when it goes.
pub struct Waiting {
    prk_3e2m: Key,
    th_3: Hash,
    ephemeral: Zeroizing<[u8; 32]>,
    c_i: Id,
    c_r: Id,
}

impl Waiting {
    /// What we call this connection, C_R, in front of message_3 on CoAP (RFC 9528 §A.2).
    pub fn identifier(&self) -> &Id {
        &self.c_r
    }

    /// Decrypts message_3 and reads it (RFC 9528 §5.4.3): that its tag is right says nothing about who made it yet.
    pub fn open(self, message_3: &[u8]) -> Result<Opened, Refusal> {
        if message_3.len() > MESSAGE_3 {
            return Err(Refusal::Malformed);
        }
        let mut r = Reader::new(message_3);
        let sealed = r.bytes().ok_or(Refusal::Malformed)?;
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG>().ok_or(Refusal::Malformed)?;
        if !r.rest.is_empty() {
            return Err(Refusal::Malformed);
        }
        let mut plaintext = Zeroizing::new([0; MESSAGE_3]);
        let length = ciphertext.len();
        let text = plaintext.get_mut(..length).ok_or(Refusal::Malformed)?;
        text.copy_from_slice(ciphertext);
        let labels = (label::K_3, label::IV_3);
        let cipher = Cipher::new(&self.prk_3e2m, labels, &self.th_3).ok_or(Refusal::Malformed)?;
        if !cipher.open(text, tag) {
            return Err(Refusal::Forged);
        }
        let mut r = Reader::new(text);
        if r.rest.first().is_some_and(|byte| byte >> 5 == major::MAP) {
            return Err(Refusal::Identification);
        }
        let kid = r.identifier().ok_or(Refusal::Malformed)?;
        let mac = r.bytes().and_then(|mac| <[u8; MAC]>::try_from(mac).ok());
        let mac = mac.ok_or(Refusal::Malformed)?;
        let ead = length - r.rest.len()..length;
        if !r.ead().ok_or(Refusal::Malformed)? {
            return Err(Refusal::Critical);
        }
        Ok(Opened {
            waiting: self,
            plaintext,
            ead,
            kid,
            mac,
        })
    }
}

/// A message_3 from somebody who is the initiator of message_1, and claims to be known.
pub struct Opened {
    waiting: Waiting,
    plaintext: Zeroizing<[u8; MESSAGE_3]>,
    /// Where external authorization data is, up to the end of the plaintext.
    ead: Range<usize>,
    kid: Id,
    mac: [u8; MAC],
}

impl Opened {
    /// Finds who it claims to be among those who are known, and whether it is true. Of two with one `kid` the first counts: see
    /// to it that there are none (RFC 9528 §3.5.3).
    ///
    /// Takes the curve twice: for the point of the initiator's key, and one agreement.
    #[inline(never)]
    pub fn verify<C: Curve>(self, peers: &[Credential<'_>]) -> Result<Session, Refusal> {
        let mut all = peers.iter().enumerate();
        let found = all.find(|(_, peer)| peer.kid == self.kid);
        let (peer, credential) = found.ok_or(Refusal::Stranger)?;
        let g_i = C::point(&credential.x).ok_or(Refusal::Point)?;
        let g_iy = C::agree(&self.waiting.ephemeral, &g_i).map(Zeroizing::new);
        let g_iy = g_iy.ok_or(Refusal::Point)?;
        let derived = self.derive(credential, &g_iy).ok_or(Refusal::Malformed)?;
        let (expected, prk_4e3m, th_4) = derived;
        if !same(&expected, &self.mac) {
            return Err(Refusal::Forged);
        }
        let prk_out = schedule::derive_key(&prk_4e3m, label::PRK_OUT, &th_4);
        let prk_out = prk_out.ok_or(Refusal::Malformed)?;
        Ok(Session {
            said: self.mac,
            expected: expected.map(|byte| !byte),
            prk_out,
            prk_4e3m,
            th_4,
            peer,
            c_i: self.waiting.c_i,
            c_r: self.waiting.c_r,
        })
    }

    /// MAC_3 as it has to be, PRK_4e3m and TH_4.
    fn derive(
        &self,
        credential: &Credential<'_>,
        g_iy: &[u8; 32],
    ) -> Option<([u8; MAC], Key, Hash)> {
        let Waiting { prk_3e2m, th_3, .. } = &self.waiting;
        let salt = schedule::derive_key(prk_3e2m, label::SALT_4E3M, th_3)?;
        let prk_4e3m = schedule::extract(&salt, g_iy)?;
        let ead = self.plaintext.get(self.ead.clone())?;
        let mac = schedule::mac(&prk_4e3m, label::MAC_3, &[], credential, th_3, ead)?;
        let plaintext = self.plaintext.get(..self.ead.end)?;
        let th_4 = schedule::th_next(th_3, plaintext, credential);
        Some((mac, prk_4e3m, th_4))
    }
}

/// A handshake that succeeded.
pub struct Session {
    /// MAC_3, and the complement of what it has to be: looked at once more before keys are given away, so that no instruction that a
    /// disturbance of the chip leaves out makes somebody known, nor a session of what lies in memory (`test/node/skip.test.ts`).
    said: [u8; MAC],
    expected: [u8; MAC],
    prk_out: Key,
    prk_4e3m: Key,
    th_4: Hash,
    c_i: Id,
    c_r: Id,
    /// Who it is with: a place in what was given to [`Opened::verify`].
    pub peer: usize,
}

/// What an OSCORE context is derived from ([`wasmote_oscore::Material`]).
pub struct Oscore {
    /// The Master Secret.
    pub secret: Zeroizing<[u8; 16]>,
    /// The Master Salt.
    pub salt: [u8; 8],
    /// The ID that we send with: what the initiator calls the connection.
    pub sender: Id,
    /// The ID of the initiator: what we call it.
    pub recipient: Id,
}

impl Session {
    /// Composes message_4, by which the initiator knows that we have the same secret (RFC 9528 §5.5).
    pub fn message_4(&self) -> Option<[u8; MESSAGE_4]> {
        let cipher = Cipher::new(&self.prk_4e3m, (label::K_4, label::IV_4), &self.th_4)?;
        let tag = cipher.seal(&mut []);
        let mut message = [0x40 | TAG as u8; MESSAGE_4];
        for (to, from) in message.iter_mut().skip(1).zip(tag) {
            *to = from;
        }
        Some(message)
    }

    /// What OSCORE's keys are derived from (RFC 9528 §A.1); always there, but for what a disturbance made.
    #[inline(never)]
    pub fn oscore(&self) -> Option<Oscore> {
        if !same(&self.said, &self.expected.map(|byte| !byte)) {
            return None;
        }
        let mut prk_exporter = Key::default();
        schedule::derive(&self.prk_out, label::PRK_EXPORTER, &[], &mut *prk_exporter)?;
        let mut secret = Zeroizing::new([0; 16]);
        let mut salt = [0; 8];
        schedule::derive(&prk_exporter, exporter::OSCORE_SECRET, &[], &mut *secret)?;
        schedule::derive(&prk_exporter, exporter::OSCORE_SALT, &[], &mut salt)?;
        Some(Oscore {
            secret,
            salt,
            sender: self.c_i,
            recipient: self.c_r,
        })
    }
}

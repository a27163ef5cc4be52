//! The place of a security stage (OSCORE, RFC 8613) in the server. The server knows nothing of keys: inwards, after
//! deduplication, it asks the stage what is within a message; outwards, before sending, it hands the stage all that answers one
//! which was protected: responses, separate responses, notifications and errors. What is remembered for duplicates and sent
//! again is what the stage made, so nothing is protected twice under one nonce.
use crate::limits::TAG;
use crate::message::{Code, Message};

/// What a stage makes of a request.
#[derive(Clone, Copy, Debug)]
pub enum Opened<B> {
    /// It is not protected: dealt with as it is. The [`Application`](crate::Application) sees that in its principal.
    Plain,
    /// It is; [`Security::plaintext`] has what is within.
    Protected {
        /// The number of the context, for [`Principal::context`](crate::Principal::context).
        context: u8,
        /// What its answers need.
        binding: B,
        /// Whether a number of the node's own may be used now, which a notification needs and the response that begins an observation.
        numbered: bool,
    },
    /// It is, but may be old: answered with a protected 4.01 that carries this Echo value (RFC 8613 §B.1.2, RFC 9175 §2.3).
    Challenged {
        /// What its answers need.
        binding: B,
        /// The value.
        echo: [u8; 8],
        /// Whether the request is used up, so that one which repeats it must get the same answer.
        once: bool,
    },
    /// It cannot be opened: answered with this code and text, unprotected, Max-Age 0 (RFC 8613 §8.2).
    Refused {
        /// 4.00, 4.01 or 4.02.
        code: Code,
        /// The diagnostic payload.
        text: &'static str,
    },
    /// Dropped without an answer.
    Ignored,
}

/// What is to be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one response to a request, with its acknowledgement or later: it may use the nonce of the request, and so needs no number
    /// of its own (RFC 8613 §5.2).
    Response,
    /// A notification (RFC 8613 §4.1.3.5), or the error that ends an observation.
    Notification,
}

/// A plaintext in the place where its ciphertext is to be.
#[derive(Debug)]
pub struct Plaintext<'b> {
    /// What it is of.
    pub role: Role,
    /// Whether it has an Observe option: then the outer message needs one too (RFC 8613 §4.1.3.5).
    pub observed: bool,
    /// Holds it from its first byte on: code, options, and the marker with the payload when there is one (RFC 8613 §5.3);
    /// behind it are [`Plaintext::TAG`] bytes of room.
    pub bytes: &'b mut [u8],
    /// Its length.
    pub length: usize,
}

impl Plaintext<'_> {
    /// Bytes by which a ciphertext may be longer.
    pub const TAG: usize = TAG;
}

/// What the outer message of a ciphertext has.
#[derive(Clone, Copy, Debug)]
pub struct Sealed {
    /// The length of the ciphertext, which lies where the plaintext was.
    pub length: usize,
    /// The outer code.
    pub code: Code,
    /// The value of the OSCORE option, and how many bytes of it count.
    pub option: ([u8; 24], usize),
    /// The value of the outer Observe option of a notification, or of the response that began an observation.
    pub observe: Option<u32>,
}

/// Where a request comes from, as far as anybody can say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The endpoint, as a hash under a key that nobody knows.
    pub endpoint: u32,
    /// Its host, as [`Principal::host`](crate::Principal::host).
    pub host: u64,
}

/// A security stage for endpoints of type `E`.
pub trait Security<E> {
    /// What is kept of a request so that its answers can be protected: of an observation for as long as it lasts.
    type Binding: Copy;

    /// Unprotects a request that is not a duplicate. It keeps the inner request for [`Security::plaintext`].
    fn open(&mut self, now: u64, from: Origin, message: &Message<'_>) -> Opened<Self::Binding>;

    /// What was within the request opened last: code, options, marker and payload.
    fn plaintext(&self) -> &[u8];

    /// Protects an answer in place; `None` when it cannot be (no sequence number may be used now): then it is not sent.
    fn protect(
        &mut self,
        now: u64,
        to: &E,
        binding: &Self::Binding,
        plaintext: Plaintext<'_>,
    ) -> Option<Sealed>;
}

/// No security: everything is as it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl<E> Security<E> for Open {
    /// Nothing has one, and no table has room for it.
    type Binding = core::convert::Infallible;

    fn open(&mut self, _: u64, _: Origin, _: &Message<'_>) -> Opened<Self::Binding> {
        Opened::Plain
    }

    fn plaintext(&self) -> &[u8] {
        &[]
    }

    fn protect(
        &mut self,
        _: u64,
        _: &E,
        binding: &Self::Binding,
        _: Plaintext<'_>,
    ) -> Option<Sealed> {
        match *binding {}
    }
}

//! EDHOC (RFC 9528): two ends that know each other's public keys agree on a secret that nobody else ever learns, and on an
//! OSCORE context of it. Here is the responder's end, for method 3 (both ends authenticate with static Diffie-Hellman
//! keys) and cipher suite 2 (AES-CCM-16-64-128, SHA-256, MACs of 8 bytes, P-256). The host's end is host/lib/coap/edhoc.ts.
//!
//! Without heap, clock, randomness, or input and output of its own: messages and random bytes come in, messages go out. A
//! handshake is a value that turns into the next one, so that no message is taken twice and none out of order:
//!
//! ```text
//! message_1 ─ First::parse ─▶ First ── answer ──▶ Waiting + message_2          cheap │ two agreements and a key of one's own
//! message_3 ─ Waiting::open ▶ Opened ─ verify ──▶ Session ─▶ message_4, oscore  cheap │ one agreement
//! ```
//!
//! What is under "cheap" can be done where requests are answered; the rest takes the curve, and belongs to a task of low
//! priority, which has it in steps of one multiplication ([`First::begin`]). What fails ends the handshake (RFC 9528 §5.1), and [`Refusal::message`] says so to the other end.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `cbor` | the few shapes of CBOR that EDHOC has, in their only encoding (§3.1) |
//! | `credential` | public keys as CWT Claims Sets, and how they are identified (§3.5.2, §3.5.3) |
//! | `curve` | P-256, behind a trait: a board may have a faster one |
//! | `schedule` | transcript hashes, keys, MACs (§4) |
//! | `refusal` | why a handshake ends, and the error message (§6) |
//! | `responder` | the messages (§5) |
//!
//! Sizes: message_1 at most [`MESSAGE_1`] bytes, message_2 [`MESSAGE_2`], message_3 [`MESSAGE_3`], message_4 [`MESSAGE_4`];
//! identifiers of connections and keys at most 7 bytes, as OSCORE has them.
#![no_std]
#![forbid(unsafe_code)]

mod cbor;
pub mod credential;
pub mod curve;
pub mod refusal;
pub mod responder;
pub mod schedule;

pub use credential::{CREDENTIAL, Credential, Identity};
pub use curve::{Curve, P256};
pub use refusal::Refusal;
pub use responder::{
    Answering, First, MESSAGE_1, MESSAGE_2, MESSAGE_3, MESSAGE_4, Opened, Oscore, Progress,
    Session, Waiting, addressed,
};

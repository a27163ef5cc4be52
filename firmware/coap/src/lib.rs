//! A CoAP server without sockets, clock, heap or dependencies: a datagram and the time in, datagrams and the next
//! deadline out.
//!
//! RFC 7252 (messages, deduplication, separate responses, conditional requests, multicast), RFC 7641 (observe), RFC 7959
//! (block-wise both ways), RFC 6690 (discovery), RFC 7967 (No-Response), RFC 9175 (Echo,
//! Request-Tag), RFC 8132 (FETCH, PATCH, iPATCH). The embedder implements
//! [`Application`]; the server owns all protocol state in tables of fixed size and answers 5.03 when one is full.
#![no_std]

mod exchange;
mod exchanges;
mod limits;
mod link;
mod message;
mod observers;
mod peers;
mod separate;
mod server;
mod transfers;

pub use exchange::{Answer, Application, Link, Part, Request, Response, Transmit};
pub use limits::{BLOCK, EXCHANGES, MTU, OBSERVERS, TRANSFERS};
pub use message::{Code, Kind, Malformed, Message, Options, Writer, format, option};
pub use server::{Counters, Server};

/// RAM for 16 observers, 8 uploads and the deduplication table, with all else that a server keeps: what it must stay below
/// on a 32-bit chip, for endpoints of an IPv4 address and a port.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Server<([u8; 4], u16)>>() < 12 * 1024);

//! A CoAP server without sockets, clock, heap or dependencies: a datagram and the time in, datagrams and the next
//! deadline out.
//!
//! RFC 7252 (messages, deduplication, separate responses, conditional requests, multicast), RFC 7641 (observe), RFC 7959
//! (block-wise both ways), RFC 6690 (discovery), RFC 7967 (No-Response), RFC 9175 (Request-Tag). The embedder implements
//! [`Application`]; the server owns all protocol state in tables of fixed size and answers 5.03 when one is full.
#![no_std]

mod exchange;
mod link;
mod message;
mod server;

pub use exchange::{Answer, Application, Link, Part, Request, Response, Transmit};
pub use message::{Code, Kind, Malformed, Message, Options, Writer, format, option};
pub use server::{Counters, MTU, OBSERVERS, Server, TRANSFERS};

//! A CoAP server without sockets, clock, heap or dependencies: a datagram and the time in, datagrams and the next
//! deadline out.
//!
//! RFC 7252 (messages, deduplication, separate responses, conditional requests, multicast), RFC 7641 (observe), RFC 7959
//! (block-wise both ways), RFC 6690 (discovery), RFC 7967 (No-Response), RFC 8768 (Hop-Limit), RFC 9175 (Echo,
//! Request-Tag), RFC 8132 (FETCH, PATCH, iPATCH). The embedder implements
//! [`Application`]; the server owns all protocol state in tables of fixed size, of which each endpoint has its share, and answers
//! 5.03 when there is none left. `docs/coap.md` has the walk of a request through the files.
//!
//! ```
//! use wasmote_coap::{Answer, Application, Code, Kind, Message, Request, Response, Server, WebLink, Writer, option};
//!
//! struct Greeter;
//!
//! impl Application for Greeter {
//!     fn handle(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
//!         if request.path().eq(["hello"]) && request.method == Code::GET {
//!             response.write(b"hello, ");
//!             response.write(request.query("name").unwrap_or("world").as_bytes());
//!         } else {
//!             response.code(Code::NOT_FOUND);
//!         }
//!         Answer::Now
//!     }
//!
//!     fn web_link(&self, index: usize, write: &mut dyn FnMut(&WebLink<'_>)) -> bool {
//!         if index == 0 {
//!             write(&WebLink { path: &["hello"], ..WebLink::default() });
//!         }
//!         index == 0
//!     }
//! }
//!
//! // Endpoints are numbers here; on a network they are an address and a port.
//! let mut server: Server<u8> = Server::new(0x5eed);
//! let mut buffer = [0; 64];
//! let mut get = Writer::new(&mut buffer, Kind::Con, Code::GET, 7, b"t");
//! get.option(option::URI_PATH, b"hello");
//! get.option(option::URI_QUERY, b"name=node");
//! let request = get.finish(&[]).expect("it fits");
//!
//! let mut answers = Vec::new();
//! let mut out = |to: u8, datagram: &[u8]| answers.push((to, datagram.to_vec()));
//! server.receive(1_000, 3, false, request, &mut Greeter, &mut out);
//! // Nothing waits for a deadline.
//! assert_eq!(server.poll(1_000, &mut Greeter, &mut out), None);
//!
//! let [(to, datagram)] = answers.as_slice() else { panic!("one answer") };
//! let answer = Message::parse(datagram).expect("a message");
//! assert_eq!((*to, answer.kind, answer.id, answer.token), (3, Kind::Ack, 7, &b"t"[..]));
//! assert_eq!((answer.code, answer.payload), (Code::CONTENT, &b"hello, node"[..]));
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod application;
mod asked;
mod counters;
mod deduplication;
mod discovery;
mod echo;
mod encode;
mod group;
mod inwards;
mod lanes;
mod limits;
mod message;
mod notify;
mod observers;
mod outwards;
mod party;
mod reads;
mod request;
mod response;
mod secret;
mod security;
mod separate;
mod server;
mod shares;
mod siphash;
mod transfers;

pub use application::{Application, Transmit, WebLink};
pub use counters::Counters;
pub use limits::{BLOCK, EXCHANGES, MTU, OBSERVERS, READS, TRANSFERS};
pub use message::{Code, Kind, Malformed, Message, Options, Writer, format, option};
pub use request::{Part, Principal, Read, Request};
pub use response::{Answer, Response};
pub use security::{Open, Opened, Origin, Plaintext, Role, Sealed, Security};
pub use server::Server;

/// RAM for 16 observers, 8 uploads and the deduplication table, with all else that a server keeps: what it must stay below
/// on a 32-bit chip, for endpoints of an IPv4 address and a port.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Server<([u8; 4], u16)>>() < 12 * 1024);

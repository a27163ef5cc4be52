//! What an embedder implements: the resources, and where datagrams go.
use crate::message::Code;
use crate::request::Request;
use crate::response::{Answer, Response};

/// What `/.well-known/core` says of a resource (RFC 6690 §2).
#[derive(Clone, Copy, Debug, Default)]
pub struct WebLink<'a> {
    /// Segments of the path.
    pub path: &'a [&'a str],
    /// Resource type.
    pub rt: &'a str,
    /// Interface description.
    pub if_: &'a str,
    /// Content formats.
    pub ct: &'a [u16],
    /// Estimated size; 0 where it is small.
    pub sz: u32,
    /// Whether it can be observed.
    pub obs: bool,
    /// A name for people.
    pub title: &'a str,
}

/// The resources behind a server.
pub trait Application {
    /// Handles a request: exactly once for each that changes something, and once for each block of a block-wise one.
    fn handle(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer;

    /// Writes a further part of the answer to a request that was handled before and changes something, as its Block2 option
    /// asks; changes nothing. Only needed where such an answer can be longer than a block.
    fn again(&mut self, _request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        response.fail(
            Code::REQUEST_ENTITY_INCOMPLETE,
            format_args!("the answer is no longer there: ask again"),
        )
    }

    /// Whether an upload may begin in the middle, as one that goes on after a reset does.
    fn resumes(&mut self, _request: &Request<'_>, _offset: u32) -> bool {
        false
    }

    /// The number of the resource, when what this GET or FETCH names can be observed. Its handler answers at once.
    fn observable(&mut self, _request: &Request<'_>) -> Option<u16> {
        None
    }

    /// Whether every notification of this resource is confirmable. Of other resources, only some are.
    fn reliable(&self, _resource: u16) -> bool {
        false
    }

    /// Hands the link with this number to `write`; `false` behind the last one.
    fn web_link(&self, index: usize, write: &mut dyn FnMut(&WebLink<'_>)) -> bool;
}

/// Where datagrams go.
pub trait Transmit<E> {
    /// Sends a datagram, or loses it.
    fn send(&mut self, to: E, datagram: &[u8]);
}

impl<E, F: FnMut(E, &[u8])> Transmit<E> for F {
    fn send(&mut self, to: E, datagram: &[u8]) {
        self(to, datagram);
    }
}

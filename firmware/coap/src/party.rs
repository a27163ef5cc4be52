//! What the server knows of the endpoint that it deals with.
use crate::lanes::EndpointHash;
use crate::shares::Rank;

/// An endpoint with what is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party<E> {
    pub(crate) endpoint: E,
    pub(crate) hash: EndpointHash,
    /// Whether it has shown that it is where it says, or cannot lie about it.
    pub(crate) known: bool,
}

impl<E> Party<E> {
    pub(crate) fn rank(&self) -> Rank {
        Rank::of(self.known)
    }
}

/// A datagram with a request, as it came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<E> {
    pub(crate) now: u64,
    pub(crate) from: E,
    /// It was sent to a multicast group, not to this node.
    pub(crate) group: bool,
    /// Bytes of the datagram.
    pub(crate) size: usize,
}

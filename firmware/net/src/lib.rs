//! CoAP datagrams over Ethernet: what the boards with a network have in common. smoltcp does ARP, IPv4, ICMP, IGMP and DHCP;
//! this crate owns it, the one UDP socket, and the way back for answers.
//!
//! A board supplies its MAC driver as a [`smoltcp::phy::Device`], the time and whether the cable is in:
//!
//! ```text
//! frames ──▶ Interface::poll ──▶ the CoAP server ──▶ Output::send ──▶ frames
//! time ────▶      (ARP, DHCP, IGMP by themselves)        └─▶ backlog, when the device is full
//! ```
//!
//! No clock, no heap, no thread. Frames are hostile: whatever arrives, nothing here panics, waits, or grows.
#![no_std]
#![forbid(unsafe_code)]

mod device;
mod host;
mod interface;
mod output;

pub use host::SHORTEST_LEASE;
pub use interface::{Config, Fixed, Interface, Origin, Storage};
pub use output::Output;
pub use smoltcp;

use core::net::Ipv4Addr;

/// CoAP's port (RFC 7252 §6.1).
pub const PORT: u16 = 5683;
/// The group "All CoAP Nodes" (RFC 7252 §12.8).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 1, 187);

/// The largest payload of an unfragmented datagram: longer than any the CoAP server takes, which is its to say.
const PAYLOAD: usize = 1472;

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its UDP port.
    pub port: u16,
}

impl Endpoint {
    /// The host, whose shares and turns all its ports have together: see `Server::new` of `wasmote-node`.
    pub fn host(&self) -> u64 {
        self.address.to_bits().into()
    }
}

/// What happened to frames and datagrams, counted. What a device loses before it gets here, its driver counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that came in.
    pub frames: u32,
    /// Datagrams to CoAP's port that came in.
    pub datagrams: u32,
    /// Fragments of datagrams, which are not put together: CoAP keeps below the MTU (RFC 7252 §4.6).
    pub fragments: u32,
    /// Answers of a DHCP server that no client could live by, and refusals too soon after the last.
    pub refused: u32,
    /// Datagrams that had no place left in the backlog, or are longer than a frame.
    pub unsent: u32,
    /// Datagrams for clients that are not known any more, or while there was no address.
    pub unroutable: u32,
}

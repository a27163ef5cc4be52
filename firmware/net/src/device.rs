//! A look at every frame on its way from the device into smoltcp: who sent it, and whether it is a fragment.
use crate::Counters;
use crate::output::count;
use core::cell::Cell;
use smoltcp::phy::{Device, DeviceCapabilities, RxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, Ipv4Packet};

/// A device whose frames are looked at. The hardware address that the last one came from is left in `source`.
pub(crate) struct Watched<'a, D> {
    pub(crate) device: &'a mut D,
    pub(crate) source: &'a Cell<EthernetAddress>,
    pub(crate) counters: &'a Cell<Counters>,
}

impl<D: Device> Device for Watched<'_, D> {
    type RxToken<'t>
        = Token<'t, D::RxToken<'t>>
    where
        Self: 't;
    type TxToken<'t>
        = D::TxToken<'t>
    where
        Self: 't;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (source, counters) = (self.source, self.counters);
        let (inner, answer) = self.device.receive(now)?;
        Some((
            Token {
                inner,
                source,
                counters,
            },
            answer,
        ))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

pub(crate) struct Token<'a, T> {
    inner: T,
    source: &'a Cell<EthernetAddress>,
    counters: &'a Cell<Counters>,
}

impl<T: RxToken> RxToken for Token<'_, T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, use_frame: F) -> R {
        let Self {
            inner,
            source,
            counters,
        } = self;
        inner.consume(|bytes| {
            count(counters, |c| &mut c.frames);
            if let Ok(frame) = EthernetFrame::new_checked(bytes) {
                source.set(frame.src_addr());
                if frame.ethertype() == EthernetProtocol::Ipv4
                    && Ipv4Packet::new_checked(frame.payload())
                        .is_ok_and(|p| p.more_frags() || p.frag_offset() != 0)
                {
                    count(counters, |c| &mut c.fragments);
                }
            }
            use_frame(bytes)
        })
    }
}

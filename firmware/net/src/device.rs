//! A look at every frame on its way from the device into smoltcp: who sent it, whether it is a fragment, and whether smoltcp
//! may have it.
use crate::Counters;
use crate::host::{Answer, REFUSALS, answer};
use crate::output::count;
use core::cell::Cell;
use smoltcp::phy::{Device, DeviceCapabilities, RxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, Ipv4Packet};

/// A device whose frames are looked at. The hardware address that the last one came from is left in `source`.
pub(crate) struct Watched<'a, D> {
    pub(crate) device: &'a mut D,
    pub(crate) source: &'a Cell<EthernetAddress>,
    /// When the next refusal of a DHCP server is heeded, in milliseconds.
    pub(crate) refusals: &'a Cell<u64>,
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
        let (source, refusals, counters) = (self.source, self.refusals, self.counters);
        let (inner, answer) = self.device.receive(now)?;
        Some((
            Token {
                inner,
                now: now.total_millis() as u64,
                source,
                refusals,
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
    now: u64,
    source: &'a Cell<EthernetAddress>,
    refusals: &'a Cell<u64>,
    counters: &'a Cell<Counters>,
}

impl<T: RxToken> RxToken for Token<'_, T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, use_frame: F) -> R {
        let Self {
            inner,
            now,
            source,
            refusals,
            counters,
        } = self;
        inner.consume(|bytes| {
            count(counters, |c| &mut c.frames);
            if let Ok(frame) = EthernetFrame::new_checked(bytes) {
                source.set(frame.src_addr());
                let heeded = match answer(&frame) {
                    Answer::Other | Answer::Sound => true,
                    Answer::Refusal if now >= refusals.get() => {
                        refusals.set(now + REFUSALS);
                        true
                    }
                    Answer::Refusal | Answer::Unsound => false,
                };
                if !heeded {
                    count(counters, |c| &mut c.refused);
                    // smoltcp passes over a frame without bytes.
                    return use_frame(&[]);
                }
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

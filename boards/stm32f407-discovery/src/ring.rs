//! The rings of DMA descriptors that frames come and go by (RM0090 §33.6.7 and §33.6.8), apart from the registers of the MAC:
//! who owns which buffer, what is a whole and good frame, what happens when all are taken.
//!
//! ```text
//! receive:   MAC writes ▶ │ full │ full │ empty │ empty │ ─ last.next = first     the node reads where `at` is
//! transmit:  node writes ▶ │ sent │ to send │ free │       ─ last.next = first
//! ```
//!
//! Descriptors are chained, in a circle; the bits for "end of ring" are never set, so that it does not matter whether an
//! implementation of the MAC follows them or the chain. A descriptor with its OWN bit set is the MAC's, with its buffer;
//! otherwise both are the node's. The bit is the last that is written and the first that is read.
use core::cell::{Cell, UnsafeCell};
use core::sync::atomic::{AtomicU32, Ordering};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// Bytes of a buffer: a frame with its VLAN tag and checksum, up to a multiple of four.
pub const BUFFER: usize = 1524;
/// The longest frame, without the checksum at its end, that is sent or taken: 1500 bytes and the header.
const FRAME: usize = 1514;
const HEADER: usize = 14;
const CHECKSUM: usize = 4;

const OWN: u32 = 1 << 31;
/// RDES0: the sum of all errors, last and first descriptor of a frame; its length with the checksum is in bits 16 to 29.
const ERROR: u32 = 1 << 15;
const RECEIVED_FIRST: u32 = 1 << 9;
const RECEIVED_LAST: u32 = 1 << 8;
/// RDES1: the second address is the next descriptor's.
const RECEIVE_CHAINED: u32 = 1 << 14;
/// TDES0: interrupt when sent, last, first, chained.
const SEND: u32 = 1 << 30 | 1 << 29 | 1 << 28;
const SEND_CHAINED: u32 = 1 << 20;

/// Four words that node and MAC share. Atomic, because somebody else writes them too.
#[repr(C, align(4))]
struct Descriptor {
    status: AtomicU32,
    control: AtomicU32,
    buffer: AtomicU32,
    next: AtomicU32,
}

impl Descriptor {
    const fn new() -> Self {
        Self {
            status: AtomicU32::new(0),
            control: AtomicU32::new(0),
            buffer: AtomicU32::new(0),
            next: AtomicU32::new(0),
        }
    }
}

/// Bytes that only the owner of the descriptor may touch.
#[repr(C, align(4))]
struct Buffer(UnsafeCell<[u8; BUFFER]>);

/// Descriptors and buffers: `R` to receive, `T` to send. In memory that DMA reaches.
#[repr(C)]
pub struct Memory<const R: usize, const T: usize> {
    receive: [Descriptor; R],
    transmit: [Descriptor; T],
    received: [Buffer; R],
    sent: [Buffer; T],
}

// SAFETY: the descriptors are atomic, and a buffer is touched only by the owner of its descriptor: the MAC, or the one
// `Rings` that `Rings::new` makes of this memory.
unsafe impl<const R: usize, const T: usize> Sync for Memory<R, T> {}

impl<const R: usize, const T: usize> Memory<R, T> {
    /// Nothing in it.
    pub const fn new() -> Self {
        Self {
            receive: [const { Descriptor::new() }; R],
            transmit: [const { Descriptor::new() }; T],
            received: [const { Buffer(UnsafeCell::new([0; BUFFER])) }; R],
            sent: [const { Buffer(UnsafeCell::new([0; BUFFER])) }; T],
        }
    }
}

impl<const R: usize, const T: usize> Default for Memory<R, T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The registers by which a MAC that found no descriptor of its own is told to look again.
pub trait Mac {
    /// There is an empty buffer.
    fn resume_receive(&self);
    /// There is a frame to send.
    fn resume_transmit(&self);
}

/// What was lost, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames with errors, as the MAC says.
    pub damaged: u32,
    /// Frames that were too long, too short or in pieces.
    pub unfit: u32,
}

/// The node's side of both rings.
pub struct Rings<M, const R: usize, const T: usize> {
    memory: &'static Memory<R, T>,
    /// The MAC's registers.
    pub mac: M,
    receive_at: Cell<usize>,
    transmit_at: Cell<usize>,
    /// See [`Counters`].
    pub counters: Counters,
}

/// Frames that the MAC missed since its counters were last read, as it says (RM0090 §33.8.4, ETH_DMAMFBOCR): those that found no
/// buffer, and those that found its queue full. A counter that ran over has counted at least a round.
pub fn missed(counts: u32) -> u32 {
    let round = |bit: u32, size: u32| (counts >> bit & 1) * size;
    let without_buffer = (counts & 0xffff) + round(16, 1 << 16);
    let without_room = (counts >> 17 & 0x7ff) + round(28, 1 << 11);
    without_buffer + without_room
}

/// An address as the MAC knows it.
fn address<X>(of: &X) -> u32 {
    core::ptr::from_ref(of) as usize as u32
}

/// What a frame of this status is: its length, or what is wrong with it.
fn length(status: u32) -> Result<usize, fn(&mut Counters) -> &mut u32> {
    if status & ERROR != 0 {
        return Err(|c| &mut c.damaged);
    }
    let whole = RECEIVED_FIRST | RECEIVED_LAST;
    let length = ((status >> 16 & 0x3fff) as usize).saturating_sub(CHECKSUM);
    if status & whole != whole || !(HEADER..=FRAME).contains(&length) {
        return Err(|c| &mut c.unfit);
    }
    Ok(length)
}

impl<M: Mac, const R: usize, const T: usize> Rings<M, R, T> {
    /// Empty rings. The caller hands in memory that nobody else has.
    pub fn new(memory: &'static mut Memory<R, T>, mac: M) -> Self {
        let mut rings = Self {
            memory,
            mac,
            receive_at: Cell::new(0),
            transmit_at: Cell::new(0),
            counters: Counters::default(),
        };
        rings.clear();
        rings
    }

    /// Where the MAC finds the rings: the first descriptors to receive and to send.
    pub fn addresses(&self) -> (u32, u32) {
        let first = |ring: &[Descriptor]| ring.first().map_or(0, address);
        (first(&self.memory.receive), first(&self.memory.transmit))
    }

    /// Empties the rings. The MAC must not be running.
    pub fn clear(&mut self) {
        self.receive_at.set(0);
        self.transmit_at.set(0);
        let m = self.memory;
        let chain = |ring: &'static [Descriptor], buffers: &[Buffer]| {
            let nexts = ring.iter().cycle().skip(1);
            for ((descriptor, buffer), next) in ring.iter().zip(buffers).zip(nexts) {
                descriptor.buffer.store(address(buffer), Ordering::Relaxed);
                descriptor.next.store(address(next), Ordering::Relaxed);
                descriptor.status.store(0, Ordering::Release);
            }
        };
        chain(&m.transmit, &m.sent);
        chain(&m.receive, &m.received);
        for descriptor in &m.receive {
            let size = RECEIVE_CHAINED | BUFFER as u32;
            descriptor.control.store(size, Ordering::Relaxed);
            descriptor.status.store(OWN, Ordering::Release);
        }
    }

    fn free(&self) -> Option<Sending<'_, M>> {
        let at = self.transmit_at.get();
        let descriptor = self.memory.transmit.get(at)?;
        let buffer = self.memory.sent.get(at)?;
        (descriptor.status.load(Ordering::Acquire) & OWN == 0).then_some(Sending {
            descriptor,
            buffer,
            mac: &self.mac,
            at: &self.transmit_at,
            next: (at + 1) % T,
        })
    }

    /// Gives a buffer back to the MAC.
    fn give_back(descriptor: &Descriptor, at: &Cell<usize>, mac: &M) {
        descriptor.status.store(OWN, Ordering::Release);
        at.set((at.get() + 1) % R);
        mac.resume_receive();
    }
}

impl<M: Mac, const R: usize, const T: usize> Device for Rings<M, R, T> {
    type RxToken<'a>
        = Received<'a, M, R>
    where
        Self: 'a;
    type TxToken<'a>
        = Sending<'a, M>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        loop {
            let descriptor = self.memory.receive.get(self.receive_at.get())?;
            let status = descriptor.status.load(Ordering::Acquire);
            if status & OWN != 0 {
                return None;
            }
            match length(status) {
                Ok(length) => {
                    let received = Received {
                        descriptor,
                        buffer: self.memory.received.get(self.receive_at.get())?,
                        length,
                        mac: &self.mac,
                        at: &self.receive_at,
                    };
                    // A frame that could not be answered stays where it is until there is room for an answer.
                    return Some((received, self.free()?));
                }
                Err(counter) => {
                    let counter = counter(&mut self.counters);
                    *counter = counter.wrapping_add(1);
                    Self::give_back(descriptor, &self.receive_at, &self.mac);
                }
            }
        }
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        self.free()
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(T);
        capabilities
    }
}

/// A frame that came.
pub struct Received<'a, M, const R: usize> {
    descriptor: &'a Descriptor,
    buffer: &'a Buffer,
    length: usize,
    mac: &'a M,
    at: &'a Cell<usize>,
}

impl<M: Mac, const R: usize> phy::RxToken for Received<'_, M, R> {
    fn consume<A, F: FnOnce(&[u8]) -> A>(self, take: F) -> A {
        // SAFETY: the descriptor is the node's, so the buffer is; there is one token for it at a time, as it borrows the rings.
        let bytes = unsafe { &*self.buffer.0.get() };
        let answer = take(bytes.get(..self.length).unwrap_or(&[]));
        Rings::<M, R, 1>::give_back(self.descriptor, self.at, self.mac);
        answer
    }
}

/// A place for a frame to send.
pub struct Sending<'a, M> {
    descriptor: &'a Descriptor,
    buffer: &'a Buffer,
    mac: &'a M,
    at: &'a Cell<usize>,
    next: usize,
}

impl<M: Mac> phy::TxToken for Sending<'_, M> {
    fn consume<A, F: FnOnce(&mut [u8]) -> A>(self, length: usize, fill: F) -> A {
        // SAFETY: as above; and no other token has this buffer, since the ring goes on only below.
        let bytes = unsafe { &mut *self.buffer.0.get() };
        // The stack keeps to what `capabilities` says.
        let length = length.min(FRAME);
        let answer = fill(bytes.get_mut(..length).unwrap_or(&mut []));
        self.descriptor
            .control
            .store(length as u32, Ordering::Relaxed);
        self.descriptor
            .status
            .store(OWN | SEND | SEND_CHAINED, Ordering::Release);
        self.at.set(self.next);
        self.mac.resume_transmit();
        answer
    }
}

#[cfg(test)]
mod tests;

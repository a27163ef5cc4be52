//! What exchanges take: instructions, packets and bytes, summed up by kind.
use crate::CONTROLLER;
use crate::lan9118::{Lan9118, Received, Room};
use core::cell::Cell;
use cortex_m_semihosting::hprintln;
use smoltcp::phy::{self, DeviceCapabilities, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, Ipv4Packet};

/// With QEMU's `-icount shift=0` an instruction takes 1 ns, and the controller's clock of 25 MHz ticks every 40.
const TICK: u64 = 40;
/// Exchanges that are not counted: neighbours are asked for, connections made, tables filled.
const WARM: u32 = 5;
/// Kinds of exchanges in one run.
const KINDS: usize = 2;

/// IPv4 packets and their bytes, in one direction; and the bytes of their Ethernet frames.
#[derive(Clone, Copy, Default)]
pub struct Way {
    packets: u32,
    bytes: u32,
    ethernet: u32,
}

impl Way {
    /// A frame without its check sequence. Those that ask for neighbours are no part of any exchange.
    fn count(&mut self, frame: &[u8]) {
        let Ok(frame) = EthernetFrame::new_checked(frame) else {
            return;
        };
        if frame.ethertype() != EthernetProtocol::Ipv4 {
            return;
        }
        if let Ok(packet) = Ipv4Packet::new_checked(frame.payload()) {
            let length = u32::from(packet.total_len());
            self.packets += 1;
            self.bytes += length;
            // IEEE 802.3 §3.2.8: 64 bytes at least, with header and check sequence.
            self.ethernet += (length + 18).max(64);
        }
    }

    fn add(&mut self, now: Self, before: Self) {
        self.packets += now.packets - before.packets;
        self.bytes += now.bytes - before.bytes;
        self.ethernet += now.ethernet - before.ethernet;
    }
}

/// What came in and went out.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    received: Way,
    sent: Way,
}

/// The controller, with every frame counted.
pub struct Counted {
    pub chip: Lan9118,
    tally: Cell<Tally>,
}

impl Counted {
    pub fn new(chip: Lan9118) -> Self {
        Self {
            chip,
            tally: Cell::new(Tally::default()),
        }
    }

    pub fn tally(&self) -> Tally {
        self.tally.get()
    }
}

pub struct Token<'a, T> {
    inner: T,
    tally: &'a Cell<Tally>,
}

impl RxToken for Token<'_, Received<'_>> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, use_frame: F) -> R {
        let tally = self.tally;
        self.inner.consume(|frame| {
            let mut all = tally.get();
            all.received.count(frame);
            tally.set(all);
            use_frame(frame)
        })
    }
}

impl TxToken for Token<'_, Room<'_>> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let tally = self.tally;
        self.inner.consume(length, |frame| {
            let result = fill(frame);
            let mut all = tally.get();
            all.sent.count(frame);
            tally.set(all);
            result
        })
    }
}

impl phy::Device for Counted {
    type RxToken<'a> = Token<'a, Received<'a>>;
    type TxToken<'a> = Token<'a, Room<'a>>;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let tally = &self.tally;
        let (received, room) = self.chip.receive(now)?;
        Some((
            Token {
                inner: received,
                tally,
            },
            Token { inner: room, tally },
        ))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        let inner = self.chip.transmit(now)?;
        Some(Token {
            inner,
            tally: &self.tally,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.chip.capabilities()
    }
}

/// What the exchanges of one kind took.
#[derive(Clone, Copy, Default)]
struct Sum {
    exchanges: u32,
    ticks: u64,
    received: Way,
    sent: Way,
}

/// Sums up what is done from one cut to the next.
pub struct Meter {
    /// The controller's clock: its last reading, and all ticks until then.
    last: u32,
    all: u64,
    /// When the CPU woke, while it is awake.
    woken: Option<u64>,
    /// Ticks awake since the last cut.
    worked: u64,
    tally: Tally,
    before: Tally,
    wanted: u32,
    cuts: u32,
    sums: [Sum; KINDS],
}

impl Meter {
    pub fn new(wanted: u32) -> Self {
        Self {
            last: Lan9118::ticks(CONTROLLER),
            all: 0,
            woken: None,
            worked: 0,
            tally: Tally::default(),
            before: Tally::default(),
            wanted,
            cuts: 0,
            sums: [Sum::default(); KINDS],
        }
    }

    /// Ticks since the start. To be asked for within every 171 s.
    pub fn now(&mut self) -> u64 {
        let now = Lan9118::ticks(CONTROLLER);
        self.all += u64::from(now.wrapping_sub(self.last));
        self.last = now;
        self.all
    }

    /// The CPU begins to work.
    pub fn wake(&mut self) -> u64 {
        let now = self.now();
        self.woken = Some(now);
        now
    }

    /// It has done so, and this has come and gone so far.
    pub fn sleep(&mut self, tally: Tally) {
        let now = self.now();
        if let Some(woken) = self.woken.take() {
            self.worked += now - woken;
        }
        self.tally = tally;
    }

    /// What was done since the last cut was an exchange of this kind. While the CPU is awake that is what was done before it
    /// woke.
    pub fn cut(&mut self, kind: usize) {
        self.cuts += 1;
        if self.cuts > WARM
            && let Some(sum) = self.sums.get_mut(kind)
        {
            sum.exchanges += 1;
            sum.ticks += self.worked;
            sum.received.add(self.tally.received, self.before.received);
            sum.sent.add(self.tally.sent, self.before.sent);
        }
        self.worked = 0;
        self.before = self.tally;
    }

    pub fn is_done(&self) -> bool {
        self.cuts >= WARM + self.wanted
    }

    pub fn print(&self) {
        for (kind, sum) in self.sums.iter().enumerate() {
            if sum.exchanges > 0 {
                hprintln!(
                    "{{\"kind\":{kind},\"exchanges\":{},\"instructions\":{},\"received\":{},\"sent\":{}}}",
                    sum.exchanges,
                    sum.ticks * TICK,
                    sum.received,
                    sum.sent
                );
            }
        }
    }
}

impl core::fmt::Display for Way {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            packets,
            bytes,
            ethernet,
        } = self;
        write!(
            f,
            "{{\"packets\":{packets},\"bytes\":{bytes},\"ethernet\":{ethernet}}}"
        )
    }
}

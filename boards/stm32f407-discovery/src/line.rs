//! The serial link on USART2: bytes into a circle by DMA, and out of a queue by the interrupt; datagrams between the two.
use crate::watch::{HALF_TASK, LINE_TASK, Watch};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32};
use discovery::circle::Circle;
use heapless::spsc::{Consumer, Producer};
use stm32f4xx_hal::pac::{self, Interrupt};
use wasmote_node::link;

/// What the serial link brings, in a circle: filled by DMA, or by its interrupt where DMA does not work (QEMU has none).
const CIRCLE: usize = 2048;
static RECEIVED: [AtomicU8; CIRCLE] = [const { AtomicU8::new(0) }; CIRCLE];
/// Whether DMA does it; bytes that the interrupt has put there otherwise; halves of the circle that were filled.
static DMA: AtomicBool = AtomicBool::new(false);
static WRITTEN: AtomicU32 = AtomicU32::new(0);
static HALVES: AtomicU32 = AtomicU32::new(0);
/// Bytes that the USART lost.
static LOST: AtomicU32 = AtomicU32::new(0);

fn usart2() -> &'static pac::usart1::RegisterBlock {
    // SAFETY: set up in `init`; from then on `interrupt` reads and writes its data register, beside DMA, and nobody else.
    unsafe { &*pac::USART2::ptr() }
}

fn stream() -> &'static pac::dma2::ST {
    // SAFETY: set up in `init`; from then on only `look` writes it.
    unsafe { (*pac::DMA1::ptr()).st(5) }
}

/// Lets DMA fill the circle (RM0090 §10.3.17: stream 5, channel 4), if there is a DMA controller.
fn start_dma() -> bool {
    let stream = stream();
    let from = usart2().dr().as_ptr() as u32;
    // SAFETY: the addresses and the length of the circle, which is nobody else's.
    unsafe {
        stream.par().write(|w| w.bits(from));
        stream.m0ar().write(|w| w.bits(RECEIVED.as_ptr() as u32));
        stream.ndtr().write(|w| w.bits(CIRCLE as u32));
    }
    // SAFETY: a channel that there is.
    stream.cr().write(|w| unsafe {
        w.chsel().bits(4);
        w.pl().very_high();
        w.minc().set_bit();
        w.circ().set_bit();
        w.htie().set_bit();
        w.tcie().set_bit()
    });
    stream.cr().modify(|_, w| w.en().set_bit());
    stream.cr().read().en().bit_is_set()
}

/// Begins to receive, with a USART that has been set up. What a byte needs from here on is done with registers: a few
/// instructions.
pub fn start(rcc: &pac::RCC) {
    rcc.ahb1enr().modify(|_, w| w.dma1en().set_bit());
    let dma = start_dma();
    DMA.store(dma, Relaxed);
    usart2().cr3().modify(|_, w| {
        w.dmar().bit(dma);
        w.eie().bit(dma)
    });
    usart2().cr1().modify(|_, w| w.rxneie().bit(!dma));
}

/// What the task `tick` remembers of DMA.
pub struct Look {
    left: u32,
    waited: u8,
}

impl Look {
    /// Nothing has come.
    pub const fn new() -> Self {
        Self { left: 0, waited: 0 }
    }

    /// Whether bytes have come by DMA since the last millisecond. Looked at, and not told by the USART when the line falls idle:
    /// clearing that takes a read of the data register, which would now and then take a byte away from DMA.
    pub fn look(&mut self) -> bool {
        let left = stream().ndtr().read().bits();
        let came = DMA.load(Relaxed) && left != self.left;
        self.left = left;
        // A byte that DMA has not fetched for two milliseconds never will be: its controller is there, and does not work with
        // the USART (some emulators). The interrupt takes over where it stands.
        let waits = DMA.load(Relaxed) && !came && usart2().sr().read().rxne().bit_is_set();
        self.waited = if waits { self.waited + 1 } else { 0 };
        if self.waited > 2 {
            stream().cr().modify(|_, w| w.en().clear_bit());
            usart2().cr3().modify(|_, w| w.dmar().clear_bit());
            WRITTEN.store(CIRCLE as u32 - left.min(CIRCLE as u32), Relaxed);
            DMA.store(false, Relaxed);
            usart2().cr1().modify(|_, w| w.rxneie().set_bit());
        }
        came
    }
}

/// The USART's interrupt: a byte can be sent, or came damaged; or came, without DMA. Then the server is told by `tell`.
pub fn interrupt(to_send: &mut Consumer<'static, u8>, tell: fn()) {
    let usart = usart2();
    loop {
        // For each byte: on hardware there is one at a time.
        let _watch = Watch::start(LINE_TASK);
        let status = usart.sr().read();
        let lost = status.ore().bit_is_set();
        LOST.store(LOST.load(Relaxed).wrapping_add(lost.into()), Relaxed);
        if DMA.load(Relaxed) {
            // Only errors come here, and reading the data register clears them. The checksum of the frame finds the byte.
            if lost || status.fe().bit_is_set() || status.nf().bit_is_set() {
                let _ = usart.dr().read().bits();
            }
        } else if status.rxne().bit_is_set() || lost {
            take(usart.dr().read().bits() as u8);
            tell();
            continue;
        }
        // One byte on hardware, and as many as there are where a byte takes no time.
        if status.txe().bit_is_clear() {
            return;
        }
        let byte = to_send.dequeue();
        usart.cr1().modify(|_, w| w.txeie().bit(byte.is_some()));
        let Some(byte) = byte else {
            return;
        };
        // SAFETY: eight bits.
        usart.dr().write(|w| unsafe { w.bits(byte.into()) });
    }
}

/// Puts a byte into the circle, as DMA would.
fn take(byte: u8) {
    let written = WRITTEN.load(Relaxed);
    if let Some(place) = RECEIVED.get(written as usize % CIRCLE) {
        place.store(byte, Relaxed);
    }
    let written = written.wrapping_add(1);
    WRITTEN.store(written, Relaxed);
    if written.is_multiple_of(CIRCLE as u32 / 2) {
        HALVES.fetch_add(1, Relaxed);
    }
}

/// DMA's interrupt: a half of the circle was filled.
pub fn half() {
    let _watch = Watch::start(HALF_TASK);
    // SAFETY: flags of only this stream, of which this is the only reader.
    let dma = unsafe { &*pac::DMA1::ptr() };
    let flags = dma.hisr().read();
    let filled = u32::from(flags.htif5().bit_is_set()) + u32::from(flags.tcif5().bit_is_set());
    dma.hifcr().write(|w| {
        w.chtif5().set_bit();
        w.ctcif5().set_bit();
        w.cteif5().set_bit()
    });
    HALVES.fetch_add(filled, Relaxed);
}

/// The way out.
pub struct Out {
    to_frame: Producer<'static, u8>,
    /// Datagrams that found no room.
    pub unsent: u32,
}

impl Out {
    /// With the queue that `interrupt` empties.
    pub fn new(to_frame: Producer<'static, u8>) -> Self {
        Self {
            to_frame,
            unsent: 0,
        }
    }

    /// All of it or nothing: a datagram that does not fit is lost, as any may be, and counted.
    pub fn send(&mut self, datagram: &[u8]) {
        if self.to_frame.capacity() - self.to_frame.len() < datagram.len() * 2 + 8 {
            self.unsent = self.unsent.wrapping_add(1);
            return;
        }
        link::encode(datagram, |byte| {
            let _ = self.to_frame.enqueue(byte);
        });
        rtic::pend(Interrupt::USART2);
    }

    /// Whether nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.to_frame.is_empty()
    }

    /// A line of text between datagrams, while none is being sent.
    pub fn show(&mut self, text: impl core::fmt::Display) {
        let mut line = heapless::String::<128>::new();
        let _ = core::fmt::Write::write_fmt(&mut line, format_args!("{text}"));
        link::diagnostic(&line, |byte| {
            let _ = self.to_frame.enqueue(byte);
        });
        rtic::pend(Interrupt::USART2);
    }
}

/// What came in.
pub struct In {
    circle: Circle<CIRCLE>,
    decoder: link::Decoder,
    overrun: u32,
}

impl In {
    /// Nothing has come.
    pub const fn new() -> Self {
        Self {
            circle: Circle::new(),
            decoder: link::Decoder::new(),
            overrun: 0,
        }
    }

    /// Hands over the datagrams that have come, as long as `may_take` says so before each. What is left stays in the circle,
    /// and is lost, and counted, when that is filled before the next call. Says whether all was taken.
    pub fn receive(
        &mut self,
        mut may_take: impl FnMut() -> bool,
        mut take: impl FnMut(&[u8]),
    ) -> bool {
        let halves = HALVES.swap(0, Relaxed);
        let left = if DMA.load(Relaxed) {
            stream().ndtr().read().bits() as usize
        } else {
            CIRCLE - WRITTEN.load(Relaxed) as usize % CIRCLE
        };
        let (mut places, lost) = self.circle.advance(left, halves);
        self.overrun = self.overrun.wrapping_add(lost as u32);
        let mut may = may_take();
        while may {
            let Some(at) = places.next() else {
                return true;
            };
            let byte = RECEIVED.get(at).map_or(0, |byte| byte.load(Relaxed));
            if let Some(datagram) = self.decoder.push(byte) {
                take(datagram);
                may = may_take();
            }
        }
        let rest = places.count();
        self.circle.put_back(rest);
        rest == 0
    }

    /// Bytes that were lost, by the USART or in the circle.
    pub fn lost(&self) -> u32 {
        LOST.load(Relaxed).wrapping_add(self.overrun)
    }

    /// Datagrams that came damaged.
    pub fn damaged(&self) -> u32 {
        self.decoder.damaged
    }
}

//! The Ethernet MAC with its DMA (RM0090 §33), on a transceiver with RMII: only the registers. The descriptors are
//! `discovery::ring`'s, the transceiver is `discovery::phy`'s.
use core::sync::atomic::{Ordering, fence};
use discovery::phy::{Bus, Link, Phy, find};
use discovery::ring::{Mac, Memory, Rings, missed};
use stm32f4xx_hal::gpio::{Pin, Speed};
use stm32f4xx_hal::pac::{ETHERNET_DMA, ETHERNET_MAC, RCC, SYSCFG};

/// Frames that can wait to be read, and to be sent.
pub const RECEIVE: usize = 4;
/// See [`RECEIVE`].
pub const TRANSMIT: usize = 2;
/// The memory of the rings. Not in the CCM, which DMA does not reach.
pub type Frames = Memory<RECEIVE, TRANSMIT>;
/// What the network stack gets.
pub type Device = Rings<Registers, RECEIVE, TRANSMIT>;

/// Looks at a register until it must have changed: 10 ms and more. A transfer to the transceiver takes 26 µs, a reset of the
/// DMA a few cycles of all its clocks.
const PATIENCE: u32 = 200_000;

/// The MAC's registers.
pub struct Registers {
    mac: ETHERNET_MAC,
    dma: ETHERNET_DMA,
    /// What divides the bus clock for the management bus (MACMIIAR.CR).
    divider: u8,
}

impl Mac for Registers {
    fn resume_receive(&self) {
        // The descriptor is in memory before the MAC is told.
        fence(Ordering::SeqCst);
        // SAFETY: any value will do.
        self.dma.dmarpdr().write(|w| unsafe { w.bits(1) });
    }

    fn resume_transmit(&self) {
        fence(Ordering::SeqCst);
        // SAFETY: any value will do.
        self.dma.dmatpdr().write(|w| unsafe { w.bits(1) });
    }
}

impl Registers {
    fn transfer(&mut self, phy: u8, register: u8, write: bool) {
        let divider = self.divider;
        // SAFETY: five bits of address each, and a divider of the manual's table.
        self.mac.macmiiar().write(|w| unsafe {
            w.pa().bits(phy);
            w.mr().bits(register);
            w.cr().bits(divider);
            w.mw().bit(write);
            w.mb().set_bit()
        });
    }

    /// Goes on after the link has come up, or stops when it went down.
    fn start(&self, link: Link) {
        self.mac.maccr().modify(|_, w| {
            w.fes().bit(link.fast);
            w.dm().bit(link.full);
            w.te().set_bit();
            w.re().set_bit()
        });
        self.dma.dmaomr().modify(|_, w| {
            w.st().set_bit();
            w.sr().set_bit()
        });
    }

    fn stop(&self) {
        self.dma.dmaomr().modify(|_, w| {
            w.st().clear_bit();
            w.sr().clear_bit()
        });
        self.mac.maccr().modify(|_, w| {
            w.te().clear_bit();
            w.re().clear_bit()
        });
        // What is still in the queue is old. The register must not be touched until that is done, a few cycles of
        // the transceiver's clock: the next poll comes milliseconds later.
        self.dma.dmaomr().modify(|_, w| w.ftf().set_bit());
    }
}

impl Bus for Registers {
    fn read(&mut self, phy: u8, register: u8) {
        self.transfer(phy, register, false);
    }

    fn write(&mut self, phy: u8, register: u8, value: u16) {
        // SAFETY: sixteen bits.
        self.mac.macmiidr().write(|w| unsafe { w.md().bits(value) });
        self.transfer(phy, register, true);
    }

    fn done(&mut self) -> Option<u16> {
        let busy = self.mac.macmiiar().read().mb().bit_is_set();
        (!busy).then(|| self.mac.macmiidr().read().md().bits())
    }
}

/// The MAC with its transceiver.
pub struct Ethernet {
    /// The frames, for the network stack.
    pub device: Device,
    phy: Phy,
    /// Whether the cable is in.
    pub up: bool,
    /// Frames that found no buffer, or no room in the MAC.
    pub missed: u32,
    /// The link that came up at the last poll: the MAC starts at the next.
    starting: Option<Link>,
}

/// The management bus to the transceiver.
pub fn management_pins(data: Pin<'A', 2>, clock: Pin<'C', 1>) {
    data.into_alternate::<11>().speed(Speed::VeryHigh);
    clock.into_alternate::<11>().speed(Speed::VeryHigh);
}

/// RMII: clock, carrier; to send; received (RM0090 §33.4.4).
pub fn data_pins(
    (clock, carrier): (Pin<'A', 1>, Pin<'A', 7>),
    (enable, first, second): (Pin<'B', 11>, Pin<'B', 12>, Pin<'B', 13>),
    received: (Pin<'C', 4>, Pin<'C', 5>),
) {
    clock.into_alternate::<11>().speed(Speed::VeryHigh);
    carrier.into_alternate::<11>().speed(Speed::VeryHigh);
    enable.into_alternate::<11>().speed(Speed::VeryHigh);
    first.into_alternate::<11>().speed(Speed::VeryHigh);
    second.into_alternate::<11>().speed(Speed::VeryHigh);
    received.0.into_alternate::<11>().speed(Speed::VeryHigh);
    received.1.into_alternate::<11>().speed(Speed::VeryHigh);
}

/// Gives the MAC its clocks, and tells the chip that the transceiver has an RMII. That is chosen while the MAC is reset, and the
/// management bus works from then on.
pub fn power(
    rcc: &RCC,
    syscfg: &SYSCFG,
    parts: (ETHERNET_MAC, ETHERNET_DMA),
    hertz: u32,
) -> Registers {
    rcc.apb2enr().modify(|_, w| w.syscfgen().set_bit());
    rcc.ahb1rstr().modify(|_, w| w.ethmacrst().set_bit());
    syscfg.pmc().modify(|_, w| w.mii_rmii_sel().set_bit());
    rcc.ahb1enr().modify(|_, w| {
        w.ethmacen().set_bit();
        w.ethmactxen().set_bit();
        w.ethmacrxen().set_bit()
    });
    rcc.ahb1rstr().modify(|_, w| w.ethmacrst().clear_bit());
    Registers {
        mac: parts.0,
        dma: parts.1,
        // At most 2.5 MHz (RM0090 §33.8.1, ETH_MACMIIAR).
        divider: match hertz {
            ..35_000_000 => 0b010,
            35_000_000..60_000_000 => 0b011,
            60_000_000..100_000_000 => 0b000,
            100_000_000..150_000_000 => 0b001,
            _ => 0b100,
        },
    }
}

/// The transceiver's address, when there is one.
pub fn transceiver(registers: &mut Registers) -> Option<u8> {
    find(registers, PATIENCE)
}

impl Ethernet {
    /// Sets the MAC up. None when its DMA does not come out of reset: the transceiver gives no clock.
    pub fn new(
        mut registers: Registers,
        phy: u8,
        hardware: [u8; 6],
        frames: &'static mut Frames,
        now: u64,
    ) -> Option<Self> {
        let dma = &registers.dma;
        dma.dmabmr().modify(|_, w| w.sr().set_bit());
        if !(0..PATIENCE).any(|_| dma.dmabmr().read().sr().bit_is_clear()) {
            return None;
        }
        // Aligned bursts of up to 32 words; short descriptors, one behind the other or chained.
        // SAFETY: burst lengths of the manual's table.
        dma.dmabmr().modify(|_, w| unsafe {
            w.aab().set_bit();
            w.fb().set_bit();
            w.usp().set_bit();
            w.pbl().bits(32);
            w.rdp().bits(32)
        });
        // Whole frames between MAC and memory, so that none is sent or taken in half.
        dma.dmaomr().modify(|_, w| {
            w.rsf().set_bit();
            w.tsf().set_bit();
            w.osf().set_bit()
        });
        // Own address, broadcast, and every group: the stack knows which of them are its own.
        registers.mac.macffr().modify(|_, w| w.pam().set_bit());
        let [a, b, c, d, e, f] = hardware;
        // SAFETY: any address.
        registers
            .mac
            .maca0hr()
            .modify(|_, w| unsafe { w.maca0h().bits(u16::from_le_bytes([e, f])) });
        // SAFETY: any address.
        registers
            .mac
            .maca0lr()
            .write(|w| unsafe { w.maca0l().bits(u32::from_le_bytes([a, b, c, d])) });
        dma.dmaier().modify(|_, w| {
            w.nise().set_bit();
            w.rie().set_bit();
            w.tie().set_bit()
        });
        let phy = Phy::new(&mut registers, phy, now);
        let device = Rings::new(frames, registers);
        Some(Self {
            device,
            phy,
            up: false,
            missed: 0,
            starting: None,
        })
    }

    /// Asks after the cable, and starts or stops the MAC with it. To be called every few milliseconds.
    pub fn poll(&mut self, now: u64) {
        let registers = &mut self.device.mac;
        // Reading clears it: frames missed by the DMA, and by the queue before it.
        let counts = registers.dma.dmamfbocr().read().bits();
        self.missed = self.missed.wrapping_add(missed(counts));
        if let Some(link) = self.starting.take() {
            fence(Ordering::SeqCst);
            registers.start(link);
            self.up = true;
        }
        let Some(link) = self.phy.poll(registers, now) else {
            return;
        };
        registers.stop();
        self.up = false;
        self.starting = link;
        self.device.clear();
        let (receive, transmit) = self.device.addresses();
        let registers = &self.device.mac;
        // SAFETY: the rings' descriptors, which stay where they are.
        unsafe {
            registers.dma.dmardlar().write(|w| w.bits(receive));
            registers.dma.dmatdlar().write(|w| w.bits(transmit));
        }
    }
}

/// The interrupt is dealt with: its bits are cleared by writing ones. All else is the server's to find out.
pub fn quiet() {
    // SAFETY: one register, in which only the interrupt clears bits.
    let dma = unsafe { &*ETHERNET_DMA::ptr() };
    dma.dmasr().write(|w| {
        w.nis().set_bit();
        w.rs().set_bit();
        w.ts().set_bit()
    });
}

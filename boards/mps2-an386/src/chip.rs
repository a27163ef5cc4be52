//! What RTIC and the drivers need to know of the chip (Arm AN386): its interrupts and a way to its registers. There is no
//! crate for it.
use cortex_m::interrupt::InterruptNumber;
// The start-up code, which nothing mentions by name.
use cortex_m_rt as _;

/// Bits of an interrupt's priority that are used; the Cortex-M4 of QEMU has more.
pub const NVIC_PRIO_BITS: u8 = 4;

/// The interrupts in use.
#[expect(
    non_camel_case_types,
    clippy::upper_case_acronyms,
    reason = "names of handlers, as RTIC binds them"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Interrupt {
    /// The first serial port has received.
    UART0_RX = 0,
    /// The second serial port has received.
    UART1_RX = 2,
    /// A timer the board has no other use for: the server's.
    DUALTIMER = 10,
    /// The Ethernet controller.
    ETHERNET = 13,
}
/// The name under which RTIC looks for them.
pub use Interrupt as interrupt;

// SAFETY: the numbers are those of the chip.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

unsafe extern "C" {
    fn UART0_RX();
    fn UART1_RX();
    fn DUALTIMER();
    fn ETHERNET();
}

/// An entry of the vector table.
#[derive(Clone, Copy)]
pub union Vector {
    handler: unsafe extern "C" fn(),
    reserved: usize,
}

const NONE: Vector = Vector { reserved: 0 };

/// The chip's part of the vector table, where cortex-m-rt's linker script expects it.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
pub static __INTERRUPTS: [Vector; 14] = [
    Vector { handler: UART0_RX },
    NONE,
    Vector { handler: UART1_RX },
    NONE,
    NONE,
    NONE,
    NONE,
    NONE,
    NONE,
    NONE,
    Vector { handler: DUALTIMER },
    NONE,
    NONE,
    Vector { handler: ETHERNET },
];

/// A block of registers.
#[derive(Clone, Copy, Debug)]
pub struct Registers(usize);

impl Registers {
    /// The block at this address.
    ///
    /// # Safety
    ///
    /// There are registers from here on, as far as the offsets used go.
    pub const unsafe fn new(address: usize) -> Self {
        Self(address)
    }

    /// Reads the register at an offset in bytes.
    pub fn read(self, offset: usize) -> u32 {
        // SAFETY: as promised to `new`.
        unsafe { ((self.0 + offset) as *const u32).read_volatile() }
    }

    /// Writes the register at an offset in bytes.
    pub fn write(self, offset: usize, value: u32) {
        // SAFETY: as promised to `new`.
        unsafe { ((self.0 + offset) as *mut u32).write_volatile(value) }
    }
}

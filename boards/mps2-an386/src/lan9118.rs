//! The Ethernet controller (SMSC LAN9118): frames through two FIFOs, word by word. QEMU's makes no checksums; nor does this driver
//! use those of the LAN9220, which the real board has.
use crate::chip::Registers;
use wasmote_net::smoltcp::phy::{self, DeviceCapabilities, Medium};
use wasmote_net::smoltcp::time::Instant;

// Registers (LAN9118 datasheet, §5).
const RX_DATA: usize = 0x00;
const TX_DATA: usize = 0x20;
const RX_STATUS: usize = 0x40;
const TX_STATUS: usize = 0x48;
const IRQ_CFG: usize = 0x54;
const INT_STS: usize = 0x58;
const INT_EN: usize = 0x5c;
const BYTE_TEST: usize = 0x64;
const FIFO_INT: usize = 0x68;
const RX_CFG: usize = 0x6c;
const TX_CFG: usize = 0x70;
const HW_CFG: usize = 0x74;
const RX_FIFO_INF: usize = 0x7c;
const TX_FIFO_INF: usize = 0x80;
const FREE_RUN: usize = 0x9c;
const RX_DROP: usize = 0xa0;
const MAC_CSR_CMD: usize = 0xa4;
const MAC_CSR_DATA: usize = 0xa8;
const E2P_CMD: usize = 0xb0;

const BYTE_ORDER: u32 = 0x8765_4321;
const SOFT_RESET: u32 = 1;
/// Store and forward, and 5 KiB of the FIFOs for sending.
const MEMORY: u32 = 1 << 20 | 5 << 16;
/// Enabled, active high, push-pull.
const INTERRUPT: u32 = 1 << 8 | 1 << 4 | 1;
/// More frames than the level, which is none.
const RECEIVED: u32 = 1 << 3;
const PHY: u32 = 1 << 18;
const TRANSMITTER: u32 = 1 << 1;
/// Bit 31 of the two command registers: set to begin, clear when done.
const BUSY: u32 = 1 << 31;
const READ: u32 = 1 << 30;

// Registers of the MAC, and of the PHY behind it (IEEE 802.3 §22.2.4; the interrupts are the chip's own).
const MAC_CR: u32 = 1;
const MAC_ADDRH: u32 = 2;
const MAC_ADDRL: u32 = 3;
const MII_ACC: u32 = 6;
const MII_DATA: u32 = 7;
/// Full duplex, all multicast frames, sender and receiver on.
const MAC_ON: u32 = 1 << 20 | 1 << 19 | 1 << 3 | 1 << 2;
const PHY_CONTROL: u32 = 0;
const PHY_STATUS: u32 = 1;
const PHY_SOURCE: u32 = 29;
const PHY_MASK: u32 = 30;
const NEGOTIATE: u32 = 1 << 12 | 1 << 9;
const LINK: u32 = 1 << 2;
/// Energy came, negotiation is complete, the link went down.
const CHANGED: u32 = 1 << 7 | 1 << 6 | 1 << 4;

/// How often a register is read in hope of a change.
const PATIENCE: u32 = 100_000;
/// The largest frame without its check sequence, and with that.
const FRAME: usize = 1514;
const WORDS: usize = (FRAME + 4).div_ceil(4);

/// The controller is not there, or does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent;

/// The controller.
#[derive(Debug)]
pub struct Lan9118 {
    registers: Registers,
    received: [u32; WORDS],
    sending: [u32; WORDS],
    up: bool,
    /// Frames with an error, or longer than any may be.
    pub damaged: u32,
    dropped: u32,
}

impl Lan9118 {
    /// Resets the controller and switches it on.
    pub fn new(registers: Registers) -> Result<Self, Absent> {
        let r = registers;
        let wait = |offset, done: fn(u32) -> bool| {
            let mut reads = (0..PATIENCE).map(|_| r.read(offset));
            if reads.any(done) { Ok(()) } else { Err(Absent) }
        };
        wait(BYTE_TEST, |value| value == BYTE_ORDER)?;
        r.write(HW_CFG, SOFT_RESET);
        wait(HW_CFG, |value| value & SOFT_RESET == 0)?;
        // The hardware address comes from an EEPROM.
        wait(E2P_CMD, |value| value & BUSY == 0)?;
        r.write(HW_CFG, MEMORY);
        r.write(FIFO_INT, 0);
        r.write(RX_CFG, 0);
        r.write(TX_CFG, TRANSMITTER);
        let mut chip = Self {
            registers,
            received: [0; WORDS],
            sending: [0; WORDS],
            up: false,
            damaged: 0,
            dropped: 0,
        };
        chip.phy_write(PHY_CONTROL, NEGOTIATE)?;
        chip.phy_write(PHY_MASK, CHANGED)?;
        chip.mac_write(MAC_CR, MAC_ON)?;
        chip.look();
        r.write(IRQ_CFG, INTERRUPT);
        Ok(chip)
    }

    fn command(&mut self, command: u32) -> Result<(), Absent> {
        self.registers.write(MAC_CSR_CMD, BUSY | command);
        let mut reads = (0..PATIENCE).map(|_| self.registers.read(MAC_CSR_CMD));
        let done = reads.any(|value| value & BUSY == 0);
        if done { Ok(()) } else { Err(Absent) }
    }

    fn mac_read(&mut self, register: u32) -> Result<u32, Absent> {
        self.command(READ | register)?;
        Ok(self.registers.read(MAC_CSR_DATA))
    }

    fn mac_write(&mut self, register: u32, value: u32) -> Result<(), Absent> {
        self.registers.write(MAC_CSR_DATA, value);
        self.command(register)
    }

    /// The PHY is number 1; bit 0 is busy, bit 1 is write.
    fn phy_read(&mut self, register: u32) -> Result<u32, Absent> {
        self.mac_write(MII_ACC, 1 << 11 | register << 6 | 1)?;
        for _ in 0..PATIENCE {
            if self.mac_read(MII_ACC)? & 1 == 0 {
                return self.mac_read(MII_DATA);
            }
        }
        Err(Absent)
    }

    fn phy_write(&mut self, register: u32, value: u32) -> Result<(), Absent> {
        self.mac_write(MII_DATA, value)?;
        self.mac_write(MII_ACC, 1 << 11 | register << 6 | 3)
    }

    /// Its hardware address.
    pub fn hardware(&mut self) -> Result<[u8; 6], Absent> {
        let low = self.mac_read(MAC_ADDRL)?.to_le_bytes();
        let high = self.mac_read(MAC_ADDRH)?.to_le_bytes();
        let ([a, b, c, d], [e, f, ..]) = (low, high);
        Ok([a, b, c, d, e, f])
    }

    /// Looks whether the cable is in, after the PHY said that something changed.
    fn look(&mut self) {
        let _ = self.phy_read(PHY_SOURCE);
        self.up = self.phy_read(PHY_STATUS).is_ok_and(|s| s & LINK != 0);
    }

    /// Whether the cable is in. Asks the PHY only when that has said something.
    pub fn link(&mut self) -> bool {
        if self.registers.read(INT_STS) & PHY != 0 {
            self.look();
        }
        self.up
    }

    /// Frames that found no room in the FIFO.
    pub fn dropped(&mut self) -> u32 {
        // Reading it clears it.
        self.dropped = self.dropped.wrapping_add(self.registers.read(RX_DROP));
        self.dropped
    }

    /// Asks for an interrupt at the next frame or change of the link; says whether a frame came meanwhile.
    pub fn listen(&mut self) -> bool {
        self.registers.write(INT_STS, RECEIVED);
        self.registers.write(INT_EN, RECEIVED | PHY);
        self.waiting()
    }

    /// Ends the interrupt, until the next `listen`.
    pub fn quiet(registers: Registers) {
        registers.write(INT_EN, 0);
    }

    /// Its clock of 25 MHz, which runs from the reset on.
    pub fn ticks(registers: Registers) -> u32 {
        registers.read(FREE_RUN)
    }

    /// Whether a frame is there.
    fn waiting(&self) -> bool {
        self.registers.read(RX_FIFO_INF) >> 16 & 0xff != 0
    }

    /// Fetches a frame into the buffer; its bytes without the check sequence.
    fn fetch(&mut self) -> Option<usize> {
        while self.waiting() {
            let status = self.registers.read(RX_STATUS);
            let length = (status >> 16 & 0x3fff) as usize;
            let mut kept = self.received.iter_mut();
            for _ in 0..length.div_ceil(4) {
                let word = self.registers.read(RX_DATA);
                if let Some(place) = kept.next() {
                    *place = word;
                }
            }
            // Bit 15: any error.
            if status & 1 << 15 == 0 && (4..=FRAME + 4).contains(&length) {
                return Some(length - 4);
            }
            self.damaged = self.damaged.wrapping_add(1);
        }
        None
    }

    /// Whether there is room for any frame; what became of those before is taken note of.
    fn room(&mut self) -> bool {
        let mut info = self.registers.read(TX_FIFO_INF);
        for _ in 0..info >> 16 & 0xff {
            self.registers.read(TX_STATUS);
        }
        info = self.registers.read(TX_FIFO_INF);
        (info & 0xffff) as usize >= FRAME + 16
    }
}

/// The words of a frame as bytes.
fn bytes(words: &mut [u32]) -> &mut [u8] {
    let length = size_of_val(words);
    // SAFETY: the same memory; any bytes are good, and bytes need no alignment. The FIFOs' first byte is the lowest of its
    // word, as on this CPU.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), length) }
}

/// A received frame.
#[derive(Debug)]
pub struct Received<'a>(&'a [u8]);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, use_frame: F) -> R {
        use_frame(self.0)
    }
}

/// Room for a frame to send.
#[derive(Debug)]
pub struct Room<'a> {
    registers: Registers,
    buffer: &'a mut [u32; WORDS],
}

impl phy::TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let length = length.min(FRAME);
        let result = fill(bytes(self.buffer).get_mut(..length).unwrap_or_default());
        let r = self.registers;
        // Two words of command: first and last part of the frame, its length, and that again.
        r.write(TX_DATA, 1 << 13 | 1 << 12 | length as u32);
        r.write(TX_DATA, length as u32);
        for word in self.buffer.iter().take(length.div_ceil(4)) {
            r.write(TX_DATA, *word);
        }
        result
    }
}

impl phy::Device for Lan9118 {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received<'_>, Room<'_>)> {
        if !self.room() {
            return None;
        }
        let length = self.fetch()?;
        let received = Received(bytes(&mut self.received).get(..length)?);
        let room = Room {
            registers: self.registers,
            buffer: &mut self.sending,
        };
        Some((received, room))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Room<'_>> {
        self.room().then_some(Room {
            registers: self.registers,
            buffer: &mut self.sending,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

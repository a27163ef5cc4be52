//! A serial port (Arm CMSDK APB UART), of which only the receiver is used. It holds one byte; what sends to QEMU's waits until
//! that has been read.
use crate::chip::Registers;

const DATA: usize = 0x00;
const STATE: usize = 0x04;
const CONTROL: usize = 0x08;
const CLEAR: usize = 0x0c;
const DIVISOR: usize = 0x10;

const FULL: u32 = 1 << 1;
const RECEIVE: u32 = 1 << 1;
const RECEIVE_INTERRUPT: u32 = 1 << 3;

/// A receiver.
#[derive(Debug)]
pub struct Uart(Registers);

impl Uart {
    /// Starts to receive, with an interrupt for every byte.
    pub fn new(registers: Registers, divisor: u32) -> Self {
        registers.write(DIVISOR, divisor);
        registers.write(CONTROL, RECEIVE | RECEIVE_INTERRUPT);
        Self(registers)
    }

    /// Ends the interrupt.
    pub fn quiet(&mut self) {
        self.0.write(CLEAR, RECEIVE);
    }

    /// The byte that came, if one did.
    pub fn read(&mut self) -> Option<u8> {
        (self.0.read(STATE) & FULL != 0).then(|| self.0.read(DATA) as u8)
    }
}

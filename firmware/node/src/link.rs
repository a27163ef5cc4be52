//! The serial link: slipmux (draft-bormann-t2trg-slipmux): SLIP frames (RFC 1055) of CoAP datagrams with a checksum, and
//! diagnostic text beside them on the same line. The crate of that name wants a buffer of the whole frame on the way out and a
//! table of 512 bytes; here a frame goes byte by byte into the queue that feeds the line. `tests/link.rs` compares the two.

const END: u8 = 0xc0;
const ESC: u8 = 0xdb;
const ESC_END: u8 = 0xdc;
const ESC_ESC: u8 = 0xdd;
/// First byte of a frame with text.
const DIAGNOSTIC: u8 = 0x0a;
/// First byte of a frame with a CoAP message.
const COAP: u8 = 0xa9;
/// The longest frame: a datagram with its first byte and checksum.
const FRAME: usize = wasmote_coap::MTU + 3;
/// FCS-16 (RFC 1662 §C.2), the lower byte first on the line.
const FCS: crc::Crc<u16, crc::NoTable> = crc::Crc::<u16, crc::NoTable>::new(&crc::CRC_16_IBM_SDLC);

/// Finds frames in what a serial line brings. Noise costs the frame it is in, never one behind it.
#[derive(Debug)]
pub struct Decoder {
    frame: heapless::Vec<u8, FRAME>,
    escaped: bool,
    /// The present frame is too long or broken: wait for its end.
    broken: bool,
    /// The frame was handed out with the last byte.
    done: bool,
    /// Frames that were damaged.
    pub damaged: u32,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// At the start of a line.
    pub const fn new() -> Self {
        Self {
            frame: heapless::Vec::new(),
            escaped: false,
            broken: false,
            done: false,
            damaged: 0,
        }
    }

    /// Takes a byte; `Some` is a CoAP datagram that ended with it.
    pub fn push(&mut self, byte: u8) -> Option<&[u8]> {
        if core::mem::take(&mut self.done) {
            self.frame.clear();
        }
        match (byte, core::mem::take(&mut self.escaped)) {
            (END, escaped) => return self.end(escaped),
            (ESC, false) => self.escaped = true,
            (ESC_END, true) => self.add(END),
            (ESC_ESC, true) => self.add(ESC),
            (_, true) => self.broken = true,
            (byte, false) => self.add(byte),
        }
        None
    }

    fn add(&mut self, byte: u8) {
        self.broken |= self.frame.push(byte).is_err();
    }

    fn end(&mut self, escaped: bool) -> Option<&[u8]> {
        let broken = core::mem::take(&mut self.broken) || escaped;
        let good = match self.frame.as_slice() {
            // RFC 1055: an END at the start clears the line; text from the other side is not for us.
            [] | [DIAGNOSTIC, ..] => {
                self.frame.clear();
                return None;
            }
            [COAP, _, .., low, high] => {
                let length = self.frame.len() - 2;
                let sum = FCS.checksum(self.frame.get(..length).unwrap_or(&[]));
                sum.to_le_bytes() == [*low, *high]
            }
            _ => false,
        };
        if broken || !good {
            self.damaged = self.damaged.wrapping_add(1);
            self.frame.clear();
            return None;
        }
        self.done = true;
        let length = self.frame.len();
        self.frame.get(1..length - 2)
    }
}

/// Frames a CoAP datagram for the line.
pub fn encode(datagram: &[u8], mut put: impl FnMut(u8)) {
    let mut digest = FCS.digest();
    digest.update(&[COAP]);
    digest.update(datagram);
    let sum = digest.finalize().to_le_bytes();
    put(END);
    for byte in [COAP].iter().chain(datagram).chain(&sum) {
        escape(*byte, &mut put);
    }
    put(END);
}

/// Frames a line of text for people who watch the line.
pub fn diagnostic(text: &str, mut put: impl FnMut(u8)) {
    put(END);
    put(DIAGNOSTIC);
    for byte in text.bytes() {
        escape(byte, &mut put);
    }
    put(b'\n');
    put(END);
}

fn escape(byte: u8, put: &mut impl FnMut(u8)) {
    match byte {
        END => {
            put(ESC);
            put(ESC_END);
        }
        ESC => {
            put(ESC);
            put(ESC_ESC);
        }
        byte => put(byte),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn feed(decoder: &mut Decoder, bytes: &[u8]) -> Vec<Vec<u8>> {
        bytes
            .iter()
            .filter_map(|b| decoder.push(*b).map(<[u8]>::to_vec))
            .collect()
    }

    fn framed(datagram: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(datagram, |b| bytes.push(b));
        bytes
    }

    #[test]
    fn every_byte_survives_the_line() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(feed(&mut Decoder::new(), &framed(&all)), [all]);
    }

    #[test]
    fn noise_costs_one_frame() {
        let mut decoder = Decoder::new();
        let mut line = framed(b"first");
        if let Some(byte) = line.get_mut(3) {
            *byte ^= 1;
        }
        line.extend(framed(b"second"));
        line.extend([0x55; 5000]);
        line.extend(framed(b"third"));
        line.extend(framed(b"fourth"));
        // Noise without an end swallows nothing that starts with an END of its own.
        assert_eq!(
            feed(&mut decoder, &line),
            [&b"second"[..], b"third", b"fourth"]
        );
        assert_eq!(decoder.damaged, 2);
    }

    #[test]
    fn a_wrong_escape_and_a_byte_too_many_cost_their_frame_whatever_is_right_about_the_rest() {
        let mut decoder = Decoder::new();
        let mut line = framed(&[7; 20]);
        line.splice(5..5, [ESC, 1]);
        line.extend(framed(b"next"));
        assert_eq!(feed(&mut decoder, &line), [b"next"]);
        assert_eq!(decoder.damaged, 1);
        // The longest, and the same with one byte behind its checksum.
        let longest = [1; wasmote_coap::MTU];
        assert_eq!(feed(&mut decoder, &framed(&longest)), [longest]);
        let mut line = framed(&longest);
        line.insert(line.len() - 1, 1);
        line.extend(framed(b"next"));
        assert_eq!(feed(&mut decoder, &line), [b"next"]);
        assert_eq!(decoder.damaged, 2);
    }

    #[test]
    fn text_is_passed_over() {
        let mut line = Vec::new();
        diagnostic("hello", |b| line.push(b));
        line.extend(framed(b"datagram"));
        let mut decoder = Decoder::new();
        assert_eq!(feed(&mut decoder, &line), [b"datagram"]);
        assert_eq!(decoder.damaged, 0);
    }
}

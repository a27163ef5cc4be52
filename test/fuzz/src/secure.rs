//! The target `secure`: any bytes as a program of what happens between a secured node and somebody on the way who sees, changes,
//! holds back, repeats and makes up messages, while the node is reset and its clock goes on.
#[path = "../../../firmware/oscore/tests/rig/mod.rs"]
mod rig;

use rig::{Rig, VALUE};
use std::collections::{BTreeMap, BTreeSet};
use wasmote_coap::{Code, Kind, Message, Writer, option};
use wasmote_node::Provision;
use wasmote_oscore::{Compressed, Window};

/// Longest program, in steps, and longest text that a step makes up, in bytes.
const STEPS: usize = 64;
const LONGEST: usize = 200;

/// Bytes that are used up from the front; zeros behind the end.
struct Input<'i>(&'i [u8]);

impl<'i> Input<'i> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self) -> &'i [u8] {
        let length = usize::from(self.byte()).min(LONGEST).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}

/// A request of the client's: what was sent, its sequence number, and the value that it sets.
#[derive(Clone)]
struct Sent {
    datagram: Vec<u8>,
    number: u64,
    value: Option<u32>,
}

/// Whose number a nonce is made of, the number, and how often the node has started: its journal keeps numbers apart beyond that.
type Nonce = (bool, u64);

struct World {
    rig: Rig,
    sent: Vec<Sent>,
    /// What was set, and by which sequence number: nothing twice.
    done: BTreeSet<u32>,
    nonces: BTreeMap<Nonce, Vec<u8>>,
    next_value: u32,
    echo: Vec<u8>,
    /// How often the node has started: its secret differs from start to start.
    starts: u128,
    /// Whether anything protected came back.
    answered: bool,
}

impl World {
    fn new() -> Self {
        let mut rig = Rig::new();
        rig.server.security().seed(0);
        Self {
            rig,
            sent: Vec::new(),
            done: BTreeSet::new(),
            nonces: BTreeMap::new(),
            next_value: 1,
            echo: Vec::new(),
            starts: 0,
            answered: false,
        }
    }

    /// The client makes a request; it is on its way, and may never come.
    fn protect(&mut self, code: Code, observes: bool) {
        let value = (code == Code::PUT).then(|| {
            self.next_value += 1;
            self.next_value
        });
        let payload = value.map(|value| value.to_string()).unwrap_or_default();
        let mut options: Vec<(u16, &[u8])> = Vec::new();
        if observes {
            options.push((option::OBSERVE, &[]));
        }
        options.push((option::URI_PATH, b"value"));
        let echo = self.echo.clone();
        if !echo.is_empty() {
            options.push((option::ECHO, &echo));
        }
        let token = [self.sent.len() as u8];
        let (datagram, number) = self.rig.request(code, &options, payload.as_bytes(), &token);
        self.sent.push(Sent {
            datagram,
            number,
            value,
        });
    }

    /// Something arrives at the node. What it does has to have been asked for by the client, once.
    fn arrives(&mut self, datagram: &[u8]) {
        let before = self.rig.app.changes;
        let out = self.rig.sends(datagram);
        let changes = self.rig.app.changes - before;
        assert!(changes <= 1, "one datagram changed {changes} times");
        if changes == 1 {
            let value = self.rig.app.value;
            let asked = self.sent.iter().any(|sent| sent.value == Some(value));
            assert!(asked, "{value} was never asked for");
            assert!(self.done.insert(value), "{value} was set twice");
        }
        self.leaves(&out, datagram.len());
    }

    /// What the node sends: no nonce for two texts, and to those without a context nothing that is much longer than what they sent.
    fn leaves(&mut self, out: &[Vec<u8>], asked: usize) {
        for datagram in out {
            let message = Message::parse(datagram).expect("what a node sends can be read");
            let Some(value) = message.options.get(option::OSCORE) else {
                assert!(datagram.len() <= asked + 32, "{} bytes", datagram.len());
                continue;
            };
            let own = Compressed::parse(value).expect("its own option").number();
            // Tokens and message IDs are changed on the way: which request it answers is told by what opens it.
            let mut requests = self.sent.iter().rev().map(|sent| sent.number);
            let (request, got) = requests
                .find_map(|number| Some((number, self.rig.opened(datagram, number)?)))
                .expect("what was protected answers a request of the client's");
            let nonce = own.map_or((false, request), |own| (true, own));
            let text = message.payload.to_vec();
            let same = self.nonces.entry(nonce).or_insert_with(|| text.clone());
            assert_eq!(*same, text, "one nonce for two texts");
            self.answered = true;
            if let Some(echo) = got.echo {
                self.echo = echo;
            }
        }
    }

    /// The node starts again, with what lies in flash.
    fn reset(&mut self) {
        let (next, id, now) = (self.rig.next, self.rig.id, self.rig.now);
        let mut rig = Rig::at(self.rig.limit, None::<Window>);
        self.starts += 1;
        rig.server.security().seed(self.starts);
        if self.starts.is_multiple_of(2) {
            rig.server.security().demand();
        }
        (rig.next, rig.id, rig.now) = (next, id, now);
        self.rig = rig;
    }

    fn picked(&self, input: &mut Input<'_>) -> Option<Sent> {
        let at = usize::from(input.byte());
        self.sent.get(at % self.sent.len().max(1)).cloned()
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 12 {
            0 => self.protect(Code::GET, false),
            1 => self.protect(Code::PUT, false),
            2 => self.protect(Code::GET, true),
            // As it was sent: at once, late, again.
            3 | 4 => {
                if let Some(sent) = self.picked(input) {
                    self.arrives(&sent.datagram);
                }
            }
            // Under another message ID.
            5 => {
                if let Some(mut sent) = self.picked(input) {
                    sent.datagram[2] ^= input.byte();
                    self.arrives(&sent.datagram);
                }
            }
            // Changed, cut short, lengthened.
            6 => {
                if let Some(mut sent) = self.picked(input) {
                    let at = usize::from(input.byte()) % sent.datagram.len();
                    sent.datagram[at] ^= input.byte();
                    self.arrives(&sent.datagram);
                }
            }
            7 => {
                if let Some(mut sent) = self.picked(input) {
                    let left = usize::from(input.byte()) % (sent.datagram.len() + 1);
                    sent.datagram.truncate(left);
                    sent.datagram.extend(input.bytes());
                    self.arrives(&sent.datagram);
                }
            }
            // Made up: an OSCORE option and a ciphertext, or all of it.
            8 => {
                let (value, text) = (input.bytes(), input.bytes());
                let mut buffer = [0; 2 * LONGEST + 32];
                let kind = if input.byte() & 1 == 0 {
                    Kind::Con
                } else {
                    Kind::Non
                };
                let mut w = Writer::new(&mut buffer, kind, Code(input.byte()), 0x7777, b"xx");
                w.option(option::OSCORE, value);
                let datagram = w.finish(text).map(<[u8]>::to_vec).unwrap_or_default();
                self.arrives(&datagram);
            }
            9 => {
                let made_up = input.bytes();
                self.arrives(made_up);
            }
            10 => {
                self.rig.now += 1 << (input.byte() % 18);
                if input.byte() & 1 == 0 {
                    self.rig.reserve();
                }
                self.rig.app.value = 0;
                self.rig.server.notify(VALUE);
                let mut out = Vec::new();
                let now = self.rig.now;
                self.rig
                    .server
                    .poll(now, &mut self.rig.app, &mut |_, bytes: &[u8]| {
                        out.push(bytes.to_vec());
                    });
                self.leaves(&out, 0);
            }
            _ => self.reset(),
        }
    }
}

/// The target `secure`: a program of at most 64 steps, or, where it begins with 0xff, the content of a provisioning record. Whether
/// anything protected was answered, or the record read.
pub fn secure(bytes: &[u8]) -> bool {
    if let Some(map) = bytes.strip_prefix(&[0xff]) {
        return record(map);
    }
    let mut input = Input(bytes);
    let mut world = World::new();
    for _ in 0..STEPS {
        if input.0.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.answered
}

/// A record whose checksum is right, whatever is in it.
fn record(map: &[u8]) -> bool {
    let map = map.get(..LONGEST).unwrap_or(map);
    let mut bytes = b"WMPR".to_vec();
    bytes.extend((map.len() as u32).to_le_bytes());
    bytes.extend(map);
    bytes.extend(crc32(map).to_le_bytes());
    let read = Provision::read(bytes.leak());
    if let Some(found) = &read {
        assert!(found.name.chars().all(|c| !c.is_control()), "{found:?}");
        assert!(found.vendor.chars().all(|c| !c.is_control()), "{found:?}");
    }
    read.is_some()
}

/// CRC-32 of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

//! A secured node and a client that has a context with it, both on the chip.
#![allow(dead_code, reason = "each image uses its part")]
use crate::ram::{PLACES, Ram};
use wasmote_coap::{Code, Kind, Message, Writer, option};
use wasmote_node::package::Own;
use wasmote_node::slot::Slots;
use wasmote_node::{
    Board, Io, Keyring, Limits, Memory, Phase, Provision, Runner, Sensor, Server, Step,
};
use wasmote_oscore::option::{LONGEST, piv};
use wasmote_oscore::{Compressed, Context, Id, Material, TAG};

/// An IPv4 address and a port.
pub type Peer = ([u8; 4], u16);

/// Who has a context: an administrator who may do everything, and a reader.
pub const ADMINISTRATOR: u8 = 0;
pub const READER: u8 = 1;
const RIGHTS: [u8; 2] = [15, 1];
const NODE_ID: u8 = 0x80;
/// The contexts as keyring.rs has them: secret, both IDs, rights.
#[expect(clippy::indexing_slicing, reason = "the compiler computes it")]
static CONTEXTS: [u8; 2 * 19] = {
    let mut bytes = [0; 38];
    let mut at = 0;
    while at < 38 {
        let place = (at / 19) as u8;
        bytes[at] = match at % 19 {
            16 => place,
            17 => NODE_ID + place,
            18 => RIGHTS[at / 19],
            _ => secret(place),
        };
        at += 1;
    }
    bytes
};

/// The node's key for EDHOC, and its Claims Set. Nobody comes to the end of a key exchange here.
static OWN: [u8; 32] = [1; 32];
#[expect(clippy::indexing_slicing, reason = "the compiler computes it")]
static CLAIMS: [u8; 47] = {
    let head = [
        0xa1, 8, 0xa1, 1, 0xa4, 1, 2, 2, 0x41, 0x2b, 0x20, 1, 0x21, 0x58, 0x20,
    ];
    let mut bytes = [0x33; 47];
    let mut at = 0;
    while at < head.len() {
        bytes[at] = head[at];
        at += 1;
    }
    bytes
};

/// The byte that the secret of a place is made of.
const fn secret(place: u8) -> u8 {
    0x5a ^ place
}

/// The keys of a context, at this end and that.
fn context(place: u8, sender: u8, recipient: u8) -> Option<Context> {
    Context::derive(&Material {
        secret: &[secret(place); 16],
        salt: &[],
        id_context: None,
        sender: Id::new(&[sender])?,
        recipient: Id::new(&[recipient])?,
    })
}

struct Clock(u64);

impl Io for Clock {
    fn micros(&mut self) -> u64 {
        self.0
    }
    fn phase(&mut self, _: Phase) {}
    fn gpio(&mut self, _: u8, _: bool) {}
}

/// What is in a request of the client's.
pub struct Asked<'a> {
    pub code: Code,
    pub path: &'a [&'a str],
    /// Other options that come before Uri-Path, and those behind it.
    pub before: &'a [(u16, &'a [u8])],
    pub behind: &'a [(u16, &'a [u8])],
    pub payload: &'a [u8],
}

/// A datagram.
pub struct Datagram {
    pub bytes: [u8; 1200],
    pub length: usize,
}

impl Datagram {
    pub const fn new() -> Self {
        Self {
            bytes: [0; 1200],
            length: 0,
        }
    }

    pub fn get(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    pub fn set(&mut self, datagram: &[u8]) {
        if let Some(room) = self.bytes.get_mut(..datagram.len()) {
            room.copy_from_slice(datagram);
            self.length = datagram.len();
        }
    }
}

/// The client's end.
pub struct Client {
    pub context: Context,
    number: u64,
    id: u16,
    /// The newest value to be echoed.
    pub echo: Option<[u8; 8]>,
}

impl Client {
    /// The holder of a context.
    pub fn new(place: u8) -> Option<Self> {
        Some(Self {
            context: context(place, place, NODE_ID + place)?,
            number: 0,
            id: 0,
            echo: None,
        })
    }

    /// Leaves out sequence numbers.
    pub fn skip(&mut self, numbers: u64) {
        self.number += numbers;
    }

    /// A protected request, with the value to be echoed where one is known.
    pub fn protect(&mut self, asked: &Asked<'_>) -> Option<Datagram> {
        self.number += 1;
        self.id = self.id.wrapping_add(1);
        let mut inner = [0; 1100];
        let mut w = Writer::new(&mut inner, Kind::Con, asked.code, 0, &[]);
        asked.before.iter().for_each(|(n, v)| w.option(*n, v));
        for segment in asked.path {
            w.option(option::URI_PATH, segment.as_bytes());
        }
        asked.behind.iter().for_each(|(n, v)| w.option(*n, v));
        if let Some(echo) = &self.echo {
            w.option(option::ECHO, echo);
        }
        let length = w.finish(asked.payload)?.len();
        // Type, token length and message ID are of the way, and not of what is protected.
        let mut text = [0; 1100];
        let plain = length.checked_sub(3)?;
        *text.first_mut()? = asked.code.0;
        text.get_mut(1..plain)?
            .copy_from_slice(inner.get(4..length)?);
        let own = self.context.sender;
        let nonce = self.context.nonce(&own, self.number);
        let sealed = self
            .context
            .seal(&nonce, (&own, self.number), &mut text, plain)?;
        let (number, significant) = piv(self.number);
        let mut value = [0; LONGEST];
        let value = Compressed {
            piv: number.get(8 - significant..)?,
            kid: Some(own.bytes()),
            ..Compressed::default()
        }
        .write(&mut value)?;
        let observes = asked.before.iter().any(|(n, _)| *n == option::OBSERVE);
        let code = if observes { Code(5) } else { Code::POST };
        let mut bytes = [0; 1200];
        let mut w = Writer::new(&mut bytes, Kind::Con, code, self.id, b"tk");
        if observes {
            w.option(option::OBSERVE, &[]);
        }
        w.option(option::OSCORE, value);
        let length = w.finish(text.get(..sealed)?)?.len();
        Some(Datagram { bytes, length })
    }

    /// Opens what answers the newest request: its code. A value to be echoed is kept.
    pub fn open(&mut self, datagram: &[u8]) -> Option<Code> {
        self.read(datagram).map(|(code, _)| code)
    }

    /// The same, with the beginning of the payload.
    pub fn read(&mut self, datagram: &[u8]) -> Option<(Code, heapless::Vec<u8, 64>)> {
        let message = Message::parse(datagram).ok()?;
        let value = Compressed::parse(message.options.get(option::OSCORE)?)?;
        let (sender, recipient) = (self.context.sender, self.context.recipient);
        let nonce = match value.number() {
            Some(number) => self.context.nonce(&recipient, number),
            None => self.context.nonce(&sender, self.number),
        };
        let mut text = [0; 1200];
        let text = text.get_mut(..message.payload.len())?;
        text.copy_from_slice(message.payload);
        let length = self
            .context
            .open(&nonce, (&sender, self.number), text)
            .ok()?;
        let inner = message.within(text.get(..length)?)?;
        if let Some(echo) = inner.options.get(option::ECHO) {
            self.echo = echo.try_into().ok();
        }
        let shown = inner.payload.get(..64).unwrap_or(inner.payload);
        Some((inner.code, heapless::Vec::from_slice(shown).ok()?))
    }
}

/// Both halves of a node.
pub struct Node {
    pub server: Server<Peer>,
    runner: Runner<Ram>,
    clock: Clock,
    pub now: u64,
}

impl Node {
    /// A node with contexts for both, and a trusted key.
    pub fn new(sensors: &'static [Sensor], key: Option<[u8; 32]>) -> Option<Self> {
        let memory = cortex_m::singleton!(: Memory<Peer> = Memory::new())?;
        let region = cortex_m::singleton!(: [u64; 4096] = [0; 4096])?;
        let (server_memory, runner_memory) = memory.split();
        let mut provision = Provision {
            contexts: &CONTEXTS,
            identity: Own::new(&OWN, &CLAIMS),
            ..Provision::default()
        };
        if let Some(key) = key {
            provision.keys.push(key).ok()?;
        }
        // SAFETY: this is called once, as the singletons above see to.
        let slots = Slots::at(unsafe { Ram::take() }, PLACES);
        let board = Board {
            name: "stm32f407",
            class: "stm32f407",
            version: env!("CARGO_PKG_VERSION"),
            clock: "HSE",
            hertz: 168_000_000,
            reset: "power on",
            missing: heapless::Vec::new(),
            readout: None,
            sensors,
            memory: 32 * 1024,
            package: slots.capacity(),
            fuel: 100_000,
        };
        let limits = Limits {
            class: "stm32f407",
            fuel: 100_000,
            sensors,
        };
        let keyring = Keyring::load(&slots, &provision);
        // SAFETY: the same memory as bytes, for as long.
        let region =
            unsafe { core::slice::from_raw_parts_mut(region.as_mut_ptr().cast::<u8>(), 32 * 1024) };
        let runner = Runner::new(slots, region, provision.clone(), limits, runner_memory);
        let host = |(address, _): &Peer| u64::from(u32::from_be_bytes(*address));
        let mut server = Server::new(board, provision, &keyring, server_memory, 1, Some(host));
        server.trust(|(address, _)| address.starts_with(&[192, 168]));
        let mut node = Self {
            server,
            runner,
            clock: Clock(1_000_000),
            now: 1_000,
        };
        node.settle();
        Some(node)
    }

    /// Lets both halves do all there is to do.
    pub fn settle(&mut self) {
        self.settle_into(&mut Datagram::new());
    }

    /// The same; what the node sends meanwhile is the answer.
    pub fn settle_into(&mut self, answer: &mut Datagram) {
        // Twice, for the server may have asked the other half for something.
        for _ in 0..2 {
            for _ in 0..1_000 {
                self.clock.0 = self.now * 1000;
                let step = self.runner.step(&mut self.clock);
                self.server
                    .poll(self.now, &mut |_: Peer, d: &[u8]| answer.set(d));
                if matches!(step, Step::Idle(_)) && !self.runner.has_mail() {
                    break;
                }
            }
        }
    }

    /// A datagram in, and the answer to it.
    pub fn ask(&mut self, peer: Peer, datagram: &[u8], answer: &mut Datagram) {
        answer.length = 0;
        let now = self.now;
        self.server
            .receive(now, peer, false, datagram, &mut |_: Peer, d: &[u8]| {
                answer.set(d)
            });
    }

    /// Asks until the client knows a value to be echoed, and the node its window.
    pub fn meet(&mut self, client: &mut Client, peer: Peer) -> Option<()> {
        let mut answer = Datagram::new();
        for _ in 0..3 {
            self.now += 1;
            let asked = client.protect(&Asked {
                code: Code::GET,
                path: &["time"],
                before: &[],
                behind: &[],
                payload: &[],
            })?;
            self.ask(peer, asked.get(), &mut answer);
            self.settle();
            if client.open(answer.get())? == Code::CONTENT {
                return Some(());
            }
        }
        None
    }
}

/// Opens a message that the node sent: for measuring what a right and what a wrong tag costs.
pub struct Sample {
    pub context: Context,
    text: [u8; 96],
    sealed: usize,
}

impl Sample {
    /// A request of 64 bytes, as the node gets it.
    pub fn new() -> Option<Self> {
        let client = context(ADMINISTRATOR, ADMINISTRATOR, NODE_ID)?;
        let peer = client.sender;
        let mut text = [7; 96];
        let nonce = client.nonce(&peer, 5);
        let sealed = client.seal(&nonce, (&peer, 5), &mut text, 64)?;
        Some(Self {
            context: context(ADMINISTRATOR, NODE_ID, ADMINISTRATOR)?,
            text,
            sealed,
        })
    }

    /// Opens it with these bits of its tag changed; whether it was taken.
    pub fn open(&self, changed: &[u8; TAG]) -> bool {
        let mut text = self.text;
        let tag = text.iter_mut().take(self.sealed).skip(self.sealed - TAG);
        tag.zip(changed).for_each(|(byte, bits)| *byte ^= bits);
        let peer = self.context.recipient;
        let nonce = self.context.nonce(&peer, 5);
        let text = text.get_mut(..self.sealed).unwrap_or(&mut []);
        self.context.open(&nonce, (&peer, 5), text).is_ok()
    }
}

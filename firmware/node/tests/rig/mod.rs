//! A node in memory: both halves, flash whose power can be cut, and a client that speaks CoAP to it.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
pub mod holder;
pub mod initiator;
pub mod package;
pub mod sensors;
pub mod slots;
pub mod start;
pub mod vector;

use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash,
};
use std::cell::Cell;
use std::rc::Rc;
use wasmote_coap::{Code, Kind, Message, Writer, option};
use wasmote_node::slot::{Flash, SLOTS};
use wasmote_node::{Gauges, Io, Phase, Runner, Sensor, Server, Step};

/// Prints a line that is seen even when the test passes: what was tried, and how often.
pub fn tell(text: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Sectors of the flash, in bytes, and the slots in them: even ones, and of one to three sectors of two sizes.
pub struct Layout {
    sectors: &'static [u32],
    places: [(u32, u32); SLOTS],
}

pub const EVEN: Layout = Layout {
    sectors: &[0x2000, 0x2000, 0x2000],
    places: [(0, 0x2000), (0x2000, 0x2000), (0x4000, 0x2000)],
};
pub const UNEVEN: Layout = Layout {
    sectors: &[0x2000, 0x1000, 0x1000, 0x1000, 0x2000, 0x1000],
    places: [(0, 0x2000), (0x2000, 0x3000), (0x5000, 0x3000)],
};
const SIZE: u32 = 0x8000;

/// What a power cut leaves of the operation it comes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// Nothing was done yet.
    Nothing,
    /// The first half was done.
    Half,
    /// All words but the last were done, and of that one some bits; of an erasure, some bits everywhere.
    Bits,
    /// All was done, but nothing after it.
    Whole,
}

pub const TEARS: [Tear; 4] = [Tear::Nothing, Tear::Half, Tear::Bits, Tear::Whole];

const SENSORS: &[Sensor] = &[Sensor {
    name: "level",
    unit: "mm",
}];

/// Flash that outlives a power cut. Like the chip's, it clears bits when it is written, a word at a time, and is erased by the
/// sector.
#[derive(Clone)]
pub struct Memory {
    words: *mut u32,
    layout: &'static Layout,
    /// Writes and erases that are still done; the one after them is torn.
    pub left: Rc<Cell<u64>>,
    /// How it is torn.
    pub tear: Rc<Cell<Tear>>,
    /// All that were asked for.
    pub asked: Rc<Cell<u64>>,
    /// Writes that would have set bits, or changed a written word into something else than zero.
    pub violations: Rc<Cell<u64>>,
    random: Rc<Cell<u32>>,
}

impl Memory {
    pub fn new() -> Self {
        Self::with(&EVEN)
    }

    pub fn with(layout: &'static Layout) -> Self {
        Self {
            words: vec![u32::MAX; SIZE as usize / 4].leak().as_mut_ptr(),
            layout,
            left: Rc::new(Cell::new(u64::MAX)),
            tear: Rc::new(Cell::new(Tear::Half)),
            asked: Rc::default(),
            violations: Rc::default(),
            random: Rc::new(Cell::new(0x2545_f491)),
        }
    }

    fn bytes(&self) -> *mut u8 {
        self.words.cast()
    }

    /// A copy with a content of its own.
    pub fn copy(&self) -> Self {
        let copy = Self::with(self.layout);
        // SAFETY: both are `SIZE` bytes, and distinct.
        unsafe {
            copy.bytes()
                .copy_from_nonoverlapping(self.bytes(), SIZE as usize)
        };
        copy
    }

    /// Flips a bit, as flash does with the years.
    pub fn flip(&self, at: u32, bit: u8) {
        assert!(at < SIZE);
        // SAFETY: in bounds; no node has this flash meanwhile.
        unsafe {
            let at = self.bytes().add(at as usize);
            at.write_volatile(at.read_volatile() ^ 1 << bit);
        }
    }

    /// Where a slot begins, and its bytes.
    pub fn place(&self, index: usize) -> (u32, u32) {
        self.layout.places[index]
    }

    /// Whether these are the first and last byte of sectors.
    fn whole(&self, from: u32, to: u32) -> bool {
        let mut edge = 0;
        let mut found = (from == 0, to == 0);
        for sector in self.layout.sectors {
            edge += sector;
            found = (found.0 || edge == from, found.1 || edge == to);
        }
        found == (true, true)
    }

    /// Changes words; `new` makes of a word what it becomes.
    fn change(
        &mut self,
        offset: u32,
        length: u32,
        new: impl Fn(usize, u32) -> u32,
    ) -> Result<(), NorFlashErrorKind> {
        assert!(
            offset + length <= SIZE && offset.is_multiple_of(4) && length.is_multiple_of(4),
            "{length} bytes at {offset}"
        );
        self.asked.set(self.asked.get() + 1);
        let count = (length / 4) as usize;
        let left = self.left.get();
        if left != u64::MAX {
            self.left.set(left.saturating_sub(1));
        }
        let (whole, bits) = match (left, self.tear.get()) {
            // After the cut nothing is done at all.
            (0, _) | (1, Tear::Nothing) => (0, false),
            (1, Tear::Half) => (count / 2, false),
            (1, Tear::Bits) => (0, true),
            _ => (count, false),
        };
        let erases = length >= 0x1000;
        for i in 0..count {
            // SAFETY: in bounds, as asserted; those who read hold ranges that are not written meanwhile.
            let at = unsafe { self.words.add(offset as usize / 4 + i) };
            // SAFETY: likewise.
            let old = unsafe { at.read_volatile() };
            let word = new(i, old);
            let word = if i < whole || bits && !erases && i + 1 < count {
                word
            } else if bits && (erases || i + 1 == count) {
                // xorshift32
                let mut x = self.random.get();
                x ^= x << 13;
                x ^= x >> 17;
                x ^= x << 5;
                self.random.set(x);
                old & x | word & !x
            } else {
                old
            };
            // SAFETY: likewise.
            unsafe { at.write_volatile(word) };
        }
        if left <= 1 {
            Err(NorFlashErrorKind::Other)
        } else {
            Ok(())
        }
    }
}

impl ErrorType for Memory {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Memory {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        bytes.copy_from_slice(self.mapped(offset, bytes.len() as u32));
        Ok(())
    }
    fn capacity(&self) -> usize {
        SIZE as usize
    }
}

impl NorFlash for Memory {
    const WRITE_SIZE: usize = 4;
    // The smallest there is; slots are made of whole ones, whatever their sizes.
    const ERASE_SIZE: usize = 0x1000;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        assert!(
            self.whole(from, to),
            "{from}..{to} is not made of whole sectors"
        );
        self.change(from, to - from, |_, _| u32::MAX)
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        assert!(bytes.len() < 0x1000 * 2);
        let new = |i: usize| u32::from_le_bytes(bytes[i * 4..i * 4 + 4].try_into().unwrap());
        for (i, old) in self
            .words(offset, bytes.len() as u32 / 4)
            .iter()
            .enumerate()
        {
            if old & new(i) != new(i) {
                self.violations.set(self.violations.get() + 1);
            }
        }
        self.change(offset, bytes.len() as u32, |i, old| old & new(i))
    }
}

// Bits can be cleared without erasing what is beside them.
impl MultiwriteNorFlash for Memory {}

impl Flash for Memory {
    fn mapped(&self, offset: u32, length: u32) -> &'static [u8] {
        assert!(offset + length <= SIZE, "beyond the flash");
        // SAFETY: in bounds, and leaked.
        unsafe { core::slice::from_raw_parts(self.bytes().add(offset as usize), length as usize) }
    }
    fn words(&self, offset: u32, words: u32) -> &'static [u32] {
        assert!(offset.is_multiple_of(4) && offset + words * 4 <= SIZE);
        // SAFETY: as above, and aligned.
        unsafe { core::slice::from_raw_parts(self.words.add(offset as usize / 4), words as usize) }
    }
}

/// The virtual time, how many signatures were verified, whether the generator of random numbers works, and what it gives.
struct Clock(u64, usize, bool, u64);

impl Io for Clock {
    fn micros(&mut self) -> u64 {
        self.0
    }
    fn phase(&mut self, phase: Phase) {
        self.1 += usize::from(phase == Phase::Verify);
    }
    fn gpio(&mut self, _pin: u8, _high: bool) {}
    fn random(&mut self) -> Option<[u8; 32]> {
        self.3 = self.3.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let half = (self.3 >> 32) as u8;
        self.2.then_some([half & 0x7f | 1; 32])
    }
}

/// A node from one reset to the next.
pub struct Rig {
    server: Server<u8>,
    runner: Runner<Memory>,
    clock: Clock,
    id: u16,
    /// Who talks to it.
    pub peer: u8,
    notified: usize,
    heard: Vec<String>,
    /// Messages of key exchanges so far.
    serial: u16,
    pub memory: Memory,
}

/// Which host a client is at.
pub type Host = fn(&u8) -> u64;

/// From this number on peers have not shown that they are where they say.
pub const STRANGERS: u8 = 200;

/// An answer: code and payload.
pub type Answer = (Code, Vec<u8>);

/// A node that runs the package `first`, whose parameter is `limit` and whose output `flow`.
pub fn running() -> (Memory, Rig) {
    let v = vectors();
    let memory = Memory::new();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(node.push(v.named("first")).0, Code::CHANGED);
    node.feed(12);
    (memory, node)
}

impl Rig {
    /// The virtual clock, in milliseconds: each step of the Runner takes some of it.
    pub fn now(&self) -> u64 {
        self.clock.0 / 1000
    }

    /// Lets both halves do all there is to do now; what the server sent.
    pub fn settle(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        let mut quiet = false;
        for _ in 0..10_000 {
            self.clock.0 += 100;
            let step = self.runner.step(&mut self.clock);
            let now = self.now();
            self.server
                .poll(now, &mut |_: u8, d: &[u8]| sent.push(d.to_vec()));
            // Twice, for the server may have asked the other half for something.
            let idle = matches!(step, Step::Idle(_)) && !self.runner.has_mail();
            if idle && quiet {
                return sent;
            }
            quiet = idle;
        }
        panic!("the node never comes to rest");
    }

    /// A datagram in; what came out of it.
    pub fn datagram(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        let now = self.now();
        self.server
            .receive(now, self.peer, false, datagram, &mut |_: u8, d: &[u8]| {
                sent.push(d.to_vec())
            });
        sent.extend(self.settle());
        for told in sent.clone() {
            let message = Message::parse(&told).unwrap();
            if message.options.get(option::OBSERVE).is_none() {
                continue;
            }
            self.notified += 1;
            self.heard
                .push(String::from_utf8_lossy(message.payload).into_owned());
            // The next one waits for this one's acknowledgement (RFC 7641 §4.5.1).
            if message.kind == Kind::Con {
                let mut buffer = [0; 8];
                let ack = Writer::new(&mut buffer, Kind::Ack, Code(0), message.id, &[]);
                let ack = ack.finish(&[]).unwrap().to_vec();
                sent.extend(self.datagram(&ack));
            }
        }
        sent
    }

    /// A request; the answer may come later and separately (RFC 7252 §5.2.2), and is acknowledged then.
    pub fn request(
        &mut self,
        code: Code,
        path: &str,
        options: &[(u16, Vec<u8>)],
        payload: &[u8],
    ) -> Answer {
        let datagram = self.message(code, path, options, payload);
        let token = self.id.to_be_bytes();
        let mut answers = self.datagram(&datagram);
        for _ in 0..100 {
            for answer in std::mem::take(&mut answers) {
                let message = Message::parse(&answer).unwrap();
                if message.kind == Kind::Con {
                    let mut buffer = [0; 8];
                    let ack = Writer::new(&mut buffer, Kind::Ack, Code(0), message.id, &[]);
                    let ack = ack.finish(&[]).unwrap().to_vec();
                    answers.extend(self.datagram(&ack));
                }
                if message.token == token && message.code != Code(0) {
                    return (message.code, message.payload.to_vec());
                }
            }
            self.clock.0 += 500_000;
            answers.extend(self.settle());
        }
        panic!("{path} was not answered");
    }

    /// A confirmable request with a message ID of its own, which is its token too.
    fn message(
        &mut self,
        code: Code,
        path: &str,
        options: &[(u16, Vec<u8>)],
        payload: &[u8],
    ) -> Vec<u8> {
        self.id += 1;
        let token = self.id.to_be_bytes();
        let mut buffer = [0; 1500];
        let mut writer = Writer::new(&mut buffer, Kind::Con, code, self.id, &token);
        let mut all: Vec<(u16, Vec<u8>)> = path
            .split('/')
            .map(|s| (option::URI_PATH, s.as_bytes().to_vec()))
            .collect();
        all.extend_from_slice(options);
        all.sort_by_key(|(number, _)| *number);
        for (number, value) in &all {
            writer.option(*number, value);
        }
        writer.finish(payload).unwrap().to_vec()
    }

    /// A request while the Runner has no time: what is answered at once.
    pub fn ask(
        &mut self,
        code: Code,
        path: &str,
        options: &[(u16, Vec<u8>)],
        payload: &[u8],
    ) -> Option<Code> {
        let datagram = self.message(code, path, options, payload);
        let (now, mut answer) = (self.now(), None);
        self.server
            .receive(now, self.peer, false, &datagram, &mut |_: u8, d: &[u8]| {
                answer = Some(Message::parse(d).unwrap().code)
            });
        answer
    }

    /// All datagrams that come back for a request, its notifications too.
    pub fn exchange(
        &mut self,
        code: Code,
        path: &str,
        options: &[(u16, Vec<u8>)],
        payload: &[u8],
    ) -> Vec<Vec<u8>> {
        let datagram = self.message(code, path, options, payload);
        let mut sent = self.datagram(&datagram);
        sent.extend(self.settle());
        sent
    }

    /// How many signatures were verified.
    pub fn verified(&self) -> usize {
        self.clock.1
    }

    /// A resource in this format (RFC 7252 §5.10.4), with a query.
    pub fn get(&mut self, path: &str, format: u16, query: &str) -> Answer {
        let mut options = vec![(
            option::ACCEPT,
            [(format >> 8) as u8, format as u8]
                .into_iter()
                .skip_while(|b| *b == 0)
                .collect(),
        )];
        if !query.is_empty() {
            options.push((option::URI_QUERY, query.into()));
        }
        self.blocks(path, &options)
    }

    /// A body of any length, block by block (RFC 7959 §2.4).
    pub fn blocks(&mut self, path: &str, options: &[(u16, Vec<u8>)]) -> Answer {
        let mut body = vec![];
        for number in 0u16.. {
            let block = (number << 4 | 6).to_be_bytes();
            let block = block.into_iter().skip_while(|b| *b == 0).collect();
            let mut options = options.to_vec();
            options.push((option::BLOCK2, block));
            let (code, part) = self.request(Code::GET, path, &options, &[]);
            body.extend_from_slice(&part);
            if code != Code::CONTENT || part.len() < 1024 {
                return (code, body);
            }
        }
        unreachable!()
    }

    /// The Runner, as a debugger prints it.
    pub fn debug(&self) -> String {
        format!("{:?}", self.runner)
    }

    /// An orderly restart is near.
    pub fn rest(&mut self) {
        self.runner.rest(&mut self.clock);
    }

    /// Lets time pass, in milliseconds. The node sleeps as a board does: it is called when it said that it wants to be, and by then
    /// nothing may be late.
    pub fn wait(&mut self, millis: u64) {
        let end = self.clock.0 + millis * 1000;
        // A module that ticks for weeks is not followed to the end.
        for _ in 0..2_000 {
            self.settle();
            let due = self.due();
            if due.is_none_or(|due| due > end) {
                self.clock.0 = self.clock.0.max(end);
                self.is_not_late(due);
                break;
            }
            self.clock.0 = due.map_or(end, |due| due.max(self.clock.0));
        }
        self.clock.0 = self.clock.0.max(end);
        self.settle();
    }

    /// When it wants to be called again, in microseconds.
    fn due(&mut self) -> Option<u64> {
        let now = self.now();
        let server = self.server.poll(now, &mut |_: u8, _: &[u8]| {});
        let runner = match self.runner.step(&mut self.clock) {
            Step::Idle(until) => until,
            Step::Busy => Some(now),
        };
        server.into_iter().chain(runner).min().map(|due| due * 1000)
    }

    /// Nothing is to be done before the time for which it wants to be called.
    fn is_not_late(&mut self, due: Option<u64>) {
        if due.is_some_and(|due| due <= self.clock.0) {
            return;
        }
        let now = self.now();
        let step = self.runner.step(&mut self.clock);
        let idle = matches!(step, Step::Idle(_)) && !self.runner.has_mail();
        assert!(
            idle,
            "the Runner has slept until {now}, and has {step:?} to do"
        );
        let mut sent = 0;
        self.server.poll(now, &mut |_: u8, _: &[u8]| sent += 1);
        assert_eq!(sent, 0, "the Server has slept until {now}");
    }

    /// A sample with every step of the Runner, for so many steps of 100 microseconds: more than it can take.
    pub fn flood(&mut self, steps: u32) {
        for i in 0..steps {
            self.clock.0 += 100;
            let now = self.now();
            self.server
                .sample(now, 0, i as f32, &mut |_: u8, _: &[u8]| {});
            self.runner.step(&mut self.clock);
            self.server.poll(now, &mut |_: u8, _: &[u8]| {});
        }
    }

    /// Steps of the Runner while the Server has no time for what it says.
    pub fn hold(&mut self, steps: u32) {
        for _ in 0..steps {
            self.clock.0 += 100;
            self.runner.step(&mut self.clock);
        }
    }

    /// A datagram that the Server hears, and nothing more; what it says at once.
    pub fn hears(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let (now, mut sent) = (self.now(), Vec::new());
        let mut out = |_: u8, d: &[u8]| sent.push(d.to_vec());
        self.server
            .receive(now, self.peer, false, datagram, &mut out);
        sent
    }

    /// The Server's turn; what it sends.
    pub fn turn(&mut self) -> Vec<Vec<u8>> {
        let (now, mut sent) = (self.now(), Vec::new());
        self.server
            .poll(now, &mut |_: u8, d: &[u8]| sent.push(d.to_vec()));
        sent
    }

    /// A sample that nobody has taken yet.
    pub fn put_sample(&mut self, value: f32) {
        let now = self.now();
        self.server.sample(now, 0, value, &mut |_: u8, _: &[u8]| {});
    }

    /// Samples that come in while the Runner has no time for them.
    pub fn burst(&mut self, count: u32) {
        let now = self.now();
        for i in 0..count {
            self.server
                .sample(now, 0, i as f32, &mut |_: u8, _: &[u8]| {});
        }
        self.settle();
    }

    /// A fault of the level behind more samples than the Runner has room for.
    pub fn overwhelm(&mut self, fault: wasmote_node::Fault) {
        let now = self.now();
        let mut out = |_: u8, _: &[u8]| {};
        for i in 0..100 {
            self.server.sample(now, 0, i as f32, &mut out);
        }
        self.server.fault(now, 0, fault, &mut out);
        self.settle();
    }

    /// Observes a resource (RFC 7641 §3.1).
    pub fn observe(&mut self, path: &str) {
        let (code, _) = self.request(Code::GET, path, &[(option::OBSERVE, vec![])], &[]);
        assert_eq!(code, Code::CONTENT);
        self.notified = 0;
    }

    /// Notifications since this was asked last.
    pub fn notified(&mut self) -> usize {
        std::mem::take(&mut self.notified)
    }

    /// What notifications said since this was asked last, of requests and what followed.
    pub fn heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.heard)
    }

    /// One block of an upload (RFC 7959 §2.5); the Block1 option counts in blocks of `size` bytes.
    pub fn block(&mut self, package: &[u8], offset: usize, size: usize) -> Answer {
        let (options, payload) = part(package, offset, size);
        self.request(Code::PUT, "app", &options, payload)
    }

    /// The same, while the Runner has no time.
    pub fn put_block(&mut self, package: &[u8], offset: usize, size: usize) {
        let (options, payload) = part(package, offset, size);
        assert_eq!(self.ask(Code::PUT, "app", &options, payload), None);
    }

    /// Uploads a package from this block on; the last answer, which is the first that is not 2.31, and the blocks sent.
    pub fn upload(&mut self, package: &[u8], from: usize, size: usize) -> (Answer, usize) {
        // Uploads that begin are changes, of which the node remembers some sixty in three quarters of a minute.
        self.clock.0 += 1_000_000;
        for (sent, offset) in (from..package.len()).step_by(size).enumerate() {
            let answer = self.block(package, offset, size);
            if answer.0 != Code::CONTINUE {
                return (answer, sent + 1);
            }
        }
        panic!("an upload without an end");
    }

    /// Uploads a package.
    pub fn push(&mut self, package: &[u8]) -> Answer {
        self.upload(package, 0, 256).0
    }

    /// A document as JSON.
    pub fn json(&mut self, path: &str) -> serde_json::Value {
        let (code, payload) = self.get(path, wasmote_coap::format::JSON, "");
        assert_eq!(code, Code::CONTENT);
        serde_json::from_slice(&payload).unwrap()
    }

    /// The lines of the log.
    pub fn log(&mut self) -> String {
        let (_, payload) = self.get("log", wasmote_coap::format::TEXT, "");
        String::from_utf8(payload).unwrap()
    }

    /// Has the node register at a resource directory, for so many seconds at a time.
    pub fn register(&mut self, directory: u8, lifetime: u32) {
        let now = self.now();
        self.server.register(now, directory, lifetime, 3);
    }

    /// The node has another address.
    pub fn moved(&mut self) {
        let now = self.now();
        self.server.moved(now);
    }

    /// What the board measures of itself.
    pub fn gauges(&mut self) -> &mut Gauges {
        self.server.gauges()
    }

    /// Lets the time pass until the server wants to be called again; what it sends then. Nothing where it wants no more.
    pub fn pass(&mut self) -> Option<Vec<Vec<u8>>> {
        let now = self.now();
        let mut sent = vec![];
        let mut out = |_: u8, d: &[u8]| sent.push(d.to_vec());
        let due = self.server.poll(now, &mut out)?;
        self.clock.0 = self.clock.0.max(due * 1000);
        sent.extend(self.settle());
        Some(sent)
    }

    /// A line of the board's own.
    pub fn say(&mut self, text: &str) {
        let now = self.now();
        self.server.log(now, text);
        let mut sent = vec![];
        self.server
            .poll(now, &mut |_: u8, d: &[u8]| sent.push(d.to_vec()));
        self.told(sent);
    }

    /// The board looks for something, and finds it or not.
    pub fn misses(&mut self, what: &'static str, missing: bool) {
        let now = self.now();
        self.server.missing(now, what, missing);
    }

    /// The lines that a serial line would show now.
    pub fn lines(&mut self) -> Vec<String> {
        core::iter::from_fn(|| self.server.take_line().map(|line| line.to_string())).collect()
    }

    /// How often each slot was erased, as /node tells.
    pub fn erased(&mut self) -> Vec<u64> {
        let node = self.json("node");
        let all = node["erased"].as_array().unwrap();
        all.iter().map(|n| n.as_u64().unwrap()).collect()
    }

    /// An entry of /app, as its text has it.
    pub fn app(&mut self, key: &str) -> String {
        let (code, payload) = self.get("app", wasmote_coap::format::TEXT, "");
        assert_eq!(code, Code::CONTENT);
        let text = String::from_utf8(payload).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key}: ")).map(str::to_owned));
        line.unwrap_or_default()
    }

    pub fn sequence(&mut self) -> u32 {
        self.app("sequence").parse().unwrap_or(0)
    }

    /// A sample of the level.
    pub fn sample(&mut self, value: f32) {
        let (now, mut sent) = (self.now(), vec![]);
        self.server
            .sample(now, 0, value, &mut |_: u8, d: &[u8]| sent.push(d.to_vec()));
        self.told(sent);
    }

    /// A distance that a ranger measured.
    pub fn distance(&mut self, value: f32) {
        let (now, mut sent) = (self.now(), vec![]);
        self.server
            .distance(now, 0, value, &mut |_: u8, d: &[u8]| sent.push(d.to_vec()));
        self.told(sent);
    }

    /// A fault of the level.
    pub fn fault(&mut self, fault: wasmote_node::Fault) {
        let (now, mut sent) = (self.now(), vec![]);
        self.server
            .fault(now, 0, fault, &mut |_: u8, d: &[u8]| sent.push(d.to_vec()));
        self.told(sent);
    }

    /// Counts the notifications among what was sent.
    fn told(&mut self, mut sent: Vec<Vec<u8>>) {
        sent.extend(self.settle());
        self.notified += sent.iter().filter(|d| is_notification(d)).count();
    }

    /// Samples of the level; the module's runs.
    pub fn feed(&mut self, count: u32) {
        for i in 0..count {
            let now = self.now();
            self.server
                .sample(now, 0, i as f32, &mut |_: u8, _: &[u8]| {});
            self.settle();
        }
    }
}

/// The options and the payload of a block of an upload.
fn part(package: &[u8], offset: usize, size: usize) -> (Vec<(u16, Vec<u8>)>, &[u8]) {
    let end = (offset + size).min(package.len());
    let szx = size.trailing_zeros() - 4;
    let more = u32::from(end < package.len());
    let value = ((offset / size) as u32) << 4 | more << 3 | szx;
    let bytes = |value: u32| -> Vec<u8> {
        let bytes = value.to_be_bytes().into_iter();
        bytes.skip_while(|b| *b == 0).collect()
    };
    let options = vec![
        (option::BLOCK1, bytes(value)),
        (option::CONTENT_FORMAT, vec![42]),
        (option::SIZE1, bytes(package.len() as u32)),
    ];
    (options, &package[offset..end])
}

/// Whether a datagram tells an observer of something (RFC 7641 §2).
pub fn is_notification(datagram: &[u8]) -> bool {
    let message = Message::parse(datagram).unwrap();
    message.options.get(option::OBSERVE).is_some()
}

/// The vectors of test/vectors/package.json: keys, and packages with their names and what is expected of them.
pub struct Vectors {
    pub keys: Vec<[u8; 32]>,
    pub packages: Vec<(String, String, Vec<u8>)>,
}

pub fn vectors() -> Vectors {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../test/vectors/package.json"
    );
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
    let hex = |v: &serde_json::Value| -> Vec<u8> {
        let text = text(v);
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[i * 2..i * 2 + 2], 16).unwrap())
            .collect()
    };
    Vectors {
        keys: json["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|k| hex(k).try_into().unwrap())
            .collect(),
        packages: json["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| (text(&p["name"]), text(&p["expected"]), hex(&p["package"])))
            .collect(),
    }
}

impl Vectors {
    pub fn named(&self, name: &str) -> &[u8] {
        &self.packages.iter().find(|(n, _, _)| n == name).unwrap().2
    }
}

//! A node on the emulated chip that gets a package, block by block, as a client sends it; and what each phase of that takes, in
//! instructions. The file `job`: bytes of a block (15 bits) and whether packages are compiled (the highest one), the key the node trusts, and two packages with their lengths (32 bits)
//! before them: the one that runs and the one that is installed.
#![no_std]
#![no_main]

extern crate alloc;

mod chip;

use alloc::boxed::Box;
use alloc::vec::Vec;
use chip::Clock;
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash,
};
use wasmote_coap::{Code, Kind, Message, Writer, option};
use wasmote_node::contract::limits::FUEL;
use wasmote_node::slot::{Flash, Slots};
use wasmote_node::{
    Arena, Board, Io, Keyring, Limits, Memory, Phase, Provision, Runner, Sensor, Server,
};

/// A slot, as on the STM32F407.
const SLOT: u32 = 0x4000;
const SIZE: u32 = SLOT * 3;
const REGION: usize = 48 * 1024;
/// Where compiled code lies, if packages are compiled.
const CODE: usize = 48 * 1024;
const CLASS: &str = "bench";
const SENSORS: &[Sensor] = &[Sensor {
    name: "level",
    unit: "mm",
}];

/// Flash in RAM.
#[derive(Clone, Copy)]
struct Ram(*mut u32);

impl Ram {
    fn bytes(&self, offset: u32, length: usize) -> &'static mut [u8] {
        assert!(offset as usize + length <= SIZE as usize);
        // SAFETY: inside the allocation, which is never freed; who reads holds ranges that are not written meanwhile.
        unsafe { core::slice::from_raw_parts_mut(self.0.cast::<u8>().add(offset as usize), length) }
    }
}

impl ErrorType for Ram {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Ram {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        bytes.copy_from_slice(self.bytes(offset, bytes.len()));
        Ok(())
    }
    fn capacity(&self) -> usize {
        SIZE as usize
    }
}

impl NorFlash for Ram {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SLOT as usize;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.bytes(from, (to - from) as usize).fill(0xff);
        Ok(())
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        for (to, from) in self.bytes(offset, bytes.len()).iter_mut().zip(bytes) {
            *to &= from;
        }
        Ok(())
    }
}

// Bits can be cleared without erasing what is beside them.
impl MultiwriteNorFlash for Ram {}

impl Flash for Ram {
    fn mapped(&self, offset: u32, length: u32) -> &'static [u8] {
        self.bytes(offset, length as usize)
    }
    fn words(&self, offset: u32, words: u32) -> &'static [u32] {
        assert!(offset + words * 4 <= SIZE);
        // SAFETY: as above, and aligned.
        unsafe { core::slice::from_raw_parts(self.0.add(offset as usize / 4), words as usize) }
    }
}

/// Adds up what passes on the clock, phase by phase.
struct Stopwatch {
    clock: Clock,
    phase: Phase,
    since: u64,
    spent: [u64; PHASES],
}

const PHASES: usize = Phase::Rest as usize + 1;

impl Io for Stopwatch {
    fn micros(&mut self) -> u64 {
        // A chip that takes 125 million instructions a second.
        self.clock.now() / 125
    }

    fn gpio(&mut self, _pin: u8, _high: bool) {}

    fn phase(&mut self, phase: Phase) {
        let now = self.clock.now();
        if let Some(spent) = self.spent.get_mut(self.phase as usize) {
            *spent += now - self.since;
        }
        (self.phase, self.since) = (phase, now);
    }
}

struct Node {
    server: Server<u8>,
    runner: Runner<Ram>,
    watch: Stopwatch,
    id: u16,
    /// Datagrams and bytes, in and out.
    wire: [u64; 4],
}

impl Node {
    /// A datagram in, and what comes of it until the node has nothing to do.
    fn datagram(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        let [datagrams_in, bytes_in, datagrams_out, bytes_out] = &mut self.wire;
        *datagrams_in += 1;
        *bytes_in += datagram.len() as u64;
        let mut out = |_: u8, d: &[u8]| {
            *datagrams_out += 1;
            *bytes_out += d.len() as u64;
            sent.push(d.to_vec());
        };
        let now = self.watch.micros() / 1000;
        self.server.receive(now, 1, false, datagram, &mut out);
        loop {
            let step = self.runner.step(&mut self.watch);
            let now = self.watch.micros() / 1000;
            self.server.poll(now, &mut out);
            if matches!(step, wasmote_node::Step::Idle(_)) && !self.runner.has_mail() {
                return sent;
            }
        }
    }

    /// Sends a package in blocks of this size (RFC 7959 §2.5); the last answer.
    fn push(&mut self, package: &[u8], size: usize) -> Code {
        let mut last = Code::EMPTY;
        for (number, block) in package.chunks(size).enumerate() {
            self.id += 1;
            let more = (number + 1) * size < package.len();
            let value = (number as u32) << 4 | u32::from(more) << 3 | (size.trailing_zeros() - 4);
            let value = value.to_be_bytes();
            let skip = value.iter().take_while(|b| **b == 0).count();
            let mut buffer = [0; 1200];
            let mut w = Writer::new(&mut buffer, Kind::Con, Code::PUT, self.id, &[]);
            w.option(option::URI_PATH, b"app");
            w.option(option::BLOCK1, value.get(skip..).unwrap_or(&[]));
            let Some(request) = w.finish(block).map(<[u8]>::to_vec) else {
                return Code::EMPTY;
            };
            let mut answers = self.datagram(&request);
            // The answer may come on its own, and later (RFC 7252 §5.2.2).
            for _ in 0..100 {
                let mut done = false;
                for answer in core::mem::take(&mut answers) {
                    let Ok(message) = Message::parse(&answer) else {
                        continue;
                    };
                    if message.kind == Kind::Con {
                        let mut buffer = [0; 8];
                        let w = Writer::new(&mut buffer, Kind::Ack, Code::EMPTY, message.id, &[]);
                        let ack = w.finish(&[]).map(<[u8]>::to_vec).unwrap_or_default();
                        answers.extend(self.datagram(&ack));
                    }
                    if message.code != Code::EMPTY {
                        last = message.code;
                        done = true;
                    }
                }
                if done {
                    break;
                }
                let now = self.watch.micros() / 1000;
                let mut sent = Vec::new();
                self.server
                    .poll(now, &mut |_: u8, d: &[u8]| sent.push(d.to_vec()));
                answers.extend(sent);
            }
            if last != Code::CONTINUE {
                break;
            }
        }
        last
    }
}

fn package(job: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = job.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *job = rest;
    Some(bytes.to_vec())
}

fn run(job: &[u8], clock: Clock) -> Option<[u64; PHASES + 8]> {
    let (size, job) = job.split_first_chunk::<2>()?;
    let (key, mut job) = job.split_first_chunk::<32>()?;
    let size = u16::from_le_bytes(*size);
    let (compiled, size) = (size >> 15 != 0, usize::from(size & 0x7fff));
    let (before, after) = (package(&mut job)?, package(&mut job)?);
    let words: &'static mut [u32] = Vec::leak(alloc::vec![u32::MAX; SIZE as usize / 4]);
    let slots = Slots::open(Ram(words.as_mut_ptr()), 0, SLOT);
    let mut provision = Provision::default();
    provision.keys.push(*key).ok()?;
    let keyring = Keyring::load(&slots, &provision);
    let board = Board {
        name: "bench",
        class: CLASS,
        version: "0",
        clock: "virtual",
        hertz: 0,
        reset: "power on",
        missing: heapless::Vec::new(),
        readout: None,
        sensors: SENSORS,
        memory: REGION as u32,
        package: slots.capacity(),
        fuel: FUEL,
    };
    let limits = Limits {
        class: CLASS,
        fuel: FUEL,
        sensors: SENSORS,
    };
    let (server_memory, runner_memory) = Box::leak(Box::new(Memory::new())).split();
    let region: &'static mut [u64] = Vec::leak(alloc::vec![0; REGION / 8]);
    // SAFETY: the same memory as bytes, for as long, and nothing else refers to it.
    let region =
        unsafe { core::slice::from_raw_parts_mut(region.as_mut_ptr().cast::<u8>(), REGION) };
    let mut node = Node {
        runner: Runner::new(slots, region, provision.clone(), limits, runner_memory),
        server: Server::new(board, provision, &keyring, server_memory, 1, None),
        watch: Stopwatch {
            clock,
            phase: Phase::Rest,
            since: 0,
            spent: [0; PHASES],
        },
        id: 0,
        wire: [0; 4],
    };
    let code: &'static mut [u32] = Vec::leak(alloc::vec![0; CODE / 4]);
    // SAFETY: leaked for this arena, in memory that is executable on this board.
    let arena = Box::leak(Box::new(unsafe {
        Arena::new(code.as_mut_ptr().cast(), CODE as u32)
    }));
    if compiled {
        node.runner.compile_into(arena);
    }
    let first = node.push(&before, 1024);
    for i in 0..10u8 {
        let now = node.watch.micros() / 1000;
        node.server
            .sample(now, 0, f32::from(i), &mut |_: u8, _: &[u8]| {});
        node.datagram(&[]);
    }
    node.watch.phase(Phase::Rest);
    node.watch.spent = [0; PHASES];
    node.wire = [0; 4];
    let began = node.watch.clock.now();
    let second = node.push(&after, size);
    let whole = node.watch.clock.now() - began;
    node.watch.phase(Phase::Rest);
    let mut answer = [0; PHASES + 8];
    let numbers = [u64::from(first.0), u64::from(second.0), whole]
        .into_iter()
        .chain(node.watch.spent)
        .chain(node.wire)
        .chain([arena.used().into()]);
    for (to, from) in answer.iter_mut().zip(numbers) {
        *to = from;
    }
    Some(answer)
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let (job, clock) = chip::begin();
    match run(&job, clock) {
        Some(numbers) => chip::end(&numbers),
        None => chip::end(&[]),
    }
}

//! Conversations with a node in any order: requests, packages, samples, faults, time, restarts. What must be so after each is asserted;
//! what exactly was answered is a vector (`conversation.txt`): who changes it changes what clients in the field see.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use minicbor::Encoder;
use rig::vector::{golden, trace};
use rig::{EVEN, Memory, Rig, STRANGERS, UNEVEN, Vectors, package, vectors};
use std::fmt::Write as _;
use wasmote_coap::{Code, Kind, Message, Writer, format, option};
use wasmote_node::contract::{limits, section, ty};
use wasmote_node::{Fault, Provision};

/// A module that has some of everything: it publishes each sample and what came of it, ticks, keeps, logs, and answers.
const MODULE: &str = r#"(module
  (import "wasmote" "r" (func $read (param i32) (result f32)))
  (import "wasmote" "p" (func $publish (param i32 f32)))
  (import "wasmote" "m" (func $parameter (param i32) (result f32)))
  (import "wasmote" "n" (func $now (result i32)))
  (import "wasmote" "u" (func $unix (result i64)))
  (import "wasmote" "l" (func $log (param i32 i32)))
  (import "wasmote" "v" (func $note (param i32 i32 i32)))
  (import "wasmote" "o" (func $tell (param i32 i32 i32)))
  (import "wasmote" "z" (func $answer (param i32 i32 i32 i32)))
  (memory 512 (pagesize 1))
  (data (i32.const 128) "high \"water\"\u{e9}")
  (func (export "sample") (param i32 f32)
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
    (i32.store8 (i32.const 8) (f32.gt (local.get 1) (call $parameter (i32.const 0))))
    (f64.store (i32.const 16) (f64.promote_f32 (local.get 1)))
    (call $publish (i32.const 0) (f32.mul (local.get 1) (call $parameter (i32.const 1))))
    (call $tell (i32.const 1) (i32.const 8) (i32.const 16))
    (if (f32.gt (local.get 1) (call $parameter (i32.const 0)))
      (then
        (call $tell (i32.const 2) (i32.const 128) (i32.const 14))
        (call $note (i32.const 4) (i32.const 128) (i32.const 14))))
    (if (f32.gt (local.get 1) (f32.const 9000)) (then unreachable))
    (if (f32.lt (local.get 1) (f32.const -9000)) (then (loop (br 0)))))
  (func (export "tick")
    (i64.store (i32.const 24) (call $unix))
    (call $publish (i32.const 3) (call $read (i32.const 0))))
  (func (export "request") (param i32 i32 i32)
    (if (i32.eq (local.get 2) (i32.const 7)) (then unreachable))
    (call $log (i32.const 256) (i32.add (local.get 1) (local.get 2)))
    (call $answer (i32.const 69) (i32.const 60) (i32.const 256) (i32.add (local.get 1) (local.get 2))))
  (global (export "buffer") i32 (i32.const 256)))"#;

fn about() -> Vec<u8> {
    let mut bytes = vec![];
    let mut e = Encoder::new(&mut bytes);
    e.map(7).unwrap();
    e.u8(section::CONTRACT).unwrap().u8(1).unwrap();
    e.u8(section::SENSORS).unwrap().array(1).unwrap();
    e.str("level").unwrap();
    e.u8(section::OUTPUTS).unwrap().array(4).unwrap();
    e.array(2)
        .unwrap()
        .str("flow")
        .unwrap()
        .str("m3/s")
        .unwrap();
    e.array(6).unwrap().str("seen").unwrap().str("").unwrap();
    for field in [ty::BOOL, "wet", ty::F64, "level"] {
        e.str(field).unwrap();
    }
    e.array(3).unwrap().str("word").unwrap();
    e.str("").unwrap().str(ty::TEXT).unwrap();
    e.array(2).unwrap().str("last").unwrap().str("mm").unwrap();
    e.u8(section::PARAMETERS).unwrap().array(2).unwrap();
    for (name, [initial, least, most]) in [("limit", [5.0, -10.0, 50.0]), ("factor", [0.5; 3])] {
        e.array(4).unwrap().str(name).unwrap();
        e.f32(initial)
            .unwrap()
            .f32(least)
            .unwrap()
            .f32(most)
            .unwrap();
    }
    e.u8(section::TICK).unwrap().u32(20_000).unwrap();
    e.u8(section::BUFFER).unwrap().u32(128).unwrap();
    e.u8(section::STATES).unwrap().array(2).unwrap();
    e.array(3).unwrap().str("total").unwrap();
    e.u32(0).unwrap().str(ty::U32).unwrap();
    e.array(6).unwrap().str("pair").unwrap().u32(8).unwrap();
    for field in [ty::BOOL, "wet", ty::F64, "level"] {
        e.str(field).unwrap();
    }
    bytes
}

const PACKAGES: &[&str] = &[
    "first",
    "good",
    "good, and the next",
    "good, and traps at its first sample",
    "good, and spins at its first sample",
    "good, and traps at its eleventh sample",
    "good, and ticks every 10 ms",
    "good, and answers requests",
    "good, and counts",
    "good, and counts on",
    "good, and counts in another type",
    "good, counts and traps at its third sample",
    "signed with an unknown key",
    "of another class of boards",
    "of an older sequence number",
    "good, and as far above as is taken",
    "too far above what was installed",
    "good, and of the next era",
    "of the era after the next",
    "needs more RAM",
    "needs more fuel",
    "needs more flash",
    "needs more sensors",
    "needs more outputs",
    "its module was altered",
    "its signature was altered",
    "of another version of the contract",
    "without a digest",
    "its size is too small",
    "its size is too large",
    "its keys are out of order",
    "good, and brings a second key",
    "good, and brings a second key for its own",
    "signed with the second key",
    "drops the only key",
    "no module",
    "a module that imports what no node has",
    "no package",
];
const PATHS: &[&str] = &[
    "sensors/level",
    "outputs/flow",
    "outputs/seen",
    "outputs/word",
    "outputs/last",
    "app/params/limit",
    "app/params/factor",
    "app/state/total",
    "app/state/pair",
    "app",
    "app/staged",
    "app/tier",
    "stats",
    "log",
    "time",
    "keys",
    "keys/3",
    "app/x/one/two",
    "app/rollback",
    "sensors/rain",
    "app/params/nothing",
    "nowhere",
];
const FORMATS: [u16; 7] = [
    format::TEXT,
    format::JSON,
    format::CBOR,
    format::SENML_JSON,
    format::SENML_CBOR,
    format::OCTETS,
    9999,
];
const QUERIES: &[&str] = &[
    "n=1", "n=3", "n=0", "n=200", "n=x", "raw", "n=2&raw", "other",
];
const BODIES: &[&[u8]] = &[
    b"",
    b"7",
    b" 7.25 ",
    b"-11",
    b"51",
    b"0.5",
    b"NaN",
    b"1e1",
    b"1700000000.5",
    b"2000-01-01",
    b"compiled",
    b"interpreted",
    b"\x07",
    b"\xf9\x44\x00",
    b"\xfb\x41\xd9\x54\xfc\x40\x00\x00\x00",
    b"\xc1\x1a\x65\x53\xf1\x00",
    b"\xff\xfe",
    b"0123456789012345678901234567890123456789012345678901234567890123456789",
];
const VALUES: &[f32] = &[
    0.0,
    1.0,
    4.5,
    6.0,
    49.0,
    -3.0,
    0.1,
    1e-9,
    12345.678,
    9e9,
    -9e9,
    f32::NAN,
    f32::INFINITY,
];
/// Milliseconds.
const WAITS: &[u64] = &[1, 250, 1_000, 3_100, 20_000, 61_000, 600_000, 5_400_000];
const FAULTS: [Fault; 4] = [Fault::NoEcho, Fault::Damaged, Fault::Model, Fault::Silent];

struct Random(u32);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        // xorshift32
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 3) % end
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u32) as usize]
    }
}

/// Bytes as a line has them: printable, and without digests, which follow the modules' bytes.
fn shown(bytes: &[u8]) -> String {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(33) {
        // A byte string of 32 in CBOR.
        if bytes[at..].starts_with(b"X ") {
            bytes[at + 2..at + 34].fill(b'?');
        }
    }
    // 64 digits, or 43 characters of base64.
    let digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let mut at = 0;
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|b| digit(b)).count();
        if matches!(run, 43 | 64) {
            bytes[at..at + run].fill(b'?');
        }
        at += run.max(1);
    }
    bytes.escape_ascii().to_string()
}

struct Talk {
    node: Rig,
    memory: Memory,
    provision: Provision,
    random: Random,
    vectors: Vectors,
    own: Vec<u8>,
    sequence: u32,
    told: Vec<String>,
}

impl Talk {
    fn new(seed: u32, vectors: Vectors) -> Self {
        let memory = Memory::with(if seed.is_multiple_of(3) {
            &UNEVEN
        } else {
            &EVEN
        });
        let mut provision = Provision {
            name: if seed.is_multiple_of(2) { "weir" } else { "" },
            height: (seed % 4 == 1).then_some(5_000),
            development: seed % 5 == 4,
            ..Provision::default()
        };
        provision.keys.push(vectors.keys[0]).unwrap();
        Self {
            node: Rig::provisioned(&memory, provision.clone()),
            memory,
            provision,
            random: Random(seed.wrapping_mul(0x9e37_79b9) | 1),
            vectors,
            own: package::with_section(package::wasm(MODULE), &about()),
            sequence: 0,
            told: vec![],
        }
    }

    /// Writes down a datagram: what is not made of chance.
    fn heard(&mut self, datagram: &[u8]) {
        let message = Message::parse(datagram).unwrap();
        let mut text = format!("  {:?} {}", message.kind, message.code);
        for (number, value) in message.options {
            match number {
                // Opaque, and of a generator: RFC 7252 §5.10.6, RFC 9175 §2.2.1.
                option::ETAG | option::ECHO => _ = write!(text, " {number}"),
                _ => _ = write!(text, " {number}={}", shown(value)),
            }
        }
        let _ = write!(text, " {}", shown(message.payload));
        self.told.push(text);
    }

    /// All that came, and what comes for acknowledging it.
    fn heard_all(&mut self, mut sent: Vec<Vec<u8>>) {
        while let Some(datagram) = (!sent.is_empty()).then(|| sent.remove(0)) {
            self.heard(&datagram);
            let message = Message::parse(&datagram).unwrap();
            let acknowledged = message.options.get(option::OBSERVE).is_some();
            if message.kind == Kind::Con && !acknowledged {
                let mut buffer = [0; 8];
                let ack = Writer::new(&mut buffer, Kind::Ack, Code(0), message.id, &[]);
                let ack = ack.finish(&[]).unwrap().to_vec();
                sent.extend(self.node.datagram(&ack));
            }
        }
    }

    fn options(&mut self) -> Vec<(u16, Vec<u8>)> {
        let number = |value: u16| -> Vec<u8> {
            let bytes = value.to_be_bytes().into_iter();
            bytes.skip_while(|b| *b == 0).collect()
        };
        let mut options = vec![];
        if self.random.below(3) > 0 {
            options.push((option::ACCEPT, number(self.random.pick(&FORMATS))));
        }
        if self.random.below(4) == 0 {
            let query = self.random.pick(QUERIES);
            let parts = query.split('&').map(|q| (option::URI_QUERY, q.into()));
            options.extend(parts);
        }
        match self.random.below(12) {
            0 => options.push((option::OBSERVE, vec![])),
            1 => options.push((option::OBSERVE, vec![1])),
            2 => options.push((option::BLOCK2, vec![0x10 | self.random.below(7) as u8])),
            3 => options.push((option::BLOCK2, vec![self.random.below(7) as u8])),
            _ => {}
        }
        options
    }

    fn read(&mut self) {
        let path = self.random.pick(PATHS);
        let options = self.options();
        self.told.push(format!("GET {path} {options:?}"));
        let sent = self.node.exchange(Code::GET, path, &options, &[]);
        self.heard_all(sent);
    }

    fn change(&mut self) {
        let path = self.random.pick(PATHS);
        let method = self
            .random
            .pick(&[Code::PUT, Code::PUT, Code::POST, Code::DELETE]);
        let body = self.random.pick(BODIES);
        let mut options = vec![];
        match self.random.below(4) {
            0 => {}
            _ if body.is_empty() => {}
            1 => options.push((option::CONTENT_FORMAT, vec![50])),
            _ if body[0] < b' ' || body[0] > 0x7e => {
                options.push((option::CONTENT_FORMAT, vec![60]));
            }
            2 => options.push((option::CONTENT_FORMAT, vec![])),
            _ => {}
        }
        if self.random.below(12) == 0 {
            options.push((option::IF_NONE_MATCH, vec![]));
        }
        let body = shown(body);
        self.told
            .push(format!("{method} {path} {options:?} {body}"));
        let body = BODIES.iter().find(|b| shown(b) == body).unwrap();
        let sent = self.node.exchange(method, path, &options, body);
        self.heard_all(sent);
    }

    /// A package, whole or in part, in blocks of any size.
    fn push(&mut self) {
        let mut text = "PUSH ".to_owned();
        let bytes = if self.random.below(3) == 0 {
            self.sequence = self.node.json("app")["highest"].as_u64().unwrap() as u32;
            self.sequence += 1 + self.random.below(2);
            let _ = write!(text, "own {}", self.sequence);
            let mut own = package::package(self.sequence, &self.own);
            if self.random.below(8) == 0 {
                let last = own.len() - 1;
                own[last] ^= 1;
                text.push_str(" damaged");
            }
            own
        } else {
            let name = self.random.pick(PACKAGES);
            text.push_str(name);
            self.vectors.named(name).to_vec()
        };
        let size = 16 << self.random.below(7);
        let blocks = bytes.len().div_ceil(size);
        let most = match self.random.below(4) {
            0 => self.random.below(blocks as u32 + 1) as usize,
            _ => blocks,
        };
        // Sometimes from where it was left.
        let from = match self.random.below(5) {
            0 => self.random.below(blocks as u32) as usize,
            _ => 0,
        };
        self.told
            .push(format!("{text} by {size} from {from} to {most}"));
        self.node.wait(1_000);
        let mut last = None;
        for number in from..most.max(from) {
            let answer = self.node.block(&bytes, number * size, size);
            let ends = answer.0 != Code::CONTINUE;
            last = Some((number, answer));
            if ends {
                break;
            }
        }
        if let Some((number, (code, payload))) = last {
            self.told
                .push(format!("  {number}: {code} {}", shown(&payload)));
        }
    }

    fn happen(&mut self) {
        let value = self.random.pick(VALUES);
        match self.random.below(9) {
            0 => {
                self.told.push(format!("DISTANCE {value}"));
                self.node.distance(value);
            }
            1 => {
                let fault = self.random.pick(&FAULTS);
                self.told.push(format!("FAULT {fault:?}"));
                self.node.fault(fault);
            }
            2 => {
                let count = self.random.below(14);
                self.told.push(format!("FEED {count}"));
                self.node.feed(count);
            }
            3 => {
                self.told.push("BURST".into());
                self.node.burst(30);
            }
            4 => {
                let missing = self.random.below(2) == 0;
                self.told.push(format!("MISSES {missing}"));
                self.node.misses("a ranger", missing);
            }
            _ => {
                self.told.push(format!("SAMPLE {value}"));
                self.node.sample(value);
            }
        }
        let notified = self.node.notified();
        if notified > 0 {
            self.told.push(format!("  {notified} told"));
        }
    }

    fn restart(&mut self) {
        let orderly = self.random.below(2) == 0;
        self.told.push(format!("RESTART {orderly}"));
        if orderly {
            self.node.rest();
        }
        self.node = Rig::provisioned(&self.memory, self.provision.clone());
    }

    fn event(&mut self) {
        match self.random.below(24) {
            0..=8 => self.read(),
            9..=11 => self.change(),
            12 | 13 => self.push(),
            14..=18 => self.happen(),
            19 | 20 => {
                let millis = self.random.pick(WAITS);
                self.told.push(format!("WAIT {millis}"));
                self.node.wait(millis);
            }
            21 => self.peer(),
            22 => {
                self.told.push("LINES".into());
                let lines = self.node.lines();
                self.told.extend(lines.iter().map(|l| format!("  {l}")));
            }
            _ if self.random.below(4) == 0 => self.restart(),
            _ => {
                let path = "app/x/what?";
                let body = self.random.pick(BODIES);
                let method = self.random.pick(&[Code::GET, Code::POST, Code::PUT]);
                self.told.push(format!("{method} {path} {}", shown(body)));
                let sent = self.node.exchange(method, path, &[], body);
                self.heard_all(sent);
            }
        }
    }

    fn peer(&mut self) {
        self.node.peer = self.random.pick(&[1, 2, 3, STRANGERS, STRANGERS + 1]);
        self.told.push(format!("PEER {}", self.node.peer));
    }

    /// How it stands, as its resources have it; and what must be so whatever happened.
    fn stands(&mut self) {
        let peer = core::mem::replace(&mut self.node.peer, 9);
        self.node.wait(1_000);
        let app = self.node.json("app");
        let node = self.node.json("node");
        let mut text = format!("= {}", app["state"]);
        for key in [
            "sequence", "trial", "previous", "era", "highest", "returned", "event",
        ] {
            let _ = write!(text, " {key}={}", app[key]);
        }
        for key in [
            "missing",
            "free_slots",
            "erased",
            "erasures_left",
            "queues",
            "keys",
        ] {
            let _ = write!(text, " {key}={}", node[key]);
        }
        self.told.push(text);
        assert!(app["sequence"].as_u64() <= app["highest"].as_u64() || app["era"] != 0);
        assert!(node["erasures_left"].as_u64().unwrap() <= 16);
        let names = |key: &str| app[key].as_array().map_or(0, Vec::len);
        assert!(names("outputs") <= usize::from(limits::NAMES as u8));
        assert_eq!(self.memory.violations.get(), 0);
        self.node.peer = peer;
    }
}

fn talk(seed: u32, events: u32) -> Vec<String> {
    let mut talk = Talk::new(seed, vectors());
    // Most begin with a package that has some of everything.
    if seed % 8 != 7 {
        talk.sequence = 1;
        let own = package::package(1, &talk.own);
        let (code, text) = talk.node.push(&own);
        assert_eq!(code, Code::CHANGED, "{}", shown(&text));
        if seed.is_multiple_of(2) {
            talk.node.feed(12);
        }
    }
    for event in 0..events {
        talk.event();
        let violations = talk.memory.violations.get();
        assert_eq!(
            violations,
            0,
            "{seed} {event}: {:#?}",
            talk.told.last_chunk::<9>()
        );
        if event % 16 == 15 {
            talk.stands();
        }
    }
    talk.told
}

#[test]
fn a_conversation_in_any_order_is_answered_as_the_vector_says() {
    let mut told = String::new();
    for seed in 1..=80 {
        trace(&mut told, "", seed, &talk(seed, 96));
    }
    golden("conversation", &told);
}

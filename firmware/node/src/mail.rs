//! The mailboxes between Server and Runner: bounded queues, each with one writer and one reader, no lock.
use crate::keyring::Limits;
use crate::module::{Facts, NAMES};
use crate::package::Needs;
use crate::slot::State;
pub use crate::text::LINE;
use core::num::NonZeroU32;
use heapless::spsc::{Consumer, Producer, Queue};
use wasmote_coap::Code;
use wasmote_engine::{Place, Trap};

/// The longest answer that lies in its message, in bytes; a longer one of a module lies in a [`Body`].
pub const REPLY: usize = 128;
const _: () = assert!(4 + 8 * crate::contract::limits::STATE_FIELDS as usize <= REPLY);
/// The longest value of an output that has a type.
pub const OUTPUT: usize = crate::contract::limits::OUTPUT_BYTES as usize;
/// A long answer of a module. There is one place for it, which the Server has: it lends it to the Runner when a module has such an
/// answer, and gets it back with that.
pub type Body = heapless::Vec<u8, { crate::contract::limits::REPLY_BYTES as usize }>;
/// The most of an upload or a request that is handed over at once.
pub const CHUNK: usize = 1024;
const DOWN: usize = 33;
const UP: usize = 33;

/// From the Server to the Runner.
#[derive(Clone, Copy, Debug)]
pub enum Down {
    /// A new sample of the node's sensor with this number.
    Sample(u8, f32),
    /// The node's sensor with this number has no value now.
    Lost(u8),
    /// A new value for a parameter, to be kept; answered with the ticket.
    Parameter(u16, u8, f32),
    /// Milliseconds since 1970 less milliseconds since the start.
    Clock(i64),
    /// Interpret packages, or compile them; answered with the ticket.
    Tier(u16, bool),
    /// The value of the module's state with this number, which is to be told in this format; answered with the ticket.
    State(u16, u8, u16),
    /// Go back to the previous package; answered with the ticket.
    Rollback(u16),
    /// Remove the package; answered with the ticket.
    Remove(u16),
    /// Forget what is being received; answered with the ticket.
    Discard(u16),
}

/// What comes in pieces from the Server to the Runner.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Of the request it belongs to.
    pub ticket: u16,
    /// What it is.
    pub kind: ChunkKind,
    /// Its bytes.
    pub bytes: heapless::Vec<u8, CHUNK>,
}

/// See [`Chunk`].
#[derive(Clone, Copy, Debug)]
pub enum ChunkKind {
    /// A part of a package.
    Part {
        /// The upload it belongs to.
        transfer: u8,
        /// Of its first byte.
        offset: u32,
        /// Whether more follows.
        more: bool,
    },
    /// A request for the module: method, and how many of the bytes are its path.
    Request(Code, u16),
    /// A security context for this place, as it is kept; without bytes the place is to be emptied.
    Key(u8),
    /// This place is to be emptied; where the initiator of this number has its context, his key is withdrawn too.
    Revoke(u8, Option<u8>),
    /// message_1 of a key exchange that we call this (RFC 9528 §5.2); the one before it is over.
    First(u8),
    /// message_3 of the key exchange under way.
    Third,
}

/// From the Runner to the Server.
#[derive(Clone, Debug)]
pub enum Up {
    /// The module published a value on its output with this number.
    Output(u8, f32),
    /// The same of one that is a text or has a type: its bytes.
    Value(u8, heapless::Vec<u8, OUTPUT>),
    /// The place for a long answer is needed.
    Body,
    /// A parameter has this value now.
    Parameter(u8, f32),
    /// A line for the log; how the module said it, or that it is the node's.
    Log(Option<Said>, heapless::String<LINE>),
    /// Totals.
    Stats(Stats),
}

/// How a module said a line, in a word, as there are many lines: severity (RFC 5424 §6.2.1; 3 error, 4 warning, 6 information,
/// 7 debugging) above, and below it the last byte of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said(NonZeroU32);

impl Said {
    const SHIFT: u32 = 28;
    const PLACE: u32 = (1 << Self::SHIFT) - 1;

    /// `None` for a severity that no line has.
    pub fn new(level: u32, at: u32) -> Option<Self> {
        let known = matches!(level, 3 | 4 | 6 | 7);
        let word = level << Self::SHIFT | (at & Self::PLACE);
        NonZeroU32::new(word).filter(|_| known).map(Self)
    }

    /// The severity.
    pub fn level(self) -> u32 {
        self.0.get() >> Self::SHIFT
    }

    /// The byte of the module.
    pub fn at(self) -> u32 {
        self.0.get() & Self::PLACE
    }
}

/// The answer to a ticket.
#[derive(Debug)]
pub struct Reply {
    /// The request's.
    pub ticket: u16,
    /// Its code.
    pub code: Code,
    /// Its payload, unless it has a body.
    pub payload: heapless::Vec<u8, REPLY>,
    /// Its payload, where that is long.
    pub body: Option<&'static mut Body>,
    /// Its Content-Format, where it has one.
    pub format: Option<u16>,
    /// What it is.
    pub kind: ReplyKind,
}

impl Reply {
    /// Its Content-Format, where it has one: that of messages of a key exchange is 64 (RFC 9528 §10.9).
    pub(crate) fn format(&self) -> Option<u16> {
        match self.kind {
            ReplyKind::Exchange(_) => Some(64),
            _ => self.format,
        }
    }
}

/// See [`Reply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// A text, or what a module answered.
    Plain,
    /// To a part of an upload that goes on, whose envelope somebody with a key has signed: how many bytes are there now.
    Received(u32),
    /// The module's state with this number, to be told in this format: four bytes say how many milliseconds ago it was saved
    /// (all ones: not since the start), then come those of the value.
    State(u8, u16),
    /// To a message of a key exchange, which is under way (`true`) or over.
    Exchange(bool),
    /// A key exchange succeeded with the initiator of this number. Nobody is answered yet, since the context has to be in flash
    /// first; the payload: Master Secret, Master Salt, message_4, the node's ID.
    Session(u8),
}

/// Totals of the module's runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Runs, since the module started.
    pub runs: u32,
    /// Fuel of the last run, of the dearest, and of all.
    pub fuel: u32,
    /// See `fuel`.
    pub fuel_max: u32,
    /// See `fuel`.
    pub fuel_total: u64,
    /// Microseconds of the last run and of the longest.
    pub micros: u32,
    /// See `micros`.
    pub micros_max: u32,
    /// The longest time between the ends of two runs, in milliseconds.
    pub gap_max: u32,
    /// Traps since the node started.
    pub traps: u32,
    /// Ticks that came too late to be caught up with.
    pub ticks_missed: u32,
    /// Lines of the node's log that gave way to newer ones before the Server took them.
    pub lines_lost: u32,
    /// How often the module had to wait for room in the queue to the Server.
    pub waits: u32,
}

impl Stats {
    /// Counts a run that ended well: its fuel, its microseconds, and milliseconds since the one before it ended.
    pub(crate) fn ran(&mut self, fuel: u32, micros: u32, gap: u32) {
        self.runs = self.runs.saturating_add(1);
        self.fuel = fuel;
        self.fuel_max = self.fuel_max.max(fuel);
        self.fuel_total = self.fuel_total.saturating_add(u64::from(fuel));
        self.micros = micros;
        self.micros_max = self.micros_max.max(micros);
        self.gap_max = self.gap_max.max(gap);
    }
}

/// What a trap is called that ended a run as the module's memory was used up.
pub const EXHAUSTED: &str = "out of memory";

/// Why the last package that did not run any more was left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Event {
    /// Nothing happened.
    #[default]
    None,
    /// It trapped, in the package with this sequence number; after a reset it is not known where.
    Trap(u32, Option<Trap>),
    /// Its memory was used up, in the package with this sequence number.
    Memory(u32, Place),
    /// A run used its whole budget, in the package with this sequence number; likewise.
    Fuel(u32, Option<Place>),
    /// The node was reset during the trial of the package with this sequence number.
    Reset(u32),
    /// The package with this sequence number was withdrawn by hand.
    Hand(u32),
    /// The package with this sequence number was damaged in flash.
    Damaged(u32),
}

/// Identifiers of keys.
pub type Ids = heapless::Vec<[u8; 8], { crate::slot::KEYS * 2 }>;

/// What executes the package that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tiers {
    /// Bytes of its compiled code; 0: it is interpreted.
    pub code: u32,
    /// Why it is interpreted.
    pub why: &'static str,
}

/// The package that runs, and what is on its way.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// How far it has come.
    pub state: State,
    /// Whether the node went back to it from a newer one.
    pub returned: bool,
    /// Its name and version.
    pub name: heapless::String<32>,
    /// See `name`.
    pub version: heapless::String<32>,
    /// Its sequence number.
    pub sequence: u32,
    /// SHA-256 of its module.
    pub digest: [u8; 32],
    /// Bytes of its module.
    pub size: u32,
    /// Bytes of its branch table.
    pub table: u32,
    /// The slot it lies in.
    pub slot: u8,
    /// What it said it needs.
    pub needs: Needs,
    /// Bytes of RAM it was given, to the byte.
    pub ram: u32,
    /// Good runs left until it is confirmed.
    pub trial: u8,
    /// What executes it.
    pub tiers: Tiers,
    /// Whether the operator chose that packages are interpreted.
    pub interpreted: bool,
    /// Bytes of the place for compiled code; 0 where nothing is compiled.
    pub arena: u32,
    /// What it says of itself.
    pub facts: Facts,
    /// Values of its parameters.
    pub parameters: heapless::Vec<f32, NAMES>,
    /// Whether it answers requests.
    pub requests: bool,
    /// Sequence number of the package to go back to; 0: none.
    pub previous: u32,
    /// The era that sequence numbers are of now.
    pub era: u32,
    /// The highest sequence number of it that ever ran.
    pub highest: u32,
    /// Identifiers of the keys whose packages the node takes.
    pub trusted: Ids,
    /// What is being received: digest of its module, bytes of the package, bytes that are there.
    pub staged: Option<([u8; 32], u32, u32)>,
    /// What happened last.
    pub event: Event,
    /// The calls that were active then, innermost first.
    pub backtrace: heapless::Vec<Place, 8>,
    /// Erasures that are left for today, and how often one was refused.
    pub budget: (u8, u32),
    /// How often the slots were erased.
    pub erased: [u32; crate::slot::SLOTS],
}

/// All queues, in a place that outlives both halves.
#[derive(Debug, Default)]
pub struct Mail {
    down: Queue<Down, DOWN>,
    chunks: Queue<Chunk, 2>,
    up: Queue<Up, UP>,
    replies: Queue<Reply, 2>,
    bodies: Queue<&'static mut Body, 2>,
    apps: Queue<App, 2>,
    reserve: Queue<Limits, 2>,
    reserved: Queue<Option<Limits>, 2>,
}

/// The Server's ends.
pub struct ServerMail {
    pub(crate) down: Producer<'static, Down>,
    pub(crate) chunks: Producer<'static, Chunk>,
    pub(crate) up: Consumer<'static, Up>,
    pub(crate) replies: Consumer<'static, Reply>,
    /// The place for a long answer, when it is lent.
    pub(crate) bodies: Producer<'static, &'static mut Body>,
    pub(crate) apps: Consumer<'static, App>,
    /// Sequence numbers that are to be reserved in flash.
    pub(crate) reserve: Producer<'static, Limits>,
    /// Those that are; `None` where it could not be done.
    pub(crate) reserved: Consumer<'static, Option<Limits>>,
}

/// The Runner's ends.
pub struct RunnerMail {
    pub(crate) down: Consumer<'static, Down>,
    pub(crate) chunks: Consumer<'static, Chunk>,
    pub(crate) up: Producer<'static, Up>,
    pub(crate) replies: Producer<'static, Reply>,
    /// See [`Up::Body`].
    pub(crate) bodies: Consumer<'static, &'static mut Body>,
    pub(crate) apps: Producer<'static, App>,
    pub(crate) reserve: Consumer<'static, Limits>,
    pub(crate) reserved: Producer<'static, Option<Limits>>,
}

impl Mail {
    /// Empty queues.
    pub const fn new() -> Self {
        Self {
            down: Queue::new(),
            chunks: Queue::new(),
            up: Queue::new(),
            replies: Queue::new(),
            bodies: Queue::new(),
            apps: Queue::new(),
            reserve: Queue::new(),
            reserved: Queue::new(),
        }
    }

    /// The ends for the two halves.
    pub fn split(&'static mut self) -> (ServerMail, RunnerMail) {
        let (down_in, down_out) = self.down.split();
        let (chunks_in, chunks_out) = self.chunks.split();
        let (up_in, up_out) = self.up.split();
        let (replies_in, replies_out) = self.replies.split();
        let (bodies_in, bodies_out) = self.bodies.split();
        let (apps_in, apps_out) = self.apps.split();
        let (reserve_in, reserve_out) = self.reserve.split();
        let (reserved_in, reserved_out) = self.reserved.split();
        let server = ServerMail {
            down: down_in,
            chunks: chunks_in,
            up: up_out,
            replies: replies_out,
            bodies: bodies_in,
            apps: apps_out,
            reserve: reserve_in,
            reserved: reserved_out,
        };
        let runner = RunnerMail {
            down: down_out,
            chunks: chunks_out,
            up: up_in,
            replies: replies_in,
            bodies: bodies_out,
            apps: apps_in,
            reserve: reserve_out,
            reserved: reserved_in,
        };
        (server, runner)
    }
}

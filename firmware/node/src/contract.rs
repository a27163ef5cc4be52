//! The contract between host, node and modules. Generated from firmware/node/contract.toml by `npm run gen`. Not for editing.
use wasmote_coap::{Code, format};
use wasmote_engine::ValType;

/// The version of the contract.
pub const VERSION: u32 = 1;
/// The module that modules import from.
pub const IMPORT_MODULE: &str = "wasmote";
/// The custom section with a module's facts.
pub const CUSTOM_SECTION: &str = "wasmote";

/// What a module may import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Import {
    /// The newest value of the module's sensor with this number; NaN before the first, and while the sensor is silent or faulty.
    Read,
    /// Publishes a value on the module's output with this number.
    Publish,
    /// The present value of the module's parameter with this number.
    Parameter,
    /// Milliseconds since the node started, modulo 2^32.
    Now,
    /// Wall clock in milliseconds since 1970-01-01 UTC; 0 while the node's clock has not been set.
    Unix,
    /// Writes a line of UTF-8 (address, length in bytes) to the node's log; cut at the node's line limit.
    Log,
    /// Sets the node's general-purpose output with this number low (0) or high (anything else).
    Gpio,
    /// Answers the request being handled: CoAP code byte (RFC 7252 §3), address and length of the payload.
    Reply,
    /// Answers as `reply` does, in a format: CoAP code byte, Content-Format (RFC 7252 §12.3), address and length of the payload.
    Answer,
    /// Writes a line as `log` does, with a level before it: 3 error, 4 warning, 6 information, 7 debugging (RFC 5424 §6.2.1).
    Note,
    /// Publishes what lies in memory (address, length in bytes) on the module's output with this number, which is a text or has a type.
    Tell,
}

impl Import {
    /// The import with this link name, with its parameters and results.
    pub fn find(link: &str) -> Option<(Self, &'static [ValType], &'static [ValType])> {
        Some(match link {
            "r" => (Self::Read, &[ValType::I32], &[ValType::F32]),
            "p" => (Self::Publish, &[ValType::I32, ValType::F32], &[]),
            "m" => (Self::Parameter, &[ValType::I32], &[ValType::F32]),
            "n" => (Self::Now, &[], &[ValType::I32]),
            "u" => (Self::Unix, &[], &[ValType::I64]),
            "l" => (Self::Log, &[ValType::I32, ValType::I32], &[]),
            "g" => (Self::Gpio, &[ValType::I32, ValType::I32], &[]),
            "y" => (
                Self::Reply,
                &[ValType::I32, ValType::I32, ValType::I32],
                &[],
            ),
            "z" => (
                Self::Answer,
                &[ValType::I32, ValType::I32, ValType::I32, ValType::I32],
                &[],
            ),
            "v" => (Self::Note, &[ValType::I32, ValType::I32, ValType::I32], &[]),
            "o" => (Self::Tell, &[ValType::I32, ValType::I32, ValType::I32], &[]),
            _ => return None,
        })
    }

    /// Fuel of a call beside the module's own instructions, and how many bytes it takes for a unit more (0: none does).
    pub const fn fuel(self) -> (u32, u32) {
        match self {
            Self::Read => (40, 0),
            Self::Publish => (40, 0),
            Self::Parameter => (40, 0),
            Self::Now => (40, 0),
            Self::Unix => (40, 0),
            Self::Log => (95, 4),
            Self::Gpio => (40, 0),
            Self::Reply => (100, 16),
            Self::Answer => (100, 16),
            Self::Note => (98, 4),
            Self::Tell => (60, 4),
        }
    }
}

/// Keys of the map in the custom section.
pub mod section {
    /// Key `contract`.
    pub const CONTRACT: u8 = 0;
    /// Key `sensors`.
    pub const SENSORS: u8 = 1;
    /// Key `outputs`.
    pub const OUTPUTS: u8 = 2;
    /// Key `parameters`.
    pub const PARAMETERS: u8 = 3;
    /// Key `tick`.
    pub const TICK: u8 = 4;
    /// Key `buffer`.
    pub const BUFFER: u8 = 5;
    /// Key `states`.
    pub const STATES: u8 = 6;
    /// Key `exhausted`.
    pub const EXHAUSTED: u8 = 7;
}

/// Keys of the map in a package's manifest.
pub mod manifest {
    /// Key `contract`.
    pub const CONTRACT: u8 = 1;
    /// Key `vendor`.
    pub const VENDOR: u8 = 2;
    /// Key `class`.
    pub const CLASS: u8 = 3;
    /// Key `sequence`.
    pub const SEQUENCE: u8 = 4;
    /// Key `digest`.
    pub const DIGEST: u8 = 5;
    /// Key `size`.
    pub const SIZE: u8 = 6;
    /// Key `name`.
    pub const NAME: u8 = 7;
    /// Key `version`.
    pub const VERSION: u8 = 8;
    /// Key `needs`.
    pub const NEEDS: u8 = 9;
    /// Key `add_key`.
    pub const ADD_KEY: u8 = 10;
    /// Key `drop_key`.
    pub const DROP_KEY: u8 = 11;
    /// Key `era`.
    pub const ERA: u8 = 12;
}

/// Keys of the map in a provisioning record.
pub mod provision {
    /// Key `name`.
    pub const NAME: u8 = 1;
    /// Key `vendor`.
    pub const VENDOR: u8 = 2;
    /// Key `keys`.
    pub const KEYS: u8 = 3;
    /// Key `development`.
    pub const DEVELOPMENT: u8 = 4;
    /// Key `height`.
    pub const HEIGHT: u8 = 5;
    /// Key `directory`.
    pub const DIRECTORY: u8 = 8;
    /// Key `contexts`.
    pub const CONTEXTS: u8 = 6;
    /// Key `open`.
    pub const OPEN: u8 = 7;
    /// Key `hidden`.
    pub const HIDDEN: u8 = 9;
    /// Key `identity`.
    pub const IDENTITY: u8 = 10;
    /// Key `initiators`.
    pub const INITIATORS: u8 = 11;
}

/// Types of values in a module's memory.
pub mod ty {
    /// `bool`.
    pub const BOOL: &str = "b";
    /// `i32`.
    pub const I32: &str = "i";
    /// `u32`.
    pub const U32: &str = "u";
    /// `i64`.
    pub const I64: &str = "l";
    /// `f32`.
    pub const F32: &str = "f";
    /// `f64`.
    pub const F64: &str = "d";
    /// `text`.
    pub const TEXT: &str = "t";
}

/// Limits that both sides must know.
pub mod limits {
    /// `state_bytes`.
    pub const STATE_BYTES: u32 = 256;
    /// `state_fields`.
    pub const STATE_FIELDS: u32 = 12;
    /// `state_period`.
    pub const STATE_PERIOD: u32 = 600000;
    /// `sequence_jump`.
    pub const SEQUENCE_JUMP: u32 = 65536;
    /// `typed_outputs`.
    pub const TYPED_OUTPUTS: u32 = 6;
    /// `output_bytes`.
    pub const OUTPUT_BYTES: u32 = 48;
    /// `reply_bytes`.
    pub const REPLY_BYTES: u32 = 512;
    /// `names`.
    pub const NAMES: u32 = 16;
    /// `fuel`.
    pub const FUEL: u32 = 2000000;
    /// `request_buffer`.
    pub const REQUEST_BUFFER: u32 = 256;
    /// `provisioned_keys`.
    pub const PROVISIONED_KEYS: u32 = 4;
    /// `initiators`.
    pub const INITIATORS: u32 = 4;
    /// `envelope`.
    pub const ENVELOPE: u32 = 512;
}

/// Where things are in flash, in bytes from its start; `START` is its address.
pub mod flash {
    /// `start`.
    pub const START: u32 = 134217728;
    /// `provision`.
    pub const PROVISION: u32 = 14336;
    /// `slots`.
    pub const SLOTS: u32 = 16384;
    /// `slot`.
    pub const SLOT: u32 = 16384;
    /// `end`.
    pub const END: u32 = 65536;
}

/// Words in documents.
pub mod word {
    /// `compiled`.
    pub const COMPILED: &str = "compiled";
    /// `confirmed`.
    pub const CONFIRMED: &str = "confirmed";
    /// `damaged`.
    pub const DAMAGED: &str = "damaged";
    /// `empty`.
    pub const EMPTY: &str = "empty";
    /// `fuel`.
    pub const FUEL: &str = "fuel";
    /// `interpreted`.
    pub const INTERPRETED: &str = "interpreted";
    /// `open`.
    pub const OPEN: &str = "open";
    /// `reset`.
    pub const RESET: &str = "reset";
    /// `rollback`.
    pub const ROLLBACK: &str = "rollback";
    /// `secured`.
    pub const SECURED: &str = "secured";
    /// `trap`.
    pub const TRAP: &str = "trap";
    /// `trial`.
    pub const TRIAL: &str = "trial";
    /// `unclaimed`.
    pub const UNCLAIMED: &str = "unclaimed";
}

/// Names in documents.
pub mod key {
    /// `address`.
    pub const ADDRESS: &str = "address";
    /// `answered`.
    pub const ANSWERED: &str = "answered";
    /// `arena`.
    pub const ARENA: &str = "arena";
    /// `backtrace`.
    pub const BACKTRACE: &str = "backtrace";
    /// `board`.
    pub const BOARD: &str = "board";
    /// `challenged`.
    pub const CHALLENGED: &str = "challenged";
    /// `chosen`.
    pub const CHOSEN: &str = "chosen";
    /// `class`.
    pub const CLASS: &str = "class";
    /// `clock`.
    pub const CLOCK: &str = "clock";
    /// `coap`.
    pub const COAP: &str = "coap";
    /// `code`.
    pub const CODE: &str = "code";
    /// `contract`.
    pub const CONTRACT: &str = "contract";
    /// `damaged`.
    pub const DAMAGED: &str = "damaged";
    /// `deferred`.
    pub const DEFERRED: &str = "deferred";
    /// `development`.
    pub const DEVELOPMENT: &str = "development";
    /// `digest`.
    pub const DIGEST: &str = "digest";
    /// `displaced`.
    pub const DISPLACED: &str = "displaced";
    /// `duplicates`.
    pub const DUPLICATES: &str = "duplicates";
    /// `era`.
    pub const ERA: &str = "era";
    /// `erased`.
    pub const ERASED: &str = "erased";
    /// `erasures_left`.
    pub const ERASURES_LEFT: &str = "erasures_left";
    /// `erasures_refused`.
    pub const ERASURES_REFUSED: &str = "erasures_refused";
    /// `event`.
    pub const EVENT: &str = "event";
    /// `faults`.
    pub const FAULTS: &str = "faults";
    /// `firmware`.
    pub const FIRMWARE: &str = "firmware";
    /// `forged`.
    pub const FORGED: &str = "forged";
    /// `free`.
    pub const FREE: &str = "free";
    /// `free_slots`.
    pub const FREE_SLOTS: &str = "free_slots";
    /// `fuel`.
    pub const FUEL: &str = "fuel";
    /// `fuel_max`.
    pub const FUEL_MAX: &str = "fuel_max";
    /// `fuel_total`.
    pub const FUEL_TOTAL: &str = "fuel_total";
    /// `full`.
    pub const FULL: &str = "full";
    /// `function`.
    pub const FUNCTION: &str = "function";
    /// `gap_max`.
    pub const GAP_MAX: &str = "gap_max";
    /// `given_up`.
    pub const GIVEN_UP: &str = "given_up";
    /// `height`.
    pub const HEIGHT: &str = "height";
    /// `hertz`.
    pub const HERTZ: &str = "hertz";
    /// `highest`.
    pub const HIGHEST: &str = "highest";
    /// `idle`.
    pub const IDLE: &str = "idle";
    /// `initiator`.
    pub const INITIATOR: &str = "initiator";
    /// `keys`.
    pub const KEYS: &str = "keys";
    /// `limits`.
    pub const LIMITS: &str = "limits";
    /// `lines_lost`.
    pub const LINES_LOST: &str = "lines_lost";
    /// `link`.
    pub const LINK: &str = "link";
    /// `longest`.
    pub const LONGEST: &str = "longest";
    /// `lost`.
    pub const LOST: &str = "lost";
    /// `malformed`.
    pub const MALFORMED: &str = "malformed";
    /// `memory`.
    pub const MEMORY: &str = "memory";
    /// `micros`.
    pub const MICROS: &str = "micros";
    /// `micros_max`.
    pub const MICROS_MAX: &str = "micros_max";
    /// `missing`.
    pub const MISSING: &str = "missing";
    /// `name`.
    pub const NAME: &str = "name";
    /// `no_echo`.
    pub const NO_ECHO: &str = "no_echo";
    /// `node`.
    pub const NODE: &str = "node";
    /// `observers`.
    pub const OBSERVERS: &str = "observers";
    /// `offset`.
    pub const OFFSET: &str = "offset";
    /// `opened`.
    pub const OPENED: &str = "opened";
    /// `origin`.
    pub const ORIGIN: &str = "origin";
    /// `oscore`.
    pub const OSCORE: &str = "oscore";
    /// `outputs`.
    pub const OUTPUTS: &str = "outputs";
    /// `package`.
    pub const PACKAGE: &str = "package";
    /// `params`.
    pub const PARAMS: &str = "params";
    /// `peer`.
    pub const PEER: &str = "peer";
    /// `pings`.
    pub const PINGS: &str = "pings";
    /// `place`.
    pub const PLACE: &str = "place";
    /// `previous`.
    pub const PREVIOUS: &str = "previous";
    /// `queues`.
    pub const QUEUES: &str = "queues";
    /// `ram`.
    pub const RAM: &str = "ram";
    /// `readout`.
    pub const READOUT: &str = "readout";
    /// `received`.
    pub const RECEIVED: &str = "received";
    /// `replaces`.
    pub const REPLACES: &str = "replaces";
    /// `replayed`.
    pub const REPLAYED: &str = "replayed";
    /// `requests`.
    pub const REQUESTS: &str = "requests";
    /// `requests_refused`.
    pub const REQUESTS_REFUSED: &str = "requests_refused";
    /// `reset`.
    pub const RESET: &str = "reset";
    /// `retransmitted`.
    pub const RETRANSMITTED: &str = "retransmitted";
    /// `returned`.
    pub const RETURNED: &str = "returned";
    /// `rights`.
    pub const RIGHTS: &str = "rights";
    /// `runs`.
    pub const RUNS: &str = "runs";
    /// `samples_dropped`.
    pub const SAMPLES_DROPPED: &str = "samples_dropped";
    /// `security`.
    pub const SECURITY: &str = "security";
    /// `sensors`.
    pub const SENSORS: &str = "sensors";
    /// `sent`.
    pub const SENT: &str = "sent";
    /// `separate`.
    pub const SEPARATE: &str = "separate";
    /// `sequence`.
    pub const SEQUENCE: &str = "sequence";
    /// `settled`.
    pub const SETTLED: &str = "settled";
    /// `silent`.
    pub const SILENT: &str = "silent";
    /// `size`.
    pub const SIZE: &str = "size";
    /// `slot`.
    pub const SLOT: &str = "slot";
    /// `stack_free`.
    pub const STACK_FREE: &str = "stack_free";
    /// `stack_size`.
    pub const STACK_SIZE: &str = "stack_size";
    /// `starved`.
    pub const STARVED: &str = "starved";
    /// `state`.
    pub const STATE: &str = "state";
    /// `states`.
    pub const STATES: &str = "states";
    /// `stray`.
    pub const STRAY: &str = "stray";
    /// `suppressed`.
    pub const SUPPRESSED: &str = "suppressed";
    /// `table`.
    pub const TABLE: &str = "table";
    /// `tick`.
    pub const TICK: &str = "tick";
    /// `ticks_missed`.
    pub const TICKS_MISSED: &str = "ticks_missed";
    /// `tier`.
    pub const TIER: &str = "tier";
    /// `transfers`.
    pub const TRANSFERS: &str = "transfers";
    /// `trap`.
    pub const TRAP: &str = "trap";
    /// `traps`.
    pub const TRAPS: &str = "traps";
    /// `trial`.
    pub const TRIAL: &str = "trial";
    /// `trusted`.
    pub const TRUSTED: &str = "trusted";
    /// `unknown`.
    pub const UNKNOWN: &str = "unknown";
    /// `unobserved`.
    pub const UNOBSERVED: &str = "unobserved";
    /// `unsent`.
    pub const UNSENT: &str = "unsent";
    /// `uptime`.
    pub const UPTIME: &str = "uptime";
    /// `used`.
    pub const USED: &str = "used";
    /// `vendor`.
    pub const VENDOR: &str = "vendor";
    /// `version`.
    pub const VERSION: &str = "version";
    /// `waits`.
    pub const WAITS: &str = "waits";
    /// `what`.
    pub const WHAT: &str = "what";
    /// `why`.
    pub const WHY: &str = "why";
    /// `worn`.
    pub const WORN: &str = "worn";
    /// `wrong_model`.
    pub const WRONG_MODEL: &str = "wrong_model";
}

/// What each document may have in it, a dot for a map in the map; and what that is.
pub const DOCUMENTS: &[(&str, &[(&str, &str)])] = &[
    (
        "node",
        &[
            ("name", "text"),
            ("board", "text"),
            ("class", "text"),
            ("vendor", "text"),
            ("firmware", "text"),
            ("contract", "uint32"),
            ("uptime", "uint64"),
            ("reset", "text"),
            ("clock", "text"),
            ("hertz", "uint64"),
            ("missing", "list of text"),
            ("readout", "bool"),
            ("development", "bool"),
            ("height", "uint32"),
            ("keys", "uint32"),
            ("limits", "counters"),
            ("limits.memory", "uint64"),
            ("limits.package", "uint64"),
            ("limits.fuel", "uint64"),
            ("limits.observers", "uint64"),
            ("limits.transfers", "uint64"),
            ("free_slots", "uint32"),
            ("erased", "list of uint64"),
            ("erasures_left", "uint32"),
            ("erasures_refused", "uint64"),
            ("coap", "counters"),
            ("coap.received", "uint64"),
            ("coap.sent", "uint64"),
            ("coap.malformed", "uint64"),
            ("coap.pings", "uint64"),
            ("coap.settled", "uint64"),
            ("coap.stray", "uint64"),
            ("coap.duplicates", "uint64"),
            ("coap.answered", "uint64"),
            ("coap.separate", "uint64"),
            ("coap.full", "uint64"),
            ("coap.suppressed", "uint64"),
            ("coap.unobserved", "uint64"),
            ("coap.retransmitted", "uint64"),
            ("coap.given_up", "uint64"),
            ("coap.displaced", "uint64"),
            ("coap.deferred", "uint64"),
            ("coap.observers", "uint64"),
            ("link", "map"),
            ("link.lost", "uint64"),
            ("link.damaged", "uint64"),
            ("link.unsent", "uint64"),
            ("link.address", "text"),
            ("link.origin", "text"),
            ("queues", "counters"),
            ("queues.samples_dropped", "uint64"),
            ("queues.requests_refused", "uint64"),
            ("queues.lines_lost", "uint64"),
            ("queues.waits", "uint64"),
            ("stack_size", "uint64"),
            ("stack_free", "uint64"),
            ("trusted", "list of bytes 8"),
            ("security", "one of secured open unclaimed"),
            ("oscore", "counters"),
            ("oscore.opened", "uint64"),
            ("oscore.unknown", "uint64"),
            ("oscore.replayed", "uint64"),
            ("oscore.forged", "uint64"),
            ("oscore.challenged", "uint64"),
            ("oscore.starved", "uint64"),
        ],
    ),
    (
        "stats",
        &[
            ("runs", "uint64"),
            ("fuel", "uint64"),
            ("fuel_max", "uint64"),
            ("fuel_total", "uint64"),
            ("micros", "uint64"),
            ("micros_max", "uint64"),
            ("gap_max", "uint64"),
            ("traps", "uint64"),
            ("ticks_missed", "uint64"),
            ("samples_dropped", "uint64"),
            ("idle", "uint64"),
            ("faults", "counters"),
            ("longest", "counters"),
            ("faults.no_echo", "uint64"),
            ("faults.damaged", "uint64"),
            ("faults.wrong_model", "uint64"),
            ("faults.silent", "uint64"),
        ],
    ),
    (
        "tier",
        &[
            ("chosen", "one of compiled interpreted"),
            ("tier", "one of compiled interpreted"),
            ("why", "text"),
            ("code", "uint32"),
            ("arena", "uint32"),
        ],
    ),
    (
        "app",
        &[
            ("state", "one of empty trial confirmed"),
            ("name", "text"),
            ("version", "text"),
            ("sequence", "uint32"),
            ("digest", "bytes 32"),
            ("size", "uint32"),
            ("table", "uint32"),
            ("ram", "uint32"),
            ("slot", "uint32"),
            ("trial", "uint32"),
            ("tier", "one of compiled interpreted"),
            ("why", "text"),
            ("code", "uint32"),
            ("tick", "uint32"),
            ("sensors", "list of text"),
            ("outputs", "list of text"),
            ("params", "list of text"),
            ("states", "list of text"),
            ("requests", "bool"),
            ("previous", "uint32"),
            ("era", "uint32"),
            ("highest", "uint32"),
            ("returned", "bool"),
            ("event", "map"),
            ("event.what", "one of trap fuel reset rollback damaged"),
            ("event.sequence", "uint32"),
            ("event.trap", "text"),
            ("event.function", "uint32"),
            ("event.offset", "uint32"),
            ("event.backtrace", "list of uint32"),
        ],
    ),
    (
        "keys",
        &[
            ("free", "uint32"),
            ("place", "list of uint32"),
            ("peer", "list of uint32"),
            ("node", "list of uint32"),
            ("rights", "list of uint32"),
            ("replaces", "list of uint32"),
            ("used", "list of uint32"),
            ("worn", "list of uint32"),
            ("initiator", "list of uint32"),
        ],
    ),
    (
        "staged",
        &[
            ("digest", "bytes 32"),
            ("size", "uint32"),
            ("received", "uint32"),
        ],
    ),
];

/// What texts may be.
pub mod text {
    use crate::text::Rule;
    /// A node.
    pub const NODE: Rule = Rule {
        least: 1,
        most: 32,
        ranges: &[
            (0x2d, 0x2e),
            (0x30, 0x3a),
            (0x41, 0x5a),
            (0x5f, 0x5f),
            (0x61, 0x7a),
        ],
        first: &[(0x30, 0x39), (0x41, 0x5a), (0x61, 0x7a)],
    };
    /// A name.
    pub const NAME: Rule = Rule {
        least: 1,
        most: 32,
        ranges: &[
            (0x2d, 0x2e),
            (0x30, 0x3a),
            (0x41, 0x5a),
            (0x5f, 0x5f),
            (0x61, 0x7a),
        ],
        first: &[
            (0x2d, 0x2e),
            (0x30, 0x3a),
            (0x41, 0x5a),
            (0x5f, 0x5f),
            (0x61, 0x7a),
        ],
    };
    /// A unit.
    pub const UNIT: Rule = Rule {
        least: 0,
        most: 16,
        ranges: &[(0x21, 0x21), (0x23, 0x5b), (0x5d, 0x7e)],
        first: &[(0x21, 0x21), (0x23, 0x5b), (0x5d, 0x7e)],
    };
    /// A label.
    pub const LABEL: Rule = Rule {
        least: 0,
        most: 32,
        ranges: &[
            (0x20, 0x21),
            (0x23, 0x3b),
            (0x3d, 0x3d),
            (0x3f, 0x5b),
            (0x5d, 0x7e),
            (0xa0, 0xac),
            (0xae, 0x5ff),
            (0x606, 0x61b),
            (0x61d, 0x6dc),
            (0x6de, 0x70e),
            (0x710, 0x180d),
            (0x180f, 0x200a),
            (0x2010, 0x2027),
            (0x202f, 0x205f),
            (0x2070, 0xd7ff),
            (0xe000, 0xfefe),
            (0xff00, 0xffef),
            (0xfffc, 0xfffd),
            (0x10000, 0x1d172),
            (0x1d17b, 0xdffff),
        ],
        first: &[
            (0x20, 0x21),
            (0x23, 0x3b),
            (0x3d, 0x3d),
            (0x3f, 0x5b),
            (0x5d, 0x7e),
            (0xa0, 0xac),
            (0xae, 0x5ff),
            (0x606, 0x61b),
            (0x61d, 0x6dc),
            (0x6de, 0x70e),
            (0x710, 0x180d),
            (0x180f, 0x200a),
            (0x2010, 0x2027),
            (0x202f, 0x205f),
            (0x2070, 0xd7ff),
            (0xe000, 0xfefe),
            (0xff00, 0xffef),
            (0xfffc, 0xfffd),
            (0x10000, 0x1d172),
            (0x1d17b, 0xdffff),
        ],
    };
}

/// What the holder of a security context may do, as a bit of its mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Right {
    /// Needs no context.
    Public = 0,
    /// Bit 1.
    Read = 1,
    /// Bit 2.
    Operate = 2,
    /// Bit 4.
    Install = 4,
    /// Bit 8.
    Admin = 8,
}

/// What a node has resources for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/node`.
    Node,
    /// `/time`.
    Time,
    /// `/sensors/{name}`.
    Sensors,
    /// `/outputs/{name}`.
    Outputs,
    /// `/app`.
    App,
    /// `/app/staged`.
    Staged,
    /// `/app/rollback`.
    Rollback,
    /// `/app/tier`.
    Tier,
    /// `/app/params/{name}`.
    Params,
    /// `/app/state/{name}`.
    State,
    /// `/app/x/*`.
    Request,
    /// `/log`.
    Log,
    /// `/stats`.
    Stats,
    /// `/keys`.
    Keys,
    /// `/keys/{name}`.
    Key,
    /// `/.well-known/edhoc`.
    Exchange,
}

/// A resource, or as many as there are names for it.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    /// Which it is.
    pub kind: Kind,
    /// Segments of its path, before the name where it has one.
    pub path: &'static [&'static str],
    /// Whether a name follows.
    pub named: bool,
    /// What it can be asked.
    pub methods: &'static [Code],
    /// What each method needs; one that is not among them is refused.
    pub rights: &'static [(Code, Right)],
    /// Formats of the answer to a GET, the default first.
    pub formats: &'static [u16],
    /// Whether it can be observed (RFC 7641).
    pub observe: bool,
    /// Resource type (RFC 6690 §3.1).
    pub rt: &'static str,
    /// Interface (RFC 6690 §3.2).
    pub interface: &'static str,
}

/// All resources.
pub const RESOURCES: [Resource; 16] = [
    Resource {
        kind: Kind::Node,
        path: &["node"],
        named: false,
        methods: &[Code::GET],
        rights: &[(Code::GET, Right::Public)],
        formats: &[
            format::CBOR,
            format::JSON,
            format::TEXT,
            format::SENML_JSON,
            format::SENML_CBOR,
        ],
        observe: false,
        rt: "wasmote.node",
        interface: "wasmote.read",
    },
    Resource {
        kind: Kind::Time,
        path: &["time"],
        named: false,
        methods: &[Code::GET, Code::PUT],
        rights: &[(Code::GET, Right::Read), (Code::PUT, Right::Operate)],
        formats: &[
            format::TEXT,
            format::SENML_JSON,
            format::SENML_CBOR,
            format::CBOR,
            format::JSON,
        ],
        observe: false,
        rt: "wasmote.time",
        interface: "wasmote.write",
    },
    Resource {
        kind: Kind::Sensors,
        path: &["sensors"],
        named: true,
        methods: &[Code::GET],
        rights: &[(Code::GET, Right::Read)],
        formats: &[
            format::TEXT,
            format::SENML_JSON,
            format::SENML_CBOR,
            format::CBOR,
            format::JSON,
        ],
        observe: true,
        rt: "wasmote.sensor",
        interface: "wasmote.read",
    },
    Resource {
        kind: Kind::Outputs,
        path: &["outputs"],
        named: true,
        methods: &[Code::GET],
        rights: &[(Code::GET, Right::Read)],
        formats: &[
            format::TEXT,
            format::SENML_JSON,
            format::SENML_CBOR,
            format::CBOR,
            format::JSON,
        ],
        observe: true,
        rt: "wasmote.output",
        interface: "wasmote.read",
    },
    Resource {
        kind: Kind::App,
        path: &["app"],
        named: false,
        methods: &[Code::GET, Code::PUT, Code::DELETE],
        rights: &[
            (Code::GET, Right::Read),
            (Code::PUT, Right::Install),
            (Code::DELETE, Right::Install),
        ],
        formats: &[
            format::CBOR,
            format::JSON,
            format::TEXT,
            format::SENML_JSON,
            format::SENML_CBOR,
        ],
        observe: true,
        rt: "wasmote.app",
        interface: "wasmote.install",
    },
    Resource {
        kind: Kind::Staged,
        path: &["app", "staged"],
        named: false,
        methods: &[Code::GET, Code::DELETE],
        rights: &[(Code::GET, Right::Read), (Code::DELETE, Right::Install)],
        formats: &[
            format::CBOR,
            format::JSON,
            format::TEXT,
            format::SENML_JSON,
            format::SENML_CBOR,
        ],
        observe: false,
        rt: "wasmote.staged",
        interface: "wasmote.read",
    },
    Resource {
        kind: Kind::Rollback,
        path: &["app", "rollback"],
        named: false,
        methods: &[Code::POST],
        rights: &[(Code::POST, Right::Install)],
        formats: &[],
        observe: false,
        rt: "wasmote.rollback",
        interface: "wasmote.action",
    },
    Resource {
        kind: Kind::Tier,
        path: &["app", "tier"],
        named: false,
        methods: &[Code::GET, Code::PUT],
        rights: &[(Code::GET, Right::Read), (Code::PUT, Right::Operate)],
        formats: &[
            format::CBOR,
            format::JSON,
            format::TEXT,
            format::SENML_JSON,
            format::SENML_CBOR,
        ],
        observe: false,
        rt: "wasmote.tier",
        interface: "wasmote.write",
    },
    Resource {
        kind: Kind::Params,
        path: &["app", "params"],
        named: true,
        methods: &[Code::GET, Code::PUT],
        rights: &[(Code::GET, Right::Read), (Code::PUT, Right::Operate)],
        formats: &[
            format::TEXT,
            format::SENML_JSON,
            format::SENML_CBOR,
            format::CBOR,
            format::JSON,
        ],
        observe: true,
        rt: "wasmote.param",
        interface: "wasmote.write",
    },
    Resource {
        kind: Kind::State,
        path: &["app", "state"],
        named: true,
        methods: &[Code::GET],
        rights: &[(Code::GET, Right::Read)],
        formats: &[
            format::TEXT,
            format::SENML_JSON,
            format::SENML_CBOR,
            format::CBOR,
            format::JSON,
        ],
        observe: false,
        rt: "wasmote.state",
        interface: "wasmote.read",
    },
    Resource {
        kind: Kind::Request,
        path: &["app", "x"],
        named: false,
        methods: &[
            Code::GET,
            Code::POST,
            Code::PUT,
            Code::DELETE,
            Code::FETCH,
            Code::PATCH,
            Code::IPATCH,
        ],
        rights: &[
            (Code::GET, Right::Read),
            (Code::POST, Right::Operate),
            (Code::PUT, Right::Operate),
            (Code::DELETE, Right::Operate),
            (Code::FETCH, Right::Read),
            (Code::PATCH, Right::Operate),
            (Code::IPATCH, Right::Operate),
        ],
        formats: &[],
        observe: false,
        rt: "wasmote.request",
        interface: "wasmote.module",
    },
    Resource {
        kind: Kind::Log,
        path: &["log"],
        named: false,
        methods: &[Code::GET],
        rights: &[(Code::GET, Right::Read)],
        formats: &[
            format::TEXT,
            format::SENML_JSON,
            format::SENML_CBOR,
            format::CBOR,
            format::JSON,
        ],
        observe: true,
        rt: "wasmote.log",
        interface: "wasmote.read",
    },
    Resource {
        kind: Kind::Stats,
        path: &["stats"],
        named: false,
        methods: &[Code::GET],
        rights: &[(Code::GET, Right::Read)],
        formats: &[
            format::CBOR,
            format::JSON,
            format::TEXT,
            format::SENML_JSON,
            format::SENML_CBOR,
        ],
        observe: false,
        rt: "wasmote.stats",
        interface: "wasmote.read",
    },
    Resource {
        kind: Kind::Keys,
        path: &["keys"],
        named: false,
        methods: &[Code::GET],
        rights: &[(Code::GET, Right::Admin)],
        formats: &[
            format::CBOR,
            format::JSON,
            format::TEXT,
            format::SENML_JSON,
            format::SENML_CBOR,
        ],
        observe: false,
        rt: "wasmote.keys",
        interface: "wasmote.read",
    },
    Resource {
        kind: Kind::Key,
        path: &["keys"],
        named: true,
        methods: &[Code::PUT, Code::DELETE],
        rights: &[(Code::PUT, Right::Admin), (Code::DELETE, Right::Admin)],
        formats: &[],
        observe: false,
        rt: "wasmote.key",
        interface: "wasmote.write",
    },
    Resource {
        kind: Kind::Exchange,
        path: &[".well-known", "edhoc"],
        named: false,
        methods: &[Code::POST],
        rights: &[(Code::POST, Right::Public)],
        formats: &[],
        observe: false,
        rt: "core.edhoc",
        interface: "wasmote.exchange",
    },
];

/// Why a package is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 4.00.
    Malformed,
    /// 4.01.
    UnknownKey,
    /// 4.01.
    Signature,
    /// 4.03.
    Class,
    /// 4.09.
    Sequence,
    /// 4.22.
    Contract,
    /// 4.13.
    Needs,
    /// 4.22.
    Digest,
    /// 4.22.
    Module,
    /// 5.00.
    Storage,
    /// 5.03.
    Busy,
}

impl Refusal {
    /// Its name and the code of the answer.
    pub fn wire(self) -> (&'static str, Code) {
        match self {
            Self::Malformed => ("malformed", Code(128)),
            Self::UnknownKey => ("unknown-key", Code(129)),
            Self::Signature => ("signature", Code(129)),
            Self::Class => ("class", Code(131)),
            Self::Sequence => ("sequence", Code(137)),
            Self::Contract => ("contract", Code(150)),
            Self::Needs => ("needs", Code(141)),
            Self::Digest => ("digest", Code(150)),
            Self::Module => ("module", Code(150)),
            Self::Storage => ("storage", Code(160)),
            Self::Busy => ("busy", Code(163)),
        }
    }
}

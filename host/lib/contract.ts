// The contract between host, node and modules. Generated from firmware/node/contract.toml by `npm run gen`. Not for editing.
/* oxfmt-ignore */
export const contractVersion = 1 as const;

export const importModule = "wasmote" as const;

export const customSection = "wasmote" as const;

/** What a module may import: its clear name, its name on the wire, its type, what a call costs and how many bytes it takes for a unit more. */
export const imports = {
  read: {
    link: "r",
    parameters: ["i32"],
    result: "f32",
    fuel: 40,
    fuelBytes: 0,
  },
  publish: {
    link: "p",
    parameters: ["i32", "f32"],
    result: null,
    fuel: 40,
    fuelBytes: 0,
  },
  parameter: {
    link: "m",
    parameters: ["i32"],
    result: "f32",
    fuel: 40,
    fuelBytes: 0,
  },
  now: {
    link: "n",
    parameters: [],
    result: "i32",
    fuel: 40,
    fuelBytes: 0,
  },
  unix: {
    link: "u",
    parameters: [],
    result: "i64",
    fuel: 40,
    fuelBytes: 0,
  },
  log: {
    link: "l",
    parameters: ["i32", "i32"],
    result: null,
    fuel: 95,
    fuelBytes: 4,
  },
  gpio: {
    link: "g",
    parameters: ["i32", "i32"],
    result: null,
    fuel: 40,
    fuelBytes: 0,
  },
  reply: {
    link: "y",
    parameters: ["i32", "i32", "i32"],
    result: null,
    fuel: 100,
    fuelBytes: 16,
  },
  answer: {
    link: "z",
    parameters: ["i32", "i32", "i32", "i32"],
    result: null,
    fuel: 100,
    fuelBytes: 16,
  },
  note: {
    link: "v",
    parameters: ["i32", "i32", "i32"],
    result: null,
    fuel: 98,
    fuelBytes: 4,
  },
  tell: {
    link: "o",
    parameters: ["i32", "i32", "i32"],
    result: null,
    fuel: 60,
    fuelBytes: 4,
  },
} as const;

/** What a module may export. */
export const exports = ["start", "sample", "tick", "request", "buffer"] as const;

/** Keys of the map in the custom section. */
export const sectionKeys = {
  contract: 0,
  sensors: 1,
  outputs: 2,
  parameters: 3,
  tick: 4,
  buffer: 5,
  states: 6,
  exhausted: 7,
} as const;

/** Types of values in a module's memory, as the custom section has them. */
export const types = {
  bool: "b",
  i32: "i",
  u32: "u",
  i64: "l",
  f32: "f",
  f64: "d",
  text: "t",
} as const;

/** Keys of the map in a package's manifest. */
export const manifestKeys = {
  contract: 1,
  vendor: 2,
  class: 3,
  sequence: 4,
  digest: 5,
  size: 6,
  name: 7,
  version: 8,
  needs: 9,
  add_key: 10,
  drop_key: 11,
  era: 12,
} as const;

/** Keys of the map in a provisioning record. */
export const provisionKeys = {
  name: 1,
  vendor: 2,
  keys: 3,
  development: 4,
  height: 5,
  directory: 8,
  contexts: 6,
  open: 7,
  hidden: 9,
  identity: 10,
  initiators: 11,
} as const;

/** Limits that both sides must know. */
export const limits = {
  state_bytes: 256,
  state_fields: 12,
  state_period: 600000,
  sequence_jump: 65536,
  typed_outputs: 6,
  output_bytes: 48,
  reply_bytes: 512,
  names: 16,
  fuel: 2000000,
  request_buffer: 256,
  provisioned_keys: 4,
  initiators: 4,
  envelope: 512,
} as const;

/** What the holder of a security context may do, as bits of its mask. */
export const rights = {
  read: 1,
  operate: 2,
  install: 4,
  admin: 8,
} as const;

/** Where things are in flash, in bytes from its start; `start` is its address. */
export const flash = {
  start: 134217728,
  provision: 14336,
  slots: 16384,
  slot: 16384,
  end: 65536,
} as const;

/** What texts may be: bytes of UTF-8, and ranges of code points. */
export const texts = {
  node: {
    least: 1,
    most: 32,
    ranges: [
      [45, 46],
      [48, 58],
      [65, 90],
      [95, 95],
      [97, 122],
    ],
    first: [
      [48, 57],
      [65, 90],
      [97, 122],
    ],
  },
  name: {
    least: 1,
    most: 32,
    ranges: [
      [45, 46],
      [48, 58],
      [65, 90],
      [95, 95],
      [97, 122],
    ],
    first: [
      [45, 46],
      [48, 58],
      [65, 90],
      [95, 95],
      [97, 122],
    ],
  },
  unit: {
    least: 0,
    most: 16,
    ranges: [
      [33, 33],
      [35, 91],
      [93, 126],
    ],
    first: [
      [33, 33],
      [35, 91],
      [93, 126],
    ],
  },
  label: {
    least: 0,
    most: 32,
    ranges: [
      [32, 33],
      [35, 59],
      [61, 61],
      [63, 91],
      [93, 126],
      [160, 172],
      [174, 1535],
      [1542, 1563],
      [1565, 1756],
      [1758, 1806],
      [1808, 6157],
      [6159, 8202],
      [8208, 8231],
      [8239, 8287],
      [8304, 55295],
      [57344, 65278],
      [65280, 65519],
      [65532, 65533],
      [65536, 119154],
      [119163, 917503],
    ],
    first: [
      [32, 33],
      [35, 59],
      [61, 61],
      [63, 91],
      [93, 126],
      [160, 172],
      [174, 1535],
      [1542, 1563],
      [1565, 1756],
      [1758, 1806],
      [1808, 6157],
      [6159, 8202],
      [8208, 8231],
      [8239, 8287],
      [8304, 55295],
      [57344, 65278],
      [65280, 65519],
      [65532, 65533],
      [65536, 119154],
      [119163, 917503],
    ],
  },
} as const;

/** The document `/node`. Bytes are hexadecimal text here. */
export type NodeDocument = {
  name?: string;
  board?: string;
  class: string;
  vendor?: string;
  firmware?: string;
  contract: number;
  /** Milliseconds since the start. */
  uptime?: number;
  /** What caused the last reset. */
  reset?: string;
  /** The source of the CPU's clock. */
  clock?: string;
  /** Frequency of the CPU; 0 where it does not matter. */
  hertz?: number;
  /** Parts that this kind of board can have and this one lacks. */
  missing?: string[];
  /** Whether the chip's flash can be read out through its debug port; absent where that is not known. */
  readout?: boolean;
  /** Whether packages without a known key are accepted. */
  development?: boolean;
  /** Millimetres from the bed up to the ranger. */
  height?: number;
  /** The number of trusted keys. */
  keys?: number;
  /** What the node grants. */
  limits: Record<string, number>;
  free_slots?: number;
  /** Erasures of each slot. */
  erased?: number[];
  /** Erasures left today for senders without a key. */
  erasures_left?: number;
  erasures_refused?: number;
  /** Counters of the CoAP server. */
  coap: Record<string, number>;
  /** What was lost on the link, and the node's address there. */
  link: {
    lost?: number;
    damaged?: number;
    unsent?: number;
    address?: string;
    /** Where the address comes from: `dhcp` or `fixed`. */
    origin?: string;
  };
  /** Counters of the queues in the node. */
  queues: Record<string, number>;
  stack_size?: number;
  stack_free?: number;
  /** Identifiers of the trusted keys. */
  trusted?: string[];
  /** Who is answered: whoever has a context, everybody, or everybody for now. */
  security?: "secured" | "open" | "unclaimed";
  /** Counters of protected messages. */
  oscore: Record<string, number>;
};

/** The document `/stats`. Bytes are hexadecimal text here. */
export type StatsDocument = {
  runs: number;
  fuel: number;
  fuel_max: number;
  fuel_total: number;
  micros: number;
  micros_max: number;
  gap_max: number;
  traps: number;
  ticks_missed: number;
  samples_dropped: number;
  /** Thousandths of the last second in which the CPU slept. */
  idle: number;
  /** Faults of sensors, by kind. */
  faults: Record<string, number>;
  /** The longest time of each of the board's tasks, in cycles. */
  longest: Record<string, number>;
};

/** The document `/app/tier`. Bytes are hexadecimal text here. */
export type TierDocument = {
  /** What packages are to be executed by; PUT takes one of the words. */
  chosen?: "compiled" | "interpreted";
  /** What executes the current package. */
  tier?: "compiled" | "interpreted";
  /** Why it is interpreted. */
  why?: string;
  /** Bytes of compiled code. */
  code?: number;
  /** Bytes of RAM for compiled code. */
  arena?: number;
};

/** The document `/app`. Bytes are hexadecimal text here. */
export type AppDocument = {
  state: "empty" | "trial" | "confirmed";
  name?: string;
  version?: string;
  sequence?: number;
  /** SHA-256 of the module. */
  digest?: string;
  /** Bytes of the module. */
  size?: number;
  /** Bytes of the branch table. */
  table?: number;
  /** Bytes of RAM of an instance. */
  ram?: number;
  slot?: number;
  /** Good runs so far on trial. */
  trial?: number;
  /** What executes it. */
  tier?: "compiled" | "interpreted";
  /** Why it is interpreted. */
  why?: string;
  /** Bytes of compiled code. */
  code?: number;
  /** Period of `tick` in milliseconds. */
  tick?: number;
  sensors?: string[];
  outputs?: string[];
  params?: string[];
  states?: string[];
  /** Whether the module answers requests below /app/x. */
  requests?: boolean;
  /** Sequence number of the package that a rollback returns to; 0 when there is none. */
  previous: number;
  /** The era that sequence numbers count in; 0 when absent. */
  era?: number;
  /** The highest sequence number that was ever installed in this era. */
  highest: number;
  /** Whether the node returned to this package because the one after it failed. */
  returned: boolean;
  /** The last failure or rollback. */
  event?: {
    what: "trap" | "fuel" | "reset" | "rollback" | "damaged";
    sequence: number;
    trap?: string;
    function?: number;
    /** The byte of the module at which the instruction begins. */
    offset?: number;
    /** Places in the module of the calls that were active, innermost first. */
    backtrace?: number[];
  };
};

/** The document `/keys`. Bytes are hexadecimal text here. */
export type KeysDocument = {
  free: number;
  place: number[];
  peer: number[];
  node: number[];
  rights: number[];
  replaces: number[];
  used: number[];
  worn: number[];
  /** Whose key exchange each came from: from 0 on; 4: nobody's. */
  initiator?: number[];
};

/** The document `/app/staged`. Bytes are hexadecimal text here. */
export type StagedDocument = {
  digest?: string;
  size?: number;
  received?: number;
};

/** The entries of a node's documents: their types, and what their absence means. */
export const documents = {
  node: {
    name: {
      type: "text",
    },
    board: {
      type: "text",
    },
    class: {
      type: "text",
      always: true,
    },
    vendor: {
      type: "text",
    },
    firmware: {
      type: "text",
    },
    contract: {
      type: "uint32",
      always: true,
    },
    uptime: {
      type: "uint64",
    },
    reset: {
      type: "text",
    },
    clock: {
      type: "text",
    },
    hertz: {
      type: "uint64",
    },
    missing: {
      type: "list of text",
    },
    readout: {
      type: "bool",
    },
    development: {
      type: "bool",
    },
    height: {
      type: "uint32",
    },
    keys: {
      type: "uint32",
    },
    limits: {
      type: "counters",
      absent: {},
    },
    free_slots: {
      type: "uint32",
    },
    erased: {
      type: "list of uint64",
    },
    erasures_left: {
      type: "uint32",
    },
    erasures_refused: {
      type: "uint64",
    },
    coap: {
      type: "counters",
      absent: {},
    },
    link: {
      type: "map",
      absent: {},
      fields: {
        lost: {
          type: "uint64",
        },
        damaged: {
          type: "uint64",
        },
        unsent: {
          type: "uint64",
        },
        address: {
          type: "text",
        },
        origin: {
          type: "text",
        },
      },
    },
    queues: {
      type: "counters",
      absent: {},
    },
    stack_size: {
      type: "uint64",
    },
    stack_free: {
      type: "uint64",
    },
    trusted: {
      type: "list of bytes 8",
    },
    security: {
      type: "one of secured open unclaimed",
    },
    oscore: {
      type: "counters",
      absent: {},
    },
  },
  stats: {
    runs: {
      type: "uint64",
      absent: 0,
    },
    fuel: {
      type: "uint64",
      absent: 0,
    },
    fuel_max: {
      type: "uint64",
      absent: 0,
    },
    fuel_total: {
      type: "uint64",
      absent: 0,
    },
    micros: {
      type: "uint64",
      absent: 0,
    },
    micros_max: {
      type: "uint64",
      absent: 0,
    },
    gap_max: {
      type: "uint64",
      absent: 0,
    },
    traps: {
      type: "uint64",
      absent: 0,
    },
    ticks_missed: {
      type: "uint64",
      absent: 0,
    },
    samples_dropped: {
      type: "uint64",
      absent: 0,
    },
    idle: {
      type: "uint64",
      absent: 0,
    },
    faults: {
      type: "counters",
      absent: {},
    },
    longest: {
      type: "counters",
      absent: {},
    },
  },
  tier: {
    chosen: {
      type: "one of compiled interpreted",
    },
    tier: {
      type: "one of compiled interpreted",
    },
    why: {
      type: "text",
    },
    code: {
      type: "uint32",
    },
    arena: {
      type: "uint32",
    },
  },
  app: {
    state: {
      type: "one of empty trial confirmed",
      always: true,
    },
    name: {
      type: "text",
    },
    version: {
      type: "text",
    },
    sequence: {
      type: "uint32",
    },
    digest: {
      type: "bytes 32",
    },
    size: {
      type: "uint32",
    },
    table: {
      type: "uint32",
    },
    ram: {
      type: "uint32",
    },
    slot: {
      type: "uint32",
    },
    trial: {
      type: "uint32",
    },
    tier: {
      type: "one of compiled interpreted",
    },
    why: {
      type: "text",
    },
    code: {
      type: "uint32",
    },
    tick: {
      type: "uint32",
    },
    sensors: {
      type: "list of text",
    },
    outputs: {
      type: "list of text",
    },
    params: {
      type: "list of text",
    },
    states: {
      type: "list of text",
    },
    requests: {
      type: "bool",
    },
    previous: {
      type: "uint32",
      always: true,
    },
    era: {
      type: "uint32",
    },
    highest: {
      type: "uint32",
      always: true,
    },
    returned: {
      type: "bool",
      always: true,
    },
    event: {
      type: "map",
      fields: {
        what: {
          type: "one of trap fuel reset rollback damaged",
          always: true,
        },
        sequence: {
          type: "uint32",
          always: true,
        },
        trap: {
          type: "text",
        },
        function: {
          type: "uint32",
        },
        offset: {
          type: "uint32",
        },
        backtrace: {
          type: "list of uint32",
        },
      },
    },
  },
  keys: {
    free: {
      type: "uint32",
      always: true,
    },
    place: {
      type: "list of uint32",
      always: true,
    },
    peer: {
      type: "list of uint32",
      always: true,
    },
    node: {
      type: "list of uint32",
      always: true,
    },
    rights: {
      type: "list of uint32",
      always: true,
    },
    replaces: {
      type: "list of uint32",
      always: true,
    },
    used: {
      type: "list of uint32",
      always: true,
    },
    worn: {
      type: "list of uint32",
      always: true,
    },
    initiator: {
      type: "list of uint32",
    },
  },
  staged: {
    digest: {
      type: "bytes 32",
    },
    size: {
      type: "uint32",
    },
    received: {
      type: "uint32",
    },
  },
} as const;

/** The type of each document, by the name of its resource. */
export type Documents = {
  node: NodeDocument;
  stats: StatsDocument;
  tier: TierDocument;
  app: AppDocument;
  keys: KeysDocument;
  staged: StagedDocument;
};

export const resources = [
  {
    name: "node",
    path: "node",
    methods: ["GET"],
    rights: {
      GET: "public",
    },
    rt: "wasmote.node",
    formats: ["cbor", "json", "text", "senml+json", "senml+cbor"],
    interface: "wasmote.read",
  },
  {
    name: "time",
    path: "time",
    methods: ["GET", "PUT"],
    rights: {
      GET: "read",
      PUT: "operate",
    },
    rt: "wasmote.time",
    formats: ["text", "senml+json", "senml+cbor", "cbor", "json"],
    interface: "wasmote.write",
  },
  {
    name: "sensors",
    path: "sensors/{name}",
    methods: ["GET"],
    rights: {
      GET: "read",
    },
    observe: true,
    rt: "wasmote.sensor",
    formats: ["text", "senml+json", "senml+cbor", "cbor", "json"],
    interface: "wasmote.read",
  },
  {
    name: "outputs",
    path: "outputs/{name}",
    methods: ["GET"],
    rights: {
      GET: "read",
    },
    observe: true,
    rt: "wasmote.output",
    formats: ["text", "senml+json", "senml+cbor", "cbor", "json"],
    interface: "wasmote.read",
  },
  {
    name: "app",
    path: "app",
    methods: ["GET", "PUT", "DELETE"],
    rights: {
      GET: "read",
      PUT: "install",
      DELETE: "install",
    },
    observe: true,
    rt: "wasmote.app",
    formats: ["cbor", "json", "text", "senml+json", "senml+cbor"],
    interface: "wasmote.install",
  },
  {
    name: "staged",
    path: "app/staged",
    methods: ["GET", "DELETE"],
    rights: {
      GET: "read",
      DELETE: "install",
    },
    rt: "wasmote.staged",
    formats: ["cbor", "json", "text", "senml+json", "senml+cbor"],
    interface: "wasmote.read",
  },
  {
    name: "rollback",
    path: "app/rollback",
    methods: ["POST"],
    rights: {
      POST: "install",
    },
    rt: "wasmote.rollback",
    interface: "wasmote.action",
  },
  {
    name: "tier",
    path: "app/tier",
    methods: ["GET", "PUT"],
    rights: {
      GET: "read",
      PUT: "operate",
    },
    rt: "wasmote.tier",
    formats: ["cbor", "json", "text", "senml+json", "senml+cbor"],
    interface: "wasmote.write",
  },
  {
    name: "params",
    path: "app/params/{name}",
    methods: ["GET", "PUT"],
    rights: {
      GET: "read",
      PUT: "operate",
    },
    observe: true,
    rt: "wasmote.param",
    formats: ["text", "senml+json", "senml+cbor", "cbor", "json"],
    interface: "wasmote.write",
  },
  {
    name: "state",
    path: "app/state/{name}",
    methods: ["GET"],
    rights: {
      GET: "read",
    },
    rt: "wasmote.state",
    formats: ["text", "senml+json", "senml+cbor", "cbor", "json"],
    interface: "wasmote.read",
  },
  {
    name: "request",
    path: "app/x/*",
    methods: ["GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"],
    rights: {
      GET: "read",
      POST: "operate",
      PUT: "operate",
      DELETE: "operate",
      FETCH: "read",
      PATCH: "operate",
      iPATCH: "operate",
    },
    rt: "wasmote.request",
    interface: "wasmote.module",
  },
  {
    name: "log",
    path: "log",
    methods: ["GET"],
    rights: {
      GET: "read",
    },
    observe: true,
    rt: "wasmote.log",
    formats: ["text", "senml+json", "senml+cbor", "cbor", "json"],
    interface: "wasmote.read",
  },
  {
    name: "stats",
    path: "stats",
    methods: ["GET"],
    rights: {
      GET: "read",
    },
    rt: "wasmote.stats",
    formats: ["cbor", "json", "text", "senml+json", "senml+cbor"],
    interface: "wasmote.read",
  },
  {
    name: "keys",
    path: "keys",
    methods: ["GET"],
    rights: {
      GET: "admin",
    },
    rt: "wasmote.keys",
    formats: ["cbor", "json", "text", "senml+json", "senml+cbor"],
    interface: "wasmote.read",
  },
  {
    name: "key",
    path: "keys/{name}",
    methods: ["PUT", "DELETE"],
    rights: {
      PUT: "admin",
      DELETE: "admin",
    },
    rt: "wasmote.key",
    interface: "wasmote.write",
  },
  {
    name: "exchange",
    path: ".well-known/edhoc",
    methods: ["POST"],
    rights: {
      POST: "public",
    },
    rt: "core.edhoc",
    interface: "wasmote.exchange",
  },
] as const;

/** Why a package is refused, and the CoAP code that says so. */
export const refusals = {
  malformed: "4.00",
  "unknown-key": "4.01",
  signature: "4.01",
  class: "4.03",
  sequence: "4.09",
  contract: "4.22",
  needs: "4.13",
  digest: "4.22",
  module: "4.22",
  storage: "5.00",
  busy: "5.03",
} as const;

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
    fuel: 60,
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
    fuel: 80,
    fuelBytes: 16,
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
} as const;

/** Limits that both sides must know. */
export const limits = {
  sequence_jump: 65536,
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

export const resources = [
  {
    name: "node",
    path: "node",
    methods: ["GET"],
    rt: "wasmote.node",
    formats: ["cbor", "json", "text", "senml+json", "senml+cbor"],
    interface: "wasmote.read",
  },
  {
    name: "time",
    path: "time",
    methods: ["GET", "PUT"],
    rt: "wasmote.time",
    formats: ["text", "senml+json", "senml+cbor", "cbor", "json"],
    interface: "wasmote.write",
  },
  {
    name: "sensors",
    path: "sensors/{name}",
    methods: ["GET"],
    observe: true,
    rt: "wasmote.sensor",
    formats: ["text", "senml+json", "senml+cbor", "cbor", "json"],
    interface: "wasmote.read",
  },
  {
    name: "outputs",
    path: "outputs/{name}",
    methods: ["GET"],
    observe: true,
    rt: "wasmote.output",
    formats: ["text", "senml+json", "senml+cbor", "cbor", "json"],
    interface: "wasmote.read",
  },
  {
    name: "app",
    path: "app",
    methods: ["GET", "PUT", "DELETE"],
    observe: true,
    rt: "wasmote.app",
    formats: ["cbor", "json", "text", "senml+json", "senml+cbor"],
    interface: "wasmote.install",
  },
  {
    name: "staged",
    path: "app/staged",
    methods: ["GET", "DELETE"],
    rt: "wasmote.staged",
    formats: ["cbor", "json", "text", "senml+json", "senml+cbor"],
    interface: "wasmote.read",
  },
  {
    name: "rollback",
    path: "app/rollback",
    methods: ["POST"],
    rt: "wasmote.rollback",
    interface: "wasmote.action",
  },
  {
    name: "params",
    path: "app/params/{name}",
    methods: ["GET", "PUT"],
    observe: true,
    rt: "wasmote.param",
    formats: ["text", "senml+json", "senml+cbor", "cbor", "json"],
    interface: "wasmote.write",
  },
  {
    name: "request",
    path: "app/x/*",
    methods: ["GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"],
    rt: "wasmote.request",
    interface: "wasmote.module",
  },
  {
    name: "log",
    path: "log",
    methods: ["GET"],
    observe: true,
    rt: "wasmote.log",
    formats: ["text", "senml+json", "senml+cbor", "cbor", "json"],
    interface: "wasmote.read",
  },
  {
    name: "stats",
    path: "stats",
    methods: ["GET"],
    rt: "wasmote.stats",
    formats: ["cbor", "json", "text", "senml+json", "senml+cbor"],
    interface: "wasmote.read",
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

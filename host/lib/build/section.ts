// The module as a list of sections (WebAssembly 2.0 §5.5.2), the custom section `wasmote`, and the memory type with its page
// size. What reads here expects a module that a compiler or an engine has accepted; anything else is a RangeError.
import { decode } from "cbor2";
import { contractVersion, customSection, sectionKeys, types } from "../contract.ts";

/** A parameter of a module. */
export interface ParameterFact {
  name: string;
  initial: number;
  minimum: number;
  maximum: number;
}

/** The types of values that a module has in its memory. */
export type TypeName = Exclude<keyof typeof types, "text">;

/** What an output takes that is no single: texts, or values of a type. */
export type OutputType = "text" | FieldFact[];

/** An output of a module; without a type it takes singles. */
export interface OutputFact {
  name: string;
  unit: string;
  type?: OutputType;
}

/** What a type is: how many bytes it takes, and what its address is a multiple of; how it is read and written there. */
interface Layout {
  size: number;
  read(view: DataView, at: number): number | bigint | boolean;
  write(view: DataView, at: number, value: number | bigint): void;
}

export const layouts: Readonly<Record<TypeName, Layout>> = {
  bool: {
    size: 1,
    read: (view, at) => view.getUint8(at) !== 0,
    write: (view, at, value) => view.setUint8(at, Number(value) === 0 ? 0 : 1),
  },
  i32: {
    size: 4,
    read: (view, at) => view.getInt32(at, true),
    write: (view, at, value) => view.setInt32(at, Number(value), true),
  },
  u32: {
    size: 4,
    read: (view, at) => view.getUint32(at, true),
    write: (view, at, value) => view.setUint32(at, Number(value), true),
  },
  i64: {
    size: 8,
    read: (view, at) => view.getBigInt64(at, true),
    write: (view, at, value) => view.setBigInt64(at, BigInt(value), true),
  },
  f32: {
    size: 4,
    read: (view, at) => view.getFloat32(at, true),
    write: (view, at, value) => view.setFloat32(at, Number(value), true),
  },
  f64: {
    size: 8,
    read: (view, at) => view.getFloat64(at, true),
    write: (view, at, value) => view.setFloat64(at, Number(value), true),
  },
};

/** A field of a record. A plain number is one without a name. */
export interface FieldFact {
  name: string;
  type: TypeName;
}

/** A value that a module keeps over resets and updates. */
export interface StateFact {
  name: string;
  /** Where it lies in the module's memory; 0 while the build does not know. */
  at: number;
  fields: FieldFact[];
}

/** Where the fields of a value lie in it, and how long it is. */
export function placed(fields: readonly FieldFact[]): { places: number[]; size: number } {
  let size = 0;
  const places = fields.map(({ type }) => {
    const at = Math.ceil(size / layouts[type].size) * layouts[type].size;
    size = at + layouts[type].size;
    return at;
  });
  return { places, size };
}

/** What a module says of itself in its custom section. */
export interface Facts {
  contract: number;
  sensors: string[];
  outputs: OutputFact[];
  parameters: ParameterFact[];
  /** What is kept over resets and updates. */
  states: StateFact[];
  /** Period of `tick` in milliseconds; 0 if there is none. */
  tick: number;
  /** Bytes of the request buffer; 0 if there is none. */
  buffer: number;
  /** Bytes of the module at which an `unreachable` means that its memory is used up. */
  exhausted?: number[];
}

export const noFacts: Facts = {
  contract: contractVersion,
  sensors: [],
  outputs: [],
  parameters: [],
  states: [],
  tick: 0,
  buffer: 0,
};

/** The facts as the custom section holds them: a CBOR map in its shortest form, empty entries left out. */
export function encodeFacts(facts: Facts): Uint8Array {
  const entries: [number, number[]][] = [[sectionKeys.contract, head(0, facts.contract)]];
  const list = (key: number, items: number[][]) => {
    if (items.length > 0) entries.push([key, [...head(4, items.length), ...items.flat()]]);
  };
  list(sectionKeys.sensors, facts.sensors.map(text));
  list(
    sectionKeys.outputs,
    facts.outputs.map(({ name, unit, type = [] }) => {
      const parts = type === "text" ? [text(types.text)] : typeParts(type);
      return [...head(4, 2 + parts.length), ...text(name), ...text(unit), ...parts.flat()];
    }),
  );
  list(
    sectionKeys.parameters,
    facts.parameters.map(({ name, initial, minimum, maximum }) => [
      ...head(4, 4),
      ...text(name),
      ...[initial, minimum, maximum].flatMap(float),
    ]),
  );
  if (facts.tick > 0) entries.push([sectionKeys.tick, head(0, facts.tick)]);
  if (facts.buffer > 0) entries.push([sectionKeys.buffer, head(0, facts.buffer)]);
  list(
    sectionKeys.states,
    facts.states.map(({ name, at, fields }) => {
      const parts = typeParts(fields);
      return [...head(4, 2 + parts.length), ...text(name), ...head(0, at), ...parts.flat()];
    }),
  );
  list(
    sectionKeys.exhausted,
    (facts.exhausted ?? []).map((at) => head(0, at)),
  );
  return Uint8Array.from([
    ...head(5, entries.length),
    ...entries.flatMap(([key, value]) => [...head(0, key), ...value]),
  ]);
}

/** A type as the section has it: letters, and names where it is a record. */
function typeParts(fields: readonly FieldFact[]): number[][] {
  return fields.flatMap(({ name, type }) => [
    text(types[type]),
    ...(name === "" ? [] : [text(name)]),
  ]);
}

/** The facts of a module; those of an empty one where it has no custom section. */
export function readFacts(module: Uint8Array): Facts {
  const body = sections(module).find(
    ({ id, body: bytes }) => id === 0 && customName(bytes) === customSection,
  )?.body;
  if (!body) return noFacts;
  const map = decode<Map<number, unknown>>(body.slice(1 + customSection.length), {
    preferMap: true,
  });
  const get = <T>(key: number, otherwise: T) => (map.get(key) as T | undefined) ?? otherwise;
  const exhausted = get<number[]>(sectionKeys.exhausted, []);
  return {
    contract: get(sectionKeys.contract, 0),
    sensors: get<string[]>(sectionKeys.sensors, []),
    outputs: get<[string, string, ...string[]][]>(sectionKeys.outputs, []).map(
      ([name, unit, ...type]): OutputFact => {
        if (type.length === 0) return { name, unit };
        return { name, unit, type: type[0] === types.text ? "text" : readFields(type) };
      },
    ),
    parameters: get<[string, number, number, number][]>(sectionKeys.parameters, []).map(
      ([name, initial, minimum, maximum]) => ({ name, initial, minimum, maximum }),
    ),
    states: get<[string, number, ...string[]][]>(sectionKeys.states, []).map(
      ([name, at, ...type]) => ({ name, at, fields: readFields(type) }),
    ),
    tick: get(sectionKeys.tick, 0),
    buffer: get(sectionKeys.buffer, 0),
    ...(exhausted.length > 0 ? { exhausted } : {}),
  };
}

/** A type as the section has it: a letter, or letters and names in turn. */
function readFields(type: string[]): FieldFact[] {
  const known = (letter: string | undefined) =>
    (Object.keys(layouts) as TypeName[]).find((name) => types[name] === letter) ?? "i32";
  if (type.length === 1) return [{ name: "", type: known(type[0]) }];
  return type.flatMap((letter, index) =>
    index % 2 === 0 ? [{ name: type[index + 1] ?? "", type: known(letter) }] : [],
  );
}

export interface Section {
  id: number;
  body: Uint8Array;
  /** Where the body begins in the module. */
  offset: number;
}

export function sections(module: Uint8Array): Section[] {
  const result: Section[] = [];
  for (let place = 8; place < module.length;) {
    const id = module[place] ?? 0;
    const [size, offset] = readUnsigned(module, place + 1);
    if (offset + size > module.length) throw new RangeError("a section ends beyond the module");
    result.push({ id, body: module.subarray(offset, offset + size), offset });
    place = offset + size;
  }
  return result;
}

export function joinSections(list: { id: number; body: Uint8Array }[]): Uint8Array {
  const header = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  return Uint8Array.from([
    ...header,
    ...list.flatMap(({ id, body }) => [id, ...unsigned(body.length), ...body]),
  ]);
}

export function customName(body: Uint8Array): string {
  const [size, offset] = readUnsigned(body, 0);
  return new TextDecoder().decode(body.subarray(offset, offset + size));
}

export function customBody(name: string, content: Uint8Array): Uint8Array {
  const bytes = new TextEncoder().encode(name);
  return Uint8Array.from([...unsigned(bytes.length), ...bytes, ...content]);
}

/** The memory that a module declares. */
export interface MemoryType {
  minimum: number;
  maximum: number | undefined;
  /** Base-2 logarithm of the page size: 16 where the module says nothing. */
  pageBits: number;
}

export const memorySection = 5;
export const codeSection = 10;

export function readMemory(module: Uint8Array): MemoryType | undefined {
  const body = sections(module).find(({ id }) => id === memorySection)?.body;
  if (!body || body[0] === 0) return undefined;
  const flags = body[1] ?? 0;
  let place = 2;
  const next = () => {
    const [value, after] = readUnsigned(body, place);
    place = after;
    return value;
  };
  const minimum = next();
  const maximum = flags & 1 ? next() : undefined;
  return { minimum, maximum, pageBits: flags & 8 ? next() : 16 };
}

/** A memory section; the page size is written as the custom-page-sizes proposal has it, and left out where it is 64 KiB. */
export function memoryBody({ minimum, maximum, pageBits }: MemoryType): Uint8Array {
  const flags = (maximum === undefined ? 0 : 1) | (pageBits === 16 ? 0 : 8);
  return Uint8Array.from([
    1,
    flags,
    ...unsigned(minimum),
    ...(maximum === undefined ? [] : unsigned(maximum)),
    ...(pageBits === 16 ? [] : unsigned(pageBits)),
  ]);
}

/**
 * The module as an engine that has only 64 KiB pages can run it: as many pages, each larger, with the memory exported. It sees
 * the same page counts; what it cannot see is an access between the end of the small memory and that of the large one.
 */
export function withWidePages(module: Uint8Array): Uint8Array {
  const memory = readMemory(module);
  if (!memory) return module;
  return joinSections(
    sections(module).map(({ id, body }) => {
      if (id === memorySection) return { id, body: memoryBody({ ...memory, pageBits: 16 }) };
      if (id !== 7 || exportsMemory(body)) return { id, body };
      const [count, offset] = readUnsigned(body, 0);
      const entry = [...unsigned(6), ...new TextEncoder().encode("memory"), 2, 0];
      return {
        id,
        body: Uint8Array.from([...unsigned(count + 1), ...body.subarray(offset), ...entry]),
      };
    }),
  );
}

/** Whether a memory is among the exports. */
function exportsMemory(exports: Uint8Array): boolean {
  let [left, place] = readUnsigned(exports, 0);
  for (; left > 0; left--) {
    const [size, at] = readUnsigned(exports, place);
    if (exports[at + size] === 2) return true;
    [, place] = readUnsigned(exports, at + size + 1);
  }
  return false;
}

// ---- exports and globals ------------------------------------------------------------------------------------------------

const typeSection = 1;
const importSection = 2;
const functionSection = 3;
const globalSection = 6;
const exportSection = 7;
const globalKind = 3;

type Parts = { id: number; body: Uint8Array }[];

/** The exports of a module: names, kinds, indices, and the bytes of each entry. */
function exportEntries(list: Parts): {
  name: string;
  kind: number;
  index: number;
  bytes: Uint8Array;
}[] {
  const body = list.find(({ id }) => id === exportSection)?.body;
  if (!body) return [];
  const entries = [];
  let [left, place] = readUnsigned(body, 0);
  for (; left > 0; left--) {
    const [size, at] = readUnsigned(body, place);
    const name = new TextDecoder().decode(body.subarray(at, at + size));
    const [index, after] = readUnsigned(body, at + size + 1);
    entries.push({
      name,
      kind: body[at + size] ?? 0,
      index,
      bytes: body.subarray(place, after),
    });
    place = after;
  }
  return entries;
}

/** The names that a module exports. */
export function exportNames(module: Uint8Array): string[] {
  return exportEntries(sections(module)).map(({ name }) => name);
}

/** The index of a global that a module exports. */
export function exportedGlobal(module: Uint8Array, name: string): number | undefined {
  return exportEntries(sections(module)).find((one) => one.name === name && one.kind === globalKind)
    ?.index;
}

/** The sections without these exports. */
export function withoutExports(list: Parts, names: readonly string[]): Parts {
  const entries = exportEntries(list);
  const kept = entries.filter(({ name }) => !names.includes(name));
  if (kept.length === entries.length) return list;
  const body = Uint8Array.from([
    ...unsigned(kept.length),
    ...kept.flatMap(({ bytes }) => [...bytes]),
  ]);
  return list.map((one) => (one.id === exportSection ? { id: one.id, body } : one));
}

/** The sections with another initial value of an i32 global; as they are without an index. */
export function withGlobal(list: Parts, index: number | undefined, value: number): Parts {
  const globals = list.find(({ id }) => id === globalSection)?.body;
  const found = index === undefined || !globals ? undefined : constantAt(globals, index);
  if (!globals || !found) return list;
  const body = Uint8Array.from([
    ...globals.subarray(0, found.start),
    ...signed(value),
    ...globals.subarray(found.end),
  ]);
  return list.map((one) => (one.id === globalSection ? { id: one.id, body } : one));
}

/** The module with one more function, exported as `__top`, that gives the value of an i32 global; its other exports stay. */
export function withFunctionOf(module: Uint8Array, global: number): Uint8Array {
  const name = "__top";
  const list = withoutExports(sections(module), [name]);
  const body = (id: number) => list.find((one) => one.id === id)?.body ?? Uint8Array.of(0);
  const [types] = readUnsigned(body(typeSection), 0);
  const [functions] = readUnsigned(body(functionSection), 0);
  const added: Record<number, number[]> = {
    [typeSection]: [0x60, 0, 1, 0x7f],
    [functionSection]: unsigned(types),
    [exportSection]: [
      ...unsigned(name.length),
      ...new TextEncoder().encode(name),
      0,
      ...unsigned(importedFunctions(module) + functions),
    ],
    [codeSection]: [2 + unsigned(global).length + 1, 0, 0x23, ...unsigned(global), 0x0b],
  };
  return joinSections(
    list.map(({ id, body: bytes }) => {
      const entry = added[id];
      if (!entry) return { id, body: bytes };
      const [count, start] = readUnsigned(bytes, 0);
      return {
        id,
        body: Uint8Array.from([...unsigned(count + 1), ...bytes.subarray(start), ...entry]),
      };
    }),
  );
}

/** How many functions a module imports; it imports functions only, as nodes have nothing else. */
export function importedFunctions(module: Uint8Array): number {
  const body = sections(module).find(({ id }) => id === importSection)?.body;
  return body ? readUnsigned(body, 0)[0] : 0;
}

/** The value of a constant i32 that a module exports, such as the address of its request buffer. */
export function exportedNumber(module: Uint8Array, name: string): number | undefined {
  const index = exportedGlobal(module, name);
  const globals = sections(module).find(({ id }) => id === globalSection)?.body;
  return index === undefined || !globals ? undefined : constantAt(globals, index)?.value;
}

/** The initial value of the i32 global with this number, and its bytes; before it are constants only, as compilers write them. */
function constantAt(
  globals: Uint8Array,
  index: number,
): { value: number; start: number; end: number } | undefined {
  let [, place] = readUnsigned(globals, 0);
  for (let number = 0; ; number++) {
    const opcode = globals[place + 2];
    place += 3;
    const start = place;
    if (opcode === 0x41 || opcode === 0x42) {
      let [value, shift] = [0, 0];
      for (let byte = 0x80; byte & 0x80; shift += 7) {
        byte = globals[place++] ?? 0;
        if (shift < 32) value |= (byte & 127) << shift;
        if (!(byte & 0x80) && byte & 0x40 && shift < 25) value |= -1 << (shift + 7);
      }
      if (number === index) return opcode === 0x41 ? { value, start, end: place } : undefined;
    } else if (opcode === 0x43) place += 4;
    else if (opcode === 0x44) place += 8;
    else return undefined;
    if (globals[place++] !== 0x0b || number === index) return undefined;
  }
}

export function readUnsigned(bytes: Uint8Array, start: number): [value: number, after: number] {
  let value = 0;
  for (let place = start, scale = 1; place < start + 5; place++, scale *= 128) {
    const byte = bytes[place];
    if (byte === undefined) throw new RangeError("a number ends beyond its section");
    value += (byte & 127) * scale;
    if (byte < 128) return [value, place + 1];
  }
  throw new RangeError("a number has more than five bytes");
}

export function unsigned(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...unsigned(Math.floor(value / 128))];
}

/** A positive number as a signed one is written (WebAssembly 2.0 §5.2.2). */
function signed(value: number): number[] {
  return value < 64 ? [value] : [(value % 128) | 128, ...signed(Math.floor(value / 128))];
}

// ---- CBOR (RFC 8949 §3) -------------------------------------------------------------------------------------------------

function head(major: number, value: number): number[] {
  const first = major << 5;
  if (value < 24) return [first | value];
  if (value < 0x100) return [first | 24, value];
  if (value < 0x10000) return [first | 25, value >> 8, value & 255];
  return [first | 26, value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255];
}

function text(value: string): number[] {
  const bytes = new TextEncoder().encode(value);
  return [...head(3, bytes.length), ...bytes];
}

function float(value: number): number[] {
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setFloat32(0, value);
  return [0xfa, ...new Uint8Array(bytes.buffer)];
}

// `npm run gen`: writes what two languages must agree on from firmware/node/contract.toml, the one place where it is said.
//
// Output: host/lib/contract.ts, assembly/contract.ts and firmware/node/src/contract.rs. All are committed; test/sdk/sdk.test.ts
// fails when one is not what this script would write.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";

interface Function {
  name: string;
  what: string;
  parameters?: string[];
  result?: string;
  link?: string;
  global?: string;
  /** Of an import: what a call costs, and how many bytes it takes for one unit more. */
  fuel?: number;
  fuel_bytes?: number;
}

/** Pairs of the first and the last character of each range. */
interface TextRule {
  least: number;
  most: number;
  ranges: string[];
  first?: string[];
}

interface Contract {
  version: number;
  module: {
    import_module: string;
    custom_section: string;
    import: Function[];
    export: Function[];
  };
  section: Record<string, number>;
  type: Record<string, string>;
  manifest: Record<string, number>;
  provision: Record<string, number>;
  limits: Record<string, number>;
  rights: Record<string, number>;
  flash: Record<string, number>;
  text: Record<string, TextRule>;
  /** By name of the entry: its type, or its type and what it means. */
  document: Record<string, Record<string, string | [type: string, what: string]>>;
  resource: {
    name: string;
    path: string;
    methods: string[];
    rights: Record<string, string>;
    observe?: boolean;
    rt: string;
    interface: string;
    formats?: string[];
  }[];
  refusal: { name: string; code: string }[];
}

const root = new URL("../", import.meta.url);
/** The two code points of a range. */
function points(range: string): [number, number] {
  const [from, to, more] = Array.from(range, (character) => character.codePointAt(0)!);
  if (from === undefined || to === undefined || more !== undefined || from > to)
    throw new RangeError(`no range of characters: ${JSON.stringify(range)}`);
  return [from, to];
}

/** An entry of a document. */
interface Field {
  name: string;
  /** As contract.toml has it, without what follows the comma. */
  type: string;
  what: string | undefined;
  always: boolean;
  /** What its absence means. */
  absent: "0" | "{}" | undefined;
  fields: Field[];
}

/** The entries of a document as a tree. */
function fieldsOf(document: Contract["document"][string]): Field[] {
  const roots: Field[] = [];
  const all = new Map<string, Field>();
  for (const [path, said] of Object.entries(document)) {
    const [text, what] = typeof said === "string" ? [said] : said;
    const [, type = "", rest] =
      /^((?:list of )?(?:text|bool|uint32|uint64|bytes \d+)|one of [\w ]+|map|counters)(?:, (always|or 0|or \{\}))?$/.exec(
        text,
      ) ?? [];
    if (type === "") throw new RangeError(`${path}: no type of an entry: ${text}`);
    const name = path.split(".").at(-1)!;
    const parent = all.get(path.slice(0, -name.length - 1));
    if (path !== name && parent === undefined) throw new RangeError(`${path} is in no map`);
    const absent = rest === "or 0" ? "0" : rest === "or {}" ? "{}" : undefined;
    const field = { name, type, what, always: rest === "always", absent, fields: [] } as Field;
    all.set(path, field);
    (parent?.fields ?? roots).push(field);
  }
  return roots;
}

/** The TypeScript type of an entry. */
function typeOf({ type, fields }: Field): string {
  if (type === "map") return `{\n${fields.map(memberOf).join("\n")}\n}`;
  if (type === "counters") return "Record<string, number>";
  if (type.startsWith("list of "))
    return `${typeOf({ type: type.slice("list of ".length) } as Field)}[]`;
  if (type.startsWith("one of "))
    return wordsOf(type)
      .map((word) => JSON.stringify(word))
      .join(" | ");
  return (
    { text: "string", bool: "boolean" }[type] ?? (type.startsWith("uint") ? "number" : "string")
  );
}

const wordsOf = (type: string) =>
  type.startsWith("one of ") ? type.slice("one of ".length).split(" ") : [];

function memberOf(field: Field): string {
  const { name, what, always, absent } = field;
  const optional = always || absent !== undefined ? "" : "?";
  return `${what === undefined ? "" : `/** ${what} */\n`}${name}${optional}: ${typeOf(field)};`;
}

/** What `readDocument` goes by: the type of an entry, what its absence means, its own entries. */
function schemaOf(fields: Field[]): Record<string, unknown> {
  return Object.fromEntries(
    fields.map(({ name, type, always, absent, fields: inner }) => [
      name,
      {
        type,
        ...(always ? { always } : {}),
        ...(absent === undefined ? {} : { absent: absent === "0" ? 0 : {} }),
        ...(type === "map" ? { fields: schemaOf(inner) } : {}),
      },
    ]),
  );
}

const marker = "Generated from firmware/node/contract.toml by `npm run gen`. Not for editing.";

/** Every generated file, by its path in the repository. */
export function generate(
  source = readFileSync(new URL("firmware/node/contract.toml", root), "utf8"),
): Record<string, string> {
  const contract = parse(source) as unknown as Contract;
  return {
    "host/lib/contract.ts": typescript(contract),
    "assembly/contract.ts": assemblyscript(contract),
    "firmware/node/src/contract.rs": rust(contract),
  };
}

/** The vectors for packages, by their path. They are made with the library, which reads the contract: it is loaded only now. */
export async function vectors(): Promise<Record<string, string>> {
  const { packageVectors } = await import("./vectors.ts");
  return { "test/vectors/package.json": `${JSON.stringify(packageVectors(), null, 1)}\n` };
}

const camel = (name: string) =>
  name.replaceAll(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());

function typescript(contract: Contract): string {
  const { module } = contract;
  const constant = (name: string, value: unknown) =>
    `export const ${name} = ${JSON.stringify(value, null, 2)} as const;\n`;
  const links = Object.fromEntries(
    module.import.map(({ name, link, parameters, result, fuel = 0, fuel_bytes = 0 }) => [
      name,
      { link, parameters: parameters ?? [], result: result ?? null, fuel, fuelBytes: fuel_bytes },
    ]),
  );
  return [
    `// The contract between host, node and modules. ${marker}`,
    "/* oxfmt-ignore */",
    constant("contractVersion", contract.version),
    constant("importModule", module.import_module),
    constant("customSection", module.custom_section),
    "/** What a module may import: its clear name, its name on the wire, its type, what a call costs and how many bytes it takes for a unit more. */",
    constant("imports", links),
    "/** What a module may export. */",
    constant(
      "exports",
      module.export.map(({ name }) => name),
    ),
    "/** Keys of the map in the custom section. */",
    constant("sectionKeys", contract.section),
    "/** Types of values in a module's memory, as the custom section has them. */",
    constant("types", contract.type),
    "/** Keys of the map in a package's manifest. */",
    constant("manifestKeys", contract.manifest),
    "/** Keys of the map in a provisioning record. */",
    constant("provisionKeys", contract.provision),
    "/** Limits that both sides must know. */",
    constant("limits", contract.limits),
    "/** What the holder of a security context may do, as bits of its mask. */",
    constant("rights", contract.rights),
    "/** Where things are in flash, in bytes from its start; `start` is its address. */",
    constant("flash", contract.flash),
    "/** What texts may be: bytes of UTF-8, and ranges of code points. */",
    constant(
      "texts",
      Object.fromEntries(
        Object.entries(contract.text).map(([kind, { least, most, ranges, first }]) => [
          kind,
          { least, most, ranges: ranges.map(points), first: (first ?? ranges).map(points) },
        ]),
      ),
    ),
    ...Object.entries(contract.document).map(
      ([name, document]) =>
        `/** The document \`/${contract.resource.find((one) => one.name === name)!.path}\`. Bytes are hexadecimal text here. */\n` +
        `export type ${camel(name)}Document = {\n${fieldsOf(document).map(memberOf).join("\n")}\n};\n`,
    ),
    "/** The entries of a node's documents: their types, and what their absence means. */",
    constant(
      "documents",
      Object.fromEntries(
        Object.entries(contract.document).map(([name, one]) => [name, schemaOf(fieldsOf(one))]),
      ),
    ),
    "/** The type of each document, by the name of its resource. */",
    `export type Documents = {\n${Object.keys(contract.document)
      .map((name) => `${name}: ${camel(name)}Document;`)
      .join("\n")}\n};\n`,
    constant("resources", contract.resource),
    "/** Why a package is refused, and the CoAP code that says so. */",
    constant(
      "refusals",
      Object.fromEntries(contract.refusal.map(({ name, code }) => [name, code])),
    ),
  ].join("\n");
}

function assemblyscript({ version, module, limits }: Contract): string {
  const functions = module.import.map(
    ({ name, link, parameters, result, what }) =>
      `/** ${what} */\n// @ts-ignore: decorator\n@external("${module.import_module}", "${link}")\n` +
      `export declare function ${name}(${(parameters ?? []).map((type, index) => `${"abcd"[index]}: ${type}`).join(", ")}): ${result ?? "void"};\n`,
  );
  return [
    `// What a node offers to a module, by its names in the contract. ${marker}\n`,
    `/** The version of the contract that these imports belong to. */\nexport const contractVersion: i32 = ${version};\n`,
    `/** Bytes of the buffer for requests. */\nexport const requestBufferSize: i32 = ${limits["request_buffer"]};\n`,
    ...functions,
  ].join("\n");
}

/** A module of Rust with constants. */
function rustModule(
  name: string,
  what: string,
  type: string,
  values: Record<string, number | string>,
  told: (name: string) => string = (one) => `\`${one}\`.`,
): string[] {
  return [
    `/// ${what}`,
    `pub mod ${name} {`,
    ...Object.entries(values).flatMap(([one, value]) => [
      `    /// ${told(one)}`,
      `    pub const ${one.toUpperCase()}: ${type} = ${typeof value === "string" ? JSON.stringify(value) : value};`,
    ]),
    "}",
    "",
  ];
}

const rustTypes = (list: string[]) =>
  list.map((type) => `ValType::${type.toUpperCase()}`).join(", ");

function rustImports({ module }: Contract): string[] {
  return [
    "/// What a module may import.",
    "#[derive(Clone, Copy, Debug, PartialEq, Eq)]",
    "pub enum Import {",
    ...module.import.flatMap(({ name, what }) => [`    /// ${what}`, `    ${camel(name)},`]),
    "}",
    "",
    "impl Import {",
    "    /// The import with this link name, with its parameters and results.",
    "    pub fn find(link: &str) -> Option<(Self, &'static [ValType], &'static [ValType])> {",
    "        Some(match link {",
    ...module.import.map(
      ({ name, link, parameters, result }) =>
        `            "${link}" => (Self::${camel(name)}, &[${rustTypes(parameters ?? [])}], &[${rustTypes(result ? [result] : [])}]),`,
    ),
    "            _ => return None,",
    "        })",
    "    }",
    "",
    "    /// Fuel of a call beside the module's own instructions, and how many bytes it takes for a unit more (0: none does).",
    "    pub const fn fuel(self) -> (u32, u32) {",
    "        match self {",
    ...module.import.map(
      ({ name, fuel = 0, fuel_bytes = 0 }) =>
        `            Self::${camel(name)} => (${fuel}, ${fuel_bytes}),`,
    ),
    "        }",
    "    }",
    "}",
    "",
  ];
}

function rustTexts({ text }: Contract): string[] {
  const ranges = (list: string[]) =>
    list
      .map(points)
      .map(([from, to]) => `(0x${from.toString(16)}, 0x${to.toString(16)})`)
      .join(", ");
  return [
    "/// What texts may be.",
    "pub mod text {",
    "    use crate::text::Rule;",
    ...Object.entries(text).flatMap(([kind, { least, most, ranges: all, first }]) => [
      `    /// A ${kind}.`,
      `    pub const ${kind.toUpperCase()}: Rule = Rule {`,
      `        least: ${least},`,
      `        most: ${most},`,
      `        ranges: &[${ranges(all)}],`,
      `        first: &[${ranges(first ?? all)}],`,
      "    };",
    ]),
    "}",
    "",
  ];
}

function rustDocuments({ document }: Contract): string[] {
  const said = Object.entries(document).map(([name, one]) => ({
    name,
    entries: Object.entries(one).map(([key, entry]) => ({
      key,
      type: (typeof entry === "string" ? entry : entry[0]).split(",")[0]!,
    })),
  }));
  const entries = said.flatMap((one) => one.entries);
  const constants = (all: string[]) =>
    Object.fromEntries([...new Set(all)].toSorted().map((one) => [one, one]));
  return [
    ...rustModule(
      "word",
      "Words in documents.",
      "&str",
      constants(entries.flatMap(({ type }) => wordsOf(type))),
    ),
    ...rustModule(
      "key",
      "Names in documents.",
      "&str",
      constants(entries.map(({ key }) => key.split(".").at(-1)!)),
    ),
    "/// What each document may have in it, a dot for a map in the map; and what that is.",
    "pub const DOCUMENTS: &[(&str, &[(&str, &str)])] = &[",
    ...said.flatMap((one) => [
      `    ("${one.name}", &[`,
      ...one.entries.map(({ key, type }) => `        ("${key}", "${type}"),`),
      "    ]),",
    ]),
    "];",
    "",
  ];
}

function rustResources({ resource, rights }: Contract): string[] {
  return [
    "/// What the holder of a security context may do, as a bit of its mask.",
    "#[derive(Clone, Copy, Debug, PartialEq, Eq)]",
    "#[repr(u8)]",
    "pub enum Right {",
    "    /// Needs no context.",
    "    Public = 0,",
    ...Object.entries(rights).flatMap(([name, bit]) => [
      `    /// Bit ${bit}.`,
      `    ${camel(`-${name}`)} = ${bit},`,
    ]),
    "}",
    "",
    "/// What a node has resources for.",
    "#[derive(Clone, Copy, Debug, PartialEq, Eq)]",
    "pub enum Kind {",
    ...resource.flatMap(({ name, path }) => [`    /// \`/${path}\`.`, `    ${camel(name)},`]),
    "}",
    "",
    "/// A resource, or as many as there are names for it.",
    "#[derive(Clone, Copy, Debug)]",
    "pub struct Resource {",
    "    /// Which it is.",
    "    pub kind: Kind,",
    "    /// Segments of its path, before the name where it has one.",
    "    pub path: &'static [&'static str],",
    "    /// Whether a name follows.",
    "    pub named: bool,",
    "    /// What it can be asked.",
    "    pub methods: &'static [Code],",
    "    /// What each method needs; one that is not among them is refused.",
    "    pub rights: &'static [(Code, Right)],",
    "    /// Formats of the answer to a GET, the default first.",
    "    pub formats: &'static [u16],",
    "    /// Whether it can be observed (RFC 7641).",
    "    pub observe: bool,",
    "    /// Resource type (RFC 6690 §3.1).",
    "    pub rt: &'static str,",
    "    /// Interface (RFC 6690 §3.2).",
    "    pub interface: &'static str,",
    "}",
    "",
    "/// All resources.",
    `pub const RESOURCES: [Resource; ${resource.length}] = [`,
    ...resource.flatMap((one) => {
      const segments = one.path.split("/").filter((part) => part !== "*" && part !== "{name}");
      return [
        "    Resource {",
        `        kind: Kind::${camel(one.name)},`,
        `        path: &[${segments.map((part) => `"${part}"`).join(", ")}],`,
        `        named: ${one.path.endsWith("{name}")},`,
        `        methods: &[${one.methods.map((method) => `Code::${method.toUpperCase()}`).join(", ")}],`,
        `        rights: &[${Object.entries(one.rights)
          .map(([method, right]) => `(Code::${method.toUpperCase()}, Right::${camel(`-${right}`)})`)
          .join(", ")}],`,
        `        formats: &[${(one.formats ?? []).map((name) => `format::${name.replace("+", "_").toUpperCase()}`).join(", ")}],`,
        `        observe: ${one.observe ?? false},`,
        `        rt: "${one.rt}",`,
        `        interface: "${one.interface}",`,
        "    },",
      ];
    }),
    "];",
    "",
  ];
}

function rustRefusals({ refusal }: Contract): string[] {
  return [
    "/// Why a package is refused.",
    "#[derive(Clone, Copy, Debug, PartialEq, Eq)]",
    "pub enum Refusal {",
    ...refusal.flatMap(({ name, code }) => [`    /// ${code}.`, `    ${camel(name)},`]),
    "}",
    "",
    "impl Refusal {",
    "    /// Its name and the code of the answer.",
    "    pub fn wire(self) -> (&'static str, Code) {",
    "        match self {",
    ...refusal.map(({ name, code }) => {
      const [kind, detail] = code.split(".").map(Number) as [number, number];
      return `            Self::${camel(name)} => ("${name}", Code(${kind * 32 + detail})),`;
    }),
    "        }",
    "    }",
    "}",
    "",
  ];
}

function rust(contract: Contract): string {
  const { version, module } = contract;
  const key = (name: string) => `Key \`${name}\`.`;
  return [
    `//! The contract between host, node and modules. ${marker}`,
    "use wasmote_coap::{Code, format};",
    "use wasmote_engine::ValType;",
    "",
    "/// The version of the contract.",
    `pub const VERSION: u32 = ${version};`,
    "/// The module that modules import from.",
    `pub const IMPORT_MODULE: &str = "${module.import_module}";`,
    "/// The custom section with a module's facts.",
    `pub const CUSTOM_SECTION: &str = "${module.custom_section}";`,
    "",
    ...rustImports(contract),
    ...rustModule("section", "Keys of the map in the custom section.", "u8", contract.section, key),
    ...rustModule(
      "manifest",
      "Keys of the map in a package's manifest.",
      "u8",
      contract.manifest,
      key,
    ),
    ...rustModule(
      "provision",
      "Keys of the map in a provisioning record.",
      "u8",
      contract.provision,
      key,
    ),
    ...rustModule("ty", "Types of values in a module's memory.", "&str", contract.type),
    ...rustModule("limits", "Limits that both sides must know.", "u32", contract.limits),
    ...rustModule(
      "flash",
      "Where things are in flash, in bytes from its start; `START` is its address.",
      "u32",
      contract.flash,
    ),
    ...rustDocuments(contract),
    ...rustTexts(contract),
    ...rustResources(contract),
    ...rustRefusals(contract),
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const write = (files: Record<string, string>) => {
    for (const [path, text] of Object.entries(files)) writeFileSync(new URL(path, root), text);
  };
  write(generate());
  write(await vectors());
}

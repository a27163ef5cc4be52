// `npm run gen`: writes what two languages must agree on from firmware/node/contract.toml, the one place where it is said.
//
// Output: host/lib/contract.ts, assembly/contract.ts and firmware/node/src/contract.rs. All are committed; test/sdk/sdk.test.ts
// fails when one is not what this script would write.
import { packageVectors } from "./vectors.ts";
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
  text: Record<string, TextRule>;
  document: Record<string, Record<string, string>>;
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
    "test/vectors/package.json": `${JSON.stringify(packageVectors(), null, 1)}\n`,
  };
}

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
    "/** What stands in a node's documents: a dot is a map in the map. */",
    constant("documentKeys", contract.document),
    constant("resources", contract.resource),
    "/** Why a package is refused, and the CoAP code that says so. */",
    constant(
      "refusals",
      Object.fromEntries(contract.refusal.map(({ name, code }) => [name, code])),
    ),
  ].join("\n");
}

function assemblyscript({ version, module }: Contract): string {
  const functions = module.import.map(
    ({ name, link, parameters, result, what }) =>
      `/** ${what} */\n// @ts-ignore: decorator\n@external("${module.import_module}", "${link}")\n` +
      `export declare function ${name}(${(parameters ?? []).map((type, index) => `${"abc"[index]}: ${type}`).join(", ")}): ${result ?? "void"};\n`,
  );
  return [
    `// What a node offers to a module, by its names in the contract. ${marker}\n`,
    `/** The version of the contract that these imports belong to. */\nexport const contractVersion: i32 = ${version};\n`,
    ...functions,
  ].join("\n");
}

function rust(contract: Contract): string {
  const { version, module, section, manifest, provision, resource, refusal, limits, text } =
    contract;
  const entries = Object.values(contract.document).flatMap((one) => Object.keys(one));
  const names = [...new Set(entries.map((entry) => entry.split(".").at(-1)!))].toSorted();
  const ranges = (list: string[]) =>
    list
      .map(points)
      .map(([from, to]) => `(0x${from.toString(16)}, 0x${to.toString(16)})`)
      .join(", ");
  const camel = (name: string) =>
    name.replaceAll(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const keys = (name: string, what: string, map: Record<string, number>) => [
    `/// ${what}`,
    `pub mod ${name} {`,
    ...Object.entries(map).flatMap(([key, value]) => [
      `    /// Key \`${key}\`.`,
      `    pub const ${key.toUpperCase()}: u8 = ${value};`,
    ]),
    "}",
  ];
  const types = (list: string[]) => list.map((type) => `ValType::${type.toUpperCase()}`).join(", ");
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
        `            "${link}" => (Self::${camel(name)}, &[${types(parameters ?? [])}], &[${types(result ? [result] : [])}]),`,
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
    ...keys("section", "Keys of the map in the custom section.", section),
    "",
    "/// Types of values in a module's memory.",
    "pub mod ty {",
    ...Object.entries(contract.type).flatMap(([name, letter]) => [
      `    /// \`${name}\`.`,
      `    pub const ${name.toUpperCase()}: &str = "${letter}";`,
    ]),
    "}",
    "",
    ...keys("manifest", "Keys of the map in a package's manifest.", manifest),
    "",
    ...keys("provision", "Keys of the map in a provisioning record.", provision),
    "",
    "/// Limits that both sides must know.",
    "pub mod limits {",
    ...Object.entries(limits).flatMap(([name, value]) => [
      `    /// \`${name}\`.`,
      `    pub const ${name.toUpperCase()}: u32 = ${value};`,
    ]),
    "}",
    "",
    "/// Names in documents.",
    "pub mod key {",
    ...names.flatMap((name) => [
      `    /// \`${name}\`.`,
      `    pub const ${name.toUpperCase()}: &str = "${name}";`,
    ]),
    "}",
    "",
    "/// What each document may have in it, a dot for a map in the map; and what that is.",
    "pub const DOCUMENTS: &[(&str, &[(&str, &str)])] = &[",
    ...Object.entries(contract.document).flatMap(([name, one]) => [
      `    ("${name}", &[`,
      ...Object.entries(one).map(([key, type]) => `        ("${key}", "${type}"),`),
      "    ]),",
    ]),
    "];",
    "",
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
    "/// What the holder of a security context may do, as a bit of its mask.",
    "#[derive(Clone, Copy, Debug, PartialEq, Eq)]",
    "#[repr(u8)]",
    "pub enum Right {",
    "    /// Needs no context.",
    "    Public = 0,",
    ...Object.entries(contract.rights).flatMap(([name, bit]) => [
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
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of Object.entries(generate())) writeFileSync(new URL(path, root), text);
}

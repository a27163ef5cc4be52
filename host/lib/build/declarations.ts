// Turns the declarations of a program into numbers and exports, between AssemblyScript's parser and its compiler.
//
// `sensor("level")` becomes `sensor(changetype<string>(0))`: the name turns into its number, and the name goes to the custom
// section. The handlers given to onSample, every and onRequest become functions, and a small entry file that exports
// `sample`, `tick` and `request` calls them. Nothing else of the program is touched, so its lines and columns stay.
import * as assemblyscript from "assemblyscript";
import type { Fault } from "../fault.ts";
import { noFacts, type Facts } from "./section.ts";

/** What the transform found out while it ran. */
export interface Declared {
  facts: Facts;
  faults: Fault[];
  /** The first byte of memory that the module's constants leave free. */
  heapBase: number;
  /** Where the program declares functions that it wants from its host, by name. */
  wanted: Map<string, Omit<Fault, "message">>;
}

const { Node } = assemblyscript;
// The package declares these as ambient const enums, which a single file cannot inline: they are read as the objects they are.
const { NodeKind, SourceKind } = assemblyscript as unknown as Record<
  "NodeKind" | "SourceKind",
  Record<string, number>
>;
const entryFile = "wasmote-entry.ts";
const requestBufferSize = 256;
/** The most sensors, outputs and parameters of a module, each (firmware/node/src/module.rs, NAMES). */
const mostNames = 16;
const names = { sensor: "sensors", output: "outputs", parameter: "parameters" } as const;

/**
 * The transform for one build: a class that asc makes one of, after it has put its own Binaryen into the prototype. A
 * `plain` program declares nothing.
 */
export function declarations(plain: boolean): { Hooks: new () => object; declared: Declared } {
  const declared: Declared = {
    facts: structuredClone(noFacts),
    faults: [],
    heapBase: 0,
    wanted: new Map(),
  };
  class Hooks {
    declare binaryen: unknown;
    afterParse(parser: assemblyscript.Parser) {
      // Only what is mentioned is compiled; the optimiser takes this out again.
      if (plain) parser.parseFile("__heap_base;", "wasmote-memory.ts", true);
      else collect(parser, declared);
    }
    afterCompile(module: unknown) {
      declared.heapBase = constant(module, this.binaryen);
    }
  }
  return { Hooks, declared };
}

function constant(module: unknown, binaryen: unknown): number {
  const { getGlobalInfo, getExpressionInfo } = binaryen as {
    getGlobalInfo: (this: void, global: number) => { init: number };
    getExpressionInfo: (this: void, expression: number) => { value: number };
  };
  const global = (module as { getGlobal(name: string): number }).getGlobal(
    "~lib/memory/__heap_base",
  );
  return global === 0 ? 0 : getExpressionInfo(getGlobalInfo(global).init).value;
}

function collect(parser: assemblyscript.Parser, { facts, faults, wanted }: Declared): void {
  const handlers: {
    kind: "sample" | "tick" | "request";
    name: string;
    file: string;
    sensor: number;
  }[] = [];

  const placeOf = (at: assemblyscript.Range) => {
    const line = at.source.lineAt(at.start);
    return { file: at.source.normalizedPath, line, column: at.source.columnAt() };
  };
  const fault = (at: assemblyscript.Range, message: string): undefined => {
    faults.push({ message, ...placeOf(at) });
  };
  /** Calls of the SDK's functions that became declarations: any other is a fault. */
  const used = new Set<assemblyscript.Node>();
  const text = (node: assemblyscript.Expression | undefined, what: string): string | undefined => {
    if (!node) return undefined;
    if (node.kind === NodeKind.Literal && "value" in node && typeof node.value === "string")
      return node.value;
    fault(node.range, `${what} must be a text in quotes`);
    return undefined;
  };
  const number = (node: assemblyscript.Expression | undefined, otherwise: number): number => {
    if (!node) return otherwise;
    const source = node.range.toString();
    const value = Number(source.replaceAll("_", ""));
    if (!Number.isFinite(Math.fround(value)))
      fault(node.range, "this must be written as a number: it is known before the program runs");
    return value;
  };
  /** What the SDK's functions are called in this file, by local name, and what the SDK itself is called. */
  const imported = (source: assemblyscript.Source) => {
    const functions = new Map<string, string>();
    const namespaces = new Set<string>();
    for (const statement of source.statements) {
      if (statement.kind !== NodeKind.Import) continue;
      const {
        path,
        declarations: list,
        namespaceName,
      } = statement as assemblyscript.ImportStatement;
      if (path.value !== "wasmote") continue;
      for (const { foreignName, name } of list ?? []) functions.set(name.text, foreignName.text);
      if (namespaceName) namespaces.add(namespaceName.text);
    }
    return { functions, namespaces };
  };

  /** `sensor(…)`, `output(…)` or `parameter(…)`: takes the name out and puts a number in. Gives the number. */
  const declare = (call: assemblyscript.CallExpression, kind: keyof typeof names): number => {
    const range = call.range;
    used.add(call);
    const name = text(call.args[0], `the name of ${kind === "output" ? "an" : "a"} ${kind}`);
    if (name === undefined) {
      if (call.args.length === 0) fault(range, `the name of the ${kind} is missing`);
      return 0;
    }
    if (!/^[a-z0-9][a-z0-9_-]{0,31}$/i.test(name)) {
      fault(range, `"${name}" is no name for a ${kind}: 1 to 32 letters, digits, - and _`);
    }
    const list = facts[names[kind]] as (string | { name: string })[];
    const known = list.findIndex((item) => (typeof item === "string" ? item : item.name) === name);
    if (known >= 0 && kind !== "sensor") fault(range, `the ${kind} "${name}" is declared twice`);
    const index = known >= 0 ? known : list.length;
    if (index === mostNames)
      fault(range, `a program has at most ${mostNames} ${names[kind]}: this is one too many`);
    if (known < 0 && kind === "sensor") facts.sensors.push(name);
    if (kind === "output") {
      const unit = call.args[1] ? (text(call.args[1], "a unit") ?? "") : "";
      if (!/^[a-z0-9%/*^.-]{0,16}$/i.test(unit))
        fault(range, `"${unit}" is no SenML unit (RFC 8428 §12.1), as in m, Cel, %RH, m3/s`);
      facts.outputs.push({ name, unit });
      if (call.args[1]) call.args[1] = asText(0, range);
    }
    if (kind === "parameter") {
      const [initial, minimum, maximum] = [
        number(call.args[1], 0),
        number(call.args[2], -3.4028234663852886e38),
        number(call.args[3], 3.4028234663852886e38),
      ];
      if (initial < minimum || initial > maximum)
        fault(range, `${initial} is not between ${minimum} and ${maximum}`);
      facts.parameters.push({ name, initial, minimum, maximum });
    }
    call.args[0] = asText(index, range);
    return index;
  };

  /** Makes a function at the top level of the handler written in a call. */
  const lift = (
    kind: "sample" | "tick" | "request",
    node: assemblyscript.Expression | undefined,
    sensor: number,
    at: assemblyscript.Range,
  ): assemblyscript.Statement | undefined => {
    if (node?.kind !== NodeKind.Function)
      return fault(node?.range ?? at, "the handler must be written here, as (…) => …");
    const { declaration } = node as assemblyscript.FunctionExpression;
    const { signature, range } = declaration;
    const name = `__${kind}${handlers.length}`;
    const file = at.source.internalPath;
    const types = { sample: ["f32"], tick: [], request: ["~Request"] }[kind];
    if (signature.parameters.length > types.length)
      return fault(range, `this handler takes ${types.length === 0 ? "nothing" : "one value"}`);
    // The handler may leave out what it does not need; the entry hands it over all the same.
    signature.parameters.forEach((parameter) => {
      const omitted = parameter.type.range.start === parameter.type.range.end;
      if (omitted && kind === "sample") parameter.type = typeNamed("f32", parameter.range);
      if (omitted && kind === "request") parameter.type = typeNamed("Request", parameter.range);
    });
    if (kind === "request") ensureImport(at.source, "Request");
    signature.returnType = typeNamed("void", signature.range);
    const body =
      declaration.body?.kind === NodeKind.Block
        ? declaration.body
        : Node.createBlockStatement(declaration.body ? [declaration.body] : [], range);
    handlers.push({ kind, name, file, sensor: signature.parameters.length > 0 ? sensor : ~sensor });
    return Node.createFunctionDeclaration(
      Node.createIdentifierExpression(name, range),
      null,
      2 /* CommonFlags.Export */,
      null,
      signature,
      body,
      0 /* ArrowKind.None */,
      range,
    );
  };

  const ensureImport = (source: assemblyscript.Source, name: string) => {
    if (imported(source).functions.has(name)) return;
    const statement = source.statements.find(
      (candidate): candidate is assemblyscript.ImportStatement =>
        candidate.kind === NodeKind.Import &&
        (candidate as assemblyscript.ImportStatement).path.value === "wasmote",
    );
    if (!statement) return;
    const { range } = statement;
    const identifier = Node.createIdentifierExpression(name, range);
    const added = Node.createImportDeclaration(identifier, null, range);
    if (statement.declarations) statement.declarations.push(added);
    else
      source.statements.unshift(
        Node.createImportStatement(
          [added],
          Node.createStringLiteralExpression("wasmote", range),
          range,
        ),
      );
  };

  const users = parser.sources.filter(
    ({ sourceKind, normalizedPath }) =>
      (sourceKind === SourceKind.User || sourceKind === SourceKind.UserEntry) &&
      !normalizedPath.startsWith("~lib/"),
  );
  for (const source of users) {
    const { functions, namespaces } = imported(source);
    const nameOf = (expression: assemblyscript.Expression): string | undefined => {
      if (expression.kind === NodeKind.Identifier)
        return functions.get((expression as assemblyscript.IdentifierExpression).text);
      if (expression.kind !== NodeKind.PropertyAccess) return undefined;
      const { expression: object, property } =
        expression as assemblyscript.PropertyAccessExpression;
      const known =
        object.kind === NodeKind.Identifier &&
        namespaces.has((object as assemblyscript.IdentifierExpression).text);
      return known ? property.text : undefined;
    };
    const called = (node: assemblyscript.Node | null | undefined) => {
      if (node?.kind !== NodeKind.Call) return undefined;
      const call = node as assemblyscript.CallExpression;
      const name = nameOf(call.expression);
      return name === undefined ? undefined : { call, name };
    };
    const sensors = new Map<string, number>();
    source.statements = source.statements.map((statement) => {
      if (statement.kind === NodeKind.Variable) {
        for (const { name, initializer } of (statement as assemblyscript.VariableStatement)
          .declarations) {
          const found = called(initializer);
          if (!found || !(found.name in names)) continue;
          const kind = found.name as keyof typeof names;
          const index = declare(found.call, kind);
          if (kind === "sensor") sensors.set(name.text, index);
        }
        return statement;
      }
      if (statement.kind !== NodeKind.Expression) return statement;
      const { expression } = statement as assemblyscript.ExpressionStatement;
      const found = called(expression);
      if (found?.name === "every") {
        const [period, handler] = found.call.args;
        used.add(found.call);
        if (facts.tick > 0)
          fault(expression.range, "a program has one period: every is here twice");
        facts.tick = number(period, 0);
        if (!Number.isInteger(facts.tick) || facts.tick < 1 || facts.tick > 0xffff_ffff)
          fault(expression.range, "the period is a whole number of milliseconds, at least 1");
        return lift("tick", handler, 0, expression.range) ?? statement;
      }
      if (found?.name === "onRequest") {
        used.add(found.call);
        if (facts.buffer > 0) fault(expression.range, "a program has one request handler");
        facts.buffer = requestBufferSize;
        return lift("request", found.call.args[0], 0, expression.range) ?? statement;
      }
      if (expression.kind !== NodeKind.Call) return statement;
      const { expression: target, args } = expression as assemblyscript.CallExpression;
      if (target.kind !== NodeKind.PropertyAccess) return statement;
      const { expression: object, property } = target as assemblyscript.PropertyAccessExpression;
      if (property.text !== "onSample") return statement;
      const direct = called(object);
      if (direct?.name === "sensor") {
        used.add(direct.call);
        fault(expression.range, 'declare the sensor first: const level = sensor("level");');
      }
      if (object.kind !== NodeKind.Identifier) return statement;
      used.add(expression);
      const sensor = sensors.get((object as assemblyscript.IdentifierExpression).text);
      if (sensor === undefined) {
        fault(expression.range, "onSample belongs to a sensor declared above in this file");
        return statement;
      }
      return lift("sample", args[0], sensor, expression.range) ?? statement;
    });
    // What stands anywhere else would compile, and do nothing of what it says.
    walk(source.statements, (node) => {
      const found = called(node);
      if (found && !used.has(found.call) && found.name in forms)
        fault(
          node.range,
          `${found.name} stands at the top level of the program: ${forms[found.name]}`,
        );
      if (node.kind === NodeKind.Call && !used.has(node)) {
        const { expression } = node as assemblyscript.CallExpression;
        if (expression.kind !== NodeKind.PropertyAccess) return;
        const { expression: object, property } =
          expression as assemblyscript.PropertyAccessExpression;
        const ours =
          object.kind === NodeKind.Identifier &&
          sensors.has((object as assemblyscript.IdentifierExpression).text);
        if (ours && property.text === "onSample")
          fault(
            node.range,
            `onSample stands at the top level of the program: ${forms["onSample"]}`,
          );
      }
      const { flags, name } = node as assemblyscript.FunctionDeclaration;
      if (node.kind === NodeKind.FunctionDeclaration && (flags & ambient) !== 0)
        wanted.set(name.text, placeOf(node.range));
    });
  }

  // The entry file: it alone exports, and what the program's own files export stays inside the module.
  for (const source of users) source.sourceKind = SourceKind.User ?? 0;
  const files = [...new Set(users.map(({ internalPath }) => internalPath))];
  const lines = [
    ...files.map((file) => `import "./${file}";`),
    ...handlers.map(({ name, file }) => `import { ${name} } from "./${file}";`),
  ];
  const call = ({ name, sensor }: { name: string; sensor: number }, argument: string) =>
    `${name}(${sensor < 0 ? "" : argument})`;
  const of = (kind: string) => handlers.filter((handler) => handler.kind === kind);
  const samples = of("sample");
  if (samples.length > 0) {
    lines.push("export function sample(sensor: i32, value: f32): void {");
    for (const handler of samples) {
      const number_ = handler.sensor < 0 ? ~handler.sensor : handler.sensor;
      const test = facts.sensors.length > 1 ? `if (sensor === ${number_}) ` : "";
      lines.push(`  ${test}${call(handler, "value")};`);
    }
    lines.push("}");
  }
  for (const handler of of("tick"))
    lines.push(`export function tick(): void { ${handler.name}(); }`);
  for (const handler of of("request")) {
    lines.unshift(`import { __request, __requestBuffer } from "wasmote";`);
    lines.push(
      `export function request(method: i32, path: i32, payload: i32): void { const request = __request(method, path, payload); ${call(handler, "request")}; }`,
      "export const buffer: i32 = __requestBuffer();",
    );
  }
  parser.parseFile(lines.join("\n"), entryFile, true);
}

/** How each declaration is written. */
const forms: Record<string, string> = {
  sensor: 'const level = sensor("level");',
  output: 'const flow = output("flow", "m3/s");',
  parameter: 'const limit = parameter("limit", 200);',
  every: "every(1000, () => { … });",
  onRequest: "onRequest((request) => { … });",
  onSample: "level.onSample((value) => { … });",
};

/** CommonFlags.Ambient: declared here, defined by the host. */
const ambient = 1 << 15;

/** Visits nodes, and all below them. */
function walk(nodes: readonly unknown[], visit: (node: assemblyscript.Node) => void): void {
  for (const node of nodes) {
    if (Array.isArray(node)) walk(node, visit);
    else if (typeof node === "object" && node !== null && "kind" in node && "range" in node) {
      visit(node as assemblyscript.Node);
      walk(Object.values(node), visit);
    }
  }
}

/** `changetype<string>(index)` */
function asText(index: number, range: assemblyscript.Range): assemblyscript.Expression {
  return Node.createCallExpression(
    Node.createIdentifierExpression("changetype", range),
    [typeNamed("string", range)],
    [Node.createIntegerLiteralExpression(integer(index), range)],
    range,
  );
}

function typeNamed(name: string, range: assemblyscript.Range): assemblyscript.NamedTypeNode {
  return Node.createNamedType(Node.createSimpleTypeName(name, range), null, false, range);
}

type Int64 = Parameters<typeof Node.createIntegerLiteralExpression>[0];

/** A 64-bit integer as the compiler holds it. */
function integer(value: number): Int64 {
  return (globalThis as unknown as { i64_new(low: number, high?: number): Int64 }).i64_new(value);
}

// Turns the declarations of a program into numbers and exports, between AssemblyScript's parser and its compiler.
//
// `sensor("level")` becomes `sensor(changetype<string>(0))`: the name turns into its number, and the name goes to the custom
// section. The handlers given to onSample, every and onRequest become functions (handlers.ts), which a small entry file calls
// (entry.ts). Texts in `log` and in replies are taken apart (text.ts). Nothing else of the program is touched, so its lines and
// columns stay.
import type * as assemblyscript from "assemblyscript";
import { limits } from "../../contract.ts";
import { oneLine } from "../../text.ts";
import { noFacts } from "../section.ts";
import { entrySource } from "./entry.ts";
import type { Declared, Place, UserFile } from "./declared.ts";
import { ensureImport, takeHandler } from "./handlers.ts";
import {
  ambient,
  asText,
  constant,
  literalText,
  named,
  Node,
  NodeKind,
  SourceKind,
  walk,
  whole,
} from "./nodes.ts";
import { outputType, statesFile, statesSource, takeState } from "./states.ts";
import { takeTexts } from "./text.ts";

const requestBufferSize = limits.request_buffer;
const mostNames = limits.names;
/** How exact timers are, in milliseconds, and the most of them (assembly/index.ts, timers). */
const timerPeriod = 100;
const mostTimers = 16;
/** The shortest time between runs that several periods may need together, in milliseconds. */
const leastPeriod = 10;
const names = {
  sensor: "sensors",
  output: "outputs",
  parameter: "parameters",
  state: "states",
} as const;
type Kind = keyof typeof names;
const article = (kind: Kind) => (kind === "output" ? "an" : "a");

/** How each declaration is written. */
const forms: Record<string, string> = {
  sensor: 'const level = sensor("level");',
  output: 'const flow = output("flow", "m3/s");',
  parameter: 'const limit = parameter("limit", 200);',
  state: 'const total = state("total", 0);',
  every: "every(1000, () => { … });",
  timer: "const close = timer(() => { … });",
  onRequest: "onRequest((request) => { … });",
  onSample: "level.onSample((value) => { … });",
};

export function nothingDeclared(): Declared {
  return {
    facts: structuredClone(noFacts),
    faults: [],
    handlers: [],
    states: [],
    outputs: new Set(),
    texts: new Set(),
    paths: new Set(),
    wanted: new Map(),
    functions: new Map(),
  };
}

/** Takes the declarations out of all of the program's sources, and adds the entry file. */
export function takeDeclarations(
  parser: assemblyscript.Parser,
  declared: Declared,
  collects: boolean,
): void {
  const users = parser.sources.filter(
    ({ sourceKind, normalizedPath }) =>
      (sourceKind === SourceKind["User"] || sourceKind === SourceKind["UserEntry"]) &&
      !normalizedPath.startsWith("~lib/"),
  );
  for (const source of users) new SourceFile(source, declared).take();
  takePeriod(declared);
  keepPublished(users, declared.outputs);
  // The entry file: only it exports, and what the program's own files export stays inside the module.
  for (const source of users) source.sourceKind = SourceKind["User"] ?? 0;
  const files = [...new Set(users.map(({ internalPath }) => internalPath))];
  if (declared.states.length > 0)
    parser.parseFile(statesSource(declared.states), `${statesFile}.ts`, true);
  parser.parseFile(entrySource(files, declared, collects), "wasmote-entry.ts", true);
}

/** The module's period: the greatest common divisor of all periods, and of how exact timers are. */
function takePeriod({ facts, handlers }: Declared): void {
  const periods = handlers.flatMap(({ kind, number }) => (kind === "tick" ? [number] : []));
  if (handlers.some(({ kind }) => kind === "timer")) periods.push(timerPeriod);
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  facts.tick = periods.reduce(divisor, 0);
}

/** Where the program reads what an output published, what outputs publish is kept. */
function keepPublished(users: assemblyscript.Source[], outputs: ReadonlySet<string>): void {
  const properties: assemblyscript.IdentifierExpression[] = [];
  for (const { statements } of users)
    walk(statements, (node) => {
      if (node.kind !== NodeKind["PropertyAccess"]) return;
      const { expression, property } = node as assemblyscript.PropertyAccessExpression;
      if (expression.kind !== NodeKind["Identifier"]) return;
      if (outputs.has((expression as assemblyscript.IdentifierExpression).text))
        properties.push(property);
    });
  if (!properties.some(({ text }) => text === "value")) return;
  for (const property of properties) if (property.text === "publish") property.text = "__publish";
}

/** One of the program's files while its declarations are taken out. */
class SourceFile implements UserFile {
  /** What the SDK's functions are called in this file, by local name, and what the SDK itself is called. */
  readonly functions = new Map<string, string>();
  readonly #namespaces = new Set<string>();
  /** Calls of the SDK's functions that became declarations: any other is a fault. */
  readonly #used = new Set<assemblyscript.Node>();
  /** The program's sensors by the names of their variables. */
  readonly #sensors = new Map<string, number>();

  readonly source: assemblyscript.Source;
  readonly declared: Declared;

  constructor(source: assemblyscript.Source, declared: Declared) {
    this.source = source;
    this.declared = declared;
    for (const statement of source.statements) {
      if (statement.kind !== NodeKind["Import"]) continue;
      const { path, declarations, namespaceName } = statement as assemblyscript.ImportStatement;
      if (path.value !== "wasmote") continue;
      for (const { foreignName, name } of declarations ?? [])
        this.functions.set(name.text, foreignName.text);
      if (namespaceName) this.#namespaces.add(namespaceName.text);
    }
  }

  take(): void {
    const { source } = this;
    this.#placeFunctions();
    source.statements = source.statements.flatMap((statement) => {
      if (statement.kind === NodeKind["Variable"])
        return [statement, ...this.#variables(statement as assemblyscript.VariableStatement)];
      if (statement.kind !== NodeKind["Expression"]) return [statement];
      const { expression } = statement as assemblyscript.ExpressionStatement;
      return [this.#handler(expression) ?? statement];
    });
    this.#misplaced();
    takeTexts(this);
  }

  placeOf(at: assemblyscript.Range): Place {
    const line = at.source.lineAt(at.start);
    return { file: at.source.normalizedPath, line, column: at.source.columnAt() };
  }

  fault(at: assemblyscript.Range, message: string): undefined {
    // A message may quote the program, and stays on its line.
    this.declared.faults.push({ message: oneLine(message), ...this.placeOf(at) });
  }

  /** A call of one of the SDK's functions, with the SDK's name of it. */
  called(
    node: assemblyscript.Node | null | undefined,
  ): { call: assemblyscript.CallExpression; name: string } | undefined {
    if (node?.kind !== NodeKind["Call"]) return undefined;
    const call = node as assemblyscript.CallExpression;
    const name = this.#nameOf(call.expression);
    return name === undefined ? undefined : { call, name };
  }

  #nameOf(expression: assemblyscript.Expression): string | undefined {
    if (expression.kind === NodeKind["Identifier"])
      return this.functions.get((expression as assemblyscript.IdentifierExpression).text);
    if (expression.kind !== NodeKind["PropertyAccess"]) return undefined;
    const { expression: object, property } = expression as assemblyscript.PropertyAccessExpression;
    const known =
      object.kind === NodeKind["Identifier"] &&
      this.#namespaces.has((object as assemblyscript.IdentifierExpression).text);
    return known ? property.text : undefined;
  }

  /** Where functions are declared, by the compiler's names: `main/f`, `main/Class#method`. */
  #placeFunctions(): void {
    const file = this.source.internalPath;
    const kinds = [NodeKind["FunctionDeclaration"], NodeKind["MethodDeclaration"]];
    walk(this.source.statements, (node, above) => {
      if (!kinds.includes(node.kind)) return;
      const { name, range, flags } = node as assemblyscript.FunctionDeclaration;
      const owner = above.find(({ kind }) => kind === NodeKind["ClassDeclaration"]);
      const prefix =
        node.kind === NodeKind["MethodDeclaration"] && owner
          ? // CommonFlags.Static
            `${(owner as assemblyscript.ClassDeclaration).name.text}${flags & 32 ? "." : "#"}`
          : "";
      this.declared.functions.set(`${file}/${prefix}${name.text}`, this.placeOf(range));
    });
  }

  /** Takes what variables declare; gives the handlers of timers. */
  #variables({ declarations }: assemblyscript.VariableStatement): assemblyscript.Statement[] {
    const made: assemblyscript.Statement[] = [];
    for (const { name, initializer } of declarations) {
      const found = this.called(initializer);
      if (found?.name === "timer") made.push(...this.#timer(found.call));
      if (!found || !(found.name in names)) continue;
      const kind = found.name as Kind;
      const index = this.#declare(found.call, kind);
      if (kind === "sensor") this.#sensors.set(name.text, index);
      if (kind !== "output") continue;
      const { type } = this.declared.facts.outputs[index] ?? {};
      if (type === undefined) this.declared.outputs.add(name.text);
      if (type === "text") this.declared.texts.add(name.text);
    }
    return made;
  }

  /** `timer(…)`: takes the handler out, and puts a number in. */
  #timer(call: assemblyscript.CallExpression): assemblyscript.Statement[] {
    this.#used.add(call);
    const { args, range } = call;
    const index = this.declared.handlers.filter(({ kind }) => kind === "timer").length;
    if (index === mostTimers)
      this.fault(range, `a program has at most ${mostTimers} timers: this is one too many`);
    const handler = takeHandler(this, "timer", args[0], index, range);
    ensureImport(this, "__timer", "__timer$");
    call.expression = named("__timer$", range);
    call.args = [whole(index, range)];
    return handler ? [handler] : [];
  }

  /** `sensor(…)`, `output(…)`, `parameter(…)` or `state(…)`: takes the name out and puts a number in. Gives the number. */
  #declare(call: assemblyscript.CallExpression, kind: Kind): number {
    const { range } = call;
    const { facts } = this.declared;
    this.#used.add(call);
    const name = this.#text(call.args[0], `the name of ${article(kind)} ${kind}`);
    if (name === undefined) {
      if (call.args.length === 0) this.fault(range, `the name of the ${kind} is missing`);
      return 0;
    }
    if (!/^[a-z0-9][a-z0-9_-]{0,31}$/i.test(name))
      this.fault(
        range,
        `"${name}" is not a name for ${article(kind)} ${kind}: 1 to 32 letters, digits, - and _`,
      );
    const list = facts[names[kind]] as (string | { name: string })[];
    const known = list.findIndex((item) => (typeof item === "string" ? item : item.name) === name);
    if (known >= 0 && kind !== "sensor")
      this.fault(range, `the ${kind} "${name}" is declared twice`);
    const index = known >= 0 ? known : list.length;
    if (index === mostNames)
      this.fault(range, `a program has at most ${mostNames} ${names[kind]}: this is one too many`);
    if (known < 0 && kind === "sensor") facts.sensors.push(name);
    if (kind === "output") this.#output(call, name);
    if (kind === "parameter") this.#parameter(call, name);
    if (kind === "state") takeState(this, call, name);
    else call.args[0] = asText(index, range);
    return index;
  }

  #output(call: assemblyscript.CallExpression, name: string): void {
    const { args, range } = call;
    const unit = args[1] ? (this.#text(args[1], "a unit") ?? "") : "";
    if (!/^[a-z0-9%/*^.-]{0,16}$/i.test(unit))
      this.fault(range, `"${unit}" is no SenML unit (RFC 8428 §12.1), as in m, Cel, %RH, m3/s`);
    const type = outputType(this, call);
    const { outputs } = this.declared.facts;
    const most = limits.typed_outputs;
    if (type !== undefined && outputs.filter((one) => one.type !== undefined).length === most)
      this.fault(range, `a program has at most ${most} outputs with a type: this is one too many`);
    outputs.push({ name, unit, ...(type === undefined ? {} : { type }) });
    if (args[1]) args[1] = asText(0, range);
  }

  #parameter({ args, range }: assemblyscript.CallExpression, name: string): void {
    const [initial, minimum, maximum] = [
      this.number(args[1], 0),
      this.number(args[2], -3.4028234663852886e38),
      this.number(args[3], 3.4028234663852886e38),
    ];
    if (initial < minimum || initial > maximum)
      this.fault(range, `${initial} is not between ${minimum} and ${maximum}`);
    this.declared.facts.parameters.push({ name, initial, minimum, maximum });
    [initial, minimum, maximum].forEach((value, index) => {
      const written = args[index + 1];
      if (written) args[index + 1] = Node.createFloatLiteralExpression(value, written.range);
    });
  }

  #text(node: assemblyscript.Expression | undefined, what: string): string | undefined {
    if (!node) return undefined;
    const found = literalText(node);
    if (found === undefined) this.fault(node.range, `${what} must be a text in quotes`);
    return found;
  }

  /** A number that is known before the program runs. */
  number(node: assemblyscript.Expression | undefined, otherwise: number): number {
    if (!node) return otherwise;
    const value = constant(node, this.source);
    if (!Number.isFinite(Math.fround(value)))
      this.fault(
        node.range,
        "this must be a number that is known before the program runs: digits, const names, + - * /",
      );
    return value;
  }

  /** `every(…)`, `onRequest(…)` or `….onSample(…)` at the top level: the function it becomes. */
  #handler(expression: assemblyscript.Expression): assemblyscript.Statement | undefined {
    const { facts, handlers } = this.declared;
    const { range } = expression;
    const found = this.called(expression);
    if (found?.name === "every") {
      const [period, handler] = found.call.args;
      this.#used.add(found.call);
      const milliseconds = this.number(period, 0);
      if (!Number.isInteger(milliseconds) || milliseconds < 1 || milliseconds > 0xffff_ffff)
        return this.fault(
          range,
          "the period is a whole number of milliseconds, from 1 to 4294967295",
        );
      const taken = takeHandler(this, "tick", handler, milliseconds, range);
      takePeriod(this.declared);
      if (taken && facts.tick < Math.min(leastPeriod, milliseconds))
        this.fault(
          range,
          `with the other periods the module would be woken every ${facts.tick} ms: choose a multiple of one of them`,
        );
      return taken;
    }
    if (found?.name === "onRequest") {
      this.#used.add(found.call);
      if (handlers.some(({ kind }) => kind === "request"))
        this.fault(range, "a program has one request handler");
      facts.buffer = requestBufferSize;
      return takeHandler(this, "request", found.call.args[0], 0, range);
    }
    if (expression.kind !== NodeKind["Call"]) return undefined;
    const { expression: target, args } = expression as assemblyscript.CallExpression;
    if (target.kind !== NodeKind["PropertyAccess"]) return undefined;
    const { expression: object, property } = target as assemblyscript.PropertyAccessExpression;
    if (property.text !== "onSample") return undefined;
    const direct = this.called(object);
    if (direct?.name === "sensor") {
      this.#used.add(direct.call);
      this.fault(range, 'declare the sensor first: const level = sensor("level");');
    }
    if (object.kind !== NodeKind["Identifier"]) return undefined;
    this.#used.add(expression);
    const sensor = this.#sensors.get((object as assemblyscript.IdentifierExpression).text);
    if (sensor === undefined)
      return this.fault(range, "onSample belongs to a sensor declared above in this file");
    return takeHandler(this, "sample", args[0], sensor, range);
  }

  /** What stands anywhere else would compile, and do nothing of what it says. */
  #misplaced(): void {
    walk(this.source.statements, (node) => {
      const found = this.called(node);
      if (found && !this.#used.has(found.call) && found.name in forms)
        this.fault(
          node.range,
          `${found.name} stands at the top level of the program: ${forms[found.name]}`,
        );
      if (node.kind === NodeKind["Call"] && !this.#used.has(node)) {
        const { expression } = node as assemblyscript.CallExpression;
        if (expression.kind !== NodeKind["PropertyAccess"]) return;
        const { expression: object, property } =
          expression as assemblyscript.PropertyAccessExpression;
        const ours =
          object.kind === NodeKind["Identifier"] &&
          this.#sensors.has((object as assemblyscript.IdentifierExpression).text);
        if (ours && property.text === "onSample")
          this.fault(
            node.range,
            `onSample stands at the top level of the program: ${forms["onSample"]}`,
          );
      }
      const { flags, name } = node as assemblyscript.FunctionDeclaration;
      if (node.kind === NodeKind["FunctionDeclaration"] && (flags & ambient) !== 0)
        this.declared.wanted.set(name.text, this.placeOf(node.range));
    });
  }
}

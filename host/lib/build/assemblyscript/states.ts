// `state(…)`: what a program keeps becomes bytes in the module's data. Where they lie is read from what the compiler made, and
// stands in the custom section: in the module it costs nothing.
import type * as assemblyscript from "assemblyscript";
import { limits } from "../../contract.ts";
import { layouts, placed, type FieldFact, type OutputType, type TypeName } from "../section.ts";
import type { UserFile } from "./declared.ts";
import { ensureImport } from "./handlers.ts";
import { literalText, named, NodeKind, typeNamed } from "./nodes.ts";

/** The file that {@link statesSource} becomes, and what its constants are called, before their number. */
export const statesFile = "wasmote-states";
export const stateName = "__state";
/** The words that the compiler keeps before an object: class and length are the last two. */
const header = 16;
/** CommonFlags.Static */
const isStatic = 32;

interface Shape {
  fields: FieldFact[];
  values: number[];
  /** The type that the program works with. */
  type: string;
  record: boolean;
}

/** Turns a declaration into a value at a place of its own. */
export function takeState(file: UserFile, call: assemblyscript.CallExpression, name: string): void {
  const { range, args } = call;
  const [, initial, ...more] = args;
  if (initial === undefined || more.length > 0) {
    file.fault(range, 'a state has a name and what it begins with: state("total", 0)');
    return;
  }
  const shape = shapeOf(file, call, initial);
  if (shape === undefined) return;
  const { states } = file.declared.facts;
  const number = states.length;
  states.push({ name, at: 0, fields: shape.fields });
  const all = states.reduce((sum, { fields }) => sum + placed(fields).size, 0);
  if (all > limits.state_bytes)
    file.fault(range, `states take at most ${limits.state_bytes} bytes together: these are ${all}`);
  file.declared.states.push(bytesOf(shape));
  // Not through a function: what one returns is no constant, and would be a global in the module.
  ensureImport(file, "State", "State$");
  call.expression = named("changetype", range);
  call.typeArguments = [typeNamed("State$", range, [typeNamed(shape.type, range)])];
  call.args = [named(`${stateName}${number}`, range)];
}

/** What is kept: a number of the type that is written, or a record by its class. */
function shapeOf(
  file: UserFile,
  call: assemblyscript.CallExpression,
  initial: assemblyscript.Expression,
): Shape | undefined {
  if (initial.kind === NodeKind["New"])
    return recordOf(file, initial as assemblyscript.NewExpression);
  const [written] = call.typeArguments ?? [];
  const type = written === undefined ? "f64" : typeName(written);
  if (type === undefined)
    return file.fault(call.range, `a state is one of ${names}, or a record: new and a class`);
  const value = valueOf(file, initial, type);
  return { fields: [{ name: "", type }], values: [value], type, record: false };
}

const names = Object.keys(layouts).join(", ");

function recordOf(
  file: UserFile,
  { typeName: { identifier, next }, args, range }: assemblyscript.NewExpression,
): Shape | undefined {
  const found = classOf(file, identifier.text);
  if (found === undefined || next !== null || args.length > 0)
    return file.fault(range, "a record is written as new and a class of this file: new Day()");
  return shapeOfClass(file, found);
}

/** A class of a file by its name. */
function classOf(file: UserFile, name: string): assemblyscript.ClassDeclaration | undefined {
  return file.source.statements.find(
    (one): one is assemblyscript.ClassDeclaration =>
      one.kind === NodeKind["ClassDeclaration"] &&
      (one as assemblyscript.ClassDeclaration).name.text === name,
  );
}

/** What an output takes, by the type that is written: `output<string>("state")`, `output<i32>("count")`, `output<Day>("day")`. */
export function outputType(
  file: UserFile,
  call: assemblyscript.CallExpression,
): OutputType | undefined {
  const [written] = call.typeArguments ?? [];
  if (written === undefined) return undefined;
  const clear =
    written.kind === NodeKind["NamedType"]
      ? (written as assemblyscript.NamedTypeNode).name.identifier.text
      : "";
  if (clear === "string") return "text";
  const type = typeName(written);
  if (type !== undefined) return type === "f32" ? undefined : [{ name: "", type }];
  const found = classOf(file, clear);
  if (found === undefined)
    return file.fault(
      written.range,
      `an output takes string, one of ${names}, or a class of this file whose fields are of these`,
    );
  const fields = shapeOfClass(file, found)?.fields;
  const size = fields === undefined ? 0 : placed(fields).size;
  const most = limits.output_bytes;
  if (size > most)
    return file.fault(
      written.range,
      `a record of an output takes at most ${most} bytes: this is ${size}`,
    );
  return fields;
}

function shapeOfClass(file: UserFile, found: assemblyscript.ClassDeclaration): Shape | undefined {
  if (found.extendsType !== null || (found.typeParameters ?? []).length > 0)
    return file.fault(found.name.range, "the class of a record extends none and has no parameters");
  const fields: FieldFact[] = [];
  const values: number[] = [];
  for (const member of found.members) {
    if (member.kind === NodeKind["MethodDeclaration"]) {
      if ((member as assemblyscript.MethodDeclaration).name.text === "constructor")
        return file.fault(
          member.range,
          "the class of a record has no constructor: its fields say what they begin with",
        );
      continue;
    }
    const field = member as assemblyscript.FieldDeclaration;
    if (member.kind !== NodeKind["FieldDeclaration"] || (field.flags & isStatic) !== 0) continue;
    const type = field.type ? typeName(field.type) : undefined;
    if (type === undefined)
      return file.fault(
        field.range,
        `a field of a record is one of ${names}, written: rain: f32 = 0`,
      );
    if (!/^[a-z0-9][a-z0-9_-]{0,31}$/i.test(field.name.text))
      return file.fault(
        field.range,
        `"${field.name.text}" is not a name that the operator can read`,
      );
    fields.push({ name: field.name.text, type });
    values.push(field.initializer ? valueOf(file, field.initializer, type) : 0);
  }
  const most = limits.state_fields;
  if (fields.length === 0 || fields.length > most)
    return file.fault(
      found.name.range,
      `a record has 1 to ${most} fields: this has ${fields.length}`,
    );
  return { fields, values, type: found.name.text, record: true };
}

/** One of the types, by the name that AssemblyScript has for it. */
function typeName(type: assemblyscript.TypeNode): TypeName | undefined {
  if (type.kind !== NodeKind["NamedType"] || type.isNullable) return undefined;
  const { name } = type as assemblyscript.NamedTypeNode;
  const { text } = name.identifier;
  const clear = { number: "f64", boolean: "bool" }[text] ?? text;
  return name.next === null && clear in layouts ? (clear as TypeName) : undefined;
}

function valueOf(file: UserFile, node: assemblyscript.Expression, type: TypeName): number {
  if (type === "bool") {
    if (node.kind === NodeKind["True"] || node.kind === NodeKind["False"])
      return node.kind === NodeKind["True"] ? 1 : 0;
    file.fault(node.range, "this must be true or false");
    return 0;
  }
  if (literalText(node) !== undefined) {
    file.fault(node.range, "a text is not kept: a state is a number, or a record of numbers");
    return 0;
  }
  const value = file.number(node, 0);
  if (!type.startsWith("f") && !Number.isSafeInteger(value))
    file.fault(node.range, `this must be a whole number, as it is of type ${type}`);
  return Number.isSafeInteger(value) || (type.startsWith("f") && Number.isFinite(value))
    ? value
    : 0;
}

/** Where all states lie, as source: constants with their initial bytes, which the compiler exports to the build. */
export function statesSource(states: readonly Uint8Array[]): string {
  return states
    .map((bytes, index) => {
      const skip = bytes.length > header ? ` + ${header}` : "";
      const data = `memory.data<u8>([${bytes.join(", ")}], 16)${skip}`;
      return `// @ts-ignore: decorator\n@global export const ${stateName}${index}: usize = ${data};`;
    })
    .join("\n");
}

/** The initial bytes, of an object behind a header. */
function bytesOf({ fields, values, record }: Shape): Uint8Array {
  const { places, size } = placed(fields);
  const before = record ? header : 0;
  const view = new DataView(new ArrayBuffer(before + Math.ceil(size / 8) * 8));
  if (record) view.setUint32(header - 4, size, true);
  for (const [index, { type }] of fields.entries())
    layouts[type].write(view, before + places[index]!, values[index]!);
  return new Uint8Array(view.buffer);
}

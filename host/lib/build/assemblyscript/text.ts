// Takes texts in `log(…)` and in replies apart, so that they are put together without allocating (assembly/text.ts).
import type * as assemblyscript from "assemblyscript";
import { operatorTokenToString } from "assemblyscript";
import type { UserFile } from "./declared.ts";
import { ensureImport } from "./handlers.ts";
import {
  bare,
  call,
  literalText,
  LiteralKind,
  named,
  Node,
  NodeKind,
  rewrite,
  typeNamed,
  walk,
  whole,
  type Expression,
  type Range,
} from "./nodes.ts";

/** The methods of a request that take a text, with the argument that it is. */
const replies: Record<string, number> = { reply: 1 };

/** Rewrites what logs and replies in a file. */
export function takeTexts(file: UserFile): void {
  rewrite(file.source.statements, (node) => {
    const found = file.called(node);
    const [text, ...level] = found?.call.args ?? [];
    if (found?.name !== "log" || level.length > 1 || text === undefined)
      return published(file, node);
    if (!isText(file, text)) return node;
    const made = chain(file, begin(file, text.range), text);
    // With a level it is another import, which only those modules have that use it.
    return use(file, level.length > 0 ? "__note" : "__log", [made, ...level], node.range);
  });
  // Requests are known by the type of a parameter.
  const functions = [NodeKind["FunctionDeclaration"], NodeKind["MethodDeclaration"]];
  walk([...file.source.statements], (node) => {
    if (!functions.includes(node.kind)) return;
    const { signature, body } = node as assemblyscript.FunctionDeclaration;
    const requests = new Set(
      signature.parameters.filter(({ type }) => isRequest(file, type)).map(({ name }) => name.text),
    );
    if (requests.size === 0 || !body) return;
    rewrite(body, (inner) => reply(file, inner, requests));
  });
}

/** `request.reply(code, text)` as a call of the method that takes a text which is there already. */
function reply(file: UserFile, node: Expression, requests: ReadonlySet<string>): Expression {
  if (node.kind !== NodeKind["Call"]) return node;
  const { expression, args } = node as assemblyscript.CallExpression;
  if (expression.kind !== NodeKind["PropertyAccess"]) return node;
  const { expression: object, property } = expression as assemblyscript.PropertyAccessExpression;
  if (object.kind !== NodeKind["Identifier"]) return node;
  if (!requests.has((object as assemblyscript.IdentifierExpression).text)) return node;
  const path = property.text === "at" && args[0] && literalText(args[0]);
  if (typeof path === "string") file.declared.paths.add(path);
  const at = replies[property.text];
  if (at === undefined || args.length < at || args.length > at + 2) return node;
  const [text, ...format] = args.slice(at);
  if (text !== undefined && !isText(file, text)) return node;
  const start = begin(file, node.range);
  return Node.createCallExpression(
    Node.createPropertyAccessExpression(
      object,
      named(`__${property.text}${format.length > 0 ? "As" : ""}`, property.range),
      expression.range,
    ),
    null,
    [...args.slice(0, at), text ? chain(file, start, text) : start, ...format],
    node.range,
  );
}

/** `out.publish(text)` of an output that takes texts, as a call of the method that takes one which is there already. */
function published(file: UserFile, node: Expression): Expression {
  if (node.kind !== NodeKind["Call"]) return node;
  const { expression, args } = node as assemblyscript.CallExpression;
  const [text, ...more] = args;
  if (expression.kind !== NodeKind["PropertyAccess"] || text === undefined || more.length > 0)
    return node;
  const { expression: object, property } = expression as assemblyscript.PropertyAccessExpression;
  if (object.kind !== NodeKind["Identifier"] || property.text !== "publish") return node;
  const { text: variable } = object as assemblyscript.IdentifierExpression;
  if (!file.declared.texts.has(variable) || !isText(file, text)) return node;
  return Node.createCallExpression(
    Node.createPropertyAccessExpression(object, named("__tell", property.range), expression.range),
    null,
    [chain(file, begin(file, text.range), text)],
    node.range,
  );
}

function isRequest(file: UserFile, type: assemblyscript.TypeNode): boolean {
  if (type.kind !== NodeKind["NamedType"]) return false;
  const { name } = type as assemblyscript.NamedTypeNode;
  return name.next === null && file.functions.get(name.identifier.text) === "Request";
}

/** Whether it is certainly a text: in quotes, a template, a sum with one of these, `fixed` and `quoted`, one or another text. */
function isText(file: UserFile, node: Expression): boolean {
  const inner = bare(node);
  if (literalText(inner) !== undefined || isTemplate(inner)) return true;
  const name = file.called(inner)?.name;
  if (name === "fixed" || name === "quoted") return true;
  const sum = sumOf(inner);
  if (sum) return isText(file, sum.left) || isText(file, sum.right);
  if (inner.kind !== NodeKind["Ternary"]) return false;
  const { ifThen, ifElse } = inner as assemblyscript.TernaryExpression;
  return isText(file, ifThen) && isText(file, ifElse);
}

function isTemplate(node: Expression): node is assemblyscript.TemplateLiteralExpression {
  return (
    node.kind === NodeKind["Literal"] &&
    (node as assemblyscript.LiteralExpression).literalKind === LiteralKind["Template"] &&
    (node as assemblyscript.TemplateLiteralExpression).tag === null
  );
}

function sumOf(node: Expression): assemblyscript.BinaryExpression | undefined {
  if (node.kind !== NodeKind["Binary"]) return undefined;
  const sum = node as assemblyscript.BinaryExpression;
  return operatorTokenToString(sum.operator) === "+" ? sum : undefined;
}

function begin(file: UserFile, range: Range): Expression {
  return use(file, "__begin", [], range);
}

/** A call of one of the SDK's own functions. */
function use(file: UserFile, name: string, args: Expression[], range: Range): Expression {
  // Under a name of its own, so that nothing in the user's file has the same.
  ensureImport(file, name, `${name}$`);
  return call(`${name}$`, args, range);
}

/** Adds a text, or the value that stands in one, to what was begun. */
function chain(file: UserFile, start: Expression, node: Expression): Expression {
  const inner = bare(node);
  const { range } = inner;
  const written = literalText(inner);
  if (written !== undefined) return raw(file, start, written, range);
  if (isTemplate(inner)) {
    const { parts, expressions } = inner;
    return parts.reduce((so, part, index) => {
      const value = expressions[index];
      const with_ = raw(file, so, part, range);
      return value === undefined ? with_ : chain(file, with_, value);
    }, start);
  }
  const sum = sumOf(inner);
  if (sum && isText(file, sum)) return chain(file, chain(file, start, sum.left), sum.right);
  if (inner.kind === NodeKind["Ternary"] && isText(file, inner)) {
    const { condition, ifThen, ifElse } = inner as assemblyscript.TernaryExpression;
    const one = (text: Expression) => chain(file, begin(file, text.range), text);
    const either = Node.createTernaryExpression(condition, one(ifThen), one(ifElse), range);
    return isBegin(start) ? either : use(file, "__also", [start, either], range);
  }
  const found = file.called(inner);
  if (found?.name === "fixed" || found?.name === "quoted")
    return use(file, `__${found.name}`, [start, ...found.call.args], range);
  return Node.createCallExpression(
    (use(file, "__put", [], range) as assemblyscript.CallExpression).expression,
    null,
    [start, withoutToString(inner)],
    range,
  );
}

function isBegin(node: Expression): boolean {
  return (
    node.kind === NodeKind["Call"] && (node as assemblyscript.CallExpression).args.length === 0
  );
}

/** `value.toString()` as `value`: it is the same text, and is not made in memory. */
function withoutToString(node: Expression): Expression {
  if (node.kind !== NodeKind["Call"]) return node;
  const { expression, args } = node as assemblyscript.CallExpression;
  if (args.length > 0 || expression.kind !== NodeKind["PropertyAccess"]) return node;
  const access = expression as assemblyscript.PropertyAccessExpression;
  return access.property.text === "toString" ? access.expression : node;
}

/** Adds UTF-8 that lies in the module's data. */
function raw(file: UserFile, start: Expression, text: string, range: Range): Expression {
  const bytes = [...new TextEncoder().encode(text)];
  if (bytes.length === 0) return start;
  const data = Node.createCallExpression(
    Node.createPropertyAccessExpression(named("memory", range), named("data", range), range),
    [typeNamed("u8", range)],
    [
      Node.createArrayLiteralExpression(
        bytes.map((one) => whole(one, range)),
        range,
      ),
    ],
    range,
  );
  return use(file, "__raw", [start, data, whole(bytes.length, range)], range);
}

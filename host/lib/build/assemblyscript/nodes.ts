// What the transform needs of AssemblyScript's syntax tree: kinds, visits, constants, and small pieces to put in.
import * as assemblyscript from "assemblyscript";

export const { Node } = assemblyscript;
// The package declares these as ambient const enums, which a single file cannot inline: they are read as the objects they are.
export const { NodeKind, SourceKind, LiteralKind } = assemblyscript as unknown as Record<
  "NodeKind" | "SourceKind" | "LiteralKind",
  Record<string, number>
>;

export type { Expression, Range, Source, Statement } from "assemblyscript";
type Expression = assemblyscript.Expression;
type Range = assemblyscript.Range;

/** CommonFlags.Ambient: declared here, defined by the host. */
export const ambient = 1 << 15;

/** Visits nodes, and all below them; each with what it hangs on, innermost first. */
export function walk(
  nodes: readonly unknown[],
  visit: (node: assemblyscript.Node, above: readonly assemblyscript.Node[]) => void,
  above: readonly assemblyscript.Node[] = [],
): void {
  for (const node of nodes) {
    if (Array.isArray(node)) walk(node, visit, above);
    else if (isNode(node)) {
      visit(node, above);
      walk(Object.values(node), visit, [node, ...above]);
    }
  }
}

/** Puts something else in the place of expressions, the innermost first; `replace` gives the same where it stays. */
export function rewrite(node: unknown, replace: (node: Expression) => Expression): void {
  if (Array.isArray(node)) {
    const list = node as unknown[];
    list.forEach((one, index) => {
      rewrite(one, replace);
      if (isNode(one)) list[index] = replace(one as Expression);
    });
  } else if (isNode(node)) {
    const fields = node as unknown as Record<string, unknown>;
    for (const [key, value] of Object.entries(fields)) {
      if (!Array.isArray(value) && !isNode(value)) continue;
      rewrite(value, replace);
      if (isNode(value)) fields[key] = replace(value as Expression);
    }
  }
}

function isNode(value: unknown): value is assemblyscript.Node {
  return typeof value === "object" && value !== null && "kind" in value && "range" in value;
}

export function named(name: string, range: Range): assemblyscript.IdentifierExpression {
  return Node.createIdentifierExpression(name, range);
}

export function call(
  name: string,
  args: Expression[],
  range: Range,
): assemblyscript.CallExpression {
  return Node.createCallExpression(named(name, range), null, args, range);
}

export function typeNamed(
  name: string,
  range: Range,
  parameters: assemblyscript.TypeNode[] | null = null,
): assemblyscript.NamedTypeNode {
  return Node.createNamedType(Node.createSimpleTypeName(name, range), parameters, false, range);
}

export function whole(value: number, range: Range): Expression {
  return Node.createIntegerLiteralExpression(integer(value), range);
}

/** `changetype<string>(index)` */
export function asText(index: number, range: Range): Expression {
  return Node.createCallExpression(
    named("changetype", range),
    [typeNamed("string", range)],
    [whole(index, range)],
    range,
  );
}

type Int64 = Parameters<typeof Node.createIntegerLiteralExpression>[0];

/** A 64-bit integer as the compiler holds it. */
function integer(value: number): Int64 {
  return (globalThis as unknown as { i64_new(low: number, high?: number): Int64 }).i64_new(value);
}

/** The text of a literal in quotes. */
export function literalText(node: Expression): string | undefined {
  return node.kind === NodeKind["Literal"] && "value" in node && typeof node.value === "string"
    ? node.value
    : undefined;
}

/** Without the parentheses around it. */
export function bare(node: Expression): Expression {
  return node.kind === NodeKind["Parenthesized"]
    ? bare((node as assemblyscript.ParenthesizedExpression).expression)
    : node;
}

const arithmetic: Record<string, (a: number, b: number) => number> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "%": (a, b) => a % b,
  "**": (a, b) => a ** b,
};

/**
 * The value of an expression that is known before the program runs: numbers, their sums and products, and names of constants
 * at the top level of the same file. NaN for anything else.
 */
export function constant(node: Expression, source: assemblyscript.Source, depth = 0): number {
  const value = (one: Expression) => constant(one, source, depth + 1);
  const inner = bare(node);
  // A constant that is defined by itself.
  if (depth > 64) return Number.NaN;
  switch (inner.kind) {
    case NodeKind["Literal"]:
      return literalText(inner) === undefined
        ? Number(inner.range.toString().replaceAll("_", ""))
        : Number.NaN;
    case NodeKind["UnaryPrefix"]: {
      const { operand, operator } = inner as assemblyscript.UnaryPrefixExpression;
      const sign = assemblyscript.operatorTokenToString(operator);
      return sign === "-" ? -value(operand) : sign === "+" ? value(operand) : Number.NaN;
    }
    case NodeKind["Binary"]: {
      const { left, right, operator } = inner as assemblyscript.BinaryExpression;
      const [a, b] = [value(left), value(right)];
      return arithmetic[assemblyscript.operatorTokenToString(operator)]?.(a, b) ?? Number.NaN;
    }
    case NodeKind["Assertion"]: {
      // A cast, as in <f32>3.
      return value((inner as assemblyscript.AssertionExpression).expression);
    }
    case NodeKind["Identifier"]: {
      const { text } = inner as assemblyscript.IdentifierExpression;
      for (const statement of source.statements) {
        if (statement.kind !== NodeKind["Variable"]) continue;
        const { declarations } = statement as assemblyscript.VariableStatement;
        const found = declarations.find(({ name }) => name.text === text);
        // CommonFlags.Const
        if (found?.initializer && (found.flags & 8) !== 0) return value(found.initializer);
      }
      return Number.NaN;
    }
    default:
      return Number.NaN;
  }
}

// Handlers: what is given to onSample, every and onRequest becomes a function at the top level of its file.
import type * as assemblyscript from "assemblyscript";
import type { Handler, UserFile } from "./declared.ts";
import { call, named, Node, NodeKind, typeNamed } from "./nodes.ts";

/** CommonFlags.Export */
const exported = 2;

/**
 * Makes a function at the top level of a handler: of one that is written in the call, the function itself, of the name of a
 * function, one that calls it.
 */
export function takeHandler(
  file: UserFile,
  kind: Handler["kind"],
  given: assemblyscript.Expression | undefined,
  number: number,
  at: assemblyscript.Range,
): assemblyscript.Statement | undefined {
  const { handlers } = file.declared;
  const name = `__${kind}${handlers.length}`;
  const type = { sample: "f32", tick: undefined, timer: undefined, request: "Request" }[kind];
  const most = type === undefined ? 0 : 1;
  const written = signatureOf(file, given);
  if (written === undefined)
    return file.fault(
      given?.range ?? at,
      "the handler must be written here, as (…) => …, or be the name of a function of this file",
    );
  const { parameters } = written.signature;
  if (parameters.length > most)
    return file.fault(
      given?.range ?? at,
      `this handler takes ${most === 0 ? "nothing" : "one value"}`,
    );
  if (kind === "request") ensureImport(file, "Request");
  const { range } = given!;
  handlers.push({
    kind,
    name,
    file: at.source.internalPath,
    number,
    takes: parameters.length > 0,
  });
  const place = file.placeOf(onlyStatement(written) ?? range);
  file.declared.functions.set(`${at.source.internalPath}/${name}`, file.placeOf(range));
  // Where the library takes the place of all that the handler says, what is left is in the entry, and nothing of it the user's.
  const entry = kind === "timer" ? "tick" : kind;
  const alone = handlers.filter((one) => (one.kind === "timer" ? "tick" : one.kind) === entry);
  if (alone.length === 1) file.declared.functions.set(`wasmote-entry/${entry}`, place);
  else file.declared.functions.delete(`wasmote-entry/${entry}`);
  if (!written.here) return calling(name, (given as assemblyscript.IdentifierExpression).text);
  const { signature, body } = written;
  // The handler may leave out what it does not need; the entry hands it over all the same.
  for (const parameter of parameters) {
    const omitted = parameter.type.range.start === parameter.type.range.end;
    if (omitted && type !== undefined) parameter.type = typeNamed(type, parameter.range);
  }
  signature.returnType = typeNamed("void", signature.range);
  return declare(
    name,
    signature,
    body && body.kind === NodeKind["Block"] ? body : block(body ? [body] : []),
  );

  function block(statements: assemblyscript.Statement[]) {
    return Node.createBlockStatement(statements, range);
  }
  function declare(
    as: string,
    what: assemblyscript.FunctionTypeNode,
    statements: assemblyscript.Statement,
  ) {
    const flags = exported;
    return Node.createFunctionDeclaration(
      named(as, range),
      null,
      flags,
      null,
      what,
      statements,
      0 /* ArrowKind.None */,
      range,
    );
  }
  /** `function __tick0(): void { f(); }` */
  function calling(as: string, target: string) {
    const values = parameters.map((_, index) => named(`value${index}`, range));
    const taken = values.map((value) =>
      Node.createParameter(
        0 /* ParameterKind.Default */,
        value,
        typeNamed(type ?? "i32", range),
        null,
        range,
      ),
    );
    const signature = Node.createFunctionType(taken, typeNamed("void", range), null, false, range);
    return declare(
      as,
      signature,
      block([Node.createExpressionStatement(call(target, values, range))]),
    );
  }
}

interface Written {
  signature: assemblyscript.FunctionTypeNode;
  body: assemblyscript.Statement | null;
  /** Whether it is written in the call itself. */
  here: boolean;
}

/** What a handler does, where that is one thing. */
function onlyStatement({ body }: Written): assemblyscript.Range | undefined {
  if (body?.kind !== NodeKind["Block"]) return body?.range;
  const { statements } = body as assemblyscript.BlockStatement;
  return statements.length === 1 ? statements[0]?.range : undefined;
}

/** The function that is written there, or that has this name in the file. */
function signatureOf(
  { source }: UserFile,
  given: assemblyscript.Expression | undefined,
): Written | undefined {
  if (given?.kind === NodeKind["Function"])
    return { ...parts((given as assemblyscript.FunctionExpression).declaration), here: true };
  if (given?.kind !== NodeKind["Identifier"]) return undefined;
  const { text } = given as assemblyscript.IdentifierExpression;
  for (const statement of source.statements) {
    if (statement.kind === NodeKind["FunctionDeclaration"]) {
      const declaration = statement as assemblyscript.FunctionDeclaration;
      if (declaration.name.text === text) return { ...parts(declaration), here: false };
    }
    if (statement.kind !== NodeKind["Variable"]) continue;
    const { declarations } = statement as assemblyscript.VariableStatement;
    const found = declarations.find(({ name }) => name.text === text)?.initializer;
    if (found?.kind === NodeKind["Function"])
      return { ...parts((found as assemblyscript.FunctionExpression).declaration), here: false };
  }
  return undefined;
}

function parts({ signature, body }: assemblyscript.FunctionDeclaration) {
  return { signature, body };
}

/** Lets a file import a name of the SDK, which it does not write itself. */
export function ensureImport(file: UserFile, name: string, as = name): void {
  const { source, functions } = file;
  if ([...functions].some(([local, foreign]) => local === as && foreign === name)) return;
  const statement = source.statements.find(
    (candidate): candidate is assemblyscript.ImportStatement =>
      candidate.kind === NodeKind["Import"] &&
      (candidate as assemblyscript.ImportStatement).path.value === "wasmote",
  );
  if (!statement) return;
  const { range } = statement;
  const added = Node.createImportDeclaration(
    named(name, range),
    as === name ? null : named(as, range),
    range,
  );
  functions.set(as, name);
  if (statement.declarations) statement.declarations.push(added);
  else
    source.statements.unshift(
      Node.createImportStatement(
        [added],
        Node.createStringLiteralExpression("wasmote", range),
        range,
      ),
    );
}

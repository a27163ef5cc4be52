// What is found in a program's sources while its declarations are taken out, and the file in hand: what the parts of the transform share.
import type * as assemblyscript from "assemblyscript";
import type { Fault } from "../../fault.ts";
import type { Facts } from "../section.ts";

/** What the transform found out while it ran. */
export interface Declared {
  facts: Facts;
  faults: Fault[];
  handlers: Handler[];
  /** What states begin with: their bytes in memory. */
  states: Uint8Array[];
  /** The variables of outputs that take singles, and of those that take texts. */
  outputs: Set<string>;
  texts: Set<string>;
  /** What requests are compared with: `request.at("count")`. */
  paths: Set<string>;
  /** Where the program declares functions that it wants from its host, by name. */
  wanted: Map<string, Omit<Fault, "message">>;
  /** Where the program's functions are declared, by the names the compiler gives them. */
  functions: Map<string, Omit<Fault, "message">>;
}

export type Place = Omit<Fault, "message">;

export interface Handler {
  kind: "sample" | "tick" | "timer" | "request";
  /** The name of its function, and the file it is in. */
  name: string;
  file: string;
  /** The module's number of the sensor, the period in milliseconds, or the number of the timer. */
  number: number;
  /** Whether it takes its value. */
  takes: boolean;
}

/** One of the program's files while its declarations are taken out. */
export interface UserFile {
  readonly source: assemblyscript.Source;
  readonly declared: Declared;
  /** What the SDK's functions are called in this file, by local name. */
  readonly functions: Map<string, string>;
  placeOf(at: assemblyscript.Range): Place;
  fault(at: assemblyscript.Range, message: string): undefined;
  /** A number that is known before the program runs. */
  number(node: assemblyscript.Expression | undefined, otherwise: number): number;
  /** A call of one of the SDK's functions, with the SDK's name of it. */
  called(
    node: assemblyscript.Node | null | undefined,
  ): { call: assemblyscript.CallExpression; name: string } | undefined;
}

// What handlers reach: whether they allocate, and where. Read from the compiler's text format, before anything is optimised away.
import type { Place } from "./declared.ts";

/** A way from a handler to the runtime's memory. */
export interface Reach {
  /** Objects that are collected, arrays that grow, and what is given back. */
  managed: boolean;
  /** The first places where handlers make an object of an unmanaged class, which is never given back. */
  kept: Place[];
}

interface Edge {
  to: string;
  place: string | undefined;
}

const runtime = "~lib/rt/stub/";

/** What the exports `sample`, `tick` and `request` of the entry reach in a module that was written as text. */
export function reachOf(text: string, isUsers: (file: string) => boolean): Reach {
  const { edges, table } = callGraph(text);
  const managed = { yes: false };
  const kept: Place[] = [];
  const seen = new Set<string>();
  // Where the user's own code last was on the way here.
  const visit = (name: string, from: string | undefined): void => {
    if (seen.has(name)) return;
    seen.add(name);
    for (const { to, place } of edges.get(name) ?? []) {
      const file = place?.split(":").slice(0, -2).join(":");
      const here = file !== undefined && isUsers(file) ? place : from;
      if (to === `${runtime}__new` || to === `${runtime}__renew`) managed.yes = true;
      else if (to === `${runtime}__alloc`) {
        // The language's library gives back what it takes, and `heap.alloc` is the program's own affair.
        const library = name.startsWith("~lib/") && !name.startsWith("~lib/wasmote/");
        if (library) managed.yes = true;
        else if (here !== undefined) kept.push(placeOf(here));
      } else if (to === "") for (const one of table) visit(one, here);
      else visit(to, here);
    }
  };
  for (const root of ["sample", "tick", "request"]) visit(`wasmote-entry/${root}`, undefined);
  return { managed: managed.yes, kept };
}

/** `file:line:column`, where the compiler counts columns from 0. */
function placeOf(text: string): Place {
  const [, file = "", line, column] = /^(.*):(\d+):(\d+)$/.exec(text) ?? [];
  return { file, line: Number(line), column: Number(column) + 1 };
}

/** Who calls whom, from which place of the source; a call through the table is one of "". */
function callGraph(text: string): { edges: Map<string, Edge[]>; table: string[] } {
  const edges = new Map<string, Edge[]>();
  const table: string[] = [];
  let list: Edge[] = [];
  let place: string | undefined;
  const name = (word: string | undefined) => (word ?? "").replace(/^"|"$/g, "");
  for (const line of text.split("\n")) {
    const at = /^\s*;;@ ?(.*)$/.exec(line);
    if (at) {
      place = at[1] === "" ? place : at[1];
      continue;
    }
    const fn = /^ \(func \$("[^"]*"|[^\s()]+)/.exec(line);
    if (fn) {
      list = [];
      place = undefined;
      edges.set(name(fn[1]), list);
      continue;
    }
    if (line.startsWith(" (elem"))
      for (const [, one] of line.matchAll(/\$("[^"]*"|[^\s()]+)/g)) table.push(name(one));
    const call = /\(call \$("[^"]*"|[^\s()]+)/.exec(line);
    if (call) list.push({ to: name(call[1]), place });
    if (line.includes("(call_indirect")) list.push({ to: "", place });
  }
  return { edges, table };
}

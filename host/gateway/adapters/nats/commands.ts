// What the hub may ask a gateway to do, by request and reply: each answers within a node's patience, with what came of it.
import { oneLine } from "../../../lib/text.ts";
import type { Core } from "../../core.ts";

const longest = 4_096;

type Answer = { ok: unknown } | { error: string };

/** `{"command": "nodes"}`, `{"command": "set", "node", "parameter", "value"}`, `{"command": "rollback", "node"}`. */
export async function obey(gateway: Core, text: string): Promise<Answer> {
  const write = (what: string, target: string, result: string) =>
    gateway.store.audit({ time: Date.now(), who: "hub", what, target, result });
  let what = "command";
  let target = "";
  try {
    if (text.length > longest) throw new Error(`a command has at most ${longest} characters`);
    const asked = JSON.parse(text) as Record<string, unknown> | null;
    if (typeof asked !== "object" || asked === null || Array.isArray(asked))
      throw new Error("a command is a JSON object");
    const { command, node: name, parameter, value } = asked;
    if (command === "nodes")
      return {
        ok: [...gateway.nodes].map((node) => ({
          name: node.name,
          lastSeen: node.lastSeen,
          digest: node.app?.digest ?? null,
        })),
      };
    if (command !== "set" && command !== "rollback")
      throw new Error("command is nodes, set or rollback");
    const node = typeof name === "string" ? gateway.nodes.get(name) : undefined;
    if (node === undefined) throw new Error("there is no such node");
    target = node.name;
    what = command;
    if (command === "rollback") {
      await node.connection.rollback();
      write(what, target, "done");
      return { ok: "rolled back" };
    }
    if (typeof parameter !== "string" || typeof value !== "number" || !Number.isFinite(value))
      throw new Error("set needs parameter, a text, and value, a number");
    what = `set ${parameter} = ${value}`.slice(0, 200);
    await node.connection.setParam(parameter, value);
    write(what, target, "done");
    return { ok: value };
  } catch (error) {
    const message = oneLine((error as Error).message).slice(0, 300);
    write(what, target, message);
    return { error: message };
  }
}

// Names that values come under: nodes, packages that run here, flood alarms, and the gateway's own. Who asks for another one is told, and is
// not left to wait for what never comes.
import type { Core } from "./core.ts";
import { ownNode } from "./virtual.ts";
import { Refused } from "./http.ts";

type Knowing = Pick<Core, "nodes" | "hosted" | "placements" | "config">;

/** Names that are told at most. */
const mostTold = 20;

/** What there is besides nodes, each with its resources; the resources of a node are known once it has been reached. */
export function instancesOf(gateway: Knowing): Map<string, readonly string[]> {
  const all = new Map<string, readonly string[]>();
  for (const { name } of gateway.hosted.states())
    all.set(
      name,
      gateway.hosted.outputsOf(name).map((output) => `outputs/${output}`),
    );
  for (const { name } of gateway.placements.views())
    all.set(name, ["outputs/danger", "outputs/alarm"]);
  const own = gateway.config.virtual.map(({ name }) => `virtual/${name}`);
  if (own.length > 0) all.set(ownNode, own);
  return all;
}

/** `none` where there are none. */
export function told(names: readonly string[]): string {
  if (names.length === 0) return "none";
  const more = names.length > mostTold ? `, and ${names.length - mostTold} more` : "";
  return `${names.slice(0, mostTold).join(", ")}${more}`;
}

/** Refuses a name under which other values come already. What has it of the same kind is replaced, and no reason. */
export function refuseTaken(gateway: Knowing, name: string, kind: "hosted" | "placements"): void {
  const others = kind === "hosted" ? gateway.placements.views() : gateway.hosted.states();
  const whose =
    gateway.nodes.get(name) !== undefined
      ? "a node"
      : others.some((other) => other.name === name)
        ? kind === "hosted"
          ? "a placement"
          : "a hosted instance"
        : name === ownNode
          ? "the gateway itself"
          : undefined;
  if (whose !== undefined) throw new Refused(409, `${whose} is called ${name}`);
}

/** Refuses names that nothing has; one with a * at its end may be that of a node which is to come. */
export function refuseUnknown(gateway: Knowing, names: readonly string[]): void {
  const unknown = unknownOf(gateway, names);
  if (unknown !== undefined) throw new Refused(404, unknown);
}

function unknownOf(gateway: Knowing, names: readonly string[]): string | undefined {
  const others = names.filter(
    (name) => !name.endsWith("*") && gateway.nodes.get(name) === undefined,
  );
  if (others.length === 0) return undefined;
  const instances = instancesOf(gateway);
  const unknown = others.find((name) => !instances.has(name));
  if (unknown === undefined) return undefined;
  const all = [...[...gateway.nodes].map(({ name }) => name), ...instances.keys()];
  return `there is no node ${unknown.slice(0, 100)}; there are: ${told(all)}`;
}

/** What is wrong with `NODE/PATH` where there is no such node now, or its resource is known not to be. */
export function strange(gateway: Knowing, source: string): string | undefined {
  const slash = source.indexOf("/");
  const [name, path] = [source.slice(0, slash), source.slice(slash + 1)];
  const unknown = unknownOf(gateway, [name]);
  if (unknown !== undefined) return unknown;
  const listed = gateway.nodes.get(name)?.resources.map((one) => one.path.replace(/^\//, ""));
  const has = (listed ?? instancesOf(gateway).get(name) ?? []).filter((one) =>
    /^(?:sensors|outputs|virtual)\//.test(one),
  );
  if (has.length === 0 || has.includes(path)) return undefined;
  return `${name} has no ${path.slice(0, 100)}; it has: ${told(has)}`;
}

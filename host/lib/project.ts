// A project: the folder with wasmote.toml, what it says, and what is remembered beside it.
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parse } from "smol-toml";
import { readWhole } from "./files.ts";
import { normalAddress } from "./coap/address.ts";
import { UserError } from "./errors.ts";
import { nameFault, textFault } from "./names.ts";
import { generateKey, readKey, writeKey, type KeyPair } from "./package.ts";
import { State } from "./state.ts";
import { oneLine } from "./text.ts";

/** What wasmote.toml may say. */
interface ProjectFile {
  main?: string;
  name?: string;
  version?: string;
  vendor?: string;
  class?: string;
  samples?: string;
  heap?: number;
  open?: boolean;
  nodes?: Record<string, string>;
  groups?: Record<string, string[]>;
  gateways?: Record<string, string>;
}

export interface Project {
  folder: string;
  /** The source, from the folder. */
  main: string;
  name: string;
  version: string;
  vendor: string;
  class: string;
  samples: string;
  /** Bytes of memory that handlers have at least, where the file says so. */
  heap: number | undefined;
  /** Whether nodes that are made here answer everybody. */
  open: boolean;
  /** Addresses by name. */
  nodes: Record<string, string>;
  /** Names of nodes by the name of their group. */
  groups: Record<string, string[]>;
  /** Addresses of gateways by name: their nodes are GATEWAY/NODE. */
  gateways: Record<string, string>;
  state: State;
}

/** The project that a folder is in: it, or the nearest one above, has a wasmote.toml. Where there is none, an empty one. */
export function openProject(from: string = process.cwd()): Project {
  let folder = from;
  while (!existsSync(join(folder, "wasmote.toml")) && dirname(folder) !== folder)
    folder = dirname(folder);
  const path = join(folder, "wasmote.toml");
  const found = existsSync(path);
  if (!found) folder = from;
  const file = found ? readProjectFile(path) : {};
  return {
    folder,
    main: file.main ?? "src/main.ts",
    name: file.name ?? "",
    version: file.version ?? "0.1.0",
    vendor: file.vendor ?? "",
    class: file.class ?? "",
    samples: file.samples ?? "",
    heap: file.heap,
    open: file.open ?? false,
    nodes: { ...file.nodes },
    groups: { ...file.groups },
    gateways: { ...file.gateways },
    state: new State(folder),
  };
}

function readProjectFile(path: string): ProjectFile {
  const wrong = (what: string, advice: string) =>
    new UserError(`${path}: ${what}`, advice, "usage");
  let file: ProjectFile;
  try {
    file = parse(readWhole(path).toString("utf8")) as ProjectFile;
  } catch (error) {
    throw wrong((error as Error).message, "correct the file; `wasmote new` writes an example");
  }
  const { nodes = {}, groups = {}, gateways = {}, heap, open, ...texts } = file;
  for (const [key, table] of Object.entries({ nodes, groups, gateways }))
    if (typeof table !== "object" || Array.isArray(table))
      throw wrong(`${key} is not a table`, `write: [${key}]`);
  const named = [nodes, gateways].flatMap((table) => Object.entries(table));
  for (const [key, value] of [...Object.entries(texts), ...named])
    if (typeof value !== "string") throw wrong(`${key} is not a text`, `write: ${key} = "…"`);
  if (heap !== undefined && !(Number.isInteger(heap) && heap >= 0 && heap <= 2 ** 24))
    throw wrong("heap is not a number of bytes", "write: heap = 4096");
  if (open !== undefined && typeof open !== "boolean")
    throw wrong("open is neither true nor false", "write: open = true, or leave it out");
  for (const [key, value] of Object.entries(groups))
    if (!Array.isArray(value) || value.some((one) => typeof one !== "string"))
      throw wrong(`the group ${key} is not a list of names`, `write: ${key} = ["wye", "usk"]`);
  for (const [key, value] of Object.entries(gateways))
    if (!/^https?:\/\//i.test(value) || !URL.canParse(value))
      throw wrong(
        `${key} is not an address of a gateway`,
        `write: ${key} = "http://127.0.0.1:8080"`,
      );
  const { name = "", version = "", vendor = "", class: boardClass = "" } = file;
  const fault =
    (name === "" ? undefined : nameFault(name)) ??
    textFault(version) ??
    textFault(vendor) ??
    textFault(boardClass);
  if (fault !== undefined) throw wrong(fault, "packages bear it");
  return file;
}

// ---- the key ------------------------------------------------------------------------------------------------------------

/** The key that packages are signed with: this file, or the project's. */
export function signingKey(project: Project, path?: string): KeyPair {
  const own = path === undefined;
  const file = own ? join(project.state.folder, "key.pem") : resolve(path);
  const text = own
    ? project.state.read("key.pem")
    : existsSync(file)
      ? readWhole(file).toString("utf8")
      : undefined;
  if (text === undefined)
    throw new UserError(
      `there is no key ${file}`,
      "make one with `wasmote keygen`, and give its public half to the node with `wasmote provision`",
    );
  try {
    return readKey(text);
  } catch (error) {
    throw new UserError(
      `${file} is not a key for packages: ${(error as Error).message}`,
      "make one with `wasmote keygen`",
    );
  }
}

/** Gives the project a key, a new one by default. */
export function keepKey(project: Project, key: KeyPair = generateKey()): string {
  return project.state.write(writeKey(key), ["key.pem"], { fresh: true });
}

// ---- nodes --------------------------------------------------------------------------------------------------------------

/** The address of a node that `wasmote emulate --name` runs just now. */
export function emulatedNode({ state }: Project, name: string): string | undefined {
  if (nameFault(name) !== undefined) return undefined;
  const { place, id } = emulatedFile(state, name);
  try {
    // Signal 0 asks whether the process is there; one that was killed left its file behind.
    if (!Number.isInteger(id) || id < 1) return undefined;
    process.kill(id, 0);
  } catch {
    return undefined;
  }
  return place === starting ? undefined : place;
}

/** What stands for the address of a node that is about to run. */
export const starting = "starting";

/** Whether a node of this name is being started. */
export function emulationStarts({ state }: Project, name: string): boolean {
  return nameFault(name) === undefined && emulatedFile(state, name).place === starting;
}

function emulatedFile(state: State, name: string): { place: string | undefined; id: number } {
  const [place, process_] = state.read("emulated", `${name}.address`)?.split("\n") ?? [];
  return { place, id: Number(process_) };
}

/** Every node that is emulated for this project just now. */
export function emulatedNodes(project: Project): { name: string; address: string }[] {
  const names = project.state
    .list("emulated")
    .flatMap((file) => (file.endsWith(".address") ? [file.slice(0, -".address".length)] : []));
  return names.flatMap((name) => {
    const address = emulatedNode(project, name);
    return address === undefined ? [] : [{ name, address }];
  });
}

/** `GATEWAY/NODE`, where wasmote.toml has the gateway: the gateway's address and what is behind the slash. */
export function throughGateway(
  { gateways }: Project,
  given: string,
): { url: string; node: string } | undefined {
  const slash = given.indexOf("/");
  const name = given.slice(0, Math.max(0, slash));
  const address = Object.hasOwn(gateways, name) ? gateways[name] : undefined;
  return address === undefined
    ? undefined
    : { url: new URL(address).origin, node: given.slice(slash + 1) };
}

/** The address of a node: as it is written, or by its name. */
export function nodeAddress(project: Project, given: string): string {
  const through = throughGateway(project, given);
  if (through !== undefined) {
    const fault = nameFault(through.node);
    if (fault !== undefined) throw new UserError(fault, "write GATEWAY/NODE", "usage");
    return `gateway+${through.url}/${encodeURIComponent(through.node)}`;
  }
  const address = Object.hasOwn(project.nodes, given)
    ? project.nodes[given]
    : emulatedNode(project, given);
  if (address !== undefined) return normalAddress(address) ?? address;
  const direct = normalAddress(given);
  if (direct !== undefined) return direct;
  const names = Object.keys(project.nodes).join(", ") || "none";
  throw new UserError(
    `there is no node ${oneLine(given)} in wasmote.toml; there are: ${names}`,
    "name it there under [nodes], or give its address; one that is emulated here has its name only in the project that `wasmote emulate --name` was run in",
    "usage",
  );
}

/** Remembers that a node answered, where a project remembers anything. */
export function heard({ state }: Project, address: string, at = new Date()): void {
  try {
    if (!state.exists()) return;
    const seen = { ...lastSeen(state), [address]: at.toISOString() };
    state.write(`${JSON.stringify(seen)}\n`, ["seen.json"]);
  } catch (error) {
    // When a node was last seen is nice to know; a full disk or somebody else's folder does not undo what the verb has done.
    if (!(error instanceof UserError) && (error as NodeJS.ErrnoException).code === undefined)
      throw error;
  }
}

/** When a node was last heard of, by its address. */
export function lastSeen(state: State): Record<string, string> {
  try {
    const seen: unknown = JSON.parse(state.readUnmarked("seen.json") ?? "{}");
    if (typeof seen !== "object" || seen === null) return {};
    return Object.fromEntries(
      Object.entries(seen).filter(
        ([, at]) => typeof at === "string" && !Number.isNaN(Date.parse(at)),
      ),
    ) as Record<string, string>;
  } catch {
    // Half of it was written when the power went.
    return {};
  }
}

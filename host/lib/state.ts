// What a project remembers on this computer: the folder `.wasmote` beside wasmote.toml, which is not for version control. It holds the
// key, built modules, signed packages, the last sequence number and which node is used, so write access to it decides what is signed.
//
// A repository from somebody else may contain such a folder. So it is used only with a mark that this computer made: an HMAC with a
// secret that lies in the user's own folder for state ($XDG_STATE_HOME/wasmote/computer). Symbolic links in it are never followed. What is only shown
// (when a node was last seen) is read without a mark.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir, userInfo } from "node:os";
import { dirname, join, resolve } from "node:path";
import { UserError } from "./errors.ts";

const folderName = ".wasmote";
const markName = "computer";
/** What may lie in a folder that nobody marked yet: it decides nothing. */
const harmless = new Set(["seen.json", markName]);

export class State {
  /** The folder `.wasmote`. */
  readonly folder: string;

  constructor(project: string) {
    this.folder = join(project, folderName);
  }

  /** Whether the folder is there and was made on this computer; a folder from elsewhere is an error. */
  exists(): boolean {
    const kind = kindOf(this.folder);
    if (kind === "nothing") return false;
    if (kind !== "folder")
      throw new UserError(
        `${this.folder} is ${kind === "link" ? "a symbolic link" : "a file"}, not a folder of this program's`,
        "remove it: what a project remembers is kept in a folder of its own",
      );
    if (this.#marked()) return true;
    const entries = readdirSync(this.folder);
    if (entries.every((name) => harmless.has(name))) return false;
    throw new UserError(
      `${this.folder} was not made on this computer: its key, modules and settings may be somebody else's, so none of it is used`,
      "delete it if it came with the project; if another user of this computer made it (sudo, a service), run this as that user; if the key in it is yours, move the folder away and take the key over with `wasmote keygen --import FILE`",
    );
  }

  /** A file of the state, as text without the white space around it. */
  read(...names: string[]): string | undefined {
    return this.readBytes(...names)
      ?.toString("utf8")
      .trim();
  }

  readBytes(...names: string[]): Buffer | undefined {
    return this.exists() ? readFile(this.path(...names)) : undefined;
  }

  /** Reads a file that decides nothing, also without the mark. */
  readUnmarked(name: "seen.json"): string | undefined {
    if (kindOf(this.folder) !== "folder") return undefined;
    try {
      return readFile(this.path(name))?.toString("utf8");
    } catch {
      return undefined;
    }
  }

  readJson<T>(...names: string[]): T | undefined {
    const text = this.read(...names);
    try {
      return text === undefined ? undefined : (JSON.parse(text) as T);
    } catch {
      // Half of it was written when the power went: as if it were not there.
      return undefined;
    }
  }

  /** Writes a file as a whole or not at all; its path. With `fresh` it must not be there yet. */
  write(content: string | Uint8Array, names: string[], options: { fresh?: boolean } = {}): string {
    if (!this.exists()) this.#make();
    const path = this.path(...names);
    makeFolder(dirname(path));
    if (options.fresh === true && kindOf(path) !== "nothing")
      throw new UserError(`${path} is already there`, "move it away first");
    writeWhole(path, content, 0o600);
    return path;
  }

  /** A file that another program writes, such as the flash of an emulated node: its folder is made. */
  place(...names: string[]): string {
    if (!this.exists()) this.#make();
    const path = this.path(...names);
    makeFolder(dirname(path));
    return path;
  }

  /** Makes an empty file that nobody has made; `false` where somebody was first. */
  claim(...names: string[]): boolean {
    try {
      writeFileSync(this.place(...names), "", { mode: 0o600, flag: "wx" });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
      throw error;
    }
  }

  /** The names in a folder of the state. */
  list(...names: string[]): string[] {
    if (!this.exists()) return [];
    const path = this.path(...names);
    return kindOf(path) === "folder" ? readdirSync(path) : [];
  }

  remove(...names: string[]): void {
    if (this.exists()) rmSync(this.path(...names), { force: true });
  }

  /** Where a file lies; a symbolic link on the way is an error. */
  path(...names: string[]): string {
    let path = this.folder;
    for (const name of names) {
      if (name === "" || name === "." || name === ".." || /[/\\\0]/.test(name))
        throw new UserError(
          `${name} is not the name of a file`,
          "take letters and digits",
          "usage",
        );
      path = join(path, name);
      if (kindOf(path) === "link")
        throw new UserError(
          `${path} is a symbolic link, which this program never makes`,
          "remove it: what it points to would be overwritten",
        );
    }
    return path;
  }

  /** A seal that only this computer can make: on what is kept here to be believed later. */
  seal(content: string): string {
    return createHmac("sha256", secret()).update(content).digest("hex");
  }

  #marked(): boolean {
    const mark = readFile(join(this.folder, markName))?.toString("utf8").trim() ?? "";
    const [id = "", seal = ""] = mark.split(" ");
    return sameText(seal, this.seal(`state ${id}`));
  }

  #make(): void {
    makeFolder(this.folder, 0o700);
    const id = randomBytes(16).toString("hex");
    writeWhole(join(this.folder, markName), `${id} ${this.seal(`state ${id}`)}\n`, 0o600);
  }
}

/** Whether two texts are the same, in a time that does not depend on where they differ. */
export function sameText(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/**
 * Makes a folder and those above it. Where one of them can be made by nobody, as in /proc, that is an error; `mkdirSync` with `recursive` tries
 * for ever there, because the system says of it what it says of a folder whose parent is missing.
 */
export function makeFolder(path: string, mode = 0o777): void {
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at) && dirname(at) !== at; at = dirname(at))
    missing.unshift(at);
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode });
    } catch (error) {
      // Somebody else has made it in this moment.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
  if (!statSync(path).isDirectory())
    throw Object.assign(new Error(`ENOTDIR: not a directory, mkdir '${path}'`), {
      code: "ENOTDIR",
      path,
    });
}

/** Writes a file beside its place and moves it there: readers see the old or the new file, and a symbolic link there is replaced. */
export function writeWhole(path: string, content: string | Uint8Array, mode = 0o666): void {
  const beside = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    writeFileSync(beside, content, { mode, flag: "wx" });
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}

/** Says that a folder takes no new file, though the file in it may take a new content. */
const closed = new Set(["EACCES", "EPERM", "EROFS", "EBUSY", "EXDEV"]);

/**
 * Writes a file that the user named: as a whole or not at all, so that a full disk leaves what was there. A link is followed, and what is no
 * plain file (/dev/stdout, a pipe) is written to. Where `mode` is given, nobody else may read it, whoever could read what was there.
 */
export function writeOutput(path: string, content: string | Uint8Array, mode?: number): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found !== undefined && !found.isFile()) {
    writeFileSync(path, content);
    return;
  }
  const target = found === undefined ? path : realpathSync(path);
  try {
    writeWhole(target, content, 0o600);
    chmodSync(
      target,
      mode ?? (found === undefined ? 0o666 & ~process.umask() : found.mode & 0o777),
    );
  } catch (error) {
    // A file whose folder is closed, or that is mounted by itself into a container.
    if (found === undefined || !closed.has((error as NodeJS.ErrnoException).code ?? ""))
      throw error;
    writeFileSync(target, content);
    if (mode !== undefined) chmodSync(target, mode);
  }
}

function kindOf(path: string): "nothing" | "file" | "folder" | "link" {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return "nothing";
  return found.isSymbolicLink() ? "link" : found.isDirectory() ? "folder" : "file";
}

function readFile(path: string): Buffer | undefined {
  return kindOf(path) === "file" ? readFileSync(path) : undefined;
}

let known: { secret: Buffer; folder: string } | undefined;

const secret = () => user().secret;

/** The folder of this user on this computer for what is of no project. */
export const userFolder = () => user().folder;

/** The secret of this user on this computer, made when it is first needed, and the folder it lies in. */
function user(): { secret: Buffer; folder: string } {
  known ??= findSecret(
    process.env["XDG_STATE_HOME"] || join(homedir(), ".local/state"),
    // Where the home cannot be written, what is remembered lasts until the computer is started again.
    join(tmpdir(), `wasmote-${userInfo().uid}`),
  );
  return known;
}

function findSecret(...homes: string[]): { secret: Buffer; folder: string } {
  let failure: unknown;
  for (const home of homes) {
    const file = join(home, "wasmote", markName);
    try {
      makeFolder(dirname(file), 0o700);
      const owner = lstatSync(dirname(file));
      if (!owner.isDirectory() || (process.getuid && owner.uid !== process.getuid())) continue;
      if (kindOf(file) === "nothing") {
        const beside = `${file}.${process.pid}`;
        writeFileSync(beside, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
        try {
          // Whole from the first moment; of several that come at once, the first one's stays.
          linkSync(beside, file);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
        } finally {
          rmSync(beside, { force: true });
        }
      }
      const text = readFile(file)?.toString("utf8").trim() ?? "";
      if (/^[0-9a-f]{64}$/.test(text))
        return { secret: Buffer.from(text, "hex"), folder: dirname(file) };
    } catch (error) {
      failure = error;
    }
  }
  throw new UserError(
    `this computer's own mark cannot be kept in ${homes.join(" or ")}`,
    "set XDG_STATE_HOME to a folder that may be written",
    "failed",
    { cause: failure },
  );
}

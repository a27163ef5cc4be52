// Who may do what: tokens with roles. Nothing is allowed without a token, except from this computer while the gateway runs for the
// first time, which makes the first token and shows it.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { resources } from "../lib/contract.ts";
import { steady } from "./steady.ts";
import type { Store } from "./sqlite/store.ts";

/** Each has what those before it have. */
export const roles = ["read", "operate", "install", "admin"] as const;
export type Role = (typeof roles)[number];

/** Who asks. */
export interface Principal {
  name: string;
  role: Role;
}

export interface TokenInfo extends Principal {
  created: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Requests a second that a token may make for long, and at once. */
const rate = 200;
const burst = 1_000;
const cookie = "wasmote";

export function allows(role: Role, needed: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(needed);
}

/** The contract's resources, as patterns of their paths. */
const contract = resources.map(({ path, rights }) => ({
  pattern: new RegExp(`^${path.replace("{name}", "[^/]+").replace("*", ".*")}$`),
  rights: rights as Partial<Record<string, Role | "public">>,
}));

/**
 * The role that a request for a node's resource needs: what the node's own contract says. The gateway speaks with all its rights for
 * whoever has the role. `path` is decoded: whichever way it was written, it is what the node gets.
 */
export function roleOf(method: string, path: string): Role {
  // However a node may read segments that are empty, or that have a slash in them.
  const plain = path.split("/").filter(Boolean).join("/");
  const asked = method === "HEAD" ? "GET" : method;
  const found = contract.find(({ pattern }) => pattern.test(plain));
  const needed = found?.rights[asked];
  if (needed !== undefined) return needed === "public" ? "read" : needed;
  // The node refuses what its contract does not name. Should it not, then this is as much as anything of that kind needs.
  const kind = plain.split("/")[0];
  const all = resources.filter(({ path: known }) => known.split("/")[0] === kind);
  const named = all.flatMap((one) => Object.values(one.rights) as (Role | "public")[]);
  const least = asked === "GET" || asked === "FETCH" ? "read" : "operate";
  return roles.toReversed().find((role) => role === least || named.includes(role)) ?? least;
}

const digest = (token: string) => createHash("sha256").update(token).digest("hex");

export class Access {
  readonly #store: Store;
  #first: string | undefined;
  readonly #buckets = new Map<string, Bucket>();
  /** Tokens in memory: looked up for each request. */
  #known: (TokenInfo & { hash: string })[] = [];
  /**
   * Whose each token is that was shown lately, until one is made or revoked: only those that are good, so that the time of a look-up says
   * nothing of what a wrong one lacks.
   */
  readonly #shown = new Map<string, Principal>();
  /** What is open for each token, by its name. */
  readonly #open = new Map<string, Set<() => void>>();

  constructor(store: Store) {
    this.#store = store;
    this.#load();
  }

  /** The token that the first start made; undefined on every later one. */
  get first(): string | undefined {
    return this.#first;
  }

  /** Makes the first token where there is none: once all else of a start has worked, so that somebody gets to see it. */
  begin(): void {
    if (this.#known.length === 0) this.#first = this.create("first", "admin");
  }

  #load(): void {
    this.#shown.clear();
    this.#known = this.#store.database
      .prepare("SELECT * FROM token ORDER BY created")
      .all() as (TokenInfo & {
      hash: string;
    })[];
  }

  /** Makes a token; it is shown once, only its digest is kept. */
  create(name: string, role: Role): string {
    const token = `wm_${randomBytes(24).toString("base64url")}`;
    this.#store.database
      .prepare("INSERT INTO token (name, role, hash, created) VALUES (?, ?, ?, ?)")
      .run(name, role, digest(token), Date.now());
    this.#load();
    return token;
  }

  /** One more for an administrator, under a name that is free: whoever starts the gateway has its data, and so may have one. */
  another(): string {
    let number = 2;
    while (this.has(`admin-${number}`)) number++;
    return this.create(`admin-${number}`, "admin");
  }

  list(): TokenInfo[] {
    return this.#known.map(({ name, role, created }) => ({ name, role, created }));
  }

  has(name: string): boolean {
    return this.#known.some((token) => token.name === name);
  }

  /** Whether nobody could make a token any more without this one. */
  isLastAdmin(name: string): boolean {
    const admins = this.#known.filter(({ role }) => role === "admin");
    return admins.length === 1 && admins[0]?.name === name;
  }

  revoke(name: string): boolean {
    const { changes } = this.#store.database.prepare("DELETE FROM token WHERE name = ?").run(name);
    this.#load();
    for (const end of this.#open.get(name) ?? []) end();
    return changes > 0;
  }

  /** What lasts longer than a request, such as a stream, ends with its token; the function that is returned says that it has ended by itself. */
  hold({ name }: Principal, end: () => void): () => void {
    const open = this.#open.get(name) ?? new Set();
    this.#open.set(name, open.add(end));
    return () => {
      open.delete(end);
      if (open.size === 0 && this.#open.get(name) === open) this.#open.delete(name);
    };
  }

  /** Who bears this token. */
  bearer(token: string): Principal | undefined {
    const shown = this.#shown.get(token);
    if (shown !== undefined) return shown;
    const hash = Buffer.from(digest(token));
    const found = this.#known.find((one) => timingSafeEqual(Buffer.from(one.hash), hash));
    if (found === undefined) return undefined;
    const principal = { name: found.name, role: found.role };
    this.#shown.set(token, principal);
    return principal;
  }

  /** Who sends this request: by `Authorization: Bearer`, by the dashboard's cookie, or as somebody at this computer at the first start. */
  principal(request: IncomingMessage): Principal | undefined {
    const { authorization, cookie: cookies = "" } = request.headers;
    const given = /^Bearer +([\w-]{1,100})$/i.exec(authorization ?? "")?.[1];
    if (given !== undefined) return this.bearer(given);
    if (authorization !== undefined) return undefined;
    const kept = new RegExp(`(?:^|; *)${cookie}=([\\w-]{1,100})(?:;|$)`).exec(cookies)?.[1];
    // What a browser sends by itself counts only from our own pages (the cookie is SameSite=Strict besides).
    if (!sameOrigin(request)) return undefined;
    if (kept !== undefined) return this.bearer(kept);
    if (this.first !== undefined && isLocal(request))
      return { name: "this computer", role: "admin" };
    return undefined;
  }

  /** Seconds to wait, where somebody asks too often. */
  limit({ name }: Principal, now = steady()): number | undefined {
    const bucket = this.#buckets.get(name) ?? { tokens: burst, at: now };
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * rate);
    bucket.at = now;
    this.#buckets.set(name, bucket);
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / rate);
    bucket.tokens--;
    return undefined;
  }
}

/** Keeps a token in the browser, out of reach of scripts. */
export function cookieOf(token: string, secure: boolean): string {
  return `${cookie}=${token}; HttpOnly; SameSite=Strict; Path=/${secure ? "; Secure" : ""}; Max-Age=31536000`;
}

/** Whether a browser says that one of our own pages asks; programs that are not browsers say nothing of it. */
export function sameOrigin({ headers }: IncomingMessage): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return false;
  const { origin } = headers;
  if (origin === undefined) return true;
  try {
    return new URL(origin).host === headers.host;
  } catch {
    return false;
  }
}

/** Whether a request comes from this computer, was not passed on, and names this computer (against DNS rebinding). */
function isLocal({ socket, headers }: IncomingMessage): boolean {
  const from = socket.remoteAddress?.replace(/^::ffff:/, "");
  if (from === undefined || !(from === "::1" || from.startsWith("127."))) return false;
  if (headers["forwarded"] !== undefined || headers["x-forwarded-for"] !== undefined) return false;
  const host = (headers.host ?? "").replace(/:\d+$/, "");
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

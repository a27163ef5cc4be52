// Who may be connected. Where all places are taken, strangers give way to who comes next: first those of the address that has most of
// them. Whoever has shown a token keeps his place, so no number of connections shuts out the gateway's own people; and one token has at
// most half of the places, so that a stolen one shuts out nobody either.
import type { Socket } from "node:net";

const nameOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress}:${remotePort}`;

/** Names of connections by whose they are, the oldest of each first. */
class Shares {
  readonly #all = new Map<string, Set<string>>();

  add(whose: string, name: string): void {
    const own = this.#all.get(whose) ?? new Set<string>();
    this.#all.set(whose, own.add(name));
  }

  delete(whose: string, name: string): void {
    const own = this.#all.get(whose);
    if (own?.delete(name) && own.size === 0) this.#all.delete(whose);
  }

  size(whose: string): number {
    return this.#all.get(whose)?.size ?? 0;
  }

  oldest(whose: string): string | undefined {
    return this.#all.get(whose)?.values().next().value;
  }

  /** Who has most; `first` among equals. */
  largest(first: string): string {
    let [largest, most] = [first, this.size(first)];
    for (const [whose, { size }] of this.#all) if (size > most) [largest, most] = [whose, size];
    return largest;
  }
}

export class Connections {
  readonly #most: number;
  readonly #all = new Map<string, Socket>();
  /** Those that have shown no token, by address. */
  readonly #strangers = new Shares();
  /** The others, by the token's name, and whose each is. */
  readonly #own = new Shares();
  readonly #tokens = new Map<string, string>();

  constructor(most: number) {
    this.#most = most;
  }

  /** A connection was opened: it is counted until it is closed. Beyond the limit another one, or this one, is ended. */
  take(socket: Socket): void {
    const name = nameOf(socket);
    const address = socket.remoteAddress ?? "";
    this.#all.set(name, socket);
    this.#strangers.add(address, name);
    socket.once("close", () => this.#forget(name, address));
    if (this.#all.size > this.#most)
      this.#end(this.#strangers.oldest(this.#strangers.largest(address)));
  }

  /** Somebody with a token of this name asks through this connection. Over TLS it is another socket of the same peer. */
  admit(socket: Socket, token: string): void {
    const name = nameOf(socket);
    if (!this.#all.has(name) || this.#tokens.get(name) === token) return;
    this.#forgetOwner(name, socket.remoteAddress ?? "");
    this.#tokens.set(name, token);
    this.#own.add(token, name);
    if (this.#own.size(token) > this.#most / 2) this.#end(this.#own.oldest(token));
  }

  #end(name = ""): void {
    const socket = this.#all.get(name);
    this.#forget(name, socket?.remoteAddress ?? "");
    socket?.destroy();
  }

  #forget(name: string, address: string): void {
    this.#all.delete(name);
    this.#forgetOwner(name, address);
    this.#tokens.delete(name);
  }

  #forgetOwner(name: string, address: string): void {
    this.#strangers.delete(address, name);
    this.#own.delete(this.#tokens.get(name) ?? "", name);
  }
}

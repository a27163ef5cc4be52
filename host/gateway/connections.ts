// Who may be connected. Where all places are taken, strangers give way to who comes next: first those of the address that has most of
// them. Whoever has shown a token keeps his place, so no number of connections shuts out the gateway's own people.
import type { Socket } from "node:net";

const nameOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress}:${remotePort}`;

export class Connections {
  readonly #most: number;
  readonly #all = new Map<string, Socket>();
  /** Strangers by address, the oldest of each first. */
  readonly #strangers = new Map<string, Set<string>>();

  constructor(most: number) {
    this.#most = most;
  }

  /** A connection was opened: it is counted until it is closed. Beyond the limit another one, or this one, is ended. */
  take(socket: Socket): void {
    const name = nameOf(socket);
    const address = socket.remoteAddress ?? "";
    this.#all.set(name, socket);
    let own = this.#strangers.get(address);
    if (own === undefined) this.#strangers.set(address, (own = new Set()));
    own.add(name);
    socket.once("close", () => this.#forget(name, address));
    if (this.#all.size > this.#most) this.#makeRoom(address);
  }

  /** Somebody with a token asks through this connection. Over TLS it is another socket of the same peer. */
  admit(socket: Socket): void {
    this.#forgetStranger(nameOf(socket), socket.remoteAddress ?? "");
  }

  #makeRoom(newest: string): void {
    let largest = newest;
    let most = this.#strangers.get(newest)?.size ?? 0;
    for (const [address, { size }] of this.#strangers)
      if (size > most) [largest, most] = [address, size];
    const [oldest = ""] = this.#strangers.get(largest) ?? [];
    const socket = this.#all.get(oldest);
    this.#forget(oldest, largest);
    socket?.destroy();
  }

  #forget(name: string, address: string): void {
    this.#all.delete(name);
    this.#forgetStranger(name, address);
  }

  #forgetStranger(name: string, address: string): void {
    const own = this.#strangers.get(address);
    if (own?.delete(name) && own.size === 0) this.#strangers.delete(address);
  }
}

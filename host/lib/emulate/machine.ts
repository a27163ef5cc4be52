// What can be emulated, how it is reached, and what a running node offers; each machine has a file of its own beside this one.

/** What a node can run on here. */
export type Machine = "native" | "qemu-stm32" | "qemu-mps2" | "renode";
export const machines: readonly Machine[] = ["native", "qemu-stm32", "qemu-mps2", "renode"];

/** How a node that is started here is reached. */
export type Link = "udp" | "serial" | "ethernet";

/** Why a machine cannot be reached by this link. */
export function unfitLink(machine: Machine, link: Link | undefined): string | undefined {
  const fit: Partial<Record<Machine, readonly Link[]>> = {
    native: ["udp", "serial"],
    renode: ["serial", "ethernet"],
    "qemu-stm32": ["serial"],
    "qemu-mps2": ["ethernet", "udp"],
  };
  return link === undefined || fit[machine]?.includes(link)
    ? undefined
    : `${machine} has no link ${link}: it has ${fit[machine]?.join(", ")}`;
}

export interface EmulateOptions {
  machine: Machine;
  /** The file that is the node's flash; made when it does not exist. Without one the node starts empty each time. */
  flash?: string;
  /** The node's name, where the machine lets it be given. */
  name?: string;
  /**
   * Native: `serial` for a pseudo-terminal instead of UDP. Renode: `ethernet` for a network in a namespace of its own instead of the
   * serial line (Linux, root or user namespaces). The other boards have the link they have.
   */
  link?: Link;
  /** Further words for the node's program or for QEMU. */
  arguments?: string[];
  /** Ends the node when it fires, in order where it can be. */
  signal?: AbortSignal;
}

/** A level the node gave one of its pins. */
export interface PinChange {
  pin: number;
  level: number;
}

/** A running node. */
export interface Emulated {
  readonly machine: Machine | "board";
  /** As every verb takes it: `coap://127.0.0.1:40001` or `serial:/dev/pts/3`. */
  readonly address: string;
  /** All it has said so far: its console and what its program wrote to standard error. */
  readonly console: readonly string[];
  /** What its pins did, in order. */
  readonly pins: readonly PinChange[];
  /** Gives one of its sensors a value. */
  feed(sensor: string, value: number): void;
  /** Presses the reset button. */
  reset(): Promise<void>;
  /** Gives the board's firmware a line of its own, on the machines whose firmware takes any. */
  command?(line: string): void;
  /** Plugs the network cable in or pulls it, on the machines that have one. */
  plug?(up: boolean): Promise<void>;
  /** Cuts the power. */
  stop(): Promise<void>;
  /** Ends it in order, where it can be: what its module remembers is written first. */
  end?(): Promise<void>;
  /** What went wrong when it was ended, if something did. */
  readonly complaint?: string | undefined;
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
}

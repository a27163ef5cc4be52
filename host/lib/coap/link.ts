// A way to one node, whatever carries its datagrams.

/** A way to one node. */
export interface Link {
  /** The address it was opened with. */
  readonly address: string;
  /** Sends a datagram, or loses it. */
  send(datagram: Uint8Array): void;
  /** Called for each datagram that comes in. */
  onDatagram: (datagram: Buffer) => void;
  /** Called for each line of text that a serial line carries beside the datagrams. */
  onText: (text: string) => void;
  /** Called when the network says that nothing listens there (ICMP). */
  onUnreachable: (cause: Error) => void;
  /** Called once when the link is lost. */
  onLost: (cause: Error) => void;
  close(): Promise<void>;
}

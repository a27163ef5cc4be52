// History, whatever keeps it: sqlite/ inside this process, postgres/ for those who have one.

/** A value as it is kept; null without a text is a gap. */
export interface Row {
  node: string;
  resource: string;
  /** Milliseconds since 1970. */
  time: number;
  value: number | null;
  /** What the value is where an output is a text or a record: it is kept raw, and in no step. */
  text?: string;
}

/** Steps of time that values are kept summed up by, in milliseconds. */
export const resolutions = { raw: 0, "1m": 60_000, "1h": 3_600_000 } as const;
export type Resolution = keyof typeof resolutions;

export interface Query {
  node: string;
  resource: string;
  /** Milliseconds since 1970, from inclusive, to exclusive. */
  from: number;
  to: number;
  resolution: Resolution;
  /** Points at most; the oldest come first. */
  limit: number;
}

/** Points of one answer at most. */
export const mostPoints = 100_000;

/** One value, or what a step of time had. */
export interface Point {
  time: number;
  /** The value; the mean of a step; null without a text is a gap. */
  value: number | null;
  text?: string;
  n?: number;
  min?: number;
  max?: number;
  sum?: number;
  last?: number;
}

export interface Series {
  node: string;
  resource: string;
}

export interface HistoryState {
  /** Rows that wait to be written. */
  waiting: number;
  written: number;
  /** Rows given up because they could not be written. */
  lost: number;
  /** Bytes on the disk. */
  bytes: number;
  /** Why nothing can be written just now. */
  trouble: string | undefined;
}

export interface History {
  /**
   * Begins a gateway's run, for who writes and not who reads: nobody looked since it ended, which is a gap behind the last value of each series
   * that no other gateway writes meanwhile. `gateway` is its identity, the same in each of its runs.
   */
  resume(gateway: string): Promise<void>;
  /** Takes a value; it is on the disk within 200 ms, unless the disk does not take it. */
  append(row: Row): void;
  query(query: Query): Promise<Point[]>;
  series(): Promise<Series[]>;
  /** Writes what waits. */
  flush(): Promise<void>;
  state(): HistoryState;
  close(): Promise<void>;
}

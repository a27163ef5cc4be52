// What the dashboard knows of a node.

/** A node as /api/nodes has it. */
export interface Summary {
  name: string;
  address: string;
  lastSeen: number | null;
  trouble?: string;
  board: string | null;
  package: {
    name?: string;
    version?: string;
    state: string;
    sequence?: number;
    digest?: string;
    ram?: number;
    trial?: number;
  } | null;
  memory: number | null;
  fuel: { most: number | null; limit: number | null };
  event: { what: string; sequence: number; text: string } | null;
}

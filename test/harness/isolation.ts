// Each test file has a folder of its own for what is kept of a user (XDG_STATE_HOME: secrets, notes of emulated nodes): runs side by
// side, and the user whose computer it is, are not in each other's way.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "wasmote-user-"));
process.env["XDG_STATE_HOME"] = folder;
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

// A secured node by the verbs of the command line: nobody is asked for keys, and they can be changed.
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { begin, wasmote, wasmoteJson } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

interface Listed {
  place: number;
  rights: string;
  own: boolean;
}

test("a node is made secured, used by its name, and its contexts come, go and follow each other", async () => {
  using folder = scratch();
  const project = join(folder.path, "river");
  expect((await wasmote(folder.path, "new", project)).code).toBe(0);
  const words = ["emulate", "--name", "wye", "--secure", "--json"];
  const node = begin(project, words);
  try {
    await node.shows(/"address":"coap/);
    const { address } = JSON.parse(node.ran.out) as { address: string };
    const get = (...more: string[]) => wasmote(project, "get", "stats", ...more);
    expect((await get("--node", "wye")).code).toBe(0);
    // The same node by its address: the project knows whose that is.
    expect((await get("--node", address)).code).toBe(0);
    // Somebody else's project knows nothing.
    const other = join(folder.path, "other");
    await wasmote(folder.path, "new", other);
    const stranger = await wasmote(other, "get", "stats", "--node", address);
    expect(stranger.code).not.toBe(0);
    expect(stranger.err).toMatch(/no context/);
    const keys = (...more: string[]) =>
      wasmoteJson<never>(project, "keys", ...more, "--node", "wye");
    expect(await keys()).toMatchObject([
      { place: 0, rights: "read,operate,install,admin", own: true },
    ]);
    const made = join(folder.path, "reader");
    await keys("add", "--rights", "read", "--output", made);
    expect(statSync(made).mode & 0o777).toBe(0o700);
    expect(statSync(join(made, "settings.json")).mode & 0o777).toBe(0o600);
    const settings = JSON.parse(readFileSync(join(made, "settings.json"), "utf8")) as object;
    expect(settings).toMatchObject({ algorithm: "AES-CCM-16-64-128", salt_hex: "" });
    expect(await keys("rotate")).toMatchObject({ node: "wye", place: 2 });
    const after = (await keys()) as Listed[];
    expect(after.filter(({ own }) => own)).toMatchObject([{ place: 2 }]);
    expect(after.map(({ place }) => place)).toEqual([1, 2]);
    await keys("revoke", "1");
    const last = await wasmote(project, "keys", "revoke", "2", "--node", "wye");
    expect(last.err).toMatch(/last administrator/);
    expect(last.code).not.toBe(0);
    const doctor = await wasmote(project, "doctor", "--node", "wye");
    expect(doctor.out).toMatch(/ok.*answers only those who have a context/);
    // No secret anywhere in what was printed.
    const kept = readFileSync(join(project, ".wasmote/keys/wye/contexts.json"), "utf8");
    const secret = /"secret":"([0-9a-f]{32})"/.exec(kept)![1]!;
    for (const { out, err } of [stranger, last, doctor]) expect(out + err).not.toContain(secret);
  } finally {
    node.child.kill("SIGINT");
    await node.ended;
  }
});

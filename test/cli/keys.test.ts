// A secured node by the verbs of the command line: nobody is asked for keys, and they can be changed.
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { emulatedHere, numbersOf } from "../../host/lib/emulated.ts";
import { Node } from "../../host/lib/node.ts";
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
  const words = ["emulate", "--name", "wye", "--json"];
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
    expect(await keys("rotate")).toMatchObject({ place: 2 });
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
    const kept = readFileSync(join(project, ".wasmote/keys/wye@emulated/contexts.json"), "utf8");
    const secret = /"secret":"([0-9a-f]{32})"/.exec(kept)![1]!;
    for (const { out, err } of [stranger, last, doctor]) expect(out + err).not.toContain(secret);
  } finally {
    node.child.kill("SIGINT");
    await node.ended;
  }
});

test("an open node is asked for, and said to be open wherever it is met", async () => {
  using folder = scratch();
  const project = join(folder.path, "river");
  expect((await wasmote(folder.path, "new", project, "--open")).out).toMatch(/\nopen: whoever/);
  expect(readFileSync(join(project, "wasmote.toml"), "utf8")).toMatch(/^open = true$/m);
  const node = begin(project, ["emulate", "--name", "wye", "--json"]);
  try {
    await node.shows(/"security":"open"/);
    const { address } = JSON.parse(node.ran.out) as { address: string };
    const info = await wasmote(project, "info", "--node", "wye");
    expect(info.out).toMatch(/security +open: whoever reaches it may read and change it/);
    const pushed = await wasmote(project, "push", "--node", "wye", "--no-wait");
    expect(pushed).toMatchObject({ code: 0 });
    expect(pushed.err.split("\n")[0]).toMatch(/^note: the node is open: whoever/);
    // Anybody's.
    const get = await wasmote(folder.path, "get", "stats", "--node", address);
    expect(get.code).toBe(0);
    const doctor = await wasmote(project, "doctor", "--node", "wye");
    expect(doctor.out).toMatch(/without .*only those who have a context \(it is open\)/);
  } finally {
    node.child.kill("SIGINT");
    await node.ended;
  }
  // Of one that was made secured --open makes no open one behind its owner's back.
  const other = join(folder.path, "other");
  await wasmote(folder.path, "new", other);
  const secured = begin(other, ["emulate", "--name", "usk"]);
  await secured.shows(/usk at coap:.*secured: only those who have a context/);
  secured.child.kill("SIGINT");
  await secured.ended;
  const again = await wasmote(other, "emulate", "--name", "usk", "--open");
  expect(again).toMatchObject({ code: 1 });
  expect(again.err).toMatch(/answer this project alone, .*\n {2}what to do: /);
  const both = await wasmote(other, "provision", "--open", "--hidden");
  expect(both.code).toBe(2);
  const record = join(other, "record.bin");
  const provisioned = await wasmote(other, "provision", record, "--name", "severn");
  expect(provisioned.out).toMatch(/secured: it answers this project, which knows it as severn/);
  expect(statSync(record).mode & 0o777).toBe(0o600);
});

test("a node without a name answers this user's verbs as long as it runs, and nothing of its context stays", async () => {
  using folder = scratch();
  const node = begin(folder.path, ["emulate", "--json"]);
  await node.shows(/"security":"secured"/);
  const { address } = JSON.parse(node.ran.out) as { address: string };
  const note = emulatedHere().find((one) => one.address === address)!;
  const stats = await wasmote(folder.path, "get", "stats", "--node", address);
  expect(stats).toMatchObject({ code: 0, err: "" });
  expect(existsSync(numbersOf(note.process))).toBe(true);
  await using stranger = await Node.connect(address, { context: null });
  expect(await stranger.front()).toMatchObject({ security: "secured", full: false });
  node.child.kill("SIGINT");
  expect((await node.ended).code).toBe(0);
  expect(existsSync(numbersOf(note.process))).toBe(false);
  expect(emulatedHere().some((one) => one.address === address)).toBe(false);
  expect(existsSync(join(folder.path, ".wasmote"))).toBe(false);
});

// A secured node by the verbs of the command line: nobody is asked for keys, and they can be changed.
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "coap-packet";
import { expect, test } from "vitest";
import { emulate } from "../../host/lib/emulate.ts";
import { emulatedHere, numbersOf } from "../../host/lib/emulated.ts";
import { Node } from "../../host/lib/node.ts";
import { makeFlash, provisionOffset } from "../../host/lib/package.ts";
import { Between } from "../harness/between.ts";
import { begin, wasmote, wasmoteJson } from "../harness/command.ts";
import { childrenOf } from "../harness/processes.ts";
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
    expect(stranger.err).toMatch(/this computer has none with the node/);
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

test("a node that nobody has given a context is claimed over its cable, once, and by no network", async () => {
  using folder = scratch();
  const project = join(folder.path, "river");
  await wasmote(folder.path, "new", project);
  const flash = join(folder.path, "flash");
  writeFileSync(flash, makeFlash({ name: "usk", keys: [] }));
  const claim = (place: string, ...more: string[]) =>
    wasmote(project, "keys", "claim", "--node", place, ...more);
  {
    const node = await emulate({ machine: "native", flash });
    const refused = await claim(node.address);
    await node.stop();
    expect(refused.code).toBe(5);
    expect(refused.err).toMatch(/4\.0[13]/);
  }
  const node = await emulate({ machine: "native", flash, link: "serial" });
  try {
    const claimed = await claim(node.address);
    expect(claimed).toMatchObject({ code: 0, err: "" });
    expect(claimed.out).toMatch(/^usk answers this project only/);
    expect((await claim(node.address)).err).toMatch(/usk is secured: only a node that nobody/);
    const info = await wasmote(project, "info", "--node", node.address);
    expect(info.out).toMatch(/security +secured/);
    const stranger = await wasmote(folder.path, "get", "stats", "--node", node.address);
    expect(stranger.err).toMatch(/this computer has none with the node/);
    await node.reset();
    expect((await wasmote(project, "get", "stats", "--node", node.address)).code).toBe(0);
    expect((await wasmote(project, "keys", "forget", "usk")).code).toBe(0);
    expect((await wasmote(project, "get", "stats", "--node", node.address)).err).toMatch(
      /this computer has none with the node/,
    );
  } finally {
    await node.stop();
  }
});

/** How a secret could be written down. */
function spellings(secret: Buffer): string[] {
  const hex = secret.toString("hex");
  const list = [...secret].join(",");
  return [
    hex,
    hex.toUpperCase(),
    secret.toString("base64"),
    secret.toString("base64url"),
    list,
    list.replaceAll(",", ", "),
  ];
}

test("key material is in no output, error or log, and in no file that others may read", async () => {
  using folder = scratch();
  const project = join(folder.path, "river");
  await wasmote(folder.path, "new", project);
  const node = begin(project, ["emulate", "--name", "wye", "--json"]);
  try {
    await node.shows(/"address":"coap/);
    // Nor in a core file of the verb or of the node (core(5)).
    if (existsSync("/proc/self/coredump_filter")) {
      const pid = node.child.pid!;
      const children = childrenOf(pid);
      expect(children).not.toHaveLength(0);
      const filters = [pid, ...children].map((one) =>
        readFileSync(`/proc/${one}/coredump_filter`, "utf8").trim(),
      );
      expect(new Set(filters)).toEqual(new Set(["00000000"]));
    }
    const said: string[] = [];
    for (const words of [
      ["info", "--verbose"],
      ["info", "--json"],
      ["keys", "--json"],
      ["keys", "add", "--rights", "read", "--output", join(project, "reader"), "--json"],
      ["keys", "rotate"],
      ["keys", "revoke", "7"],
      ["keys", "add", "--rights", "nonsense", "--output", "x"],
      ["get", "node"],
      ["get", "keys"],
      ["get", "log"],
      ["get", "stats"],
      ["get", "keys/0"],
      ["put", "keys/3", "nonsense"],
      ["push", "--no-wait"],
      ["logs"],
      ["doctor"],
      ["provision", "record.bin", "--name", "severn"],
    ]) {
      const node_ = ["doctor", "provision"].includes(words[0]!) ? [] : ["--node", "wye"];
      const { out, err } = await wasmote(project, ...words, ...node_);
      said.push(out, err);
    }
    said.push(node.ran.out, node.ran.err);
    const keys = ["wye@emulated", "severn"].flatMap((name) =>
      (
        JSON.parse(readFileSync(join(project, ".wasmote/keys", name, "contexts.json"), "utf8")) as {
          secret: string;
        }[]
      ).map(({ secret }) => Buffer.from(secret, "hex")),
    );
    const { secret_hex } = JSON.parse(
      readFileSync(join(project, "reader/settings.json"), "utf8"),
    ) as Record<string, string>;
    keys.push(Buffer.from(secret_hex!, "hex"));
    expect(keys.length).toBe(3);
    const key = readFileSync(join(project, ".wasmote/key.pem"), "utf8").split("\n")[1]!;
    const all = said.join("\n");
    expect(all.length).toBeGreaterThan(2_000);
    for (const one of keys.flatMap(spellings)) expect(all).not.toContain(one);
    expect(all).not.toContain(key);
    // Whatever file has one of them: for this user only, and so is the way to it.
    let found = 0;
    for (const entry of readdirSync(folder.path, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const content = readFileSync(path);
      const text = content.toString("latin1");
      const holds = keys.some(
        (one) => content.includes(one) || spellings(one).some((word) => text.includes(word)),
      );
      if (!holds && !text.includes(key)) continue;
      found++;
      expect(statSync(path).mode & 0o077, path).toBe(0);
    }
    expect(found).toBeGreaterThanOrEqual(6);
  } finally {
    node.child.kill("SIGINT");
    await node.ended;
  }
});

test("keys are exchanged with a node, which is this project's again when what it had with it is lost", async () => {
  using folder = scratch();
  const project = join(folder.path, "river");
  expect((await wasmote(folder.path, "new", project)).code).toBe(0);
  const node = begin(project, ["emulate", "--name", "wye", "--json"]);
  try {
    await node.shows(/"address":"coap/);
    const { address } = JSON.parse(node.ran.out) as { address: string };
    const kept = join(project, ".wasmote/keys/wye@emulated/contexts.json");
    const read = () =>
      JSON.parse(readFileSync(kept, "utf8")) as { secret: string; salt?: string }[];
    const keys = (...more: string[]) =>
      wasmoteJson<never>(project, "keys", ...more, "--node", "wye");
    const before = read();
    expect(await keys("exchange")).toEqual({ node: "wye@emulated", place: 1 });
    const after = read();
    expect(after).toHaveLength(1);
    expect(after[0]!.salt).toMatch(/^[0-9a-f]{16}$/);
    expect(after[0]!.secret).not.toBe(before[0]!.secret);
    expect(statSync(kept).mode & 0o777).toBe(0o600);
    // What came of it is as any other: it is used by itself, listed and rotated.
    expect((await wasmote(project, "get", "stats", "--node", "wye")).code).toBe(0);
    const all = async () => (await keys()) as Listed[];
    await expect.poll(async () => (await all()).length).toBe(1);
    expect(await all()).toMatchObject([
      { place: 1, own: true, rights: "read,operate,install,admin" },
    ]);
    await keys("rotate");
    await expect.poll(async () => (await all()).length).toBe(1);
    // Nothing is left of it here but who the node is.
    await wasmote(project, "keys", "forget", "wye@emulated");
    expect((await wasmote(project, "get", "stats", "--node", "wye")).code).not.toBe(0);
    await keys("exchange");
    await expect.poll(async () => (await all()).length).toBe(1);
    // Another project is not known to it, whatever it knows of the node.
    const other = join(folder.path, "other");
    await wasmote(folder.path, "new", other);
    const told = (await wasmoteJson<never>(project, "keys", "identity", "wye")) as {
      credential: string;
      kid: string;
    };
    expect(told).toEqual({
      credential: expect.stringMatching(/^a1/) as unknown,
      kid: expect.stringMatching(/^[0-9a-f]{8}$/) as unknown,
    });
    const blind = await wasmote(other, "keys", "exchange", "--node", address);
    expect(blind.err).toMatch(/does not know the credential of wye/);
    const refused = await wasmote(other, "keys", "exchange", told.credential, "--node", address);
    expect(refused.err).toMatch(/it does not know our credential/);
    expect(existsSync(join(other, ".wasmote/keys/wye/contexts.json"))).toBe(false);
    const wrong = await wasmote(other, "keys", "exchange", "a108", "--node", address);
    expect(wrong).toMatchObject({ code: 2 });
    // The secrets of neither stand in what was printed.
    const identity = readFileSync(join(project, ".wasmote/identity.json"), "utf8");
    const { secret } = JSON.parse(identity) as { secret: string };
    expect(statSync(join(project, ".wasmote/identity.json")).mode & 0o777).toBe(0o600);
    for (const { out, err } of [blind, refused, wrong])
      for (const one of [secret, ...read().map((key) => key.secret)])
        expect(out + err).not.toContain(one);
  } finally {
    node.child.kill("SIGINT");
    await node.ended;
  }
});

test("a node that says it is called as another one of the project takes nothing of that one's away", async () => {
  using folder = scratch();
  const [project, other] = ["river", "other"].map((name) => join(folder.path, name)) as [
    string,
    string,
  ];
  for (const one of [project, other]) await wasmote(folder.path, "new", one);
  const identity = async (one: string, ...more: string[]) =>
    (await wasmoteJson<{ credential: string }>(one, "keys", "identity", ...more)).credential;
  // Each project has a node wye; the other one's takes this project's key.
  const provision = ["provision", "record.bin", "--name", "wye"];
  expect((await wasmote(project, ...provision)).code).toBe(0);
  const ours = await identity(project);
  expect((await wasmote(other, ...provision, "--initiator", `admin=${ours}`)).code).toBe(0);
  const flash = makeFlash({ keys: [] });
  flash.set(readFileSync(join(other, "record.bin")), provisionOffset);
  const file = join(folder.path, "flash");
  writeFileSync(file, flash);
  const node = await emulate({ machine: "native", flash: file });
  try {
    const kept = ["keys/wye/contexts.json", "credentials/wye.json"].map((one) =>
      join(project, ".wasmote", one),
    );
    const before = kept.map((one) => readFileSync(one, "utf8"));
    const theirs = await identity(other, "wye");
    const ask = () => wasmote(project, "keys", "exchange", theirs, "--node", node.address);
    const refused = await ask();
    expect(refused.code).toBe(6);
    expect(refused.err).toMatch(/this project has a node wye already[^]*what to do: .*--name/);
    expect(kept.map((one) => readFileSync(one, "utf8"))).toEqual(before);
    // Nor where only its contexts are known.
    rmSync(kept[1]!);
    expect((await ask()).code).toBe(6);
    expect(readFileSync(kept[0]!, "utf8")).toBe(before[0]);
  } finally {
    await node.stop();
  }
});

test("others are provisioned to exchange keys with a node, with their rights", async () => {
  using folder = scratch();
  const [project, other] = ["river", "other"].map((name) => join(folder.path, name)) as [
    string,
    string,
  ];
  for (const one of [project, other]) await wasmote(folder.path, "new", one);
  const { credential } = (await wasmoteJson<never>(other, "keys", "identity")) as {
    credential: string;
  };
  const record = join(project, "record.bin");
  const words = ["provision", record, "--name", "wye", "--initiator"];
  expect((await wasmote(project, ...words, "read=a108")).code).toBe(2);
  expect((await wasmote(project, ...words, `fly=${credential}`)).code).toBe(2);
  const hidden = await wasmote(project, ...words, `read=${credential}`, "--hidden");
  expect(hidden).toMatchObject({ code: 2 });
  expect(hidden.err).toMatch(/takes part in no key exchange/);
  const four = Array.from({ length: 4 }, () => `read=${credential}`);
  expect((await wasmote(project, ...words, ...four)).err).toMatch(/4 at most/);
  expect((await wasmote(project, ...words, `read=${credential}`)).code).toBe(0);
  const flash = makeFlash({ keys: [] });
  flash.set(readFileSync(record), provisionOffset);
  const file = join(folder.path, "flash");
  writeFileSync(file, flash);
  // Who starts it without its name is told how it is guarded all the same.
  const unnamed = begin(project, ["emulate", "native", "--flash", file, "--json"]);
  await unnamed.shows(/"address"/);
  expect(JSON.parse(unnamed.ran.out)).toMatchObject({ security: "secured" });
  unnamed.child.kill("SIGINT");
  await unnamed.ended;
  const node = await emulate({ machine: "native", flash: file });
  try {
    const here = (await wasmoteJson<never>(project, "keys", "identity", "wye")) as {
      credential: string;
    };
    const words = ["keys", "exchange", here.credential, "--node", node.address];
    expect(await wasmoteJson<never>(other, ...words)).toEqual({ node: "wye" });
    expect((await wasmote(other, "get", "stats", "--node", node.address)).code).toBe(0);
    const refused = await wasmote(other, "put", "time", "5", "--node", node.address);
    expect(refused.err).toMatch(/4\.03/);
    // The administrator takes it away for good.
    const all = (await wasmoteJson<never>(project, "keys", "--node", node.address)) as Listed[];
    const { place } = all.find((one) => one.rights === "read")!;
    const revoked = await wasmote(project, "keys", "revoke", `${place}`, "--node", node.address);
    expect(revoked.code).toBe(0);
    const again = await wasmote(other, ...words);
    expect(again.err).toMatch(/it does not know our credential/);
    // Whose context is gone is told how to come to another.
    const gone = await wasmote(other, "get", "stats", "--node", node.address);
    expect(gone.err).toMatch(/what to do: .*`wasmote keys exchange`/);
    expect((await wasmote(other, "doctor", "--node", node.address)).out).toMatch(
      /mend it with: wasmote keys exchange/,
    );
  } finally {
    await node.stop();
  }
});

test("under a context keys are exchanged where nobody in between sees it, and a node may be named by its address", async () => {
  using folder = scratch();
  const project = join(folder.path, "river");
  await wasmote(folder.path, "new", project);
  const record = join(project, "record.bin");
  expect((await wasmote(project, "provision", record, "--name", "wye")).code).toBe(0);
  const flash = makeFlash({ keys: [] });
  flash.set(readFileSync(record), provisionOffset);
  const file = join(folder.path, "flash");
  writeFileSync(file, flash);
  const node = await emulate({ machine: "native", flash: file });
  try {
    using between = await Between.before(node.address);
    const toml = join(project, "wasmote.toml");
    const words = readFileSync(toml, "utf8");
    writeFileSync(toml, `${words}wye = "${between.address}"\n`);
    /** The paths of requests that went by in the open since the last time, and how many were protected. */
    const seen = (by = between) => {
      const open: string[] = [];
      let sealed = 0;
      for (const datagram of by.captured.splice(0)) {
        const { code, options } = parse(datagram);
        if (!/^0\.0[1-7]$/.test(code)) continue;
        if (options.some(({ name }) => name === "OSCORE")) sealed++;
        else
          open.push(
            options
              .filter(({ name }) => name === "Uri-Path")
              .map(({ value }) => value.toString())
              .join("/"),
          );
      }
      return { open, sealed };
    };
    const keys = (...more: string[]) => wasmoteJson<never>(project, "keys", ...more);
    const exchange = () => keys("exchange", "--node", "wye");
    expect(await exchange()).toMatchObject({ node: "wye" });
    const hidden = seen();
    expect(hidden.open).toEqual([]);
    expect(hidden.sealed).toBeGreaterThan(2);
    // Whoever has none shows it: it is seen here when there is something to see.
    await keys("forget", "wye");
    expect(await exchange()).toMatchObject({ node: "wye" });
    expect(seen().open.filter((path) => path === ".well-known/edhoc").length).toBeGreaterThan(1);
    // By an address that wasmote.toml does not have: whose it is, the node says.
    const own = ["--node", node.address];
    expect(await keys(...own)).toMatchObject([{ own: true }]);
    expect(await keys("rotate", ...own)).toMatchObject({ node: "wye" });
    await expect.poll(() => keys(...own)).toMatchObject([{ own: true }]);
    using another = await Between.before(node.address);
    const again = await keys("exchange", "--node", another.address);
    expect(again).toMatchObject({ node: "wye" });
    const { open, sealed } = seen(another);
    expect(new Set(open)).toEqual(new Set(["node"]));
    expect(sealed).toBeGreaterThan(2);
    expect(await keys("--node", "wye")).toMatchObject([{ own: true }]);
    // A context that the node does not know any more keeps nobody from another one.
    const kept = join(project, ".wasmote/keys/wye/contexts.json");
    const [key] = JSON.parse(readFileSync(kept, "utf8")) as { peer: number; node: number }[];
    const peer = [0xf1, 0xf2, 0xf3].find((one) => one !== key!.peer && one !== key!.node);
    writeFileSync(kept, JSON.stringify([{ ...key, peer }]));
    expect((await wasmote(project, "get", "stats", "--node", "wye")).code).not.toBe(0);
    expect(await exchange()).toMatchObject({ node: "wye" });
    expect((await wasmote(project, "get", "stats", "--node", "wye")).code).toBe(0);
  } finally {
    await node.stop();
  }
});

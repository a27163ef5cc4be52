// A verb that is killed, and can do nothing about it: what it started ends with it all the same.
import { once } from "node:events";
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { missing, type Machine } from "../../host/lib/emulate.ts";
import { begin } from "../harness/command.ts";
import { childrenOf, noProcesses, runs } from "../harness/processes.ts";
import { scratch } from "../harness/target.ts";

for (const machine of ["native", "qemu-stm32", "qemu-mps2"] satisfies Machine[]) {
  const reason = noProcesses ?? missing(machine);
  const why = reason === undefined ? "" : ` (skipped: ${reason})`;
  test.skipIf(reason)(
    `emulate ${machine} leaves nothing behind when it is killed${why}`,
    async () => {
      using folder = scratch();
      const { child, shows, ended } = begin(folder.path, ["emulate", machine, "--json"]);
      await shows(/"address"/);
      const children = childrenOf(child.pid!);
      expect(children.length).toBeGreaterThan(0);
      child.kill("SIGKILL");
      await ended;
      await expect.poll(() => children.filter(runs)).toEqual([]);
    },
  );
}

test("what a killed verb left in the folder for temporary files goes with the next, and nobody else's", async () => {
  using folder = scratch();
  const place = join(folder.path, "temporary");
  mkdirSync(place);
  const emulated = async () => {
    const verb = begin(folder.path, ["emulate", "native", "--json"], { TMPDIR: place });
    await verb.shows(/"address"/);
    return verb;
  };
  const first = await emulated();
  const left = readdirSync(place).filter((name) => name.startsWith("wasmote-"));
  expect(left.length).toBeGreaterThan(0);
  first.child.kill("SIGKILL");
  await first.ended;
  expect(readdirSync(place)).toEqual(expect.arrayContaining(left));
  const [model] = left;
  const another = model!.replace(/-\w+-\d+-/, `-elsewhere-${first.child.pid}-`);
  const alive = model!.replace(/-\d+-/, `-${process.pid}-`);
  const others = [another, alive, "wasmote-1-2-3", "something"].toSorted();
  for (const name of others) mkdirSync(join(place, name));
  const second = await emulated();
  expect(readdirSync(place).filter((name) => left.includes(name))).toEqual([]);
  second.child.kill("SIGINT");
  expect((await second.ended).code).toBe(0);
  expect(readdirSync(place).toSorted()).toEqual(others);
});

test("who feeds an emulated node and is killed at it leaves the node running", async () => {
  using folder = scratch();
  const node = begin(folder.path, ["emulate", "native", "--json"], { XDG_STATE_HOME: folder.path });
  await node.shows(/"address"/);
  const notes = join(folder.path, "wasmote/emulated");
  const [name] = readdirSync(notes).filter((one) => one.endsWith(".json"));
  const { feed } = JSON.parse(readFileSync(join(notes, name!), "utf8")) as { feed: string };
  for (let times = 0; times < 20; times++) {
    const socket = createConnection(feed).on("error", () => {});
    // It ends with an answer that nobody has read: the node's end of the connection is reset.
    await new Promise<void>((resolve) =>
      socket.write("level 1000\n".repeat(1000), () => resolve()),
    );
    socket.destroy();
  }
  const fed = createConnection(feed);
  fed.write("level 1000\n");
  expect(String((await once(fed, "data"))[0])).toBe("ok\n");
  fed.destroy();
  node.child.kill("SIGINT");
  expect((await node.ended).code).toBe(0);
});

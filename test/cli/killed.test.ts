// A verb that is killed, and can do nothing about it: what it started ends with it all the same.
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { missing, type Machine } from "../../host/lib/emulate.ts";
import { begin } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

const lacking = existsSync("/proc/self/task")
  ? undefined
  : "only Linux lists what a process started";

for (const machine of ["native", "qemu-stm32", "qemu-mps2"] satisfies Machine[]) {
  const reason = lacking ?? missing(machine);
  const why = reason === undefined ? "" : ` (skipped: ${reason})`;
  test.skipIf(reason)(
    `emulate ${machine} leaves nothing behind when it is killed${why}`,
    async () => {
      using folder = scratch();
      const { child, shows, ended } = begin(folder.path, ["emulate", machine, "--json"]);
      await shows(/"address"/);
      const pid = child.pid;
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
      expect(children.filter((one) => Number(one) > 1).length).toBeGreaterThan(0);
      child.kill("SIGKILL");
      await ended;
      for (const one of children) {
        await expect
          .poll(() => {
            const status = `/proc/${one}/status`;
            return existsSync(status) && !/^State:\s+Z/m.test(readFileSync(status, "utf8"));
          })
          .toBe(false);
      }
    },
  );
}

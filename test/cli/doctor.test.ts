// What `doctor` says of a node that only a board could be: a server that answers as one does.
import { encode } from "cbor2";
import { join } from "node:path";
import { expect, test } from "vitest";
import { contractVersion } from "../../host/lib/contract.ts";
import { pathOf, scripted } from "../gateway/coap-server.ts";
import { wasmote } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

const cbor = { name: "Content-Format", value: Buffer.from([60]) };

test.each([
  [true, /without {2}\S+: its secrets cannot be read out.*\n.*RDP/],
  [false, /ok {7}\S+: its secrets cannot be read out/],
  // A board that cannot tell.
  [undefined, undefined],
])(
  "a chip whose flash can be read out (%s) is told, with what closes it",
  async (readout, said) => {
    using folder = scratch();
    const project = join(folder.path, "river");
    expect((await wasmote(folder.path, "new", project)).code).toBe(0);
    const known = readout === undefined ? {} : { readout };
    await using node = await scripted((request) => {
      const document =
        pathOf(request) === "node"
          ? { class: "stm32f407", contract: contractVersion, security: "open", ...known }
          : { state: "empty", previous: 0, highest: 0, returned: false };
      return { code: "2.05", options: [cbor], payload: Buffer.from(encode(document)) };
    });
    const { out } = await wasmote(project, "doctor", "--node", `coap://127.0.0.1:${node.port}`);
    expect(out).toMatch(/ok {7}\S+ answers/);
    if (said === undefined) expect(out).not.toMatch(/read out/);
    else expect(out).toMatch(said);
  },
);

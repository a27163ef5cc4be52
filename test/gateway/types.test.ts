// The library `wasmote/gateway` as somebody's compiler sees it: with its types, and with errors where it is used wrongly.
import { expect, test } from "vitest";
import { compiled } from "../harness/library.ts";
import { scratch } from "../harness/target.ts";

test("its types are exported", () => {
  using folder = scratch();
  const said = compiled(
    folder.path,
    `import { Gateway, parseConfig, type Config, type Envelope } from "wasmote/gateway";
const config: Config = parseConfig({ listen: "0" });
const gateway: Gateway = await Gateway.start({ folder: "data", config, nodes: { wye: "coap://127.0.0.1" } });
gateway.hub.view({ nodes: ["wye"] }, { send: ({ seq, value }: Envelope) => seq > 0 && value !== null });
const port: number = gateway.port;
// @ts-expect-error: a port is a number
const text: string = gateway.port;
// @ts-expect-error: there is no such setting
await Gateway.start({ folder: "data", folders: 2 });
console.log(port, text);
`,
  );
  expect(said).toEqual(["", 0]);
}, 180_000);

// The library `wasmote/gateway` as somebody's compiler sees it: with its types, and with errors where it is used wrongly.
import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../host/setup.mjs";
import { scratch } from "../harness/target.ts";

test("its types are exported", () => {
  using folder = scratch();
  const write = (name: string, text: string) => writeFileSync(join(folder.path, name), text);
  mkdirSync(join(folder.path, "node_modules"));
  symlinkSync(root, join(folder.path, "node_modules/wasmote"));
  write("package.json", '{"type":"module"}');
  write(
    "main.ts",
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
  write(
    "tsconfig.json",
    JSON.stringify({
      compilerOptions: {
        module: "nodenext",
        target: "es2023",
        strict: true,
        noEmit: true,
        skipLibCheck: true,
        types: [],
        lib: ["es2023", "dom"],
      },
      files: ["main.ts"],
    }),
  );
  const { stdout, status } = spawnSync(
    process.execPath,
    [join(root, "node_modules/typescript/bin/tsc"), "-p", folder.path],
    { encoding: "utf8" },
  );
  expect([stdout, status]).toEqual(["", 0]);
}, 180_000);

// What `flash` and `provision --flash` leave in a board's flash: each its own, and what the other wrote. The probe-rs here has no
// probe, and a flash that is erased by whole sectors (harness/probe-rs.mjs).
import { copyFileSync, chmodSync, existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { expect, test } from "vitest";
import { encodeProvision, provisionOffset } from "../../host/lib/package.ts";
import { root } from "../../host/setup.mjs";
import { newProject, wasmoteIn } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

const image = join(root, "dist/stm32f407-discovery.elf");
const why = existsSync(image) ? "" : ` (skipped: ${image} has not been built)`;

test.skipIf(why)(
  `flash and provision keep what the other wrote${why}`,
  async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const tool = join(folder.path, "probe-rs");
    copyFileSync(join(root, "test/harness/probe-rs.mjs"), tool);
    chmodSync(tool, 0o755);
    const store = join(folder.path, "flash");
    const env = { PATH: `${folder.path}${delimiter}${process.env["PATH"]}`, PROBE_FLASH: store };
    const run = async (...words: string[]) => {
      const ran = await wasmoteIn(project, env, ...words);
      expect(ran, ran.err).toMatchObject({ code: 0 });
    };
    const key = Buffer.alloc(32, 7).toString("hex");
    const provision = (name: string) =>
      run("provision", "--open", "--flash", "--name", name, "--public", key);
    const record = (name: string) =>
      encodeProvision({
        name,
        vendor: "",
        keys: [Buffer.from(key, "hex")],
        development: false,
        open: true,
      });
    const flash = () => readFileSync(store);
    /** The vector table's first words: the stack, and where the firmware begins, in its own sectors. */
    const expectFirmware = () => {
      const bytes = flash();
      expect(bytes.readUInt32LE(0)).toBe(0x2000_7400);
      const begin = bytes.readUInt32LE(4);
      expect(begin).toBeGreaterThan(0x0801_0000);
      expect(bytes.readUInt32LE((begin & ~1) - 0x0800_0000)).not.toBe(0xffff_ffff);
    };
    const expectRecord = (name: string) => {
      const expected = Buffer.from(record(name));
      const found = flash().subarray(provisionOffset, provisionOffset + expected.length);
      expect(found.equals(expected), name).toBe(true);
    };

    // A new board: the name first, then the firmware; and the other way round.
    await provision("first");
    await run("flash");
    expectFirmware();
    expectRecord("first");
    await provision("second-which-is-longer");
    expectFirmware();
    expectRecord("second-which-is-longer");
    await provision("3");
    await run("flash");
    expectFirmware();
    expectRecord("3");
    // The slots, in sectors 1 to 3, were nobody's business.
    expect(
      flash()
        .subarray(0x4000, 0x1_0000)
        .every((byte) => byte === 0xff),
    ).toBe(true);
  },
  120_000,
);

// The TypeScript tests: everything in test/, run from the sources against whatever node each test starts.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/harness/fresh.ts"],
    setupFiles: ["test/harness/isolation.ts"],
    // Tests wait for events; this is for a machine that is busy with other things.
    testTimeout: 180_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    // Two cores: emulators and cargo-built nodes run beside the workers.
    maxWorkers: 2,
  },
});

// npm run -s cluster
//
// What the suite leaves out because its peers take many minutes and two gigabytes to build: the manifests of docs/deploy at an API server of
// Kubernetes, and a pod by containerd with a shim of runwasi's library. Builds both, installs etcd, containerd and what they want (Debian, as root),
// and runs the tests, which are skipped in the suite until this was run once. What is built stays in .cache/cluster; what only the building needs goes.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { command, root } from "../host/setup.mjs";

const folder = join(root, ".cache/cluster");
const work = join(folder, "build");

/** Runs a program, or ends with why not. */
function run(program, words, options = {}) {
  process.stderr.write(`cluster: ${program} ${words.join(" ")}\n`);
  const { status, error } = spawnSync(program, words, { cwd: root, stdio: "inherit", ...options });
  if (status !== 0) {
    process.stderr.write(`cluster: ${program} ${error?.message ?? `ended with ${status}`}\n`);
    process.exit(1);
  }
}

/** Installs Debian's packages. */
function install(packages) {
  run("apt-get", ["-q", "update"]);
  run("apt-get", ["-q", "install", "-y", "--no-install-recommends", ...packages]);
}

mkdirSync(work, { recursive: true });
const wanted = { etcd: "etcd-server", containerd: "containerd" };
const absent = Object.keys(wanted).filter((program) => !command(program));
if (absent.length > 0) install(absent.map((program) => wanted[program]));
const server = join(folder, "kube-apiserver");
if (!existsSync(server)) {
  if (!command("go")) {
    process.stderr.write("cluster: no `go` on the PATH: Kubernetes 1.33 wants Go 1.24 or newer\n");
    process.exit(1);
  }
  const words = ["build", "-trimpath", "-ldflags=-s -w", "-o", server];
  const env = { ...process.env, GOCACHE: join(work, "go") };
  const cwd = join(root, "test/peers/kubernetes");
  run("go", [...words, "k8s.io/kubernetes/cmd/kube-apiserver"], { cwd, env });
}
const shim = join(folder, "containerd-shim-wasmtime-v1");
if (!existsSync(shim)) {
  // What runwasi's library wants besides Rust.
  const libraries = ["libprotobuf-dev", "libseccomp-dev", "libdbus-1-dev"];
  install(["protobuf-compiler", "pkg-config", ...libraries]);
  const manifest = join(root, "test/peers/containerd/Cargo.toml");
  const target = join(work, "rust");
  const env = { ...process.env, CARGO_TARGET_DIR: target };
  run("cargo", ["build", "--locked", "--manifest-path", manifest], { env });
  run("strip", ["-s", join(target, "debug/containerd-shim-wasmtime-v1"), "-o", shim]);
}
rmSync(work, { recursive: true, force: true });
run("npx", ["vitest", "run", "test/repository/cluster.test.ts", "test/sdk/containerd.test.ts"]);

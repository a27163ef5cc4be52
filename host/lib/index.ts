// The library `wasmote`: build, check, run and sign modules, and talk to nodes.
export { build, BuildError, type Built, type BuildOptions } from "./build/build.ts";
export {
  engineNames,
  inspect,
  instantiate,
  missingEngine,
  ModuleError,
  type CodePlace,
  type EngineName,
  type Ended,
  type Grants,
  type Host,
  type Import,
  type Inspection,
  type Instance,
  type Value,
} from "./engine.ts";
export { exercise, type Exercise } from "./exercise.ts";
export { discover, type DiscoverOptions } from "./coap/discover.ts";
export { emulate, machines, missing, type Emulated, type EmulateOptions } from "./emulate.ts";
export { NodeError, UserError, type NodeErrorCode, type UserErrorKind } from "./errors.ts";
export type { Fault } from "./fault.ts";
export {
  Node,
  type AppState,
  type ConnectOptions,
  type NodeInfo,
  type PushOptions,
  type Reading,
  type Resource,
  type Staged,
  type Stats,
} from "./node.ts";
export {
  generateKey,
  makePackage,
  openPackage,
  readKey,
  writeKey,
  type KeyPair,
  type Manifest,
  type PackageOptions,
} from "./package.ts";
export { readFacts, type Facts } from "./build/section.ts";
export {
  readSamples,
  simulate,
  Simulation,
  SamplesError,
  type Happening,
  type Sample,
  type SimulateOptions,
} from "./simulate.ts";
export type { Place } from "./sourcemap.ts";
export { openProject, signingKey, type Project } from "./project.ts";
export type { NodeKey } from "./keys.ts";
export { loadProgram, type Program } from "./program.ts";
export {
  installPackage,
  installProgram,
  signProgram,
  type Installed,
  type InstallOptions,
} from "./install.ts";

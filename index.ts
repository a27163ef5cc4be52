// What `import { … } from "wasmote"` means in AssemblyScript, whose compiler looks for a package's `index.ts`.
export * from "./assembly/index";

// A WebAssembly module as an OCI artefact in a folder (OCI image layout 1.0): what registries take and containerd's shims run. Its parts are those
// of the CNCF's format for Wasm: a config of `application/vnd.wasm.config.v0+json` and one layer, the module.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../errors.ts";

/** Where the module runs: WASI, preview 1. */
const platform = { architecture: "wasm", os: "wasip1" };
const manifestType = "application/vnd.oci.image.manifest.v1+json";

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

/** Writes the layout, or over an older one; the same module gives the same bytes. Returns the manifest's digest. */
export function writeLayout(folder: string, module: Uint8Array, name: string): string {
  const isLayout = existsSync(join(folder, "oci-layout"));
  if (!isLayout && existsSync(folder) && readdirSync(folder).length > 0)
    throw new UserError(
      `${folder} is not empty, and no OCI layout`,
      "name another folder",
      "usage",
    );
  const blobs = join(folder, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const put = (mediaType: string, bytes: Uint8Array): Descriptor => {
    const hash = createHash("sha256").update(bytes).digest("hex");
    whole(join(blobs, hash), bytes);
    return { mediaType, digest: `sha256:${hash}`, size: bytes.length };
  };
  const json = (value: object) => Buffer.from(JSON.stringify(value));
  const layer = put("application/wasm", module);
  const config = put(
    "application/vnd.wasm.config.v0+json",
    // No time of making: it would be the only difference between two layouts of one module.
    json({ created: "1970-01-01T00:00:00Z", ...platform, layerDigests: [layer.digest] }),
  );
  const manifest = put(
    manifestType,
    json({ schemaVersion: 2, mediaType: manifestType, config, layers: [layer] }),
  );
  const annotations = { "org.opencontainers.image.ref.name": name };
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{ ...manifest, platform, annotations }],
  };
  whole(join(folder, "index.json"), json(index));
  whole(join(folder, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
  return manifest.digest;
}

/** Whole or not at all. */
function whole(file: string, bytes: Uint8Array): void {
  writeFileSync(`${file}.new`, bytes);
  renameSync(`${file}.new`, file);
}

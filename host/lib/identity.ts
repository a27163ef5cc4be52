// Who this computer is to nodes, and who they are to it, where they exchange keys (EDHOC, coap/edhoc.ts):
//
//   .wasmote/identity.json              the project's own key and credential, for this user only
//   .wasmote/credentials/NAME.json      the credential of the node of this name
//
// A node's own secret key is made here, goes into its provisioning record, and is not kept.
import { createHash } from "node:crypto";
import {
  makeCredential,
  makeSecret,
  parseCredential,
  publicKey,
  type Credential,
  type Identity,
} from "./coap/edhoc.ts";
import { allRights } from "./keys.ts";
import { UserError } from "./errors.ts";
import type { Provision } from "./package.ts";
import type { Project } from "./project.ts";
import { keepOutOfCores } from "./cores.ts";

/** Bytes of a kid: among the few that a node knows, none has that of another. */
const kidLength = 4;

interface KeptIdentity {
  secret: string;
  ccs: string;
}

const file = "identity.json";
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** A new key with its credential. */
export function makeIdentity(): Identity {
  const secret = makeSecret();
  const kid = createHash("sha256").update(publicKey(secret)).digest().subarray(0, kidLength);
  return { secret, credential: makeCredential(secret, kid) };
}

/** The project's own key, made when it is first needed. */
export function ownIdentity({ state }: Project): Identity {
  keepOutOfCores();
  const kept = state.readJson<KeptIdentity>(file);
  const credential = kept && parseCredential(Buffer.from(kept.ccs, "hex"));
  if (credential) return { secret: Buffer.from(kept.secret, "hex"), credential };
  const made = makeIdentity();
  const content: KeptIdentity = { secret: hex(made.secret), ccs: hex(made.credential.ccs) };
  state.write(`${JSON.stringify(content)}\n`, [file]);
  return made;
}

/** The credential of a node, where this project knows it. */
export function credentialOf({ state }: Project, name: string): Credential | undefined {
  const kept = state.readJson<{ ccs: string }>("credentials", `${name}.json`);
  return kept && parseCredential(Buffer.from(kept.ccs, "hex"));
}

/** Keeps the credential of a node. */
export function keepCredential({ state }: Project, name: string, { ccs }: Credential): void {
  state.write(`${JSON.stringify({ ccs: hex(ccs) })}\n`, ["credentials", `${name}.json`]);
}

/** A credential as somebody wrote it: a Claims Set in hexadecimal. */
export function readCredential(text: string): Credential {
  const whole = /^(?:[0-9a-f]{2})+$/i.test(text);
  const credential = whole ? parseCredential(Buffer.from(text, "hex")) : undefined;
  if (credential === undefined)
    throw new UserError(
      "this is not a credential",
      "a CWT Claims Set in hexadecimal, as `wasmote keys identity` prints it",
      "usage",
    );
  return credential;
}

/**
 * What a node is provisioned with so that it exchanges keys: a new key of its own, whose credential is kept under its name, and those whom it
 * knows: this project, which may do everything and has the context at place 0, and others by their rights.
 */
export function exchangesKeys(
  project: Project,
  name: string,
  others: readonly { credential: Credential; rights: number }[] = [],
): Pick<Provision, "identity" | "initiators"> {
  const own = makeIdentity();
  keepCredential(project, name, own.credential);
  const known = others.map(({ credential: { ccs }, rights }) => ({ ccs, rights }));
  return {
    identity: { secret: own.secret, ccs: own.credential.ccs },
    initiators: [
      { ccs: ownIdentity(project).credential.ccs, rights: allRights, place: 0 },
      ...known,
    ],
  };
}

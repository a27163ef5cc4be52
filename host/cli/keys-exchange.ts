// Key exchanges (EDHOC) by the verb `keys`: a context that nobody was given, and whose secret nobody learns later who learns our keys.
import { randomInt } from "node:crypto";
import { Initiator, type Credential } from "../lib/coap/edhoc.ts";
import { exchange } from "../lib/coap/exchange.ts";
import { sleep } from "../lib/coap/endpoint.ts";
import { NodeError, UserError } from "../lib/errors.ts";
import { credentialOf, keepCredential, ownIdentity, readCredential } from "../lib/identity.ts";
import { keepNodeKeys, nameAt, nodeKeys, places, type NodeKey } from "../lib/keys.ts";
import { nameFault } from "../lib/names.ts";
import type { Node } from "../lib/node.ts";
import { address, print, project, withNode, type NodeOptions, type Session } from "./context.ts";
import { listKeys } from "./keys-listed.ts";

/** How long a node may exchange keys with somebody else first. */
const busyLimit = 25_000;

/** Sets up or refreshes this computer's context with a node. What there was goes when the node has answered under the new one. */
export async function exchangeKeys(given: string | undefined, options: NodeOptions): Promise<void> {
  const at = address(options);
  const told = given === undefined ? undefined : readCredential(given);
  const known = nameAt(project(), at, () => true);
  const work = async (node: Node, { signal }: Session) => {
    const name = known ?? (await node.front(signal)).name;
    const fault = nameFault(name.replace(/@emulated$/, ""));
    if (fault !== undefined) throw new NodeError("protocol", `/node: ${fault}`);
    const credential = credentialFor(name, { told, said: known === undefined });
    const key = await agree(node, credential, signal);
    if (told !== undefined) keepCredential(project(), name, told);
    keepNodeKeys(project(), name, [key, ...nodeKeys(project(), name).slice(0, 3)]);
    return name;
  };
  // Whoever has a context goes before those who have none, and shows nobody what is said; a node that does not know it any more is asked
  // as by anybody.
  const name = await withNode(options, work, { place: at }).catch((error: unknown) => {
    if (error instanceof NodeError && (error.code === "insecure" || error.status === "4.01"))
      return withNode(options, work, { place: at, stranger: true });
    throw error;
  });
  // Connecting forgets the old ones once the node has answered under the new one.
  await withNode(
    options,
    async (node, { signal }) => {
      const { full } = await node.front(signal);
      if (!full) throw new NodeError("protocol", `${name} does not know the context it agreed on`);
      const place = await placeOf(node, name, signal);
      print(
        options.json,
        { node: name, ...(place === undefined ? {} : { place }) },
        () =>
          `${name}: a new secret of a key exchange${place === undefined ? "" : `, in place ${place}`}`,
      );
    },
    { place: at },
  );
}

/**
 * Who a node has to be. A name that the node says of itself, unprotected, is anybody's: another node's contexts and credential, which this
 * project has under it, are not written over, or its administrator were locked out of it.
 */
function credentialFor(
  name: string,
  { told, said }: { told: Credential | undefined; said: boolean },
): Credential {
  const kept = credentialOf(project(), name);
  const another =
    told !== undefined &&
    (kept === undefined
      ? said && nodeKeys(project(), name).length > 0
      : Buffer.compare(kept.ccs, told.ccs) !== 0);
  if (another)
    throw new UserError(
      `this project has a node ${name} already, and its credential is not the one given`,
      said
        ? "exchange keys from a project of its own, or give the node another name (`wasmote provision --name`)"
        : `where it was provisioned anew: remove .wasmote/credentials/${name}.json`,
      "check",
    );
  const credential = told ?? kept;
  if (credential === undefined)
    throw new UserError(
      `this project does not know the credential of ${name}`,
      "`wasmote keys identity NAME` prints it where the node was provisioned: write `keys exchange CREDENTIAL`",
    );
  return credential;
}

/** Runs the exchange, and again while the node has one with somebody else. */
async function agree(node: Node, credential: Credential, signal: AbortSignal): Promise<NodeKey> {
  const own = ownIdentity(project());
  for (const until = performance.now() + busyLimit; ;) {
    const connection = Uint8Array.of(randomInt(0x100));
    try {
      const initiator = new Initiator({ own, connection });
      const { material } = await exchange(node, initiator, [credential], { signal });
      const { secret, salt, sender, recipient } = material;
      const [peer, ours] = [sender[0], recipient[0]];
      if (sender.length !== 1 || peer === undefined || ours === undefined || salt === undefined)
        throw new NodeError("protocol", "the node calls the exchange by more than a byte");
      return { place: places, secret, salt, peer, node: ours, rights: 0 };
    } catch (error) {
      const busy =
        error instanceof NodeError && error.status === "5.03" && performance.now() < until;
      if (!busy) throw error;
    }
    await sleep(500, signal);
  }
}

/** Where the node has our new context, and what it may do: kept beside it. Who may not ask does not know. */
async function placeOf(node: Node, name: string, signal: AbortSignal): Promise<number | undefined> {
  try {
    const all = await listKeys(node, signal);
    const [own, ...others] = nodeKeys(project(), name);
    const found = all.find(({ peer }) => peer === own?.peer);
    if (own === undefined || found === undefined) return undefined;
    const { place, rights } = found;
    keepNodeKeys(project(), name, [{ ...own, place, rights }, ...others]);
    return place;
  } catch (error) {
    if (error instanceof NodeError && error.status === "4.03") return undefined;
    throw error;
  }
}

/** The credential of this computer, or of a node: what somebody else needs to know it by. It is no secret. */
export function showIdentity(name: string | undefined, options: NodeOptions): void {
  const credential =
    name === undefined
      ? ownIdentity(project()).credential
      : (credentialOf(project(), name) ?? credentialOf(project(), `${name}@emulated`));
  if (credential === undefined)
    throw new UserError(
      `this project does not know the credential of ${name}`,
      "write: keys identity wye, where it was provisioned",
      "usage",
    );
  const [ccs, kid] = [credential.ccs, credential.kid].map((one) =>
    Buffer.from(one).toString("hex"),
  );
  print(options.json, { credential: ccs, kid }, () => ccs!);
}

// What things are called at the hub, and what a gateway may do there: its own telemetry, its own nodes, and the packages, which are for all.

export const telemetryStream = "WM_TELEMETRY";
export const desiredBucket = "wm_desired";
export const reportedBucket = "wm_reported";
export const packagesBucket = "wm_packages";

export const telemetryOf = (gateway: string) => `wm.tel.${gateway}`;
export const commandsOf = (gateway: string) => `wm.cmd.${gateway}`;
export const inboxOf = (gateway: string) => `_INBOX_${gateway}`;

/** What the collector at a gateway calls itself. */
export const collectorOf = (gateway: string) => `${gateway}-collector`;

/** Why this may not be the name of a gateway: it is one token of a subject. */
export function gatewayFault(name: string): string | undefined {
  return /^[A-Za-z0-9_-]{1,40}$/.test(name)
    ? undefined
    : "is not made of 1 to 40 letters, digits, - and _";
}

/** The key of a node in both buckets: two tokens. What a name has and a key may not is escaped; no name has an equals sign. */
export function keyOf(gateway: string, node: string): string {
  const escaped = node.replaceAll(
    /[^\w-]/g,
    (one) => `=${one.codePointAt(0)!.toString(16).padStart(2, "0")}`,
  );
  return `${gateway}.${escaped}`;
}

/** The node of a key; undefined where it is not a key of ours. */
export function nodeOf(key: string): string | undefined {
  const text = /^[\w-]+\.((?:[\w-]|=[0-9a-f]{2})+)$/.exec(key)?.[1];
  return text?.replaceAll(/=([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** The permissions of a user of nats-server: who is granted anything is denied the rest. */
export interface Rights {
  publish: { allow: string[] };
  subscribe: { allow: string[] };
  allow_responses: { max: number; expires: string };
}

/** What a gateway's user is granted. */
export function rightsOf(gateway: string): Rights {
  const own = `${gateway}.>`;
  const publish = [
    telemetryOf(gateway),
    `$KV.${reportedBucket}.${own}`,
    // The newest of its own telemetry, and of its own reports.
    `$JS.API.DIRECT.GET.${telemetryStream}.${telemetryOf(gateway)}`,
    `$JS.API.DIRECT.GET.KV_${reportedBucket}.$KV.${reportedBucket}.${own}`,
    // One watch, of its own nodes: the filter is part of the subject that makes the consumer (nats-server 2.9).
    `$JS.API.CONSUMER.CREATE.KV_${desiredBucket}.*.$KV.${desiredBucket}.${own}`,
    // Packages are for all gateways: what there is of one, and its parts.
    `$JS.API.STREAM.MSG.GET.OBJ_${packagesBucket}`,
    `$JS.API.CONSUMER.CREATE.OBJ_${packagesBucket}.>`,
    ...[
      `KV_${desiredBucket}`,
      `KV_${reportedBucket}`,
      `OBJ_${packagesBucket}`,
      telemetryStream,
    ].map((stream) => `$JS.API.STREAM.INFO.${stream}`),
    "$JS.API.INFO",
    `$JS.FC.>`,
  ];
  return {
    publish: { allow: publish },
    subscribe: { allow: [`${inboxOf(gateway)}.>`, commandsOf(gateway)] },
    // Commands are answered wherever they came from, once each.
    allow_responses: { max: 1, expires: "1m" },
  };
}

/** What the user of a gateway's collector is granted: to read the telemetry of all. */
export function collectorRightsOf(gateway: string): Omit<Rights, "allow_responses"> {
  const api = ["STREAM.INFO", "CONSUMER.CREATE", "CONSUMER.MSG.NEXT", "CONSUMER.INFO"].map(
    (what) => `$JS.API.${what}.${telemetryStream}`,
  );
  const [info = "", ...consumer] = api;
  return {
    publish: {
      allow: [
        "$JS.API.INFO",
        info,
        ...consumer.map((subject) => `${subject}.>`),
        `$JS.API.CONSUMER.DELETE.${telemetryStream}.>`,
      ],
    },
    subscribe: { allow: [`${inboxOf(collectorOf(gateway))}.>`] },
  };
}

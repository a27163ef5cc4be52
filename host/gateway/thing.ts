// A node as a Thing: its description in the Web of Things' words (W3C WoT Thing Description 1.1).
import type { ManagedNode } from "./nodes.ts";

interface Form {
  href: string;
  op: string | string[];
  contentType?: string;
  subprotocol?: string;
  "cov:method"?: string;
}

/** The description of a node, as it is reached through the gateway at `base` and by CoAP. */
export function describeThing(node: ManagedNode, base: string): object {
  const over = (path: string): string => `${base}/nodes/${encodeURIComponent(node.name)}/${path}`;
  const coap = (path: string): Form[] =>
    node.address.startsWith("coap://")
      ? [
          {
            href: `${node.address}/${path}`,
            op: "readproperty",
            contentType: "text/plain",
            "cov:method": "GET",
          },
          {
            href: `${node.address}/${path}`,
            op: ["observeproperty", "unobserveproperty"],
            contentType: "text/plain",
            "cov:method": "GET",
            subprotocol: "cov:observe",
          },
        ]
      : [];
  const readable = (path: string): Form[] => [
    { href: over(path), op: "readproperty", contentType: "text/plain" },
    {
      href: over(path),
      op: ["observeproperty", "unobserveproperty"],
      contentType: "application/json",
      subprotocol: "sse",
    },
    ...coap(path),
  ];
  const properties: Record<string, object> = {};
  for (const { path: link } of node.resources) {
    const path = link.replace(/^\//, "");
    const [kind = "", name = ""] = path.split("/");
    if ((kind === "sensors" || kind === "outputs") && name !== "")
      properties[`${kind}_${name}`] = {
        title: name,
        type: "number",
        readOnly: true,
        observable: true,
        forms: readable(path),
      };
  }
  for (const name of node.app?.params ?? []) {
    const path = `app/params/${name}`;
    properties[`params_${name}`] = {
      title: name,
      type: "number",
      readOnly: false,
      forms: [
        { href: over(path), op: "readproperty", contentType: "text/plain" },
        {
          href: over(path),
          op: "writeproperty",
          contentType: "text/plain",
          "htv:methodName": "PUT",
        },
      ],
    };
  }
  return {
    "@context": [
      "https://www.w3.org/2022/wot/td/v1.1",
      // The vocabulary of the CoAP binding, as the context file of W3C's binding templates has it.
      { cov: "https://www.w3.org/2019/wot/coap#", htv: "http://www.w3.org/2011/http#" },
    ],
    id: `urn:dev:ops:wasmote-${encodeURIComponent(node.name)}`,
    title: node.name,
    securityDefinitions: { token: { scheme: "bearer", in: "header", name: "Authorization" } },
    security: ["token"],
    properties,
    actions: {
      rollback: {
        title: "Return to the previous package",
        forms: [{ href: over("app/rollback"), op: "invokeaction", "htv:methodName": "POST" }],
      },
    },
    events: {
      event: {
        title: "Traps, resets, packages",
        data: { type: "object" },
        forms: [
          {
            href: `${base}/api/events?node=${encodeURIComponent(node.name)}`,
            op: "subscribeevent",
            subprotocol: "longpoll",
          },
        ],
      },
    },
  };
}

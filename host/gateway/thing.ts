// A node as a Thing: its description in the Web of Things' words (W3C WoT Thing Description 1.1).
import { formats } from "../lib/coap/endpoint.ts";
import type { ManagedNode } from "./nodes.ts";

interface Form {
  href: string;
  op: string | string[];
  contentType?: string;
  subprotocol?: string;
  "cov:method"?: string;
  "cov:accept"?: number;
  security?: string[];
  "htv:methodName"?: string;
}

/** What every property is: an object with the value, which is null in a gap, and whatever else is known of it. */
const record = (value: object) => ({ type: "object", properties: { value }, required: ["value"] });
const number = { oneOf: [{ type: "number" }, { type: "null" }] };
const json = formats.json;

/** The description of a node, as it is reached through the gateway at `base` and by CoAP. */
export function describeThing(node: ManagedNode, base: string): object {
  const name = encodeURIComponent(node.name);
  const read = { op: "readproperty", contentType: "application/json" };
  const observe = {
    op: ["observeproperty", "unobserveproperty"],
    contentType: "application/json",
  };
  const over = (path: string) => `${base}/nodes/${name}/${path}`;
  const coap = (path: string): Form[] => {
    // A secured node answers by CoAP who has a context with it, which no description can give.
    if (!node.address.startsWith("coap://") || node.info?.security === "secured") return [];
    const href = `${node.address}/${path}`;
    const own = { href, "cov:method": "GET", "cov:accept": json, security: ["none"] };
    return [
      { ...own, ...read },
      { ...own, ...observe, subprotocol: "cov:observe" },
    ];
  };
  const properties: Record<string, object> = {};
  for (const { path: link } of node.resources) {
    const path = link.replace(/^\//, "");
    const [kind = "", own = ""] = path.split("/");
    if ((kind === "sensors" || kind === "outputs") && own !== "")
      properties[`${kind}_${own}`] = {
        title: own,
        // What a module publishes may be a text or a record.
        ...record(kind === "sensors" ? number : {}),
        readOnly: true,
        observable: true,
        forms: [
          { href: over(path), ...read },
          { href: over(path), ...observe, subprotocol: "sse" },
          ...coap(path),
        ],
      };
  }
  for (const own of node.app?.params ?? [])
    properties[`params_${own}`] = {
      title: own,
      ...record({ type: "number" }),
      readOnly: false,
      forms: [
        { href: over(`app/params/${own}`), ...read },
        {
          href: `${base}/api/nodes/${name}/params/${encodeURIComponent(own)}`,
          op: "writeproperty",
          contentType: "application/json",
          "htv:methodName": "PUT",
        },
      ],
    };
  properties["events"] = {
    title: "What befell the node, newest first",
    type: "array",
    items: { type: "object" },
    readOnly: true,
    forms: [{ href: `${base}/api/events?node=${name}`, ...read }],
  };
  return {
    "@context": [
      "https://www.w3.org/2022/wot/td/v1.1",
      // The vocabulary of the CoAP binding, as the context file of W3C's binding templates has it.
      { cov: "https://www.w3.org/2019/wot/coap#", htv: "http://www.w3.org/2011/http#" },
    ],
    id: `urn:dev:ops:wasmote-${name}`,
    title: node.name,
    securityDefinitions: {
      token: { scheme: "bearer", in: "header", name: "Authorization" },
      none: { scheme: "nosec" },
    },
    security: ["token"],
    properties,
    actions: {
      rollback: {
        title: "Return to the previous package",
        output: { type: "object" },
        forms: [
          {
            href: `${base}/api/nodes/${name}/rollback`,
            op: "invokeaction",
            contentType: "application/json",
            "htv:methodName": "POST",
          },
        ],
      },
    },
  };
}

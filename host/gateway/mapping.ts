// How HTTP and CoAP correspond: codes, Content-Formats, addresses (RFC 8075), each as one table.

/** CoAP's response codes as HTTP statuses (RFC 8075 §7, table 2). */
const statuses: Record<string, number> = {
  "2.01": 201,
  "2.02": 200,
  "2.03": 304,
  "2.04": 200,
  "2.05": 200,
  "4.00": 400,
  "4.01": 403,
  "4.02": 400,
  "4.03": 403,
  "4.04": 404,
  "4.05": 400,
  "4.06": 406,
  "4.09": 409,
  "4.12": 412,
  "4.13": 413,
  "4.15": 415,
  "4.22": 422,
  "4.29": 429,
  "5.00": 500,
  "5.01": 501,
  "5.02": 502,
  "5.03": 503,
  "5.04": 504,
  "5.05": 502,
  "5.08": 508,
};

export interface StatusQuestion {
  /** Whether the response has a payload. */
  payload: boolean;
  /** Whether the client asked for one of its validators to be compared. */
  conditional: boolean;
  /** Whether a critical option came from a header of the client's. */
  fromHeader: boolean;
}

/** The HTTP status for a CoAP response code, and what is said instead of a payload. */
export function statusOf(
  code: string,
  { payload, conditional, fromHeader }: StatusQuestion,
): { status: number; text?: string } {
  // 2.02 and 2.04 without payload (RFC 8075 §7, notes 2 and 4).
  if ((code === "2.02" || code === "2.04") && !payload) return { status: 204 };
  if (code === "2.03" && !conditional) return { status: 200 };
  // Note 9: a bad option is the client's fault only where it comes from one of its headers.
  if (code === "4.02" && !fromHeader) return { status: 500 };
  // Note 11: HTTP's 405 needs the methods that are allowed, which CoAP does not say.
  if (code === "4.05") return { status: 400, text: "CoAP server returned 4.05" };
  const known = statuses[code];
  if (known !== undefined) return { status: known };
  // RFC 7252 §5.9: an unknown code counts as the generic one of its class; 2.31 and 4.08 never leave a proxy that takes blocks apart.
  const generic = { "2": 200, "4": 400, "5": 500 }[code[0] ?? ""];
  const inner = code === "2.31" || code === "4.08";
  return { status: inner || generic === undefined ? 502 : generic };
}

/** Content-Formats and what HTTP calls them (IANA "CoAP Content-Formats", RFC 8075 §6). */
const contentFormats: readonly (readonly [number, string, string?])[] = [
  [0, "text/plain;charset=utf-8"],
  [16, 'application/cose;cose-type="cose-encrypt0"'],
  [17, 'application/cose;cose-type="cose-mac0"'],
  [18, 'application/cose;cose-type="cose-sign1"'],
  [19, "application/ace+cbor"],
  [21, "image/gif"],
  [22, "image/jpeg"],
  [23, "image/png"],
  [40, "application/link-format"],
  [41, "application/xml"],
  [42, "application/octet-stream"],
  [47, "application/exi"],
  [50, "application/json"],
  [51, "application/json-patch+json"],
  [52, "application/merge-patch+json"],
  [60, "application/cbor"],
  [61, "application/cwt"],
  [62, "application/multipart-core"],
  [63, "application/cbor-seq"],
  [64, "application/link-format+cbor"],
  [96, 'application/cose;cose-type="cose-encrypt"'],
  [97, 'application/cose;cose-type="cose-mac"'],
  [98, 'application/cose;cose-type="cose-sign"'],
  [101, "application/cose-key"],
  [102, "application/cose-key-set"],
  [110, "application/senml+json"],
  [111, "application/sensml+json"],
  [112, "application/senml+cbor"],
  [113, "application/sensml+cbor"],
  [140, "application/sdf+json"],
  [256, "application/coap-group+json"],
  [257, "application/concise-problem-details+cbor"],
  [310, "application/senml+xml"],
  [311, "application/sensml+xml"],
  [320, "application/senml-etch+json"],
  [322, "application/senml-etch+cbor"],
  [432, "application/td+json"],
  [433, "application/tm+json"],
  [10000, "application/vnd.ocf+cbor"],
  [11050, "application/json", "deflate"],
  [11060, "application/cbor", "deflate"],
  [11542, "application/vnd.oma.lwm2m+tlv"],
  [11543, "application/vnd.oma.lwm2m+json"],
  [11544, "application/vnd.oma.lwm2m+cbor"],
  [20000, "text/css"],
  [30000, "image/svg+xml"],
];

const normal = (type: string) =>
  type
    .toLowerCase()
    .replaceAll('"', "")
    .replace(/\s*;\s*/g, ";")
    .trim();

const byNumber = new Map(
  contentFormats.map(([number, type, coding]) => [number, { type, coding }]),
);
const byType = new Map(
  contentFormats.map(([number, type, coding]) => [`${normal(type)} ${coding ?? ""}`, number]),
);
for (const [number, type] of contentFormats)
  if (type.startsWith("text/plain")) byType.set("text/plain ", number);

/** What a media type may be taken for where CoAP has none for it (RFC 8075 §6.3, table 1): the first that matches. */
const generalized: readonly (readonly [RegExp, string])[] = [
  [/^application\/.+\+xml$/, "application/xml"],
  [/^application\/.+\+json$/, "application/json"],
  [/^application\/.+\+cbor$/, "application/cbor"],
  [/^text\/xml$/, "application/xml"],
  [/^text\/[a-z.+-]+$/, "text/plain;charset=utf-8"],
  [/^[a-z]+\/[a-z.+-]+$/, "application/octet-stream"],
];

export interface FormatRules {
  /** Types that CoAP has no name for go as more general ones (RFC 8075 §6.3). */
  loose?: boolean;
  /** `application/coap-payload;cf=N` goes through as format N (RFC 8075 §6.2). */
  unknown?: boolean;
}

/** The Content-Format of a media type with a coding; undefined where CoAP has none (RFC 8075 §6.4). */
export function formatOf(
  type: string,
  coding = "",
  { loose = false, unknown = false }: FormatRules = {},
): number | undefined {
  const plain = normal(type);
  const encoding = coding.toLowerCase() === "identity" ? "" : coding.toLowerCase();
  const exact = byType.get(`${plain} ${encoding}`);
  if (exact !== undefined) return exact;
  const number = /^application\/coap-payload;cf=(\d{1,5})$/.exec(plain)?.[1];
  if (plain.startsWith("application/coap-payload"))
    return unknown && number !== undefined && Number(number) < 65_536 ? Number(number) : undefined;
  if (!loose) return undefined;
  const general = generalized.find(([pattern]) => pattern.test(plain))?.[1];
  return general === undefined ? undefined : byType.get(`${normal(general)} ${encoding}`);
}

/** A Content-Format as media type and coding; an unknown one as RFC 8075 §6.2 writes it. */
export function typeOf(format: number | undefined): { type: string; coding?: string } {
  if (format === undefined) return { type: "application/octet-stream" };
  const known = byNumber.get(format);
  if (known === undefined) return { type: `application/coap-payload;cf=${format}` };
  return known.coding === undefined
    ? { type: known.type }
    : { type: known.type, coding: known.coding };
}

/** The Content-Format that an Accept header asks for first, where CoAP has it (RFC 8075 §6.4). */
export function acceptOf(header: string | undefined, rules: FormatRules = {}): number | undefined {
  if (header === undefined) return undefined;
  const ranges = header
    .split(",")
    .slice(0, 32)
    .map((part) => {
      const q = /;\s*q=([\d.]+)/i.exec(part)?.[1];
      return { type: part.replace(/;\s*q=[\d.]*/i, "").trim(), q: q === undefined ? 1 : Number(q) };
    })
    .filter(({ q }) => q > 0)
    .toSorted((a, b) => b.q - a.q);
  const first = ranges[0];
  return first === undefined || first.type.includes("*")
    ? undefined
    : formatOf(first.type, "", rules);
}

/** A CoAP resource by its URI's parts. */
export interface Target {
  scheme: "coap" | "coaps";
  host: string;
  port: number;
  /** Segments and arguments, decoded: one option each (RFC 7252 §6.4). */
  path: string[];
  query: string[];
}

/** Reads a CoAP URI; undefined where it is none (RFC 7252 §6.4). A path that lost a slash to a proxy on the way is tolerated (RFC 8075 §5.3). */
export function parseTarget(uri: string): Target | undefined {
  const parts =
    /^(coaps?):\/{1,2}(\[[0-9a-f:.]+(?:%25[\w.-]+)?\]|[^/?#[\]:@\s]+)(?::(\d{0,5}))?(\/[^?#]*)?(?:\?([^#]*))?$/i.exec(
      uri,
    );
  if (parts === null) return undefined;
  const [, scheme = "", host = "", port = "", path = "", query] = parts;
  const secure = scheme.toLowerCase() === "coaps";
  const number = port === "" ? (secure ? 5684 : 5683) : Number(port);
  const segments = split(path.replace(/^\//, ""), "/");
  const words = query === undefined ? [] : split(query, "&");
  if (number < 1 || number > 65535 || segments === undefined || words === undefined)
    return undefined;
  let name: string;
  try {
    name = decodeURIComponent(host.replace("%25", "%")).toLowerCase();
  } catch {
    return undefined;
  }
  return {
    scheme: secure ? "coaps" : "coap",
    host: name,
    port: number,
    path: segments,
    query: words,
  };
}

/** Parts between separators, decoded; undefined where an escape is broken or a part is longer than an option may be (255 bytes). */
export function split(text: string, separator: string): string[] | undefined {
  if (text === "") return [];
  try {
    const parts = text.split(separator).map((part) => decodeURIComponent(part));
    return parts.some((part) => Buffer.byteLength(part) > 255) ? undefined : parts;
  } catch {
    return undefined;
  }
}

/** Multicast groups of IPv4 and IPv6: a gateway asks none of them on somebody's behalf (RFC 8075 §8.4). */
export function isMulticast(host: string): boolean {
  return /^2(2[4-9]|3\d)\./.test(host) || /^\[?ff/i.test(host.includes(":") ? host : "");
}

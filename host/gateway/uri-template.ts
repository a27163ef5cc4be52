// URI mapping templates (RFC 8075 §5.4): where in an HTTP address behind the proxy's own one the CoAP URI stands. Read backwards: from
// an address to the URI that was put in.
import { UserError } from "../lib/errors.ts";

/** What each variable may stand for; `tu` is the whole URI, the others are its parts, each at most once. */
const variables: Record<string, string> = {
  tu: "(.+)",
  s: "(coaps?)",
  hp: "([^/?#&]+)",
  p: "((?:/[^?#&]*)?)",
  q: "([^#&]*)",
  qq: "((?:\\?[^#]*)?)",
};

export class UriTemplate {
  readonly text: string;
  readonly #pattern: RegExp;
  readonly #names: string[] = [];

  /** Throws a UserError where the template is none. */
  constructor(text: string) {
    this.text = text;
    const wrong = (why: string) =>
      new UserError(
        `the template ${JSON.stringify(text)} ${why}`,
        'write one like "?target_uri={+tu}" or "{+s}/{+hp}{+p}{+qq}" (RFC 8075 §5.4)',
        "usage",
      );
    const pattern = text.split(/(\{[^}]*\})/).map((part, at) => {
      if (at % 2 === 0) {
        if (/[{}#"<>\s\\]/.test(part)) throw wrong("has characters that no address has");
        return part.replaceAll(/[.*+?^$()|[\]]/g, "\\$&");
      }
      const name = /^\{\+?(\w+)\}$/.exec(part)?.[1] ?? "";
      const stands = Object.hasOwn(variables, name) ? variables[name] : undefined;
      if (stands === undefined) throw wrong(`has ${part}, which is not one of its variables`);
      if (this.#names.includes(name)) throw wrong(`has ${part} twice`);
      this.#names.push(name);
      return stands;
    });
    const has = (name: string) => this.#names.includes(name);
    if (has("tu") ? this.#names.length > 1 : !has("hp") || (has("q") && has("qq")))
      throw wrong("is neither {+tu} nor made of {+s}, {+hp}, {+p} and one of {+q} and {+qq}");
    this.#pattern = new RegExp(`^${pattern.join("")}$`);
  }

  /** The CoAP URI in what stands behind the proxy's own address; undefined where it is not of this form. */
  unpack(rest: string): string | undefined {
    const found = this.#pattern.exec(rest);
    if (found === null) return undefined;
    const parts: Record<string, string> = Object.fromEntries(
      this.#names.map((name, at) => [name, unescaped(name, found[at + 1] ?? "")]),
    );
    if (parts["tu"] !== undefined) return parts["tu"];
    const { s = "coap", hp = "", p = "", q = "", qq = q === "" ? "" : `?${q}` } = parts;
    return `${s}://${hp}${p}${qq}`;
  }
}

/**
 * A value was put in as it is, with its own escapes (reserved expansion, RFC 6570 §3.2.3); brackets of an IPv6 address are escaped (RFC 8075
 * §5.3.2). A client that escaped all of it is understood too: no URI has an escaped colon behind its scheme.
 */
function unescaped(name: string, value: string): string {
  const whole = name === "tu" && /^coaps?%3a/i.test(value);
  if (whole || (name === "p" && /^%2f/i.test(value))) {
    try {
      return decodeURIComponent(value.replace(/&.*$/, ""));
    } catch {
      return value;
    }
  }
  return name === "tu" || name === "hp" ? value.replace(/%5B/i, "[").replace(/%5D/i, "]") : value;
}

// The dashboard: the fleet at a glance, one node in detail, alarms on top; alive as long as the gateway is, readable when it is not.
import type { Alarm } from "../alarms.ts";
import type { Envelope } from "../envelope.ts";
import { ask, stream, takeToken } from "./client.ts";
import { Detail } from "./detail.ts";
import { ago, make, shown } from "./elements.ts";
import { Lanes, mostLanes, type LanedRollout } from "./lanes.ts";
import type { Summary } from "./summary.ts";

/** Milliseconds after which a node counts as quiet; whether it is on, nobody knows. */
const quietAfter = 60_000;
const sparkPoints = 60;

interface Card {
  element: HTMLElement;
  state: HTMLElement;
  about: HTMLElement;
  list: HTMLElement;
  values: Map<string, { text: HTMLElement; path: SVGPathElement; points: (number | null)[] }>;
}

const nodes = new Map<string, Summary>();
const newest = new Map<string, Map<string, Envelope>>();
const cards = new Map<string, Card>();
const changed = new Set<string>();
let detail: { name: string; view: Detail } | undefined;

const byId = (id: string) => document.getElementById(id)!;
const lanes = new Lanes(byId("rollouts"));

function stateOf(node: Summary | undefined, name: string): [string, string] {
  if (name === "gateway") return ["good", "● virtual"];
  if (node === undefined || node.lastSeen === null) return ["bad", "■ not heard of yet"];
  if (Date.now() - node.lastSeen > quietAfter || node.trouble !== undefined)
    return ["bad", `■ silent, ${ago(node.lastSeen)}`];
  if (node.package?.state === "trial") return ["warn", `▲ on trial, ${ago(node.lastSeen)}`];
  return ["good", `● ${ago(node.lastSeen)}`];
}

function cardOf(name: string): Card {
  const known = cards.get(name);
  if (known !== undefined) return known;
  const state = make("span", { class: "state" });
  const about = make("p", { class: "quiet" });
  const list = make("ul", { class: "values" });
  const element = make(
    "article",
    { class: "card" },
    make("h2", {}, make("a", { href: `#node/${encodeURIComponent(name)}` }, name), state),
    about,
    list,
  );
  const card: Card = { element, state, about, list, values: new Map() };
  cards.set(name, card);
  const after = [...cards.keys()].toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const next = after[after.indexOf(name) + 1];
  byId("nodes").insertBefore(
    element,
    next === undefined ? null : (cards.get(next)?.element ?? null),
  );
  byId("nodes").querySelector(".empty")?.remove();
  return card;
}

function addValue(card: Card, resource: string) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", `0 0 ${sparkPoints - 1} 30`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.append(path);
  const text = make("b");
  card.list.append(make("li", {}, make("span", {}, resource), text, svg));
  const value = { text, path, points: [] as (number | null)[] };
  card.values.set(resource, value);
  return value;
}

/** The last values as a line, broken where there are gaps. */
function spark(points: readonly (number | null)[]): string {
  const known = points.filter((value) => value !== null);
  const least = Math.min(...known);
  const span = Math.max(...known) - least || 1;
  let pen = "M";
  return points
    .map((value, index) => {
      if (value === null) {
        pen = "M";
        return "";
      }
      const step = `${pen}${sparkPoints - points.length + index} ${(28 - (26 * (value - least)) / span).toFixed(1)}`;
      pen = "L";
      return step;
    })
    .join("");
}

function draw(name: string): void {
  const node = nodes.get(name);
  const card = cardOf(name);
  const [kind, words] = stateOf(node, name);
  if (card.state.textContent !== words) card.state.textContent = words;
  card.state.className = `state ${kind}`;
  const app = node?.package;
  const about =
    name === "gateway"
      ? "Made of others"
      : [
          app ? `${app.name ?? ""} ${app.version ?? ""}` : "no package",
          node?.trouble ?? node?.address ?? "",
        ].join(" · ");
  if (card.about.textContent !== about) card.about.textContent = about;
  for (const [resource, { value, gap, text: words }] of newest.get(name) ?? []) {
    const line = card.values.get(resource) ?? addValue(card, resource);
    const text = gap ? "gap" : (words ?? shown(value));
    line.text.textContent = text;
    line.text.className = gap ? "old" : "";
    line.path.setAttribute("d", spark(line.points));
  }
}

function take(envelope: Envelope): void {
  const { node, resource, value } = envelope;
  const own = newest.get(node) ?? new Map<string, Envelope>();
  newest.set(node, own);
  // What the page began with comes once more at the head of the stream.
  if (envelope.seq <= (own.get(resource)?.seq ?? 0)) return;
  own.set(resource, envelope);
  const card = cardOf(node);
  const { points } = card.values.get(resource) ?? addValue(card, resource);
  points.push(value);
  if (points.length > sparkPoints) points.shift();
  const known = nodes.get(node);
  if (known !== undefined && envelope.gap !== true)
    known.lastSeen = Math.max(known.lastSeen ?? 0, envelope.time);
  detail?.view.take(envelope);
  if (changed.size === 0) requestAnimationFrame(drawChanged);
  changed.add(node);
}

function drawChanged(): void {
  for (const name of changed) draw(name);
  changed.clear();
}

function drawAlarms(alarms: readonly Alarm[]): void {
  const box = byId("alarms");
  const focused = document.activeElement?.getAttribute("data-alarm");
  box.replaceChildren(
    ...alarms.slice(0, 20).map((alarm) => {
      const { id, severity, node, text, since, value, acknowledged, ended } = alarm;
      const when = new Date(since).toLocaleTimeString();
      const button = make(
        "button",
        { type: "button", class: "plain", "data-alarm": id, click: () => void acknowledge(id) },
        "Acknowledge",
      );
      button.setAttribute("aria-label", `Acknowledge: ${node} ${text}`);
      const line = make(
        "div",
        { class: `alarm ${severity}${acknowledged ? " seen" : ""}` },
        make("strong", {}, `${severity === "critical" ? "▲" : "●"} ${severity}`),
        make(
          "span",
          {},
          `${node}: ${text}${value === null ? "" : ` (${shown(value)})`}, since ${when}${ended ? ", over by now" : ""}${acknowledged ? `, seen by ${acknowledged.by}` : ""}`,
        ),
        ...(acknowledged ? [] : [button]),
      );
      // Only what is critical and unseen interrupts who listens.
      if (severity === "critical" && !acknowledged && !announced.has(id + since)) {
        announced.add(id + since);
        line.setAttribute("role", "alert");
      }
      return line;
    }),
  );
  if (focused) box.querySelector<HTMLElement>(`[data-alarm="${CSS.escape(focused)}"]`)?.focus();
}

const announced = new Set<string>();
let alarmsShown = "";

async function acknowledge(id: string): Promise<void> {
  await ask("/api/alarms/acknowledge", "POST", { id });
  await refresh();
}

async function refresh(): Promise<void> {
  const [list, alarms, rollouts] = await Promise.all([
    ask<Summary[]>("/api/nodes"),
    ask<Alarm[]>("/api/alarms"),
    ask<LanedRollout[]>(`/api/rollouts?lanes=${mostLanes}`),
  ]);
  lanes.show(rollouts);
  for (const node of list) nodes.set(node.name, node);
  for (const name of [...nodes.keys()].filter((one) => !list.some((node) => node.name === one))) {
    nodes.delete(name);
    newest.delete(name);
    cards.get(name)?.element.remove();
    cards.delete(name);
  }
  const text = JSON.stringify(alarms);
  if (text !== alarmsShown) {
    alarmsShown = text;
    drawAlarms(alarms);
  }
  drawAll();
}

function drawAll(): void {
  for (const name of nodes.keys()) draw(name);
  const kinds = [...nodes.values()].map((node) => stateOf(node, node.name)[0]);
  const count = (kind: string) => kinds.filter((one) => one === kind).length;
  byId("fleet").textContent =
    `${nodes.size} node${nodes.size === 1 ? "" : "s"}: ${count("good")} heard of, ${count("warn")} on trial, ${count("bad")} silent`;
  if (nodes.size === 0 && cards.size === 0)
    byId("nodes").replaceChildren(
      make(
        "p",
        { class: "empty" },
        "No nodes yet: name them in wasmote.toml, or start the gateway with --demo.",
      ),
    );
  const shownNode = detail && nodes.get(detail.name);
  if (detail && shownNode) detail.view.show(shownNode);
}

function route(): void {
  const name = /^#node\/(.+)$/.exec(location.hash)?.[1];
  detail?.view.close();
  detail = undefined;
  byId("overview").hidden = name !== undefined;
  byId("detail").hidden = name === undefined;
  if (name === undefined) return;
  const node = decodeURIComponent(name);
  detail = {
    name: node,
    view: new Detail(byId("detail"), node, [...(newest.get(node)?.keys() ?? [])].toSorted()),
  };
  byId("main").focus();
}

await takeToken();
await refresh();
for (const envelope of await ask<Envelope[]>("/api/values")) take(envelope);
drawChanged();
stream({
  value: take,
  link: (lostSince) => {
    const status = byId("link");
    status.className = lostSince === undefined ? "" : "lost";
    status.textContent =
      lostSince === undefined
        ? ""
        : `■ The gateway does not answer since ${new Date(lostSince).toLocaleTimeString()}: what is shown is old`;
    if (lostSince === undefined) void refresh();
  },
});
addEventListener("hashchange", route);
route();
setInterval(() => void refresh().catch(() => drawAll()), 2_000);

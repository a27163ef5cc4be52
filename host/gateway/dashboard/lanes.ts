// Rollouts: a lane for each wave, as far as it is, and what somebody may do about it. Colour says nothing that words do not.
import { ask, Refusal } from "./client.ts";
import { make } from "./elements.ts";

/** What /api/rollouts?lanes says of one. */
export interface LanedRollout {
  id: number;
  name: string;
  version: string;
  digest: string;
  state: "planned" | "running" | "paused" | "asking" | "halted" | "done";
  wave: number;
  reason?: string;
  settings: { waves: unknown[] };
  lanes: { wave: number; state: string; nodes: number }[];
}

/** Rollouts that are shown: those under way, and the newest of the others. */
export const mostLanes = 5;
const mostShown = 3;

/** States of nodes in the order that they come in, each with how it is drawn. */
const kinds: Record<string, "good" | "warn" | "bad" | "rest"> = {
  good: "good",
  trial: "warn",
  pushing: "warn",
  waiting: "rest",
  absent: "bad",
  refused: "bad",
  failed: "bad",
  returning: "bad",
  returned: "bad",
};

const words: Record<LanedRollout["state"], [string, string]> = {
  planned: ["rest", "○ planned, nothing was sent"],
  running: ["good", "● under way"],
  paused: ["warn", "▲ paused"],
  asking: ["warn", "▲ waits for approval"],
  halted: ["bad", "■ halted"],
  done: ["good", "● done"],
};

const acts: Record<LanedRollout["state"], string[]> = {
  planned: ["start"],
  running: ["pause", "halt"],
  paused: ["resume", "halt"],
  asking: ["approve", "halt"],
  halted: [],
  done: ["halt"],
};

export class Lanes {
  readonly #root: HTMLElement;
  readonly #status = make("p", { role: "status", class: "quiet" });
  #shown = "";
  /** A rollout whose halt was asked for once. */
  #sure: number | undefined;

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  show(all: readonly LanedRollout[]): void {
    const moving = (one: LanedRollout) =>
      !["done", "halted", "planned"].includes(one.state) ||
      one.lanes.some(({ state }) => ["pushing", "trial", "failed", "returning"].includes(state));
    const chosen = all.filter((one, index) => index === 0 || moving(one)).slice(0, mostShown);
    const text = JSON.stringify([chosen, this.#sure]);
    if (text === this.#shown) return;
    this.#shown = text;
    const focused = document.activeElement?.getAttribute("data-act");
    this.#root.hidden = chosen.length === 0;
    this.#root.replaceChildren(...chosen.map((one) => this.#rollout(one)), this.#status);
    if (focused) this.#root.querySelector<HTMLElement>(`[data-act="${focused}"]`)?.focus();
  }

  #rollout(one: LanedRollout): HTMLElement {
    const { id, name, version, digest, state, wave, reason, settings } = one;
    const [kind, said] = words[state];
    const where =
      state === "running" || state === "asking"
        ? `, wave ${wave + 1} of ${settings.waves.length}`
        : "";
    const heading = make(
      "h2",
      {},
      make("span", {}, `Rollout ${id}: ${name} ${version}`),
      make("span", { class: `state ${kind}` }, `${said}${where}`),
    );
    const why = reason === undefined ? "" : ` · ${reason}`;
    return make(
      "article",
      { class: "card wide", "data-rollout": id },
      heading,
      make("p", { class: "quiet" }, `${digest.slice(0, 12)}${why}`),
      make("ol", { class: "lanes" }, ...settings.waves.map((_, index) => laneOf(one, index))),
      make("div", { class: "row" }, ...acts[state].map((act) => this.#button(one, act))),
    );
  }

  #button({ id, name }: LanedRollout, act: string): HTMLElement {
    const sure = act === "halt" && this.#sure === id;
    const label = sure
      ? "Halt: every node that has it returns. Sure?"
      : act[0]!.toUpperCase() + act.slice(1);
    const button = make(
      "button",
      { type: "button", class: act === "halt" ? "plain" : "", "data-act": `${act} ${id}` },
      label,
    );
    button.setAttribute("aria-label", `${label} rollout ${id}, ${name}`);
    button.addEventListener("click", () => void this.#do(id, act));
    return button;
  }

  /** Halting takes every node back: it is asked for twice. */
  async #do(id: number, act: string): Promise<void> {
    if (act === "halt" && this.#sure !== id) {
      this.#sure = id;
      return this.refresh();
    }
    this.#sure = undefined;
    try {
      await ask(`/api/rollouts/${id}/${act}`, "POST");
      this.#status.textContent = `rollout ${id}: ${act} is asked for`;
    } catch (error) {
      this.#status.textContent =
        error instanceof Refusal
          ? `rollout ${id}: ${error.message}`
          : "the gateway does not answer";
    }
    await this.refresh();
  }

  async refresh(): Promise<void> {
    this.show(await ask<LanedRollout[]>(`/api/rollouts?lanes=${mostLanes}`));
  }
}

/** A wave: a bar whose parts are as long as their nodes are many, and the same in words. */
function laneOf({ lanes, wave, state }: LanedRollout, index: number): HTMLElement {
  const order = Object.keys(kinds);
  const parts = lanes
    .filter((one) => one.wave === index)
    .toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
  const total = parts.reduce((sum, { nodes }) => sum + nodes, 0);
  const said =
    total === 0 ? "no nodes" : parts.map((part) => `${part.nodes} ${part.state}`).join(", ");
  const bar = make("div", { class: "lane", "aria-hidden": "true" });
  for (const part of parts) {
    const piece = make("i", { class: kinds[part.state] ?? "rest" });
    piece.style.flexGrow = String(part.nodes);
    bar.append(piece);
  }
  const current = index === wave && (state === "running" || state === "asking");
  return make(
    "li",
    current ? { "aria-current": "step" } : {},
    make("span", {}, `Wave ${index + 1}`),
    bar,
    make("span", { class: "quiet" }, said),
  );
}

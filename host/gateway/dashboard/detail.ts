// One node: its chart, parameters, package, trap with the line of the source, log.
import type { Envelope } from "../envelope.ts";
import { Chart, type ChartPoint } from "./chart.ts";
import { ask } from "./client.ts";
import { ago, make, shown } from "./elements.ts";
import type { Summary } from "./summary.ts";

const spans: [string, number, string][] = [
  ["15 minutes", 900_000, "raw"],
  ["6 hours", 21_600_000, "1m"],
  ["7 days", 604_800_000, "1h"],
];

interface Full extends Summary {
  app: { params?: string[] } | null;
}

export class Detail {
  readonly #name: string;
  readonly #root: HTMLElement;
  #chart: Chart | undefined;
  #resource = "";
  #span = spans[0]!;
  #points: ChartPoint[] = [];
  readonly #status = make("p", { role: "status", class: "quiet" });
  readonly #chartBox = make("div", { class: "chart" });
  readonly #table = make("div", {
    class: "table",
    tabindex: 0,
    role: "region",
    "aria-label": "Values as a table",
  });
  readonly #select = make("select", { id: "resource" });
  readonly #state = make("p", { class: "quiet" });

  constructor(root: HTMLElement, name: string, resources: readonly string[]) {
    this.#root = root;
    this.#name = name;
    for (const resource of resources)
      this.#select.append(make("option", { value: resource }, resource));
    this.#select.addEventListener("change", () => void this.#draw());
    root.replaceChildren(this.#heading(), this.#chartCard());
    void this.#fill();
  }

  #heading(): HTMLElement {
    return make(
      "div",
      { class: "card wide" },
      make("h2", {}, this.#name),
      this.#state,
      this.#status,
      make("div", { class: "row" }, make("a", { href: "#" }, "← all nodes")),
    );
  }

  #chartCard(): HTMLElement {
    const span = make(
      "select",
      { id: "span" },
      ...spans.map(([label], index) => make("option", { value: index }, label)),
    );
    span.addEventListener("change", () => {
      this.#span = spans[Number(span.value)]!;
      void this.#draw();
    });
    const exported = make("a", { href: "#" }, "CSV");
    exported.addEventListener(
      "click",
      () => (exported.href = `/api/history?${this.#query()}&format=csv`),
    );
    const values = make("details", {}, make("summary", {}, "As a table"), this.#table);
    return make(
      "div",
      { class: "card wide" },
      make(
        "div",
        { class: "row" },
        make("label", { for: "resource" }, "Resource"),
        this.#select,
        make("label", { for: "span" }, "Time"),
        span,
        exported,
      ),
      this.#chartBox,
      values,
    );
  }

  #query(): string {
    const [, length, resolution] = this.#span;
    return new URLSearchParams({
      node: this.#name,
      resource: this.#select.value,
      from: String(-length),
      resolution,
      limit: "20000",
    }).toString();
  }

  async #draw(): Promise<void> {
    this.#resource = this.#select.value;
    if (this.#resource === "") return;
    const { points } = await ask<{ points: ChartPoint[] }>(`/api/history?${this.#query()}`);
    this.#chart?.close();
    this.#points = points;
    this.#chart = new Chart(this.#chartBox, this.#resource, points);
    this.#tabulate();
  }

  #tabulate(): void {
    const rows = this.#points.slice(-100).toReversed();
    this.#table.replaceChildren(
      make(
        "table",
        {},
        make(
          "thead",
          {},
          make(
            "tr",
            {},
            make("th", { scope: "col" }, "Time"),
            make("th", { scope: "col" }, this.#resource),
          ),
        ),
        make(
          "tbody",
          {},
          ...rows.map(({ time, value }) =>
            make(
              "tr",
              {},
              make("td", {}, new Date(time).toLocaleTimeString()),
              make("td", {}, value === null ? "gap" : shown(value)),
            ),
          ),
        ),
      ),
    );
  }

  take({ node, resource, time, value }: Envelope): void {
    if (node !== this.#name || resource !== this.#resource || this.#span[2] !== "raw") return;
    this.#points.push({ time, value });
    if (this.#points.length > 20_000) this.#points.splice(0, 2_000);
    this.#chart?.add({ time, value });
  }

  show(node: Summary): void {
    const { package: app, lastSeen, trouble, board } = node;
    this.#state.textContent = [
      ago(lastSeen),
      board ?? "",
      app === null ? "no package" : `${app.name} ${app.version}, ${app.state}`,
      trouble ?? "",
    ]
      .filter(Boolean)
      .join(" · ");
  }

  async #fill(): Promise<void> {
    await this.#draw();
    if (this.#name === "gateway") return;
    const full = await ask<Full>(`/api/nodes/${encodeURIComponent(this.#name)}`);
    this.show(full);
    const params =
      (full.app?.params ?? []).length === 0
        ? {}
        : await ask<Record<string, number>>(this.#path("params")).catch(() => ({}));
    this.#root.append(this.#paramsCard(params), this.#packageCard(full), this.#logCard());
  }

  #path(rest: string): string {
    return `/api/nodes/${encodeURIComponent(this.#name)}/${rest}`;
  }

  async #do(what: string, work: () => Promise<unknown>): Promise<void> {
    this.#status.textContent = `${what} …`;
    try {
      await work();
      this.#status.textContent = `${what}: done`;
    } catch (error) {
      this.#status.textContent = `${what}: ${(error as Error).message}`;
    }
  }

  #paramsCard(params: Record<string, number>): HTMLElement {
    const rows = Object.entries(params).map(([name, value]) => {
      const most = Math.max(10, Math.abs(value) * 3);
      const number = make("input", { type: "number", id: `param-${name}`, step: "any", value });
      const slider = make("input", {
        type: "range",
        "aria-label": `${name}, slider`,
        min: value < 0 ? -most : 0,
        max: most,
        step: most / 300,
        value,
      });
      const set = () =>
        void this.#do(`${name} = ${number.value}`, () =>
          ask(this.#path(`params/${encodeURIComponent(name)}`), "PUT", {
            value: Number(number.value),
          }),
        );
      slider.addEventListener("input", () => (number.value = shown(Number(slider.value))));
      slider.addEventListener("change", set);
      number.addEventListener("change", () => {
        slider.value = number.value;
        set();
      });
      return make(
        "div",
        { class: "row" },
        make("label", { for: `param-${name}` }, name),
        slider,
        number,
      );
    });
    return make(
      "div",
      { class: "card" },
      make("h3", {}, "Parameters"),
      ...(rows.length > 0 ? rows : [make("p", { class: "quiet" }, "The package has none.")]),
    );
  }

  #packageCard({ package: app, memory, fuel, event }: Full): HTMLElement {
    const file = make("input", { type: "file", id: "package", accept: ".wpkg" });
    const push = async () => {
      const chosen = file.files?.[0];
      if (chosen === undefined) return void (this.#status.textContent = "Choose a package first.");
      const bytes = await chosen.arrayBuffer();
      await this.#do(`push ${chosen.name}`, async () => {
        const fit = await ask<{ fits: boolean; reasons: string[] }>(
          this.#path("app?check"),
          "PUT",
          bytes,
        );
        if (!fit.fits) throw new Error(`it does not fit: ${fit.reasons.join("; ")}`);
        await ask(this.#path("app"), "PUT", bytes);
      });
    };
    const bar = (label: string, part: number | null | undefined, whole: number | null) =>
      part === null || part === undefined || whole === null || whole === 0
        ? make("p", { class: "quiet" }, `${label}: not known yet`)
        : make(
            "div",
            {},
            make("p", { class: "quiet" }, `${label}: ${part} of ${whole}`),
            barOf(part / whole),
          );
    return make(
      "div",
      { class: "card" },
      make("h3", {}, "Package"),
      make(
        "p",
        {},
        app === null
          ? "No package runs."
          : `${app.name} ${app.version}, sequence ${app.sequence}, ${app.state}`,
      ),
      make("p", { class: "quiet" }, app?.digest ?? ""),
      bar("RAM", app?.ram, memory),
      bar("fuel of the longest run", fuel.most, fuel.limit),
      ...(event === null
        ? []
        : [
            make("h3", {}, `Last event: ${event.what} in package ${event.sequence}`),
            make("pre", { tabindex: 0, class: "trap" }, event.text),
          ]),
      make(
        "div",
        { class: "row" },
        make("label", { for: "package" }, "New one"),
        file,
        make("button", { type: "button", click: () => void push() }, "Push"),
      ),
      make(
        "div",
        { class: "row" },
        make(
          "button",
          {
            type: "button",
            class: "plain",
            click: () => void this.#do("rollback", () => ask(this.#path("rollback"), "POST")),
          },
          "Return to the package before",
        ),
      ),
    );
  }

  #logCard(): HTMLElement {
    const text = make("pre", { tabindex: 0, "aria-label": "Log" }, "");
    const load = async () =>
      (text.textContent = (await ask<string[]>(this.#path("log"))).join("\n") || "nothing yet");
    void load().catch((error: Error) => (text.textContent = error.message));
    return make(
      "div",
      { class: "card wide" },
      make("h3", {}, "Log"),
      text,
      make(
        "div",
        { class: "row" },
        make(
          "button",
          { type: "button", class: "plain", click: () => void this.#do("log", load) },
          "Read again",
        ),
      ),
    );
  }

  close(): void {
    this.#chart?.close();
    this.#root.replaceChildren();
  }
}

function barOf(share: number): HTMLElement {
  const inner = make("i");
  inner.style.width = `${Math.min(100, Math.round(share * 100))}%`;
  return make("div", { class: "bar", "aria-hidden": "true" }, inner);
}

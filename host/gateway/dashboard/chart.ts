// A chart of one resource: live values, and the band between least and most where steps are shown. A gap stays a gap.
import uPlot from "uplot";

export interface ChartPoint {
  time: number;
  value: number | null;
  min?: number;
  max?: number;
}

const mostLive = 20_000;

const colour = (name: string) =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A colour of the page, as a canvas takes it: `light-dark()` resolved by an element that has it. */
function resolved(name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value || colour(name);
}

export class Chart {
  readonly #plot: uPlot;
  readonly #data: [number[], (number | null)[], (number | null)[], (number | null)[]] = [
    [],
    [],
    [],
    [],
  ];
  readonly #element: HTMLElement;
  readonly #resize: ResizeObserver;
  #due = false;
  #closed = false;

  constructor(element: HTMLElement, title: string, points: readonly ChartPoint[]) {
    this.#element = element;
    for (const point of points) this.#push(point);
    const line = resolved("--mark");
    const axis = {
      stroke: resolved("--quiet"),
      grid: { stroke: resolved("--line"), width: 1 },
      ticks: { stroke: resolved("--line") },
    };
    const band = line.replace(/^rgb\((.*)\)$/, "rgba($1, 0.18)");
    this.#plot = new uPlot(
      {
        width: element.clientWidth || 600,
        height: 300,
        series: [
          {},
          {
            label: title,
            stroke: line,
            width: 2,
            spanGaps: false,
            value: (_, value) => (value === null ? "–" : String(Number(value.toPrecision(6)))),
          },
          { label: "least", stroke: "transparent", points: { show: false } },
          { label: "most", stroke: "transparent", points: { show: false } },
        ],
        bands: [{ series: [3, 2], fill: band }],
        axes: [axis, { ...axis, size: 60 }],
        cursor: { drag: { x: true, y: false } },
      },
      this.#data,
      element,
    );
    this.#resize = new ResizeObserver(() =>
      this.#plot.setSize({ width: element.clientWidth, height: 300 }),
    );
    this.#resize.observe(element);
  }

  #push({ time, value, min, max }: ChartPoint): void {
    const [times, values, least, most] = this.#data;
    // uPlot wants times that rise.
    if (times.length > 0 && time / 1000 <= times.at(-1)!) return;
    times.push(time / 1000);
    values.push(value);
    least.push(min ?? null);
    most.push(max ?? null);
    if (times.length > mostLive) for (const column of this.#data) column.splice(0, mostLive / 10);
  }

  /** Adds a value; drawn with the next frame. */
  add(point: ChartPoint): void {
    this.#push(point);
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      if (!this.#closed) this.#plot.setData(this.#data);
    });
  }

  close(): void {
    this.#closed = true;
    this.#resize.disconnect();
    this.#plot.destroy();
    this.#element.replaceChildren();
  }
}

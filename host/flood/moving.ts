// A model that moves between places while its inputs flow, and what it decides, without one lost or doubled.
//
//   inputs --> node --link--> gateway --link--> cloud        decisions --> outbox of the place --> ledger of the gateway
//
// Make before break: the new place is started and given the inputs it needs to be where the old one is (those of the last
// days, which the gateway keeps), and only when it has decided is the old one stopped. What runs below a cut link decides by itself:
// a node that cannot reach the gateway, a gateway that cannot reach the cloud. Each place keeps its decisions until
// the ledger has taken them.
import { Ledger, type Change, type Decided } from "./alarms.ts";
import { places, type Place } from "./place.ts";

/** What the model is given for a period. */
export type Inputs = readonly number[];

/** A model somewhere: gives a decision for each period, from inputs that it keeps itself. */
export interface Running {
  /** Takes the inputs of a period; undefined while it has too few. */
  take(period: number, inputs: Inputs): boolean | undefined;
}

export interface MovingOptions {
  /** Starts the model at a place, with nothing known. */
  start: (place: Place) => Running;
  /** How many periods of inputs a decision depends on, this one included. */
  depends: number;
  onChange: (change: Change) => void;
  /** The first period that is to be decided. */
  from: number;
}

interface Site {
  running: Running;
  /** The last period whose inputs it has. */
  known: number;
}

export class MovingModel {
  readonly ledger: Ledger;
  readonly #options: MovingOptions;
  readonly #sites = new Map<Place, Site>();
  readonly #outbox = new Map<Place, Decided[]>(places.map((place) => [place, []]));
  /** Inputs by period, as the node has them; bounded. */
  readonly #inputs = new Map<number, Inputs>();
  readonly #cut = new Set<"gateway" | "cloud">();
  #place: Place;
  moves = 0;

  constructor(options: MovingOptions, place: Place = "node") {
    this.#options = options;
    this.#place = place;
    this.ledger = new Ledger(options.onChange, options.from);
    this.#open(place);
  }

  /** Where the model is wanted; where it runs now may be below, while links are cut. */
  get place(): Place {
    return this.#place;
  }

  running(): Place[] {
    return places.filter((place) => this.#sites.has(place));
  }

  /** A link goes, or comes back: `gateway` is that from the node, `cloud` that from the gateway. */
  link(which: "gateway" | "cloud", whole: boolean): void {
    if (whole) this.#cut.delete(which);
    else this.#cut.add(which);
    this.#settle();
  }

  move(to: Place): void {
    if (to !== this.#place) this.moves++;
    this.#place = to;
    this.#settle();
  }

  /** The process at a place ends and starts again: what it had in memory is gone, its outbox is on disk. */
  kill(place: Place): void {
    if (this.#sites.delete(place)) this.#settle();
  }

  /** The inputs of the next period. */
  take(period: number, inputs: Inputs): void {
    this.#inputs.set(period, inputs);
    // What a place needs to start, and what one beyond a cut link has still to be given.
    this.#settle();
    this.#forget(period);
  }

  #reached(place: Place): boolean {
    if (place === "node") return true;
    return !this.#cut.has("gateway") && (place === "gateway" || !this.#cut.has("cloud"));
  }

  /** The place that is wanted, or the highest below it that can be fed. */
  #fallback(): Place {
    const wanted = places.indexOf(this.#place);
    return places.slice(0, wanted + 1).findLast((place) => this.#reached(place)) ?? "node";
  }

  #open(place: Place): Site {
    const found = this.#sites.get(place);
    if (found !== undefined) return found;
    const site = { running: this.#options.start(place), known: Number.NEGATIVE_INFINITY };
    this.#sites.set(place, site);
    return site;
  }

  /** Everything that can be done now: the right place is fed, decisions go where they can, others stop. */
  #settle(): void {
    const place = this.#fallback();
    const site = this.#open(place);
    const known = [...this.#inputs.keys()];
    for (const period of known)
      if (period > site.known) {
        const alarm = site.running.take(period, this.#inputs.get(period)!);
        site.known = period;
        if (alarm !== undefined && period >= this.#options.from)
          this.#outbox.get(place)!.push({ period, alarm });
      }
    for (const other of places) {
      // Decisions of the node wait for the link to the gateway, those of the cloud for theirs.
      const waiting = this.#outbox.get(other)!;
      const open = other === "gateway" || !this.#cut.has(other === "node" ? "gateway" : "cloud");
      if (open) for (const one of waiting.splice(0)) this.ledger.take(one);
      // Stopped only when another one has the inputs that it had.
      const old = this.#sites.get(other);
      if (other !== place && old !== undefined && old.known <= site.known)
        this.#sites.delete(other);
    }
  }

  #forget(period: number): void {
    // What the ledger has not been told may have to be decided again, by a place that starts anew.
    const oldest = Math.min(this.ledger.next ?? period, period) - this.#options.depends;
    for (const known of this.#inputs.keys()) {
      if (known >= oldest) return;
      this.#inputs.delete(known);
    }
  }
}

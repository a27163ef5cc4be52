// Runs every handler of a module, often: samples over and over, ticks, and requests of each method for each path the program
// names. What a handler leaks, and what fills up late, shows within it.
import { Simulation, type Sample } from "./simulate.ts";

export interface Exercise {
  simulation: Simulation;
  /** The module's sensors that no sample was for. */
  unexercised: string[];
  /** Runs for samples, ticks and requests. */
  runs: { sample: number; tick: number; request: number };
  /** What the module answered with an error of its own (5.xx), each once: how many requests, and the first one's path. */
  failed: Map<string, { count: number; path: string }>;
}

/** Samples are gone through again until there were so many, or so much fuel was used. */
const leastSamples = 10_000;
const mostFuel = 200e6;
const leastTicks = 1_000;
const leastRequests = 2_000;
/** GET, POST, PUT, DELETE (RFC 7252 §12.1.1), and what comes with them. */
const methods = [1, 2, 3, 4] as const;
const payloads = ["", "1", "-7.5", "text", "9".repeat(40)];

/** @param paths Below `/app/x/`, as the program compares them. */
export function exercise(
  module: Uint8Array,
  samples: readonly Sample[],
  paths: readonly string[] = [],
): Exercise {
  const simulation = new Simulation(module);
  const { facts } = simulation;
  const runs = { sample: 0, tick: 0, request: 0 };
  const failed: Exercise["failed"] = new Map();
  const taken = samples.filter(({ sensor }) => facts.sensors.includes(sensor));
  const unexercised = facts.sensors.filter((name) => !taken.some(({ sensor }) => sensor === name));
  let at = 0;
  let spent = 0;
  let counted = 0;
  const goesOn = () => {
    for (; counted < simulation.fuel.length; counted++) spent += simulation.fuel[counted] ?? 0;
    // What happened is looked at once, at its end.
    if (simulation.happenings.length > 10_000 && !simulation.trapped)
      simulation.happenings.length = 0;
    return !simulation.trapped && spent < mostFuel;
  };
  if (simulation.has("sample"))
    for (
      let begin = 0;
      taken.length > 0 && runs.sample < leastSamples && goesOn();
      begin = at + 1000
    )
      for (const sample of taken) {
        if (!goesOn()) break;
        at = begin + sample.at;
        simulation.sample({ ...sample, at });
        runs.sample++;
      }
  spent = 0;
  if (simulation.has("tick") && facts.tick > 0)
    for (; runs.tick < leastTicks && goesOn(); runs.tick++) simulation.until((at += facts.tick));
  spent = 0;
  if (simulation.has("request") && facts.buffer > 0) {
    const all = ["", "no-such-path", ...paths].filter((path) => path.length < facts.buffer - 40);
    while (runs.request < leastRequests && goesOn())
      for (const path of all)
        for (const method of methods)
          for (const payload of payloads) {
            if (!goesOn()) break;
            const before = simulation.happenings.length;
            simulation.request((at += 1), method, path, payload);
            runs.request++;
            const answer = simulation.happenings.slice(before).find(({ kind }) => kind === "reply");
            if (answer?.kind !== "reply" || !answer.status.startsWith("5.")) continue;
            const what = `${answer.status} ${answer.text}`.trim();
            failed.set(what, {
              path,
              ...failed.get(what),
              count: (failed.get(what)?.count ?? 0) + 1,
            });
          }
  }
  return { simulation, unexercised, runs, failed };
}

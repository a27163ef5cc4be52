// Rollouts without nodes: the order of nodes, the bound for small waves, and the state machine under a world that fails, is silent and is
// killed at random.
import { describe, expect, test } from "vitest";
import {
  standardSettings,
  step,
  type Member,
  type Rollout,
  type Sight,
} from "../../host/gateway/rollout/machine.ts";
import {
  failsAtLeast,
  parseWaves,
  planWaves,
  standardWaves,
} from "../../host/gateway/rollout/waves.ts";
import { randomBelow } from "../harness/random.ts";

const names = Array.from({ length: 1000 }, (_, n) => `node-${n}`);

describe("waves", () => {
  test("reach one node, 1 %, 10 % and all; a larger share only adds", () => {
    const plan = planWaves("a1", names, standardWaves);
    const count = (wave: number) => names.filter((name) => plan.get(name) === wave).length;
    expect([0, 1, 2, 3].map(count)).toEqual([1, 9, 90, 900]);
    const wider = planWaves("a1", names, parseWaves("1,5%,100%"));
    for (const name of names)
      if (plan.get(name)! <= 1) expect(wider.get(name)).toBeLessThanOrEqual(1);
    // Another package begins with others, the same one always with the same.
    expect(planWaves("a1", names.toReversed(), standardWaves)).toEqual(plan);
    const others = planWaves("b2", names, standardWaves);
    expect(
      names.filter((name) => others.get(name)! < 2 && plan.get(name)! < 2).length,
    ).toBeLessThan(5);
  });

  test.each(["", "0", "0%", "101%", "1,2", "x,100%", "1.5,100%", "-1,100%", "50%", "1,,100%"])(
    "%j is refused",
    (text) => {
      expect(() => parseWaves(text)).toThrow(RangeError);
    },
  );

  test("the bound is that of Wilson's score interval", () => {
    // z = 1.2816: 1 of 1 and 3 of 111 by hand.
    expect(failsAtLeast(1, 1)).toBeCloseTo(1 / (1 + 1.2816 ** 2), 10);
    expect(failsAtLeast(3, 111)).toBeCloseTo(0.0131, 3);
    expect(failsAtLeast(0, 50)).toBe(0);
    expect(failsAtLeast(0, 0)).toBe(0);
  });
});

const target = "new";
const old = "old";

function plan(count: number, settings: Partial<Rollout["settings"]> = {}): [Rollout, Member[]] {
  const nodes = names.slice(0, count);
  const waves = planWaves(target, nodes, standardWaves);
  const rollout: Rollout = {
    id: 1,
    digest: target,
    name: "filter",
    version: "2",
    sequence: 2,
    select: ["*"],
    settings: { waves: standardWaves, ...standardSettings, ...settings },
    state: "running",
    wave: 0,
    created: 0,
  };
  return [
    rollout,
    nodes.map((node) => ({ node, wave: waves.get(node)!, state: "waiting", since: 0 })),
  ];
}

/** Nodes that do what they are told, fail, fall silent, and orders that are lost, as a seed says. */
class World {
  now = 0;
  readonly below: (end: number) => number;
  readonly nodes: Map<string, Sight & { bad: boolean; silent: boolean; since: number }>;
  constructor(seed: number, members: readonly Member[], bad: number, silent: number) {
    this.below = randomBelow(seed);
    this.nodes = new Map(
      members.map(({ node }) => [
        node,
        {
          heard: 0,
          digest: old,
          confirmed: true,
          bad: this.below(1000) < bad,
          silent: this.below(1000) < silent,
          since: 0,
        },
      ]),
    );
  }
  /** Half a second to ten seconds later: nodes are heard of, trials end. */
  pass(): void {
    this.now += 500 + this.below(10_000);
    for (const node of this.nodes.values()) {
      if (node.silent || this.below(3) === 0) continue;
      node.heard = this.now;
      if (node.digest !== target || this.now - node.since < 5_000) continue;
      if (node.bad) Object.assign(node, { digest: old, confirmed: true, event: "trap" });
      else Object.assign(node, { confirmed: true, faults: [] });
    }
  }
  obey(what: string, name: string): void {
    const node = this.nodes.get(name)!;
    // Now and then an order is lost, with the process that carried it.
    if (node.silent || this.below(5) === 0) return;
    if (what === "push" && node.digest !== target)
      Object.assign(node, { digest: target, confirmed: false, since: this.now });
    if (what === "return" && node.digest === target)
      Object.assign(node, { digest: old, confirmed: true });
  }
}

function run(
  seed: number,
  bad: number,
  silent: number,
  settings: Partial<Rollout["settings"]> = {},
) {
  let [rollout, members] = plan(1000, settings);
  const world = new World(seed, members, bad, silent);
  for (let turn = 0; turn < 3000; turn++) {
    world.pass();
    const taken = step(rollout, members, world.nodes, world.now);
    const changed = new Map(taken.changed.map((member) => [member.node, member]));
    // What a killed process had not kept is found out again.
    if (world.below(10) > 0) {
      rollout = taken.rollout;
      members = members.map((member) => changed.get(member.node) ?? member);
      // A second step with the same news changes nothing and orders the same.
      const again = step(rollout, members, world.nodes, world.now);
      if (turn % 50 === 0 && taken.said.length === 0) {
        expect(again.changed).toEqual([]);
        expect(again.orders).toEqual(taken.orders);
      }
    }
    const pushing = members.filter(({ state }) => state === "pushing").length;
    expect(pushing).toBeLessThanOrEqual(rollout.settings.atOnce);
    for (const { node, what } of taken.orders) world.obey(what, node);
    const busy = members.some(
      ({ state, node }) =>
        ["pushing", "trial", "returning", "failed"].includes(state) &&
        !world.nodes.get(node)!.silent,
    );
    if ((rollout.state === "done" || rollout.state === "halted") && !busy) break;
  }
  const having = [...world.nodes.values()].filter(({ digest }) => digest === target).length;
  const touched = members.filter(({ state }) => state !== "waiting").length;
  return { rollout, members, having, touched };
}

describe("a rollout", () => {
  test.each([1, 2, 3])("of a good filter reaches all nodes (seed %i)", (seed) => {
    const { rollout, having } = run(seed, 0, 0);
    expect(rollout.state).toBe("done");
    expect(having).toBe(1000);
  });

  test.each([1, 2, 3, 4, 5, 6])(
    "of a filter that fails on 3 % halts early and returns all (seed %i)",
    (seed) => {
      const { rollout, having, touched, members } = run(seed, 30, 0);
      expect(rollout.state).toBe("halted");
      expect(rollout.reason).toMatch(/of \d+ nodes? failed: trap/);
      expect(having).toBe(0);
      expect(touched).toBeLessThan(400);
      expect(members.every(({ state }) => ["waiting", "returned"].includes(state))).toBe(true);
    },
  );

  test("halts where a third of the nodes is silent", () => {
    const { rollout, having, touched } = run(9, 0, 333);
    expect(rollout.state).toBe("halted");
    expect(rollout.reason).toMatch(/silent/);
    expect(having).toBe(0);
    expect(touched).toBeLessThan(50);
  });

  test("waits for approval before each wave but the first, sends nothing while it is paused", () => {
    let [rollout, members] = plan(1000, { approve: true });
    const world = new World(4, members, 0, 0);
    const turn = () => {
      world.pass();
      const taken = step(rollout, members, world.nodes, world.now);
      const changed = new Map(taken.changed.map((member) => [member.node, member]));
      rollout = taken.rollout;
      members = members.map((member) => changed.get(member.node) ?? member);
      for (const { node, what } of taken.orders) world.obey(what, node);
    };
    const having = () => [...world.nodes.values()].filter(({ digest }) => digest === target).length;
    for (let n = 0; n < 200; n++) turn();
    expect([rollout.state, rollout.wave, having()]).toEqual(["asking", 1, 1]);
    rollout = { ...rollout, state: "running" };
    for (let n = 0; n < 200; n++) turn();
    expect([rollout.state, rollout.wave, having()]).toEqual(["asking", 2, 10]);
    rollout = { ...rollout, state: "paused" };
    for (let n = 0; n < 200; n++) turn();
    expect([rollout.state, having()]).toEqual(["paused", 10]);
  });
});

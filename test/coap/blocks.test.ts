// What the SDK has beside filters: several periods, timers, outputs that are read again, dates, history, calibration, payloads.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build } from "../../host/lib/build/build.ts";
import { Simulation, type SimulateOptions } from "../../host/lib/simulate.ts";
import { random } from "../harness/link.ts";
import { scratch } from "../harness/target.ts";

async function simulation(program: string, options: SimulateOptions = {}): Promise<Simulation> {
  using folder = scratch();
  const file = join(folder.path, "program.ts");
  writeFileSync(file, program);
  return new Simulation((await build(file)).module, options);
}

const logs = ({ happenings }: Simulation) =>
  happenings.flatMap((one) => (one.kind === "log" ? [`${one.at} ${one.text}`] : []));

describe("time", () => {
  test("several periods each come at their own time", async () => {
    const made = await simulation(`
      import { every, log } from "wasmote";
      const second = 1000;
      every(2 * second, () => log("two"));
      every(3 * second, three);
      every(6 * second, () => log("six"));
      function three(): void { log("three"); }`);
    expect(made.facts.tick).toBe(1000);
    made.until(7000);
    expect(logs(made)).toEqual([
      "2000 two",
      "3000 three",
      "4000 two",
      "6000 two",
      "6000 three",
      "6000 six",
    ]);
  });

  test("a timer runs its handler once, later, and may be started again or stopped", async () => {
    const made = await simulation(`
      import { gpio, log, sensor, timer } from "wasmote";
      const level = sensor("level");
      const close = timer(shut), other = timer(() => log("other"));
      level.onSample((value) => {
        if (value > 5) { gpio(0, true); close.start(2000); other.start(500); }
        else if (value > 3) other.stop();
        log(\`\${close.running} \${other.running}\`);
      });
      function shut(): void { gpio(0, false); log("closed"); }`);
    expect(made.facts.tick).toBe(100);
    made.sample({ at: 50, sensor: "level", value: 6 });
    made.sample({ at: 1000, sensor: "level", value: 7 });
    made.sample({ at: 1200, sensor: "level", value: 4 });
    made.sample({ at: 9000, sensor: "level", value: 1 });
    expect(logs(made)).toEqual([
      "50 true true",
      "600 other",
      "1000 true true",
      "1200 true false",
      "3000 closed",
      "9000 false false",
    ]);
  });

  test("timers go on across the end of the node's clock", async () => {
    const made = await simulation(`
      import { log, sensor, timer } from "wasmote";
      const level = sensor("level");
      const later = timer(() => log("later"));
      level.onSample((value) => later.start(1000));`);
    const end = 2 ** 32;
    // So many ticks before are not what this is about.
    made.skipTo(end - 600);
    made.sample({ at: end - 550, sensor: "level", value: 1 });
    made.until(end + 2000);
    expect(logs(made).length).toBe(1);
    expect(Number(logs(made)[0]!.split(" ")[0])).toBeGreaterThanOrEqual(end + 450);
  });

  test("dates are those of the calendar, for 60,000 years", async () => {
    const made = await simulation(`
      import { dateOf, dayOf, hourOf, log, minuteOf, monthOf, onRequest, secondOf, weekdayOf, yearOf } from "wasmote";
      onRequest((request) => {
        let time: i64 = 0;
        for (let i = 0; i < request.length; i++) time = time * 10 + <i64>(request.byte(i) - 48);
        if (request.at("before")) time = -time;
        request.reply(0x45, \`\${dateOf(time)} \${yearOf(time)}-\${monthOf(time)}-\${dayOf(time)} \${weekdayOf(time)} \${hourOf(time)}:\${minuteOf(time)}:\${secondOf(time)}\`);
      });`);
    const next = random(5);
    const times = [
      0, 951_782_400_000, 951_868_799_999, 1_709_164_800_000, 4_107_542_400_000, -1, -86_400_000,
      -86_400_001,
    ];
    for (let one = 0; one < 500; one++) times.push(Math.floor((next(2) - 0.5) * 1e15 * 0.06));
    for (const time of times) made.request(0, 1, time < 0 ? "before" : "", String(Math.abs(time)));
    const found = made.happenings.map((one) => (one.kind === "reply" ? one.text : one));
    const expected = times.map((time) => {
      const date = new Date(time);
      const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()];
      const number = year * 10_000 + month * 100 + day;
      return `${number} ${year}-${month}-${day} ${date.getUTCDay()} ${date.getUTCHours()}:${date.getUTCMinutes()}:${date.getUTCSeconds()}`;
    });
    const common = times.map((time) => new Date(time).getUTCFullYear() > 0);
    expect(found.filter((_, index) => common[index])).toEqual(
      expected.filter((_, index) => common[index]),
    );
  });
});

describe("values", () => {
  test("an output can be read again, NaN before the first", async () => {
    const made = await simulation(`
      import { log, output, sensor } from "wasmote";
      const level = sensor("level");
      const first = output("first"), sum = output("sum");
      level.onSample((value) => {
        log(\`\${sum.value}\`);
        sum.publish(isNaN(sum.value) ? value : sum.value + value);
        first.publish(value);
      });`);
    for (const at of [1, 2, 3]) made.sample({ at, sensor: "level", value: at * 1.5 });
    expect(logs(made)).toEqual(["1 NaN", "2 1.5", "3 4.5"]);
  });

  test("history gives samples by their age, and calibration goes straight through its points and beyond", async () => {
    const made = await simulation(`
      import { Calibration, History, log, sensor } from "wasmote";
      const level = sensor("level");
      const past = new History(3);
      const curve = new Calibration(3);
      curve.point(0, 10); curve.point(100, 20); curve.point(200, 60); curve.point(300, 0);
      level.onSample((value) => {
        past.push(value);
        log(\`\${past.count}: \${past.at(0)} \${past.at(1)} \${past.at(2)} \${past.at(3)} \${past.at(-1)} | \${curve.value(value)}\`);
      });`);
    [50, 150, -100, 400].forEach((value, at) => made.sample({ at, sensor: "level", value }));
    expect(logs(made)).toEqual([
      "0 1: 50 NaN NaN NaN NaN | 15",
      "1 2: 150 50 NaN NaN NaN | 40",
      "2 3: -100 150 50 NaN NaN | 0",
      "3 3: 400 -100 150 NaN NaN | 140",
    ]);
  });

  test("payloads are read as numbers and texts", async () => {
    const made = await simulation(`
      import { onRequest } from "wasmote";
      onRequest((request) => {
        request.reply(0x45, \`\${request.path}|\${request.text}|\${request.number()}|\${request.decimal()}\`);
      });`);
    for (const payload of ["12.5", "-7", "", "x", "-.25e3", "1.2.3", "grün"])
      made.request(0, 2, "some/path", payload);
    expect(made.happenings.map((one) => (one.kind === "reply" ? one.text : one))).toEqual([
      "some/path|12.5|12|12.5",
      "some/path|-7|-7|-7",
      "some/path||0|NaN",
      "some/path|x|0|NaN",
      "some/path|-.25e3|0|-0.25",
      "some/path|1.2.3|1|1.2",
      "some/path|grün|0|NaN",
    ]);
  });
});

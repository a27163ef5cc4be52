// Callers of a decision over HTTP, in a process of their own: what is measured shares no thread with what measures.
//
//   node callers.mjs URL DECISIONS PERIOD < { "tokens": […], "body": "…" }
//
// Caller N asks URL/cN/days for so many decisions over a connection that stays: one after the other where PERIOD is 0, otherwise one each
// PERIOD milliseconds, not all at the same moment. Prints the milliseconds of each.
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";

const [url, decisions, period] = process.argv.slice(2);
const { tokens, body } = JSON.parse(await text(process.stdin));
const agent = new Agent({ keepAlive: true });

const ask = (caller) =>
  new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${tokens[caller]}`,
      "content-length": Buffer.byteLength(body),
    };
    const asked = request(`${url}/c${caller}/days`, { method: "POST", agent, headers });
    asked.on("error", reject);
    asked.on("response", (response) => {
      const told = (said) => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`${response.statusCode}: ${said}`));
      };
      text(response).then(told, reject);
    });
    asked.end(body);
  });

const times = [];
async function call(caller) {
  // Its connection is there, and its module warm.
  await ask(caller);
  const began = performance.now() + (Number(period) * caller) / tokens.length;
  for (let round = 0; round < Number(decisions); round++) {
    const due = began + round * Number(period) - performance.now();
    if (Number(period) > 0 && due > 0) await wait(due);
    const start = performance.now();
    await ask(caller);
    times.push(performance.now() - start);
  }
}
await Promise.all(tokens.map((_, caller) => call(caller)));
agent.destroy();
process.stdout.write(`${JSON.stringify(times)}\n`);

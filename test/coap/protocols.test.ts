// CoAP beside HTTP and MQTT on the emulated board: the benchmark's own check, with a few exchanges of each kind. What TCP's timers add on a busy
// machine is left open; what CoAP takes is exact.
import { describe, expect, test } from "vitest";
import { each, exchanges, measure, missingProtocols } from "../bench/protocols.ts";

/** The fewest packets that an exchange can do with, and its fewest bytes: of headers of IPv4 with TCP (40) or UDP (28), and what is said. */
const least: Record<string, [packets: number, bytes: number]> = {
  "CoAP GET": [2, 2 * 28],
  "HTTP, one connection": [
    2,
    2 * 40 + "GET /sensors/level HTTP/1.1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n1000".length,
  ],
  // A connection, what is said in it, and its end: six, and the next one may begin before that.
  "HTTP, a connection each": [5, 5 * 40],
  notifications: [1, 28],
  "MQTT, QoS 0": [2, 2 * 40 + "sensors/level1000".length],
  // The acknowledgement of an acknowledgement may wait for the next value.
  "MQTT, QoS 1": [2, 2 * 40 + "sensors/level1000".length],
  "MQTT, a connection each": [5, 5 * 40],
  "MQTT, keeping alive": [2, 2 * 40 + 4],
};

if (missingProtocols !== undefined) {
  test.skip(`a sensor by CoAP, HTTP and MQTT: skipped: ${missingProtocols}`, () => {});
} else {
  describe("on the emulated board a sensor is read and told", () => {
    test.concurrent.each(Object.keys(exchanges))("by %s", async (name) => {
      const count = 8;
      const sums = await measure(name, count);
      expect(sums.reduce((all, sum) => all + sum.exchanges, 0)).toBe(count);
      const [packets, bytes] = least[name]!;
      for (const sum of sums) {
        const one = each(sum);
        expect(one.packets).toBeGreaterThanOrEqual(packets);
        expect(one.bytes).toBeGreaterThanOrEqual(bytes);
        expect(one.ethernet).toBeGreaterThanOrEqual(Math.max(one.bytes, one.packets * 64));
        expect(one.instructions).toBeGreaterThan(1000);
      }
      if (name === "CoAP GET")
        // Header, token of two bytes, `sensors` and `level`; the answer with entity tag, format and four digits.
        expect(each(sums[0]!)).toMatchObject({ packets: 2, received: 48, sent: 45 });
      if (name === "notifications")
        expect(each(sums.find(({ kind }) => kind === 1)!)).toMatchObject({
          packets: 1,
          received: 0,
        });
    });
  });
}

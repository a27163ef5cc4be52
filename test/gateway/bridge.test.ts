// The MQTT bridge against a broker from a package: values out, parameters' way in, Home Assistant's descriptions, the broker away and back.
import { createServer, type Server } from "node:net";
import { once } from "node:events";
import { Aedes } from "aedes";
import { connectAsync } from "mqtt";
import { expect, test } from "vitest";
import { startGateway, until } from "./harness.ts";

async function broker(port = 0): Promise<{ port: number; stop: () => Promise<void> }> {
  const aedes = await Aedes.createBroker();
  const server: Server = createServer(aedes.handle).listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as { port: number }).port,
    stop: async () => {
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

test("values are retained under node and resource; a broker that was away gets the newest; alarms go through the outbox", async () => {
  const first = await broker();
  const running = await startGateway({
    mqtt: { url: `mqtt://127.0.0.1:${first.port}`, prefix: "wm", homeassistant: "ha" },
    deliveries: [{ kind: "mqtt", name: "mqtt" }],
  });
  const { hub, bridge, alarms } = running.gateway;
  const topics = new Map<string, unknown>();
  const listen = async () => {
    const client = await connectAsync(`mqtt://127.0.0.1:${first.port}`);
    client.on("message", (topic, payload) => {
      const text = payload.toString();
      topics.set(topic, text.startsWith("{") ? JSON.parse(text) : text);
    });
    await client.subscribeAsync("#");
    return client;
  };
  let client = await listen();
  await until(() => bridge!.client.connected);
  hub.publish({ node: "wye", resource: "sensors/level", time: 5, value: 7 });
  await until(() => topics.get("wm/wye/sensors/level"));
  expect(topics.get("wm/wye/sensors/level")).toMatchObject({ node: "wye", value: 7, time: 5 });
  await until(() => topics.get("ha/sensor/wasmote_wye_sensors_level/config"));
  expect(topics.get("ha/sensor/wasmote_wye_sensors_level/config")).toMatchObject({
    state_topic: "wm/wye/sensors/level",
    unique_id: "wasmote_wye_sensors_level",
    availability_topic: "wm/status",
  });
  alarms.raise({
    id: "a/b/c",
    rule: "a",
    kind: "trap",
    severity: "critical",
    node: "b",
    resource: "c",
    text: "trapped",
    since: 1,
    value: null,
  });
  await until(() => topics.get("wm/alarms"));
  expect(topics.get("wm/alarms")).toMatchObject({ change: "raised", alarm: { node: "b" } });

  await client.endAsync(true);
  await first.stop();
  await until(() => !bridge!.client.connected);
  for (const value of [8, 9])
    hub.publish({ node: "wye", resource: "sensors/level", time: value, value });
  topics.clear();
  const second = await broker(first.port);
  client = await listen();
  await until(
    () => (topics.get("wm/wye/sensors/level") as { value?: number } | undefined)?.value === 9,
  );
  await client.endAsync(true);
  await running[Symbol.asyncDispose]();
  await second.stop();
});

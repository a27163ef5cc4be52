// The MQTT bridge: values out, retained; parameters in; and what Home Assistant needs to find them by itself.
import { connect, type MqttClient } from "mqtt";
import type { Config } from "./config.ts";
import type { Envelope } from "./envelope.ts";
import type { Hub, Viewer } from "./hub.ts";
import type { Nodes } from "./nodes.ts";

type MqttConfig = NonNullable<Config["mqtt"]>;

/** Characters that are more than themselves in a topic or an identifier. */
const plainName = (text: string) => text.replaceAll(/[^\w-]/g, "_");
const topicName = (text: string) => text.replaceAll(/[+#\p{Cc}]/gu, "_");
const mostQueued = 1_000;

export class Bridge {
  readonly client: MqttClient;
  readonly prefix: string;
  readonly #config: MqttConfig;
  readonly #viewer: Viewer;
  readonly #announced = new Set<string>();
  #queued = 0;

  constructor(config: MqttConfig, hub: Hub, nodes: Nodes) {
    this.#config = config;
    this.prefix = config.prefix;
    this.client = connect(config.url, {
      reconnectPeriod: 2_000,
      queueQoSZero: false,
      will: {
        topic: `${config.prefix}/status`,
        payload: Buffer.from("offline"),
        qos: 1,
        retain: true,
      },
    });
    this.client.on("error", () => {});
    this.client.on("connect", () => {
      this.#announced.clear();
      this.client.publish(`${config.prefix}/status`, "online", { qos: 1, retain: true });
      this.client.subscribe(`${config.prefix}/+/app/params/+/set`);
      for (const envelope of hub.all()) this.#send(envelope);
      this.#viewer.drained();
    });
    this.client.on("message", (topic, payload) => {
      const [name = "", , , parameter = ""] = topic.slice(config.prefix.length + 1).split("/");
      const value = Number(payload.toString("utf8"));
      const node = nodes.get(name);
      if (
        node === undefined ||
        payload.length === 0 ||
        payload.length > 32 ||
        !Number.isFinite(value)
      )
        return;
      try {
        void node.connection.setParam(parameter, value).catch(() => {});
      } catch {
        // Not reached just now: MQTT has nobody to tell.
      }
    });
    this.#viewer = hub.view({}, { send: (envelope) => this.#send(envelope) });
  }

  /** False while the broker is away or slow: the hub then keeps the newest of each resource. */
  #send(envelope: Envelope): boolean {
    if (!this.client.connected) return false;
    const { node, resource, value } = envelope;
    const topic = `${this.prefix}/${topicName(node)}/${topicName(resource)}`;
    this.#announce(node, resource, topic);
    this.#queued++;
    this.client.publish(topic, JSON.stringify(envelope), { retain: true, qos: 0 }, () => {
      this.#queued--;
      if (this.#queued === 0) this.#viewer.drained();
    });
    void value;
    return this.#queued < mostQueued;
  }

  /** Home Assistant's discovery: one retained description a resource. */
  #announce(node: string, resource: string, topic: string): void {
    const { homeassistant, prefix } = this.#config;
    const id = `${plainName(node)}_${plainName(resource)}`;
    if (homeassistant === undefined || this.#announced.has(id)) return;
    this.#announced.add(id);
    const description = {
      name: resource,
      unique_id: `wasmote_${id}`,
      state_topic: topic,
      value_template: "{{ value_json.value }}",
      availability_topic: `${prefix}/status`,
      state_class: "measurement",
      device: { identifiers: [`wasmote_${plainName(node)}`], name: node, manufacturer: "Wasmote" },
    };
    this.client.publish(
      `${homeassistant}/sensor/wasmote_${id}/config`,
      JSON.stringify(description),
      { retain: true, qos: 1 },
    );
  }

  async close(): Promise<void> {
    this.#viewer.close();
    if (this.client.connected)
      await this.client
        .publishAsync(`${this.prefix}/status`, "offline", { qos: 1, retain: true })
        .catch(() => {});
    await this.client.endAsync(true);
  }
}

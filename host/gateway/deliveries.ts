// How alarms reach people and other programs: webhook, e-mail, MQTT. Each takes a message or throws; the outbox tries again.
import { createHmac } from "node:crypto";
import type { MqttClient } from "mqtt";
import { oneLine } from "../lib/text.ts";
import type { DeliveryConfig, MailConfig, WebhookConfig } from "./config.ts";
import type { Deliver } from "./outbox.ts";

const standardPatience = 10_000;

/** A channel for each delivery of the configuration. */
export function channelsOf(
  configs: readonly DeliveryConfig[],
  mqtt: { client: MqttClient; prefix: string } | undefined,
  patience: number = standardPatience,
): Map<string, Deliver> {
  return new Map(
    configs.map((config) => {
      if (config.kind === "webhook") return [config.name, webhook(config, patience)];
      if (config.kind === "mail") return [config.name, mail(config, patience)];
      return [config.name, overMqtt(mqtt)];
    }),
  );
}

/**
 * POSTs the message. `Wasmote-Signature: t=SECONDS,v1=HEX` is the HMAC-SHA256, under the secret, of `SECONDS.ID.BODY`: who receives it
 * checks the signature, refuses what is older than he likes, and knows by `Wasmote-Id` what he has had before.
 */
function webhook({ url, secret }: WebhookConfig, patience: number): Deliver {
  return async (body, id) => {
    const time = Math.floor(Date.now() / 1000);
    const signature = createHmac("sha256", secret).update(`${time}.${id}.${body}`).digest("hex");
    const response = await fetch(url, {
      method: "POST",
      body,
      redirect: "error",
      signal: AbortSignal.timeout(patience),
      headers: {
        "content-type": "application/json",
        "wasmote-id": String(id),
        "wasmote-signature": `t=${time},v1=${signature}`,
      },
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  };
}

/**
 * `smtp://USER:PASSWORD@HOST:PORT`, or `smtps:` for TLS from the start; `?tls.rejectUnauthorized=false` for a certificate that nobody signed. Read here:
 * beside an address the library takes no time limits.
 */
function smtpServer(text: string) {
  const url = new URL(text);
  const secure = url.protocol === "smtps:";
  const part = (value: string) => decodeURIComponent(value);
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(url.port || (secure ? 465 : 587)),
    secure,
    ...(url.username === ""
      ? {}
      : { auth: { user: part(url.username), pass: part(url.password) } }),
    ...(url.searchParams.get("tls.rejectUnauthorized") === "false"
      ? { tls: { rejectUnauthorized: false } }
      : {}),
  };
}

function mail({ server, from, to }: MailConfig, patience: number): Deliver {
  return async (body, id) => {
    const { createTransport } = await import("nodemailer");
    const transport = createTransport({
      ...smtpServer(server),
      connectionTimeout: patience,
      greetingTimeout: patience,
      socketTimeout: patience,
      dnsTimeout: patience,
    });
    const { change, alarm } = JSON.parse(body) as {
      change: string;
      alarm: { node: string; text: string; severity: string };
    };
    try {
      await transport.sendMail({
        from,
        to,
        subject: oneLine(`${alarm.severity} ${change}: ${alarm.node} ${alarm.text}`),
        text: JSON.stringify({ change, alarm }, null, 2),
        messageId: `<${id}.alarm@wasmote>`,
      });
    } finally {
      transport.close();
    }
  };
}

function overMqtt(mqtt: { client: MqttClient; prefix: string } | undefined): Deliver {
  return async (body) => {
    if (!mqtt?.client.connected) throw new Error("the broker is not connected");
    await mqtt.client.publishAsync(`${mqtt.prefix}/alarms`, body, { qos: 1 });
  };
}

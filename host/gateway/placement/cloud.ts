// The cloud, as a gateway has it: a second gateway that is asked to decide, and is handed the package where it does not have it.
import type { Cloud } from "../../flood/placement.ts";
import type { DayInputs, Decision, Spent } from "../../flood/days.ts";
import { oneLine } from "../../lib/text.ts";

/** How long the cloud may take, in milliseconds; then it is decided here. */
const patience = 3_000;

export interface CloudOptions {
  url: string;
  token?: string | undefined;
  name: string;
  package: Uint8Array;
  parameters: Record<string, number>;
}

/** What a cloud answers. */
export interface CloudAnswer {
  /** Day, danger and alarm of each. */
  decisions: [number, number | null, boolean][];
  fuel: number;
  milliseconds: number;
}

export class SecondGateway implements Cloud {
  readonly #options: CloudOptions;
  readonly spent: Spent = { decisions: 0, fuel: 0, milliseconds: 0 };

  constructor(options: CloudOptions) {
    this.#options = options;
  }

  async decide(days: readonly DayInputs[], from: number): Promise<Decision[]> {
    const asked = JSON.stringify({
      from,
      days: days.map(({ day, level, rain }) => [day, level, rain]),
    });
    let response = await this.#ask("POST", "/days", asked);
    if (response.status === 404) {
      await response.body?.cancel();
      // It was started anew, or never had it.
      const query = new URLSearchParams(
        Object.entries(this.#options.parameters).map(([key, value]): [string, string] => [
          key,
          String(value),
        ]),
      );
      const put = await this.#ask("PUT", `?${query.toString()}`, this.#options.package);
      await refused(put);
      await put.body?.cancel();
      response = await this.#ask("POST", "/days", asked);
    }
    await refused(response);
    const { decisions, fuel, milliseconds } = (await response.json()) as CloudAnswer;
    if (!Array.isArray(decisions)) throw new Error("the cloud answers with no decisions");
    this.spent.fuel += Number(fuel) || 0;
    this.spent.milliseconds += Number(milliseconds) || 0;
    this.spent.decisions += decisions.length;
    return decisions.map(([day, danger, alarm]) => ({
      day: Number(day),
      danger: danger ?? Number.NaN,
      alarm,
    }));
  }

  async stop(): Promise<void> {
    const response = await this.#ask("DELETE", "");
    await response.body?.cancel();
  }

  #ask(method: string, rest: string, body?: string | Uint8Array): Promise<Response> {
    const { url, token, name } = this.#options;
    return fetch(`${url}/api/deciders/${encodeURIComponent(name)}${rest}`, {
      method,
      redirect: "error",
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(patience),
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : Buffer.from(body) }),
    });
  }
}

async function refused(response: Response): Promise<void> {
  if (response.ok) return;
  const text = await response.text();
  throw new Error(`the cloud refuses: ${response.status} ${oneLine(text).slice(0, 200)}`);
}

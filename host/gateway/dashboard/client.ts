// The dashboard's way to the gateway: requests, the login, and the stream of values with its loss and return.
import type { Envelope } from "../envelope.ts";

/** A request that was refused, with the gateway's words. */
export class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export async function ask<T>(path: string, method = "GET", body?: unknown): Promise<T> {
  const bytes = body instanceof ArrayBuffer;
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = bytes ? body : JSON.stringify(body);
    init.headers = { "content-type": bytes ? "application/octet-stream" : "application/json" };
  }
  const response = await fetch(path, init);
  if (response.status === 401 && path !== "/api/login") {
    await login();
    return ask(path, method, body);
  }
  const answer = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
  if (!response.ok)
    throw new Refusal(response.status, answer.error?.message ?? `status ${response.status}`);
  return answer as T;
}

let loggingIn: Promise<void> | undefined;

/** A token in the address (`#token=`), as the gateway prints it, is kept and removed from there. */
export async function takeToken(): Promise<void> {
  const given = /token=([\w-]+)/.exec(location.hash)?.[1];
  if (given === undefined) return;
  history.replaceState(null, "", location.pathname);
  await enter(given);
}

/** Asks for a token until one is taken. */
function login(): Promise<void> {
  loggingIn ??= (async () => {
    const dialog = document.querySelector<HTMLDialogElement>("#login")!;
    const field = document.querySelector<HTMLInputElement>("#token")!;
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    for (;;) {
      dialog.showModal();
      await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
      if (await enter(field.value.trim())) return;
      document.querySelector("#login-fault")!.textContent = "This is not a token of this gateway.";
    }
  })().finally(() => (loggingIn = undefined));
  return loggingIn;
}

async function enter(token: string): Promise<boolean> {
  try {
    await ask("/api/login", "POST", { token });
    return true;
  } catch {
    return false;
  }
}

export interface StreamEvents {
  value: (envelope: Envelope) => void;
  /** The gateway is there, or has been away since a time. */
  link: (lostSince: number | undefined) => void;
}

/** Values as they come; EventSource names the last one it has when it comes back. */
export function stream({ value, link }: StreamEvents): void {
  let lost: number | undefined;
  let heard = Date.now();
  let last = 0;
  const open = (): void => {
    const source = new EventSource(last === 0 ? "/api/stream" : `/api/stream?last=${last}`);
    source.onopen = () => {
      heard = Date.now();
      lost = undefined;
      link(undefined);
    };
    source.onmessage = ({ data }: MessageEvent<string>) => {
      heard = Date.now();
      const envelope = JSON.parse(data) as Envelope;
      last = envelope.seq;
      value(envelope);
    };
    source.onerror = () => {
      lost ??= heard;
      link(lost);
      // Chromium gives up on some failures, such as a refusal: then begun anew.
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(() => void ask("/api/me").then(open, () => setTimeout(open, 2_000)), 1_500);
    };
  };
  open();
}

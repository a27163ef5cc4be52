// Log book: keeps the last five floods as texts, to be read at /app/x/book. Texts that are kept are made in memory, and those that
// nothing refers to any more are collected between handlers.
import { Code, Hysteresis, now, onRequest, sensor } from "wasmote";

const level = sensor("level");
const flood = new Hysteresis();
const book: string[] = [];

level.onSample((value) => {
  if (!flood.next(value, 2000, 3000)) return;
  const seconds = now() / 1000;
  book.push(flood.on ? `${seconds}: flood` : `${seconds}: over`);
  if (book.length > 5) book.shift();
});

onRequest((request) => {
  if (!request.at("book")) return request.reply(Code.NOT_FOUND);
  request.reply(Code.CONTENT, book.join("\n"));
});

// Numbers of messages: who receives them tells by the number what he has had before, so that none is given twice.
import { expect, test } from "vitest";
import { openDatabase } from "../../host/gateway/sqlite/database.ts";
import { Outbox } from "../../host/gateway/outbox.ts";
import { Store } from "../../host/gateway/sqlite/store.ts";
import { join } from "node:path";
import { scratch } from "../harness/target.ts";
import { until } from "./harness.ts";

test("a message has a number that none had before it, also when those are delivered, and over a restart", async () => {
  using folder = scratch();
  const ids: number[] = [];
  for (let start = 0; start < 2; start++) {
    const store = new Store(folder.path);
    const outbox = new Outbox(
      store,
      new Map([["town", async (_: string, id: number) => void ids.push(id)]]),
    );
    for (let message = 0; message < 3; message++) {
      outbox.put("alarm");
      await until(() => outbox.waiting() === 0);
    }
    outbox.stop();
    store.close();
  }
  expect(ids).toHaveLength(6);
  expect(new Set(ids).size).toBe(6);
  expect(ids.toSorted((a, b) => a - b)).toEqual(ids);
});

test("messages of an older gateway are delivered, in their order", async () => {
  using folder = scratch();
  const database = openDatabase(join(folder.path, "gateway.db"));
  database.exec(
    "CREATE TABLE outbox (id INTEGER PRIMARY KEY, channel TEXT NOT NULL, body TEXT NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL) STRICT",
  );
  for (const body of ["first", "second"])
    database
      .prepare("INSERT INTO outbox (channel, body, attempts, due) VALUES ('town', ?, 0, 0)")
      .run(body);
  database.close();
  const store = new Store(folder.path);
  const bodies: string[] = [];
  const outbox = new Outbox(
    store,
    new Map([["town", async (body: string) => void bodies.push(body)]]),
  );
  await until(() => outbox.waiting() === 0);
  outbox.stop();
  store.close();
  expect(bodies).toEqual(["first", "second"]);
});

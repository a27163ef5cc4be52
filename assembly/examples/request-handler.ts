// Request handler: a counter of button presses that can be read at /app/x/count and set with PUT.
import { Code, Method, onRequest, sensor } from "wasmote";

const button = sensor("button");
let count: i32 = 0;

button.onSample((pressed) => {
  if (pressed !== 0) count++;
});

onRequest((request) => {
  if (!request.at("count")) return request.reply(Code.NOT_FOUND, "only count is here");
  if (request.method === Method.GET) return request.replyNumber(count);
  if (request.method !== Method.PUT) return request.reply(Code.METHOD_NOT_ALLOWED);
  count = request.number();
  request.reply(Code.CHANGED);
});

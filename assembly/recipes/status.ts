// Status: answers GET /app/x/status with a JSON text, which is written in place and takes no memory.
import { Code, fixed, onRequest, sensor } from "wasmote";

const level = sensor("level");
let count = 0;
let highest: f32 = 0;

level.onSample((value) => {
  count++;
  highest = max(highest, value);
});

onRequest((request) => {
  if (!request.at("status")) return request.reply(Code.NOT_FOUND);
  request.reply(
    Code.CONTENT,
    `{"samples":${count},"highest":${highest},"metres":${fixed(highest / 1000, 2)}}`,
  );
});

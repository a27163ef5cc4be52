// The second filter of the demonstration: the same flow, but the alarm is already raised when the river rises fast.
import { gpio, Hysteresis, log, output, parameter, ratingCurve, sensor } from "wasmote";

const level = sensor("level");
const flow = output("flow", "m3/s");
const alarm = output("alarm");
const limit = parameter("limit", 200, 0, 2000);
const flood = new Hysteresis();
let last: f32 = 0;

level.onSample((millimetres) => {
  const now = ratingCurve(millimetres / 1000, 20);
  flow.publish(now);
  // What it would be tomorrow if it went on rising like this.
  const ahead = now + max<f32>(0, now - last);
  last = now;
  if (!flood.next(ahead, limit.value * 0.9, limit.value)) return;
  alarm.publish(<f32>flood.on);
  gpio(0, flood.on);
  log(flood.on ? "flood ahead" : "flood over");
});

// River level to flow, with a flood alarm: turns millimetres into cubic metres a second and warns above a flow.
import { gpio, Hysteresis, log, output, parameter, ratingCurve, sensor } from "wasmote";

const level = sensor("level");
const flow = output("flow", "m3/s");
const alarm = output("alarm");
const limit = parameter("limit", 200, 0, 2000);
const flood = new Hysteresis();

level.onSample((millimetres) => {
  // flow = 20 · h · √h, h in metres
  const now = ratingCurve(millimetres / 1000, 20);
  flow.publish(now);
  if (!flood.next(now, limit.value * 0.9, limit.value)) return;
  alarm.publish(<f32>flood.on);
  gpio(0, flood.on);
  log(flood.on ? "flood" : "flood over");
});

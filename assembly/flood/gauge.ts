// A river station that has no rain gauge: it keeps its days for a gateway, which has the rain of another station and decides with it, and
// warns by itself with what it has: the day's flow above a threshold.
import { Code, gpio, Hysteresis, onRequest, output, parameter, ratingCurve, sensor } from "wasmote";
import * as days from "./days";

const level = sensor("level");
const flow = output("flow", "m3/s");
const alarm = output("alarm");
/** Of the flow, in m3/s. */
const limit = parameter("limit", 216.074, 0, 100000);
/** flow = rating · h · √h, with the level h in metres. */
const rating = parameter("rating", 20, 0.1, 10000);
const flood = new Hysteresis();

days.restored();

level.onSample((millimetres) => {
  if (!days.measured(millimetres)) return;
  close(days.measuredDay(), days.takeLevel(), true);
  days.measured(millimetres);
});

onRequest((request) => {
  if (!days.asked(request, false)) return;
  const count = request.length / 12;
  for (let index = 0; index < count; index++)
    close(days.givenDay(request, index), days.givenLevel(request, index), index === count - 1);
  request.reply(Code.CHANGED);
});

function close(day: i32, millimetres: f32, tell: bool): void {
  if (!days.next(day, millimetres, NaN)) return;
  const now = ratingCurve(millimetres / 1000, rating.value);
  const changed = flood.next(now, limit.value * 0.9, limit.value);
  days.keep(now, f32(flood.on));
  if (!tell) return;
  flow.publish(now);
  gpio(0, flood.on);
  if (changed) alarm.publish(f32(flood.on));
}

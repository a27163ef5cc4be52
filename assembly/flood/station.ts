// A river station that warns of the next day's flood by itself: level and rain, the last five days, and the network that
// examples/flood/train.py trained (`wasmote model evening.onnx --arithmetic int8` makes ./evening). The same package runs on the node, at a
// gateway and in the cloud, and decides the same everywhere.
import { Code, gpio, onRequest, output, parameter, ratingCurve, sensor } from "wasmote";
import * as days from "./days";
import { get, run, set } from "./evening";

const level = sensor("level");
const rain = sensor("rain");
const flow = output("flow", "m3/s");
const danger = output("danger");
const alarm = output("alarm");
/** Above which the network's word is an alarm (judgement.json). */
const threshold = parameter("threshold", -0.13583936, -2, 2);
/** flow = rating · h · √h, with the level h in metres. */
const rating = parameter("rating", 20, 0.1, 10000);

days.restored();

level.onSample((millimetres) => {
  days.measured(millimetres);
});

// The day's total, which the gauge gives at its end.
rain.onSample((millimetres) => {
  close(days.today(), days.takeLevel(), millimetres, true);
});

onRequest((request) => {
  if (!days.asked(request, true)) return;
  const count = request.length / 12;
  for (let index = 0; index < count; index++) {
    const last = index === count - 1;
    close(days.givenDay(request, index), days.givenLevel(request, index), days.givenRain(request, index), last);
  }
  request.reply(Code.CHANGED);
});

/** A day is over; `tell` where it is the newest that is known. */
function close(day: i32, millimetres: f32, total: f32, tell: bool): void {
  if (!days.next(day, millimetres, total)) return;
  const scale = rating.value;
  if (tell) flow.publish(ratingCurve(millimetres / 1000, scale));
  if (days.known() < days.depth) return days.keep(NaN, NaN);
  for (let back = 0; back < days.depth; back++) {
    set(back, ratingCurve(days.level(back) / 1000, scale));
    set(days.depth + back, days.rain(back));
  }
  run();
  const now = get(0);
  const on = now > threshold.value;
  days.keep(now, f32(on));
  if (!tell) return;
  danger.publish(now);
  alarm.publish(f32(on));
  gpio(0, on);
}

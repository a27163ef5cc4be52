// The third filter of the demonstration: it has a mistake in it, which shows at the first flood.
import { output, ratingCurve, sensor } from "wasmote";

const level = sensor("level");
const flow = output("flow", "m3/s");
const classes = new StaticArray<f32>(4);

level.onSample((millimetres) => {
  const now = ratingCurve(millimetres / 1000, 20);
  flow.publish(now);
  // Beyond 100 m3/s there is no class.
  if (now >= 100) unreachable();
  classes[<i32>(now / 25)] += 1;
});

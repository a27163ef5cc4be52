// Summary: least, greatest and mean level of each minute.
import { every, output, sensor } from "wasmote";

const level = sensor("level");
const least = output("least", "mm");
const greatest = output("greatest", "mm");
const mean = output("mean", "mm");

let low: f32 = Infinity;
let high: f32 = -Infinity;
let sum: f64 = 0;
let count = 0;

level.onSample((value) => {
  low = min(low, value);
  high = max(high, value);
  sum += value;
  count++;
});

every(60 * 1000, () => {
  // A minute without samples has no summary.
  if (count === 0) return;
  least.publish(low);
  greatest.publish(high);
  mean.publish(<f32>(sum / count));
  low = Infinity;
  high = -Infinity;
  sum = 0;
  count = 0;
});

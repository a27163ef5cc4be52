// Rain of the hour: adds up the tips of a bucket, publishes the sum every hour, and warns of a cloudburst.
import { every, log, output, parameter, sensor } from "wasmote";

const rain = sensor("rain");
const hourly = output("hourly", "mm");
const burst = parameter("burst", 20, 1, 200);
const hour = 60 * 60 * 1000;

let sum: f32 = 0;
let warned = false;

rain.onSample(add);
every(hour, report);

function add(millimetres: f32): void {
  sum += millimetres;
  if (sum < burst.value || warned) return;
  warned = true;
  log(`cloudburst: ${sum} mm in this hour`);
}

function report(): void {
  hourly.publish(sum);
  sum = 0;
  warned = false;
}

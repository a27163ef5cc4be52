// Vibration: root mean square and the strength of 50 Hz on one axis of the accelerometer, in blocks of 64 samples.
import { Goertzel, output, sensor } from "wasmote";

const acceleration = sensor("az");
const strength = output("rms", "m/s2");
const hum = output("hum", "m/s2");
// 2 cos(2π · 50 Hz / 400 Hz): the accelerometer gives 400 samples a second.
const block = new Goertzel(64, 1.4142135);

acceleration.onSample((value) => {
  if (!block.next(value)) return;
  strength.publish(block.rms);
  hum.publish(block.amplitude);
});

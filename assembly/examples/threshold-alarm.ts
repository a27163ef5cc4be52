// Threshold alarm with hysteresis: a light that does not flicker while the temperature hovers at the limit.
import { gpio, Hysteresis, output, parameter, sensor } from "wasmote";

const temperature = sensor("temperature");
const alarm = output("alarm");
const high = parameter("high", 30, -40, 125);
const low = parameter("low", 28, -40, 125);
const hot = new Hysteresis();

temperature.onSample((celsius) => {
  if (!hot.next(celsius, low.value, high.value)) return;
  gpio(0, hot.on);
  alarm.publish(<f32>hot.on);
});

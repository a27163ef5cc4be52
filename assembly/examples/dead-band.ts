// Dead-band reporting: publishes a temperature only when it has moved by more than the operator cares for.
import { DeadBand, output, parameter, sensor } from "wasmote";

const temperature = sensor("temperature");
const reported = output("reported", "Cel");
const width = parameter("width", 0.5, 0, 10);
const band = new DeadBand();

temperature.onSample((celsius) => {
  if (band.next(celsius, width.value)) reported.publish(celsius);
});

// Log line: says each time that the level has moved by ten centimetres.
import { DeadBand, log, sensor } from "wasmote";

const level = sensor("level");
const band = new DeadBand();

level.onSample((value) => {
  if (band.next(value, 100)) log(`level ${value} mm`);
});

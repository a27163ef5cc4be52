// Long window: the mean of 5,000 samples, which are a bit more than an hour at one a second. They take 20,020 bytes of memory, and
// the build gives the module two pages for it.
import { MovingAverage, output, sensor } from "wasmote";

const level = sensor("level");
const hour = output("hour", "mm");
const average = new MovingAverage(5_000);

level.onSample((value) => hour.publish(average.next(value)));

// Smoothing: publishes the mean of the last eight samples of the level.
import { MovingAverage, output, sensor } from "wasmote";

const level = sensor("level");
const smooth = output("smooth", "mm");
const average = new MovingAverage(8);

level.onSample((millimetres) => smooth.publish(average.next(millimetres)));

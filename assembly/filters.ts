// Building blocks for filters: each is made once, at the top level, and fed with `next`.
//
// They hold 32-bit floats, as samples are, and allocate at construction only. Sums over a window are kept as running sums; a
// NaN that gets into one stays until the block is made again, so a sensor that may give NaN is tested before.

/** Room for so many samples, which holds zero. */
// @ts-ignore: decorator
@inline function heap(size: i32): usize {
  // @ts-ignore: the runtime's, which editors do not know
  return __alloc(<usize>size << 2);
}

/**
 * Mean of the last `size` samples, or of all while there are fewer.
 *
 * Behind the size lie, in memory that holds zero: the sum (f64), the samples so far (i32), the samples. As fields, the first two
 * would be set to zero once more, which takes 20 bytes of code. The sum is in double precision: what leaves takes away what it
 * brought, to the last bit, and so the sum does not drift.
 */
@unmanaged @final
export class MovingAverage {
  private size!: i32;

  constructor(size: i32) {
    const self = changetype<MovingAverage>(heap(size + 5));
    self.size = size;
    return self;
  }

  /** Takes a sample and gives the mean. */
  next(value: f32): f32 {
    const state = changetype<usize>(this);
    const size = this.size;
    // From the first full window on, the count stays between one window and two.
    const taken = load<i32>(state, 16) + 1;
    const slot = state + ((<usize>taken % size) << 2);
    const sum = load<f64>(state, 8) + (<f64>value - <f64>load<f32>(slot, 20));
    store<f64>(state, sum, 8);
    store<f32>(slot, value, 20);
    store<i32>(state, taken < size << 1 ? taken : size, 16);
    // Divided in single precision, which the chip has in hardware.
    return <f32>sum / <f32>min(taken, size);
  }
}

/** The last `size` samples in the order of their values: median, minimum and maximum. An even count has the lower median. */
@unmanaged @final
export class Window {
  private readonly samples: usize;
  private readonly sorted: usize;
  private place: i32 = 0;
  private count: i32 = 0;

  constructor(private readonly size: i32) {
    this.samples = heap(size);
    this.sorted = heap(size);
  }

  /** Takes a sample. */
  push(value: f32): void {
    const sorted = this.sorted;
    let hole = this.count;
    const slot = this.samples + (<usize>this.place << 2);
    if (hole === this.size) {
      // The oldest leaves: close the gap from where it is found.
      const oldest = load<f32>(slot);
      hole = 0;
      while (hole < this.size - 1 && load<f32>(sorted + (<usize>hole << 2)) !== oldest) hole++;
    } else {
      this.count++;
    }
    store<f32>(slot, value);
    if (++this.place === this.size) this.place = 0;
    while (hole + 1 < this.count && load<f32>(sorted + (<usize>(hole + 1) << 2)) < value) {
      store<f32>(sorted + (<usize>hole << 2), load<f32>(sorted + (<usize>(hole + 1) << 2)));
      hole++;
    }
    while (hole > 0 && load<f32>(sorted + (<usize>(hole - 1) << 2)) > value) {
      store<f32>(sorted + (<usize>hole << 2), load<f32>(sorted + (<usize>(hole - 1) << 2)));
      hole--;
    }
    store<f32>(sorted + (<usize>hole << 2), value);
  }

  /** The smallest sample in the window. There must be one. */
  get minimum(): f32 {
    return load<f32>(this.sorted);
  }

  /** The largest sample in the window. There must be one. */
  get maximum(): f32 {
    return load<f32>(this.sorted + (<usize>(this.count - 1) << 2));
  }

  /** The middle of the window. There must be a sample. */
  get median(): f32 {
    return load<f32>(this.sorted + (<usize>((this.count - 1) >> 1) << 2));
  }
}

/** Median of the last `size` samples: takes single wrong samples out. */
@unmanaged @final
export class Median {
  private readonly window: Window;

  constructor(size: i32) {
    this.window = new Window(size);
  }

  /** Takes a sample and gives the median. */
  next(value: f32): f32 {
    this.window.push(value);
    return this.window.median;
  }
}

/** Exponential smoothing: each sample moves the value by `share` of the distance. The first sample is taken as it is. */
@unmanaged @final
export class Smoothing {
  private value: f32 = NaN;

  /** @param share Between 0 (never moves) and 1 (no smoothing). */
  constructor(private readonly share: f32) {}

  /** Takes a sample and gives the smoothed value. */
  next(sample: f32): f32 {
    const value = this.value;
    return (this.value = isNaN(value) ? sample : value + this.share * (sample - value));
  }
}

/** A switch with two thresholds: on from `high` upwards, off from `low` downwards, and as it was between them. */
@unmanaged @final
export class Hysteresis {
  /** Whether the switch is on. */
  on: bool = false;

  /** Takes a value and the thresholds, which may be parameters; returns whether the switch changed. */
  next(value: f32, low: f32, high: f32): bool {
    const before = this.on;
    this.on = before ? value > low : value >= high;
    return this.on !== before;
  }
}

/** Lets a value through only when it is further than `width` from the last that went through, as does the first. */
@unmanaged @final
export class DeadBand {
  /** The last value that went through. */
  value: f32 = NaN;

  /** Takes a value; returns whether it goes through. */
  next(value: f32, width: f32): bool {
    // Written so that the first value, compared with NaN, passes.
    if (abs<f32>(value - this.value) <= width) return false;
    this.value = value;
    return true;
  }
}

/** Change in each second between samples; 0 at the first and where no time has passed. */
@unmanaged @final
export class RateOfChange {
  private value: f32 = NaN;
  private time: u32 = 0;

  /** @param time Of the sample, in milliseconds, as `now()` gives it. */
  next(value: f32, time: u32): f32 {
    const seconds = <f32>(time - this.time) / 1000;
    const rate = (value - this.value) / seconds;
    this.value = value;
    this.time = time;
    return abs<f32>(rate) <= f32.MAX_VALUE ? rate : 0;
  }
}

/**
 * Flow of a river from its level by a rating curve of the usual form, `scale · (level - zero)^1.5`, which a broad weir has.
 * Level in metres gives the unit that `scale` was found for. Below `zero` nothing flows.
 */
export function ratingCurve(level: f32, scale: f32, zero: f32 = 0): f32 {
  const height = level - zero;
  return height > 0 ? scale * height * sqrt<f32>(height) : 0;
}

/**
 * A rating curve as hydrologists keep it, as a table: straight between its points, below the first as the first, above the last as
 * between the last two.
 */
@unmanaged @final
export class RatingTable {
  private readonly points: usize;
  private count: i32 = 0;

  /** @param size The most points there will be. */
  constructor(private readonly size: i32) {
    this.points = heap(size << 1);
  }

  /** Adds a point; levels rise from one to the next, and what is beyond `size` is left out. */
  point(level: f32, flow: f32): void {
    if (this.count === this.size) return;
    const at = this.points + ((<usize>this.count) << 3);
    this.count++;
    store<f32>(at, level);
    store<f32>(at, flow, 4);
  }

  /** Flow at a level. There must be two points. */
  flow(level: f32): f32 {
    const at = this.points;
    return level <= load<f32>(at) ? load<f32>(at, 4) : interpolate(at, this.count, level);
  }
}

/** The straight line between the two of `count` points (x, y) that are nearest. */
function interpolate(points: usize, count: i32, x: f32): f32 {
  let at = points;
  const last = at + (<usize>(count - 2) << 3);
  while (at < last && x > load<f32>(at, 8)) at += 8;
  const low = load<f32>(at);
  const y = load<f32>(at, 4);
  return y + ((x - low) * (load<f32>(at, 12) - y)) / (load<f32>(at, 8) - low);
}

/**
 * From what a sensor gives to what it means, by points that were measured: straight between them, and beyond the first and the last
 * as between the nearest two.
 */
@unmanaged @final
export class Calibration {
  private readonly points: usize;
  private count: i32 = 0;

  /** @param size The most points there will be. */
  constructor(private readonly size: i32) {
    this.points = heap(size << 1);
  }

  /** Adds a point; raw values rise from one to the next, and what is beyond `size` is left out. */
  point(raw: f32, value: f32): void {
    if (this.count === this.size) return;
    const at = this.points + ((<usize>this.count) << 3);
    this.count++;
    store<f32>(at, raw);
    store<f32>(at, value, 4);
  }

  /** The value for a raw one. There must be two points. */
  value(raw: f32): f32 {
    return interpolate(this.points, this.count, raw);
  }
}

/** The last `size` samples, the newest first. */
@unmanaged @final
export class History {
  private readonly samples: usize;
  private place: i32 = 0;
  /** How many there are, at most `size`. */
  count: i32 = 0;

  constructor(private readonly size: i32) {
    this.samples = heap(size);
  }

  /** Takes a sample. */
  push(value: f32): void {
    if (++this.place >= this.size) this.place = 0;
    store<f32>(this.samples + (<usize>this.place << 2), value);
    if (this.count < this.size) this.count++;
  }

  /** The sample this many places before the newest (0 is the newest itself); NaN if there is none. */
  at(age: i32): f32 {
    if (<u32>age >= <u32>this.count) return NaN;
    const place = this.place - age;
    return load<f32>(this.samples + (<usize>(place < 0 ? place + this.size : place) << 2));
  }
}

/** Strength of one frequency in blocks of samples (Goertzel's algorithm), and their root mean square. */
@unmanaged @final
export class Goertzel {
  private first: f32 = 0;
  private second: f32 = 0;
  private squares: f32 = 0;
  private count: i32 = 0;
  /** Amplitude of the frequency in the last whole block. */
  amplitude: f32 = 0;
  /** Root mean square of the last whole block. */
  rms: f32 = 0;

  /**
   * @param size Samples in a block.
   * @param coefficient `2 · cos(2π · frequency / sampling rate)`, where `frequency · size / rate` is best a whole number.
   */
  constructor(private readonly size: i32, private readonly coefficient: f32) {}

  /** Takes a sample; returns whether it ended a block. */
  next(value: f32): bool {
    const fresh = value + this.coefficient * this.first - this.second;
    this.second = this.first;
    this.first = fresh;
    this.squares += value * value;
    if (++this.count < this.size) return false;
    const a = this.first;
    const b = this.second;
    const size = <f32>this.size;
    // Rounding may bring the power of an absent frequency below zero.
    const power = max<f32>(a * a + b * b - this.coefficient * a * b, 0);
    this.amplitude = (2 * sqrt<f32>(power)) / size;
    this.rms = sqrt<f32>(this.squares / size);
    this.first = 0;
    this.second = 0;
    this.squares = 0;
    this.count = 0;
    return true;
  }
}

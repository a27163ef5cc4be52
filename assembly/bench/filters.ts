// The three filters as a node's module would have them, each fed a sample at a time, and `run` that feeds them.
const window = new StaticArray<i32>(8);
let at: i32 = 0;
let count: i32 = 0;
let sum: i32 = 0;

function average(value: i32): f32 {
  sum += value - window[at];
  window[at] = value;
  at = (at + 1) & 7;
  if (count < 8) count += 1;
  return (sum as f32) / (count as f32);
}

let above = false;
let runLength: i32 = 0;

function flood(value: i32): f32 {
  const beyond = above ? value < 250 : value > 300;
  runLength = beyond ? runLength + 1 : 0;
  if (runLength == 3) {
    above = !above;
    runLength = 0;
    return above ? 1 : 0;
  }
  return -1;
}

let squares: f32 = 0;
let samples: i32 = 0;

function vibration(value: i32): f32 {
  squares += (value * value) as f32;
  samples += 1;
  if (samples < 64) return -1;
  const mean = squares / 64;
  squares = 0;
  samples = 0;
  return sqrt<f32>(mean);
}

const filters: StaticArray<(value: i32) => f32> = [average, flood, vibration];

export function run(which: i32, n: i32): i32 {
  const filter = filters[which];
  let x: i32 = 1;
  let hash: i32 = 7;
  for (let i = 0; i < n; i++) {
    x = (x * 1103 + 12345) & 0xffff;
    const out = filter((x % 1001) - 500);
    hash = (hash * 31 + (floor<f32>(out * 8) as i32) + 4000) % 65521;
  }
  return hash;
}

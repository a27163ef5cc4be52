// The three filters as a node's module would have them, each fed a sample at a time, and `run` that feeds them.
const window = new Int32Array(8);
let at = 0;
let count = 0;
let sum = 0;

function average(value) {
  sum += value - window[at];
  window[at] = value;
  at = (at + 1) & 7;
  if (count < 8) count += 1;
  return sum / count;
}

let above = false;
let runLength = 0;

function flood(value) {
  const beyond = above ? value < 250 : value > 300;
  runLength = beyond ? runLength + 1 : 0;
  if (runLength === 3) {
    above = !above;
    runLength = 0;
    return above ? 1 : 0;
  }
  return -1;
}

let squares = 0;
let samples = 0;

function vibration(value) {
  squares += value * value;
  samples += 1;
  if (samples < 64) return -1;
  const mean = squares / 64;
  squares = 0;
  samples = 0;
  return Math.sqrt(mean);
}

const filters = [average, flood, vibration];

function run(which, n) {
  const filter = filters[which];
  let x = 1;
  let hash = 7;
  for (let i = 0; i < n; i++) {
    x = (x * 1103 + 12345) & 0xffff;
    const out = filter((x % 1001) - 500);
    hash = (hash * 31 + Math.floor(out * 8) + 4000) % 65521;
  }
  return hash;
}
globalThis.run = run;

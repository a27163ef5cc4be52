// Deriche's recursive smoothing of an image: PolyBench's deriche, at half its MINI size.
import { digestReals, fraction, get, set } from "./array";

const W = 32, H = 30;
const INPUT = memory.data(W * H * sizeof<Real>());
const OUTPUT = memory.data(W * H * sizeof<Real>());
const Y1 = memory.data(W * H * sizeof<Real>());
const Y2 = memory.data(W * H * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < W; i++)
    for (let j = 0; j < H; j++) set(INPUT, i * H + j, fraction((313 * i + 991 * j) % 65536, 65535));
}

/** OUTPUT = Y1 + Y2 */
function add(): void {
  for (let at = 0; at < W * H; at++) set(OUTPUT, at, get(Y1, at) + get(Y2, at));
}

export function run(): void {
  // e^-alpha, e^(2 alpha), e^(-2 alpha) and 2^-alpha for alpha = 0.25: WebAssembly has no instruction for them.
  const alpha: Real = 0.25, one: Real = 1, two: Real = 2;
  const down: Real = 0.7788007830714049, twiceUp: Real = 1.6487212707001282;
  const twiceDown: Real = 0.6065306597126334, half: Real = 0.8408964152537145;
  const k = (one - down) * (one - down) / (one + two * alpha * down - twiceUp);
  const a1 = k, a2 = k * down * (alpha - one), a3 = k * down * (alpha + one), a4 = -k * twiceDown;
  const b1 = half, b2 = -twiceDown;
  for (let i = 0; i < W; i++) {
    let ym1: Real = 0, ym2: Real = 0, xm1: Real = 0;
    for (let j = 0; j < H; j++) {
      const x = get(INPUT, i * H + j);
      const y = a1 * x + a2 * xm1 + b1 * ym1 + b2 * ym2;
      set(Y1, i * H + j, y);
      xm1 = x;
      ym2 = ym1;
      ym1 = y;
    }
  }
  for (let i = 0; i < W; i++) {
    let yp1: Real = 0, yp2: Real = 0, xp1: Real = 0, xp2: Real = 0;
    for (let j = H - 1; j >= 0; j--) {
      const y = a3 * xp1 + a4 * xp2 + b1 * yp1 + b2 * yp2;
      set(Y2, i * H + j, y);
      xp2 = xp1;
      xp1 = get(INPUT, i * H + j);
      yp2 = yp1;
      yp1 = y;
    }
  }
  add();
  for (let j = 0; j < H; j++) {
    let ym1: Real = 0, ym2: Real = 0, xm1: Real = 0;
    for (let i = 0; i < W; i++) {
      const x = get(OUTPUT, i * H + j);
      const y = a1 * x + a2 * xm1 + b1 * ym1 + b2 * ym2;
      set(Y1, i * H + j, y);
      xm1 = x;
      ym2 = ym1;
      ym1 = y;
    }
  }
  for (let j = 0; j < H; j++) {
    let yp1: Real = 0, yp2: Real = 0, xp1: Real = 0, xp2: Real = 0;
    for (let i = W - 1; i >= 0; i--) {
      const y = a3 * xp1 + a4 * xp2 + b1 * yp1 + b2 * yp2;
      set(Y2, i * H + j, y);
      xp2 = xp1;
      xp1 = get(OUTPUT, i * H + j);
      yp2 = yp1;
      yp1 = y;
    }
  }
  add();
}

export function checksum(): i32 {
  return digestReals(OUTPUT, W * H);
}

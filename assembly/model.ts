// Kernels of neural networks, which the sources that `wasmote model` makes are put together from. Only those that a network uses
// become part of its module.
//
// All work on 32-bit floats in static memory: addresses of what is read and written, and counts of elements, which are never zero.
// Sums run in the order of the elements, so that every engine gets the same bits. Nothing is allocated and nothing is checked
// here: who makes the source knows all sizes.

/**
 * `a * b + c`, rounded once: a product of two floats has no more digits than a double. So do ONNX Runtime's kernels by the processor's own
 * instruction, in this order, so that its sums are these to the bit; rounded twice, sums that nearly cancel are off by some millionths.
 */
// @ts-ignore: decorator
@inline function fused(a: f32, b: f32, c: f32): f32 {
  return <f32>(<f64>a * <f64>b + <f64>c);
}

/**
 * A dense layer: `to[o] = max(floor, sum of weights[o][i] * from[i] + bias[o])`, for `outputs` of them. A floor of 0 is the
 * rectifier, one of minus infinity is none.
 */
export function dense(to: usize, from: usize, weights: usize, bias: usize, inputs: i32, outputs: i32, floor: f32): void {
  const end = to + (<usize>outputs << 2);
  const stop = from + (<usize>inputs << 2);
  do {
    let sum: f32 = 0;
    let at = from;
    do {
      sum = fused(load<f32>(weights), load<f32>(at), sum);
      weights += 4;
      at += 4;
    } while (at < stop);
    store<f32>(to, max<f32>(sum + load<f32>(bias), floor));
    bias += 4;
    to += 4;
  } while (to < end);
}

/** {@link dense} with weights of a byte each, which `scale` times them are. */
export function denseBytes(
  to: usize, from: usize, weights: usize, bias: usize, inputs: i32, outputs: i32, floor: f32, scale: f32,
): void {
  const end = to + (<usize>outputs << 2);
  const stop = from + (<usize>inputs << 2);
  do {
    let sum: f32 = 0;
    let at = from;
    do {
      sum += <f32>load<i8>(weights++) * load<f32>(at);
      at += 4;
    } while (at < stop);
    store<f32>(to, max<f32>(sum * scale + load<f32>(bias), floor));
    bias += 4;
    to += 4;
  } while (to < end);
}

/**
 * {@link denseBytes} in integers: the inputs are made whole numbers of at most `most`, which `room` holds, 4 bytes each. `most` is so
 * small that no sum leaves 32 bits. A layer whose inputs are all zero, or not numbers, counts them as zero.
 */
export function denseIntegers(
  to: usize, from: usize, weights: usize, bias: usize, inputs: i32, outputs: i32, floor: f32, scale: f32, most: f32, room: usize,
): void {
  const end = to + (<usize>outputs << 2);
  const size = <usize>inputs << 2;
  let largest: f32 = 0;
  for (let i: usize = 0; i < size; i += 4) {
    const one = abs<f32>(load<f32>(from + i));
    if (one > largest) largest = one;
  }
  const step = largest / most;
  for (let i: usize = 0; i < size; i += 4)
    store<i32>(room + i, step > 0 ? <i32>nearest<f32>(load<f32>(from + i) / step) : 0);
  const stop = room + size;
  do {
    let sum = 0;
    let at = room;
    do {
      sum += <i32>load<i8>(weights++) * load<i32>(at);
      at += 4;
    } while (at < stop);
    store<f32>(to, max<f32>(<f32>sum * (scale * step) + load<f32>(bias), floor));
    bias += 4;
    to += 4;
  } while (to < end);
}

/**
 * A convolution along one dimension (ONNX Conv): `from` is `[channels][length]` of one group, `to` `[outputs][places]`, weights
 * `[outputs][channels][kernel]`. What lies before the begin or behind the end is zero.
 * @param first Where the kernel stands first: minus the padding.
 */
export function conv(
  to: usize, from: usize, weights: usize, bias: usize,
  channels: i32, length: i32, outputs: i32, places: i32, kernel: i32, first: i32, stride: i32, dilation: i32, floor: f32,
): void {
  for (let o = 0; o < outputs; o++) {
    let start = first;
    for (let p = 0; p < places; p++) {
      let sum: f32 = 0;
      let w = weights;
      let row = from;
      for (let c = 0; c < channels; c++) {
        let at = start;
        for (let k = 0; k < kernel; k++) {
          if (<u32>at < <u32>length) sum = fused(load<f32>(w), load<f32>(row + (<usize>at << 2)), sum);
          w += 4;
          at += dilation;
        }
        row += <usize>length << 2;
      }
      store<f32>(to, max<f32>(sum + load<f32>(bias), floor));
      to += 4;
      start += stride;
    }
    weights += <usize>(channels * kernel) << 2;
    bias += 4;
  }
}

/** {@link conv} with weights of a byte each, which `scale` times them are. */
export function convBytes(
  to: usize, from: usize, weights: usize, bias: usize,
  channels: i32, length: i32, outputs: i32, places: i32, kernel: i32, first: i32, stride: i32, dilation: i32, floor: f32, scale: f32,
): void {
  for (let o = 0; o < outputs; o++) {
    let start = first;
    for (let p = 0; p < places; p++) {
      let sum: f32 = 0;
      let w = weights;
      let row = from;
      for (let c = 0; c < channels; c++) {
        let at = start;
        for (let k = 0; k < kernel; k++) {
          if (<u32>at < <u32>length) sum += <f32>load<i8>(w) * load<f32>(row + (<usize>at << 2));
          w++;
          at += dilation;
        }
        row += <usize>length << 2;
      }
      store<f32>(to, max<f32>(sum * scale + load<f32>(bias), floor));
      to += 4;
      start += stride;
    }
    weights += <usize>(channels * kernel);
    bias += 4;
  }
}

/** `to = a + b`, so many elements; `step` is 4 where b has as many, 0 where it is one number for all. */
export function add(to: usize, a: usize, b: usize, count: i32, step: usize): void {
  for (const end = to + (<usize>count << 2); to < end; to += 4, a += 4, b += step)
    store<f32>(to, load<f32>(a) + load<f32>(b));
}

/** `to = a * b`, as {@link add}. */
export function multiply(to: usize, a: usize, b: usize, count: i32, step: usize): void {
  for (const end = to + (<usize>count << 2); to < end; to += 4, a += 4, b += step)
    store<f32>(to, load<f32>(a) * load<f32>(b));
}

/** `to = a - b`; each has its own step. */
export function subtract(to: usize, a: usize, b: usize, count: i32, stepA: usize, stepB: usize): void {
  for (const end = to + (<usize>count << 2); to < end; to += 4, a += stepA, b += stepB)
    store<f32>(to, load<f32>(a) - load<f32>(b));
}

/** `to = a / b`; each has its own step. */
export function divide(to: usize, a: usize, b: usize, count: i32, stepA: usize, stepB: usize): void {
  for (const end = to + (<usize>count << 2); to < end; to += 4, a += stepA, b += stepB)
    store<f32>(to, load<f32>(a) / load<f32>(b));
}

/** The rectifier: what is less than zero becomes zero. */
export function relu(to: usize, from: usize, count: i32): void {
  for (const end = to + (<usize>count << 2); to < end; to += 4, from += 4)
    store<f32>(to, max<f32>(load<f32>(from), 0));
}

/** The logistic function. */
export function sigmoid(to: usize, from: usize, count: i32): void {
  for (const end = to + (<usize>count << 2); to < end; to += 4, from += 4)
    store<f32>(to, 1 / (1 + exponential(-load<f32>(from))));
}

/** The hyperbolic tangent. */
export function tanh(to: usize, from: usize, count: i32): void {
  for (const end = to + (<usize>count << 2); to < end; to += 4, from += 4) {
    const x = load<f32>(from);
    const size = abs<f32>(x);
    let y: f32;
    if (size < 0.625) {
      // Near zero the quotient below loses all its digits: a polynomial, as Cephes has it.
      const z = x * x;
      y = ((((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z - 3.33332819422e-1) * z * x + x;
    } else y = copysign<f32>(1 - 2 / (exponential(size + size) + 1), x);
    store<f32>(to, y);
  }
}

/** The natural logarithm; minus infinity at zero, and no number below. */
export function log(to: usize, from: usize, count: i32): void {
  for (const end = to + (<usize>count << 2); to < end; to += 4, from += 4)
    store<f32>(to, logarithm(load<f32>(from)));
}

/** e to the power of x, within two units of the last place (the polynomial of Cephes' expf). */
function exponential(x: f32): f32 {
  if (!(x < 88.72283)) return x > 0 ? Infinity : x;
  if (x < -87.33655) return 0;
  const whole = nearest<f32>(x * 1.44269504088896341);
  x -= whole * 0.693359375;
  x -= whole * -2.12194440e-4;
  let y: f32 = 1.9875691500e-4;
  y = y * x + 1.3981999507e-3;
  y = y * x + 8.3334519073e-3;
  y = y * x + 4.1665795894e-2;
  y = y * x + 1.6666665459e-1;
  y = y * x + 5.0000001201e-1;
  y = y * x * x + x + 1;
  // Halves of the exponent: the largest results would not have one of their own.
  const half = <i32>whole >> 1;
  return y * power(half) * power(<i32>whole - half);
}

// @ts-ignore: decorator
@inline function power(exponent: i32): f32 {
  return reinterpret<f32>((exponent + 127) << 23);
}

/** The natural logarithm, within the rounding of a float: 2 artanh((x - 1) / (x + 1)) in doubles, for x around 1. */
function logarithm(x: f32): f32 {
  if (!(x > 0)) return x === 0 ? -Infinity : NaN;
  let exponent = 0;
  if (x < 1.17549435e-38) {
    x *= 8388608;
    exponent = -23;
  }
  const bits = reinterpret<i32>(x);
  if (bits >= 0x7f800000) return x;
  exponent += (bits >> 23) - 127;
  let y = <f64>reinterpret<f32>((bits & 0x007fffff) | 0x3f800000);
  if (y > 1.4142135623730951) {
    exponent++;
    y *= 0.5;
  }
  const s = (y - 1) / (y + 1);
  const z = s * s;
  // The series; what is left out is below 2e-10 of the result.
  y = 2 / 11.0;
  y = y * z + 2 / 9.0;
  y = y * z + 2 / 7.0;
  y = y * z + 2 / 5.0;
  y = y * z + 2 / 3.0;
  y = y * z + 2;
  return <f32>(<f64>exponent * 0.6931471805599453 + s * y);
}

// Integer matrices: a constant added and multiplied, a vector, a product, and a product of bit fields: the matrix work of CoreMark.
import { digest } from "./array";

const N = 16, ROUNDS = 2;
const A = memory.data(N * N * 2);
const B = memory.data(N * N * 2);
const C = memory.data(N * N * 4);

// @ts-ignore: decorator
@inline function short(array: usize, index: i32): i32 {
  return load<i16>(array + (<usize>index << 1));
}

// @ts-ignore: decorator
@inline function result(index: i32, value: i32): void {
  store<i32>(C + (<usize>index << 2), value);
}

export function setup(): void {
  let order = 1;
  for (let at = 0; at < N * N; at++) {
    const value = (order * 7919) % 65536;
    store<i16>(B + (<usize>at << 1), (value + order) & 0xffff);
    store<i16>(A + (<usize>at << 1), (value + 2 * order) & 0xff);
    order++;
  }
}

function total(clip: i32): i32 {
  let sum = 0, last = 0, score = 0;
  for (let at = 0; at < N * N; at++) {
    const value = load<i32>(C + (<usize>at << 2));
    sum += value;
    if (sum > clip) {
      score += 10;
      sum = 0;
    } else {
      score += i32(value > last);
    }
    last = value;
  }
  return score;
}

export function run(): void {
  for (let round = 0; round < ROUNDS; round++) {
    const value = round + 3;
    for (let at = 0; at < N * N; at++) store<i16>(A + (<usize>at << 1), short(A, at) + value);
    for (let at = 0; at < N * N; at++) result(at, short(A, at) * value);
    let score = total(4000);
    for (let i = 0; i < N; i++) {
      let sum = 0;
      for (let j = 0; j < N; j++) sum += short(A, i * N + j) * short(B, j);
      result(i, sum);
    }
    score += total(4000);
    for (let i = 0; i < N; i++) {
      for (let j = 0; j < N; j++) {
        let sum = 0;
        for (let k = 0; k < N; k++) sum += short(A, i * N + k) * short(B, k * N + j);
        result(i * N + j, sum);
      }
    }
    score += total(4000);
    for (let i = 0; i < N; i++) {
      for (let j = 0; j < N; j++) {
        let sum = 0;
        for (let k = 0; k < N; k++) {
          const product = short(A, i * N + k) * short(B, k * N + j);
          sum += ((product >> 2) & 15) * ((product >> 5) & 127);
        }
        result(i * N + j, sum);
      }
    }
    score += total(4000);
    for (let at = 0; at < N * N; at++) store<i16>(A + (<usize>at << 1), short(A, at) - value);
    result(round, score);
  }
}

export function checksum(): i32 {
  return digest(C, N * N * 4) ^ digest(A, N * N * 2);
}

// Shortest paths between all pairs: PolyBench's floyd-warshall.
import { digest, int, setInt } from "./array";

const N = 60;
const PATH = memory.data(N * N * 4);

export function setup(): void {
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < N; j++) {
      const far = (i + j) % 13 == 0 || (i + j) % 7 == 0 || (i + j) % 11 == 0;
      setInt(PATH, i * N + j, far ? 999 : (i * j) % 7 + 1);
    }
  }
}

export function run(): void {
  for (let k = 0; k < N; k++) {
    for (let i = 0; i < N; i++) {
      for (let j = 0; j < N; j++) {
        const direct = int(PATH, i * N + j), around = int(PATH, i * N + k) + int(PATH, k * N + j);
        setInt(PATH, i * N + j, direct < around ? direct : around);
      }
    }
  }
}

export function checksum(): i32 {
  return digest(PATH, N * N * 4);
}

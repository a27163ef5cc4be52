// The same filters in C: what an interpreter's instructions are a multiple of. The program is not used.
#include "harness.h"
#include <math.h>
#include <stdint.h>

static int32_t window[8], at, count, sum;

static float average(int32_t value) {
  sum += value - window[at];
  window[at] = value;
  at = (at + 1) & 7;
  if (count < 8) count += 1;
  return (float)sum / (float)count;
}

static int above, run_length;

static float flood(int32_t value) {
  int beyond = above ? value < 250 : value > 300;
  run_length = beyond ? run_length + 1 : 0;
  if (run_length == 3) {
    above = !above;
    run_length = 0;
    return above ? 1 : 0;
  }
  return -1;
}

static float squares;
static int samples;

static float vibration(int32_t value) {
  squares += (float)(value * value);
  samples += 1;
  if (samples < 64) return -1;
  float mean = squares / 64;
  squares = 0;
  samples = 0;
  return sqrtf(mean);
}

static float (*const filters[3])(int32_t) = {average, flood, vibration};

int engine_load(const char *program, size_t length) {
  (void)program, (void)length;
  return 0;
}

size_t engine_compiled(void) { return 0; }

long engine_run(int which, int n) {
  float (*filter)(int32_t) = filters[which];
  int32_t x = 1, hash = 7;
  for (int i = 0; i < n; i++) {
    x = (x * 1103 + 12345) & 0xffff;
    float out = filter(x % 1001 - 500);
    hash = (hash * 31 + (int32_t)floorf(out * 8) + 4000) % 65521;
  }
  return hash;
}

/* The work of every kernel in C, for GCC: the same operations in the same order as in kernels/, on the same arrays in memory. Compiled
   once for each kind of REAL; kernels of integers are with the f32. */
#include <stdint.h>

typedef REAL real;
#define PASTE(a, b) a##b
#define NAMED(kernel, suffix) PASTE(kernel, suffix)
/* The function of a kernel, and the arrays of its Kernel in Rust. */
#define KERNEL(name, arrays) \
  struct NAMED(name, _arrays) arrays; \
  void NAMED(twin_##name, SUFFIX)(struct NAMED(name, _arrays) *s)

#ifdef DOUBLE
extern double bench_sqrt_double(double);
#define SQRT(x) bench_sqrt_double(x)
#else
#define SQRT(x) __builtin_sqrtf(x)
#endif
#define C(number) ((real)number)

KERNEL(mm2, { real a[16][22]; real b[22][18]; real c[18][24]; real d[16][24]; real t[16][18]; }) {
  const real alpha = C(1.5), beta = C(1.2);
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 18; j++) {
      real sum = 0;
      for (int k = 0; k < 22; k++) sum += alpha * s->a[i][k] * s->b[k][j];
      s->t[i][j] = sum;
    }
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 24; j++) {
      real sum = s->d[i][j] * beta;
      for (int k = 0; k < 18; k++) sum += s->t[i][k] * s->c[k][j];
      s->d[i][j] = sum;
    }
}

#define MULTIPLY(z, x, y, rows, inner, columns) \
  for (int i = 0; i < rows; i++) \
    for (int j = 0; j < columns; j++) { \
      real sum = 0; \
      for (int k = 0; k < inner; k++) sum += s->x[i][k] * s->y[k][j]; \
      s->z[i][j] = sum; \
    }

KERNEL(mm3, {
  real a[16][20]; real b[20][18]; real c[18][24]; real d[24][22]; real e[16][18]; real f[18][22]; real g[16][22];
}) {
  MULTIPLY(e, a, b, 16, 20, 18)
  MULTIPLY(f, c, d, 18, 24, 22)
  MULTIPLY(g, e, f, 16, 18, 22)
}

KERNEL(adi, { real u[20][20]; real v[20][20]; real p[20][20]; real q[20][20]; }) {
  const int n = 20, steps = 20;
  const real one = 1, two = 2, dx = one / n, dt = one / steps;
  const real mul1 = two * dt / (dx * dx), mul2 = one * dt / (dx * dx);
  const real a = -mul1 / two, b = one + mul1, c = -mul1 / two;
  const real d = -mul2 / two, e = one + mul2, f = -mul2 / two;
  for (int t = 0; t < steps; t++) {
    for (int i = 1; i < n - 1; i++) {
      s->v[0][i] = 1;
      s->p[i][0] = 0;
      s->q[i][0] = 1;
      for (int j = 1; j < n - 1; j++) {
        const real denominator = a * s->p[i][j - 1] + b;
        s->p[i][j] = -c / denominator;
        const real u = -d * s->u[j][i - 1] + (one + two * d) * s->u[j][i] - f * s->u[j][i + 1];
        s->q[i][j] = (u - a * s->q[i][j - 1]) / denominator;
      }
      s->v[n - 1][i] = 1;
      for (int j = n - 2; j >= 1; j--) s->v[j][i] = s->p[i][j] * s->v[j + 1][i] + s->q[i][j];
    }
    for (int i = 1; i < n - 1; i++) {
      s->u[i][0] = 1;
      s->p[i][0] = 0;
      s->q[i][0] = 1;
      for (int j = 1; j < n - 1; j++) {
        const real denominator = d * s->p[i][j - 1] + e;
        s->p[i][j] = -f / denominator;
        const real v = -a * s->v[i - 1][j] + (one + two * a) * s->v[i][j] - c * s->v[i + 1][j];
        s->q[i][j] = (v - d * s->q[i][j - 1]) / denominator;
      }
      s->u[i][n - 1] = 1;
      for (int j = n - 2; j >= 1; j--) s->u[i][j] = s->p[i][j] * s->u[i][j + 1] + s->q[i][j];
    }
  }
}

KERNEL(atax, { real a[38][42]; real x[42]; real y[42]; }) {
  for (int i = 0; i < 42; i++) s->y[i] = 0;
  for (int i = 0; i < 38; i++) {
    real sum = 0;
    for (int j = 0; j < 42; j++) sum += s->a[i][j] * s->x[j];
    for (int j = 0; j < 42; j++) s->y[j] += s->a[i][j] * sum;
  }
}

KERNEL(bicg, { real a[42][38]; real r[42]; real p[38]; real s[38]; real q[42]; }) {
  for (int j = 0; j < 38; j++) s->s[j] = 0;
  for (int i = 0; i < 42; i++) {
    real sum = 0;
    for (int j = 0; j < 38; j++) {
      s->s[j] += s->r[i] * s->a[i][j];
      sum += s->a[i][j] * s->p[j];
    }
    s->q[i] = sum;
  }
}

KERNEL(cholesky, { real a[40][40]; real l[40][40]; }) {
  for (int i = 0; i < 40; i++) {
    for (int j = 0; j < i; j++) {
      real sum = s->a[i][j];
      for (int k = 0; k < j; k++) sum -= s->a[i][k] * s->a[j][k];
      s->a[i][j] = sum / s->a[j][j];
    }
    real sum = s->a[i][i];
    for (int k = 0; k < i; k++) sum -= s->a[i][k] * s->a[i][k];
    s->a[i][i] = SQRT(sum);
  }
}

KERNEL(correlation, { real d[32][28]; real c[28][28]; real mean[28]; real deviation[28]; }) {
  const real epsilon = C(0.1), count = 32;
  for (int j = 0; j < 28; j++) {
    real sum = 0;
    for (int i = 0; i < 32; i++) sum += s->d[i][j];
    s->mean[j] = sum / count;
  }
  for (int j = 0; j < 28; j++) {
    real sum = 0;
    for (int i = 0; i < 32; i++) {
      const real off = s->d[i][j] - s->mean[j];
      sum += off * off;
    }
    const real deviation = SQRT(sum / count);
    s->deviation[j] = deviation <= epsilon ? 1 : deviation;
  }
  for (int i = 0; i < 32; i++)
    for (int j = 0; j < 28; j++) s->d[i][j] = (s->d[i][j] - s->mean[j]) / (SQRT(count) * s->deviation[j]);
  for (int i = 0; i < 27; i++) {
    s->c[i][i] = 1;
    for (int j = i + 1; j < 28; j++) {
      real sum = 0;
      for (int k = 0; k < 32; k++) sum += s->d[k][i] * s->d[k][j];
      s->c[i][j] = sum;
      s->c[j][i] = sum;
    }
  }
  s->c[27][27] = 1;
}

KERNEL(covariance, { real d[32][28]; real c[28][28]; real mean[28]; }) {
  const real count = 32;
  for (int j = 0; j < 28; j++) {
    real sum = 0;
    for (int i = 0; i < 32; i++) sum += s->d[i][j];
    s->mean[j] = sum / count;
  }
  for (int i = 0; i < 32; i++)
    for (int j = 0; j < 28; j++) s->d[i][j] -= s->mean[j];
  for (int i = 0; i < 28; i++)
    for (int j = i; j < 28; j++) {
      real sum = 0;
      for (int k = 0; k < 32; k++) sum += s->d[k][i] * s->d[k][j];
      sum /= count - 1;
      s->c[i][j] = sum;
      s->c[j][i] = sum;
    }
}

KERNEL(deriche, { real input[32][30]; real output[32][30]; real y1[32][30]; real y2[32][30]; }) {
  const real alpha = C(0.25), one = 1, two = 2;
  const real down = C(0.7788007830714049), twice_up = C(1.6487212707001282);
  const real twice_down = C(0.6065306597126334), half = C(0.8408964152537145);
  const real k = (one - down) * (one - down) / (one + two * alpha * down - twice_up);
  const real a1 = k, a2 = k * down * (alpha - one);
  const real a3 = k * down * (alpha + one), a4 = -k * twice_down;
  const real b1 = half, b2 = -twice_down;
  for (int i = 0; i < 32; i++) {
    real ym1 = 0, ym2 = 0, xm1 = 0;
    for (int j = 0; j < 30; j++) {
      const real x = s->input[i][j], y = a1 * x + a2 * xm1 + b1 * ym1 + b2 * ym2;
      s->y1[i][j] = y;
      xm1 = x;
      ym2 = ym1;
      ym1 = y;
    }
  }
  for (int i = 0; i < 32; i++) {
    real yp1 = 0, yp2 = 0, xp1 = 0, xp2 = 0;
    for (int j = 29; j >= 0; j--) {
      const real y = a3 * xp1 + a4 * xp2 + b1 * yp1 + b2 * yp2;
      s->y2[i][j] = y;
      xp2 = xp1;
      xp1 = s->input[i][j];
      yp2 = yp1;
      yp1 = y;
    }
  }
  for (int i = 0; i < 32; i++)
    for (int j = 0; j < 30; j++) s->output[i][j] = s->y1[i][j] + s->y2[i][j];
  for (int j = 0; j < 30; j++) {
    real ym1 = 0, ym2 = 0, xm1 = 0;
    for (int i = 0; i < 32; i++) {
      const real x = s->output[i][j], y = a1 * x + a2 * xm1 + b1 * ym1 + b2 * ym2;
      s->y1[i][j] = y;
      xm1 = x;
      ym2 = ym1;
      ym1 = y;
    }
  }
  for (int j = 0; j < 30; j++) {
    real yp1 = 0, yp2 = 0, xp1 = 0, xp2 = 0;
    for (int i = 31; i >= 0; i--) {
      const real y = a3 * xp1 + a4 * xp2 + b1 * yp1 + b2 * yp2;
      s->y2[i][j] = y;
      xp2 = xp1;
      xp1 = s->output[i][j];
      yp2 = yp1;
      yp1 = y;
    }
  }
  for (int i = 0; i < 32; i++)
    for (int j = 0; j < 30; j++) s->output[i][j] = s->y1[i][j] + s->y2[i][j];
}

KERNEL(doitgen, { real a[10][8][12]; real c[12][12]; real sum[12]; }) {
  for (int r = 0; r < 10; r++)
    for (int q = 0; q < 8; q++) {
      for (int p = 0; p < 12; p++) {
        real sum = 0;
        for (int k = 0; k < 12; k++) sum += s->a[r][q][k] * s->c[k][p];
        s->sum[p] = sum;
      }
      for (int p = 0; p < 12; p++) s->a[r][q][p] = s->sum[p];
    }
}

KERNEL(durbin, { real r[40]; real y[40]; real z[40]; }) {
  real beta = 1, alpha = -s->r[0];
  s->y[0] = alpha;
  for (int k = 1; k < 40; k++) {
    beta *= 1 - alpha * alpha;
    real sum = 0;
    for (int i = 0; i < k; i++) sum += s->r[k - i - 1] * s->y[i];
    alpha = -(s->r[k] + sum) / beta;
    for (int i = 0; i < k; i++) s->z[i] = s->y[i] + alpha * s->y[k - i - 1];
    for (int i = 0; i < k; i++) s->y[i] = s->z[i];
    s->y[k] = alpha;
  }
}

KERNEL(fdtd_2d, { real ex[20][30]; real ey[20][30]; real hz[20][30]; real source[20]; }) {
  const real half = C(0.5), most = C(0.7);
  for (int t = 0; t < 20; t++) {
    for (int j = 0; j < 30; j++) s->ey[0][j] = s->source[t];
    for (int i = 1; i < 20; i++)
      for (int j = 0; j < 30; j++) s->ey[i][j] -= half * (s->hz[i][j] - s->hz[i - 1][j]);
    for (int i = 0; i < 20; i++)
      for (int j = 1; j < 30; j++) s->ex[i][j] -= half * (s->hz[i][j] - s->hz[i][j - 1]);
    for (int i = 0; i < 19; i++)
      for (int j = 0; j < 29; j++)
        s->hz[i][j] -= most * (s->ex[i][j + 1] - s->ex[i][j] + s->ey[i + 1][j] - s->ey[i][j]);
  }
}

KERNEL(gemm, { real a[20][30]; real b[30][25]; real c[20][25]; }) {
  const real alpha = C(1.5), beta = C(1.2);
  for (int i = 0; i < 20; i++) {
    for (int j = 0; j < 25; j++) s->c[i][j] *= beta;
    for (int k = 0; k < 30; k++)
      for (int j = 0; j < 25; j++) s->c[i][j] += alpha * s->a[i][k] * s->b[k][j];
  }
}

KERNEL(gemver, {
  real a[40][40]; real u1[40]; real v1[40]; real u2[40]; real v2[40]; real w[40]; real x[40]; real y[40]; real z[40];
}) {
  const real alpha = C(1.5), beta = C(1.2);
  for (int i = 0; i < 40; i++)
    for (int j = 0; j < 40; j++) s->a[i][j] = s->a[i][j] + s->u1[i] * s->v1[j] + s->u2[i] * s->v2[j];
  for (int i = 0; i < 40; i++) {
    real sum = s->x[i];
    for (int j = 0; j < 40; j++) sum += beta * s->a[j][i] * s->y[j];
    s->x[i] = sum;
  }
  for (int i = 0; i < 40; i++) s->x[i] += s->z[i];
  for (int i = 0; i < 40; i++) {
    real sum = s->w[i];
    for (int j = 0; j < 40; j++) sum += alpha * s->a[i][j] * s->x[j];
    s->w[i] = sum;
  }
}

KERNEL(gesummv, { real a[30][30]; real b[30][30]; real x[30]; real y[30]; }) {
  const real alpha = C(1.5), beta = C(1.2);
  for (int i = 0; i < 30; i++) {
    real a = 0, b = 0;
    for (int j = 0; j < 30; j++) {
      a += s->a[i][j] * s->x[j];
      b += s->b[i][j] * s->x[j];
    }
    s->y[i] = alpha * a + beta * b;
  }
}

KERNEL(gramschmidt, { real a[30][20]; real r[20][20]; real q[30][20]; }) {
  for (int k = 0; k < 20; k++) {
    real sum = 0;
    for (int i = 0; i < 30; i++) sum += s->a[i][k] * s->a[i][k];
    const real norm = SQRT(sum);
    s->r[k][k] = norm;
    for (int i = 0; i < 30; i++) s->q[i][k] = s->a[i][k] / norm;
    for (int j = k + 1; j < 20; j++) {
      real product = 0;
      for (int i = 0; i < 30; i++) product += s->q[i][k] * s->a[i][j];
      s->r[k][j] = product;
      for (int i = 0; i < 30; i++) s->a[i][j] -= s->q[i][k] * product;
    }
  }
}

static void NAMED(heat, SUFFIX)(real (*to)[10][10], real (*from)[10][10]) {
  const real eighth = C(0.125), two = 2;
  for (int i = 1; i < 9; i++)
    for (int j = 1; j < 9; j++)
      for (int k = 1; k < 9; k++) {
        const real here = from[i][j][k];
        to[i][j][k] = eighth * (from[i + 1][j][k] - two * here + from[i - 1][j][k]) +
                      eighth * (from[i][j + 1][k] - two * here + from[i][j - 1][k]) +
                      eighth * (from[i][j][k + 1] - two * here + from[i][j][k - 1]) + here;
      }
}

KERNEL(heat_3d, { real a[10][10][10]; real b[10][10][10]; }) {
  for (int t = 0; t < 20; t++) {
    NAMED(heat, SUFFIX)(s->b, s->a);
    NAMED(heat, SUFFIX)(s->a, s->b);
  }
}

KERNEL(jacobi_1d, { real a[30]; real b[30]; }) {
  const real third = C(0.33333);
  for (int t = 0; t < 20; t++) {
    for (int i = 1; i < 29; i++) s->b[i] = third * (s->a[i - 1] + s->a[i] + s->a[i + 1]);
    for (int i = 1; i < 29; i++) s->a[i] = third * (s->b[i - 1] + s->b[i] + s->b[i + 1]);
  }
}

static void NAMED(jacobi, SUFFIX)(real (*to)[30], real (*from)[30]) {
  const real fifth = C(0.2);
  for (int i = 1; i < 29; i++)
    for (int j = 1; j < 29; j++) {
      const real row = from[i][j] + from[i][j - 1] + from[i][j + 1];
      to[i][j] = fifth * (row + from[i + 1][j] + from[i - 1][j]);
    }
}

KERNEL(jacobi_2d, { real a[30][30]; real b[30][30]; }) {
  for (int t = 0; t < 20; t++) {
    NAMED(jacobi, SUFFIX)(s->b, s->a);
    NAMED(jacobi, SUFFIX)(s->a, s->b);
  }
}

#define DECOMPOSE \
  for (int i = 0; i < 40; i++) { \
    for (int j = 0; j < i; j++) { \
      real sum = s->a[i][j]; \
      for (int k = 0; k < j; k++) sum -= s->a[i][k] * s->a[k][j]; \
      s->a[i][j] = sum / s->a[j][j]; \
    } \
    for (int j = i; j < 40; j++) { \
      real sum = s->a[i][j]; \
      for (int k = 0; k < i; k++) sum -= s->a[i][k] * s->a[k][j]; \
      s->a[i][j] = sum; \
    } \
  }

KERNEL(lu, { real a[40][40]; real l[40][40]; }) { DECOMPOSE }

KERNEL(ludcmp, { real a[40][40]; real l[40][40]; real b[40]; real x[40]; real y[40]; }) {
  DECOMPOSE
  for (int i = 0; i < 40; i++) {
    real sum = s->b[i];
    for (int j = 0; j < i; j++) sum -= s->a[i][j] * s->y[j];
    s->y[i] = sum;
  }
  for (int i = 39; i >= 0; i--) {
    real sum = s->y[i];
    for (int j = i + 1; j < 40; j++) sum -= s->a[i][j] * s->x[j];
    s->x[i] = sum / s->a[i][i];
  }
}

KERNEL(mvt, { real a[40][40]; real x1[40]; real x2[40]; real y1[40]; real y2[40]; }) {
  for (int i = 0; i < 40; i++) {
    real sum = s->x1[i];
    for (int j = 0; j < 40; j++) sum += s->a[i][j] * s->y1[j];
    s->x1[i] = sum;
  }
  for (int i = 0; i < 40; i++) {
    real sum = s->x2[i];
    for (int j = 0; j < 40; j++) sum += s->a[j][i] * s->y2[j];
    s->x2[i] = sum;
  }
}

KERNEL(seidel_2d, { real a[40][40]; }) {
  const real nine = 9;
  for (int t = 0; t < 20; t++)
    for (int i = 1; i < 39; i++)
      for (int j = 1; j < 39; j++) {
        const real above = s->a[i - 1][j - 1] + s->a[i - 1][j] + s->a[i - 1][j + 1];
        const real row = above + s->a[i][j - 1] + s->a[i][j] + s->a[i][j + 1];
        const real all = row + s->a[i + 1][j - 1] + s->a[i + 1][j] + s->a[i + 1][j + 1];
        s->a[i][j] = all / nine;
      }
}

KERNEL(symm, { real a[20][20]; real b[20][30]; real c[20][30]; }) {
  const real alpha = C(1.5), beta = C(1.2);
  for (int i = 0; i < 20; i++)
    for (int j = 0; j < 30; j++) {
      real sum = 0;
      for (int k = 0; k < i; k++) {
        s->c[k][j] += alpha * s->b[i][j] * s->a[i][k];
        sum += s->b[k][j] * s->a[i][k];
      }
      s->c[i][j] = beta * s->c[i][j] + alpha * s->b[i][j] * s->a[i][i] + alpha * sum;
    }
}

KERNEL(syr2k, { real a[30][20]; real b[30][20]; real c[30][30]; }) {
  const real alpha = C(1.5), beta = C(1.2);
  for (int i = 0; i < 30; i++) {
    for (int j = 0; j <= i; j++) s->c[i][j] *= beta;
    for (int k = 0; k < 20; k++)
      for (int j = 0; j <= i; j++)
        s->c[i][j] += s->a[j][k] * alpha * s->b[i][k] + s->b[j][k] * alpha * s->a[i][k];
  }
}

KERNEL(syrk, { real a[30][20]; real c[30][30]; }) {
  const real alpha = C(1.5), beta = C(1.2);
  for (int i = 0; i < 30; i++) {
    for (int j = 0; j <= i; j++) s->c[i][j] *= beta;
    for (int k = 0; k < 20; k++)
      for (int j = 0; j <= i; j++) s->c[i][j] += alpha * s->a[i][k] * s->a[j][k];
  }
}

KERNEL(trisolv, { real l[40][40]; real b[40]; real x[40]; }) {
  for (int i = 0; i < 40; i++) {
    real sum = s->b[i];
    for (int j = 0; j < i; j++) sum -= s->l[i][j] * s->x[j];
    s->x[i] = sum / s->l[i][i];
  }
}

KERNEL(trmm, { real a[20][20]; real b[20][30]; }) {
  const real alpha = C(1.5);
  for (int i = 0; i < 20; i++)
    for (int j = 0; j < 30; j++) {
      real sum = s->b[i][j];
      for (int k = i + 1; k < 20; k++) sum += s->a[k][i] * s->b[k][j];
      s->b[i][j] = alpha * sum;
    }
}

#ifndef DOUBLE
/* Something that GCC knows nothing about. */
static inline int hidden(int value) {
  __asm__ volatile("" : "+r"(value));
  return value;
}

static int ackermann(int m, int n) {
  if (m == 0) return n + 1;
  return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

KERNEL(ackermann, { int32_t result; }) { s->result = ackermann(hidden(2), hidden(12)); }

static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

KERNEL(fib, { int32_t result; }) { s->result = fib(hidden(15)); }

static int tak(int x, int y, int z) {
  return y < x ? tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y)) : z;
}

KERNEL(tak, { int32_t result; }) { s->result = tak(hidden(12), 8, 4); }

KERNEL(crc, { uint8_t buffer[512]; uint32_t sum; }) {
  uint32_t crc = 0;
  for (int at = 0; at < 512; at++) {
    uint32_t byte = s->buffer[at];
    for (int bit = 0; bit < 8; bit++) {
      const int carry = hidden((byte ^ crc) & 1);
      byte >>= 1;
      if (carry) crc ^= 0x4002;
      crc >>= 1;
      crc = carry ? crc | 0x8000 : crc & 0x7fff;
    }
  }
  s->sum = crc;
}

static const uint8_t program[15][4] = {
    {0, 0, 0, 2},  {0, 3, 0, 1}, {0, 1, 0, 2}, {6, 1, 0, 9}, {5, 2, 0, 0}, {4, 2, 1, 0},  {7, 2, 0, 12}, {1, 1, 3, 0},
    {3, 0, 0, 3},  {1, 4, 3, 0}, {2, 5, 0, 0}, {5, 6, 0, 0}, {1, 0, 3, 0}, {8, 0, 0, 80}, {3, 0, 0, 2},
};

KERNEL(dispatch, { int32_t registers[8]; }) {
  const uint8_t(*code)[4] = (const uint8_t(*)[4])hidden((int)program);
  int32_t *r = s->registers;
  for (unsigned counter = 0;;) {
    const uint8_t *now = code[counter++];
    const unsigned a = now[1] & 7, b = now[2] & 7, number = now[3];
    switch (now[0]) {
      case 0: r[a] = (int)number; break;
      case 1: r[a] = (int)((uint32_t)r[a] + (uint32_t)r[b]); break;
      case 2: r[a] = (int)((uint32_t)r[a] * 31) ^ r[b]; break;
      case 3: counter = number; break;
      case 4: r[a] = r[a] % r[b]; break;
      case 5: r[a] = r[b]; break;
      case 6: if (r[a] == r[b]) counter = number; break;
      case 7: if (r[a] == 0) counter = number; break;
      case 8: if (r[a] == (int)number) return; break;
    }
  }
}

KERNEL(floyd_warshall, { int32_t path[60][60]; }) {
  for (int k = 0; k < 60; k++)
    for (int i = 0; i < 60; i++)
      for (int j = 0; j < 60; j++) {
        const int32_t by = s->path[i][k] + s->path[k][j];
        s->path[i][j] = s->path[i][j] < by ? s->path[i][j] : by;
      }
}

static inline int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

KERNEL(nussinov, { int32_t table[60][60]; uint8_t bases[60]; }) {
  for (int i = 59; i >= 0; i--)
    for (int j = i + 1; j < 60; j++) {
      int32_t best = larger(s->table[i][j], s->table[i][j - 1]);
      if (i + 1 < 60) {
        best = larger(best, s->table[i + 1][j]);
        const int pair = i < j - 1 && s->bases[i] + s->bases[j] == 3;
        best = larger(best, s->table[i + 1][j - 1] + pair);
      }
      for (int k = i + 1; k < j; k++) best = larger(best, s->table[i][k] + s->table[k + 1][j]);
      s->table[i][j] = best;
    }
}

KERNEL(sieve, { uint8_t composite[4096]; int32_t count; }) {
  int primes = 0;
  for (int i = 0; i < 4096; i++) s->composite[i] = 0;
  for (int i = 2; i < 4096; i++) {
    if (s->composite[i]) continue;
    primes++;
    for (int j = i + i; j < 4096; j += i) s->composite[j] = 1;
  }
  s->count = primes;
}

enum { START, INVALID, SIGN, INTEGER, FLOAT, EXPONENT, EXPONENT_SIGN, SCIENTIFIC, STATES };

static unsigned step(unsigned state, unsigned c) {
  const int digit = c - '0' < 10;
  switch (state) {
    case START: return digit ? INTEGER : c == '+' || c == '-' ? SIGN : c == '.' ? FLOAT : INVALID;
    case SIGN:
    case INTEGER: return digit ? INTEGER : c == '.' ? FLOAT : INVALID;
    case FLOAT: return c == 'e' || c == 'E' ? EXPONENT : digit ? FLOAT : INVALID;
    case EXPONENT: return c == '+' || c == '-' ? EXPONENT_SIGN : INVALID;
    case EXPONENT_SIGN:
    case SCIENTIFIC: return digit ? SCIENTIFIC : INVALID;
    default: return INVALID;
  }
}

KERNEL(state, { uint8_t text[1024]; uint32_t counts[2 * STATES]; }) {
  unsigned state = START;
  for (int at = 0; at < 1024; at++) {
    const unsigned c = s->text[at];
    const int ended = c == ',';
    const unsigned counted = ended ? STATES + state : step(state, c);
    s->counts[counted]++;
    state = ended ? START : counted;
  }
}

#define NODES 96
enum { END = -1 };

static int find(const int16_t *next, const int16_t *values, int node, int16_t value) {
  int steps = 0;
  while (node != END && values[node] != value) {
    node = next[node];
    steps++;
  }
  return steps;
}

static int reverse(int16_t *next, int head) {
  int done = END;
  while (head != END) {
    const int rest = next[head];
    next[head] = (int16_t)done;
    done = head;
    head = rest;
  }
  return done;
}

static int sort(int16_t *next, int head, const int16_t *key) {
  for (int run = 1;; run <<= 1) {
    int left = head, tail = END, merges = 0;
    head = END;
    while (left != END) {
      merges++;
      int right = left, lefts = 0, rights = run;
      while (lefts < run && right != END) {
        lefts++;
        right = next[right];
      }
      while (lefts > 0 || (rights > 0 && right != END)) {
        int node;
        if (lefts > 0 && (rights == 0 || right == END || key[left] <= key[right])) {
          node = left;
          left = next[left];
          lefts--;
        } else {
          node = right;
          right = next[right];
          rights--;
        }
        if (tail == END) head = node;
        else next[tail] = (int16_t)node;
        tail = node;
      }
      left = right;
    }
    next[tail] = END;
    if (merges <= 1) return head;
  }
}

KERNEL(list, { int16_t next[NODES]; int16_t value[NODES]; int16_t place[NODES]; int32_t result[6]; }) {
  int head = 0;
  for (int round = 0; round < 6; round++) {
    int found = 0;
    for (int node = 0; node < NODES; node += 8)
      found += find(s->next, s->value, head, (int16_t)(s->value[node] + (node & 8)));
    head = reverse(s->next, head);
    head = sort(s->next, head, s->value);
    const int smallest = s->value[head];
    head = sort(s->next, head, s->place);
    s->result[round] = found * 31 + smallest;
  }
}


static int total(const int32_t *c, int clip) {
  uint32_t sum = 0;
  int last = 0, score = 0;
  for (int at = 0; at < 256; at++) {
    sum += (uint32_t)c[at];
    if ((int32_t)sum > clip) {
      score += 10;
      sum = 0;
    } else {
      score += c[at] > last;
    }
    last = c[at];
  }
  return score;
}

KERNEL(matrix, { int16_t a[16][16]; int16_t b[16][16]; int32_t c[16][16]; }) {
  for (int round = 0; round < 2; round++) {
    const int value = round + 3;
    for (int i = 0; i < 16; i++)
      for (int j = 0; j < 16; j++) s->a[i][j] = (int16_t)(s->a[i][j] + value);
    for (int i = 0; i < 16; i++)
      for (int j = 0; j < 16; j++) s->c[i][j] = s->a[i][j] * value;
    int score = total(&s->c[0][0], 4000);
    for (int i = 0; i < 16; i++) {
      uint32_t sum = 0;
      for (int j = 0; j < 16; j++) sum += (uint32_t)(s->a[i][j] * s->b[0][j]);
      s->c[0][i] = (int32_t)sum;
    }
    score += total(&s->c[0][0], 4000);
    for (int i = 0; i < 16; i++)
      for (int j = 0; j < 16; j++) {
        uint32_t sum = 0;
        for (int k = 0; k < 16; k++) sum += (uint32_t)(s->a[i][k] * s->b[k][j]);
        s->c[i][j] = (int32_t)sum;
      }
    score += total(&s->c[0][0], 4000);
    for (int i = 0; i < 16; i++)
      for (int j = 0; j < 16; j++) {
        int sum = 0;
        for (int k = 0; k < 16; k++) {
          const int product = s->a[i][k] * s->b[k][j];
          sum += ((product >> 2) & 15) * ((product >> 5) & 127);
        }
        s->c[i][j] = sum;
      }
    score += total(&s->c[0][0], 4000);
    for (int i = 0; i < 16; i++)
      for (int j = 0; j < 16; j++) s->a[i][j] = (int16_t)(s->a[i][j] - value);
    s->c[0][round] = score;
  }
}
#endif

// What wasm3 uses of it; the functions are those of the crate libm.
double floor(double);
double ceil(double);
double trunc(double);
double rint(double);
double sqrt(double);
double fabs(double);
double copysign(double, double);
float floorf(float);
float ceilf(float);
float truncf(float);
float rintf(float);
float sqrtf(float);
float fabsf(float);
float copysignf(float, float);
#define isnan(x) __builtin_isnan(x)
#define signbit(x) __builtin_signbit(x)
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")

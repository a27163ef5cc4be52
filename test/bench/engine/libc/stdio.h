// What wasm3 uses of it; the functions are in src/engines/wasm3.rs.
#include <stdarg.h>
#include <stddef.h>
typedef struct FILE FILE;
extern FILE *stderr;
int printf(const char *, ...);
int fprintf(FILE *, const char *, ...);
int snprintf(char *, size_t, const char *, ...);
int vsnprintf(char *, size_t, const char *, va_list);

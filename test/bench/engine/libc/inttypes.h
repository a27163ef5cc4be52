// What wasm3 uses of it.
#include <stdint.h>
#define PRIi32 "ld"
#define PRIu32 "lu"
#define PRIx32 "lx"
#define PRIi64 "lld"
#define PRIu64 "llu"
#define PRIx64 "llx"

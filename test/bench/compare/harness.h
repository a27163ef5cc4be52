// What the harness and an engine know of each other.
#include <stddef.h>

// Takes a program: source text, or a module. 0 when it is ready to run.
int engine_load(const char *program, size_t length);
// `run(which, n)` of the program.
long engine_run(int which, int n);
// Bytes that the program takes once it is compiled: bytecode, or the module with its branch table.
size_t engine_compiled(void);

// All memory an engine takes comes from here and is counted.
void *counted_realloc(void *block, size_t size);

// Runs an engine on the emulated Cortex-M4F and tells, as a line of JSON, what it cost: instructions (SysTick, with QEMU's
// `-icount shift=0`), bytes of heap at their peak, bytes of stack at their deepest.
#include "harness.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern uint32_t _stack_bottom, _stack_top, _data_load, _data, _data_end, _bss, _bss_end, _heap, _heap_end;
extern void initialise_monitor_handles(void);
int main(void);

void *_sbrk(ptrdiff_t by) {
  static char *top = (char *)&_heap;
  char *old = top;
  if (top + by > (char *)&_heap_end) return (void *)-1;
  top += by;
  return old;
}

// Newlib's own takes the limit from the current stack pointer.
void __attribute__((noreturn)) reset(void) {
  *(volatile uint32_t *)0xE000ED88 |= 0xfu << 20; // CPACR: the floating-point unit on
  __asm volatile("dsb\nisb");
  memcpy(&_data, &_data_load, (size_t)((char *)&_data_end - (char *)&_data));
  memset(&_bss, 0, (size_t)((char *)&_bss_end - (char *)&_bss));
  initialise_monitor_handles();
  exit(main());
}

static void fault(void) {
  puts("{\"fault\":true}");
  exit(1);
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &_stack_top, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault};

static size_t in_use, peak;

void *counted_realloc(void *block, size_t size) {
  size_t *old = block ? (size_t *)block - 2 : NULL;
  size_t before = old ? *old : 0;
  if (size == 0) {
    in_use -= before;
    free(old);
    return NULL;
  }
  size_t *made = realloc(old, size + 2 * sizeof(size_t));
  if (!made) return NULL;
  *made = size;
  in_use += size - before;
  if (in_use > peak) peak = in_use;
  return made + 2;
}

static uint32_t ticks(void) { return 0xffffff - *(volatile uint32_t *)0xE000E018; }

// The counter has 24 bits; a tick of the board's 25 MHz clock is 40 instructions.
static unsigned long since(uint32_t start) { return (unsigned long)((ticks() - start) & 0xffffff) * 40; }

static void paint(void) {
  uint32_t *here = __builtin_frame_address(0);
  for (uint32_t *word = &_stack_bottom; word < here - 64; word++) *word = 0xdeadbeef;
}

static size_t painted_over(void) {
  uint32_t *word = &_stack_bottom;
  while (*word == 0xdeadbeef) word++;
  return (size_t)((char *)&_stack_top - (char *)word);
}

int main(void) {
  FILE *file = fopen("program", "rb");
  static char program[65536];
  size_t length = file ? fread(program, 1, sizeof program - 1, file) : 0;
  *(volatile uint32_t *)0xE000E014 = 0xffffff; // SysTick: reload, clear, on with the processor's clock
  *(volatile uint32_t *)0xE000E018 = 0;
  *(volatile uint32_t *)0xE000E010 = 5;
  paint();
  uint32_t start = ticks();
  if (engine_load(program, length) != 0) {
    puts("{\"refused\":true}");
    return 1;
  }
  unsigned long load = since(start);
  size_t load_peak = peak, load_stack = painted_over(), compiled = engine_compiled();
  // What compiling for its size took is not what running takes.
  peak = in_use;
  paint();
  printf("{\"load\":%lu,\"loadHeap\":%u,\"loadStack\":%u,\"heap\":%u,\"compiled\":%u,\"runs\":[", load, (unsigned)load_peak,
         (unsigned)load_stack, (unsigned)in_use, (unsigned)compiled);
  for (int which = 0; which < 3; which++) {
    engine_run(which, 100);
    paint();
    peak = in_use;
    start = ticks();
    long result = engine_run(which, 1000);
    unsigned long spent = since(start);
    printf("%s{\"result\":%ld,\"instructions\":%lu,\"peakHeap\":%u,\"stack\":%u}", which ? "," : "", result, spent,
           (unsigned)peak, (unsigned)painted_over());
  }
  puts("]}");
  return 0;
}

// QuickJS (quickjs-ng), with the built-in objects a filter needs: the basic ones and typed arrays.
#include "harness.h"
#include "quickjs.h"
#include <string.h>

static JSContext *context;
static size_t compiled;

static void *take(void *nothing, size_t size) { return counted_realloc(NULL, size); }
static void give(void *nothing, void *block) { counted_realloc(block, 0); }
static void *again(void *nothing, void *block, size_t size) { return counted_realloc(block, size); }
static void *zeroed(void *nothing, size_t count, size_t size) {
  void *block = counted_realloc(NULL, count * size);
  return block ? memset(block, 0, count * size) : NULL;
}
static size_t usable(const void *block) { return block ? ((const size_t *)block)[-2] : 0; }

int engine_load(const char *program, size_t length) {
  static const JSMallocFunctions memory = {
      .js_calloc = zeroed, .js_malloc = take, .js_free = give, .js_realloc = again, .js_malloc_usable_size = usable};
  JSRuntime *runtime = JS_NewRuntime2(&memory, NULL);
  JS_SetMaxStackSize(runtime, 0);
  context = JS_NewContextRaw(runtime);
  JS_AddIntrinsicBaseObjects(context);
  JS_AddIntrinsicEval(context);
  JS_AddIntrinsicTypedArrays(context);
  JSValue code = JS_Eval(context, program, length, "filters", JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY);
  if (JS_IsException(code)) return 1;
  uint8_t *bytes = JS_WriteObject(context, &compiled, code, JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE | JS_WRITE_OBJ_STRIP_DEBUG);
  js_free(context, bytes);
  JSValue result = JS_EvalFunction(context, code);
  if (JS_IsException(result)) return 2;
  JS_FreeValue(context, result);
  JS_RunGC(runtime);
  return 0;
}

size_t engine_compiled(void) { return compiled; }

long engine_run(int which, int n) {
  JSValue global = JS_GetGlobalObject(context);
  JSValue run = JS_GetPropertyStr(context, global, "run");
  JSValue arguments[2] = {JS_NewInt32(context, which), JS_NewInt32(context, n)};
  JSValue result = JS_Call(context, run, global, 2, arguments);
  int32_t number = -1;
  JS_ToInt32(context, &number, result);
  JS_FreeValue(context, result);
  JS_FreeValue(context, run);
  JS_FreeValue(context, global);
  return number;
}

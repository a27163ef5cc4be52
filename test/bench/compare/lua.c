// Lua, with the libraries a filter needs: the basic one and `math`.
#include "harness.h"
#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

static lua_State *state;

static void *memory(void *nothing, void *block, size_t before, size_t size) {
  (void)nothing, (void)before;
  return counted_realloc(block, size);
}

int engine_load(const char *program, size_t length) {
  state = lua_newstate(memory, NULL);
  luaL_requiref(state, LUA_GNAME, luaopen_base, 1);
  luaL_requiref(state, LUA_MATHLIBNAME, luaopen_math, 1);
  lua_settop(state, 0);
  int bad = luaL_loadbuffer(state, program, length, "filters");
  if (bad) return bad;
  lua_pushvalue(state, 1);
  lua_setfield(state, LUA_REGISTRYINDEX, "chunk");
  bad = lua_pcall(state, 0, 0, 0);
  lua_gc(state, LUA_GCCOLLECT);
  return bad;
}

static int count(lua_State *from, const void *bytes, size_t size, void *sum) {
  (void)from, (void)bytes;
  *(size_t *)sum += size;
  return 0;
}

size_t engine_compiled(void) {
  size_t sum = 0;
  lua_getfield(state, LUA_REGISTRYINDEX, "chunk");
  lua_dump(state, count, &sum, 1);
  lua_pushnil(state);
  lua_setfield(state, LUA_REGISTRYINDEX, "chunk");
  lua_settop(state, 0);
  lua_gc(state, LUA_GCCOLLECT);
  return sum;
}

long engine_run(int which, int n) {
  lua_getglobal(state, "run");
  lua_pushinteger(state, which);
  lua_pushinteger(state, n);
  if (lua_pcall(state, 2, 1, 0)) return -1;
  long result = (long)lua_tointeger(state, -1);
  lua_settop(state, 0);
  return result;
}

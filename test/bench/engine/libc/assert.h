// Assertions of wasm3 about itself: none in a release.
#define assert(x) ((void)0)

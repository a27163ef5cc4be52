// Two clocks. What people read, and what is kept over a restart, is in milliseconds since 1970 (Date.now), which somebody may set at any
// moment. How long something lasts is counted by a clock that nobody sets.

/** Milliseconds since this process began; never put back, never ahead by more than has passed. */
export const steady = (): number => performance.now();

// Numbers that look random and are the same in every run.

/** A source of whole numbers below a limit (a linear congruential generator; Numerical Recipes' constants). */
export function randomBelow(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

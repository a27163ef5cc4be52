// Sequence numbers of packages. A node takes each once and never a lower one, so a number that was signed is spent, and the numbers of
// 32 bits must not run out: whoever could make this program sign the last one would lock the node for ever.
import { UserError } from "./errors.ts";
import type { Project } from "./project.ts";

/** The last number there is. */
export const lastSequence = 0xffff_ffff;

/**
 * How far ahead of what this project has signed a node may be and still be believed. Its answer is not signed: one that is forged costs
 * so many numbers at most, and not all of them. Somebody else who signs for the same node gets ahead by one a package.
 */
export const longestJump = 65_536;

/** The last number that was signed here; 0 where there is none. */
export function signedSequence({ state }: Project): number {
  const text = state.read("sequence") ?? "0";
  const kept = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (kept <= lastSequence) return kept;
  // Damaged: the packages that were made here have their numbers too.
  const numbers = state
    .list("packages")
    .map((name) => Number(/^(\d{1,10})\.wpkg$/.exec(name)?.[1] ?? 0));
  return Math.max(0, ...numbers.filter((number) => number <= lastSequence));
}

/** Takes the next number: above all that were signed here and all that the node has seen. It is saved before anything is signed with it. */
export function nextSequence(project: Project, highest = 0): number {
  const signed = signedSequence(project);
  if (!Number.isInteger(highest) || highest < 0 || highest > lastSequence)
    throw new UserError(`${highest} is not a sequence number`, "is it a node?", "refused");
  if (highest > signed + longestJump)
    throw new UserError(
      `the node says that it has seen sequence ${highest}, this project has signed ${signed}: nothing is signed, for whoever forges such an answer uses up the node's numbers`,
      `ask again; if the number is right (somebody else signs for this node too), say so once: --sequence ${Math.min(highest + 1, lastSequence)}`,
      "refused",
    );
  if (Math.max(highest, signed) === lastSequence)
    throw new UserError(
      "the sequence numbers are used up",
      `.wasmote/sequence has the last one that was signed here: correct it if it is wrong`,
      "refused",
    );
  return keep(project, Math.max(highest, signed) + 1);
}

/**
 * Takes a number that somebody chose. One that is far ahead is not remembered, so that it does not spend all before it, unless it is
 * the answer to a node that is as far.
 */
export function takeSequence(project: Project, sequence: number, always = false): number {
  if (!Number.isInteger(sequence) || sequence < 1 || sequence > lastSequence)
    throw new UserError(
      `${sequence} is not a sequence number`,
      `write a whole number from 1 to ${lastSequence}`,
      "usage",
    );
  const signed = signedSequence(project);
  if (sequence <= signed || (sequence > signed + longestJump && !always)) return sequence;
  return keep(project, sequence);
}

function keep({ state }: Project, sequence: number): number {
  state.write(`${sequence}\n`, ["sequence"]);
  return sequence;
}

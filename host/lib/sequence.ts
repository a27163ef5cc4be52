// Sequence numbers of packages. A node takes each once and never a lower one, so a number that was signed is spent, and the numbers of
// 32 bits must not run out: an attacker who makes this program sign the last one would lock the node for ever.
import { limits } from "./contract.ts";
import { UserError } from "./errors.ts";
import type { Project } from "./project.ts";

/** The last number there is. */
export const lastSequence = 0xffff_ffff;

/**
 * How far ahead of what this project has signed a node may be and still be believed. Its answer is not signed: one that is forged costs
 * so many numbers at most, and not all of them. Somebody else who signs for the same node gets ahead by one a package. The node takes no longer jump either.
 */
export const longestJump = limits.sequence_jump;

/** Where a node's numbers are: the highest it has seen, in the era in which they count. */
export interface SequencePlace {
  highest: number;
  era: number;
}

const fileOf = (era: number) => (era === 0 ? "sequence" : `sequence-${era}`);

/** Where numbers are claimed, a file each: programs that run at once find out of each other. Only the highest is left there. */
const claimFolder = (era: number) => `claims-${era}`;

/** The highest number that is claimed in an era. */
function claimed({ state }: Project, era: number): number {
  const numbers = state.list(claimFolder(era)).filter((name) => /^\d{1,10}$/.test(name));
  return Math.max(0, ...numbers.map(Number).filter((number) => number <= lastSequence));
}

/** Claims the number that is wanted or, where another program has it, the next one. */
function claim(project: Project, era: number, wanted: number): number {
  const { state } = project;
  const folder = claimFolder(era);
  for (let number = wanted; number <= lastSequence; number++) {
    if (!state.claim(folder, String(number))) continue;
    // A claim goes only when there is a higher one: who comes with an old number sees that one now.
    const highest = claimed(project, era);
    if (highest === number) {
      for (const name of state.list(folder)) if (Number(name) < number) state.remove(folder, name);
      return number;
    }
    state.remove(folder, String(number));
    number = highest;
  }
  return lastSequence + 1;
}

/** The last number that was signed here in an era; 0 if there is none. */
export function signedSequence(project: Project, era = 0): number {
  return Math.max(written(project, era), claimed(project, era));
}

function written({ state }: Project, era: number): number {
  const text = state.read(fileOf(era)) ?? "0";
  const kept = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (kept <= lastSequence) return kept;
  // Damaged: the packages that were made here have their numbers too.
  const numbers = state
    .list("packages")
    .map((name) => Number(/^(\d{1,10})\.wpkg$/.exec(name)?.[1] ?? 0));
  return Math.max(0, ...numbers.filter((number) => number <= lastSequence));
}

/**
 * Takes the next number: above all that the node has seen and, as far as the node follows, above all that were signed here. It is
 * saved before anything is signed with it.
 */
export function nextSequence(project: Project, { highest, era }: SequencePlace): number {
  const signed = signedSequence(project, era);
  if (highest > signed + longestJump)
    throw new UserError(
      `the node says that it has seen sequence ${highest}, this project has signed ${signed}: nothing is signed, because a forged answer could use up the node's numbers`,
      `ask again; if the number is right (somebody else signs for this node too), say so once: --sequence ${Math.min(highest + 1, lastSequence)}`,
      "refused",
    );
  const follows = signed < highest + longestJump;
  const least = (follows ? Math.max(highest, signed) : highest) + 1;
  // Where the node is far behind, its next number was signed here before: nobody else takes it now.
  const next = follows && least <= lastSequence ? claim(project, era, least) : least;
  if (next > lastSequence)
    throw new UserError(
      "the node's sequence numbers are used up",
      "begin them anew: --restart-sequence",
      "refused",
    );
  if (next > signed) keep(project, next, era);
  return next;
}

/**
 * Takes a number that somebody chose. One that is far ahead is not remembered, so that it does not spend all before it, unless it is
 * the answer to a node that is as far.
 */
export function takeSequence(
  project: Project,
  sequence: number,
  { era = 0, always = false } = {},
): number {
  if (!Number.isInteger(sequence) || sequence < 1 || sequence > lastSequence)
    throw new UserError(
      `${sequence} is not a sequence number`,
      `write a whole number from 1 to ${lastSequence}`,
      "usage",
    );
  const signed = signedSequence(project, era);
  if (sequence > signed && (sequence <= signed + longestJump || always))
    keep(project, sequence, era);
  return sequence;
}

function keep({ state }: Project, sequence: number, era: number): void {
  state.write(`${sequence}\n`, [fileOf(era)]);
}

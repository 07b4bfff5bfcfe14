/**
 * The status lattice (model.md, Status; T1). An outcome is what commands and merges may never move backwards except by
 * `reopen`; the words `todo`, `ready` and `blocked` are what people say of a task that has no outcome yet.
 */

export const STATUSES = ["todo", "ready", "blocked", "done", "verified", "deleted"] as const;
export type Status = (typeof STATUSES)[number];
/** The words of rank 0. */
export type Word = "todo" | "ready" | "blocked";
export type Rank = 0 | 1 | 2 | 3;

/** How far a task is within one round of work. `reopens` is sorted and free of repeats. */
export interface Outcome {
  readonly reopens: readonly string[];
  readonly rank: Rank;
  /** True when the work was verified in this round: rank 2, or rank 3 after it (T3: such a deletion does not block). */
  readonly verified: boolean;
}

export const NO_OUTCOME: Outcome = { reopens: [], rank: 0, verified: false };

export function rankOf(status: Status): Rank {
  return status === "done" ? 1 : status === "verified" ? 2 : status === "deleted" ? 3 : 0;
}

/** The status word of an outcome; rank 0 is spoken as `word`. */
export function statusOf(outcome: Outcome, word: Word): Status {
  return outcome.rank === 0 ? word : outcome.rank === 1 ? "done" : outcome.rank === 2 ? "verified" : "deleted";
}

/** The word that a spec's status stands for when its effective rank is 0: its own if it has rank 0, else `ready` (T1). */
export function wordOf(status: Status): Word {
  return status === "todo" || status === "blocked" ? status : "ready";
}

/** Between two specs `blocked` > `todo` > `ready` (counterexample 16). */
export function joinWords(a: Word, b: Word): Word {
  if (a === "blocked" || b === "blocked") return "blocked";
  return a === "todo" || b === "todo" ? "todo" : "ready";
}

export function sameReopens(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

export function sameOutcome(a: Outcome, b: Outcome): boolean {
  return a.rank === b.rank && a.verified === b.verified && sameReopens(a.reopens, b.reopens);
}

function isSubset(a: readonly string[], b: readonly string[]): boolean {
  return a.every((id) => b.includes(id));
}

/** Sorted union without repeats. */
export function unionReopens(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])].sort();
}

/**
 * Joins two outcomes: equal sets of reopens, the higher rank; one a subset, the larger set's side; otherwise the union
 * with rank 0. Associative, commutative and idempotent, so every order of merges ends the same.
 */
export function joinOutcomes(a: Outcome, b: Outcome): Outcome {
  if (sameReopens(a.reopens, b.reopens)) {
    const rank = Math.max(a.rank, b.rank) as Rank;
    return { reopens: a.reopens, rank, verified: rank >= 2 && (a.verified || b.verified) };
  }
  if (isSubset(a.reopens, b.reopens)) return b;
  if (isSubset(b.reopens, a.reopens)) return a;
  return { reopens: unionReopens(a.reopens, b.reopens), rank: 0, verified: false };
}

/** True when a dependency with this outcome no longer blocks (T3). */
export function isSatisfied(outcome: Outcome): boolean {
  return outcome.rank >= 2 && outcome.verified;
}

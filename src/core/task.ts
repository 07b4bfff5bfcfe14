import type { Outcome, Status, Word } from "./status.ts";
import { rankOf, wordOf } from "./status.ts";
import type { Millis } from "./time.ts";
import { formatInstant, readInstant } from "./time.ts";

/** Where a task's work is, if in Git. */
export interface CompletedIn {
  readonly branch: string;
  readonly commit?: string;
}

export interface PrdRef {
  readonly anchor: string;
  readonly lines?: readonly number[] | string;
  readonly hash?: string;
}

/** Where a task's intent comes from, frozen at creation. */
export interface Prd {
  readonly source: string;
  readonly refs?: readonly PrdRef[];
  readonly excerpt?: string;
  readonly prd_hash?: string;
}

/** A task as the spec holds it: field names are those of the YAML. Lists are never absent here, only empty. */
export interface Task {
  readonly id: string;
  readonly title: string;
  readonly description?: string;
  readonly acceptance_criteria: readonly string[];
  readonly depends_on: readonly string[];
  readonly labels: readonly string[];
  readonly locks: readonly string[];
  readonly priority: number;
  readonly status: Status;
  /** Sorted, without repeats; an old integer `n` is read as `["1", …, "n"]`. */
  readonly reopens: readonly string[];
  readonly created_at?: string;
  readonly updated_at?: string;
  readonly completed_at?: string;
  readonly verified_at?: string;
  readonly completed_by?: string;
  readonly verified_by?: string;
  readonly completed_in?: CompletedIn;
  readonly prd?: Prd;
}

/** What an outcome or a lease belongs to (model.md, Identity): the id, and when the task was created. */
export interface TaskKey {
  readonly task_id: string;
  /** {@link createdKey} of the task: `""` when the spec does not say. */
  readonly created_at: string;
}

/**
 * The part of a task's identity that its `created_at` gives: the instant in milliseconds, written the same way however
 * the file writes it (Lodestar 1.0 rewrites `T` as a space when it saves); text that is no instant stands for itself.
 */
export function createdKey(created_at: string | undefined): string {
  if (created_at === undefined) return "";
  const at: Millis | undefined = readInstant(created_at);
  return at === undefined ? created_at.trim() : formatInstant(at);
}

export function keyOf(task: Pick<Task, "id" | "created_at">): TaskKey {
  return { task_id: task.id, created_at: createdKey(task.created_at) };
}

/** The outcome that a spec's own fields state. */
export function specOutcome(task: Pick<Task, "status" | "reopens" | "verified_at">): Outcome {
  const rank = rankOf(task.status);
  return { reopens: task.reopens, rank, verified: rank === 2 || (rank === 3 && task.verified_at !== undefined) };
}

export function specWord(task: Pick<Task, "status">): Word {
  return wordOf(task.status);
}

/** An outcome that the runtime holds, as far as the spec plane needs it. */
export interface KnownOutcome extends TaskKey, Outcome {
  /** Grows with every outcome of one runtime. */
  readonly version: number;
}

/** One string for a key, for maps. */
export const keyText = (key: TaskKey): string => `${key.task_id}\n${key.created_at}`;

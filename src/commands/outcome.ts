import { joinOutcomes, sameOutcome, sameReopens, statusOf, wordOf } from "../core/status.ts";
import { keyOf, specOutcome, type Task } from "../core/task.ts";
import { formatInstant } from "../core/time.ts";
import { worktreeExists } from "../git/worktree.ts";
import type { Change, OutboxRow, RecordedOutcome } from "../runtime/store.ts";
import type { SpecEdit } from "../spec/document.ts";
import type { SpecIndex } from "../spec/index.ts";
import type { Context } from "./context.ts";
import { isSameKey } from "./look.ts";

/**
 * The task with the runtime's outcome joined in (T1): status, reopens, and the records of who completed and verified it.
 * The records are those of the side whose outcome won.
 */
export function effectiveTask(task: Task, known: RecordedOutcome | undefined): Task {
  if (known === undefined) return task;
  const stated = specOutcome(task);
  const joined = joinOutcomes(stated, known);
  if (sameOutcome(joined, stated)) return task;
  const { completed_at, completed_by, completed_in, verified_at, verified_by, ...rest } = task;
  const status = statusOf(joined, wordOf(task.status));
  const base = { ...rest, status, reopens: joined.reopens };
  if (joined.rank === 0) return base;
  // Within one round what the spec knows of the work stays where the runtime did not record it: it came through Git.
  const own = sameReopens(stated.reopens, joined.reopens)
    ? { completed_at, completed_by, completed_in, verified_at, verified_by }
    : {};
  const told = {
    completed_at: instant(known.completed_at),
    completed_by: known.completed_by,
    completed_in: known.completed_in,
    verified_at: instant(known.verified_at),
    verified_by: known.verified_by,
  };
  return { ...base, ...defined(own), ...defined(told) };
}

const instant = (at: number | undefined): string | undefined => (at === undefined ? undefined : formatInstant(at));

function defined<T extends object>(record: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

const OUTCOME_FIELDS = [
  "status",
  "reopens",
  "completed_at",
  "completed_by",
  "completed_in",
  "verified_at",
  "verified_by",
] as const;

/**
 * The edit that makes a spec hold an outcome, as a join: never lowering, none when it is there already (T2). A verification goes
 * only where the spec records the work as done.
 */
export function outcomeEdit(index: SpecIndex, outcome: RecordedOutcome, change: Change): SpecEdit | undefined {
  const row = index.task(outcome.task_id);
  if (row === undefined || !isSameKey(keyOf(row.task), outcome)) return undefined;
  const { task } = row;
  if (change === "verify" && !isDoneHere(task, outcome)) return undefined;
  const after = effectiveTask(task, outcome);
  if (after === task) return undefined;
  const fields: Record<string, unknown> = {};
  for (const name of OUTCOME_FIELDS) {
    if (JSON.stringify(task[name]) !== JSON.stringify(after[name])) fields[name] = after[name];
  }
  fields.updated_at = formatInstant(outcome.at);
  return { kind: "set", task_id: task.id, fields };
}

function isDoneHere(task: Task, outcome: RecordedOutcome): boolean {
  const stated = specOutcome(task);
  return stated.rank >= 1 && sameReopens(stated.reopens, outcome.reopens);
}

/**
 * Brings the spec in step with outcomes that were committed and not yet written: by a process that died in between, or whose spec was
 * busy (T2). Rows of this worktree and branch, and of worktrees that are gone.
 *
 * @returns the ids of the tasks that were written.
 */
export async function heal(context: Context): Promise<readonly string[]> {
  const runtime = await context.runtime();
  const waiting = await runtime.outbox();
  if (waiting.length === 0) return [];
  const { branch } = context.head();
  const ours = waiting.filter((row) => isOurs(row, context.worktree, branch) || isOrphan(row, context));
  if (ours.length === 0) return [];
  return context.spec.locked(async (session) => {
    const before = await session.index();
    const due = ours.filter(
      (row) => isOurs(row, context.worktree, branch) || outcomeEdit(before, row, row.change) !== undefined,
    );
    const orphans = due.filter((row) => !isOurs(row, context.worktree, branch));
    if (orphans.length > 0)
      await runtime.adopt(
        orphans.map((row) => row.outbox_id),
        context.worktree,
        branch,
      );
    const written: string[] = [];
    await session.save((index) => {
      written.length = 0;
      const edits = due.flatMap((row) => outcomeEdit(index, row, row.change) ?? []);
      for (const edit of edits) if (edit.kind === "set") written.push(edit.task_id);
      return mergeEdits(edits);
    });
    const after = await session.index();
    await runtime.settle(due.filter((row) => isHeld(after, row)).map((row) => row.outbox_id));
    return [...new Set(written)];
  });
}

/** Several outcomes of one task become one edit: the last word of each field. */
function mergeEdits(edits: readonly SpecEdit[]): SpecEdit[] {
  const merged = new Map<string, SpecEdit>();
  for (const edit of edits) {
    if (edit.kind !== "set") continue;
    const before = merged.get(edit.task_id);
    const fields = before?.kind === "set" ? { ...before.fields, ...edit.fields } : edit.fields;
    merged.set(edit.task_id, { kind: "set", task_id: edit.task_id, fields });
  }
  return [...merged.values()];
}

/** True when the spec holds the outcome: joining it in would change nothing. */
export function isHeld(index: SpecIndex, outcome: RecordedOutcome): boolean {
  const row = index.task(outcome.task_id);
  if (row === undefined || !isSameKey(keyOf(row.task), outcome)) return false;
  return sameOutcome(joinOutcomes(row.outcome, outcome), row.outcome);
}

const isOurs = (row: OutboxRow, worktree: string, branch: string): boolean =>
  row.target_worktree === worktree && row.target_branch === branch;

/** A row of a worktree that is no longer there. */
function isOrphan(row: OutboxRow, context: Context): boolean {
  return (
    context.place.git !== undefined && row.target_worktree !== context.worktree && !worktreeExists(row.target_worktree)
  );
}

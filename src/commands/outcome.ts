import { joinOutcomes, sameOutcome, sameReopens, statusOf, wordOf } from "../core/status.ts";
import { keyOf, specOutcome, type Task } from "../core/task.ts";
import { formatInstant, type Millis } from "../core/time.ts";
import { worktreeExists } from "../git/worktree.ts";
import type { Change, OutboxRow, RecordedOutcome, RuntimeStore } from "../runtime/store.ts";
import type { SpecEdit } from "../spec/document.ts";
import type { SpecIndex } from "../spec/index.ts";
import type { SpecSession } from "../spec/plane.ts";
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
  const records = { ...defined(own), ...defined(told) };
  if (joined.rank !== 3) return { ...base, ...records };
  // A spec remembers by `verified_at` alone whether a deletion came after the verification (T3): it must say what the outcome says.
  const { verified_at: at, verified_by: by, ...done } = records;
  if (!joined.verified) return { ...base, ...done };
  return { ...base, ...done, verified_at: at ?? formatInstant(known.at), ...defined({ verified_by: by }) };
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
  return outcomeEdits(index, [{ ...outcome, change }])[0];
}

/**
 * The edits for many outcomes, one a task. Several of one task are joined in one after another, in the order in which they were
 * recorded: each rests on what the one before it leaves.
 */
function outcomeEdits(
  index: SpecIndex,
  outcomes: readonly (RecordedOutcome & { readonly change: Change })[],
): readonly SpecEdit[] {
  const tasks = new Map<string, { readonly before: Task; after: Task; at: Millis }>();
  for (const outcome of outcomes) {
    const before = tasks.get(outcome.task_id)?.after ?? index.task(outcome.task_id)?.task;
    if (before === undefined || !isSameKey(keyOf(before), outcome)) continue;
    if (outcome.change === "verify" && !isDoneHere(before, outcome)) continue;
    const after = effectiveTask(before, outcome);
    if (after === before) continue;
    const known = tasks.get(outcome.task_id);
    if (known === undefined) tasks.set(outcome.task_id, { before, after, at: outcome.at });
    else Object.assign(known, { after, at: outcome.at });
  }
  return [...tasks.values()].map(({ before, after, at }) => {
    const changed = OUTCOME_FIELDS.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
    const fields = Object.fromEntries(changed.map((name) => [name, after[name]]));
    return { kind: "set", task_id: before.id, fields: { ...fields, updated_at: formatInstant(at) } };
  });
}

/**
 * The edit by which a spec gets an outcome that it lacks and should have: what was made on its branch belongs here, what was made on
 * another arrives by merging, but for a verification of work that is here already.
 */
export function missingEdit(index: SpecIndex, outcome: RecordedOutcome, branch: string): SpecEdit | undefined {
  if (outcome.branch === branch) return outcomeEdit(index, outcome, "done");
  return outcome.rank === 2 ? outcomeEdit(index, outcome, "verify") : undefined;
}

function isDoneHere(task: Task, outcome: RecordedOutcome): boolean {
  const stated = specOutcome(task);
  return stated.rank >= 1 && sameReopens(stated.reopens, outcome.reopens);
}

/**
 * Brings the spec in step with outcomes that were committed and not yet written: by a process that died in between, or whose spec was
 * busy (T2). Rows of this worktree and branch, and of worktrees that are gone.
 *
 * @param patience how long to wait for the spec lock.
 * @param waiting the outcomes that wait for whichever spec.
 * @returns the ids of the tasks that were written.
 * @throws LodestarError `BUSY` when the lock was not free in that time.
 */
export async function heal(
  context: Context,
  patience: Millis,
  waiting?: readonly OutboxRow[],
): Promise<readonly string[]> {
  const runtime = await context.runtime();
  const rows = waiting ?? (await runtime.outbox());
  if (rows.length === 0) return [];
  const branch = context.branch();
  if (!rows.some((row) => isDue(row, context, branch))) return [];
  return context.spec.locked((session) => writeDue(context, session, runtime, branch), patience);
}

/**
 * The same for who has the spec lock.
 *
 * @param branch the one that was checked out when the caller looked.
 */
export async function writeDue(
  context: Context,
  session: SpecSession,
  runtime: RuntimeStore,
  branch: string,
): Promise<readonly string[]> {
  // Whoever held the lock may have written its own meanwhile.
  const ours = (await runtime.outbox()).filter((row) => isDue(row, context, branch));
  if (ours.length === 0) return [];
  const before = await session.index();
  // While this waited for the lock, another branch may have been checked out (T2).
  if (context.branch() !== branch) return [];
  const due = ours.filter(
    (row) =>
      isOurs(row, context.worktree, branch) ||
      isHeld(before, row) ||
      outcomeEdit(before, row, row.change) !== undefined,
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
    if (context.branch() !== branch) return [];
    const edits = outcomeEdits(index, due);
    for (const edit of edits) if (edit.kind === "set") written.push(edit.task_id);
    return edits;
  });
  const after = await session.index();
  if (context.branch() !== branch) return written;
  await runtime.settle(due.filter((row) => isHeld(after, row)).map((row) => row.outbox_id));
  return written;
}

/**
 * Says of outcomes that are acknowledged and that no spec holds yet where they wait: until then they would go with the runtime (L6). A
 * verification waits for the work that it verifies; that it is elsewhere is told by those who look at the task.
 */
export async function warnOfWaiting(context: Context, task_ids: readonly string[]): Promise<void> {
  const rows = await (await context.runtime()).outbox();
  for (const { change, task_id, target_branch, target_worktree } of rows) {
    if (change === "verify" || !task_ids.includes(task_id)) continue;
    const where = [
      ...(target_worktree === context.worktree ? [] : [`in ${target_worktree}`]),
      ...(target_branch === context.branch() ? [] : [target_branch === "" ? "on no branch" : `on ${target_branch}`]),
    ];
    const next = ["the next command", ...where].join(" ");
    context.warn(`The outcome of ${task_id} is recorded, but not yet written to the spec: ${next} does it.`);
  }
}

/** For those who were asked to bring the spec in step, and have little else to do. */
export const HEAL_PATIENCE: Millis = 2000;

/** True when the spec holds the outcome: joining it in would change nothing. */
export function isHeld(index: SpecIndex, outcome: RecordedOutcome): boolean {
  const row = index.task(outcome.task_id);
  if (row === undefined || !isSameKey(keyOf(row.task), outcome)) return false;
  return sameOutcome(joinOutcomes(row.outcome, outcome), row.outcome);
}

const isDue = (row: OutboxRow, context: Context, branch: string): boolean =>
  isOurs(row, context.worktree, branch) || isOrphan(row, context);

const isOurs = (row: OutboxRow, worktree: string, branch: string): boolean =>
  row.target_worktree === worktree && row.target_branch === branch;

/** A row of a worktree that is no longer there. */
function isOrphan(row: OutboxRow, context: Context): boolean {
  return (
    context.place.git !== undefined && row.target_worktree !== context.worktree && !worktreeExists(row.target_worktree)
  );
}

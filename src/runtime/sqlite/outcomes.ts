import type { Rank } from "../../core/status.ts";
import type { CompletedIn, TaskKey } from "../../core/task.ts";
import type { SnapshotOutbox } from "../snapshot.ts";
import type { Change, OutboxRow, RecordedOutcome } from "../store.ts";
import { json, present, readList, readRecord } from "../values.ts";
import type { Values } from "./sql.ts";
import type { ReadStep, WriteStep } from "./step.ts";

interface OutcomeRow {
  readonly task_id: string;
  readonly created_at: string;
  readonly version: number;
  readonly reopens: string;
  readonly rank: Rank;
  readonly verified: number;
  readonly completed_by: string | null;
  readonly completed_at: number | null;
  readonly verified_by: string | null;
  readonly verified_at: number | null;
  readonly completed_in: string | null;
  readonly unblocked: string | null;
  readonly worktree: string;
  readonly branch: string;
  readonly at: number;
}

const COLUMNS = `task_id, created_at, version, reopens, rank, verified, completed_by, completed_at, verified_by, verified_at,
  completed_in, unblocked, worktree, branch, at`;
const SINCE = `select ${COLUMNS} from outcome where version > $since order by version`;
const ONE = `select ${COLUMNS} from outcome where task_id = $task_id and created_at = $created_at`;
const NEWER = "select 1 from outcome where task_id = $task_id and created_at = $created_at and version > $seen";

export function outcomesSince({ sql }: ReadStep | WriteStep, since: number): readonly RecordedOutcome[] {
  return sql.all<OutcomeRow>(SINCE, { since }).map(fromRow);
}

export function findOutcome(
  { sql }: ReadStep | WriteStep,
  { task_id, created_at }: TaskKey,
): RecordedOutcome | undefined {
  const row = sql.get<OutcomeRow>(ONE, { task_id, created_at });
  return row === undefined ? undefined : fromRow(row);
}

/** True when one of these tasks got an outcome after the look that a decision rests on (L9, counterexamples 18 and 20). */
export function isStale({ sql, runtime }: WriteStep, seen: number, keys: readonly TaskKey[]): boolean {
  // Nothing at all was recorded since: no key needs a look.
  if (runtime.last_version <= seen) return false;
  return keys.some(({ task_id, created_at }) => sql.get(NEWER, { task_id, created_at, seen }) !== undefined);
}

function fromRow({ reopens, verified, completed_in, unblocked, ...row }: OutcomeRow): RecordedOutcome {
  return {
    ...present(row),
    reopens: readList(reopens),
    verified: verified === 1,
    ...(completed_in === null ? {} : { completed_in: readCompletedIn(completed_in) }),
    ...(unblocked === null ? {} : { unblocked: readList(unblocked) }),
  };
}

function readCompletedIn(text: string): CompletedIn {
  const { branch, commit } = readRecord(text);
  return { branch: String(branch), ...(commit === undefined ? {} : { commit: String(commit) }) };
}

const VALUES = `$task_id, $created_at, $version, $reopens, $rank, $verified, $completed_by, $completed_at, $verified_by,
  $verified_at, $completed_in, $unblocked, $worktree, $branch, $at`;
const RECORD = `
insert into outcome (${COLUMNS}) values (${VALUES})
on conflict (task_id, created_at) do update set
  version = excluded.version, reopens = excluded.reopens, rank = excluded.rank, verified = excluded.verified,
  completed_by = excluded.completed_by, completed_at = excluded.completed_at, verified_by = excluded.verified_by,
  verified_at = excluded.verified_at, completed_in = excluded.completed_in, unblocked = excluded.unblocked,
  worktree = excluded.worktree, branch = excluded.branch, at = excluded.at`;

/** Records what a task's outcome is now. */
export function record(step: WriteStep, outcome: Omit<RecordedOutcome, "version">): RecordedOutcome {
  const recorded = { ...outcome, version: step.nextVersion() };
  step.sql.run(RECORD, toRow(recorded));
  return recorded;
}

function toRow(outcome: RecordedOutcome): Values {
  const { task_id, created_at, version, reopens, rank, verified, worktree, branch, at } = outcome;
  const { completed_by, completed_at, verified_by, verified_at, completed_in, unblocked } = outcome;
  return {
    ...{ task_id, created_at, version, rank, verified, worktree, branch, at },
    ...{ completed_by, completed_at, verified_by, verified_at },
    reopens: JSON.stringify(reopens),
    completed_in: json(completed_in),
    unblocked: json(unblocked),
  };
}

const ENQUEUE = `
insert into outbox (target_worktree, target_branch, change, ${COLUMNS})
values ($target_worktree, $target_branch, $change, ${VALUES})
returning outbox_id`;

/** A row for the spec where the change was made, which has to learn of it (T2). */
export function enqueue(step: WriteStep, change: Change, outcome: RecordedOutcome): number {
  const { worktree: target_worktree, branch: target_branch } = outcome;
  const row = step.sql.get<{ outbox_id: number }>(ENQUEUE, {
    ...toRow(outcome),
    ...{ change, target_worktree, target_branch },
  });
  if (row === undefined) throw new Error("An outbox row was written but has no number.");
  return row.outbox_id;
}

type OutboxColumns = OutcomeRow & Pick<OutboxRow, "outbox_id" | "target_worktree" | "target_branch" | "change">;
const OUTBOX = `select outbox_id, target_worktree, target_branch, change, ${COLUMNS} from outbox order by outbox_id`;

export function outbox({ sql }: ReadStep | WriteStep): readonly OutboxRow[] {
  return sql.all<OutboxColumns>(OUTBOX).map(({ outbox_id, target_worktree, target_branch, change, ...row }) => {
    return { ...fromRow(row), outbox_id, target_worktree, target_branch, change };
  });
}

export function settle({ sql }: WriteStep, outbox_ids: readonly number[]): void {
  for (const outbox_id of outbox_ids) sql.run("delete from outbox where outbox_id = $outbox_id", { outbox_id });
}

const ADOPT = "update outbox set target_worktree = $worktree, target_branch = $branch where outbox_id = $outbox_id";

export function adopt({ sql }: WriteStep, outbox_ids: readonly number[], worktree: string, branch: string): void {
  for (const outbox_id of outbox_ids) sql.run(ADOPT, { outbox_id, worktree, branch });
}

/** Puts back a row of a snapshot. */
export function restoreOutbox(
  step: WriteStep,
  { target_worktree, target_branch, change, ...outcome }: SnapshotOutbox,
): void {
  const row = toRow({ ...outcome, version: step.nextVersion() });
  step.sql.get(ENQUEUE, { ...row, change, target_worktree, target_branch });
}

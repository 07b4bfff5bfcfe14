import { movedError } from "../retired.ts";
import {
  type RestoreResult,
  type RuntimeSnapshot,
  type SnapshotLease,
  sameContent,
  snapshotCounts,
  snapshotProblems,
} from "../snapshot.ts";
import { present, readList } from "../values.ts";
import { allAgents, insertAgent } from "./agents.ts";
import { clear, renewId } from "./clear.ts";
import { allEvents, insertEvent } from "./events.ts";
import { revive } from "./home.ts";
import { allKeys, insertKey } from "./idempotency.ts";
import { allMessages, insertMessage } from "./messages.ts";
import { outbox, outcomesSince, record, restoreOutbox } from "./outcomes.ts";
import type { Sql } from "./sql.ts";
import type { ReadStep, WriteStep } from "./step.ts";

const LEASE_COLUMNS = `fencing_token, task_id, created_at, lease_id, kind, agent_id, session, reopens, locks, granted_at, expires_at,
  ttl, ended, ended_at`;
const LEASES = `select ${LEASE_COLUMNS} from lease order by fencing_token`;
const INSERT_LEASE = `
insert into lease (${LEASE_COLUMNS})
values ($fencing_token, $task_id, $created_at, $lease_id, $kind, $agent_id, $session, $reopens, $locks, $granted_at, $expires_at,
  $ttl, $ended, $ended_at)`;

type LeaseRow = Omit<SnapshotLease, "reopens" | "locks" | "ended" | "ended_at"> & {
  readonly reopens: string;
  readonly locks: string;
  readonly ended: SnapshotLease["ended"] | null;
  readonly ended_at: number | null;
};

/** Everything there is, in one read transaction. */
export function snapshot(step: ReadStep | WriteStep): RuntimeSnapshot {
  const { sql, runtime, now } = step;
  return {
    now,
    last_token: runtime.last_token,
    last_seq: runtime.last_seq,
    pruned_seq: runtime.pruned_seq,
    agents: allAgents(sql),
    leases: sql.all<LeaseRow>(LEASES).map(({ reopens, locks, ...row }) => ({
      ...present(row),
      reopens: readList(reopens),
      locks: readList(locks),
    })),
    outcomes: outcomesSince(step, 0).map(({ version: _, ...outcome }) => outcome),
    outbox: outbox(step).map(({ version: _, outbox_id: __, ...row }) => row),
    events: allEvents(sql),
    messages: allMessages(sql),
    idempotency: allKeys(sql),
  };
}

/**
 * Puts a snapshot into a runtime that holds nothing, in one transaction. Nothing that it puts back is new, so it appends no event.
 *
 * Tokens, seqs and the clock go on from whichever is further, the runtime's or the snapshot's, so that every grant from now on is
 * larger than all that either of them made (L2), and a lease that was live ends when it would have (L5). Outcomes get versions above
 * the runtime's, so that a decision made before is seen to be stale; the runtime gets another id, so that no index mirrors the old one.
 *
 * @param own keys of the very call that restores: what they hold does not count as occupying the runtime.
 * @param replacing what a runtime holds that was retired in favour of this place does not count either: it went there, and comes back.
 */
export function restore(
  step: WriteStep,
  from: RuntimeSnapshot,
  own: readonly string[],
  replacing: string | undefined,
): RestoreResult {
  const problems = snapshotProblems(from);
  if (problems.length > 0) return { kind: "invalid", problems };
  const { moved_to } = step.runtime;
  if (typeof moved_to === "string") {
    if (moved_to !== replacing) throw movedError(step.sql.db.filename, moved_to);
    clear(step);
    revive(step, moved_to);
  }
  const held = snapshot(step);
  const others = held.idempotency.filter(({ key }) => !own.includes(key));
  const holds = snapshotCounts({ ...held, idempotency: others });
  if (Object.keys(holds).length > 0) {
    return sameContent({ ...held, idempotency: others }, from) ? { kind: "already" } : { kind: "occupied", holds };
  }
  const { sql } = step;
  for (const agent of from.agents) insertAgent(sql, agent);
  for (const lease of from.leases) insertLease(sql, lease);
  for (const outcome of from.outcomes) record(step, outcome);
  for (const row of from.outbox) restoreOutbox(step, row);
  for (const event of from.events) insertEvent(sql, event);
  for (const message of from.messages) insertMessage(sql, message);
  for (const key of from.idempotency) insertKey(sql, key);
  step.resume(from);
  renewId(step);
  return { kind: "restored" };
}

function insertLease(sql: Sql, { reopens, locks, ...lease }: SnapshotLease): void {
  sql.run(INSERT_LEASE, {
    ended: null,
    ended_at: null,
    ...lease,
    reopens: JSON.stringify(reopens),
    locks: JSON.stringify(locks),
  });
}

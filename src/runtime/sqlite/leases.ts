import type { TaskKey } from "../../core/task.ts";
import type { LeaseEnd, LeaseKind } from "../../lease/lease.ts";
import type { Holding } from "../../lease/rules.ts";
import { readList } from "../values.ts";
import type { ReadStep, WriteStep } from "./step.ts";

interface LeaseRow {
  readonly fencing_token: number;
  readonly task_id: string;
  readonly created_at: string;
  readonly lease_id: string;
  readonly kind: LeaseKind;
  readonly agent_id: string;
  readonly session: string;
  readonly reopens: string;
  readonly locks: string;
  readonly granted_at: number;
  readonly expires_at: number;
  readonly ttl: number;
  /** `expired` is the store's own note that the event was written; to the rules it is a lease whose time is over. */
  readonly ended: LeaseEnd | "expired" | null;
}

const COLUMNS =
  "fencing_token, task_id, created_at, lease_id, kind, agent_id, session, reopens, locks, granted_at, expires_at, ttl, ended";

// A reader has no sweep before it, so time is compared here too.
const LIVE = `select ${COLUMNS} from lease where ended is null and expires_at > $now order by fencing_token`;
const OF_TASK = `select ${COLUMNS} from lease where task_id = $task_id and created_at = $created_at order by fencing_token`;
const MINE_LIVE = `
select ${COLUMNS} from lease
where agent_id = $agent_id and ended is null and expires_at > $now
order by fencing_token desc`;

export function liveLeases(step: ReadStep | WriteStep): Holding[] {
  return step.sql.all<LeaseRow>(LIVE, { now: step.now }).map(fromRow);
}

/** Live leases of an agent, the newest first. */
export function leasesOf(step: ReadStep | WriteStep, agent_id: string): Holding[] {
  return step.sql.all<LeaseRow>(MINE_LIVE, { agent_id, now: step.now }).map(fromRow);
}

/** Every grant of a task, the oldest first. */
export function grantsOf({ sql }: ReadStep | WriteStep, { task_id, created_at }: TaskKey): Holding[] {
  return sql.all<LeaseRow>(OF_TASK, { task_id, created_at }).map(fromRow);
}

function fromRow({ ended, reopens, locks, ...row }: LeaseRow): Holding {
  const lease = { ...row, reopens: readList(reopens), locks: readList(locks) };
  return ended === null || ended === "expired" ? lease : { ...lease, ended };
}

// Grants a lease unless an open one is in the way. One statement guarded by the index lease_open, so two claimers cannot both
// pass; no row means that a live lease stands there (those whose time is over were closed when this transaction began).
const GRANT = `
insert into lease (fencing_token, task_id, created_at, lease_id, kind, agent_id, session, reopens, locks, granted_at, expires_at, ttl)
values ($fencing_token, $task_id, $created_at, $lease_id, $kind, $agent_id, $session, $reopens, $locks, $now, $now + $ttl, $ttl)
on conflict (task_id, created_at) where ended is null do nothing
returning ${COLUMNS}`;

export type NewLease = Pick<Holding, "lease_id" | "kind" | "agent_id" | "session" | "reopens" | "locks" | "ttl">;

/** Grants the task, with its event; `undefined` when it is held (L1, L2). */
export function grant(step: WriteStep, key: TaskKey, lease: NewLease): Holding | undefined {
  const row = step.sql.get<LeaseRow>(GRANT, {
    ...lease,
    task_id: key.task_id,
    created_at: key.created_at,
    fencing_token: step.nextToken(),
    reopens: JSON.stringify(lease.reopens),
    locks: JSON.stringify(lease.locks),
    now: step.now,
  });
  if (row === undefined) return undefined;
  const made = fromRow(row);
  leaseEvent(step, "task.claimed", made, { kind: made.kind, expires_at: made.expires_at });
  return made;
}

// Renews; a lease closed by time alone opens again. The index refuses it if somebody holds the task by now, and the token
// names the row, so a late call cannot touch another's (L2).
const EXTEND = `
update lease set expires_at = $expires_at, ttl = $ttl, ended = null, ended_at = null
where fencing_token = $fencing_token and (ended is null or ended = 'expired')
returning ${COLUMNS}`;

/** Moves the end of a lease; the caller has judged that it may. */
export function extend(step: WriteStep, { fencing_token }: Holding, expires_at: number, ttl: number): Holding {
  const row = step.sql.get<LeaseRow>(EXTEND, { fencing_token, expires_at, ttl });
  if (row === undefined) throw new Error(`Lease ${fencing_token} was judged open but is not.`);
  return fromRow(row);
}

const END = `
update lease set ended = $ended, ended_at = $now
where fencing_token = $fencing_token and (ended is null or ended = 'expired')
returning ${COLUMNS}`;

/** Ends a lease, or the right that a lease keeps after its time; the caller has judged that it may. */
export function end(step: WriteStep, { fencing_token }: Holding, ended: LeaseEnd): Holding {
  const row = step.sql.get<LeaseRow>(END, { fencing_token, ended, now: step.now });
  if (row === undefined) throw new Error(`Lease ${fencing_token} was judged open but is not.`);
  return fromRow(row);
}

/** Appends an event about a lease. */
export function leaseEvent(
  step: WriteStep,
  type: "task.claimed" | "task.renewed" | "task.released",
  { task_id, agent_id, fencing_token, lease_id }: Holding,
  data: Readonly<Record<string, unknown>>,
): void {
  step.event({ type, agent_id, task_id, data: { fencing_token, lease_id, ...data } });
}

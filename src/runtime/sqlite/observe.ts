import type { TaskKey } from "../../core/task.ts";
import { holdersOf, liveHolding } from "../../lease/rules.ts";
import type { Observation, ObserveQuery, RuntimeInfo, RuntimeTask } from "../store.ts";
import { readRecord } from "../values.ts";
import { findAgent } from "./agents.ts";
import { grantsOf, liveLeases } from "./leases.ts";
import { countMessages, countUnread, countUnreadIn } from "./messages.ts";
import { findOutcome, outcomesSince } from "./outcomes.ts";
import { SCHEMA_VERSION } from "./schema-version.ts";
import type { Sql } from "./sql.ts";
import { type ReadStep, retentionOf } from "./step.ts";

// Given back by this agent, and held by nobody since; claims that were stepped back do not count.
const RELEASED = `
select task_id, created_at from lease l
where agent_id = $agent_id and ended = 'released' and not exists (
  select 1 from lease later
  where later.task_id = l.task_id and later.created_at = l.created_at and later.fencing_token > l.fencing_token
    and later.ended is not 'reverted')
order by task_id, created_at`;

// Rows for this spec, and those of other worktrees: only the caller can see whether one is gone.
const WAITING = `
select 1 from outbox
where target_worktree <> $worktree or target_branch = $branch limit 1`;

/** Everything that a command needs to see of the runtime, at one moment. */
export function observe(
  step: ReadStep,
  { since, agent_id, counts = false, worktree, branch }: ObserveQuery,
): Observation {
  const { sql, runtime, now } = step;
  const agent = agent_id === undefined ? undefined : findAgent(step, agent_id);
  return {
    runtime_id: runtime.runtime_id,
    now,
    leases: liveLeases(step),
    outcomes: outcomesSince(step, since),
    released: agent_id === undefined ? [] : sql.all<TaskKey>(RELEASED, { agent_id }),
    outbox_waiting: sql.get(WAITING, { worktree, branch }) !== undefined,
    ...(agent === undefined ? {} : { agent }),
    ...(counts
      ? {
          agent_count: count(sql, "agent where left_at is null"),
          message_count: countMessages(step),
          unread: agent_id === undefined ? 0 : countUnread(step, agent_id),
        }
      : {}),
    last_seq: runtime.last_seq,
    version: runtime.last_version,
    retention: retentionOf(runtime),
    ...movedTo(runtime),
  };
}

const KEYS = `
select task_id, created_at from lease where task_id = $task_id
union select task_id, created_at from outcome where task_id = $task_id
order by created_at`;

const HEARD_OF = `
select value as task_id from json_each($ids) where
  exists (select 1 from lease where task_id = value)
  or exists (select 1 from outcome where task_id = value)
  or exists (select 1 from message where task_id = value)`;

/** Those of many ids of which the runtime knows anything; of a plan's ids hardly any. */
function heardOf({ sql }: ReadStep, task_ids: readonly string[]): readonly string[] {
  if (task_ids.length < 2) return task_ids;
  const found = sql.all<{ task_id: string }>(HEARD_OF, { ids: JSON.stringify(task_ids) });
  return found.map(({ task_id }) => task_id);
}

/** One entry for each identity of each id that the runtime knows; ids that have only messages get one without a time. */
export function lookup(
  step: ReadStep,
  task_ids: readonly string[],
  reader: string | undefined,
): readonly RuntimeTask[] {
  return heardOf(step, task_ids).flatMap((task_id) => {
    const message_count = countMessages(step, task_id);
    const unread = reader === undefined || message_count === 0 ? 0 : countUnreadIn(step, task_id, reader);
    const keys = step.sql.all<TaskKey>(KEYS, { task_id });
    if (keys.length === 0)
      return message_count === 0 ? [] : [{ key: { task_id, created_at: "" }, message_count, unread, holders: [] }];
    return keys.map((key) => ({ ...describe(step, key), message_count, unread }));
  });
}

function describe(step: ReadStep, key: TaskKey): Omit<RuntimeTask, "message_count" | "unread"> {
  const grants = grantsOf(step, key);
  const lease = liveHolding(grants, step.now);
  const outcome = findOutcome(step, key);
  return {
    key,
    ...(lease === undefined ? {} : { lease }),
    ...(outcome === undefined ? {} : { outcome }),
    holders: holdersOf(grants),
  };
}

export function info({ sql, runtime, now }: ReadStep): RuntimeInfo {
  return {
    runtime_id: runtime.runtime_id,
    schema_version: sql.get<{ user_version: number }>("pragma user_version")?.user_version ?? SCHEMA_VERSION,
    engine: `SQLite ${sql.get<{ version: string }>("select sqlite_version() as version")?.version ?? ""}`,
    now,
    ...(typeof runtime.home === "string" ? { home: readRecord(runtime.home) } : {}),
    ...movedTo(runtime),
    clock_offset: runtime.clock_offset,
    counts: {
      agents: count(sql, "agent where left_at is null"),
      leases: count(sql, "lease where ended is null"),
      messages: count(sql, "message"),
      events: count(sql, "event"),
      outcomes: count(sql, "outcome"),
    },
  };
}

const movedTo = ({ moved_to }: ReadStep["runtime"]) => (typeof moved_to === "string" ? { moved_to } : {});

function count(sql: Sql, from: string): number {
  return sql.get<{ count: number }>(`select count(*) as count from ${from}`)?.count ?? 0;
}

// Each finds rows that break a rule that the schema cannot say.
const RULES: readonly (readonly [says: string, query: string])[] = [
  [
    "A fencing token is newer than the runtime's last one",
    "select 1 from lease, runtime where fencing_token > last_token",
  ],
  [
    "An outcome is newer than the runtime's last version",
    "select 1 from outcome, runtime where version > last_version",
  ],
  ["An event is newer than the runtime's last seq", "select 1 from event, runtime where seq > last_seq"],
];

/** SQLite's own full check, then ours; problems as sentences, none when all is well. */
export function inspect(sql: Sql): readonly string[] {
  const found = sql.all<{ integrity_check: string }>("pragma integrity_check").map((row) => row.integrity_check);
  const damage = found.filter((line) => line !== "ok").map((line) => `SQLite: ${line}.`);
  if (damage.length > 0) return damage;
  return RULES.flatMap(([says, query]) => (sql.get(`${query} limit 1`) === undefined ? [] : [`${says}.`]));
}

import type { EventPage, EventQuery, EventType, NewEvent, RuntimeEvent } from "../store.ts";
import { json, present, readRecord } from "../values.ts";
import { touch } from "./agents.ts";
import type { Sql } from "./sql.ts";
import type { ReadStep, WriteStep } from "./step.ts";

interface EventRow {
  readonly seq: number;
  readonly created_at: number;
  readonly type: EventType;
  readonly agent_id: string | null;
  readonly task_id: string | null;
  readonly data: string | null;
}

const PAGE = `
select seq, created_at, type, agent_id, task_id, data from event
where seq > $since
  and ($types is null or type in (select value from json_each($types)))
  and ($agent_id is null or agent_id = $agent_id)
order by seq limit $limit`;
// Its own statement: with the task in an "or", SQLite would not use the index on it.
const PAGE_OF_TASK = PAGE.replace("where seq", "where task_id = $task_id and seq");

/**
 * Events after `since`. 0 asks for all that are kept; any other seq must not lie before what was pruned, nor before this
 * runtime was made: who followed a lost runtime learns that events are missing.
 */
export function events({ sql, runtime }: ReadStep, query: EventQuery): EventPage {
  const { since, types, task_id, agent_id, limit } = query;
  if (since > 0 && since < runtime.pruned_seq) return { kind: "pruned", oldest: runtime.pruned_seq };
  const values = { since, limit, types: types && JSON.stringify(types), agent_id };
  const rows =
    task_id === undefined ? sql.all<EventRow>(PAGE, values) : sql.all<EventRow>(PAGE_OF_TASK, { ...values, task_id });
  // A page that is not full has looked at everything there is.
  const last = rows.length < limit ? Math.max(since, runtime.last_seq) : (rows.at(-1)?.seq ?? since);
  return { kind: "page", events: rows.map(fromRow), next_since: last };
}

function fromRow({ data, ...row }: EventRow): RuntimeEvent {
  return { ...present(row), ...(data === null ? {} : { data: readRecord(data) }) };
}

export function append(step: WriteStep, list: readonly NewEvent[]): void {
  for (const event of list) {
    touch(step, event.agent_id);
    step.event(event);
  }
}

const ALL = "select seq, created_at, type, agent_id, task_id, data from event order by seq";
const PUT = `
insert into event (seq, created_at, type, agent_id, task_id, data)
values ($seq, $created_at, $type, $agent_id, $task_id, $data)`;

/** Every event that is kept, as a snapshot holds them. */
export function allEvents(sql: Sql): RuntimeEvent[] {
  return sql.all<EventRow>(ALL).map(fromRow);
}

export function insertEvent(sql: Sql, { agent_id, task_id, data, ...event }: RuntimeEvent): void {
  sql.run(PUT, { ...event, agent_id, task_id, data: json(data) });
}

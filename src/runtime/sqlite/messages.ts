import type { SnapshotMessage } from "../snapshot.ts";
import type { Message, MessagePage, MessageQuery, NewMessage, Severity } from "../store.ts";
import { touch } from "./agents.ts";
import { once, throwMismatch } from "./idempotency.ts";
import type { Sql } from "./sql.ts";
import type { ReadStep, WriteStep } from "./step.ts";
import { present } from "./values.ts";

interface MessageRow {
  readonly message_no: number;
  readonly message_id: string;
  readonly from_agent_id: string | null;
  readonly task_id: string | null;
  readonly to_agent_id: string | null;
  readonly text: string;
  readonly subject: string | null;
  readonly severity: Severity | null;
  readonly created_at: number;
}

const COLUMNS = "message_no, message_id, from_agent_id, task_id, to_agent_id, text, subject, severity, created_at";
const INSERT = `
insert into message (message_id, from_agent_id, task_id, to_agent_id, text, subject, severity, created_at)
values ($message_id, $from_agent_id, $task_id, $to_agent_id, $text, $subject, $severity, $now)
on conflict (message_id) do nothing`;
const ONE = `select ${COLUMNS} from message where message_id = $message_id`;

export function send(step: WriteStep, message: NewMessage): Message {
  return once(step, "send", message.idempotency, {
    keep: () => true,
    mismatch: throwMismatch,
    run: () => post(step, message),
  });
}

/** A note on a finished or released task goes to its thread, as a handoff. */
export function postNote(
  step: WriteStep,
  task_id: string,
  from_agent_id: string | undefined,
  note: { readonly text: string; readonly message_id: string } | undefined,
): void {
  if (note === undefined) return;
  post(step, { ...note, task_id, severity: "handoff", ...(from_agent_id === undefined ? {} : { from_agent_id }) });
}

/** Appends a message; one with this id that is there already stays as it is. */
function post(
  step: WriteStep,
  message: Omit<NewMessage, "from_agent_id"> & { readonly from_agent_id?: string },
): Message {
  const { message_id, from_agent_id, task_id, to_agent_id, text, subject, severity } = message;
  const values = { message_id, from_agent_id, task_id, to_agent_id, text, subject, severity, now: step.now };
  const added = step.sql.run(INSERT, values);
  const row = step.sql.get<MessageRow>(ONE, { message_id });
  if (row === undefined) throw new Error(`Message ${message_id} was sent but is not there.`);
  if (added > 0) {
    touch(step, from_agent_id);
    const to = to_agent_id === undefined ? {} : { to_agent_id };
    step.event({
      ...present({ type: "message.sent" as const, agent_id: from_agent_id, task_id }),
      data: { message_id, ...to },
    });
  }
  return fromRow(row);
}

function fromRow({ message_no: _no, ...row }: MessageRow): Message {
  return present(row);
}

// A reader's own messages are never unread.
const IS_UNREAD = `
(from_agent_id is null or from_agent_id <> $reader)
and not exists (select 1 from message_read r where r.message_no = m.message_no and r.agent_id = $reader)`;

/** Messages to the agent, and the threads of tasks that it holds. */
const IS_MINE = `
(m.to_agent_id = $agent_id
 or m.task_id in (select task_id from lease where agent_id = $agent_id and ended is null and expires_at > $now))`;

const COUNT_UNREAD = `select count(*) as count from message m where ${IS_MINE} and ${IS_UNREAD}`;

/** How many messages wait for the agent. */
export function countUnread({ sql, now }: ReadStep, agent_id: string): number {
  return sql.get<{ count: number }>(COUNT_UNREAD, { agent_id, reader: agent_id, now })?.count ?? 0;
}

export function countMessages({ sql }: ReadStep, task_id?: string): number {
  const where = task_id === undefined ? "" : "where task_id = $task_id";
  return (
    sql.get<{ count: number }>(`select count(*) as count from message ${where}`, {
      ...(task_id === undefined ? {} : { task_id }),
    })?.count ?? 0
  );
}

const UNREAD_IN_THREAD = `select ${COLUMNS} from message m where m.task_id = $task_id and ${IS_UNREAD} order by message_no desc`;
const MARK = `
insert into message_read (message_no, agent_id, read_at) values ($message_no, $reader, $now)
on conflict (message_no, agent_id) do nothing`;

/**
 * Hands the newest unread messages of a task's thread to an agent, up to so many characters, and marks those as read.
 * The rest stays unread and is counted.
 */
export function handOver(
  step: WriteStep,
  task_id: string,
  reader: string,
  chars: number,
): { readonly unread: number; readonly messages: readonly Message[] } | undefined {
  const rows = step.sql.all<MessageRow>(UNREAD_IN_THREAD, { task_id, reader });
  if (rows.length === 0) return undefined;
  const handed: MessageRow[] = [];
  let left = chars;
  for (const row of rows) {
    left -= row.text.length + (row.subject?.length ?? 0);
    if (left < 0) break;
    handed.unshift(row);
  }
  for (const { message_no } of handed) step.sql.run(MARK, { message_no, reader, now: step.now });
  return { unread: rows.length, messages: handed.map(fromRow) };
}

const READERS = "select agent_id from message_read where message_no = $message_no order by read_at, agent_id";

/** A page of messages, the newest first; filters come before the limit. */
export function messages(step: ReadStep, query: MessageQuery): MessagePage {
  const { inbox_of, task_id, from_agent_id, unread_by, text, since, until, before, limit } = query;
  const where: string[] = [];
  if (inbox_of !== undefined) where.push(IS_MINE);
  if (task_id !== undefined) where.push("m.task_id = $task_id");
  if (from_agent_id !== undefined) where.push("m.from_agent_id = $from_agent_id");
  if (unread_by !== undefined) where.push(IS_UNREAD);
  if (text !== undefined)
    where.push("(instr(lower(m.text), lower($text)) > 0 or instr(lower(m.subject), lower($text)) > 0)");
  if (since !== undefined) where.push("m.created_at >= $since");
  if (until !== undefined) where.push("m.created_at <= $until");
  const filter = where.length === 0 ? "true" : where.join(" and ");
  const values = present({ task_id, from_agent_id, text, since, until, agent_id: inbox_of, reader: unread_by });
  const withNow = inbox_of === undefined ? values : { ...values, now: step.now };
  const count =
    step.sql.get<{ count: number }>(`select count(*) as count from message m where ${filter}`, withNow)?.count ?? 0;
  const page = `select ${COLUMNS} from message m where ${filter} and message_no < $before order by message_no desc limit $limit`;
  const rows = step.sql.all<MessageRow>(page, { ...withNow, before: before ?? Number.MAX_SAFE_INTEGER, limit });
  const next = rows.length < limit ? undefined : rows.at(-1)?.message_no;
  const list = rows.map((row) => {
    const read_by = step.sql
      .all<{ agent_id: string }>(READERS, { message_no: row.message_no })
      .map((reader) => reader.agent_id);
    return { ...fromRow(row), read_by };
  });
  return { messages: list, count, ...(next === undefined ? {} : { next_before: next }) };
}

/** Marks messages as read by an agent; answers the ids that were not before. */
export function markRead(step: WriteStep, reader: string, message_ids: readonly string[]): readonly string[] {
  touch(step, reader);
  const marked = message_ids.filter((message_id) => {
    const row = step.sql.get<{ message_no: number }>("select message_no from message where message_id = $message_id", {
      message_id,
    });
    return row !== undefined && step.sql.run(MARK, { message_no: row.message_no, reader, now: step.now }) > 0;
  });
  if (marked.length > 0) step.event({ type: "message.read", agent_id: reader, data: { message_ids: marked } });
  return marked;
}

const ALL = `select ${COLUMNS} from message order by message_no`;
const ALL_READS = "select message_no, agent_id, read_at from message_read order by message_no, read_at, agent_id";
const PUT = `
insert into message (message_id, from_agent_id, task_id, to_agent_id, text, subject, severity, created_at)
values ($message_id, $from_agent_id, $task_id, $to_agent_id, $text, $subject, $severity, $created_at)
returning message_no`;
const PUT_READ = "insert into message_read (message_no, agent_id, read_at) values ($message_no, $agent_id, $read_at)";

/** Every message with who read it when, as a snapshot holds them. */
export function allMessages(sql: Sql): SnapshotMessage[] {
  const reads = Map.groupBy(
    sql.all<{ message_no: number; agent_id: string; read_at: number }>(ALL_READS),
    ({ message_no }) => message_no,
  );
  return sql.all<MessageRow>(ALL).map((row) => ({
    ...fromRow(row),
    reads: (reads.get(row.message_no) ?? []).map(({ agent_id, read_at }) => ({ agent_id, read_at })),
  }));
}

export function insertMessage(sql: Sql, { reads, ...message }: SnapshotMessage): void {
  const { from_agent_id, task_id, to_agent_id, subject, severity } = message;
  const row = sql.get<{ message_no: number }>(PUT, {
    ...message,
    ...{ from_agent_id, task_id, to_agent_id, subject, severity },
  });
  for (const read of reads) sql.run(PUT_READ, { ...read, message_no: row?.message_no });
}

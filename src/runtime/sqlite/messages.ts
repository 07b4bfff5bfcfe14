import type { SnapshotMessage } from "../snapshot.ts";
import type { Message, NewMessage, SendResult, Severity } from "../store.ts";
import { present } from "../values.ts";
import { isKnown, touch } from "./agents.ts";
import { once, throwMismatch } from "./idempotency.ts";
import type { Sql } from "./sql.ts";
import type { ReadStep, WriteStep } from "./step.ts";

export interface MessageRow {
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

export const COLUMNS =
  "message_no, message_id, from_agent_id, task_id, to_agent_id, text, subject, severity, created_at";
const INSERT = `
insert into message (message_id, from_agent_id, task_id, to_agent_id, text, subject, severity, created_at)
values ($message_id, $from_agent_id, $task_id, $to_agent_id, $text, $subject, $severity, $now)
on conflict (message_id) do nothing`;
const ONE = `select ${COLUMNS} from message where message_id = $message_id`;

export function send(step: WriteStep, message: NewMessage): SendResult {
  return once<SendResult, never>(step, "send", message.idempotency, {
    keep: ({ kind }) => kind === "sent",
    mismatch: throwMismatch,
    run: () => {
      for (const agent_id of [message.from_agent_id, message.to_agent_id])
        if (agent_id !== undefined && !isKnown(step, agent_id)) return { kind: "unknown_agent", agent_id };
      return { kind: "sent", message: post(step, message) };
    },
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

export function fromRow({ message_no: _no, ...row }: MessageRow): Message {
  return present(row);
}

// A reader's own messages are never unread.
export const IS_UNREAD = `
(from_agent_id is null or from_agent_id <> $reader)
and not exists (select 1 from message_read r where r.message_no = m.message_no and r.agent_id = $reader)`;

/** Messages to the agent, and the threads of tasks that it holds. */
export const IS_MINE = `
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

const UNREAD_IN_THREAD = `m.task_id = $task_id and ${IS_UNREAD}`;
const COUNT_UNREAD_IN_THREAD = `select count(*) as count from message m where ${UNREAD_IN_THREAD}`;

/** How many messages of a thread the agent has not read. */
export function countUnreadIn({ sql }: ReadStep | WriteStep, task_id: string, reader: string): number {
  return sql.get<{ count: number }>(COUNT_UNREAD_IN_THREAD, { task_id, reader })?.count ?? 0;
}

// One look where there are none; more than these are not read however many wait.
const MOST_HANDED = 50;
const NEWEST_UNREAD = `
select ${COLUMNS} from message m where ${UNREAD_IN_THREAD} order by message_no desc limit ${MOST_HANDED}`;
export const MARK = `
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
  const rows = step.sql.all<MessageRow>(NEWEST_UNREAD, { task_id, reader });
  if (rows.length === 0) return undefined;
  const unread = rows.length < MOST_HANDED ? rows.length : countUnreadIn(step, task_id, reader);
  const handed: MessageRow[] = [];
  let left = chars;
  for (const row of rows) {
    left -= row.text.length + (row.subject?.length ?? 0);
    if (left < 0) break;
    handed.unshift(row);
  }
  for (const { message_no } of handed) step.sql.run(MARK, { message_no, reader, now: step.now });
  return { unread, messages: handed.map(fromRow) };
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

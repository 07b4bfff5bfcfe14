import type { Idempotency, MarkQuery, MessagePage, MessageQuery, Thread } from "../store.ts";
import { touch } from "./agents.ts";
import { once, throwMismatch } from "./idempotency.ts";
import { COLUMNS, fromRow, IS_MINE, IS_UNREAD, MARK, type MessageRow } from "./messages.ts";
import type { Values } from "./sql.ts";
import type { ReadStep, WriteStep } from "./step.ts";

const READERS = "select agent_id from message_read where message_no = $message_no order by read_at, agent_id";

/** A page of messages; filters come before the limit. One more than asked for is read, to know whether there are more. */
export function messages(step: ReadStep | WriteStep, query: MessageQuery): MessagePage {
  const { order, after, limit } = query;
  const { where, values } = filterOf(step, query);
  const count = step.sql.get<{ count: number }>(
    `select count(*) as count from message m where ${where}`,
    values,
  )?.count;
  const [beyond, direction] = order === "oldest" ? [">", "asc"] : ["<", "desc"];
  const start = after ?? (order === "oldest" ? 0 : Number.MAX_SAFE_INTEGER);
  const page = `
select ${COLUMNS} from message m where ${where} and m.message_no ${beyond} $start
order by m.message_no ${direction} limit $limit`;
  const rows = step.sql.all<MessageRow>(page, { ...values, start, limit: limit + 1 });
  const more = rows.length > limit;
  if (more) rows.pop();
  const last = rows.at(-1)?.message_no;
  const list = rows.map((row) => {
    const read_by = step.sql
      .all<{ agent_id: string }>(READERS, { message_no: row.message_no })
      .map((reader) => reader.agent_id);
    return { ...fromRow(row), read_by };
  });
  return { messages: list, count: count ?? 0, more, ...(last === undefined ? {} : { last }) };
}

// An older file that is only read has none yet.
const HAS_INDEX = "select 1 from sqlite_schema where name = 'message_text'";

/** What a query leaves of all messages `m`, as SQL with its values. */
function filterOf({ sql, now }: ReadStep | WriteStep, query: MessageQuery): { where: string; values: Values } {
  const where: string[] = [];
  const values: Record<string, string | number> = {};
  const add = (condition: string, given: Readonly<Record<string, string | number>>) => {
    where.push(condition);
    Object.assign(values, given);
  };
  const { inbox_of, task_id, from_agent_id, unread_by, since, until } = query;
  if (inbox_of !== undefined) add(IS_MINE, { agent_id: inbox_of, now });
  if (task_id !== undefined) add("m.task_id = $task_id", { task_id });
  if (from_agent_id !== undefined) add("m.from_agent_id = $from_agent_id", { from_agent_id });
  if (unread_by !== undefined) add(IS_UNREAD, { reader: unread_by });
  if (since !== undefined) add("m.created_at >= $since", { since });
  if (until !== undefined) add("m.created_at <= $until", { until });
  const words = query.words ?? [];
  const { long, short } = words.length === 0 || sql.get(HAS_INDEX) ? sortedByLength(words) : { long: [], short: words };
  if (long.length > 0) {
    // Each word is a quoted string of FTS5's language, in which nothing but the quote itself has a meaning.
    const match = long.map((word) => `"${word.replaceAll('"', '""')}"`).join(" ");
    add("m.message_no in (select rowid from message_text where message_text match $match)", { match });
  }
  for (const [i, word] of short.entries()) {
    add(
      `(instr(lower(m.text), lower($short${i})) > 0 or instr(lower(coalesce(m.subject, '')), lower($short${i})) > 0)`,
      { [`short${i}`]: word },
    );
  }
  return { where: where.length === 0 ? "true" : where.join(" and "), values };
}

const NUL = String.fromCharCode(0);

/**
 * The index knows runs of three signs, accents not counted: shorter words are looked for in one message after another. A NUL
 * would end the index's question.
 */
function sortedByLength(words: readonly string[]): { readonly long: string[]; readonly short: string[] } {
  const parts = words.flatMap((word) => word.split(NUL)).filter((part) => part !== "");
  const isLong = (part: string) => [...part.normalize("NFD").replaceAll(/\p{M}/gu, "")].length >= 3;
  return { long: parts.filter(isLong), short: parts.filter((part) => !isLong(part)) };
}

/** A page for its reader, which has read it by that. */
export function receive(
  step: WriteStep,
  reader: string,
  query: MessageQuery,
  idempotency: Idempotency | undefined,
): MessagePage {
  return once<MessagePage, never>(step, "receive", idempotency, {
    keep: () => true,
    mismatch: throwMismatch,
    run: () => {
      const page = messages(step, query);
      const message_ids = page.messages.filter((one) => one.from_agent_id !== reader).map((one) => one.message_id);
      markRead(step, reader, { message_ids });
      return page;
    },
  });
}

const NUMBER = "select message_no, task_id from message where message_id = $message_id";
const UNREAD_OF_THREAD = `
select message_no, message_id from message m where m.task_id = $task_id and ${IS_UNREAD} order by message_no`;

/** Marks messages as read by an agent; answers the ids that were not before. */
export function markRead(step: WriteStep, reader: string, { task_id, message_ids }: MarkQuery): readonly string[] {
  touch(step, reader);
  const mark = (message_no: number) => step.sql.run(MARK, { message_no, reader, now: step.now }) > 0;
  let marked: readonly string[] = [];
  if (message_ids !== undefined) {
    marked = message_ids.filter((message_id) => {
      const row = step.sql.get<{ message_no: number; task_id: string | null }>(NUMBER, { message_id });
      if (row === undefined || (task_id !== undefined && row.task_id !== task_id)) return false;
      return mark(row.message_no);
    });
  } else if (task_id !== undefined) {
    const rows = step.sql.all<{ message_no: number; message_id: string }>(UNREAD_OF_THREAD, { task_id, reader });
    marked = rows.filter(({ message_no }) => mark(message_no)).map(({ message_id }) => message_id);
  }
  if (marked.length > 0) {
    step.event({
      type: "message.read",
      agent_id: reader,
      ...(task_id === undefined ? {} : { task_id }),
      data: { message_ids: marked },
    });
  }
  return marked;
}

const THREADS = `
select m.task_id, count(*) as message_count, max(m.created_at) as last_at, sum($reader is not null and ${IS_UNREAD}) as unread
from message m where m.task_id is not null
group by m.task_id order by max(m.message_no) desc limit $limit`;

/** The threads that were written to last. */
export function threads({ sql }: ReadStep, limit: number, reader: string | undefined): readonly Thread[] {
  return sql.all<Thread>(THREADS, { limit, reader });
}

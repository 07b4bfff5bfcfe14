import { DAY, type Millis } from "../../core/time.ts";
import type { Retention } from "../store.ts";
import type { Sql } from "./sql.ts";

const EVENTS_KEPT: Millis = 30 * DAY;
const MESSAGES_KEPT: Millis = 90 * DAY;

// Times grow with seqs, so only events that go are looked at.
const LAST_GONE = `
select max(seq) as seq from event
where seq < coalesce((select seq from event where created_at >= $before order by seq limit 1), 9007199254740991)`;

/** Removes what is older than it is kept; answers the largest seq that is gone, 0 when none is. */
export function prune(sql: Sql, now: Millis, { events = EVENTS_KEPT, messages = MESSAGES_KEPT }: Retention): number {
  const seq = sql.get<{ seq: number | null }>(LAST_GONE, { before: now - events })?.seq ?? 0;
  if (seq > 0) sql.run("delete from event where seq <= $seq", { seq });
  sql.run("delete from idempotency where created_at < $before", { before: now - events });
  const before = now - messages;
  sql.run("delete from message_read where message_no in (select message_no from message where created_at < $before)", {
    before,
  });
  sql.run("delete from message where created_at < $before", { before });
  return seq;
}

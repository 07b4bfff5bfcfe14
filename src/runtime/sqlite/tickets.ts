import { SECOND } from "../../core/time.ts";
import type { Ticket } from "../store.ts";
import type { WriteStep } from "./step.ts";

/** A ticket that was not shown for so long is dropped: its waiter is gone (L7). */
const DROPPED_AFTER = 3 * SECOND;

const DROP = `delete from ticket where seen_at <= $now - ${DROPPED_AFTER}`;
const SHOW = `
insert into ticket (ticket_id, filter, worktree, seen_at) values ($ticket_id, $filter, $worktree, $now)
on conflict (ticket_id) do update set seen_at = excluded.seen_at`;
// Tickets are numbered as they come, so the order is that of arrival, not of the last look.
const EARLIER = `
select 1 from ticket
where filter = $filter and worktree = $worktree and ticket_id <> $ticket_id and seen_at > $now - ${DROPPED_AFTER}
  and ticket_no < coalesce((select ticket_no from ticket where ticket_id = $ticket_id), 9007199254740991)
limit 1`;

/** Makes or renews a ticket; says whether it is its turn. */
export function queue(step: WriteStep, ticket: Ticket): { readonly first: boolean } {
  step.sql.run(DROP, { now: step.now });
  step.sql.run(SHOW, { ...ticket, now: step.now });
  return { first: isFirst(step, ticket) };
}

export function isFirst({ sql, now }: WriteStep, ticket: Ticket): boolean {
  return sql.get(EARLIER, { ...ticket, now }) === undefined;
}

export function dequeue({ sql }: WriteStep, ticket_id: string): void {
  sql.run("delete from ticket where ticket_id = $ticket_id", { ticket_id });
}

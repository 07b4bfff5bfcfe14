import { newLeaseId } from "../../core/ids.ts";
import type { Millis } from "../../core/time.ts";
import type { Ticket } from "../../runtime/store.ts";
import type { Context } from "../context.ts";

/** How often a waiter looks whether anything was written: a stat and a pragma, far below a millisecond. */
const GLANCE: Millis = 40;
/** Tickets are renewed at least once a second (L7). */
const TICKET_RENEWAL: Millis = 900;

/** A place in the queue of those who wait for the same thing in the same worktree. */
export function newTicket(context: Context, filter: string): Ticket {
  return { ticket_id: newLeaseId(context.random), filter, worktree: context.worktree };
}

/**
 * Tries until it succeeds or `patience` is over, and sleeps in between until either plane changes or a lease runs out. No busy
 * loop: a glance every {@link GLANCE} ms, a new attempt only when there is a reason.
 *
 * @returns `undefined` when the time is over. The ticket is given up in any case.
 */
export async function waitFor<T>(context: Context, patience: Millis, ticket: Ticket | undefined, attempt: () => Promise<T | undefined>): Promise<T | undefined> {
  const deadline = context.clock.now() + patience;
  try {
    if (ticket !== undefined) await (await context.runtime()).queue(ticket);
    for (;;) {
      const got = await attempt();
      if (got !== undefined) return got;
      if (context.clock.now() >= deadline) return undefined;
      await untilChanged(context, deadline, ticket);
    }
  } finally {
    if (ticket !== undefined) await (await context.runtime()).dequeue(ticket.ticket_id);
  }
}

/** Sleeps until a new attempt may succeed: an event, another spec, a lease that ran out, our turn in the queue, or the deadline. */
export async function untilChanged(context: Context, deadline: Millis, ticket: Ticket | undefined): Promise<void> {
  const runtime = await context.runtimeIfAny();
  const query = { since: Number.MAX_SAFE_INTEGER, worktree: context.worktree, branch: "" };
  const before = await runtime?.observe(query);
  const key = context.spec.key();
  const started = context.clock.now();
  const expiry = Math.min(...(before?.leases ?? []).map((lease) => lease.expires_at - (before?.now ?? 0)));
  let pulse = await runtime?.pulse();
  let wasFirst = ticket === undefined;
  let renewed = started;
  for (;;) {
    const now = context.clock.now();
    if (now >= deadline || now - started >= expiry) return;
    await Bun.sleep(Math.max(1, Math.min(GLANCE, deadline - now, expiry - (now - started))));
    if (context.spec.key() !== key) return;
    // A runtime that somebody made meanwhile is a change too.
    if (runtime === undefined && (await context.runtimeIfAny()) !== undefined) return;
    const beat = await runtime?.pulse();
    if (beat !== pulse) {
      pulse = beat;
      if ((await runtime?.observe(query))?.last_seq !== before?.last_seq) return;
    }
    if (ticket === undefined || context.clock.now() - renewed < TICKET_RENEWAL) continue;
    renewed = context.clock.now();
    const turn = await runtime?.queue(ticket);
    if (turn?.first === true && !wasFirst) return;
    wasFirst = turn?.first ?? false;
  }
}

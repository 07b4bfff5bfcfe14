import { LodestarError } from "../../core/errors.ts";
import { newLeaseId } from "../../core/ids.ts";
import type { Millis } from "../../core/time.ts";
import type { Ticket } from "../../runtime/store.ts";
import type { SpecKey } from "../../spec/key.ts";
import type { Context } from "../context.ts";

/** How often a waiter looks whether anything was written: a stat and a pragma, far below a millisecond. */
const GLANCE: Millis = 40;
/** How often where a look goes to a server, which tells of changes as well as it can. */
const GLANCE_AFAR: Millis = 250;
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
 * @param isDue another reason to look again.
 * @returns `undefined` when the time is over, or nobody waits any more. The ticket is given up in any case.
 */
export async function waitFor<T>(
  context: Context,
  patience: Millis,
  ticket: Ticket | undefined,
  attempt: () => Promise<T | undefined>,
  isDue: () => boolean = () => false,
): Promise<T | undefined> {
  if (ticket === undefined) return tryUntil(context, patience, ticket, attempt, isDue);
  try {
    await (await context.runtime()).queue(ticket);
    const got = await tryUntil(context, patience, ticket, attempt, isDue);
    await stepBack(context, ticket);
    return got;
  } catch (cause) {
    if (!isBusy(cause)) await stepBack(context, ticket);
    throw cause;
  }
}

async function tryUntil<T>(
  context: Context,
  patience: Millis,
  ticket: Ticket | undefined,
  attempt: () => Promise<T | undefined>,
  isDue: () => boolean,
): Promise<T | undefined> {
  const deadline = context.clock.now() + patience;
  for (;;) {
    // Before the attempt: what changes while it looks is a reason for the next one.
    const before = await markNow(context);
    const got = await attempt();
    if (got !== undefined) return got;
    if (context.clock.now() >= deadline || context.signal?.aborted === true) return undefined;
    await untilChanged(context, deadline, ticket, before, isDue);
  }
}

/** Where others write for long, the place is lost by itself after a while (L7), and what was got is got. */
async function stepBack(context: Context, { ticket_id }: Ticket): Promise<void> {
  try {
    await (await context.runtime()).dequeue(ticket_id);
  } catch (cause) {
    if (!isBusy(cause)) throw cause;
  }
}

const isBusy = (cause: unknown): boolean => cause instanceof LodestarError && cause.code === "BUSY";

/** Both planes at a moment: a change since then is a reason to look again. */
export interface Mark {
  readonly at: Millis;
  readonly spec: SpecKey | undefined;
  readonly seq: number | undefined;
  readonly pulse: number | undefined;
  /** How long until the next live lease runs out. */
  readonly expiry: Millis;
}

const NOTHING_NEW = Number.MAX_SAFE_INTEGER;

export async function markNow(context: Context): Promise<Mark> {
  const at = context.clock.now();
  const spec = context.spec.key();
  const runtime = await context.runtimeIfAny();
  const pulse = await runtime?.pulse();
  const seen = await runtime?.observe({ since: NOTHING_NEW, worktree: context.worktree, branch: "" });
  const expiry = Math.min(...(seen?.leases ?? []).map((lease) => lease.expires_at - (seen?.now ?? 0)));
  return { at, spec, seq: seen?.last_seq, pulse, expiry };
}

/**
 * Sleeps until a new attempt may succeed: an event, another spec, a lease that ran out, our turn in the queue, or the deadline.
 *
 * @param before taken before the attempt that failed: nothing that happened since is slept through.
 */
export async function untilChanged(
  context: Context,
  deadline: Millis,
  ticket: Ticket | undefined,
  before: Mark,
  isDue: () => boolean = () => false,
): Promise<void> {
  let { pulse } = before;
  let wasFirst = ticket === undefined;
  let renewed = context.clock.now();
  for (;;) {
    if (context.spec.key() !== before.spec) return;
    const runtime = await context.runtimeIfAny();
    const beat = await runtime?.pulse();
    if (beat !== pulse) {
      pulse = beat;
      // Also where somebody has made the runtime meanwhile.
      if (
        (await runtime?.observe({ since: NOTHING_NEW, worktree: context.worktree, branch: "" }))?.last_seq !==
        before.seq
      )
        return;
    }
    const now = context.clock.now();
    if (now >= deadline || now - before.at >= before.expiry || context.signal?.aborted === true || isDue()) return;
    if (ticket !== undefined && now - renewed >= TICKET_RENEWAL) {
      renewed = now;
      const turn = await runtime?.queue(ticket);
      if (turn?.first === true && !wasFirst) return;
      wasFirst = turn?.first ?? false;
    }
    const glance = runtime?.drowse === undefined ? GLANCE : GLANCE_AFAR;
    const rest = Math.max(1, Math.min(glance, deadline - now, before.expiry - (now - before.at)));
    await (runtime?.drowse?.(rest) ?? Bun.sleep(rest));
  }
}

import type { Millis } from "../core/time.ts";
import type { Lease, LeaseEnd } from "../lease/lease.ts";
import { type Holding, isLive, type ReleaseVerdict } from "../lease/rules.ts";
import type { NewEvent, ReleaseRequest, RenewRequest } from "./store.ts";

/** What renewing and releasing mean for a lease's row: pure, and the same in every store. */

/** A refusal as callers see it. */
export function refusal<K extends string>(
  verdict: { readonly kind: K; readonly current?: Holding },
  task_id: string,
): { readonly kind: K; readonly task_id: string; readonly current?: Lease } {
  const { kind, current } = verdict;
  return current === undefined ? { kind, task_id } : { kind, task_id, current };
}

export interface Renewal {
  /** Before this instant there is nothing to renew yet (L8). */
  readonly unchanged_before: Millis;
  readonly ttl: Millis;
  /** A lease that comes back to life is told in any case: its `task.expired` was. */
  readonly told: boolean;
}

/** How a lease that may be renewed is renewed. */
export function renewalOf(grant: Holding, { ttl, automatic }: RenewRequest, now: Millis): Renewal {
  return {
    unchanged_before: automatic ? grant.expires_at - grant.ttl / 2 : 0,
    // What is renewed on the way keeps the length that its holder asked for.
    ttl: automatic ? Math.max(ttl, grant.ttl) : ttl,
    told: !automatic || !isLive(grant, now),
  };
}

export interface Releasing {
  readonly ended: LeaseEnd;
  readonly actor?: string;
  readonly events: readonly NewEvent[];
}

/** How a lease that may be given back comes to its end, and what is told of it. */
export function releasingOf(
  { grant, expired, forced }: Extract<ReleaseVerdict, { kind: "release" }>,
  { how, failed, agent_id }: ReleaseRequest,
): Releasing {
  const { task_id, fencing_token, lease_id } = grant;
  const actor = forced ? agent_id : grant.agent_id;
  const by = actor === undefined ? {} : { agent_id: actor };
  const say = (data: Readonly<Record<string, unknown>>): NewEvent => ({
    type: "task.released",
    ...by,
    task_id,
    data: { fencing_token, lease_id, ...data },
  });
  const acting = actor === undefined ? {} : { actor };
  if (forced) {
    return { ended: "forced", ...acting, events: [say({ forced: true, previous_holder: grant.agent_id })] };
  }
  // A claim that was stepped back is no decision of the agent's, and has no event.
  const events = how === "released" ? [say({ ...(expired ? { expired } : {}), ...(failed ? { failed } : {}) })] : [];
  return { ended: how, ...acting, events };
}

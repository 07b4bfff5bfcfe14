import type { TaskKey } from "../core/task.ts";
import type { Millis } from "../core/time.ts";

/** `work`: to bring the task to done. `review`: to verify or reopen what is done. One live lease a task, of either kind. */
export type LeaseKind = "work" | "review";

/** How a lease came to its end before its time; absent while it may still be live. */
export type LeaseEnd = "released" | "reverted" | "done" | "verified" | "reopened" | "deleted" | "forced" | "left";

/** The exclusive, time-limited right of one agent to one task. */
export interface Lease extends TaskKey {
  readonly lease_id: string;
  readonly kind: LeaseKind;
  readonly agent_id: string;
  readonly session: string;
  /** Larger than every earlier one of this runtime; a call that presents an older one changes nothing (L2). */
  readonly fencing_token: number;
  readonly granted_at: Millis;
  readonly expires_at: Millis;
  /** The TTL last asked for. */
  readonly ttl: Millis;
  readonly ended?: LeaseEnd;
  /** The task's reopens when it was granted: one round of work. */
  readonly reopens: readonly string[];
  /** Path locks of the task when it was granted. */
  readonly locks: readonly string[];
}

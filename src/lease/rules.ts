import { sameReopens } from "../core/status.ts";
import type { Millis } from "../core/time.ts";
import type { Lease } from "./lease.ts";

/**
 * Who may do what with a lease (L2–L4): pure functions of a task's grants and the time. A store reads the grants and
 * applies the verdict in one transaction.
 */

/** A grant as the store remembers it, live or over. */
export type Holding = Lease;

/** Which lease a call speaks of. */
export interface Claim {
  readonly agent_id?: string;
  readonly fencing_token?: number;
  readonly lease_id?: string;
}

/** What the rules look at: every grant of one task, oldest first, and the time. */
export interface Scene {
  readonly grants: readonly Holding[];
  readonly now: Millis;
  readonly claim: Claim;
  readonly force: boolean;
}

/** A refusal, with the live lease that stands in the way. */
export interface Refused {
  readonly kind: "lost" | "not_holder" | "agent_required";
  readonly current?: Holding;
}

/** True while the lease gives its right: it was not ended, and its time is not over (L5: a TTL is a lower bound). */
export function isLive(lease: Pick<Lease, "ended" | "expires_at">, now: Millis): boolean {
  return lease.ended === undefined && lease.expires_at > now;
}

/** The live lease of a task, if any: only the newest grant can be (L1). */
export function liveHolding(grants: readonly Holding[], now: Millis): Holding | undefined {
  const last = grants.at(-1);
  return last !== undefined && isLive(last, now) ? last : undefined;
}

/** Who held the task, within one round of work or ever; claims that were stepped back do not count (L9). */
export function holdersOf(grants: readonly Holding[], round?: readonly string[]): readonly string[] {
  const kept = grants.filter((grant) => grant.ended !== "reverted");
  const held = round === undefined ? kept : kept.filter((grant) => sameReopens(grant.reopens, round));
  return [...new Set(held.map((grant) => grant.agent_id))];
}

type Meant =
  | { readonly kind: "grant"; readonly grant: Holding; readonly presented: boolean }
  /** A token or lease id that is none of this agent's on this task. */
  | { readonly kind: "unmatched" }
  | { readonly kind: "none" }
  | { readonly kind: "agent_required" };

/**
 * The lease that a call means (L2): by token or lease id; else the agent's last; with no agent, that of the one holder
 * since the task became ready (L3, counterexample 5).
 *
 * @param round the current round of work; absent, that of the newest grant.
 */
export function meantHolding(grants: readonly Holding[], claim: Claim, round?: readonly string[]): Meant {
  const { agent_id, fencing_token, lease_id } = claim;
  if (fencing_token !== undefined || lease_id !== undefined) {
    const grant = grants.find(
      (one) =>
        (fencing_token === undefined || one.fencing_token === fencing_token) &&
        (lease_id === undefined || one.lease_id === lease_id) &&
        (agent_id === undefined || one.agent_id === agent_id),
    );
    return grant === undefined ? { kind: "unmatched" } : { kind: "grant", grant, presented: true };
  }
  const kept = grants.filter((grant) => grant.ended !== "reverted");
  if (agent_id !== undefined) return lastOf(kept.filter((grant) => grant.agent_id === agent_id));
  const reopens = round ?? kept.at(-1)?.reopens ?? [];
  const holders = holdersOf(kept, reopens);
  if (holders.length > 1) return { kind: "agent_required" };
  return lastOf(kept.filter((grant) => sameReopens(grant.reopens, reopens)));
}

function lastOf(grants: readonly Holding[]): Meant {
  const grant = grants.at(-1);
  return grant === undefined ? { kind: "none" } : { kind: "grant", grant, presented: false };
}

/** Builds a refusal. */
export function refused(kind: Refused["kind"], current: Holding | undefined): Refused {
  return current === undefined ? { kind } : { kind, current };
}

/** True while the lease's holder may still act on it: live, or over by expiry alone with nobody granted the task since. */
export function hasRight(grant: Holding, grants: readonly Holding[]): boolean {
  return grant.ended === undefined && grants.at(-1)?.fencing_token === grant.fencing_token;
}

/** Who may renew: the holder, also after expiry while nobody was granted the task since. `--force` is no word here. */
export function judgeRenew(scene: Omit<Scene, "force">): { readonly kind: "renew"; readonly grant: Holding } | Refused {
  const { grants, now, claim } = scene;
  const meant = meantHolding(grants, claim);
  const current = liveHolding(grants, now);
  if (meant.kind === "agent_required") return refused("agent_required", current);
  if (meant.kind === "none") return refused("not_holder", current);
  if (meant.kind === "unmatched" || !hasRight(meant.grant, grants)) return refused("lost", current);
  return { kind: "renew", grant: meant.grant };
}

export type ReleaseVerdict =
  /** `expired`: it was over by time alone; giving it back ends the ex-holder's right. `forced`: another's. */
  | { readonly kind: "release"; readonly grant: Holding; readonly expired: boolean; readonly forced: boolean }
  | { readonly kind: "already"; readonly grant: Holding }
  | Refused;

/** Who may release: the holder; anybody with force. Giving back twice is one giving back (L4). */
export function judgeRelease(scene: Scene): ReleaseVerdict {
  const { grants, now, claim, force } = scene;
  const meant = meantHolding(grants, claim);
  const current = liveHolding(grants, now);
  if (meant.kind === "grant") {
    const { grant } = meant;
    if (hasRight(grant, grants)) return { kind: "release", grant, expired: !isLive(grant, now), forced: false };
    const gaveBack = grant.ended === "released" || grant.ended === "reverted" || grant.ended === "left";
    if (gaveBack && !(force && current !== undefined)) return { kind: "already", grant };
  }
  if (force && current !== undefined) return { kind: "release", grant: current, expired: false, forced: true };
  const last = grants.at(-1);
  if (force && last !== undefined) return { kind: "already", grant: last };
  if (meant.kind === "agent_required") return refused("agent_required", current);
  return refused(meant.kind === "none" ? "not_holder" : "lost", current);
}

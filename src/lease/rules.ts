import { compileGlob, type Glob, overlap } from "../core/globs.ts";
import { type Outcome, sameReopens } from "../core/status.ts";
import type { Millis } from "../core/time.ts";
import type { Lease } from "./lease.ts";

/**
 * Who may do what with a lease (L2–L4): pure functions of a task's grants and the time. A store reads the grants and
 * applies the verdict in one transaction.
 */

/** A grant as the store remembers it, live or over. */
export interface Holding extends Lease {
  /** The task's reopens when it was granted: one round of work. */
  readonly reopens: readonly string[];
}

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

function refused(kind: Refused["kind"], current: Holding | undefined): Refused {
  return current === undefined ? { kind } : { kind, current };
}

/** True while the lease's holder may still act on it: live, or over by expiry alone with nobody granted the task since. */
function hasRight(grant: Holding, grants: readonly Holding[]): boolean {
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

export type Change = "done" | "verify" | "done_verify" | "reopen" | "delete";

/** What a finishing step rests on, beside the grants. */
export interface Finishing extends Scene {
  readonly change: Change;
  /** The effective outcome before the step. */
  readonly before: Outcome;
  readonly claimable: boolean;
  /** Who did the work, where anybody knows. */
  readonly completed_by: string | undefined;
  readonly verify: "any" | "other";
}

export type FinishVerdict =
  | {
      readonly kind: "proceed";
      /** Who acts, as far as it is known. */
      readonly actor?: string;
      /** The grant that the step ends, if any. */
      readonly ends?: Holding;
      /** The live lease of somebody else that force or deletion overrides; it is then also `ends`. */
      readonly overridden?: Holding;
    }
  | { readonly kind: "already" }
  | { readonly kind: "not_claimable" }
  | { readonly kind: "self_verification"; readonly agent_id: string }
  | Refused;

/**
 * True when the call repeats one that was answered (L4, counterexample 6): the lease that it means ended by this very
 * change. Without a token a call on a later round of work is a new one, except `done`, which wants a lease of its own.
 */
export function isRepeat(scene: Pick<Finishing, "grants" | "claim" | "change" | "before">): boolean {
  const meant = meantHolding(scene.grants, scene.claim, scene.before.reopens);
  if (meant.kind !== "grant") return false;
  const { ended, kind } = meant.grant;
  const { rank } = scene.before;
  switch (scene.change) {
    case "done":
      return kind === "work" && (ended === "done" || ended === "verified");
    case "done_verify":
      return kind === "work" && ended === "verified";
    case "verify":
      return ended === "verified" && (meant.presented || rank !== 1);
    case "reopen":
      return ended === "reopened" && (meant.presented || rank === 0);
    case "delete":
      return ended === "deleted" && (meant.presented || rank === 3);
  }
}

/** Who may record an outcome (L3), once {@link isRepeat} has said no and the basis is known to be fresh. */
export function judgeFinish(scene: Finishing): FinishVerdict {
  const { change, before } = scene;
  if (change === "done" || change === "done_verify") {
    if (before.rank === 3) return { kind: "not_claimable" };
    if (before.rank > 0 && !mayRepeatDone(scene)) return refused("not_holder", liveHolding(scene.grants, scene.now));
    if (before.rank >= (change === "done" ? 1 : 2)) return { kind: "already" };
    if (before.rank === 1) return judgeVerify(scene);
    const verdict = judgeDone(scene);
    if (change === "done" || verdict.kind !== "proceed") return verdict;
    return selfVerification(scene, verdict.actor, verdict.actor) ?? verdict;
  }
  if (change === "verify") {
    if (before.rank === 2) return { kind: "already" };
    return before.rank === 1 ? judgeVerify(scene) : { kind: "not_claimable" };
  }
  if (before.rank === (change === "reopen" ? 0 : 3)) return { kind: "already" };
  return change === "reopen" ? judgeOutsider(scene) : judgeDelete(scene);
}

/** Done work is done again by nobody in particular, or by who did it. */
function mayRepeatDone({ claim, completed_by }: Finishing): boolean {
  return claim.agent_id === undefined || completed_by === undefined || claim.agent_id === completed_by;
}

function judgeDone(scene: Finishing): FinishVerdict {
  const { grants, now, claim, force, before } = scene;
  const meant = meantHolding(grants, claim, before.reopens);
  const current = liveHolding(grants, now);
  if (meant.kind === "grant" && meant.grant.kind === "work" && hasRight(meant.grant, grants)) {
    return { kind: "proceed", actor: meant.grant.agent_id, ends: meant.grant };
  }
  if (force) return overriding(scene, current);
  if (meant.kind === "agent_required") return refused("agent_required", current);
  if (meant.kind === "unmatched") return refused("lost", current);
  if (meant.kind === "grant" && (meant.presented || sameReopens(meant.grant.reopens, before.reopens))) {
    const reviewing = meant.grant.kind === "review" && isLive(meant.grant, now);
    return refused(reviewing ? "not_holder" : "lost", current);
  }
  if (current !== undefined) return refused("not_holder", current);
  if (holdersOf(grants, before.reopens).length > 0) return refused("not_holder", undefined);
  if (!scene.claimable) return { kind: "not_claimable" };
  return acting(claim.agent_id, grants.at(-1));
}

/** Verify and reopen need no lease; a lease that is presented must be good, and a reviewer is not disturbed. */
function judgeOutsider(scene: Finishing): FinishVerdict {
  const { grants, now, claim, force, before } = scene;
  const current = liveHolding(grants, now);
  const presented = claim.fencing_token !== undefined || claim.lease_id !== undefined;
  const meant = meantHolding(grants, claim, before.reopens);
  const actor = claim.agent_id ?? (presented && meant.kind === "grant" ? meant.grant.agent_id : undefined);
  if (presented && !force) {
    const good = meant.kind === "grant" && (hasRight(meant.grant, grants) || finishedRound(meant.grant, before));
    if (!good) return refused("lost", current);
  }
  if (current !== undefined && current.agent_id !== actor && current.kind === "review") {
    if (force) return overriding(scene, current);
    return refused(actor === undefined ? "agent_required" : "not_holder", current);
  }
  const last = grants.at(-1);
  const mine = last !== undefined && last.agent_id === actor;
  // A lease over by expiry still carries the right to `done`: reopening ends it, whoever had it (L3).
  return acting(actor, mine || (scene.change === "reopen" && current === undefined) ? last : undefined);
}

/** The lease that made this round's work done is good for what follows, such as its own `verify`. */
function finishedRound(grant: Holding, before: Outcome): boolean {
  return grant.ended === "done" && sameReopens(grant.reopens, before.reopens);
}

function judgeVerify(scene: Finishing): FinishVerdict {
  const verdict = judgeOutsider(scene);
  if (verdict.kind !== "proceed") return verdict;
  return selfVerification(scene, verdict.actor, scene.completed_by) ?? verdict;
}

function selfVerification(
  scene: Finishing,
  actor: string | undefined,
  doer: string | undefined,
): FinishVerdict | undefined {
  if (scene.verify === "any") return undefined;
  if (actor === undefined) return { kind: "agent_required" };
  return actor === doer ? { kind: "self_verification", agent_id: actor } : undefined;
}

function judgeDelete(scene: Finishing): FinishVerdict {
  const { grants, now, claim, force, before } = scene;
  const current = liveHolding(grants, now);
  const presented = claim.fencing_token !== undefined || claim.lease_id !== undefined;
  const meant = meantHolding(grants, claim, before.reopens);
  const actor = claim.agent_id ?? (presented && meant.kind === "grant" ? meant.grant.agent_id : undefined);
  if (
    presented &&
    !force &&
    !(meant.kind === "grant" && (hasRight(meant.grant, grants) || finishedRound(meant.grant, before)))
  ) {
    return refused("lost", current);
  }
  const verdict = acting(actor, grants.at(-1));
  return current === undefined || current.agent_id === actor ? verdict : { ...verdict, overridden: current };
}

function overriding(scene: Finishing, current: Holding | undefined): FinishVerdict {
  const verdict = acting(scene.claim.agent_id, scene.grants.at(-1));
  return current === undefined || current.agent_id === scene.claim.agent_id
    ? verdict
    : { ...verdict, overridden: current };
}

type Proceed = Extract<FinishVerdict, { kind: "proceed" }>;

function acting(actor: string | undefined, last: Holding | undefined): Proceed {
  return {
    kind: "proceed",
    ...(actor === undefined ? {} : { actor }),
    ...(last === undefined || last.ended !== undefined ? {} : { ends: last }),
  };
}

/** Two path locks that touch: the first pattern of each side that overlap. */
export interface Overlap {
  readonly pattern: string;
  readonly other_pattern: string;
}

/** Compares path locks; patterns are compiled once however often they are asked about. */
export class LockTable {
  readonly #globs = new Map<string, Glob>();

  /** The first overlap between two lists of patterns. */
  between(mine: readonly string[], theirs: readonly string[]): Overlap | undefined {
    for (const pattern of mine) {
      for (const other_pattern of theirs) {
        if (overlap(this.#glob(pattern), this.#glob(other_pattern))) return { pattern, other_pattern };
      }
    }
    return undefined;
  }

  #glob(pattern: string): Glob {
    const known = this.#globs.get(pattern);
    if (known !== undefined) return known;
    const glob = compileGlob(pattern);
    this.#globs.set(pattern, glob);
    return glob;
  }
}

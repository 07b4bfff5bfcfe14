import { type Outcome, sameReopens } from "../core/status.ts";
import {
  type Holding,
  hasRight,
  holdersOf,
  isLive,
  liveHolding,
  meantHolding,
  type Refused,
  refused,
  type Scene,
} from "./rules.ts";

/** Who may record which outcome of a task (L3, L4): pure functions, as in rules.ts. */

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

/** Who acts where no lease is needed; a token or lease id that is presented must be good all the same (L2). */
function outsider(scene: Finishing): { readonly actor: string | undefined; readonly good: boolean } {
  const { grants, claim, force, before } = scene;
  if (claim.fencing_token === undefined && claim.lease_id === undefined) return { actor: claim.agent_id, good: true };
  const meant = meantHolding(grants, claim, before.reopens);
  if (meant.kind !== "grant") return { actor: claim.agent_id, good: force };
  const { grant } = meant;
  return { actor: grant.agent_id, good: force || hasRight(grant, grants) || finishedRound(grant, before) };
}

/** Verify and reopen: a reviewer is not disturbed. */
function judgeOutsider(scene: Finishing): FinishVerdict {
  const { grants, now, force } = scene;
  const current = liveHolding(grants, now);
  const { actor, good } = outsider(scene);
  if (!good) return refused("lost", current);
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

/** Deleting ends whoever's lease. */
function judgeDelete(scene: Finishing): FinishVerdict {
  const current = liveHolding(scene.grants, scene.now);
  const { actor, good } = outsider(scene);
  if (!good) return refused("lost", current);
  const verdict = acting(actor, scene.grants.at(-1));
  return current === undefined || current.agent_id === actor ? verdict : { ...verdict, overridden: current };
}

/** By force: the newest lease ends, and is named if it was another's and alive. */
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

import { isLive, judgeRelease, judgeRenew } from "../../lease/rules.ts";
import type { Claimant, Refusal, ReleaseRequest, ReleaseResult, RenewRequest, RenewResult } from "../store.ts";
import { isKnown, touch } from "./agents.ts";
import { forget, mismatch, once } from "./idempotency.ts";
import { end, extend, grantsOf, leaseEvent, refusal } from "./leases.ts";
import { postNote } from "./messages.ts";
import type { WriteStep } from "./step.ts";

/** True when the call names an agent that is not registered, or has left. */
export function namesStranger(step: WriteStep, { agent_id }: Claimant): boolean {
  return agent_id !== undefined && !isKnown(step, agent_id);
}

export function renew(step: WriteStep, request: RenewRequest): RenewResult {
  if (namesStranger(step, request)) return { kind: "unknown_agent" };
  return once<RenewResult, Refusal>(step, "renew", request.idempotency, {
    keep: (result) => result.kind === "renewed",
    mismatch,
    run: () => renewNow(step, request),
  });
}

function renewNow(step: WriteStep, request: RenewRequest): RenewResult {
  const { key, ttl, automatic } = request;
  const { now } = step;
  const verdict = judgeRenew({ grants: grantsOf(step, key), now, claim: request });
  if (verdict.kind !== "renew") return refusal(verdict, key.task_id);
  const { grant } = verdict;
  touch(step, grant.agent_id);
  if (automatic && grant.expires_at - now > grant.ttl / 2) return { kind: "unchanged", lease: grant };
  // What is renewed on the way keeps the length that its holder asked for.
  const length = automatic ? Math.max(ttl, grant.ttl) : ttl;
  const lease = extend(step, grant, now + length, length);
  // A lease that comes back to life is told in any case: its `task.expired` was.
  if (!automatic || !isLive(grant, now)) leaseEvent(step, "task.renewed", lease, { expires_at: lease.expires_at });
  return { kind: "renewed", lease: lease };
}

export function release(step: WriteStep, request: ReleaseRequest): ReleaseResult {
  if (namesStranger(step, request)) return { kind: "unknown_agent" };
  return once<ReleaseResult, Refusal>(step, "release", request.idempotency, {
    keep: (result) => result.kind === "released",
    mismatch,
    run: () => releaseNow(step, request),
  });
}

function releaseNow(step: WriteStep, request: ReleaseRequest): ReleaseResult {
  const { key, force, how, note, failed } = request;
  const verdict = judgeRelease({ grants: grantsOf(step, key), now: step.now, claim: request, force });
  if (verdict.kind === "already") return { kind: "released", lease: verdict.grant, already: true };
  if (verdict.kind !== "release") return refusal(verdict, key.task_id);
  const { grant, expired, forced } = verdict;
  const lease = end(step, grant, forced ? "forced" : how);
  if (how === "reverted") forget(step, "claim", lease.lease_id);
  const actor = forced ? request.agent_id : grant.agent_id;
  touch(step, actor);
  if (forced) {
    const { task_id, fencing_token, lease_id, agent_id: previous_holder } = lease;
    const by = actor === undefined ? {} : { agent_id: actor };
    step.event({
      type: "task.released",
      ...by,
      task_id,
      data: { fencing_token, lease_id, forced: true, previous_holder },
    });
  } else if (how === "released") {
    // A claim that was stepped back is no decision of the agent's, and has no event.
    leaseEvent(step, "task.released", lease, { ...(expired ? { expired } : {}), ...(failed ? { failed } : {}) });
  }
  postNote(step, key.task_id, actor, note);
  return { kind: "released", lease: lease, already: expired };
}

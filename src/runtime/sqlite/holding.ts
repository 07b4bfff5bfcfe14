import { judgeRelease, judgeRenew } from "../../lease/rules.ts";
import { refusal, releasingOf, renewalOf } from "../holding.ts";
import type { Claimant, Refusal, ReleaseRequest, ReleaseResult, RenewRequest, RenewResult } from "../store.ts";
import { isKnown, touch } from "./agents.ts";
import { forget, mismatch, once } from "./idempotency.ts";
import { end, extend, grantsOf, leaseEvent } from "./leases.ts";
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
  const { key } = request;
  const { now } = step;
  const verdict = judgeRenew({ grants: grantsOf(step, key), now, claim: request });
  if (verdict.kind !== "renew") return refusal(verdict, key.task_id);
  const { grant } = verdict;
  const { unchanged_before, ttl, told } = renewalOf(grant, request, now);
  touch(step, grant.agent_id);
  if (now < unchanged_before) return { kind: "unchanged", lease: grant };
  const lease = extend(step, grant, now + ttl, ttl);
  if (told) leaseEvent(step, "task.renewed", lease, { expires_at: lease.expires_at });
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
  const { key, force, note } = request;
  const verdict = judgeRelease({ grants: grantsOf(step, key), now: step.now, claim: request, force });
  if (verdict.kind === "already") return { kind: "released", lease: verdict.grant, already: true };
  if (verdict.kind !== "release") return refusal(verdict, key.task_id);
  const { ended, actor, events } = releasingOf(verdict, request);
  const lease = end(step, verdict.grant, ended);
  if (ended === "reverted") forget(step, "claim", lease.lease_id);
  touch(step, actor);
  for (const event of events) step.event(event);
  postNote(step, key.task_id, actor, note);
  return { kind: "released", lease: lease, already: verdict.expired };
}

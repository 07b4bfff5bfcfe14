import { type FinishVerdict, isRepeat, judgeFinish } from "../../lease/finishing.ts";
import type { LeaseEnd } from "../../lease/lease.ts";
import type { EventType, Finished, FinishRequest, FinishResult, FinishStep, RecordedOutcome } from "../store.ts";
import { touch } from "./agents.ts";
import { namesStranger } from "./holding.ts";
import { mismatch, once } from "./idempotency.ts";
import { end, grantsOf, refusal } from "./leases.ts";
import { postNote } from "./messages.ts";
import { creditsOf, enqueue, findOutcome, isStale, record } from "./outcomes.ts";
import type { WriteStep } from "./step.ts";

/**
 * Records outcomes: see {@link RuntimeStore.finish}. Every step is judged on what this very transaction sees; the first
 * refusal takes back what earlier steps of the call did.
 */
export function finish(step: WriteStep, request: FinishRequest): FinishResult {
  if (namesStranger(step, request)) return { kind: "unknown_agent" };
  return once<FinishResult, { readonly kind: "mismatch" }>(step, "finish", request.idempotency, {
    keep: (result) => result.kind === "finished",
    mismatch,
    run: () => {
      const repeats = new Set(request.steps.filter((one) => repeated(step, request, one)));
      const fresh = request.steps.filter((one) => !repeats.has(one));
      const stale = fresh.filter((one) => isStale(step, request.seen, [one.key, ...one.basis]));
      if (stale.length > 0) return { kind: "stale", task_ids: stale.map(({ key }) => key.task_id) };
      return step.allOrNone(
        () => takeSteps(step, request, repeats),
        ({ kind }) => kind === "finished",
      );
    },
  });
}

function repeated(step: WriteStep, claim: FinishRequest, { key, change, before }: FinishStep): boolean {
  return isRepeat({ grants: grantsOf(step, key), claim, change, before });
}

function takeSteps(step: WriteStep, request: FinishRequest, repeats: ReadonlySet<FinishStep>): FinishResult {
  const finished: Finished[] = [];
  for (const one of request.steps) {
    const known = findOutcome(step, one.key);
    const verdict = repeats.has(one) ? ({ kind: "already" } as const) : judge(step, request, one, known);
    const { task_id } = one.key;
    switch (verdict.kind) {
      case "proceed":
        finished.push(apply(step, request, one, known, verdict));
        break;
      case "already":
        finished.push({ key: one.key, already: true, outcome: known ?? standing(step, request, one) });
        break;
      case "not_claimable":
        return { kind: "not_claimable", task_id };
      case "self_verification":
        return { kind: "self_verification", task_id, agent_id: verdict.agent_id };
      case "agent_required":
        return { kind: "agent_required", task_id };
      default:
        return refusal(verdict, task_id);
    }
  }
  touch(step, request.agent_id);
  return { kind: "finished", finished };
}

function judge(
  step: WriteStep,
  request: FinishRequest,
  one: FinishStep,
  known: RecordedOutcome | undefined,
): FinishVerdict {
  const { force, verify } = request;
  const { key, change, before, claimable } = one;
  const completed_by = creditsOf(known, before).completed_by ?? one.spec_completed_by;
  const grants = grantsOf(step, key);
  return judgeFinish({ grants, now: step.now, claim: request, force, change, before, claimable, completed_by, verify });
}

/** What stands where the runtime was never told: the spec has it, through git. */
function standing(
  step: WriteStep,
  { worktree, branch }: FinishRequest,
  { key, before, spec_completed_by }: FinishStep,
): RecordedOutcome {
  const by = spec_completed_by === undefined ? {} : { completed_by: spec_completed_by };
  return { ...key, ...before, ...by, version: 0, worktree, branch, at: step.now };
}

type Proceed = Extract<FinishVerdict, { kind: "proceed" }>;

function apply(
  step: WriteStep,
  { worktree, branch }: FinishRequest,
  one: FinishStep,
  known: RecordedOutcome | undefined,
  verdict: Proceed,
): Finished {
  const { key, after, note } = one;
  const outcome = record(step, {
    ...{ task_id: key.task_id, created_at: key.created_at },
    ...{ reopens: after.reopens, rank: after.rank, verified: after.verified },
    ...credits(step, one, known, verdict.actor),
    ...{ worktree, branch, at: step.now },
  });
  if (verdict.ends !== undefined) end(step, verdict.ends, endOf(one, verdict));
  for (const type of eventsOf(one)) tell(step, type, one, verdict);
  postNote(step, key.task_id, verdict.actor, note);
  touch(step, verdict.actor);
  return { key, already: false, outcome, outbox_id: enqueue(step, one.change, outcome) };
}

/** Who did and who verified the work, after the step. */
function credits(step: WriteStep, one: FinishStep, known: RecordedOutcome | undefined, actor: string | undefined) {
  const { change, before, unblocked, completed_in, spec_completed_by } = one;
  if (change === "reopen") return {};
  const told = spec_completed_by === undefined || before.rank === 0 ? {} : { completed_by: spec_completed_by };
  const so_far = { ...told, ...creditsOf(known, before) };
  if (change === "delete") return so_far;
  const by = {
    ...(actor === undefined ? {} : { completed_by: actor }),
    ...(completed_in === undefined ? {} : { completed_in }),
  };
  const completed = before.rank > 0 ? so_far : { ...by, completed_at: step.now };
  if (change === "done") return completed;
  return { ...completed, ...(actor === undefined ? {} : { verified_by: actor }), verified_at: step.now, unblocked };
}

const ENDS = {
  done: "done",
  verify: "verified",
  done_verify: "verified",
  reopen: "reopened",
  delete: "deleted",
} as const;

/** The lease of who acts ends by what was done; another's by force, or by the reopening or deletion that needs none. */
function endOf({ change }: FinishStep, { actor, ends, overridden }: Proceed): LeaseEnd {
  if (ends?.agent_id === actor || change === "delete") return ENDS[change];
  return change === "reopen" && overridden === undefined ? "reopened" : "forced";
}

function eventsOf({ change, before }: FinishStep): readonly EventType[] {
  switch (change) {
    case "done":
      return ["task.done"];
    case "verify":
      return ["task.verified"];
    case "done_verify":
      return before.rank > 0 ? ["task.verified"] : ["task.done", "task.verified"];
    case "reopen":
      return ["task.reopened"];
    case "delete":
      return ["task.deleted"];
  }
}

function tell(step: WriteStep, type: EventType, one: FinishStep, { actor, ends, overridden }: Proceed): void {
  const lease =
    ends !== undefined && ends.agent_id === actor ? { fencing_token: ends.fencing_token, lease_id: ends.lease_id } : {};
  const over = overridden === undefined ? {} : { forced: true, previous_holder: overridden.agent_id };
  const unblocked = type === "task.verified" && one.unblocked.length > 0 ? { unblocked: one.unblocked } : {};
  const reopens = type === "task.reopened" ? { reopens: one.after.reopens } : {};
  const data = { ...lease, ...over, ...unblocked, ...reopens };
  step.event({
    type,
    task_id: one.key.task_id,
    ...(actor === undefined ? {} : { agent_id: actor }),
    ...(Object.keys(data).length === 0 ? {} : { data }),
  });
}

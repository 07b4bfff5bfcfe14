import {
  endOf,
  eventsOf,
  type FinishScene,
  judgeStep,
  type Proceed,
  recordOf,
  repeats,
  standing,
} from "../finishing.ts";
import { refusal } from "../holding.ts";
import type { Finished, FinishRequest, FinishResult, FinishStep } from "../store.ts";
import { touch } from "./agents.ts";
import { namesStranger } from "./holding.ts";
import { mismatch, once } from "./idempotency.ts";
import { end, grantsOf } from "./leases.ts";
import { postNote } from "./messages.ts";
import { enqueue, findOutcome, isStale, record } from "./outcomes.ts";
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
      const repeated = new Set(request.steps.filter((one) => repeats(sceneOf(step, one), request, one)));
      const fresh = request.steps.filter((one) => !repeated.has(one));
      const stale = fresh.filter((one) => isStale(step, request.seen, [one.key, ...one.basis]));
      if (stale.length > 0) return { kind: "stale", task_ids: stale.map(({ key }) => key.task_id) };
      return step.allOrNone(
        () => takeSteps(step, request, repeated),
        ({ kind }) => kind === "finished",
      );
    },
  });
}

function sceneOf(step: WriteStep, { key }: FinishStep): FinishScene {
  return { grants: grantsOf(step, key), known: findOutcome(step, key), now: step.now };
}

function takeSteps(step: WriteStep, request: FinishRequest, repeated: ReadonlySet<FinishStep>): FinishResult {
  const finished: Finished[] = [];
  for (const one of request.steps) {
    const scene = sceneOf(step, one);
    const verdict = repeated.has(one) ? ({ kind: "already" } as const) : judgeStep(scene, request, one);
    const { task_id } = one.key;
    switch (verdict.kind) {
      case "proceed":
        finished.push(apply(step, request, one, scene, verdict));
        break;
      case "already":
        finished.push({ key: one.key, already: true, outcome: scene.known ?? standing(request, one, step.now) });
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

function apply(
  step: WriteStep,
  request: FinishRequest,
  one: FinishStep,
  { known }: FinishScene,
  verdict: Proceed,
): Finished {
  const { key, note } = one;
  const outcome = record(step, recordOf(request, one, known, verdict.actor, step.now));
  if (verdict.ends !== undefined) end(step, verdict.ends, endOf(one, verdict));
  for (const event of eventsOf(one, verdict)) step.event(event);
  postNote(step, key.task_id, verdict.actor, note);
  touch(step, verdict.actor);
  return { key, already: false, outcome, outbox_id: enqueue(step, one.change, outcome) };
}

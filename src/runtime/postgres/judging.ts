import { type Holding, judgeRelease, judgeRenew } from "../../lease/rules.ts";
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
import { refusal, releasingOf, renewalOf } from "../holding.ts";
import type {
  FinishRequest,
  FinishResult,
  FinishStep,
  RecordedOutcome,
  Refusal,
  ReleaseRequest,
  RenewRequest,
} from "../store.ts";
import { fold } from "./fold.ts";

/**
 * Verdicts by the rules that every store shares, as data for the server: what it shall write if nothing of what the verdict rests on has
 * changed. Pure.
 */

/** What the server shows of one task. */
export interface Scene {
  readonly task_id: string;
  readonly created_at: string;
  readonly now: number;
  readonly grants: readonly Holding[];
  readonly outcome: RecordedOutcome | null;
  /** Another one when anything here is another. */
  readonly stamp: string;
}

/** Stands for the time of the step, which only the server knows. */
const AT_STEP = -1;

export type HoldVerdict =
  | { readonly verdict: { readonly do: "refuse" }; readonly refusal: Refusal }
  | { readonly verdict: Readonly<Record<string, unknown>>; readonly refusal?: undefined };

export function renewVerdict({ grants, now }: Scene, request: RenewRequest): HoldVerdict {
  const verdict = judgeRenew({ grants, now, claim: request });
  if (verdict.kind !== "renew") return refuse(refusal(verdict, request.key.task_id));
  const { grant } = verdict;
  return { verdict: { do: "extend", token: grant.fencing_token, ...renewalOf(grant, request, now) } };
}

export function releaseVerdict({ grants, now }: Scene, request: ReleaseRequest): HoldVerdict {
  const verdict = judgeRelease({ grants, now, claim: request, force: request.force });
  if (verdict.kind === "already") {
    return { verdict: { do: "already", token: verdict.grant.fencing_token, already: true } };
  }
  if (verdict.kind !== "release") return refuse(refusal(verdict, request.key.task_id));
  const { ended, actor, events } = releasingOf(verdict, request);
  const note = noteOf(request.key.task_id, actor, request.note);
  const token = verdict.grant.fencing_token;
  return { verdict: { do: "end", token, ended, actor, events, note, already: verdict.expired } };
}

const refuse = (refused: Refusal): HoldVerdict => ({ verdict: { do: "refuse" }, refusal: refused });

export interface FinishVerdicts {
  /** Steps that rest on what the caller has seen; repeats do not. */
  readonly fresh: readonly Pick<FinishStep, "key" | "basis">[];
  readonly verdicts: readonly Readonly<Record<string, unknown>>[];
  /** The first refusal: with it nothing is written. */
  readonly refusal?: FinishResult;
}

/** @param scenes one for each task of the request. */
export function finishVerdicts(scenes: readonly Scene[], request: FinishRequest): FinishVerdicts {
  const stage = new Map(scenes.map((scene) => [nameOf(scene), sceneOf(scene)]));
  const sceneFor = ({ key }: FinishStep): FinishScene => {
    const scene = stage.get(nameOf(key));
    if (scene === undefined) throw new Error(`Task ${key.task_id} is judged but was not looked at.`);
    return scene;
  };
  const repeated = new Set(request.steps.filter((one) => repeats(sceneFor(one), request, one)));
  const fresh = request.steps.filter((one) => !repeated.has(one)).map(({ key, basis }) => ({ key, basis }));
  const verdicts: Readonly<Record<string, unknown>>[] = [];
  for (const one of request.steps) {
    const { key } = one;
    const { task_id } = key;
    const scene = sceneFor(one);
    const verdict = repeated.has(one) ? ({ kind: "already" } as const) : judgeStep(scene, request, one);
    switch (verdict.kind) {
      case "proceed": {
        const outcome = recordOf(request, one, scene.known, verdict.actor, AT_STEP);
        verdicts.push(applying(one, outcome, verdict));
        // A later step of the same call sees what this one did.
        stage.set(nameOf(key), after(scene, { ...outcome, version: 0 }, one, verdict));
        break;
      }
      case "already":
        verdicts.push({ do: "already", key, standing: standing(request, one, AT_STEP) });
        break;
      case "not_claimable":
        return { fresh, verdicts, refusal: { kind: "not_claimable", task_id } };
      case "self_verification":
        return { fresh, verdicts, refusal: { kind: "self_verification", task_id, agent_id: verdict.agent_id } };
      case "agent_required":
        return { fresh, verdicts, refusal: { kind: "agent_required", task_id } };
      default:
        return { fresh, verdicts, refusal: refusal(verdict, task_id) };
    }
  }
  return { fresh, verdicts };
}

function applying(one: FinishStep, outcome: Omit<RecordedOutcome, "version">, verdict: Proceed) {
  const { key, change } = one;
  const { ends, actor } = verdict;
  return {
    ...{ do: "record", key, change, outcome, actor },
    ...(ends === undefined ? {} : { ends: ends.fencing_token, ended: endOf(one, verdict) }),
    events: eventsOf(one, verdict),
    note: noteOf(key.task_id, actor, one.note),
  };
}

function after(scene: FinishScene, known: RecordedOutcome, one: FinishStep, verdict: Proceed): FinishScene {
  const { ends } = verdict;
  const grants = scene.grants.map((grant) =>
    grant.fencing_token === ends?.fencing_token ? { ...grant, ended: endOf(one, verdict) } : grant,
  );
  return { ...scene, known, grants };
}

export const nameOf = ({ task_id, created_at }: { readonly task_id: string; readonly created_at: string }): string =>
  JSON.stringify([task_id, created_at]);

const sceneOf = ({ grants, outcome, now }: Scene): FinishScene => ({ grants, known: outcome ?? undefined, now });

/** A note on a finished or released task goes to its thread, as a handoff. */
function noteOf(
  task_id: string,
  from_agent_id: string | undefined,
  note: { readonly text: string; readonly message_id: string } | undefined,
) {
  return note === undefined
    ? undefined
    : { ...note, task_id, severity: "handoff", from_agent_id, folded: fold(note.text) };
}

import type { Outcome } from "../core/status.ts";
import type { Millis } from "../core/time.ts";
import { type FinishVerdict, isRepeat, judgeFinish } from "../lease/finishing.ts";
import type { LeaseEnd } from "../lease/lease.ts";
import type { Holding } from "../lease/rules.ts";
import type { EventType, FinishRequest, FinishStep, NewEvent, RecordedOutcome } from "./store.ts";

/** What finishing a task means for its rows: pure, and the same in every store. */

/** What the runtime knows of a task when a step about it is judged. */
export interface FinishScene {
  /** Every grant, the oldest first. */
  readonly grants: readonly Holding[];
  readonly known: RecordedOutcome | undefined;
  readonly now: Millis;
}

export type Proceed = Extract<FinishVerdict, { kind: "proceed" }>;

/** True when the step repeats one that was answered (L4). */
export function repeats({ grants }: FinishScene, claim: FinishRequest, { change, before }: FinishStep): boolean {
  return isRepeat({ grants, claim, change, before });
}

/** Who may take the step, once {@link repeats} has said no and what it rests on is known to be fresh. */
export function judgeStep({ grants, known, now }: FinishScene, request: FinishRequest, one: FinishStep): FinishVerdict {
  const { force, verify } = request;
  const { change, before, claimable } = one;
  const completed_by = creditsOf(known, before).completed_by ?? one.spec_completed_by;
  return judgeFinish({ grants, now, claim: request, force, change, before, claimable, completed_by, verify });
}

/** What stands where the runtime was never told: the spec has it, through git. */
export function standing(
  { worktree, branch }: FinishRequest,
  { key, before, spec_completed_by }: FinishStep,
  at: Millis,
): RecordedOutcome {
  const by = spec_completed_by === undefined ? {} : { completed_by: spec_completed_by };
  return { ...key, ...before, ...by, version: 0, worktree, branch, at };
}

/** The outcome that the step records, but for its version. @param at the time of the step. */
export function recordOf(
  { worktree, branch }: FinishRequest,
  one: FinishStep,
  known: RecordedOutcome | undefined,
  actor: string | undefined,
  at: Millis,
): Omit<RecordedOutcome, "version"> {
  const { key, after } = one;
  return {
    ...{ task_id: key.task_id, created_at: key.created_at },
    ...{ reopens: after.reopens, rank: after.rank, verified: after.verified },
    ...credits(one, known, actor, at),
    ...{ worktree, branch, at },
  };
}

/** The records of who did and verified the work in this round; reopening drops them. */
type Credits = Pick<
  RecordedOutcome,
  "completed_by" | "completed_at" | "completed_in" | "verified_by" | "verified_at" | "unblocked"
>;

const CREDITS = ["completed_by", "completed_at", "completed_in", "verified_by", "verified_at", "unblocked"] as const;

function creditsOf(outcome: RecordedOutcome | undefined, before: Outcome): Credits {
  if (outcome === undefined || outcome.rank === 0 || before.rank === 0) return {};
  return Object.fromEntries(
    CREDITS.map((name) => [name, outcome[name]] as const).filter(([, value]) => value !== undefined),
  );
}

/** Who did and who verified the work, after the step. */
function credits(one: FinishStep, known: RecordedOutcome | undefined, actor: string | undefined, at: Millis): Credits {
  const { change, before, unblocked, completed_in, spec_completed_by } = one;
  if (change === "reopen") return {};
  const told = spec_completed_by === undefined || before.rank === 0 ? {} : { completed_by: spec_completed_by };
  const so_far = { ...told, ...creditsOf(known, before) };
  if (change === "delete") return so_far;
  const by = {
    ...(actor === undefined ? {} : { completed_by: actor }),
    ...(completed_in === undefined ? {} : { completed_in }),
  };
  const completed = before.rank > 0 ? so_far : { ...by, completed_at: at };
  if (change === "done") return completed;
  return { ...completed, ...(actor === undefined ? {} : { verified_by: actor }), verified_at: at, unblocked };
}

const ENDS = {
  done: "done",
  verify: "verified",
  done_verify: "verified",
  reopen: "reopened",
  delete: "deleted",
} as const;

/** The lease of who acts ends by what was done; another's by force, or by the reopening or deletion that needs none. */
export function endOf({ change }: FinishStep, { actor, ends, overridden }: Proceed): LeaseEnd {
  if (ends?.agent_id === actor || change === "delete") return ENDS[change];
  return change === "reopen" && overridden === undefined ? "reopened" : "forced";
}

/** What is told of the step, in order. */
export function eventsOf(one: FinishStep, verdict: Proceed): readonly NewEvent[] {
  return typesOf(one).map((type) => eventOf(type, one, verdict));
}

function typesOf({ change, before }: FinishStep): readonly EventType[] {
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

function eventOf(type: EventType, one: FinishStep, { actor, ends, overridden }: Proceed): NewEvent {
  const lease =
    ends !== undefined && ends.agent_id === actor ? { fencing_token: ends.fencing_token, lease_id: ends.lease_id } : {};
  const over = overridden === undefined ? {} : { forced: true, previous_holder: overridden.agent_id };
  const unblocked = type === "task.verified" && one.unblocked.length > 0 ? { unblocked: one.unblocked } : {};
  const reopens = type === "task.reopened" ? { reopens: one.after.reopens } : {};
  const data = { ...lease, ...over, ...unblocked, ...reopens };
  return {
    type,
    task_id: one.key.task_id,
    ...(actor === undefined ? {} : { agent_id: actor }),
    ...(Object.keys(data).length === 0 ? {} : { data }),
  };
}

import { LodestarError } from "../../core/errors.ts";
import { fault } from "../../core/fault.ts";
import { newMessageId, newReopenId } from "../../core/ids.ts";
import { joinOutcomes, NO_OUTCOME, type Outcome, statusOf, unionReopens } from "../../core/status.ts";
import { keyOf } from "../../core/task.ts";
import type {
  Change,
  Finished,
  FinishRequest,
  FinishResult,
  FinishStep,
  RecordedOutcome,
  RuntimeStore,
} from "../../runtime/store.ts";
import type { SpecSession } from "../../spec/plane.ts";
import type { Standing } from "../../spec/schedule.ts";
import type { Context } from "../context.ts";
import { type Look, look, lookWith, requireTask } from "../look.ts";
import { effectiveTask, isHeld, outcomeEdit, warnOfWaiting, writeDue } from "../outcome.ts";
import { allOrNone, obstacleError, refusalError } from "../refused.ts";
import { isSpecTrouble, leaseFromRuntime, stepKey } from "./lease-call.ts";

/** What a call that records outcomes asks for. */
export interface Finishing {
  readonly change: Change;
  readonly task_ids: readonly string[];
  readonly agent_id?: string;
  readonly fencing_token?: number;
  readonly lease_id?: string;
  readonly force: boolean;
  readonly note?: string;
}

/** What came of it: one entry a task, and where each stands now. */
export interface Outcomes {
  readonly finished: readonly (Finished & { readonly status: Standing<RecordedOutcome>["status"] })[];
}

/** How often a decision is taken again because another commit got ahead of it; each time that other one made progress. */
const ROUNDS = 100;

/**
 * Records outcomes in both planes (T2): under the spec lock, first the runtime in one transaction, then the spec, then the outbox
 * row is cleared. After the runtime's commit nothing can fail the call: what could not be written waits in the outbox.
 *
 * @throws LodestarError why it was refused; then nothing was changed.
 */
export async function finishTasks(context: Context, finishing: Finishing): Promise<Outcomes> {
  try {
    // What needs no lock is done before it is taken and after it is given back: others wait for it.
    const runtime = await context.runtime();
    const finished = await context.spec.locked((session) => commitAndWrite(context, session, runtime, finishing));
    return { finished: await withStatus(context, finished) };
  } catch (error) {
    // `done` of a held task works while the spec is unreadable; everything else rests on what the spec says.
    if (!isSpecTrouble(error) || finishing.change !== "done") throw error;
    return finishBlind(context, finishing, error);
  }
}

async function commitAndWrite(
  context: Context,
  session: SpecSession,
  runtime: RuntimeStore,
  finishing: Finishing,
): Promise<readonly Finished[]> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const head = context.head();
    const seen = await lookWith(context, await session.index(), runtime, "write", finishing.agent_id);
    const steps = await decide(context, seen, finishing, head);
    fault("before-finish");
    // What was decided by one branch's spec is not recorded for another one that was checked out meanwhile (T2).
    if (context.branch() !== head.branch) continue;
    const result = await runtime.finish(request(context, finishing, steps, head.branch, seen));
    if (result.kind === "stale") continue;
    fault("after-runtime-commit");
    const finished = accepted(result, finishing.agent_id, seen);
    await writeSpec(context, session, runtime, finished, finishing.change);
    return finished;
  }
  throw new LodestarError("BUSY", "The tasks keep changing while their outcome is recorded.");
}

function request(
  context: Context,
  finishing: Finishing,
  steps: readonly FinishStep[],
  branch: string,
  seen?: Look,
): FinishRequest {
  const { agent_id, fencing_token, lease_id, force } = finishing;
  return {
    steps,
    seen: seen?.seen?.version ?? Number.MAX_SAFE_INTEGER,
    force,
    verify: seen?.header.project.conventions.verify ?? "any",
    ...{ worktree: context.worktree, branch },
    ...(agent_id === undefined ? {} : { agent_id }),
    ...(fencing_token === undefined ? {} : { fencing_token }),
    ...(lease_id === undefined ? {} : { lease_id }),
    ...stepKey(context, "finish"),
  };
}

async function decide(
  context: Context,
  seen: Look,
  finishing: Finishing,
  head: ReturnType<Context["head"]>,
): Promise<FinishStep[]> {
  const { change, task_ids } = finishing;
  const standings: Standing<RecordedOutcome>[] = [];
  const failures: { task_id: string; error: LodestarError }[] = [];
  for (const task_id of new Set(task_ids)) {
    try {
      standings.push(await requireTask(context, seen, task_id));
    } catch (error) {
      if (!(error instanceof LodestarError)) throw error;
      failures.push({ task_id, error });
    }
  }
  for (const standing of standings) {
    const error = forbidden(standing, change);
    if (error !== undefined) failures.push({ task_id: standing.task.id, error });
  }
  allOrNone(failures, task_ids.length);
  const after = new Map(
    standings.map((standing) => [standing.task.id, afterChange(context, standing.outcome, change)]),
  );
  const { unblocked, basis } = seen.schedule.unblockedBy(after);
  return standings.map((standing, i) => {
    const { task, outcome } = standing;
    const spec_completed_by = effectiveTask(task, standing.known).completed_by;
    const isWork = change === "done" || change === "done_verify";
    return {
      key: keyOf(task),
      change,
      before: outcome,
      after: after.get(task.id) ?? outcome,
      claimable: seen.schedule.obstacle(standing) === undefined,
      basis: [...seen.schedule.basis(task), ...(i === 0 ? basis : [])],
      // Told once, with the first of several: a task that waits for two of them is unblocked by the call, not by each.
      unblocked: i === 0 ? unblocked : [],
      ...(spec_completed_by === undefined ? {} : { spec_completed_by }),
      ...(isWork && head.branch !== "" ? { completed_in: head } : {}),
      ...(finishing.note === undefined
        ? {}
        : { note: { text: finishing.note, message_id: newMessageId(context.random) } }),
    };
  });
}

/** What the state of the task forbids, whoever asks. */
function forbidden(standing: Standing<RecordedOutcome>, change: Change): LodestarError | undefined {
  const { task, outcome, status } = standing;
  const isDeleted = outcome.rank === 3;
  if (change === "verify" && outcome.rank === 0) {
    return new LodestarError("NOT_DONE", `Task ${task.id} is ${status}, not done`, {
      details: { task_id: task.id, status },
    });
  }
  if (isDeleted && (change === "verify" || change === "done" || change === "done_verify"))
    return obstacleError(task.id, { kind: "status", status });
  return undefined;
}

function afterChange(context: Context, before: Outcome, change: Change): Outcome {
  switch (change) {
    case "done":
      return { reopens: before.reopens, rank: 1, verified: false };
    case "verify":
    case "done_verify":
      return { reopens: before.reopens, rank: 2, verified: true };
    case "reopen":
      return { reopens: unionReopens(before.reopens, [newReopenId(context.random)]), rank: 0, verified: false };
    case "delete":
      return { reopens: before.reopens, rank: 3, verified: before.verified };
  }
}

function accepted(
  result: Exclude<FinishResult, { kind: "stale" }>,
  agent_id: string | undefined,
  seen?: Look,
): readonly Finished[] {
  switch (result.kind) {
    case "finished":
      return result.finished;
    case "self_verification":
      throw new LodestarError(
        "SELF_VERIFICATION",
        `${result.agent_id} did the work of ${result.task_id} and may not verify it`,
        {
          details: { task_id: result.task_id, agent_id: result.agent_id },
        },
      );
    case "not_claimable": {
      const standing = seen?.schedule.standing(result.task_id);
      const obstacle = standing === undefined ? undefined : seen?.schedule.obstacle(standing);
      throw obstacleError(result.task_id, obstacle ?? { kind: "status", status: standing?.status ?? "blocked" });
    }
    default:
      throw refusalError(result, agent_id);
  }
}

/** Writes what this call has recorded. @returns the outbox rows that are settled by it. */
async function writeFresh(
  context: Context,
  session: SpecSession,
  runtime: RuntimeStore,
  fresh: readonly Finished[],
  change: Change,
): Promise<readonly number[]> {
  // Another branch may have been checked out since the commit: the rows then wait for theirs (T2).
  const isHere = ({ outcome }: Finished): boolean => outcome.branch === context.branch();
  await session.save((index) =>
    fresh.filter(isHere).flatMap(({ outcome }) => outcomeEdit(index, outcome, change) ?? []),
  );
  const index = await session.index();
  const settled = fresh
    .filter((each) => isHere(each) && isHeld(index, each.outcome))
    .flatMap(({ outbox_id }) => (outbox_id === undefined ? [] : [outbox_id]));
  fault("before-settle");
  await runtime.settle(settled);
  return settled;
}

/** The second half of T2. The commit stands: whatever fails here is a warning, and the outbox row stays for the next command. */
async function writeSpec(
  context: Context,
  session: SpecSession,
  runtime: RuntimeStore,
  finished: readonly Finished[],
  change: Change,
): Promise<void> {
  const fresh = finished.filter((each) => each.outbox_id !== undefined);
  const ids = finished.map(({ key }) => key.task_id);
  try {
    // Who recorded it may have died before the save: it is not answered as done before the spec holds it (L6).
    if (fresh.length < finished.length) await writeDue(context, session, runtime, context.branch());
    const settled = fresh.length === 0 ? [] : await writeFresh(context, session, runtime, fresh, change);
    if (settled.length < finished.length) await warnOfWaiting(context, ids);
  } catch (error) {
    if (!(error instanceof LodestarError)) throw error;
    context.warn(`Recorded, but not yet written to the spec (the next command does it): ${error.message}`);
  }
}

async function withStatus(context: Context, finished: readonly Finished[]): Promise<Outcomes["finished"]> {
  try {
    const now = await look(context, "write");
    return finished.map((each) => ({
      ...each,
      status: now.schedule.standing(each.key.task_id)?.status ?? "deleted",
    }));
  } catch (error) {
    // The commit stands: a spec that became unreadable since does not make it a failure.
    if (!isSpecTrouble(error)) throw error;
    return finished.map((each) => ({ ...each, status: statusOf(each.outcome, "ready") }));
  }
}

/** `done` by the lease alone, for a spec that cannot be read: the runtime knows the task, the outbox keeps the outcome. */
async function finishBlind(context: Context, finishing: Finishing, trouble: LodestarError): Promise<Outcomes> {
  const runtime = await context.runtime();
  const steps: FinishStep[] = [];
  for (const task_id of finishing.task_ids) {
    const { created_at, reopens } = await leaseFromRuntime(context, task_id, trouble);
    const key = { task_id, created_at };
    const known = (await runtime.lookup([task_id])).find((each) => each.key.created_at === created_at)?.outcome;
    // The round of work that the lease was granted in: the spec's reopens as they were then.
    const round = { ...NO_OUTCOME, reopens };
    const before = known === undefined ? round : joinOutcomes(round, known);
    const head = context.head();
    steps.push({
      key,
      change: finishing.change,
      before,
      after: afterChange(context, before, finishing.change),
      claimable: false,
      basis: [],
      unblocked: [],
      ...(head.branch === "" ? {} : { completed_in: head }),
      ...(finishing.note === undefined
        ? {}
        : { note: { text: finishing.note, message_id: newMessageId(context.random) } }),
    });
  }
  const result = await runtime.finish(request(context, finishing, steps, context.branch()));
  if (result.kind === "stale") throw new LodestarError("BUSY", "The task changed while its outcome was recorded.");
  const finished = accepted(result, finishing.agent_id);
  context.warn("Recorded in the runtime; it will be written once the spec can be read again.");
  return { finished: finished.map((each) => ({ ...each, status: "done" })) };
}

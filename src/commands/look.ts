import { LodestarError } from "../core/errors.ts";
import { keyOf, type TaskKey } from "../core/task.ts";
import { readDuration } from "../core/time.ts";
import type { Observation, ObserveQuery, RecordedOutcome, RuntimeStore } from "../runtime/store.ts";
import type { Header, SpecIndex } from "../spec/index.ts";
import { Schedule, type Standing } from "../spec/schedule.ts";
import type { Context } from "./context.ts";

/** Both planes at one moment: what a decision is made from. */
export interface Look {
  readonly index: SpecIndex;
  readonly header: Header;
  readonly schedule: Schedule<RecordedOutcome>;
  /** Absent when there is no runtime yet. */
  readonly seen?: Observation;
}

/** How many outcomes the index may lag behind before a writing command brings its mirror up to date. */
const MIRROR_LAG = 32;

/**
 * Looks at both planes. The spec first, then the runtime: what changes in between is found by `basis` and by comparing the spec's key
 * after a grant (L9).
 *
 * @param mode `write` makes the index's and the runtime's files when there are none.
 * @param more what else of the runtime to look at.
 */
export async function look(
  context: Context,
  mode: "read" | "write",
  agent_id?: string,
  more: Pick<ObserveQuery, "counts"> = {},
): Promise<Look> {
  const index = await context.spec.index(mode);
  return lookWith(
    context,
    index,
    mode === "write" ? await context.runtime() : await context.runtimeIfAny(),
    mode,
    agent_id,
    more,
  );
}

/** {@link look} at a given state of the spec. */
export async function lookWith(
  context: Context,
  index: SpecIndex,
  runtime: RuntimeStore | undefined,
  mode: "read" | "write",
  agent_id?: string,
  more: Pick<ObserveQuery, "counts"> = {},
): Promise<Look> {
  const header = index.header();
  if (header === undefined) throw new LodestarError("INTERNAL", "The index has no header after it was refreshed.");
  if (runtime === undefined) return { index, header, schedule: new Schedule(index, []) };
  const where = {
    ...more,
    worktree: context.worktree,
    branch: context.branch(),
    ...(agent_id === undefined ? {} : { agent_id }),
  };
  let seen = await runtime.observe({ ...where, since: header.runtime_version });
  const isMirrored = seen.runtime_id === header.runtime_id;
  if (!isMirrored && header.runtime_version > 0) seen = await runtime.observe({ ...where, since: 0 });
  const known = isMirrored ? [...index.mirrored<RecordedOutcome>(), ...seen.outcomes] : seen.outcomes;
  const schedule = new Schedule(index, known);
  if (seen.moved_to !== undefined)
    context.warn(`This runtime was moved to ${seen.moved_to}: what it says is of before, and it takes no more writes.`);
  if (mode === "write") await keepAsLongAs(header, seen, runtime);
  if (mode === "write" && seen.outcomes.length > MIRROR_LAG) bringMirrorUpToDate(index, header, schedule, seen);
  return { index, header, schedule, seen };
}

/** Tells the runtime how long the project wants to keep what is said and done, where it goes by another wish. */
async function keepAsLongAs({ project }: Header, { retention }: Observation, runtime: RuntimeStore): Promise<void> {
  const { keep_events, keep_messages } = project.conventions;
  const events = keep_events === undefined ? undefined : readDuration(keep_events);
  const messages = keep_messages === undefined ? undefined : readDuration(keep_messages);
  if (events === retention.events && messages === retention.messages) return;
  await runtime.keep({ ...(events === undefined ? {} : { events }), ...(messages === undefined ? {} : { messages }) });
}

function bringMirrorUpToDate(
  index: SpecIndex,
  header: Header,
  schedule: Schedule<RecordedOutcome>,
  seen: Observation,
): void {
  const differing = new Set([...schedule.differing()].map(({ task }) => task.id));
  try {
    // Outcomes of tasks that this spec does not have are mirrored too: a later edit may bring the task.
    index.mirror(header, seen.runtime_id, seen.version, seen.outcomes, ({ task_id, created_at }) => {
      const standing = schedule.standing(task_id);
      return standing !== undefined && keyOf(standing.task).created_at === created_at && !differing.has(task_id);
    });
  } catch {
    // The mirror only saves reading; the next writer tries again.
  }
}

/**
 * The task as it stands.
 * @throws LodestarError `TASK_NOT_FOUND` (naming the branch where the runtime has seen it); `SPEC_INVALID` when merging left two of it.
 */
export async function requireTask(
  context: Context,
  { header, schedule }: Pick<Look, "header" | "schedule">,
  id: string,
): Promise<Standing<RecordedOutcome>> {
  const twice = header.broken.find((problem) => problem.task_id === id);
  if (twice !== undefined) {
    throw new LodestarError(
      "SPEC_INVALID",
      `${context.spec.paths.spec}:${twice.line}:${twice.column}: ${twice.message}`,
      {
        details: { path: context.spec.paths.spec, problems: [twice] },
      },
    );
  }
  const standing = schedule.standing(id);
  if (standing !== undefined) return standing;
  const elsewhere = (await (await context.runtimeIfAny())?.lookup([id]))?.find(
    ({ outcome }) => outcome !== undefined,
  )?.outcome;
  const branch = elsewhere?.branch;
  throw new LodestarError("TASK_NOT_FOUND", `There is no task ${id} here`, {
    details: { task_id: id, ...(branch === undefined ? {} : { branch }) },
    ...(branch === undefined ? {} : { hint: `It was seen on the branch ${branch}; check that out or merge it.` }),
  });
}

/** True when two keys are the same task. */
export const isSameKey = (a: TaskKey, b: TaskKey): boolean => a.task_id === b.task_id && a.created_at === b.created_at;

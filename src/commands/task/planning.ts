import { LodestarError } from "../../core/errors.ts";
import { checkNewId } from "../../core/ids.ts";
import { quote } from "../../core/shell.ts";
import { createdKey, type Task } from "../../core/task.ts";
import type { RuntimeTask } from "../../runtime/store.ts";
import type { SpecIndex } from "../../spec/index.ts";

/** What the runtime knows of ids that are to be made: read once, before the spec lock's loop. */
export type KnownTasks = readonly RuntimeTask[];

/**
 * Refuses an id that is in use: in this spec, or in the runtime under another branch's task (model.md, Identity).
 * @throws LodestarError `ID_TAKEN`, `INVALID_ID`
 */
export function checkFreeId(index: SpecIndex, known: KnownTasks, id: string, created_at: string | undefined): void {
  checkNewId(id, "a task");
  const here = index.task(id)?.task;
  if (here !== undefined) {
    const deleted = here.status === "deleted";
    throw new LodestarError("ID_TAKEN", `There is a task ${id} already${deleted ? ", deleted" : ""}`, {
      details: { task_id: id, status: here.status },
      ...(deleted ? { hint: `Bring it back with \`lodestar task reopen ${quote(id)}\`, or choose another id.` } : {}),
    });
  }
  const elsewhere = known.find(
    ({ key, outcome, lease }) =>
      key.task_id === id && key.created_at !== createdKey(created_at) && (outcome !== undefined || lease !== undefined),
  );
  if (elsewhere === undefined) return;
  const branch = elsewhere.outcome?.branch;
  throw new LodestarError(
    "ID_TAKEN",
    `The id ${id} is used by a task ${branch === undefined || branch === "" ? "of another branch" : `of the branch ${branch}`}`,
    {
      details: { task_id: id, ...(branch === undefined ? {} : { branch }) },
    },
  );
}

/**
 * Refuses dependencies that are not there or would close a cycle.
 * @param planned tasks of the same call: they count as there.
 * @throws LodestarError `TASK_NOT_FOUND`, `DEPENDENCY_CYCLE`
 */
export function checkDependencies(
  index: SpecIndex,
  id: string,
  depends_on: readonly string[],
  planned: ReadonlySet<string> = new Set(),
): void {
  const missing = depends_on.filter((need) => need !== id && !planned.has(need) && index.task(need) === undefined);
  if (missing.length > 0) {
    throw new LodestarError("TASK_NOT_FOUND", `${id} cannot depend on ${missing.join(", ")}: there is no such task`, {
      details: { task_id: missing[0], missing },
    });
  }
  const cycle = depends_on.includes(id) ? [id, id] : index.cycleThrough(id, depends_on);
  if (cycle !== undefined) throw cycleError(cycle);
}

export function cycleError(cycle: readonly string[]): LodestarError {
  return new LodestarError("DEPENDENCY_CYCLE", `That would make a circle: ${cycle.join(" → ")}`, {
    details: { cycle },
  });
}

/** A task with what is left out filled in. */
export function newTask(fields: Partial<Task> & Pick<Task, "id" | "title">, now: string): Task {
  return {
    acceptance_criteria: [],
    depends_on: [],
    labels: [],
    locks: [],
    priority: 100,
    status: "ready",
    reopens: [],
    created_at: now,
    updated_at: now,
    ...fields,
  };
}

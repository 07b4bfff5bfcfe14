import { LodestarError } from "../../core/errors.ts";
import type { Context } from "../context.ts";
import { type Look, look, requireTask } from "../look.ts";
import { isSpecTrouble } from "../task/lease-call.ts";

/**
 * Refuses a task that nobody knows. A thread belongs to the id and is shared by all worktrees: a task of another branch that the
 * runtime has seen will do. While the spec cannot be read, so will one that the runtime knows; talking must go on then.
 *
 * @throws LodestarError `TASK_NOT_FOUND`, or the spec's own error.
 */
export async function requireThread(context: Context, task_id: string): Promise<void> {
  let missing: LodestarError;
  try {
    const seen: Look = await look(context, "read");
    if (seen.header.broken.some((problem) => problem.task_id === task_id)) return;
    await requireTask(context, seen, task_id);
    return;
  } catch (error) {
    if (!(error instanceof LodestarError) || !(error.code === "TASK_NOT_FOUND" || isSpecTrouble(error))) throw error;
    missing = error;
  }
  const known = await (await context.runtimeIfAny())?.lookup([task_id]);
  if (known === undefined || known.length === 0) throw missing;
  if (isSpecTrouble(missing)) context.warn(`The spec cannot be read now: ${missing.message}`);
}

import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import { AgentId, Flag, Integer, List, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { line } from "../../core/view.ts";
import { command } from "../command.ts";
import { type Look, look, requireTask } from "../look.ts";
import { finishTasks } from "./finishing.ts";

export default command({
  name: "task.delete",
  effect: "write",
  summary: "Delete a task softly: it keeps its id and can be reopened",
  explain:
    "Sets the status to `deleted` and ends a lease on it. Refused while other tasks depend on it, unless --cascade deletes those too. Dependents of a task that was verified before are not blocked by its deletion. `task reopen` brings it back.",
  tool: "task.update",
  idempotent: true,
  destructive: true,
  positional: ["task_id"],
  options: { agent_id: "agent" },
  input: Shape({
    task_id: TaskId,
    agent_id: Optional(AgentId),
    cascade: Optional(Flag({ description: "Delete what depends on it too" })),
  }),
  output: Shape({ deleted: List(Shape({ id: TaskId, title: Text() })), count: Integer() }),
  errors: ["TASK_NOT_FOUND", "HAS_DEPENDENTS", "AGENT_NOT_FOUND"],
  examples: [{ line: "lodestar task delete TASK-001 --cascade", shows: "With everything that depends on it" }],
  run: async (input, context) => {
    const agent_id = context.actor(input.agent_id);
    const seen = await look(context, "write", agent_id);
    const standing = await requireTask(context, seen, input.task_id);
    const dependents = openDependents(seen, input.task_id);
    if (dependents.length > 0 && input.cascade !== true) {
      throw new LodestarError(
        "HAS_DEPENDENTS",
        `Task ${input.task_id} has ${counted(dependents.length, "dependent")}: ${dependents.slice(0, 5).join(", ")}`,
        {
          details: { task_id: input.task_id, dependents },
        },
      );
    }
    const { finished } = await finishTasks(context, {
      change: "delete",
      task_ids: [standing.task.id, ...dependents],
      force: true,
      ...(agent_id === undefined ? {} : { agent_id }),
    });
    const deleted = finished
      .filter((each) => !each.already)
      .map(({ key }) => ({ id: key.task_id, title: seen.schedule.standing(key.task_id)?.task.title ?? "" }));
    return { deleted, count: deleted.length };
  },
  next: () => [{ command: "task.list", input: {}, why: "See what is left" }],
  view: ({ deleted, count }) => [
    line(`Deleted ${count} task(s)`, "good"),
    ...deleted.map(({ id, title }) => line(`- ${id}: ${title}`, "plain", 1)),
  ],
});

/** Everything that depends on a task, directly or through others, and is not deleted. */
function openDependents(seen: Look, id: string): string[] {
  const found = new Set<string>();
  const queue = [id];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    for (const dependent of seen.index.dependents(next)) {
      if (dependent === id || found.has(dependent) || seen.schedule.standing(dependent)?.status === "deleted") continue;
      found.add(dependent);
      queue.push(dependent);
    }
  }
  return [...found];
}

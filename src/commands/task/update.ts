import { LodestarError } from "../../core/errors.ts";
import { AgentId, Integer, List, OneOf, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { quote } from "../../core/shell.ts";
import { rankOf, STATUSES } from "../../core/status.ts";
import type { Task } from "../../core/task.ts";
import { formatInstant } from "../../core/time.ts";
import { field, line } from "../../core/view.ts";
import { command } from "../command.ts";
import { look, requireTask } from "../look.ts";
import { effectiveTask } from "../outcome.ts";
import { requireRegistered } from "../refused.ts";
import { tell } from "../tell.ts";
import { settledPlan } from "./create.ts";
import { checkDependencies } from "./planning.ts";
import { taskData, taskFields } from "./shapes.ts";

export default command({
  name: "task.update",
  effect: "write",
  summary: "Change a task's fields",
  explain:
    "Changes only the fields that are given; every other byte of the spec stays. --status moves a task among todo, ready and blocked; done, verified and deleted have commands of their own (`task done`, `verify`, `delete`), and `task reopen` is the way back. A dependency that would close a circle is refused.",
  tool: true,
  tool_omits: ["feature"],
  tool_bare: ["title", "status", "add_label", "remove_label", "remove_dep", "remove_lock"],
  idempotent: true,
  destructive: true,
  positional: ["task_id"],
  aliases: { title: "t", description: "d", priority: "p", status: "s" },
  options: { accept: "accept", agent_id: "agent" },
  long_text: ["description"],
  input: Shape({
    task_id: TaskId,
    title: Optional(Text({ minLength: 1, maxLength: 1000, description: "What is to be done, in a line" })),
    description: Optional(Text({ maxLength: 1_000_000, description: "WHAT, WHERE, WHY, ACCEPT" })),
    priority: Optional(Integer({ description: "Lower comes first" })),
    status: Optional(OneOf(STATUSES, { description: "todo, ready or blocked; the others have commands of their own" })),
    add_label: Optional(List(Text({ minLength: 1 }), { description: "Label to put on" })),
    remove_label: Optional(List(Text({ minLength: 1 }), { description: "Label to take off" })),
    add_dep: Optional(List(TaskId, { description: "Task that must be verified first" })),
    remove_dep: Optional(List(TaskId, { description: "Task that it no longer waits for" })),
    add_lock: Optional(List(Text({ minLength: 1 }), { description: "Glob of files to own while claimed" })),
    remove_lock: Optional(List(Text({ minLength: 1 }), { description: "Glob of files no longer to own" })),
    accept: Optional(List(Text({ minLength: 1 }), { description: "Acceptance criterion to add" })),
    feature: Optional(Text({ minLength: 1, description: "Feature to put it in" })),
    agent_id: Optional(AgentId),
  }),
  output: Shape({ ...taskFields, updated_fields: List(Text()) }),
  errors: ["AGENT_NOT_FOUND", "TASK_NOT_FOUND", "NOT_CLAIMABLE", "DEPENDENCY_CYCLE"],
  examples: [
    { line: "lodestar task update TASK-001 --priority 5 --add-label urgent", shows: "More urgent" },
    { line: "lodestar task update TASK-002 --add-dep TASK-001", shows: "Let it wait for another" },
  ],
  run: async (input, context) => {
    const { status } = input;
    if (status === "done" || status === "verified" || status === "deleted") {
      const verb = status === "done" ? "done" : status === "verified" ? "verify" : "delete";
      throw new LodestarError("USAGE", `An update does not set ${status}: that is an outcome, with rules of its own.`, {
        hint: `Run \`lodestar task ${verb} ${quote(input.task_id)}\`.`,
      });
    }
    const agent_id = context.actor(input.agent_id);
    await requireRegistered(context, agent_id);
    const runtime = await context.runtime();
    const seen = await look(context, "write", agent_id);
    const standing = await requireTask(context, seen, input.task_id);
    if (status !== undefined) refuseMovingBack(input.task_id, standing.status);
    // With an idempotency key a repeat finds its change made, and answers as the call that made it.
    const { now, fields } = await settledPlan(context, {
      now: formatInstant(context.clock.now()),
      fields: Object.keys(changesOf(standing.task, input)),
    });
    let changed: Partial<Task> = {};
    const made = await context.spec.locked((session) =>
      session.save((index) => {
        const task = index.task(input.task_id)?.task;
        if (task === undefined)
          throw new LodestarError("TASK_NOT_FOUND", `There is no task ${input.task_id} here`, {
            details: { task_id: input.task_id },
          });
        // Looked at again under the lock: an outcome that was recorded meanwhile is not overwritten.
        if (status !== undefined) refuseMovingBack(task.id, task.status);
        changed = changesOf(task, input);
        if (changed.depends_on !== undefined)
          checkDependencies(
            index,
            task.id,
            changed.depends_on.filter((id) => !task.depends_on.includes(id)),
          );
        const edits =
          Object.keys(changed).length === 0
            ? []
            : [{ kind: "set" as const, task_id: task.id, fields: { ...changed, updated_at: now } }];
        const inFeature = input.feature === undefined || (index.features()[input.feature] ?? []).includes(task.id);
        return inFeature || input.feature === undefined
          ? edits
          : [...edits, { kind: "feature" as const, feature: input.feature, task_id: task.id }];
      }),
    );
    const own = made || context.idempotency("plan") === undefined ? Object.keys(changed) : fields;
    const updated_fields = [...own, ...(input.feature === undefined ? [] : ["feature"])];
    if (made)
      await tell(context, runtime, [
        {
          type: "task.updated",
          task_id: input.task_id,
          data: { updated_fields },
          ...(agent_id === undefined ? {} : { agent_id }),
        },
      ]);
    const after = await requireTask(context, await look(context, "write", agent_id), input.task_id);
    return { ...taskData(effectiveTask(after.task, after.known)), updated_fields };
  },
  next: ({ id }) => [{ command: "task.show", input: { task_id: id }, why: "Look at it" }],
  view: ({ id, updated_fields }) =>
    updated_fields.length === 0
      ? [line(`${id} is so already; nothing was changed`)]
      : [line(`Updated task ${id}`, "good"), field("Fields", updated_fields.join(", "))],
});

interface Wanted {
  readonly title?: string;
  readonly description?: string;
  readonly priority?: number;
  readonly status?: Task["status"];
  readonly add_label?: readonly string[];
  readonly remove_label?: readonly string[];
  readonly add_dep?: readonly string[];
  readonly remove_dep?: readonly string[];
  readonly add_lock?: readonly string[];
  readonly remove_lock?: readonly string[];
  readonly accept?: readonly string[];
  readonly feature?: string;
}

/** @throws LodestarError `NOT_CLAIMABLE` when the task has an outcome: only `reopen` takes it back. */
function refuseMovingBack(task_id: string, status: Task["status"]): void {
  if (rankOf(status) === 0) return;
  throw new LodestarError("NOT_CLAIMABLE", `Task ${task_id} is ${status}; an update does not move it back`, {
    details: { task_id, status },
    hint: `Run \`lodestar task reopen ${quote(task_id)}\` first.`,
  });
}

/** The fields that would be different. @throws LodestarError `USAGE` when nothing at all is asked for. */
function changesOf(task: Task, wanted: Wanted): Partial<Task> {
  const asked = Object.entries(wanted).filter(
    ([name, value]) => value !== undefined && name !== "task_id" && name !== "agent_id",
  );
  if (asked.length === 0)
    throw new LodestarError("USAGE", "No updates specified.", {
      hint: "See `lodestar task update --help` for what can be changed.",
    });
  const after: Partial<Task> = {
    ...(wanted.title === undefined ? {} : { title: wanted.title }),
    ...(wanted.description === undefined ? {} : { description: wanted.description }),
    ...(wanted.priority === undefined ? {} : { priority: wanted.priority }),
    ...(wanted.status === undefined ? {} : { status: wanted.status }),
    labels: edited(task.labels, wanted.add_label, wanted.remove_label),
    depends_on: edited(task.depends_on, wanted.add_dep, wanted.remove_dep),
    locks: edited(task.locks, wanted.add_lock, wanted.remove_lock),
    acceptance_criteria: edited(task.acceptance_criteria, wanted.accept, undefined),
  };
  return Object.fromEntries(
    Object.entries(after).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(task[name as keyof Task])),
  );
}

function edited(list: readonly string[], add: readonly string[] = [], remove: readonly string[] = []): string[] {
  const kept = list.filter((item) => !remove.includes(item));
  return [...kept, ...add.filter((item, i) => !kept.includes(item) && add.indexOf(item) === i)];
}

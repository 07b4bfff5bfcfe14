import { LodestarError } from "../../core/errors.ts";
import { newTaskId } from "../../core/ids.ts";
import { AgentId, Flag, Integer, List, NewTaskId, OneOf, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import type { Prd, Task } from "../../core/task.ts";
import { formatInstant } from "../../core/time.ts";
import { field, line, list } from "../../core/view.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { requireRegistered } from "../refused.ts";
import { tell } from "../tell.ts";
import { checkDependencies, checkFreeId, newTask } from "./planning.ts";
import { taskData, taskFields } from "./shapes.ts";

export default command({
  name: "task.create",
  effect: "write",
  summary: "Create a task",
  explain:
    "Adds one task to the spec, where its id sorts among its neighbours. Without --id a short random id is made that two branches will not both choose. Dependencies must exist, and must not close a circle. With --prd-source the task cites a product document in the repository: what its --prd-ref sections say now is frozen, so that a later edit of one of them is told when the task is claimed (`prd check` tells all). What is created is `ready`, unless --status says todo or blocked.",
  positional: [],
  aliases: { title: "t", description: "d", priority: "p", status: "s", labels: "l", acceptance_criteria: "a" },
  options: {
    labels: "label",
    locks: "lock",
    acceptance_criteria: "accept",
    prd_refs: "prd-ref",
    agent_id: "agent",
  },
  long_text: ["description", "prd_excerpt"],
  input: Shape({
    title: Text({ minLength: 1, maxLength: 1000, description: "What is to be done, in a line" }),
    id: Optional(NewTaskId),
    description: Optional(Text({ maxLength: 1_000_000, description: "WHAT, WHERE, WHY, ACCEPT" })),
    priority: Optional(Integer({ default: 100, description: "Lower comes first" })),
    status: Optional(OneOf(["todo", "ready", "blocked"], { description: "Initial status (default ready)" })),
    depends_on: Optional(List(TaskId, { description: "Id of a task that must be verified first" })),
    labels: Optional(List(Text({ minLength: 1 }), { description: "Label, for filters" })),
    locks: Optional(List(Text({ minLength: 1 }), { description: "Glob of files that the task owns while claimed" })),
    acceptance_criteria: Optional(List(Text({ minLength: 1 }), { description: "Acceptance criterion" })),
    feature: Optional(Text({ minLength: 1, description: "Feature that the task belongs to" })),
    prd_source: Optional(Text({ minLength: 1, description: "Product document in the repository, such as PRD.md" })),
    prd_refs: Optional(List(Text({ minLength: 1 }), { description: "Section of it, such as #log-in" })),
    prd_excerpt: Optional(Text({ maxLength: 100_000, description: "Words of it to keep in the task" })),
    validate_prd: Optional(Flag({ default: true, description: "Require the document and its sections to be there" })),
    agent_id: Optional(AgentId),
  }),
  output: Shape(taskFields),
  errors: [
    "AGENT_NOT_FOUND",
    "ID_TAKEN",
    "INVALID_ID",
    "TASK_NOT_FOUND",
    "DEPENDENCY_CYCLE",
    "PATH_NOT_FOUND",
    "ANCHOR_NOT_FOUND",
    "PRD_OUTSIDE_REPOSITORY",
  ],
  examples: [
    {
      line: 'lodestar task create --id TASK-001 --title "Login form" --priority 1 --label feature',
      shows: "With an id of your own",
    },
    {
      line: 'lodestar task create --title "Logout" --depends-on TASK-001 --lock "src/auth/**"',
      shows: "After another, owning its files",
    },
    {
      line: "lodestar task create --title Cache --prd-source PRD.md --prd-ref '#cache'",
      shows: "With the section it comes from",
    },
  ],
  run: async (input, context) => {
    const { feature, agent_id: _, id: wanted, prd_source, prd_refs, prd_excerpt, validate_prd, ...fields } = input;
    if (prd_source === undefined && (prd_refs !== undefined || prd_excerpt !== undefined))
      throw new LodestarError("USAGE", "A section or an excerpt needs the document that it is from: --prd-source", {
        hint: "Add `--prd-source FILE`.",
      });
    const agent_id = context.actor(input.agent_id);
    await requireRegistered(context, agent_id);
    const runtime = await context.runtime();
    const now = formatInstant(context.clock.now());
    const plan = await settledPlan(context, {
      id: wanted ?? newTaskId(context.random, await roughCount(context)),
      now,
    });
    const known = await runtime.lookup([plan.id]);
    const prd =
      prd_source === undefined
        ? {}
        : { prd: await freezeFor(context, { source: prd_source, refs: prd_refs, excerpt: prd_excerpt }, validate_prd) };
    const task = newTask({ ...(fields as Partial<Task> & { title: string }), ...prd, id: plan.id }, plan.now);
    const made = await context.spec.locked((session) =>
      session.save((index) => {
        // A repeat whose first try was saved before it could answer.
        // Only under a key: without one, another process may have made the same id in the same millisecond.
        const there = context.idempotency("plan") === undefined ? undefined : index.task(plan.id)?.task;
        if (there?.created_at === plan.now && there.title === task.title) return [];
        checkFreeId(index, known, plan.id, plan.now);
        checkDependencies(index, plan.id, task.depends_on);
        const after = index.predecessor(plan.id);
        const add = after === undefined ? { kind: "add" as const, task } : { kind: "add" as const, task, after };
        return feature === undefined ? [add] : [add, { kind: "feature", feature, task_id: plan.id }];
      }),
    );
    if (made)
      await tell(context, runtime, [
        {
          type: "task.created",
          task_id: plan.id,
          data: { title: task.title },
          ...(agent_id === undefined ? {} : { agent_id }),
        },
      ]);
    return taskData(task);
  },
  next: ({ id, status, depends_on }) =>
    status === "ready" && depends_on === undefined
      ? [{ command: "task.claim", input: { task_ids: [id] }, why: "Claim it" }]
      : [{ command: "task.show", input: { task_id: id }, why: "Look at it" }],
  view: ({ id, title, status, depends_on }) => [
    line(`Created task ${id}`, "good"),
    field("Title", title),
    field("Status", status),
    ...(depends_on === undefined ? [] : [list(depends_on, "Waits for")]),
  ],
});

async function freezeFor(
  context: Context,
  {
    source,
    refs = [],
    excerpt,
  }: { source: string; refs?: readonly string[] | undefined; excerpt?: string | undefined },
  strict = true,
): Promise<Prd> {
  const [{ freeze }, { openSources }] = await Promise.all([import("../prd/freeze.ts"), import("../prd/sources.ts")]);
  const sources = openSources(context, await context.spec.index("write"));
  const citation = { source, refs: refs.map((anchor) => ({ anchor })), ...(excerpt === undefined ? {} : { excerpt }) };
  return freeze(sources, context.cwd, citation, strict);
}

/** Roughly how many tasks there are, for the length of a new id. */
async function roughCount(context: Context): Promise<number> {
  return (await context.spec.index("write")).count();
}

/** With an idempotency key a repeat uses the id and the time of the first try. */
export async function settledPlan<P>(context: Context, plan: P): Promise<P> {
  const idempotency = context.idempotency("plan");
  if (idempotency === undefined) return plan;
  const intent = await (await context.runtime()).intend(idempotency, plan);
  return intent.kind === "planned" ? (intent.plan as P) : plan;
}

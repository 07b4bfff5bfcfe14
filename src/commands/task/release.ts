import { newMessageId } from "../../core/ids.ts";
import { AgentId, Flag, LeaseId, Optional, Shape, StatusWord, TaskId, Token } from "../../core/schema.ts";
import { formatInstant } from "../../core/time.ts";
import { line } from "../../core/view.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { refusalError } from "../refused.ts";
import { leaseKey, stepKey, tokenFor } from "./lease-call.ts";
import { NoteText } from "./shapes.ts";

export default command({
  name: "task.release",
  effect: "write",
  summary: "Give a task back unfinished",
  explain:
    "Ends your lease; the task is claimable again, for you last. --note leaves word in the task's thread for whoever takes it next. --block also sets the task's status to `blocked`, so that nobody takes it before it is set back to `ready`. --force ends somebody else's lease, and the event says so.",
  tool: true,
  tool_omits: ["lease_id"],
  tool_bare: ["note"],
  idempotent: true,
  positional: ["task_id"],
  aliases: { agent_id: "a" },
  options: { agent_id: "agent" },
  long_text: ["note"],
  input: Shape({
    task_id: TaskId,
    agent_id: Optional(AgentId),
    fencing_token: Optional(Token),
    lease_id: Optional(LeaseId),
    note: Optional(NoteText),
    block: Optional(Flag({ description: "Also set the task to blocked" })),
    force: Optional(Flag({ description: "End another agent's lease" })),
  }),
  output: Shape({ task_id: TaskId, released: Flag(), already: Optional(Flag()), status: Optional(StatusWord) }),
  errors: ["TASK_NOT_FOUND", "AGENT_REQUIRED", "AGENT_NOT_FOUND", "LEASE_LOST", "NOT_HOLDER"],
  examples: [
    {
      line: 'lodestar task release TASK-001 --note "Needs the schema of TASK-004 first" --block',
      shows: "Give it back and say why",
    },
  ],
  run: (input, context) => giveBack(context, input),
  next: () => [{ command: "task.next", input: {}, why: "Take other work" }],
  view: ({ task_id, status }) => [
    line(`Released claim on ${task_id}${status === "blocked" ? " and set it to blocked" : ""}`, "good"),
  ],
});

export interface GivingBack {
  readonly task_id: string;
  readonly agent_id?: string;
  readonly fencing_token?: number;
  readonly lease_id?: string;
  readonly note?: string;
  readonly block?: boolean;
  readonly force?: boolean;
  /** The attempt at the work failed: the event says so. */
  readonly failed?: true;
}

/**
 * Ends a lease, and sets the task to `blocked` when asked to.
 *
 * @throws LodestarError why it was refused; then nothing was changed.
 */
export async function giveBack(context: Context, input: GivingBack) {
  const agent_id = context.actor(input.agent_id);
  const runtime = await context.runtime();
  const result = await runtime.release({
    key: await leaseKey(context, input.task_id),
    force: input.force ?? false,
    how: "released",
    ...(agent_id === undefined ? {} : { agent_id }),
    ...tokenFor(context, input),
    ...(input.failed === undefined ? {} : { failed: input.failed }),
    ...(input.note === undefined ? {} : { note: { text: input.note, message_id: newMessageId(context.random) } }),
    ...stepKey(context, "release"),
  });
  if (result.kind !== "released") throw refusalError(result, agent_id);
  const done = { task_id: input.task_id, released: true, ...(result.already ? { already: true } : {}) };
  if (input.block !== true) return done;
  const now = context.clock.now();
  await context.spec.locked((session) =>
    session.save((index) => {
      const task = index.task(input.task_id)?.task;
      const isOpen = task !== undefined && (task.status === "ready" || task.status === "todo");
      return isOpen
        ? [{ kind: "set", task_id: task.id, fields: { status: "blocked", updated_at: formatInstant(now) } }]
        : [];
    }),
  );
  const { tell } = await import("../tell.ts");
  await tell(context, runtime, [
    {
      type: "task.updated",
      task_id: input.task_id,
      data: { updated_fields: ["status"], status: "blocked" },
      ...(agent_id === undefined ? {} : { agent_id }),
    },
  ]);
  return { ...done, status: "blocked" as const };
}

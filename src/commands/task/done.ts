import {
  AgentId,
  Flag,
  Instant,
  LeaseId,
  List,
  Optional,
  Shape,
  StatusWord,
  TaskId,
  Token,
} from "../../core/schema.ts";
import { formatInstant } from "../../core/time.ts";
import { line, list, note } from "../../core/view.ts";
import { command } from "../command.ts";
import { NoteText } from "./shapes.ts";

export default command({
  name: "task.done",
  effect: "write",
  summary: "Mark a task as done",
  explain:
    "Records that the work is finished, ends your lease and writes the spec. Accepted from the holder; from the last holder whose lease ran out, if nobody was granted the task since; from anyone when the task is claimable and nobody has held it. Without an agent the holder is meant. Dependents wait until it is verified; --verify does both at once where the project allows it. Repeating it is safe.",
  tool: true,
  tool_omits: ["lease_id"],
  idempotent: true,
  positional: ["task_id"],
  aliases: {},
  options: { agent_id: "agent" },
  long_text: ["note"],
  input: Shape({
    task_id: TaskId,
    agent_id: Optional(AgentId),
    fencing_token: Optional(Token),
    lease_id: Optional(LeaseId),
    note: Optional(NoteText),
    verify: Optional(Flag({ description: "Verify it too" })),
    force: Optional(Flag({ description: "Although another agent holds it" })),
  }),
  output: Shape({
    task_id: TaskId,
    status: StatusWord,
    completed_by: Optional(AgentId),
    completed_at: Optional(Instant),
    unblocked: Optional(List(TaskId)),
    already: Optional(Flag()),
  }),
  errors: [
    "TASK_NOT_FOUND",
    "AGENT_REQUIRED",
    "AGENT_NOT_FOUND",
    "NOT_HOLDER",
    "LEASE_LOST",
    "NOT_CLAIMABLE",
    "UNMET_DEPENDENCIES",
    "SELF_VERIFICATION",
  ],
  examples: [
    { line: "lodestar task done TASK-001", shows: "Finish what is held" },
    {
      line: 'lodestar task done TASK-001 --verify --note "All tests pass"',
      shows: "Finish and verify, with word for the others",
    },
  ],
  run: async (input, context) => {
    // Loaded late: who is only told to do this next needs none of it.
    const [{ finishTasks }, { tokenFor }] = await Promise.all([import("./finishing.ts"), import("./lease-call.ts")]);
    const agent_id = context.actor(input.agent_id);
    const { finished } = await finishTasks(context, {
      change: input.verify === true ? "done_verify" : "done",
      task_ids: [input.task_id],
      force: input.force ?? false,
      ...(agent_id === undefined ? {} : { agent_id }),
      ...tokenFor(context, input),
      ...(input.note === undefined ? {} : { note: input.note }),
    });
    const [one] = finished;
    const { completed_by, completed_at, unblocked } = one?.outcome ?? {};
    return {
      task_id: input.task_id,
      status: one?.status ?? "done",
      ...(completed_by === undefined ? {} : { completed_by }),
      ...(completed_at === undefined ? {} : { completed_at: formatInstant(completed_at) }),
      ...(unblocked === undefined || unblocked.length === 0 ? {} : { unblocked: [...unblocked] }),
      ...(one?.already === true ? { already: true } : {}),
    };
  },
  next: ({ task_id, status }) =>
    status === "done"
      ? [{ command: "task.verify", input: { task_ids: [task_id] }, why: "After review; unblocks what waits for it" }]
      : [{ command: "task.next", input: {}, why: "Take the next task" }],
  view: ({ task_id, status, unblocked, already }) => [
    line(
      already === true
        ? `${task_id} was done already; it is ${status}`
        : status === "verified"
          ? `Marked ${task_id} as done and verified`
          : `Marked ${task_id} as done`,
      "good",
    ),
    ...(status === "done" ? [note(`Run lodestar task verify ${task_id} after review`)] : []),
    ...(unblocked === undefined ? [] : [list(unblocked, "Unblocked tasks")]),
    ...(already === true ? [] : [note("Commit .lodestar/spec.yaml with your work")]),
  ],
});

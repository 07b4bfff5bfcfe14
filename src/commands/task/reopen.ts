import { AgentId, Flag, List, Optional, Shape, StatusWord, TaskId, Text } from "../../core/schema.ts";
import { line } from "../../core/view.ts";
import { command } from "../command.ts";
import { finishTasks } from "./finishing.ts";
import { NoteText } from "./shapes.ts";

export default command({
  name: "task.reopen",
  effect: "write",
  summary: "Return a done, verified or deleted task to work",
  explain:
    "The only way back: adds a random id to the task's `reopens`, sets it to ready and removes the records of who completed and verified it. Merging two branches cannot undo it. A task that is open already stays as it is.",
  tool: "task.update",
  tool_bare: ["note", "force"],
  idempotent: true,
  destructive: true,
  positional: ["task_id"],
  options: { agent_id: "agent" },
  long_text: ["note"],
  input: Shape({
    task_id: TaskId,
    agent_id: Optional(AgentId),
    note: Optional(NoteText),
    force: Optional(Flag({ description: "Although another agent reviews it" })),
  }),
  output: Shape({ task_id: TaskId, status: StatusWord, reopens: List(Text()), already: Optional(Flag()) }),
  errors: ["TASK_NOT_FOUND", "NOT_HOLDER", "AGENT_NOT_FOUND"],
  examples: [{ line: 'lodestar task reopen TASK-001 --note "Fails on Windows"', shows: "Send it back, and say why" }],
  run: async (input, context) => {
    const agent_id = context.actor(input.agent_id);
    const { finished } = await finishTasks(context, {
      change: "reopen",
      task_ids: [input.task_id],
      force: input.force ?? false,
      ...(agent_id === undefined ? {} : { agent_id }),
      ...(input.note === undefined ? {} : { note: input.note }),
    });
    const [one] = finished;
    return {
      task_id: input.task_id,
      status: one?.status ?? "ready",
      reopens: [...(one?.outcome.reopens ?? [])],
      ...(one?.already === true ? { already: true } : {}),
    };
  },
  next: ({ task_id }) => [{ command: "task.claim", input: { task_ids: [task_id] }, why: "Work on it again" }],
  view: ({ task_id, status, already }) => [
    line(already === true ? `${task_id} is open already (${status})` : `Reopened ${task_id}: it is ${status}`, "good"),
  ],
});

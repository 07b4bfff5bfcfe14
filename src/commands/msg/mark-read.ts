import { LodestarError } from "../../core/errors.ts";
import { AgentId, Integer, List, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { line } from "../../core/view.ts";
import { command } from "../command.ts";
import { requireRegistered } from "../refused.ts";
import { bareTask } from "./shapes.ts";
import { requireThread } from "./threads.ts";

export default command({
  name: "msg.mark_read",
  effect: "write",
  summary: "Mark messages as read",
  explain:
    "All of a task's thread (--task), or only the messages named (--message-id). It counts for you alone: every agent has its own receipts. Marking twice changes nothing.",
  aliases: { task_id: "t", agent_id: "a", message_ids: "m" },
  options: { task_id: "task", agent_id: "agent", message_ids: "message-id" },
  input: Shape({
    task_id: Optional({ ...TaskId, description: "In the thread of the task with this id" }),
    agent_id: Optional(AgentId),
    message_ids: Optional(
      List(Text({ minLength: 1 }), { minItems: 1, maxItems: 1000, description: "Only this message" }),
    ),
  }),
  output: Shape({ task_id: Optional(TaskId), agent_id: AgentId, messages_marked: Integer() }),
  errors: ["AGENT_REQUIRED", "AGENT_NOT_FOUND", "TASK_NOT_FOUND"],
  examples: [
    { line: "lodestar msg mark-read --task TASK-001 --agent A1B2C3D4", shows: "The whole thread" },
    { line: "lodestar msg mark-read --message-id M0ABCDEF1234 --agent A1B2C3D4", shows: "One message" },
  ],
  run: async (input, context) => {
    const agent_id = context.requireActor(input.agent_id);
    const { message_ids } = input;
    const task_id = input.task_id === undefined ? undefined : bareTask(input.task_id);
    if (task_id === undefined && message_ids === undefined) {
      throw new LodestarError("USAGE", "Say what you have read: --task ID or --message-id ID.", {
        hint: "`lodestar msg inbox` marks what it shows.",
      });
    }
    const runtime = await context.runtime();
    if (task_id !== undefined) await requireThread(context, task_id);
    await requireRegistered(context, agent_id, { runtime });
    const marked = await runtime.markRead(agent_id, {
      ...(task_id === undefined ? {} : { task_id }),
      ...(message_ids === undefined ? {} : { message_ids }),
    });
    return { ...(task_id === undefined ? {} : { task_id }), agent_id, messages_marked: marked.length };
  },
  view: ({ task_id, messages_marked }) => [
    line(`Marked ${messages_marked} message(s) as read${task_id === undefined ? "" : ` in task ${task_id}`}`, "good"),
  ],
});

import { AgentId, Flag, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { line } from "../../core/view.ts";
import type { MessageQuery } from "../../runtime/store.ts";
import { command } from "../command.ts";
import {
  bareTask,
  between,
  Cursor,
  cursorAt,
  isCursor,
  items,
  Limit,
  messageViews,
  PAGE,
  pageFields,
  readCursor,
} from "./shapes.ts";
import { requireThread } from "./threads.ts";

export default command({
  name: "msg.thread",
  effect: "read",
  summary: "Read what was said about a task",
  explain:
    "The thread of a task, the oldest first, with who has read each message. Reading marks nothing: `msg mark-read` does. `cursor` is where the answer ends: the next call with it shows what came after, each message once, also while others write.",
  tool: "msg.inbox",
  tool_omits: ["since", "unread"],
  tool_bare: ["limit", "cursor"],
  positional: ["task_id"],
  aliases: { since: "s", limit: "n", agent_id: "a" },
  options: { agent_id: "agent" },
  items: "messages",
  input: Shape({
    task_id: TaskId,
    since: Optional(Text({ minLength: 1, description: "Only those sent then or later, as ISO 8601; or a cursor" })),
    limit: Optional(Limit),
    cursor: Optional(Cursor),
    unread: Optional(Flag({ description: "Only what the agent has not read" })),
    agent_id: Optional(AgentId),
  }),
  output: Shape({ task_id: TaskId, ...pageFields }),
  errors: ["TASK_NOT_FOUND", "AGENT_REQUIRED"],
  examples: [
    { line: "lodestar msg thread TASK-001", shows: "All that was said" },
    { line: "lodestar msg thread TASK-001 --unread --agent A1B2C3D4", shows: "What you have not read" },
  ],
  run: async (input, context) => {
    const task_id = bareTask(input.task_id);
    const reader = input.unread === true ? context.requireActor(input.agent_id) : undefined;
    await requireThread(context, task_id);
    // A script of 1.0 hands the cursor back as --since.
    const cursor = input.cursor ?? (input.since !== undefined && isCursor(input.since) ? input.since : undefined);
    const times = input.since === undefined || input.since === cursor ? {} : between({ since: input.since });
    const after = cursor === undefined ? undefined : readCursor(cursor);
    const query: MessageQuery = {
      task_id,
      order: "oldest",
      limit: input.limit ?? PAGE,
      ...times,
      ...(reader === undefined ? {} : { unread_by: reader }),
      ...(after === undefined ? {} : { after }),
    };
    const page = (await (await context.runtimeIfAny())?.messages(query)) ?? { messages: [], count: 0, more: false };
    const last = page.last ?? after;
    return {
      task_id,
      messages: items(page, true),
      count: page.messages.length,
      ...(last === undefined ? {} : { cursor: cursorAt(last) }),
    };
  },
  next: ({ task_id, count, cursor }, input) => {
    const agent = input.agent_id === undefined ? {} : { agent_id: input.agent_id };
    if (cursor !== undefined && count === (input.limit ?? PAGE)) {
      const { since: _, ...rest } = input;
      return [{ command: "msg.thread", input: { ...rest, cursor }, why: "Go on reading" }];
    }
    if (input.unread === true && count > 0)
      return [{ command: "msg.mark_read", input: { task_id, ...agent }, why: "Mark them as read" }];
    return [{ command: "msg.send", input: { task_id, ...agent }, why: "Write to the thread" }];
  },
  view: ({ task_id, messages, count }, input) => [
    line(`Thread for ${task_id}${input.unread === true ? " (unread)" : ""}`, "strong"),
    ...(count === 0 ? [line("No messages in thread.")] : messageViews(messages, false)),
  ],
});

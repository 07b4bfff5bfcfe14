import { AgentId, Flag, Integer, Optional, Shape, Text, Union } from "../../core/schema.ts";
import { line } from "../../core/view.ts";
import type { MessagePage, MessageQuery } from "../../runtime/store.ts";
import { command } from "../command.ts";
import { requireRegistered } from "../refused.ts";
import { stepKey } from "../task/lease-call.ts";
import {
  between,
  Cursor,
  cursorAt,
  items,
  Limit,
  messageViews,
  moreNote,
  PAGE,
  pageFields,
  readCursor,
  Since,
  Until,
} from "./shapes.ts";

export default command({
  name: "msg.inbox",
  effect: "write",
  only_reads: (input) => input.count === true || input.mark_as_read === false,
  summary: "Read your messages",
  explain:
    "Messages to you, and those in the threads of tasks that you hold; the newest first. Filters come before the limit. What is shown is marked as read, in the same step: with --unread-only a message is shown to you once, also when several of your sessions ask at the same time. With --idempotency-key a repeated call shows the same messages again. Your own messages are never unread. --no-mark-as-read and --count change nothing.",
  tool: true,
  tool_omits: ["from_agent_id", "until", "count", "show_read_status", "since"],
  tool_bare: ["limit", "cursor", "fields"],
  idempotent: true,
  aliases: { agent_id: "a", since: "s", until: "u", from_agent_id: "f", limit: "n" },
  options: { agent_id: "agent", from_agent_id: "from" },
  items: "messages",
  input: Shape({
    agent_id: Optional(AgentId),
    unread_only: Optional(Flag({ description: "Only what you have not read" })),
    from_agent_id: Optional(Text({ minLength: 1, description: "Only from the agent with this id" })),
    since: Optional(Since),
    until: Optional(Until),
    limit: Optional(Limit),
    cursor: Optional(Cursor),
    count: Optional(Flag({ description: "Only say how many there are, on all pages" })),
    mark_as_read: Optional(Flag({ default: true, description: "Leave what is shown unread" })),
    show_read_status: Optional(Flag({ description: "Also say who has read each" })),
  }),
  output: Union([Shape(pageFields), Shape({ count: Integer() })]),
  errors: ["AGENT_REQUIRED", "AGENT_NOT_FOUND"],
  examples: [
    { line: "lodestar msg inbox --agent A1B2C3D4 --unread-only", shows: "What is new, and mark it as read" },
    { line: "lodestar msg inbox --agent A1B2C3D4 --unread-only --count --json", shows: "How many wait" },
  ],
  run: async (input, context) => {
    const agent_id = context.requireActor(input.agent_id);
    const { from_agent_id, unread_only, cursor } = input;
    const query: MessageQuery = {
      inbox_of: agent_id,
      order: "newest",
      limit: input.count === true ? 1 : (input.limit ?? PAGE),
      ...between(input),
      ...(from_agent_id === undefined ? {} : { from_agent_id }),
      ...(unread_only === true ? { unread_by: agent_id } : {}),
      ...(cursor === undefined ? {} : { after: readCursor(cursor) }),
    };
    const looks = input.count === true || input.mark_as_read === false;
    const runtime = looks ? await context.runtimeIfAny() : await context.runtime();
    await requireRegistered(context, agent_id, { runtime });
    const page: MessagePage = (await (looks
      ? runtime?.messages(query)
      : runtime?.receive(agent_id, query, stepKey(context, "receive").idempotency))) ?? {
      messages: [],
      count: 0,
      more: false,
    };
    if (input.count === true) return { count: page.count };
    return {
      messages: items(page, input.show_read_status === true),
      count: page.messages.length,
      ...(page.more && page.last !== undefined ? { cursor: cursorAt(page.last) } : {}),
    };
  },
  next: (output, input) => {
    const agent = input.agent_id === undefined ? {} : { agent_id: input.agent_id };
    if (!("messages" in output))
      return output.count === 0 ? [] : [{ command: "msg.inbox", input: { ...input, count: false }, why: "Read them" }];
    if (output.cursor !== undefined)
      return [{ command: "msg.inbox", input: { ...input, cursor: output.cursor }, why: "See older ones" }];
    const first = output.messages.find((one) => one.from_agent_id !== undefined);
    if (first === undefined) return [{ command: "msg.wait", input: agent, why: "Wait for the next one" }];
    const to = first.task_id === undefined ? `agent:${first.from_agent_id}` : `task:${first.task_id}`;
    return [{ command: "msg.send", input: { to, ...agent }, why: "Answer" }];
  },
  view: (output) => {
    if (!("messages" in output)) return [line(`Messages: ${output.count}`)];
    const { messages, count, cursor } = output;
    if (count === 0) return [line("No messages.")];
    return [line(`Messages (${count})`, "strong"), ...messageViews(messages, true), ...moreNote(cursor)];
  },
});

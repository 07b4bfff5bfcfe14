import { LodestarError } from "../../core/errors.ts";
import { AgentId, Duration, Optional, Shape } from "../../core/schema.ts";
import { formatDuration, MINUTE, readDuration } from "../../core/time.ts";
import { line } from "../../core/view.ts";
import type { MessageQuery } from "../../runtime/store.ts";
import { command } from "../command.ts";
import { requireRegistered } from "../refused.ts";
import { waitFor } from "../task/waiting.ts";
import { between, cursorAt, items, messageViews, moreNote, PAGE, pageFields, Since } from "./shapes.ts";

const PATIENCE = 10 * MINUTE;

export default command({
  name: "msg.wait",
  effect: "read",
  summary: "Wait until there is an unread message for you",
  explain:
    "Returns the unread messages of your inbox as soon as there is one, at once if there is one already, and leaves them unread: `msg inbox` reads them. With --since only messages from then on count. Uses next to no processor time while it waits.",
  aliases: { agent_id: "a", since: "s", timeout: "t" },
  options: { agent_id: "agent" },
  items: "messages",
  input: Shape({
    agent_id: Optional(AgentId),
    timeout: Optional(Duration("Give up after, such as 90s or 10m (default 10m)")),
    since: Optional(Since),
  }),
  output: Shape(pageFields),
  errors: ["AGENT_REQUIRED", "AGENT_NOT_FOUND", "TIMEOUT"],
  examples: [{ line: "lodestar msg wait --agent A1B2C3D4 --timeout 5m", shows: "Until somebody answers" }],
  run: async (input, context) => {
    const agent_id = context.requireActor(input.agent_id);
    await requireRegistered(context, agent_id, { runtime: await context.runtimeIfAny() });
    const patience = input.timeout === undefined ? PATIENCE : (readDuration(input.timeout) ?? PATIENCE);
    const query: MessageQuery = {
      inbox_of: agent_id,
      unread_by: agent_id,
      order: "newest",
      limit: PAGE,
      ...between(input),
    };
    const page = await waitFor(context, patience, undefined, async () => {
      const found = await (await context.runtimeIfAny())?.messages(query);
      return found === undefined || found.count === 0 ? undefined : found;
    });
    if (page === undefined) {
      throw new LodestarError("TIMEOUT", `No message for ${agent_id} came within ${formatDuration(patience)}`, {
        details: { agent_id },
      });
    }
    return {
      messages: items(page, false),
      count: page.messages.length,
      ...(page.more && page.last !== undefined ? { cursor: cursorAt(page.last) } : {}),
    };
  },
  next: (_, input) => [
    {
      command: "msg.inbox",
      input: { ...(input.agent_id === undefined ? {} : { agent_id: input.agent_id }), unread_only: true },
      why: "Read them, and mark them as read",
    },
  ],
  view: ({ messages, count, cursor }) => [
    line(`Unread messages (${count})`, "strong"),
    ...messageViews(messages, true),
    ...moreNote(cursor),
  ],
});

import { LodestarError } from "../../core/errors.ts";
import { Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { line } from "../../core/view.ts";
import type { MessageQuery } from "../../runtime/store.ts";
import { command } from "../command.ts";
import {
  bareTask,
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
  name: "msg.search",
  effect: "read",
  summary: "Search all messages",
  explain:
    "Messages whose text or subject holds every word of --keyword, whatever their case; parts of words, paths and names are found, and what stands between double quotes is taken as one: --keyword '\"not yet\" auth'. No sign has another meaning. The newest first; filters come before the limit. At least one filter must be given.",
  aliases: { keyword: "k", task_id: "t", from_agent_id: "f", since: "s", until: "u", limit: "n" },
  options: { task_id: "task", from_agent_id: "from" },
  items: "messages",
  input: Shape({
    keyword: Optional(Text({ maxLength: 1000, description: "Words that must all be there" })),
    task_id: Optional({ ...TaskId, description: "Only the thread of the task with this id" }),
    from_agent_id: Optional(Text({ minLength: 1, description: "Only from the agent with this id" })),
    since: Optional(Since),
    until: Optional(Until),
    limit: Optional(Limit),
    cursor: Optional(Cursor),
  }),
  output: Shape(pageFields),
  examples: [
    { line: "lodestar msg search --keyword schema --from A1B2C3D4", shows: "What one agent said about the schema" },
    { line: "lodestar msg search --since 2026-01-04 --json", shows: "Everything since a day" },
  ],
  run: async (input, context) => {
    const { task_id, from_agent_id, cursor } = input;
    const words = wordsOf(input.keyword ?? "");
    const filters = {
      ...between(input),
      ...(words.length === 0 ? {} : { words }),
      ...(task_id === undefined ? {} : { task_id: bareTask(task_id) }),
      ...(from_agent_id === undefined ? {} : { from_agent_id }),
    };
    if (Object.keys(filters).length === 0) {
      throw new LodestarError("USAGE", "Say what to look for: --keyword, --task, --from, --since or --until.", {
        hint: "See `lodestar msg search --help`.",
      });
    }
    const query: MessageQuery = {
      ...filters,
      order: "newest",
      limit: input.limit ?? PAGE,
      ...(cursor === undefined ? {} : { after: readCursor(cursor) }),
    };
    const page = (await (await context.runtimeIfAny())?.messages(query)) ?? { messages: [], count: 0, more: false };
    return {
      messages: items(page, true),
      count: page.messages.length,
      ...(page.more && page.last !== undefined ? { cursor: cursorAt(page.last) } : {}),
    };
  },
  next: ({ messages, cursor }, input) => {
    if (cursor !== undefined) return [{ command: "msg.search", input: { ...input, cursor }, why: "See older ones" }];
    const task_id = messages.find((one) => one.task_id !== undefined)?.task_id;
    return task_id === undefined ? [] : [{ command: "msg.thread", input: { task_id }, why: "Read the whole thread" }];
  },
  view: ({ messages, count, cursor }) => [
    line(`Search Results (${count} messages)`, "strong"),
    ...messageViews(messages, true),
    ...moreNote(cursor),
  ],
});

/** The words of a question; what stands between two double quotes is one, and a lone quote is a sign like any other. */
function wordsOf(keyword: string): string[] {
  return [...keyword.matchAll(/"([^"]+)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? "");
}

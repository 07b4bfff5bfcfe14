import { AgentId, Flag, Instant, Integer, List, Optional, Shape, Text } from "../../core/schema.ts";
import { formatInstant } from "../../core/time.ts";
import { field, line, table, title } from "../../core/view.ts";
import { command } from "../command.ts";
import { isSetUp, NOT_SET_UP, SET_UP } from "../set-up.ts";

/** How many threads are named. */
const SHOWN = 5;

export default command({
  name: "msg",
  effect: "read",
  summary: "Show what was said lately and what is unread",
  explain:
    "How many messages there are, in which threads somebody wrote last, and, if the call says who you are (--agent or LODESTAR_AGENT), how many you have not read. Writes nothing, and marks nothing as read.",
  options: { agent_id: "agent" },
  anywhere: true,
  input: Shape({ agent_id: Optional(AgentId) }),
  output: Shape({
    initialized: Flag(),
    total: Optional(Integer()),
    unread: Optional(Integer({ description: "In your inbox" })),
    threads: Optional(
      List(Shape({ task_id: Text(), message_count: Integer(), unread: Optional(Integer()), last_at: Instant })),
    ),
  }),
  examples: [
    { line: "lodestar msg inbox --agent A1B2C3D4 --unread-only", shows: "Read what is new" },
    { line: 'lodestar msg send --task TASK-001 --from A1B2C3D4 --text "Half done"', shows: "Write to a thread" },
    { line: "lodestar msg search --keyword schema", shows: "Who said what about it" },
  ],
  run: async (input, context) => {
    if (!isSetUp(context)) return { initialized: false };
    const agent_id = context.actor(input.agent_id);
    const runtime = await context.runtimeIfAny();
    const seen = await runtime?.observe({
      counts: true,
      since: Number.MAX_SAFE_INTEGER,
      worktree: context.worktree,
      branch: "",
      ...(agent_id === undefined ? {} : { agent_id }),
    });
    const threads = (await runtime?.threads(SHOWN, agent_id)) ?? [];
    return {
      initialized: true,
      total: seen?.message_count ?? 0,
      ...(agent_id === undefined ? {} : { unread: seen?.unread ?? 0 }),
      ...(threads.length === 0
        ? {}
        : {
            threads: threads.map(({ unread, last_at, ...thread }) => ({
              ...thread,
              ...(unread === 0 ? {} : { unread }),
              last_at: formatInstant(last_at),
            })),
          }),
    };
  },
  next: ({ initialized, unread = 0, threads }, input) => {
    if (!initialized) return [SET_UP];
    const agent = input.agent_id === undefined ? {} : { agent_id: input.agent_id };
    const [first] = threads ?? [];
    return [
      ...(unread === 0
        ? []
        : [{ command: "msg.inbox", input: { ...agent, unread_only: true }, why: "Read what is new" }]),
      ...(first === undefined
        ? []
        : [{ command: "msg.thread", input: { task_id: first.task_id }, why: "Read the newest thread" }]),
      first === undefined
        ? { command: "msg.send", input: { to: "agent:ID", ...agent }, why: "Say something to an agent, or to task:ID" }
        : { command: "msg.send", input: { task_id: first.task_id, ...agent }, why: "Write to it" },
    ];
  },
  view: ({ initialized, total = 0, unread, threads }) => {
    if (!initialized) return [line(NOT_SET_UP, "warn")];
    if (total === 0) return [line("No messages yet.")];
    return [
      title("Messages"),
      field("All", total),
      ...(unread === undefined ? [] : [field("Unread in your inbox", unread)]),
      ...(threads === undefined
        ? []
        : [
            table(
              ["Thread", "Messages", "Unread", "Last"],
              threads.map((thread) => [
                thread.task_id,
                String(thread.message_count),
                String(thread.unread ?? 0),
                thread.last_at,
              ]),
            ),
          ]),
    ];
  },
});

import { AgentId, Duration, Instant, Integer, List, Optional, Shape, type Static } from "../../core/schema.ts";
import { formatDuration, formatInstant, readDuration, SECOND } from "../../core/time.ts";
import { field, line, table, title, type View } from "../../core/view.ts";
import type { RuntimeEvent } from "../../runtime/store.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { readEvents } from "../events/events.ts";

/** What is counted, by the event that tells it. */
const COUNTED = {
  "task.created": "created",
  "task.claimed": "claimed",
  "task.done": "done",
  "task.verified": "verified",
  "task.reopened": "reopened",
  "task.released": "released",
  "task.expired": "expired",
  "message.sent": "messages",
} as const;
type Counted = (typeof COUNTED)[keyof typeof COUNTED];
const NAMES = Object.values(COUNTED);

const counts = Object.fromEntries(NAMES.map((name) => [name, Integer()])) as Record<
  Counted,
  ReturnType<typeof Integer>
>;
const Output = Shape({
  since: Optional(Instant),
  ...counts,
  median_seconds: Optional(
    Integer({ description: "From the claim that led to it until done, half of the tasks took less" }),
  ),
  agents: Optional(List(Shape({ agent_id: AgentId, ...counts }))),
});

export default command({
  name: "stats",
  effect: "read",
  summary: "Count what was done, by whom, and how long it took",
  explain:
    "From the events that the runtime keeps (30 days, unless the project says otherwise): how many tasks were created, claimed, finished, verified, reopened and given back, how many leases ran out, how many messages were sent; in all and by agent. `median_seconds` is the time from the claim to done. What came through Git from other clones is not in it.",
  input: Shape({ since: Optional(Duration("Only the last so long, such as 12h or 7d")) }),
  output: Output,
  examples: [{ line: "lodestar stats --since 1d --json", shows: "The last day" }],
  run: async (input, context) => {
    const span = input.since === undefined ? undefined : readDuration(input.since);
    const since = span === undefined ? undefined : (await runtimeNow(context)) - span;
    const total = nothing();
    const agents = new Map<string, Record<Counted, number>>();
    const claimed = new Map<string, number>();
    const took: number[] = [];
    for await (const event of allEvents(context)) {
      const { type, task_id, agent_id, created_at } = event;
      if (type === "task.claimed" && task_id !== undefined) claimed.set(task_id, created_at);
      if (since !== undefined && created_at < since) continue;
      if (!Object.hasOwn(COUNTED, type)) continue;
      const name = COUNTED[type as keyof typeof COUNTED];
      total[name] += 1;
      if (agent_id !== undefined) {
        const own = agents.get(agent_id) ?? nothing();
        own[name] += 1;
        agents.set(agent_id, own);
      }
      const start = type === "task.done" && task_id !== undefined ? claimed.get(task_id) : undefined;
      if (start !== undefined) took.push(created_at - start);
    }
    const median = took.sort((a, b) => a - b)[Math.floor((took.length - 1) / 2)];
    return {
      ...(since === undefined ? {} : { since: formatInstant(since) }),
      ...total,
      ...(median === undefined ? {} : { median_seconds: Math.round(median / SECOND) }),
      ...(agents.size === 0
        ? {}
        : {
            agents: [...agents]
              .map(([agent_id, own]) => ({ agent_id, ...own }))
              .sort((a, b) => b.verified + b.done - a.verified - a.done || (a.agent_id < b.agent_id ? -1 : 1)),
          }),
    };
  },
  next: () => [{ command: "status", input: {}, why: "See where things stand" }],
  view: show,
});

const nothing = (): Record<Counted, number> =>
  Object.fromEntries(NAMES.map((name) => [name, 0])) as Record<Counted, number>;

async function runtimeNow(context: Context): Promise<number> {
  const runtime = await context.runtimeIfAny();
  const seen = await runtime?.observe({ since: Number.MAX_SAFE_INTEGER, worktree: context.worktree, branch: "" });
  return seen?.now ?? context.clock.now();
}

/** Every event that is kept, page by page. */
async function* allEvents(context: Context): AsyncGenerator<RuntimeEvent> {
  const limit = 1000;
  for (let since = 0; ; ) {
    const page = await readEvents(context, { since, limit });
    yield* page.events;
    if (page.events.length < limit) return;
    since = page.next_since;
  }
}

function show({ since, median_seconds, agents, ...total }: Static<typeof Output>): View[] {
  return [
    title(since === undefined ? "What was done" : `What was done since ${since}`),
    field(
      "Tasks",
      NAMES.filter((name) => name !== "messages")
        .map((name) => `${total[name]} ${name}`)
        .join(", "),
    ),
    field("Messages", total.messages),
    ...(median_seconds === undefined
      ? []
      : [field("From claim to done", `${formatDuration(median_seconds * SECOND)} (median)`)]),
    ...(agents === undefined
      ? [line("No agent has done anything yet.")]
      : [
          table(
            ["Agent", "Claimed", "Done", "Verified", "Released", "Expired", "Messages"],
            agents.map((one) => [
              one.agent_id,
              ...[one.claimed, one.done, one.verified, one.released, one.expired, one.messages].map(String),
            ]),
          ),
        ]),
  ];
}

import { LodestarError } from "../../core/errors.ts";
import {
  AgentId,
  Dictionary,
  Flag,
  Instant,
  Integer,
  List,
  Optional,
  Shape,
  type Static,
  TaskId,
  Text,
  Unknown,
} from "../../core/schema.ts";
import { formatInstant, HOUR } from "../../core/time.ts";
import { line, type View } from "../../core/view.ts";
import type { EventPage, EventQuery, RuntimeEvent } from "../../runtime/store.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { markNow, untilChanged } from "../task/waiting.ts";

export const EventShape = Shape({
  seq: Integer(),
  created_at: Instant,
  type: Text(),
  agent_id: Optional(AgentId),
  task_id: Optional(TaskId),
  data: Optional(Dictionary(Text(), Unknown())),
});

export function eventData(event: RuntimeEvent): Static<typeof EventShape> {
  const { seq, created_at, type, agent_id, task_id, data } = event;
  return {
    seq,
    created_at: formatInstant(created_at),
    type,
    ...(agent_id === undefined ? {} : { agent_id }),
    ...(task_id === undefined ? {} : { task_id }),
    ...(data === undefined || Object.keys(data).length === 0 ? {} : { data: { ...data } }),
  };
}

/** A page of events. @throws LodestarError `EVENTS_PRUNED` when what is asked for is gone. */
export async function readEvents(context: Context, query: EventQuery): Promise<Extract<EventPage, { kind: "page" }>> {
  const page = await (await context.runtimeIfAny())?.events(query);
  if (page === undefined) return { kind: "page", events: [], next_since: query.since };
  if (page.kind === "page") return page;
  throw new LodestarError(
    "EVENTS_PRUNED",
    `Events after ${query.since} are no longer all kept; the oldest is ${page.oldest}.`,
    { details: { oldest: page.oldest } },
  );
}

export default command({
  name: "events",
  effect: "read",
  summary: "Show what happened",
  explain:
    "Every change in the runtime has one event, in order. `next_since` continues where this answer ended. Kept for 30 days. With --follow it goes on as events come, one a line.",
  tool: true,
  tool_bare: ["task_id", "agent_id", "limit", "fields"],
  options: { types: "type", task_id: "task", agent_id: "agent" },
  items: "events",
  input: Shape({
    since: Optional(Integer({ minimum: 0, description: "Only events with a larger seq" })),
    types: Optional(List(Text({ minLength: 1 }), { description: "Only this type, such as task.verified" })),
    task_id: Optional({ ...TaskId, description: "Only of the task with this id" }),
    agent_id: Optional({ ...AgentId, description: "Only of the agent with this id" }),
    limit: Optional(Integer({ minimum: 1, maximum: 10_000, default: 100, description: "At most so many" })),
    follow: Optional(Flag({ description: "Go on as events come; begins now unless --since is given" })),
  }),
  output: Shape({ events: List(EventShape), next_since: Integer() }),
  errors: ["EVENTS_PRUNED"],
  examples: [
    { line: "lodestar events --since 0 --type task.verified", shows: "What was verified" },
    { line: "lodestar events --follow --json", shows: "A stream for scripts" },
  ],
  run: async (input, context) => {
    const page = await readEvents(context, { ...filterOf(input), since: input.since ?? 0, limit: input.limit ?? 100 });
    return { events: page.events.map(eventData), next_since: page.next_since };
  },
  stream: {
    asked: (input) => input.follow === true,
    items: async function* (input, context) {
      let since = input.since ?? (await lastSeq(context));
      while (context.signal?.aborted !== true) {
        const before = await markNow(context);
        const page = await readEvents(context, { ...filterOf(input), since, limit: 1000 });
        for (const event of page.events) yield eventData(event);
        since = page.next_since;
        if (page.events.length === 0) await untilChanged(context, context.clock.now() + HOUR, undefined, before);
      }
    },
    view: (item) => [eventLine(item as Static<typeof EventShape>)],
    redraws: false,
  },
  next: ({ next_since }) => [{ command: "events", input: { since: next_since }, why: "See what came since" }],
  view: ({ events }) => (events.length === 0 ? [line("Nothing has happened.")] : events.map(eventLine)),
});

export function eventLine({ created_at, type, task_id, agent_id, data }: Static<typeof EventShape>): View {
  return line(
    [created_at, type, task_id, agent_id, data === undefined ? undefined : JSON.stringify(data)]
      .filter(Boolean)
      .join("  "),
  );
}

function filterOf(input: {
  readonly types?: readonly string[];
  readonly task_id?: string;
  readonly agent_id?: string;
}): Partial<EventQuery> {
  const { types, task_id, agent_id } = input;
  return {
    ...(types === undefined ? {} : { types }),
    ...(task_id === undefined ? {} : { task_id }),
    ...(agent_id === undefined ? {} : { agent_id }),
  };
}

/** The newest event's seq: 0 when there is none. */
export async function lastSeq(context: Context): Promise<number> {
  const runtime = await context.runtimeIfAny();
  return (
    (await runtime?.observe({ since: Number.MAX_SAFE_INTEGER, worktree: context.worktree, branch: "" }))?.last_seq ?? 0
  );
}

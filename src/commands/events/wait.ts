import { LodestarError } from "../../core/errors.ts";
import { AgentId, Duration, Integer, List, Optional, Shape, type Static, Text } from "../../core/schema.ts";
import { formatDuration, formatInstant, MINUTE, readDuration } from "../../core/time.ts";
import { line } from "../../core/view.ts";
import { EVENT_TYPES } from "../../runtime/store.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { look, requireTask } from "../look.ts";
import { requireThread } from "../msg/threads.ts";
import { offersFor } from "../task/offers.ts";
import { waitFor } from "../task/waiting.ts";
import { EventShape, eventData, lastSeq, readEvents } from "./events.ts";

/** What can be waited for besides the event types: states that no single event tells. */
const STATES = ["task.claimable", "message"] as const;
const PATIENCE = 10 * MINUTE;

interface Condition {
  readonly what: string;
  readonly id: string | undefined;
}

export default command({
  name: "wait",
  effect: "read",
  summary: "Wait until something happens",
  explain:
    "Returns as soon as one of the conditions holds: `task.verified:ID` and `task.done:ID` also when it is so already; `task.claimable` or `task.claimable:ID`; `message` for an unread message in your inbox, also one that is there already, and `message:ID` for the next one in a task's thread; any other event type, with or without a task, when the next one comes. Uses next to no processor time while it waits.",
  tool: "events",
  options: { agent_id: "agent", conditions: "for" },
  input: Shape({
    conditions: List(Text({ minLength: 1 }), {
      minItems: 1,
      description: "Condition, such as task.verified:ID; several: any of them",
    }),
    timeout: Optional(Duration("Give up after (default 10m)")),
    since: Optional(Integer({ minimum: 0, description: "Events after this seq count, also those that came already" })),
    agent_id: Optional(AgentId),
  }),
  output: Shape({ event: EventShape }),
  errors: ["TIMEOUT", "TASK_NOT_FOUND", "AGENT_REQUIRED", "EVENTS_PRUNED"],
  examples: [
    { line: "lodestar wait --for task.verified:TASK-001 --timeout 30m", shows: "Until it is verified" },
    { line: "lodestar wait --for task.claimable --for message", shows: "Until there is something to do" },
  ],
  run: async (input, context) => {
    const conditions = input.conditions.map(readCondition);
    const agent_id = context.actor(input.agent_id);
    if (conditions.some(({ what, id }) => what === "message" && id === undefined)) context.requireActor(input.agent_id);
    const seen = await look(context, "read", agent_id);
    for (const { what, id } of conditions)
      if (what.startsWith("task.") && id !== undefined) await requireTask(context, seen, id);
    for (const { what, id } of conditions) if (what === "message" && id !== undefined) await requireThread(context, id);
    let since = input.since ?? (await lastSeq(context));
    const patience = input.timeout === undefined ? PATIENCE : (readDuration(input.timeout) ?? PATIENCE);
    const event = await waitFor(context, patience, undefined, async () => {
      const state = (await holding(context, conditions, agent_id)) ?? (await unread(context, conditions, agent_id));
      if (state !== undefined) return state;
      const page = await readEvents(context, { since, limit: 1000 });
      since = page.next_since;
      return page.events.map(eventData).find((each) => conditions.some((condition) => fits(condition, each, agent_id)));
    });
    if (event === undefined) {
      throw new LodestarError(
        "TIMEOUT",
        `Nothing of ${input.conditions.join(", ")} came within ${formatDuration(patience)}`,
        { details: { conditions: input.conditions } },
      );
    }
    return { event };
  },
  view: ({ event }) => [line([event.type, event.task_id, event.agent_id].filter(Boolean).join("  "), "good")],
});

function readCondition(text: string): Condition {
  const colon = text.indexOf(":");
  const what = colon < 0 ? text : text.slice(0, colon);
  const id = colon < 0 ? undefined : text.slice(colon + 1);
  const known: readonly string[] = [...EVENT_TYPES, ...STATES];
  if (known.includes(what) && id !== "") return { what, id };
  throw new LodestarError("USAGE", `${JSON.stringify(text)} is nothing to wait for.`, {
    details: { known },
    hint: `Wait for one of ${known.join(", ")}; with :ID for one task.`,
  });
}

/** A condition that holds already, told as the event that it would be. */
async function holding(
  context: Context,
  conditions: readonly Condition[],
  agent_id: string | undefined,
): Promise<Static<typeof EventShape> | undefined> {
  const states = conditions.filter(
    ({ what, id }) =>
      what === "task.claimable" || (id !== undefined && (what === "task.verified" || what === "task.done")),
  );
  if (states.length === 0) return undefined;
  const seen = await look(context, "read", agent_id);
  const told = (type: string, task_id: string) => ({
    seq: seen.seen?.last_seq ?? 0,
    created_at: formatInstant(seen.seen?.now ?? context.clock.now()),
    type,
    task_id,
  });
  for (const { what, id } of states) {
    if (what === "task.claimable") {
      const offers = offersFor(
        seen,
        { kind: "work", ...(agent_id === undefined ? {} : { agent_id }) },
        { id_prefix: id },
        id === undefined ? 1 : Number.MAX_SAFE_INTEGER,
      );
      const offer = offers.find(({ task }) => id === undefined || task.id === id);
      if (offer !== undefined) return told(what, offer.task.id);
      continue;
    }
    const standing = id === undefined ? undefined : seen.schedule.standing(id);
    const reached =
      standing !== undefined &&
      (what === "task.verified"
        ? standing.status === "verified"
        : standing.outcome.rank === 1 || standing.outcome.rank === 2);
    if (reached && id !== undefined) return told(what, id);
  }
  return undefined;
}

/** The newest unread message of the inbox, told as the event that it was. */
async function unread(
  context: Context,
  conditions: readonly Condition[],
  agent_id: string | undefined,
): Promise<Static<typeof EventShape> | undefined> {
  if (agent_id === undefined || !conditions.some(({ what, id }) => what === "message" && id === undefined))
    return undefined;
  const runtime = await context.runtimeIfAny();
  const page = await runtime?.messages({ inbox_of: agent_id, unread_by: agent_id, order: "newest", limit: 1 });
  const message = page?.messages[0];
  if (message === undefined) return undefined;
  const { message_id, created_at, from_agent_id, task_id, to_agent_id } = message;
  return eventData({
    seq: await lastSeq(context),
    created_at,
    type: "message.sent",
    ...(from_agent_id === undefined ? {} : { agent_id: from_agent_id }),
    ...(task_id === undefined ? {} : { task_id }),
    data: { message_id, ...(to_agent_id === undefined ? {} : { to_agent_id }) },
  });
}

function fits({ what, id }: Condition, event: Static<typeof EventShape>, agent_id: string | undefined): boolean {
  if (what !== "message") return event.type === what && (id === undefined || event.task_id === id);
  // Without an id it is a state, see `unread`: whose inbox a thread belongs to is the runtime's to say.
  return id !== undefined && event.type === "message.sent" && event.task_id === id && event.agent_id !== agent_id;
}

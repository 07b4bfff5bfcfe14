import { Integer, List, Optional, Shape, TaskId } from "../../core/schema.ts";
import { line } from "../../core/view.ts";
import { command } from "../command.ts";
import { EventShape, eventData, eventLine, readEvents } from "../events/events.ts";
import { requireThread } from "../msg/threads.ts";

export default command({
  name: "task.log",
  effect: "read",
  summary: "Show what happened to a task",
  explain:
    "The task's events, the oldest first: created, claimed, renewed, released, expired, done, verified, reopened, deleted, and messages in its thread. `next_since` continues where this answer ended. Events are kept for 30 days unless the project says otherwise.",
  positional: ["task_id"],
  aliases: { limit: "n" },
  items: "events",
  input: Shape({
    task_id: TaskId,
    since: Optional(Integer({ minimum: 0, description: "Only events with a larger seq" })),
    limit: Optional(Integer({ minimum: 1, maximum: 10_000, default: 100, description: "At most so many" })),
  }),
  output: Shape({ events: List(EventShape), next_since: Integer() }),
  errors: ["TASK_NOT_FOUND", "EVENTS_PRUNED"],
  examples: [{ line: "lodestar task log TASK-001", shows: "Who did what, and when" }],
  run: async ({ task_id, since = 0, limit = 100 }, context) => {
    await requireThread(context, task_id);
    const page = await readEvents(context, { task_id, since, limit });
    return { events: page.events.map(eventData), next_since: page.next_since };
  },
  next: ({ events, next_since }, input) =>
    events.length < (input.limit ?? 100)
      ? [{ command: "task.show", input: { task_id: input.task_id }, why: "See the task as it stands" }]
      : [{ command: "task.log", input: { ...input, since: next_since }, why: "See what came then" }],
  view: ({ events }, { task_id }) =>
    events.length === 0 ? [line(`Nothing is known to have happened to ${task_id}.`)] : events.map(eventLine),
});

import { AgentId, Dictionary, Flag, Instant, Integer, List, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { STATUSES } from "../../core/status.ts";
import { formatDuration, formatInstant, SECOND, secondsUntil } from "../../core/time.ts";
import { field, line, list, title } from "../../core/view.ts";
import { command } from "../command.ts";
import { look } from "../look.ts";
import { isSetUp, NOT_SET_UP, SET_UP } from "../set-up.ts";
import { offersFor } from "./offers.ts";

/** How many tasks are named of each kind. */
const SHOWN = 3;

export default command({
  name: "task",
  effect: "read",
  summary: "Show where the tasks stand and what to do next",
  explain:
    "How many tasks there are of each status, which come next, and, if the call says who you are (--agent or LODESTAR_AGENT), what you hold and for how long. Writes nothing.",
  options: { agent_id: "agent" },
  anywhere: true,
  input: Shape({ agent_id: Optional(AgentId) }),
  output: Shape({
    initialized: Flag(),
    total: Optional(Integer()),
    by_status: Optional(Dictionary(Text(), Integer())),
    claimable: Optional(Integer()),
    held: Optional(List(Shape({ task_id: TaskId, title: Text(), expires_at: Instant, seconds_left: Integer() }))),
    tasks: Optional(List(Shape({ id: TaskId, title: Text(), priority: Integer() }))),
  }),
  examples: [
    { line: "lodestar task next --claim --agent A1B2C3D4", shows: "Take the next task" },
    { line: "lodestar task list --status done", shows: "What waits for review" },
    { line: 'lodestar task create --title "Log in" --priority 10', shows: "Plan one more" },
  ],
  run: async (input, context) => {
    if (!isSetUp(context)) return { initialized: false };
    const agent_id = context.actor(input.agent_id);
    const planes = await look(context, "read", agent_id);
    const { schedule, seen } = planes;
    const leases = seen?.leases ?? [];
    const { by_status, claimable } = schedule.counts();
    const held = leases
      .filter((lease) => lease.agent_id === agent_id)
      .map(({ task_id, expires_at }) => ({
        task_id,
        title: schedule.standing(task_id)?.task.title ?? "",
        expires_at: formatInstant(expires_at),
        seconds_left: secondsUntil(expires_at, seen?.now ?? 0),
      }));
    const wish = { kind: "work" as const, ...(agent_id === undefined ? {} : { agent_id }) };
    const tasks = offersFor(planes, wish, {}, SHOWN).map(({ task: { id, title, priority } }) => ({
      id,
      title,
      priority,
    }));
    return {
      initialized: true,
      total: Object.values(by_status).reduce((sum, count) => sum + count, 0),
      by_status: Object.fromEntries(
        STATUSES.filter((status) => by_status[status] > 0).map((status) => [status, by_status[status]]),
      ),
      claimable: claimable - schedule.claimableAmong(leases),
      ...(held.length === 0 ? {} : { held }),
      ...(tasks.length === 0 ? {} : { tasks }),
    };
  },
  next: ({ initialized, total = 0, by_status = {}, claimable = 0, held }, input) => {
    if (!initialized) return [SET_UP];
    const agent = input.agent_id === undefined ? {} : { agent_id: input.agent_id };
    const create = { command: "task.create", input: {}, why: "Plan a task" };
    if (total === 0) return [create];
    const [first] = held ?? [];
    return [
      ...(first === undefined
        ? []
        : [{ command: "task.done", input: { task_id: first.task_id, ...agent }, why: "When it is done" }]),
      ...(claimable === 0
        ? []
        : [{ command: "task.next", input: { ...agent, claim: true }, why: "Take the next one" }]),
      ...((by_status.done ?? 0) === 0
        ? []
        : [{ command: "task.next", input: { ...agent, review: true }, why: "See what waits for review" }]),
      { command: "task.list", input: {}, why: "See all tasks" },
    ].slice(0, 3);
  },
  view: ({ initialized, total = 0, by_status = {}, claimable = 0, held = [], tasks = [] }) => {
    if (!initialized) return [line(NOT_SET_UP, "warn")];
    if (total === 0) return [line("No tasks yet.")];
    const counts = Object.entries(by_status).map(([status, count]) => `${count} ${status}`);
    return [
      title("Tasks"),
      field("All", `${total} (${counts.join(", ")})`),
      field("Claimable", claimable),
      ...(held.length === 0
        ? []
        : [
            list(
              held.map((one) => `${one.task_id} for ${formatDuration(one.seconds_left * SECOND)} more: ${one.title}`),
              "You hold",
            ),
          ]),
      ...(tasks.length === 0
        ? []
        : [
            list(
              tasks.map(({ id, title: name, priority }) => `${id} P${priority} ${name}`),
              "Next",
            ),
          ]),
    ];
  },
});

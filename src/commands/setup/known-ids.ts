import { presentAgents } from "../agent/listing.ts";
import type { Context } from "../context.ts";
import { type Look, look } from "../look.ts";
import { offersFor } from "../task/offers.ts";

/** Something that can be named in a call, with a word on it. */
export interface Known {
  readonly value: string;
  readonly about: string;
}

/** Which tasks a call can mean. */
export type TaskWish =
  /** May be claimed now, in the order of `task next`. */
  | "claimable"
  | "reviewable"
  /** Held: by the acting agent if that is known, else by anybody. */
  | "held"
  | "done"
  /** Done, verified or deleted: what can be reopened. */
  | "finished"
  | "any";

/** More than this nobody reads; typing another letter narrows it. */
const MOST = 50;

/** The tasks that a call can mean and whose ids begin with `prefix`. Reads only, and makes no file. */
export async function tasksFor(wish: TaskWish, prefix: string, context: Context): Promise<Known[]> {
  const agent_id = context.actor();
  const seen = await look(context, "read", agent_id);
  return [...wanted(wish, seen, agent_id, prefix)];
}

function* wanted(wish: TaskWish, seen: Look, agent_id: string | undefined, prefix: string): Generator<Known> {
  if (wish === "claimable" || wish === "reviewable") {
    const kind = wish === "claimable" ? "work" : "review";
    const taking = { kind, ...(agent_id === undefined ? {} : { agent_id }) } as const;
    const among = prefix === "" ? {} : { id_prefix: prefix };
    for (const { task } of offersFor(seen, taking, among, MOST)) yield { value: task.id, about: task.title };
    return;
  }
  if (wish === "held") {
    const leases = (seen.seen?.leases ?? []).filter(({ task_id }) => task_id.startsWith(prefix));
    const own = leases.filter((lease) => lease.agent_id === agent_id);
    for (const lease of (agent_id === undefined ? leases : own).slice(0, MOST)) {
      const title = seen.schedule.standing(lease.task_id)?.task.title ?? "";
      yield { value: lease.task_id, about: agent_id === undefined ? `${lease.agent_id}: ${title}` : title };
    }
    return;
  }
  let left = MOST;
  for (const { task } of seen.index.tasksFrom(prefix)) {
    const standing = seen.schedule.standing(task.id);
    if (standing === undefined) continue;
    const { status, outcome } = standing;
    const fits = wish === "done" ? status === "done" : wish === "finished" ? outcome.rank > 0 : status !== "deleted";
    if (!fits) continue;
    yield { value: task.id, about: `${status}: ${task.title}` };
    left -= 1;
    if (left === 0) return;
  }
}

/** The agents that have joined, those last seen first. */
export async function agentsFor(context: Context): Promise<Known[]> {
  const view = await (await context.runtimeIfAny())?.agents();
  if (view === undefined) return [];
  return presentAgents(view).map(({ agent_id, display_name, role }) => ({
    value: agent_id,
    about: [display_name, role].filter(Boolean).join(", "),
  }));
}

/** The labels in use, those of most tasks first. */
export async function labelsFor(context: Context): Promise<Known[]> {
  const { index } = await look(context, "read");
  const counts = new Map<string, number>();
  for (const { task } of index.tasks())
    for (const label of task.labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts]
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .map(([value, count]) => ({ value, about: `${count} ${count === 1 ? "task" : "tasks"}` }));
}

/** The features of the spec. */
export async function featuresFor(context: Context): Promise<Known[]> {
  const { index } = await look(context, "read");
  return Object.entries(index.features()).map(([value, ids]) => ({ value, about: `${ids.length} tasks` }));
}

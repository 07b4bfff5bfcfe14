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
import { STATUSES } from "../../core/status.ts";
import { formatDuration, formatInstant, HOUR, SECOND, secondsUntil } from "../../core/time.ts";
import { field, line, list, note, table, title, type View } from "../../core/view.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { type Look, look } from "../look.ts";
import { isSetUp, NOT_SET_UP, SET_UP } from "../set-up.ts";

const LeaseLine = Shape({ task_id: TaskId, agent_id: AgentId, expires_at: Instant, seconds_left: Integer() });
const Difference = Shape({ task_id: TaskId, spec: Text(), runtime: Text(), branch: Optional(Text()) });

const Output = Shape({
  initialized: Flag(),
  project: Optional(
    Shape({ name: Text(), default_branch: Text(), conventions: Optional(Dictionary(Text(), Unknown())) }),
  ),
  branch: Optional(Text()),
  runtime: Optional(
    Shape(
      { where: Text(), chosen_by: Text(), used: Flag() },
      { description: "Where it is not this repository's file" },
    ),
  ),
  tasks: Optional(Shape({ total: Integer(), by_status: Dictionary(Text(), Integer()), claimable: Integer() })),
  agents: Optional(Shape({ registered: Integer(), active_leases: Integer() })),
  messages: Optional(Shape({ total: Integer(), unread: Optional(Integer()) })),
  leases: Optional(List(LeaseLine)),
  only_in_runtime: Optional(
    List(Difference, { description: "The file says one thing, the runtime another; the runtime counts" }),
  ),
  drifted: Optional(
    Integer({ description: "Tasks to be done whose product context has drifted; `prd check` names them" }),
  ),
  broken: Optional(List(Shape({ task_id: Text(), line: Integer(), message: Text() }))),
});

/** How many lines of differences are told; `doctor` tells all. */
const SHOWN = 20;

export default command({
  name: "status",
  effect: "read",
  summary: "Show where things stand and what to do next",
  explain:
    "Counts of tasks as they stand in both planes, what is claimable, who holds what until when, outcomes that only the runtime knows on this branch, and how many tasks have drifted from the product documents that they cite. Writes nothing. Outside an initialised directory it says so.",
  tool: true,
  options: { agent_id: "agent" },
  anywhere: true,
  input: Shape({ agent_id: Optional(AgentId), watch: Optional(Flag({ description: "Go on, and show every change" })) }),
  output: Output,
  examples: [{ line: "lodestar status --json --fields tasks", shows: "Only the counts" }],
  run: async (input, context) => survey(context, context.actor(input.agent_id)),
  stream: {
    asked: (input) => input.watch === true,
    items: async function* (input, context) {
      const { markNow, untilChanged } = await import("../task/waiting.ts");
      while (context.signal?.aborted !== true) {
        const before = await markNow(context);
        yield await survey(context, context.actor(input.agent_id));
        await untilChanged(context, context.clock.now() + HOUR, undefined, before);
      }
    },
    view: (item) => show(item as Static<typeof Output>),
    redraws: true,
  },
  next: (output) => {
    if (!output.initialized) return [SET_UP];
    const claimable = output.tasks?.claimable ?? 0;
    if ((output.tasks?.total ?? 0) === 0) return [{ command: "task.create", input: {}, why: "Create your first task" }];
    const take = { command: "task.next", input: {}, why: `Get the next claimable task (${claimable} available)` };
    const review = { command: "task.next", input: { review: true }, why: "Review what is done" };
    const work = claimable > 0 ? [take] : (output.tasks?.by_status.done ?? 0) > 0 ? [review] : [];
    const join = { command: "agent.join", input: {}, why: "Register as an agent" };
    return [
      ...(output.agents?.registered === 0 ? [join] : []),
      ...work,
      { command: "task.list", input: {}, why: "See all tasks" },
    ];
  },
  view: (output) => show(output),
});

/** Which runtime it is, when somebody chose one. */
async function chosenRuntime(context: Context, named: string | undefined) {
  if (named === undefined && (context.env.LODESTAR_RUNTIME ?? "") === "") return {};
  const { where, by: chosen_by, problem } = (await context.runtimes()).choice;
  return { runtime: { where, chosen_by, used: problem === undefined } };
}

async function survey(context: Context, agent_id: string | undefined): Promise<Static<typeof Output>> {
  if (!isSetUp(context)) return { initialized: false };
  const looked = await look(context, "read", agent_id, { counts: true });
  const { header, schedule, seen } = looked;
  const { by_status, claimable } = schedule.counts();
  const { name, default_branch, conventions } = header.project;
  const branch = context.branch();
  const leases = (seen?.leases ?? []).map(({ task_id, agent_id: holder, expires_at }) => ({
    task_id,
    agent_id: holder,
    expires_at: formatInstant(expires_at),
    seconds_left: secondsUntil(expires_at, seen?.now ?? 0),
  }));
  const differing = [...schedule.differing()].slice(0, SHOWN).map(({ task, status, known }) => ({
    task_id: task.id,
    spec: task.status,
    runtime: status,
    ...(known?.branch === undefined || known.branch === "" ? {} : { branch: known.branch }),
  }));
  const counted = Object.fromEntries(
    STATUSES.filter((status) => by_status[status] > 0).map((status) => [status, by_status[status]]),
  );
  return {
    initialized: true,
    project: {
      name,
      default_branch,
      ...(Object.keys(conventions).length === 0 ? {} : { conventions: { ...conventions } }),
    },
    ...(branch === "" ? {} : { branch }),
    ...(await chosenRuntime(context, conventions.runtime)),
    tasks: {
      total: Object.values(by_status).reduce((sum, count) => sum + count, 0),
      by_status: counted,
      claimable: claimable - schedule.claimableAmong(seen?.leases ?? []),
    },
    agents: { registered: seen?.agent_count ?? 0, active_leases: leases.length },
    messages: {
      total: seen?.message_count ?? 0,
      ...(seen?.unread === undefined || seen.unread === 0 ? {} : { unread: seen.unread }),
    },
    ...(leases.length === 0 ? {} : { leases }),
    ...(differing.length === 0 ? {} : { only_in_runtime: differing }),
    ...(await driftOf(context, looked)),
    ...(header.broken.length === 0
      ? {}
      : {
          broken: header.broken.map((problem) => ({
            task_id: problem.task_id ?? "",
            line: problem.line,
            message: problem.message,
          })),
        }),
  };
}

/** How many tasks have drifted. Where no task cites a document nothing is loaded for it. */
async function driftOf(context: Context, looked: Look): Promise<{ drifted?: number }> {
  if (!looked.index.hasPrd()) return {};
  const { countDrift } = await import("../prd/drifted.ts");
  const drifted = await countDrift(context, looked);
  return drifted === 0 ? {} : { drifted };
}

function show(output: Static<typeof Output>): View[] {
  if (!output.initialized) return [line(NOT_SET_UP, "warn")];
  const { project, tasks, agents, messages } = output;
  const views: View[] = [title(`${project?.name ?? ""}${output.branch === undefined ? "" : `  (${output.branch})`}`)];
  const total = tasks?.total ?? 0;
  if (total === 0) views.push(line("No tasks yet."));
  else {
    views.push(
      table(
        ["Status", "Count"],
        Object.entries(tasks?.by_status ?? {}).map(([status, count]) => [status, String(count)]),
      ),
    );
    const verified = tasks?.by_status.verified ?? 0;
    const live = total - (tasks?.by_status.deleted ?? 0);
    if (live > 0) views.push(field("Progress", `${Math.floor((100 * verified) / live)}% verified`));
    views.push(field("Claimable", tasks?.claimable ?? 0));
  }
  views.push(field("Agents registered", agents?.registered ?? 0), field("Active claims", agents?.active_leases ?? 0));
  if (output.runtime !== undefined)
    views.push(field("Runtime", `${output.runtime.where}${output.runtime.used ? "" : " (not used)"}`));
  if ((messages?.total ?? 0) > 0)
    views.push(
      field("Messages", `${messages?.total}${messages?.unread === undefined ? "" : ` (${messages.unread} unread)`}`),
    );
  if (output.leases !== undefined) {
    views.push(
      table(
        ["Task", "Agent", "Time left"],
        output.leases.map(({ task_id, agent_id, seconds_left }) => [
          task_id,
          agent_id,
          formatDuration(seconds_left * SECOND),
        ]),
      ),
    );
  }
  if (output.only_in_runtime !== undefined) {
    views.push(
      list(
        output.only_in_runtime.map(
          ({ task_id, spec, runtime, branch }) =>
            `${task_id}: the file says ${spec}, the runtime says ${runtime}${branch === undefined ? "" : ` on ${branch}`}`,
        ),
        "Only in the runtime",
      ),
      note("To send one back to work: lodestar task reopen ID"),
    );
  }
  if (output.drifted !== undefined) {
    const have = output.drifted === 1 ? "task cites a section that has" : "tasks cite sections that have";
    views.push(note(`${output.drifted} ${have} changed: lodestar prd check`, "warn"));
  }
  for (const broken of output.broken ?? []) views.push(note(`spec.yaml:${broken.line}: ${broken.message}`, "bad"));
  return views;
}

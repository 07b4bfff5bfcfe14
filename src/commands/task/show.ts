import { AgentId, Flag, Instant, Integer, List, Optional, Shape, TaskId, Token } from "../../core/schema.ts";
import { quote } from "../../core/shell.ts";
import { keyOf } from "../../core/task.ts";
import { formatDuration, formatInstant, SECOND, secondsUntil } from "../../core/time.ts";
import { field, line, list, note, text, title, type View } from "../../core/view.ts";
import { command } from "../command.ts";
import { isSameKey, look, requireTask } from "../look.ts";
import { effectiveTask } from "../outcome.ts";
import { taskData, taskFields } from "./shapes.ts";

export default command({
  name: "task.show",
  effect: "read",
  summary: "Show everything about a task",
  explain:
    "The task as it stands: the checked-out spec joined with outcomes that the runtime holds; whether it is claimable and what it waits for; who holds it until when; what depends on it. Writes nothing.",
  tool: true,
  positional: ["task_id"],
  options: { agent_id: "agent" },
  input: Shape({ task_id: TaskId, agent_id: Optional(AgentId) }),
  output: Shape({
    ...taskFields,
    claimable: Flag(),
    blocked_by: Optional(List(TaskId)),
    dependents: Optional(List(TaskId)),
    claimed_by: Optional(
      Shape({ agent_id: AgentId, expires_at: Instant, fencing_token: Token, seconds_left: Integer() }),
    ),
    communication: Optional(Shape({ message_count: Integer(), unread: Optional(Integer()) })),
  }),
  errors: ["TASK_NOT_FOUND"],
  examples: [{ line: "lodestar task show TASK-001 --json --fields status,claimed_by", shows: "Only what is needed" }],
  run: async (input, context) => {
    const reader = context.actor(input.agent_id);
    const seen = await look(context, "read", reader);
    const standing = await requireTask(context, seen, input.task_id);
    const key = keyOf(standing.task);
    const lease = seen.seen?.leases.find((each) => isSameKey(each, key));
    const blocked_by = seen.schedule.blockedBy(standing.task);
    const dependents = seen.index.dependents(standing.task.id);
    // A thread belongs to the id, whatever task of that id the runtime has seen.
    const known = (await (await context.runtimeIfAny())?.lookup([standing.task.id], reader))?.[0];
    const message_count = known?.message_count ?? 0;
    const unread = known?.unread ?? 0;
    return {
      ...taskData(effectiveTask(standing.task, standing.known)),
      claimable: lease === undefined && seen.schedule.obstacle(standing) === undefined,
      ...(blocked_by.length === 0 ? {} : { blocked_by }),
      ...(dependents.length === 0 ? {} : { dependents }),
      ...(lease === undefined || seen.seen === undefined
        ? {}
        : {
            claimed_by: {
              agent_id: lease.agent_id,
              expires_at: formatInstant(lease.expires_at),
              fencing_token: lease.fencing_token,
              seconds_left: secondsUntil(lease.expires_at, seen.seen.now),
            },
          }),
      ...(message_count === 0 ? {} : { communication: { message_count, ...(unread === 0 ? {} : { unread }) } }),
    };
  },
  next: (output) => {
    const { id } = output;
    if (output.claimable) return [{ command: "task.claim", input: { task_ids: [id] }, why: "Claim it" }];
    if (output.status === "done")
      return [{ command: "task.verify", input: { task_ids: [id] }, why: "Verify it after review" }];
    const [first] = output.blocked_by ?? [];
    return first === undefined
      ? []
      : [{ command: "task.show", input: { task_id: first }, why: "Look at what it waits for" }];
  },
  view: (output) => {
    const views: View[] = [
      title(`${output.id} - ${output.title}`),
      field("Status", output.status),
      field("Priority", output.priority),
    ];
    const inline = {
      Labels: output.labels,
      Locks: output.locks,
      "Depends on": output.depends_on,
      "Waits for": output.blocked_by,
      Dependents: output.dependents,
      Reopens: output.reopens,
    };
    for (const [label, items] of Object.entries(inline))
      if (items !== undefined) views.push(field(label, items.join(", ")));
    if (output.completed_by !== undefined || output.completed_at !== undefined)
      views.push(field("Completed", [output.completed_by, output.completed_at].filter(Boolean).join(", ")));
    if (output.verified_by !== undefined || output.verified_at !== undefined)
      views.push(field("Verified", [output.verified_by, output.verified_at].filter(Boolean).join(", ")));
    if (output.completed_in !== undefined)
      views.push(
        field(
          "Completed in",
          [output.completed_in.branch, output.completed_in.commit?.slice(0, 12)].filter(Boolean).join(" at "),
        ),
      );
    if (output.description !== undefined) views.push(text(output.description, "Description"));
    if (output.acceptance_criteria !== undefined) views.push(list(output.acceptance_criteria, "Acceptance Criteria"));
    if (output.prd !== undefined) {
      views.push(field("PRD", [output.prd.source, ...(output.prd.refs ?? []).map(({ anchor }) => anchor)].join(" ")));
      if (output.prd.excerpt !== undefined) views.push(text(output.prd.excerpt, "PRD excerpt"));
    }
    if (output.claimed_by !== undefined) {
      views.push(
        line(`Claimed by ${output.claimed_by.agent_id}`, "warn"),
        field("Expires in", formatDuration(output.claimed_by.seconds_left * SECOND)),
      );
    } else if (output.claimable) views.push(note(`Claimable - run lodestar task claim ${output.id}`, "good"));
    if (output.communication !== undefined) {
      const { message_count, unread } = output.communication;
      const waiting = unread === undefined ? "" : ` (${unread} unread)`;
      views.push(field("Messages in thread", `${message_count}${waiting}: lodestar msg thread ${quote(output.id)}`));
    }
    return views;
  },
});

import {
  AgentId,
  Flag,
  LeaseId,
  List,
  Optional,
  Shape,
  type Static,
  StatusWord,
  TaskId,
  Token,
  Union,
} from "../../core/schema.ts";
import { line, list } from "../../core/view.ts";
import { command } from "../command.ts";
import { look } from "../look.ts";
import { NoteText } from "./shapes.ts";

const Verified = Shape({
  task_id: TaskId,
  status: StatusWord,
  verified_by: Optional(AgentId),
  already: Optional(Flag()),
});
/** With several ids it is told once, beside them. */
const unblocked = List(TaskId, { description: "What this call made claimable" });
const One = Shape({ ...Verified.properties, unblocked });
const Several = Shape({ verified: List(Verified), unblocked });

export default command({
  name: "task.verify",
  effect: "write",
  summary: "Verify done tasks, which unblocks what waits for them",
  explain:
    "Records that the work holds up, all ids or none. `unblocked` lists exactly the tasks that this call made claimable; repeating the call gives the same list. Where the project says `verify: other`, whoever did the work may not verify it. While another agent reviews the task under a lease, only that agent verifies. The spec is written where it already records the work as done; elsewhere the verification waits until that arrives.",
  tool: true,
  tool_omits: ["lease_id"],
  tool_bare: ["task_ids", "note", "force"],
  idempotent: true,
  positional: ["task_ids"],
  options: { agent_id: "agent" },
  long_text: ["note"],
  input: Shape({
    task_ids: List(TaskId, { minItems: 1, description: "Ids of the tasks" }),
    agent_id: Optional(AgentId),
    fencing_token: Optional(Token),
    lease_id: Optional(LeaseId),
    note: Optional(NoteText),
    force: Optional(Flag({ description: "Although another agent reviews it" })),
  }),
  output: Union([One, Several]),
  errors: [
    "TASK_NOT_FOUND",
    "NOT_DONE",
    "NOT_CLAIMABLE",
    "NOT_HOLDER",
    "LEASE_LOST",
    "SELF_VERIFICATION",
    "AGENT_REQUIRED",
    "AGENT_NOT_FOUND",
  ],
  examples: [
    { line: "lodestar task verify TASK-001 --agent A1B2C3D4", shows: "One task" },
    { line: "lodestar task verify TASK-001 TASK-002", shows: "Both or none" },
  ],
  run: async (input, context) => {
    // Loaded late: who is only told to do this next needs none of it.
    const [{ finishTasks }, { tokenFor }] = await Promise.all([import("./finishing.ts"), import("./lease-call.ts")]);
    const agent_id = context.actor(input.agent_id);
    const { finished } = await finishTasks(context, {
      change: "verify",
      task_ids: input.task_ids,
      force: input.force ?? false,
      ...(agent_id === undefined ? {} : { agent_id }),
      ...(input.task_ids.length === 1 ? tokenFor(context, { ...input, task_id: input.task_ids[0] as string }) : {}),
      ...(input.note === undefined ? {} : { note: input.note }),
    });
    await warnOfAbsent(
      context,
      finished.filter((each) => !each.already).map((each) => each.key.task_id),
    );
    const unblocked = [...new Set(finished.flatMap(({ outcome }) => outcome.unblocked ?? []))];
    const verified = finished.map(({ key, status, outcome, already }) => ({
      task_id: key.task_id,
      status,
      ...(outcome.verified_by === undefined ? {} : { verified_by: outcome.verified_by }),
      ...(already ? { already: true } : {}),
    }));
    const [only] = verified;
    return (
      only !== undefined && input.task_ids.length === 1 ? { ...only, unblocked } : { verified, unblocked }
    ) as Static<typeof One>;
  },
  next: ({ unblocked }) =>
    unblocked.length > 0
      ? [{ command: "task.claim", input: { task_ids: [unblocked[0]] }, why: "Claim what it unblocked" }]
      : [{ command: "task.next", input: {}, why: "Take the next task" }],
  view: (output) => {
    const verified = (output as Static<typeof Several>).verified ?? [output as Static<typeof One>];
    return [
      ...verified.map(({ task_id, already }) =>
        line(already === true ? `${task_id} was verified already` : `Verified ${task_id}`, "good"),
      ),
      ...(output.unblocked.length === 0 ? [] : [list(output.unblocked, "Unblocked tasks")]),
    ];
  },
});

/** T5: what was verified is not in this worktree's spec. */
async function warnOfAbsent(context: Parameters<typeof look>[0], ids: readonly string[]): Promise<void> {
  const { schedule } = await look(context, "write");
  for (const id of ids) {
    const standing = schedule.standing(id);
    if (standing === undefined || standing.stated.rank >= 1) continue;
    const branch = standing.known?.completed_in?.branch ?? standing.known?.branch;
    context.warn(
      `The work of ${id} is not in this worktree yet${branch === undefined || branch === "" ? "" : `: it was done on ${branch}`}; the spec here is written when it arrives.`,
    );
    for (const absent of schedule.notHereYet(standing.task))
      context.warn(`${id} builds on ${absent.task.id}, which is not in this worktree yet`);
  }
}

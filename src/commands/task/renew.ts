import { LodestarError } from "../../core/errors.ts";
import { AgentId, Duration, Instant, LeaseId, Optional, Shape, TaskId, Token } from "../../core/schema.ts";
import { formatInstant } from "../../core/time.ts";
import { field, line } from "../../core/view.ts";
import { command } from "../command.ts";
import { refusalError } from "../refused.ts";
import { leaseKey, projectTtl, stepKey, tokenFor } from "./lease-call.ts";

export default command({
  name: "task.renew",
  effect: "write",
  summary: "Extend the lease that you hold on a task",
  explain:
    "Moves the lease's end to now + TTL. Also after it ran out, as long as nobody was granted the task since. Refused with LEASE_LOST once it was given up or somebody else was granted the task.",
  positional: ["task_id"],
  aliases: { agent_id: "a", ttl: "t" },
  options: { agent_id: "agent" },
  input: Shape({
    task_id: TaskId,
    agent_id: Optional(AgentId),
    ttl: Optional(Duration("New length from now (default 15m)")),
    fencing_token: Optional(Token),
    lease_id: Optional(LeaseId),
  }),
  output: Shape({ task_id: TaskId, lease_id: LeaseId, fencing_token: Token, new_expires_at: Instant }),
  errors: ["TASK_NOT_FOUND", "AGENT_REQUIRED", "AGENT_NOT_FOUND", "LEASE_LOST", "NOT_HOLDER", "INVALID_TTL"],
  examples: [{ line: "lodestar task renew TASK-001 --ttl 1h", shows: "An hour from now" }],
  run: async (input, context) => {
    const agent_id = context.actor(input.agent_id);
    const runtime = await context.runtime();
    const result = await runtime.renew({
      key: await leaseKey(context, input.task_id),
      ttl: context.ttl(input.ttl, await projectTtl(context)),
      automatic: false,
      ...(agent_id === undefined ? {} : { agent_id }),
      ...tokenFor(context, input),
      ...stepKey(context, "renew"),
    });
    if (result.kind === "unchanged") throw new LodestarError("INTERNAL", "A renewal that was asked for did nothing.");
    if (result.kind !== "renewed") throw refusalError(result, agent_id);
    const { lease } = result;
    return {
      task_id: lease.task_id,
      lease_id: lease.lease_id,
      fencing_token: lease.fencing_token,
      new_expires_at: formatInstant(lease.expires_at),
    };
  },
  next: ({ task_id }, { agent_id }) => [
    {
      command: "task.done",
      input: { task_id, ...(agent_id === undefined ? {} : { agent_id }) },
      why: "Finish before the lease ends",
    },
  ],
  view: ({ task_id, new_expires_at }) => [
    line(`Renewed lease for ${task_id}`, "good"),
    field("Expires", new_expires_at),
  ],
});

import { AgentId, Duration, Flag, List, Optional, Shape, type Static, TaskId, Union } from "../../core/schema.ts";
import { readDuration } from "../../core/time.ts";
import { command } from "../command.ts";
import { afterClaim, claimView } from "./claim-answer.ts";
import { ClaimShape } from "./shapes.ts";
import type { ClaimData } from "./taking.ts";

export default command({
  name: "task.claim",
  effect: "write",
  summary: "Claim tasks: the exclusive right to work on them for a while",
  explain:
    "Grants you a lease on each task, all or none. Exactly one agent at a time holds a task; the others get ALREADY_CLAIMED with the holder and when the lease ends. The lease runs for its TTL and can be renewed; `fencing_token` grows with every grant and guards later calls. Claiming what you hold in this session renews it. With --review the lease is for verifying work that is done.",
  tool: true,
  tool_bare: ["task_ids"],
  idempotent: true,
  positional: ["task_ids"],
  aliases: { agent_id: "a", ttl: "t", force: "f" },
  options: { agent_id: "agent" },
  input: Shape({
    task_ids: List(TaskId, { minItems: 1, description: "Ids of the tasks" }),
    agent_id: Optional(AgentId),
    ttl: Optional(Duration("How long the lease lasts, 1s to 7d (default 15m)")),
    context: Optional(Flag({ default: true, description: "Hand over the task's context" })),
    force: Optional(Flag({ description: "Claim although path locks overlap another agent's" })),
    wait: Optional(Duration("Wait at most this long for the tasks to become claimable")),
    review: Optional(Flag({ description: "Claim done tasks for review" })),
  }),
  output: Union([ClaimShape, Shape({ claims: List(ClaimShape) })]),
  errors: [
    "TASK_NOT_FOUND",
    "AGENT_REQUIRED",
    "AGENT_NOT_FOUND",
    "ALREADY_CLAIMED",
    "NOT_CLAIMABLE",
    "UNMET_DEPENDENCIES",
    "NOT_DONE",
    "SELF_VERIFICATION",
    "LOCK_CONFLICT",
    "INVALID_TTL",
    "TIMEOUT",
  ],
  examples: [
    { line: "lodestar task claim TASK-001 --agent A1B2C3D4", shows: "Claim one task for 15 minutes" },
    { line: "lodestar task claim TASK-001 TASK-002 --ttl 1h", shows: "Two tasks or none, for an hour" },
    { line: "lodestar task claim TASK-001 --review --wait 10m", shows: "Review it, when it is done" },
  ],
  run: async (input, context) => {
    // Loaded late: who is only told to claim, as what to do next, needs none of it.
    const [{ claimThese }, { claimAnswer }] = await Promise.all([import("./claiming.ts"), import("./taking.ts")]);
    const agent_id = context.requireActor(input.agent_id);
    const kind = input.review === true ? "review" : "work";
    const taking = {
      agent_id,
      kind,
      force: input.force ?? false,
      ...(input.ttl === undefined ? {} : { ttl: input.ttl }),
    } as const;
    const patience = input.wait === undefined ? 0 : (readDuration(input.wait) ?? 0);
    const granted = await claimThese(context, input.task_ids, taking, patience);
    // One after the other: what the first works out of a product document, the next remembers.
    const claims: ClaimData[] = [];
    for (const each of granted) claims.push(await claimAnswer(context, each, input.context !== false));
    const [first] = claims;
    return (claims.length === 1 && first !== undefined ? first : { claims }) as Static<typeof ClaimShape>;
  },
  next: (output, input) => {
    const [first] = claimsOf(output);
    return first === undefined ? [] : afterClaim(first, input.review === true);
  },
  view: (output) => claimsOf(output).flatMap(claimView),
});

const claimsOf = (output: unknown): ClaimData[] => (output as { claims?: ClaimData[] }).claims ?? [output as ClaimData];

import { LodestarError } from "../core/errors.ts";
import { quote } from "../core/shell.ts";
import { formatInstant } from "../core/time.ts";
import type { Lease } from "../lease/lease.ts";
import type { LockConflict, Refusal, RuntimeStore } from "../runtime/store.ts";
import type { Obstacle } from "../spec/schedule.ts";
import type { Context } from "./context.ts";

/** Facts about who holds a task, for details. */
export function holderDetails(lease: Lease): Record<string, unknown> {
  return { task_id: lease.task_id, agent_id: lease.agent_id, expires_at: formatInstant(lease.expires_at) };
}

const until = (lease: Lease): string => `${lease.agent_id} until ${formatInstant(lease.expires_at)}`;

/** The error for what the store refused. */
export function refusalError(refusal: Refusal, agent_id: string | undefined): LodestarError {
  switch (refusal.kind) {
    case "lost": {
      const { current, task_id } = refusal;
      const now = current === undefined ? "" : `; it is held by ${until(current)}`;
      return new LodestarError(
        "LEASE_LOST",
        `The lease${agent_id === undefined ? "" : ` of ${agent_id}`} on ${task_id} is over${now}`,
        {
          details: { task_id, ...(current === undefined ? {} : { held_by: holderDetails(current) }) },
        },
      );
    }
    case "not_holder": {
      const { current, task_id } = refusal;
      const who = agent_id ?? "The caller";
      const now = current === undefined ? "" : `: ${until(current)} does`;
      return new LodestarError("NOT_HOLDER", `${who} does not hold ${task_id}${now}`, {
        details: { task_id, ...(current === undefined ? {} : { held_by: holderDetails(current) }) },
      });
    }
    case "agent_required":
      return new LodestarError(
        "AGENT_REQUIRED",
        `More than one agent has held ${refusal.task_id}; say which one you are.`,
        {
          details: { task_id: refusal.task_id },
        },
      );
    case "unknown_agent":
      return unknownAgent(agent_id ?? "");
    case "mismatch":
      return new LodestarError("IDEMPOTENCY_MISMATCH", "This idempotency key belongs to another request.");
  }
}

/**
 * Refuses to write under a name that nobody registered: events and messages must lead to somebody.
 * @param given the runtime to look into, where the call only reads; none: nobody is registered.
 * @throws LodestarError `AGENT_NOT_FOUND`
 */
export async function requireRegistered(
  context: Context,
  agent_id: string | undefined,
  given?: { readonly runtime: RuntimeStore | undefined },
): Promise<void> {
  if (agent_id === undefined) return;
  const runtime = given === undefined ? await context.runtime() : given.runtime;
  const seen = await runtime?.observe({
    since: Number.MAX_SAFE_INTEGER,
    agent_id,
    worktree: context.worktree,
    branch: "",
  });
  const agent = seen?.agent;
  if (agent === undefined || agent.left_at !== undefined) throw unknownAgent(agent_id);
}

export function unknownAgent(agent_id: string): LodestarError {
  return new LodestarError("AGENT_NOT_FOUND", `There is no agent ${agent_id}`, {
    details: { agent_id },
    hint: `Register it: \`lodestar agent join --id ${quote(agent_id)}\`, or get a new id with \`lodestar agent join\`.`,
  });
}

/** The error for claiming what others hold. With several, `details.failed` names each. */
export function heldError(leases: readonly Lease[], agent_id: string): LodestarError {
  const [first] = leases;
  if (first === undefined) throw new LodestarError("INTERNAL", "A claim was refused without a holder.");
  const own = first.agent_id === agent_id;
  const whose = own ? `${agent_id} in another session until ${formatInstant(first.expires_at)}` : until(first);
  const more = leases.length > 1 ? ` (and ${leases.length - 1} more)` : "";
  return new LodestarError("ALREADY_CLAIMED", `Task ${first.task_id} is claimed by ${whose}${more}`, {
    details: { ...holderDetails(first), ...(leases.length > 1 ? { failed: leases.map(holderDetails) } : {}) },
    ...(own
      ? { hint: "Work on it in that session, release it there, or set LODESTAR_SESSION to that session's name." }
      : {}),
  });
}

export function conflictError(conflicts: readonly LockConflict[]): LodestarError {
  const [first] = conflicts;
  if (first === undefined) throw new LodestarError("INTERNAL", "A claim was refused without a lock.");
  return new LodestarError("LOCK_CONFLICT", conflictText(first), {
    details: { conflicts: conflicts.map((each) => ({ ...each, expires_at: formatInstant(each.expires_at) })) },
  });
}

export function conflictText(conflict: LockConflict): string {
  return `Lock '${conflict.pattern}' of ${conflict.task_id} overlaps with '${conflict.other_pattern}' (task ${conflict.held_task_id}, held by ${conflict.agent_id} until ${formatInstant(conflict.expires_at)})`;
}

/** The error for claiming (or finishing) what cannot be worked on. */
export function obstacleError(task_id: string, obstacle: Obstacle): LodestarError {
  switch (obstacle.kind) {
    case "dependencies":
      return new LodestarError("UNMET_DEPENDENCIES", `Task ${task_id} waits for ${obstacle.blocked_by.join(", ")}`, {
        details: { task_id, blocked_by: obstacle.blocked_by },
      });
    case "cycle":
      return new LodestarError(
        "NOT_CLAIMABLE",
        `Task ${task_id} depends on itself through others; \`lodestar doctor\` names the cycle.`,
        {
          details: { task_id, reason: "cycle" },
        },
      );
    case "status":
      return new LodestarError("NOT_CLAIMABLE", `Task ${task_id} is ${obstacle.status}, not ready`, {
        details: { task_id, status: obstacle.status },
        ...(obstacle.status === "done"
          ? {
              hint: `To review it, claim it with --review; to work on it again, \`lodestar task reopen ${quote(task_id)}\`.`,
            }
          : {}),
      });
  }
}

/** Several ids, all or none: the first error speaks, `details.failed` names each. */
export function allOrNone(
  failures: readonly { readonly task_id: string; readonly error: LodestarError }[],
  asked: number,
): void {
  const [first] = failures;
  if (first === undefined) return;
  if (asked === 1) throw first.error;
  const { code, message, hint, details } = first.error;
  throw new LodestarError(code, failures.length === 1 ? message : `${message} (and ${failures.length - 1} more)`, {
    hint,
    details: {
      ...details,
      failed: failures.map(({ task_id, error }) => ({ task_id, code: error.code, message: error.message })),
    },
  });
}

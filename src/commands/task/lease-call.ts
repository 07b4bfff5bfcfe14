import { LodestarError } from "../../core/errors.ts";
import { keyOf, type TaskKey } from "../../core/task.ts";
import type { Lease } from "../../lease/lease.ts";
import type { Idempotency } from "../../runtime/store.ts";
import type { Context } from "../context.ts";
import { look, requireTask } from "../look.ts";

/** The token and lease id that a call presents: given, or `LODESTAR_FENCING_TOKEN` when it speaks of `LODESTAR_TASK_ID` (L2). */
export function tokenFor(
  context: Context,
  input: {
    readonly task_id: string;
    readonly fencing_token?: number | undefined;
    readonly lease_id?: string | undefined;
  },
): { readonly fencing_token?: number; readonly lease_id?: string } {
  const { fencing_token, lease_id, task_id } = input;
  if (fencing_token !== undefined || lease_id !== undefined) {
    return {
      ...(fencing_token === undefined ? {} : { fencing_token }),
      ...(lease_id === undefined ? {} : { lease_id }),
    };
  }
  const named = context.env.LODESTAR_FENCING_TOKEN;
  if (named === undefined || named === "" || context.env.LODESTAR_TASK_ID !== task_id) return {};
  if (!/^\d{1,16}$/.test(named))
    throw new LodestarError("USAGE", `LODESTAR_FENCING_TOKEN is not a whole number: ${JSON.stringify(named)}`);
  return { fencing_token: Number(named) };
}

/** The idempotency of one step, in the form that the store's requests take. */
export function stepKey(context: Context, part: string): { readonly idempotency?: Idempotency } {
  const idempotency = context.idempotency(part);
  return idempotency === undefined ? {} : { idempotency };
}

/**
 * The key of a task for a call about its lease. While the spec cannot be read, the lease that the runtime knows tells it: renewing and
 * releasing still work then.
 */
export async function leaseKey(context: Context, task_id: string): Promise<TaskKey> {
  try {
    const seen = await look(context, "write");
    return keyOf((await requireTask(context, seen, task_id)).task);
  } catch (error) {
    if (!isSpecTrouble(error)) throw error;
    const { created_at } = await leaseFromRuntime(context, task_id, error);
    return { task_id, created_at };
  }
}

export function isSpecTrouble(error: unknown): error is LodestarError {
  return error instanceof LodestarError && (error.code === "SPEC_INVALID" || error.code === "SPEC_CONFLICT_MARKERS");
}

/**
 * The task and the round of work that the runtime knows, for when the spec cannot say what the task is: those of the live lease, else
 * of the finished work, so that a repeated call finds what it did (L4).
 *
 * @throws the spec's own error when there is neither.
 */
export async function leaseFromRuntime(
  context: Context,
  task_id: string,
  error: LodestarError,
): Promise<Pick<Lease, "created_at" | "reopens">> {
  const known = await (await context.runtime()).lookup([task_id]);
  const leases = known.flatMap(({ lease }) => lease ?? []).sort((a, b) => b.fencing_token - a.fencing_token);
  const finished = known.flatMap(({ outcome }) => (outcome === undefined || outcome.rank === 0 ? [] : [outcome]));
  const newest = leases[0] ?? finished.sort((a, b) => b.version - a.version)[0];
  if (newest === undefined) throw error;
  context.warn(`The spec cannot be read now: ${error.message}`);
  return newest;
}

/** The project's own `lease_ttl`, if the spec can be read. */
export async function projectTtl(context: Context): Promise<string | undefined> {
  try {
    return (await context.spec.index("write")).header()?.project.conventions.lease_ttl;
  } catch (error) {
    if (isSpecTrouble(error)) return undefined;
    throw error;
  }
}

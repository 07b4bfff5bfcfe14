import { existsSync } from "node:fs";
import { join } from "node:path";
import { LodestarError } from "../core/errors.ts";
import type { OutboxRow } from "../runtime/store.ts";
import type { AnyCommand } from "./command.ts";
import type { Context } from "./context.ts";
import { heal, warnOfWaiting } from "./outcome.ts";

/**
 * After a command that wrote: outcomes that wait for this worktree's spec are written (T2), and the acting agent's lease on the
 * task that the call named is renewed when past half its TTL (L8). Neither can fail the command, which has done its work.
 */
export async function settleUp(
  command: AnyCommand,
  input: Readonly<Record<string, unknown>>,
  context: Context,
): Promise<void> {
  try {
    const waiting = await (await context.runtime()).outbox();
    if (waiting.length > 0) await writeWaiting(command, input, context, waiting);
  } catch (cause) {
    if (!(cause instanceof LodestarError)) throw cause;
    context.warn(`Some outcomes still wait to be written to the spec: ${cause.message}`);
  }
  const { git } = context.place;
  if (git !== undefined && existsSync(join(git.git_dir, "lodestar", "hook-note.json"))) {
    const { tellNote } = await import("./git/hook-note.ts");
    tellNote(context);
  }
  if (RENEWS_ITSELF.has(command.name)) return;
  try {
    await renewNamed(input, context);
  } catch (cause) {
    if (!(cause instanceof LodestarError)) throw cause;
    context.warn(`The lease was not renewed on the way: ${cause.message}`);
  }
}

async function writeWaiting(
  command: AnyCommand,
  input: Readonly<Record<string, unknown>>,
  context: Context,
  waiting: readonly OutboxRow[],
): Promise<void> {
  try {
    // Rows are written under the lock by who made them: while it is held they need no help, and one that was left by a process that
    // died is written by whoever comes when it is free, at the latest by its last holder.
    const healed = await heal(context, 0, waiting);
    if (healed.length > 0)
      context.warn(`Wrote to the spec what an earlier call had left to write: ${healed.join(", ")}`);
  } catch (cause) {
    if (!(cause instanceof LodestarError && cause.code === "BUSY")) throw cause;
  }
  // An answer that is given again by its idempotency key, too, is of an outcome that no spec may hold yet.
  if (RECORDS.has(command.name)) await warnOfWaiting(context, idsIn(input));
}

/** Commands that record outcomes. */
const RECORDS = new Set(["task.done", "task.verify", "task.reopen", "task.delete"]);

const idsIn = ({ task_id, task_ids }: Readonly<Record<string, unknown>>): readonly string[] =>
  [task_id, task_ids].flat().filter((id) => typeof id === "string");

/** Commands that end, move or ask for a lease themselves. */
const RENEWS_ITSELF = new Set([
  "task.claim",
  "task.next",
  "task.renew",
  "task.release",
  "task.done",
  "task.delete",
  "agent.leave",
]);

async function renewNamed(input: Readonly<Record<string, unknown>>, context: Context): Promise<void> {
  const agent_id = context.actor(typeof input.agent_id === "string" ? input.agent_id : undefined);
  const named = typeof input.task_id === "string" ? input.task_id : context.env.LODESTAR_TASK_ID;
  if (agent_id === undefined || named === undefined) return;
  const runtime = await context.runtime();
  // From the runtime alone: it must work while the spec is unreadable.
  const lease = (await runtime.lookup([named])).find((each) => each.lease?.agent_id === agent_id)?.lease;
  if (lease === undefined) return;
  const { task_id, created_at, lease_id, ttl } = lease;
  await runtime.renew({ key: { task_id, created_at }, agent_id, lease_id, ttl, automatic: true });
}

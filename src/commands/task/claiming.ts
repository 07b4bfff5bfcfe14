import { LodestarError } from "../../core/errors.ts";
import { formatDuration, type Millis } from "../../core/time.ts";
import type { Context } from "../context.ts";
import { mayPass, type Taken, type Taking, takeThese } from "./taking.ts";
import { newTicket, waitFor } from "./waiting.ts";

/**
 * Claims these tasks, all or none, and waits for them as long as `patience` allows and `isOver` does not say otherwise.
 *
 * @throws LodestarError what stands in the way; `TIMEOUT` when it still does.
 */
export async function claimThese(
  context: Context,
  task_ids: readonly string[],
  taking: Taking,
  patience: Millis,
  isOver: () => boolean = () => false,
): Promise<readonly Taken[]> {
  if (patience === 0) return (await takeThese(context, task_ids, taking)) ?? [];
  const ticket = newTicket(context, `claim:${taking.kind}:${[...task_ids].sort().join(" ")}`);
  let last: LodestarError | undefined;
  const attempt = async () => {
    if (isOver()) return [];
    try {
      return await takeThese(context, task_ids, { ...taking, ticket });
    } catch (error) {
      if (!(error instanceof LodestarError) || !mayPass(error)) throw error;
      last = error;
      return undefined;
    }
  };
  const granted = await waitFor(context, patience, ticket, attempt, isOver);
  if (granted !== undefined) return granted;
  throw new LodestarError("TIMEOUT", `Waited ${formatDuration(patience)} in vain. ${last?.message ?? ""}`.trim(), {
    details: { ...last?.details, ...(last === undefined ? {} : { reason: last.code }) },
  });
}

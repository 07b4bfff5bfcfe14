import { LodestarError } from "../core/errors.ts";
import type { NewEvent, RuntimeStore } from "../runtime/store.ts";
import type { Context } from "./context.ts";

/**
 * Appends the events of a change that the spec holds already. The change stands whatever becomes of them: who were told that it
 * failed, because the disk is full by now, would make it a second time.
 */
export async function tell(
  context: Context,
  runtime: RuntimeStore | undefined,
  events: readonly NewEvent[],
): Promise<void> {
  try {
    await runtime?.append(events);
  } catch (cause) {
    if (!(cause instanceof LodestarError)) throw cause;
    context.warn(`The change is saved, but no event tells of it: ${cause.message}`);
  }
}

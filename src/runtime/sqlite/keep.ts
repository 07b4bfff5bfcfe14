import type { Retention } from "../store.ts";
import type { WriteStep } from "./step.ts";

/** Remembers how long things are kept; the next clearing out, at most an hour away, goes by it. */
export function keep({ sql }: WriteStep, { events, messages }: Retention): void {
  sql.run("update runtime set keep_events = $events, keep_messages = $messages where id = 1", { events, messages });
}

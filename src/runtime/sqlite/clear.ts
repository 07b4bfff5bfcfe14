import type { WriteStep } from "./step.ts";

const TABLES = ["lease", "outcome", "outbox", "agent", "event", "message_read", "message", "idempotency", "ticket"];

// Whoever mirrors this runtime's outcomes sees that it is another one now.
const RENEW = "update runtime set runtime_id = lower(hex(randomblob(12))) where id = 1";

/**
 * Empties the runtime in one transaction. The clock and the counters stay: tokens go on growing, so that nothing from before can
 * be taken for something after. In place, not by deleting the file: other processes have it open.
 */
export function clear(step: WriteStep): void {
  for (const table of TABLES) step.sql.run(`delete from ${table}`);
  renewId(step);
  step.forgetEvents();
}

/** Makes it another runtime to whoever mirrors its outcomes. */
export function renewId({ sql }: WriteStep): void {
  sql.run(RENEW);
}

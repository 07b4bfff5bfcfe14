import { movedError } from "../retired.ts";
import type { RuntimeSnapshot } from "../snapshot.ts";
import type { RuntimeHome } from "../store.ts";
import { snapshot } from "./exchange.ts";
import type { WriteStep } from "./step.ts";

/** The fence and the snapshot in one transaction: no write falls between them. */
export function retire(step: WriteStep, moved_to: string, over: string | undefined): RuntimeSnapshot {
  const before = step.runtime.moved_to;
  if (typeof before === "string" && before !== moved_to && before !== over)
    throw movedError(step.sql.db.filename, before);
  step.sql.run("update runtime set moved_to = $moved_to where id = 1", { moved_to });
  return snapshot(step);
}

export function revive({ sql }: WriteStep, moved_to: string): void {
  sql.run("update runtime set moved_to = null where id = 1 and moved_to = $moved_to", { moved_to });
}

export function belong({ sql }: WriteStep, home: RuntimeHome): void {
  sql.run("update runtime set home = $home where id = 1", { home: JSON.stringify(home) });
}

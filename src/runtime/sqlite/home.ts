import type { RuntimeSnapshot } from "../snapshot.ts";
import type { RuntimeHome } from "../store.ts";
import { snapshot } from "./exchange.ts";
import type { WriteStep } from "./step.ts";

/** The fence and the snapshot in one transaction: no write falls between them. */
export function retire(step: WriteStep, moved_to: string): RuntimeSnapshot {
  step.sql.run("update runtime set moved_to = $moved_to where id = 1", { moved_to });
  return snapshot(step);
}

export function revive({ sql }: WriteStep): void {
  sql.run("update runtime set moved_to = null where id = 1");
}

export function belong({ sql }: WriteStep, home: RuntimeHome): void {
  sql.run("update runtime set home = $home where id = 1", { home: JSON.stringify(home) });
}

/** What a runtime's file holds, read without our code. */
import { Database } from "bun:sqlite";
import { join } from "node:path";

type Row = Record<string, string | number | null>;

export function rows(worktree: string, sql: string, file = ".lodestar/runtime.sqlite"): Row[] {
  using database = new Database(join(worktree, file), { readonly: true });
  database.run("pragma busy_timeout = 5000");
  return database.query(sql).all() as Row[];
}

/** Outcomes that wait to be written to a spec. */
export const outbox = (worktree: string) =>
  rows(worktree, "select task_id, change, target_worktree, target_branch from outbox order by outbox_id");

/** Everything that a repeated call must leave as it is. */
export const outcomes = (worktree: string) => rows(worktree, "select * from outcome order by task_id");

import { type Random, randomDigits } from "../../core/ids.ts";
import type { Millis } from "../../core/time.ts";
import first from "./migrations/0001-runtime.sql" with { type: "text" };
import second from "./migrations/0002-messages.sql" with { type: "text" };
import third from "./migrations/0003-home.sql" with { type: "text" };
import { SCHEMA_VERSION } from "./schema-version.ts";
import type { Sql } from "./sql.ts";

/** Numbered and never edited after release: `user_version` counts how many of them a file has. */
const MIGRATIONS: readonly string[] & { readonly length: typeof SCHEMA_VERSION } = [first, second, third];

/** "LdSr": marks the file as ours (https://sqlite.org/fileformat2.html, offset 68). */
export const APPLICATION_ID = 0x4c645372;

/** What a file is, before anything is done to it. */
export type Kind =
  | { readonly kind: "empty" }
  | { readonly kind: "ours"; readonly version: number }
  | { readonly kind: "too_new"; readonly version: number }
  | { readonly kind: "foreign" };

// One statement, so that a migration that commits in between is seen whole or not at all.
const IDENTIFY = `
select
  (select application_id from pragma_application_id) as application_id,
  (select user_version from pragma_user_version) as user_version,
  (select count(*) from sqlite_schema) as objects`;

/** Tells ours from other programs' files; an empty file is nobody's yet. */
export function identify(sql: Sql): Kind {
  // A file becomes ours in one transaction with its first version, and never stops being ours: two cheap looks tell the usual case.
  if (sql.get<{ application_id: number }>("pragma application_id")?.application_id === APPLICATION_ID) {
    const version = sql.get<{ user_version: number }>("pragma user_version")?.user_version ?? 0;
    return { kind: version > SCHEMA_VERSION ? "too_new" : "ours", version };
  }
  const row = sql.get<{ application_id: number; user_version: number; objects: number }>(IDENTIFY);
  const { application_id = 0, user_version = 0, objects = 0 } = row ?? {};
  if (application_id === APPLICATION_ID) {
    return { kind: user_version > SCHEMA_VERSION ? "too_new" : "ours", version: user_version };
  }
  return application_id === 0 && objects === 0 ? { kind: "empty" } : { kind: "foreign" };
}

// Counters start at the clock, so that tokens and seqs of a lost runtime are older than all of this one (L2, counterexample 10).
const BEGIN = `
insert into runtime (id, runtime_id, clock_offset, last_now, last_token, last_seq, last_version, pruned_at, pruned_seq)
values (1, $runtime_id, 0, $now, $now, $now, 0, $now, $now)`;
// The same for messages: a cursor of a lost runtime must not pass over what is sent in this one.
const BEGIN_MESSAGES = "insert into sqlite_sequence (name, seq) values ('message', $now)";

/** True when no migration is left to do. */
export function isCurrent(sql: Sql): boolean {
  const found = identify(sql);
  return found.kind === "ours" && found.version === SCHEMA_VERSION;
}

/**
 * Brings an empty or older file to this schema. Many processes may be here at once: whoever gets the write lock first does
 * the work, the others see `user_version` and have none left.
 */
export function migrate(sql: Sql, now: Millis, random: Random): void {
  sql.db.run("begin immediate");
  try {
    const found = identify(sql);
    const version = found.kind === "empty" ? 0 : found.kind === "ours" ? found.version : SCHEMA_VERSION;
    for (const migration of MIGRATIONS.slice(version)) sql.db.run(migration);
    if (version === 0 && found.kind === "empty") {
      sql.run(BEGIN, { runtime_id: randomDigits(random, 20), now });
      sql.run(BEGIN_MESSAGES, { now });
    }
    if (version < SCHEMA_VERSION) {
      sql.db.run(`pragma application_id = ${APPLICATION_ID}`);
      sql.db.run(`pragma user_version = ${SCHEMA_VERSION}`);
    }
    sql.db.run("commit");
  } catch (cause) {
    if (sql.db.inTransaction) sql.db.run("rollback");
    throw cause;
  }
}

import { Database } from "bun:sqlite";
import type { Millis } from "../../core/time.ts";
import { trustPath } from "../trust-path.ts";
import { SCHEMA_VERSION } from "./schema-version.ts";
import { timeOf } from "./time-of.ts";

/** True when a person has trusted a shared runtime on this machine, for whichever repository: the file beside the spec may not be the one that counts. */
export function mayBeElsewhere(env: Readonly<Record<string, string | undefined>>, isWindows: boolean): boolean {
  return Bun.file(trustPath(env, isWindows, () => "")).size > 0;
}

/** What of the agent's own could need a hook. */
export type Need =
  | "own lease"
  /** One that is past half its time. */
  | "own lease due";

interface Row {
  readonly clock_offset: Millis;
  readonly last_now: Millis;
  readonly moved_to: string | null;
  readonly user_version: number;
}

const RUNTIME = "select clock_offset, last_now, moved_to, user_version from runtime, pragma_user_version where id = 1";

// Who is not told apart counts: an agent without a name may be any.
const NEEDS: Readonly<Record<Need, string>> = {
  "own lease": "coalesce($agent, agent_id) = agent_id",
  "own lease due": "coalesce($agent, agent_id) = agent_id and 2 * (expires_at - $now) <= ttl",
};

/**
 * True when surely no lease needs a hook: it can end without more of the program being loaded. A lease whose time is over and that
 * nobody has swept yet still counts, so do doubts of any kind.
 *
 * @param path the runtime's file.
 * @param agent who acts, where that is known from the environment.
 */
export function isIdle(path: string, need: Need, agent: string | null, wall: Millis): boolean {
  const found = ask(path, (database, row) => {
    const query = database.query(`select 1 from lease where ended is null and ${NEEDS[need]} limit 1`);
    return query.get({ $agent: agent, ...(need === "own lease due" ? { $now: timeOf(row, wall) } : {}) });
  });
  return found === null;
}

/**
 * The path locks of everybody's leases but the agent's own; of everybody's where it is not known. Those of a lease whose time is over
 * and that nobody has swept yet are among them.
 *
 * @returns `undefined` in doubt.
 */
export function othersLocks(path: string, agent: string | null): readonly string[] | undefined {
  const others = "select distinct locks from lease where ended is null and locks <> '[]' and agent_id is not $agent";
  return ask(path, (database) =>
    database
      .query<{ locks: string }, { $agent: string | null }>(others)
      .all({ $agent: agent })
      .flatMap(({ locks }) => JSON.parse(locks) as string[]),
  );
}

/** Asks a runtime that surely is the one that counts, and of this program's schema; else `undefined`. */
function ask<T>(path: string, question: (database: Database, row: Row) => T): T | undefined {
  // Opening a pipe, whose size has no end, would wait for its other side. (`node:fs` costs more to load than all of this.)
  const { size } = Bun.file(path);
  if (size === 0 || size === Number.POSITIVE_INFINITY) return undefined;
  let database: Database | undefined;
  try {
    database = new Database(path, { readonly: true });
    const row = database.query<Row, []>(RUNTIME).get();
    const isThis = row !== null && row.moved_to === null && row.user_version === SCHEMA_VERSION;
    return isThis ? question(database, row) : undefined;
  } catch {
    return undefined;
  } finally {
    database?.close();
  }
}

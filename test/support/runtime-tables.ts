/** The runtime's tables as the checkers read them: with SQL of their own, past the product. */
import type { Database } from "bun:sqlite";
import { keyText, type Outcome } from "../simulation/lattice.ts";

export interface LeaseRow {
  readonly fencing_token: number;
  readonly task_id: string;
  readonly created_at: string;
  readonly lease_id: string;
  readonly kind: string;
  readonly agent_id: string;
  readonly session: string;
  readonly reopens: string;
  readonly granted_at: number;
  readonly expires_at: number;
  readonly ended: string | null;
  readonly ended_at: number | null;
}
export interface OutcomeRow {
  readonly task_id: string;
  readonly created_at: string;
  readonly version: number;
  readonly reopens: string;
  readonly rank: number;
  readonly verified: number;
}
export interface OutboxRow extends OutcomeRow {
  readonly outbox_id: number;
  readonly target_worktree: string;
  readonly target_branch: string;
  readonly change: string;
}
export interface EventRow {
  readonly seq: number;
  readonly created_at: number;
  readonly type: string;
  readonly agent_id: string | null;
  readonly task_id: string | null;
  readonly data: string | null;
}

const OUTCOME = "task_id, created_at, version, reopens, rank, verified";

export const readLeases = (db: Database): LeaseRow[] =>
  db
    .query(
      "select fencing_token, task_id, created_at, lease_id, kind, agent_id, session, reopens, granted_at, expires_at, ended, ended_at from lease order by fencing_token",
    )
    .all() as LeaseRow[];
export const readOutcomes = (db: Database): OutcomeRow[] =>
  db.query(`select ${OUTCOME} from outcome`).all() as OutcomeRow[];
export const readOutbox = (db: Database): OutboxRow[] =>
  db
    .query(`select outbox_id, target_worktree, target_branch, change, ${OUTCOME} from outbox order by outbox_id`)
    .all() as OutboxRow[];
export const readEvents = (db: Database): EventRow[] =>
  db.query("select seq, created_at, type, agent_id, task_id, data from event order by seq").all() as EventRow[];

export const outcomeOfRow = (row: OutcomeRow): Outcome => ({
  reopens: JSON.parse(row.reopens),
  rank: row.rank,
  verified: row.verified === 1,
});
export const keyOfRow = (row: { readonly task_id: string; readonly created_at: string }): string =>
  keyText(row.task_id, row.created_at);

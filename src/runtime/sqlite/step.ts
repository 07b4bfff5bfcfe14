import type { Clock, Millis } from "../../core/time.ts";
import { HOUR } from "../../core/time.ts";
import { movedError } from "../retired.ts";
import type { RuntimeSnapshot } from "../snapshot.ts";
import type { NewEvent, Retention } from "../store.ts";
import { json } from "../values.ts";
import { prune } from "./prune.ts";
import type { Sql } from "./sql.ts";
import { timeOf } from "./time-of.ts";

interface RuntimeRow {
  readonly runtime_id: string;
  readonly clock_offset: Millis;
  readonly last_now: Millis;
  readonly last_token: number;
  readonly last_seq: number;
  readonly last_version: number;
  readonly pruned_at: Millis;
  readonly pruned_seq: number;
  /** Absent in an older file that is only read. */
  readonly keep_events?: Millis | null;
  readonly keep_messages?: Millis | null;
  /** JSON. */
  readonly home?: string | null;
  readonly moved_to?: string | null;
}

/** How long things are kept, as this runtime was told. */
export const retentionOf = ({ keep_events, keep_messages }: RuntimeRow): Retention => ({
  ...(typeof keep_events === "number" ? { events: keep_events } : {}),
  ...(typeof keep_messages === "number" ? { messages: keep_messages } : {}),
});

const SELECT_RUNTIME = "select * from runtime where id = 1";

/** The row that says what time it is. The clock is read after it, inside the transaction (L5, counterexample 8). */
function readRuntime(sql: Sql): RuntimeRow {
  const row = sql.get<RuntimeRow>(SELECT_RUNTIME);
  if (row === undefined) throw new SyntaxError("The runtime has lost its clock.");
  return row;
}

/** One read transaction, and its time. */
export class ReadStep {
  readonly sql: Sql;
  readonly now: Millis;
  readonly runtime: RuntimeRow;

  private constructor(sql: Sql, row: RuntimeRow, now: Millis) {
    this.sql = sql;
    this.runtime = row;
    this.now = now;
  }

  static begin(sql: Sql, clock: Clock): ReadStep {
    const row = readRuntime(sql);
    return new ReadStep(sql, row, timeOf(row, clock.now()));
  }
}

export interface WriteOptions {
  /** Looks at what has expired or is to be cleared out. */
  readonly sweep?: boolean;
  /** Goes on where the runtime is retired, too. */
  readonly retired?: boolean;
}

const EXPIRE = `
update lease set ended = 'expired', ended_at = expires_at
where ended is null and expires_at <= $now
returning task_id, agent_id, fencing_token, lease_id, expires_at`;

const APPEND = `
insert into event (seq, created_at, type, agent_id, task_id, data)
values ($seq, $now, $type, $agent_id, $task_id, $data)`;

const FINISH = `
update runtime set clock_offset = $clock_offset, last_now = $now, last_token = $last_token, last_seq = $last_seq,
  last_version = $last_version, pruned_at = $pruned_at, pruned_seq = $pruned_seq
where id = 1`;

/** Everything here is one transaction that holds the write lock: nobody else moves the counters. */
export class WriteStep {
  readonly sql: Sql;
  readonly now: Millis;
  readonly runtime: RuntimeRow;
  #clockOffset: Millis;
  #token: number;
  #seq: number;
  #version: number;
  #prunedAt: Millis;
  #prunedSeq: number;
  readonly #wall: Millis;
  #lastNow: Millis;

  private constructor(sql: Sql, row: RuntimeRow, now: Millis, wall: Millis) {
    this.sql = sql;
    this.now = now;
    this.runtime = row;
    // Wall time stepped back: the difference stays, so that time goes on from here at normal speed (counterexample 9).
    this.#clockOffset = Math.max(row.clock_offset, now - wall);
    this.#token = row.last_token;
    this.#seq = row.last_seq;
    this.#version = row.last_version;
    this.#prunedAt = row.pruned_at;
    this.#prunedSeq = row.pruned_seq;
    this.#wall = wall;
    this.#lastNow = now;
  }

  /**
   * Call it with the write lock held. Leases whose time is over get their `task.expired` here, once.
   * @throws LodestarError `RUNTIME_MOVED`, unless what is retired may be changed too.
   */
  static begin(sql: Sql, clock: Clock, { sweep = true, retired = false }: WriteOptions = {}): WriteStep {
    const row = readRuntime(sql);
    const isRetired = typeof row.moved_to === "string";
    if (isRetired && !retired) throw movedError(sql.db.filename, row.moved_to ?? "");
    const wall = clock.now();
    const step = new WriteStep(sql, row, timeOf(row, wall), wall);
    if (sweep && !isRetired) {
      step.#expire();
      step.#prune();
    }
    return step;
  }

  /** The token of a new grant (L2). */
  nextToken(): number {
    this.#token = Math.max(this.#token + 1, this.now);
    return this.#token;
  }

  nextVersion(): number {
    this.#version += 1;
    return this.#version;
  }

  event({ type, agent_id, task_id, data }: NewEvent): void {
    this.#seq = Math.max(this.#seq + 1, this.now);
    this.sql.run(APPEND, { seq: this.#seq, now: this.now, type, agent_id, task_id, data: json(data) });
  }

  /** After all events were removed: who asks for those since an earlier one learns that they are gone. */
  forgetEvents(): void {
    this.#prunedSeq = this.#seq;
  }

  /** Goes on where another runtime was: its clock and counters where they are further, and the events that it has. */
  resume(from: Pick<RuntimeSnapshot, "now" | "last_token" | "last_seq" | "pruned_seq">): void {
    this.#token = Math.max(this.#token, from.last_token);
    this.#seq = Math.max(this.#seq, from.last_seq);
    this.#prunedSeq = from.pruned_seq;
    this.#lastNow = Math.max(this.now, from.now);
    this.#clockOffset = Math.max(this.#clockOffset, this.#lastNow - this.#wall);
  }

  /** Does several things as one: what was done is taken back when the result is not `kept`. Counters may skip. */
  allOrNone<T>(work: () => T, kept: (result: T) => boolean): T {
    this.sql.run("savepoint step");
    const result = work();
    if (!kept(result)) this.sql.run("rollback to step");
    this.sql.run("release step");
    return result;
  }

  /** Writes clock and counters; the last statement of the transaction. */
  finish(): void {
    this.sql.run(FINISH, {
      clock_offset: this.#clockOffset,
      now: this.#lastNow,
      last_token: this.#token,
      last_seq: this.#seq,
      last_version: this.#version,
      pruned_at: this.#prunedAt,
      pruned_seq: this.#prunedSeq,
    });
  }

  #expire(): void {
    const expired = this.sql.all<{ task_id: string; agent_id: string; fencing_token: number; lease_id: string }>(
      EXPIRE,
      { now: this.now },
    );
    for (const { task_id, agent_id, fencing_token, lease_id } of expired) {
      this.event({ type: "task.expired", agent_id, task_id, data: { fencing_token, lease_id } });
    }
  }

  #prune(): void {
    if (this.now - this.#prunedAt < HOUR) return;
    this.#prunedAt = this.now;
    this.#prunedSeq = Math.max(this.#prunedSeq, prune(this.sql, this.now, retentionOf(this.runtime)));
  }
}

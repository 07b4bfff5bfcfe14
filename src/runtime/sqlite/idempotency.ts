import { LodestarError } from "../../core/errors.ts";
import type { SnapshotKey } from "../snapshot.ts";
import type { Idempotency, Intent } from "../store.ts";
import { present } from "../values.ts";
import type { Sql } from "./sql.ts";
import type { WriteStep } from "./step.ts";

interface KeyRow {
  readonly call: string;
  readonly input_hash: string;
  readonly plan: string | null;
  readonly answer: string | null;
}

const FIND = "select call, input_hash, plan, answer from idempotency where key = $key";
const RECORD = `
insert into idempotency (key, call, input_hash, plan, answer, created_at)
values ($key, $call, $input_hash, $plan, $answer, $now)`;
const ANSWER = `
insert into idempotency (key, call, input_hash, plan, answer, created_at)
values ($key, $call, $input_hash, null, $answer, $now)
on conflict (key) do update set answer = excluded.answer where answer is null`;

/**
 * Runs a call once for its key: a repeat gets the recorded answer, the same text parsed again. Only answers that `keep`
 * are recorded: a refusal changed nothing, so trying it again is a new try.
 */
export function once<T, M>(
  step: WriteStep,
  call: string,
  idempotency: Idempotency | undefined,
  rules: { readonly keep: (result: T) => boolean; readonly mismatch: () => M; readonly run: () => T },
): T | M {
  if (idempotency === undefined) return rules.run();
  const { key, input_hash } = idempotency;
  const known = step.sql.get<KeyRow>(FIND, { key });
  if (known !== undefined) {
    const same = known.call === call && known.input_hash === input_hash && known.answer !== null;
    return same ? (JSON.parse(known.answer ?? "") as T) : rules.mismatch();
  }
  const result = rules.run();
  if (!rules.keep(result)) return result;
  const answer = JSON.stringify(result);
  step.sql.run(RECORD, { key, call, input_hash, answer, now: step.now });
  return JSON.parse(answer) as T;
}

const FORGET = "delete from idempotency where call = $call and instr(answer, $mention) > 0";

/** Takes back the answer of a call that was stepped back: under its key the next try is a first one. */
export function forget(step: WriteStep, call: string, mention: string): void {
  step.sql.run(FORGET, { call, mention: JSON.stringify(mention) });
}

/** For calls whose result has no word for it. */
export function throwMismatch(): never {
  throw new LodestarError("IDEMPOTENCY_MISMATCH", "This idempotency key was used with other input before.");
}

export const mismatch = (): { readonly kind: "mismatch" } => ({ kind: "mismatch" });

const COMMAND = "command";

export function intend(step: WriteStep, { key, input_hash }: Idempotency, plan: unknown): Intent {
  const known = step.sql.get<KeyRow>(FIND, { key });
  if (known === undefined) {
    step.sql.run(RECORD, { key, call: COMMAND, input_hash, plan: JSON.stringify(plan ?? null), now: step.now });
    return { kind: "fresh" };
  }
  if (known.call !== COMMAND || known.input_hash !== input_hash) return { kind: "mismatch" };
  if (known.answer !== null) return { kind: "answered", answer: JSON.parse(known.answer) };
  return { kind: "planned", plan: JSON.parse(known.plan ?? "null") };
}

/** Keeps the first answer; makes the row where the runtime was lost in between. */
export function complete(step: WriteStep, { key, input_hash }: Idempotency, answer: unknown): void {
  step.sql.run(ANSWER, { key, call: COMMAND, input_hash, answer: JSON.stringify(answer ?? null), now: step.now });
}

const ALL = "select key, call, input_hash, plan, answer, created_at from idempotency order by created_at, key";
const PUT = `
insert into idempotency (key, call, input_hash, plan, answer, created_at)
values ($key, $call, $input_hash, $plan, $answer, $created_at)`;

/** Every key with what was kept under it, as a snapshot holds them. */
export function allKeys(sql: Sql): SnapshotKey[] {
  return sql.all<KeyRow & { key: string; created_at: number }>(ALL).map(present);
}

export function insertKey(sql: Sql, { plan, answer, ...row }: SnapshotKey): void {
  sql.run(PUT, { ...row, plan, answer });
}

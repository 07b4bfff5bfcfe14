import { isNewId } from "../core/ids.ts";
import { MAX_TTL, MIN_TTL, type Millis } from "../core/time.ts";
import type { Lease, LeaseEnd } from "../lease/lease.ts";
import type { Agent, Message, OutboxRow, RecordedOutcome, RuntimeEvent } from "./store.ts";

/** A grant with how it ended; `expired`: its time ran out, and a writer has noted that. */
export type SnapshotLease = Omit<Lease, "ended"> & {
  readonly ended?: LeaseEnd | "expired";
  readonly ended_at?: Millis;
};
export type SnapshotAgent = Agent & { readonly session: string };
export type SnapshotOutcome = Omit<RecordedOutcome, "version">;
export type SnapshotOutbox = Omit<OutboxRow, "version" | "outbox_id">;
export type SnapshotMessage = Message & {
  readonly reads: readonly { readonly agent_id: string; readonly read_at: Millis }[];
};
export interface SnapshotKey {
  readonly key: string;
  readonly call: string;
  readonly input_hash: string;
  /** JSON texts: what was kept is given again to the byte. */
  readonly plan?: string;
  readonly answer?: string;
  readonly created_at: Millis;
}

/**
 * Everything that a runtime holds, at one moment; only waiters' tickets, which live for seconds, are not in it. Every list is in an
 * order that the state decides, so that one state has one snapshot. Numbers that order things inside one runtime only (versions of
 * outcomes, numbers of messages and outbox rows) are left out: the order of the list says as much.
 */
export interface RuntimeSnapshot {
  /** The runtime's clock. */
  readonly now: Millis;
  /** The counters; they only grow. */
  readonly last_token: number;
  readonly last_seq: number;
  /** Events up to this seq are gone. */
  readonly pruned_seq: number;
  readonly agents: readonly SnapshotAgent[];
  /** Every grant there was, by token. */
  readonly leases: readonly SnapshotLease[];
  /** The oldest first, as were `outbox` and `messages`. */
  readonly outcomes: readonly SnapshotOutcome[];
  readonly outbox: readonly SnapshotOutbox[];
  readonly events: readonly RuntimeEvent[];
  readonly messages: readonly SnapshotMessage[];
  readonly idempotency: readonly SnapshotKey[];
}

export type RestoreResult =
  | { readonly kind: "restored" }
  /** It holds exactly this already. */
  | { readonly kind: "already" }
  /** It holds other things, which would be lost: so many of each. */
  | { readonly kind: "occupied"; readonly holds: Readonly<Record<string, number>> }
  /** No runtime can hold this: what is wrong with it, as sentences. */
  | { readonly kind: "invalid"; readonly problems: readonly string[] };

/** Grants and events made within one millisecond run ahead of the clock, one number each; nobody makes so many. */
const AHEAD_OF_CLOCK = 1_000_000_000;

/**
 * What no runtime could hold: repeated keys, two open leases of one task, numbers beyond the counters, ids that `agent join` refuses,
 * answers that cannot be given again. None when all is well.
 */
export function snapshotProblems(snapshot: RuntimeSnapshot): string[] {
  const { now, last_token, last_seq, pruned_seq, agents, leases, outcomes, events, messages, idempotency } = snapshot;
  const problems = [
    ...repeated(
      "agent",
      agents.map(({ agent_id }) => agent_id),
    ),
    ...repeated(
      "fencing token",
      leases.map(({ fencing_token }) => fencing_token),
    ),
    ...repeated(
      "lease",
      leases.map(({ lease_id }) => lease_id),
    ),
    ...repeated(
      "task with an open lease",
      leases
        .filter(({ ended }) => ended === undefined)
        .map(({ task_id, created_at }) => `${task_id} ${created_at}`.trim()),
    ),
    ...repeated(
      "outcome of a task",
      outcomes.map(({ task_id, created_at }) => `${task_id} ${created_at}`.trim()),
    ),
    ...repeated(
      "seq",
      events.map(({ seq }) => seq),
    ),
    ...repeated(
      "message",
      messages.map(({ message_id }) => message_id),
    ),
    ...repeated(
      "idempotency key",
      idempotency.map(({ key }) => key),
    ),
    ...messages.flatMap(({ message_id, reads }) =>
      repeated(
        `reader of ${message_id}`,
        reads.map(({ agent_id }) => agent_id),
      ),
    ),
    ...messages
      .filter(({ task_id, to_agent_id }) => (task_id === undefined) === (to_agent_id === undefined))
      .map(({ message_id }) => `The message ${message_id} must go to a task or to an agent.`),
  ];
  for (const { agent_id } of agents)
    if (!isNewId(agent_id)) problems.push(`${JSON.stringify(agent_id)} cannot be the id of an agent.`);
  for (const { lease_id, ttl } of leases)
    if (!Number.isSafeInteger(ttl) || ttl < MIN_TTL || ttl > MAX_TTL)
      problems.push(`The lease ${lease_id} has a TTL that is not between 1s and 7d.`);
  for (const { key, plan, answer } of idempotency) {
    const kept = [...(plan === undefined ? [] : [parsed(plan)]), ...(answer === undefined ? [] : [parsed(answer)])];
    if (kept.some((value) => typeof value !== "object"))
      problems.push(`What was kept for the idempotency key ${JSON.stringify(key)} is no JSON of an answer.`);
  }
  const limit = now + AHEAD_OF_CLOCK;
  if (Math.max(last_token, last_seq, pruned_seq) > limit)
    problems.push("A counter is far ahead of the snapshot's clock.");
  for (const { fencing_token } of leases)
    if (fencing_token > last_token) problems.push(`The fencing token ${fencing_token} is newer than the last one.`);
  for (const { seq } of events) {
    if (seq > last_seq) problems.push(`The event ${seq} is newer than the last one.`);
    if (seq <= pruned_seq) problems.push(`The event ${seq} is gone by pruned_seq.`);
  }
  return problems;
}

/** `undefined` when it is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function repeated(what: string, keys: readonly (string | number)[]): string[] {
  const seen = new Set<string | number>();
  return keys.flatMap((key) => {
    if (seen.has(key)) return [`The ${what} ${key} is there twice.`];
    seen.add(key);
    return [];
  });
}

const LISTS = ["agents", "leases", "outcomes", "outbox", "events", "messages", "idempotency"] as const;

/** How many of each it holds; without what it holds none of. */
export function snapshotCounts(held: RuntimeSnapshot): Record<string, number> {
  const counts = LISTS.map((name) => [name, held[name].length] as const);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

/** True when both hold the same; the counters and the clock do not matter. */
export function sameContent(one: RuntimeSnapshot, other: RuntimeSnapshot): boolean {
  return content(one) === content(other);
}

function content(held: RuntimeSnapshot): string {
  return JSON.stringify(LISTS.map((name) => held[name].map(sortedKeys)));
}

/** The same fields in one order, at every depth. */
function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, sortedKeys(inner)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A snapshot as JSON: its shape, and the way there and back. */
import { check } from "../../core/check.ts";
import { LodestarError } from "../../core/errors.ts";
import {
  Dictionary,
  Flag,
  Float,
  Instant,
  Integer,
  List,
  OneOf,
  Optional,
  Shape,
  type Static,
  Text,
  Token,
  Unknown,
} from "../../core/schema.ts";
import { formatInstant, type Millis, readInstant, SECOND } from "../../core/time.ts";
import {
  EVENT_TYPES,
  type RuntimeSnapshot,
  SEVERITIES,
  type SnapshotKey,
  type SnapshotLease,
} from "../../runtime/store.ts";
import type { WholeSpec } from "../../spec/whole.ts";
import { CompletedInShape } from "../task/shapes.ts";

const Texts = List(Text());

const AgentRow = Shape({
  agent_id: Text(),
  display_name: Optional(Text()),
  role: Optional(Text()),
  capabilities: Optional(Texts),
  session_meta: Optional(Dictionary(Text(), Text())),
  registered_at: Instant,
  last_seen_at: Instant,
  left_at: Optional(Instant),
  worktree: Text(),
  session: Text(),
});

const LeaseRow = Shape({
  task_id: Text(),
  created_at: Optional(Text({ description: "When the task was created: part of its identity" })),
  lease_id: Text(),
  kind: OneOf(["work", "review"]),
  agent_id: Text(),
  session: Text(),
  fencing_token: Token,
  granted_at: Instant,
  expires_at: Instant,
  ttl_seconds: Float({ minimum: 0 }),
  ended: Optional(
    OneOf(["expired", "released", "reverted", "done", "verified", "reopened", "deleted", "forced", "left"]),
  ),
  ended_at: Optional(Instant),
  reopens: Optional(Texts),
  locks: Optional(Texts),
});

const outcome = {
  task_id: Text(),
  created_at: Optional(Text()),
  reopens: Optional(Texts),
  rank: Integer({ minimum: 0, maximum: 3 }),
  verified: Flag(),
  completed_by: Optional(Text()),
  completed_at: Optional(Instant),
  verified_by: Optional(Text()),
  verified_at: Optional(Instant),
  completed_in: Optional(CompletedInShape),
  unblocked: Optional(Texts),
  worktree: Text(),
  branch: Text(),
  at: Instant,
};
const OutcomeRow = Shape(outcome);
const OutboxRow = Shape({
  ...outcome,
  change: OneOf(["done", "verify", "done_verify", "reopen", "delete"]),
  target_worktree: Text(),
  target_branch: Text(),
});

const EventRow = Shape({
  seq: Integer({ minimum: 0 }),
  created_at: Instant,
  type: OneOf(EVENT_TYPES),
  agent_id: Optional(Text()),
  task_id: Optional(Text()),
  data: Optional(Dictionary(Text(), Unknown())),
});

const MessageRow = Shape({
  message_id: Text(),
  from_agent_id: Optional(Text()),
  task_id: Optional(Text()),
  to_agent_id: Optional(Text()),
  text: Text(),
  subject: Optional(Text()),
  severity: Optional(OneOf(SEVERITIES)),
  created_at: Instant,
  reads: Optional(List(Shape({ agent_id: Text(), read_at: Instant }))),
});

const KeyRow = Shape({
  key: Text(),
  call: Text(),
  input_hash: Text(),
  plan: Optional(Text({ description: "JSON" })),
  answer: Optional(Text({ description: "JSON" })),
  created_at: Instant,
});

/** The one version there is; a snapshot of a later one is refused. */
export const SNAPSHOT_VERSION = 1;

export const SnapshotShape = Shape({
  timestamp: Instant,
  snapshot_version: Integer({ minimum: 1, description: "Of this form" }),
  spec: Shape(
    {
      project: Dictionary(Text(), Unknown()),
      tasks: Dictionary(Text(), Dictionary(Text(), Unknown()), { description: "By id, as in spec.yaml" }),
      features: Dictionary(Text(), Texts),
    },
    { additionalProperties: Unknown() },
  ),
  runtime: Shape({
    agents: List(AgentRow),
    active_leases: List(LeaseRow),
    past_leases: Optional(List(LeaseRow)),
    outcomes: Optional(List(OutcomeRow)),
    outbox: Optional(List(OutboxRow)),
    events: Optional(List(EventRow)),
    messages: Optional(List(MessageRow)),
    idempotency: Optional(List(KeyRow)),
    pruned_seq: Optional(Integer({ minimum: 0, description: "Events up to this seq are gone" })),
    last_token: Optional(Integer({ minimum: 0, description: "Only where it ran ahead of the clock" })),
    last_seq: Optional(Integer({ minimum: 0, description: "Only where it ran ahead of the clock" })),
  }),
});
export type SnapshotData = Static<typeof SnapshotShape>;

type Row = Record<string, unknown>;

/** The fields of each kind of row that are instants. */
const TIMES = {
  agents: ["registered_at", "last_seen_at", "left_at"],
  leases: ["granted_at", "expires_at", "ended_at"],
  outcomes: ["completed_at", "verified_at", "at"],
  events: ["created_at"],
  messages: ["created_at"],
  reads: ["read_at"],
  idempotency: ["created_at"],
} as const;

const isEmpty = (value: unknown): boolean =>
  value === "" || (typeof value === "object" && value !== null && Object.keys(value).length === 0);
/** Where an empty text, list or mapping means the same as none. */
const MAY_BE_EMPTY = new Set(["created_at", "capabilities", "session_meta", "reopens", "locks", "unblocked", "reads"]);

function written(row: object, times: readonly string[]): Row {
  const fields = Object.entries(row).filter(([name, value]) => !(MAY_BE_EMPTY.has(name) && isEmpty(value)));
  return Object.fromEntries(
    fields.map(([name, value]) => [name, times.includes(name) ? formatInstant(value as Millis) : value]),
  );
}

/** Only what has something in it. */
function lists(named: Readonly<Record<string, readonly Row[]>>): Record<string, readonly Row[]> {
  return Object.fromEntries(Object.entries(named).filter(([, rows]) => rows.length > 0));
}

/** A snapshot of both planes. Without `include_messages` nothing in it quotes a message. */
export function snapshotData(
  spec: WholeSpec,
  runtime: RuntimeSnapshot | undefined,
  now: Millis,
  include_messages: boolean,
): SnapshotData {
  const timestamp = formatInstant(runtime?.now ?? now);
  const whole = { timestamp, snapshot_version: SNAPSHOT_VERSION, spec };
  if (runtime === undefined) return { ...whole, runtime: { agents: [], active_leases: [] } } as unknown as SnapshotData;
  const isActive = (lease: SnapshotLease) => lease.ended === undefined && lease.expires_at > runtime.now;
  const leaseRow = ({ ttl, ...lease }: SnapshotLease) => ({
    ...written(lease, TIMES.leases),
    ttl_seconds: ttl / SECOND,
  });
  const { agents, leases, outcomes, outbox, events, messages, idempotency } = runtime;
  const more = lists({
    past_leases: leases.filter((lease) => !isActive(lease)).map(leaseRow),
    outcomes: outcomes.map((row) => written(row, TIMES.outcomes)),
    outbox: outbox.map((row) => written(row, TIMES.outcomes)),
    events: events.map((row) => written(row, TIMES.events)),
    messages: (include_messages ? messages : []).map(({ reads, ...row }) =>
      written({ ...row, reads: reads.map((read) => written(read, TIMES.reads)) }, TIMES.messages),
    ),
    idempotency: idempotency
      .filter((row) => include_messages || !quotesMessages(row))
      .map((row) => written(row, TIMES.idempotency)),
  });
  const holdsNothing = agents.length === 0 && leases.length === 0 && Object.keys(more).length === 0;
  const derived = derivedCounters(runtime, runtime.now);
  return {
    ...whole,
    runtime: {
      agents: agents.map((row) => written(row, TIMES.agents)),
      active_leases: leases.filter(isActive).map(leaseRow),
      ...more,
      ...(holdsNothing ? {} : { pruned_seq: runtime.pruned_seq }),
      ...(runtime.last_token > derived.last_token ? { last_token: runtime.last_token } : {}),
      ...(runtime.last_seq > derived.last_seq ? { last_seq: runtime.last_seq } : {}),
    },
  } as unknown as SnapshotData;
}

/** What the counters are at most, as far as the rows and the clock tell: they run ahead of the clock only when many things happen in
 * one millisecond, so that a snapshot need not say them, and says the same whenever it is taken. */
function derivedCounters(
  { leases, events, pruned_seq }: Pick<RuntimeSnapshot, "leases" | "events" | "pruned_seq">,
  now: Millis,
) {
  return {
    last_token: leases.reduce((most, { fencing_token }) => Math.max(most, fencing_token), now),
    last_seq: events.reduce((most, { seq }) => Math.max(most, seq), Math.max(now, pruned_seq)),
  };
}

/** True when a kept answer holds the text of a message. */
function quotesMessages({ answer, plan }: SnapshotKey): boolean {
  const quotes = (value: unknown): boolean =>
    typeof value === "object" &&
    value !== null &&
    ((Object.hasOwn(value, "message_id") && Object.hasOwn(value, "text")) || Object.values(value).some(quotes));
  return [answer, plan].some((text) => text !== undefined && quotes(JSON.parse(text)));
}

function bad(message: string, details: Row = {}): LodestarError {
  return new LodestarError("USAGE", `This is no snapshot that can be imported: ${message}`, {
    details,
    hint: "Give what `lodestar export snapshot` wrote, unchanged.",
  });
}

/** Reads a snapshot from JSON, also inside the envelope of `--json`. @throws LodestarError `USAGE` */
export function readSnapshot(text: string): SnapshotData {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (cause) {
    throw bad(`it is not JSON (${(cause as Error).message}).`);
  }
  const isObject = (one: unknown): one is Row => typeof one === "object" && one !== null;
  const data = isObject(value) && value.ok === true && isObject(value.data) ? value.data : value;
  if (isObject(data) && typeof data.snapshot_version === "number" && data.snapshot_version > SNAPSHOT_VERSION)
    throw bad(`it has version ${data.snapshot_version}, and this Lodestar reads version ${SNAPSHOT_VERSION}.`);
  const issues = check(SnapshotShape, data);
  const [first] = issues;
  if (first !== undefined)
    throw bad(
      `${first.path.join(".") || "it"} ${first.message}${issues.length > 1 ? ` (and ${issues.length - 1} more)` : ""}.`,
      {
        issues: issues.slice(0, 100).map(({ path, message }) => ({ field: path.join("."), message })),
      },
    );
  return data as SnapshotData;
}

function read(row: Row, times: readonly string[], empty: Row = {}): Row {
  const fields = Object.entries(row).map(([name, value]) => [
    name,
    times.includes(name) ? instant(value, name) : value,
  ]);
  return { ...empty, ...Object.fromEntries(fields) };
}

function instant(value: unknown, name: string): Millis {
  const at = readInstant(String(value));
  if (at === undefined || at < 0) throw bad(`${name} is ${JSON.stringify(value)}, which is no instant.`);
  return at;
}

/** The runtime's part, as a store takes it. @throws LodestarError `USAGE` */
export function runtimeOf({ timestamp, runtime }: SnapshotData): RuntimeSnapshot {
  const now = instant(timestamp, "timestamp");
  const rows = (name: keyof SnapshotData["runtime"]) => (runtime[name] ?? []) as Row[];
  const events = rows("events").map((row) => read(row, TIMES.events));
  const leases = [...rows("active_leases"), ...rows("past_leases")]
    .map(({ ttl_seconds, ...row }) => ({
      ...read(row, TIMES.leases, { created_at: "", reopens: [], locks: [] }),
      ttl: Math.round(Number(ttl_seconds) * SECOND),
    }))
    .sort((a, b) => Number((a as Row).fencing_token) - Number((b as Row).fencing_token));
  const outcomeRow = (row: Row) => read(row, TIMES.outcomes, { created_at: "", reopens: [] });
  const held = {
    now,
    pruned_seq: runtime.pruned_seq ?? 0,
    agents: rows("agents").map((row) => read(row, TIMES.agents, { capabilities: [], session_meta: {} })),
    leases,
    outcomes: rows("outcomes").map(outcomeRow),
    outbox: rows("outbox").map(outcomeRow),
    events,
    messages: rows("messages").map((row) => ({
      ...read(row, TIMES.messages),
      reads: ((row.reads ?? []) as Row[]).map((one) => read(one, TIMES.reads)),
    })),
    idempotency: rows("idempotency").map((row) => read(row, TIMES.idempotency)),
  } as unknown as RuntimeSnapshot;
  const derived = derivedCounters(held, now);
  return {
    ...held,
    last_token: Math.max(derived.last_token, runtime.last_token ?? 0),
    last_seq: Math.max(derived.last_seq, runtime.last_seq ?? 0),
  };
}

/** How many things the runtime's part holds. */
export const countRows = (runtime: RuntimeSnapshot): number =>
  [
    runtime.agents,
    runtime.leases,
    runtime.outcomes,
    runtime.outbox,
    runtime.events,
    runtime.messages,
    runtime.idempotency,
  ].reduce((sum, { length }) => sum + length, 0);

import type { Outcome } from "../core/status.ts";
import type { CompletedIn, TaskKey } from "../core/task.ts";
import type { Millis } from "../core/time.ts";
import type { Lease, LeaseKind } from "../lease/lease.ts";
import type { RestoreResult, RuntimeSnapshot } from "./snapshot.ts";

export type { ChosenBy, RuntimeChoice, Runtimes, RuntimeTarget } from "./choice.ts";
export type {
  RestoreResult,
  RuntimeSnapshot,
  SnapshotAgent,
  SnapshotKey,
  SnapshotLease,
  SnapshotMessage,
  SnapshotOutbox,
  SnapshotOutcome,
} from "./snapshot.ts";

/** What `restore` would refuse any runtime, as sentences; loaded only by who imports. */
export async function problemsOf(snapshot: RuntimeSnapshot): Promise<string[]> {
  return (await import("./snapshot.ts")).snapshotProblems(snapshot);
}

/**
 * The runtime plane. Every method is one atomic step and one round trip: nothing stays open between two calls, so that
 * SQLite, PostgreSQL and an HTTPS server can keep the same promises. Outcomes that a caller must handle are values;
 * only damage and unreachability are thrown (`BUSY`, `RUNTIME_*`, `DISK_FULL`, `READ_ONLY`).
 *
 * Times are the store's: read inside the step, in milliseconds of the runtime's clock (L5).
 */
export interface RuntimeStore {
  /** A consistent look, in one read transaction; writes nothing. */
  observe(query: ObserveQuery): Promise<Observation>;
  /**
   * Everything about one task's runtime side, for `task show`, `release` hints and `ID_TAKEN`.
   * @param reader whose unread messages in the thread are counted.
   */
  lookup(task_ids: readonly string[], reader?: string): Promise<readonly RuntimeTask[]>;

  /**
   * Grants leases (L1, L2, L4, L9). First, when `resume` is set and this agent already holds a live lease of this kind
   * in this session, that lease is renewed and returned (`already`). Then the candidates are looked at in order: each must have no
   * live lease, its `basis` unchanged, and (under `enforce`, without `force`) no lock overlapping another agent's live lease.
   * `take: "all"` grants every candidate or none; `take: "first"` grants the first that passes, those without a lock
   * conflict before those with one.
   */
  claim(request: ClaimRequest): Promise<ClaimResult>;
  renew(request: RenewRequest): Promise<RenewResult>;
  release(request: ReleaseRequest): Promise<ReleaseResult>;
  /**
   * Records outcomes: done, verify, reopen, delete; all steps or none. In one transaction per call: holder rules (L3),
   * idempotence by token (L4), outcome, end of the lease, event, note, outbox row (T2).
   */
  finish(request: FinishRequest): Promise<FinishResult>;

  /** Outbox rows that the caller has written to its spec, or found there already. */
  settle(outbox_ids: readonly number[]): Promise<void>;
  outbox(): Promise<readonly OutboxRow[]>;
  /** Gives rows of a removed worktree to another (T2). */
  adopt(outbox_ids: readonly number[], worktree: string, branch: string): Promise<void>;
  /** Outcomes with `version > since`, oldest first. */
  outcomes(since: number): Promise<readonly RecordedOutcome[]>;

  join(request: JoinRequest): Promise<Agent>;
  heartbeat(agent_id: string): Promise<Agent | undefined>;
  /** Marks the agent as gone; its live leases end (`released`), each with its event. */
  leave(
    agent_id: string,
    idempotency?: Idempotency,
  ): Promise<{ readonly agent: Agent; readonly released: readonly TaskKey[] } | undefined>;
  agents(): Promise<AgentsView>;

  /** Appends events of changes that were made elsewhere (the spec alone). */
  append(events: readonly NewEvent[]): Promise<void>;
  events(query: EventQuery): Promise<EventPage>;
  /** Sends from a registered agent to a thread, or to a registered agent: one of them unknown, nothing is sent. */
  send(message: NewMessage): Promise<SendResult>;
  /** Messages in the order asked for; filters come before the limit. Reading marks nothing. */
  messages(query: MessageQuery): Promise<MessagePage>;
  /**
   * The same page, and marks what is on it as read by this agent, with one `message.read` if anything was unread: of two sessions
   * of one agent that ask for unread messages at once, each message goes to one.
   */
  receive(reader: string, query: MessageQuery, idempotency?: Idempotency): Promise<MessagePage>;
  /** Marks messages as read by this agent, with one `message.read`; answers the ids that were unread before. */
  markRead(reader: string, which: MarkQuery): Promise<readonly string[]>;
  /** The threads that were written to last. @param reader whose unread messages are counted. */
  threads(limit: number, reader?: string): Promise<readonly Thread[]>;

  /** How long events (with idempotency keys) and messages are kept from now on; left out: 30 and 90 days. */
  keep(retention: Retention): Promise<void>;

  /**
   * Idempotency for commands whose effect is not in the runtime (create, import, update). The first call keeps `plan` (ids chosen,
   * times) and answers `fresh`; a repeat answers `planned` with the first plan until {@link complete}, then `answered`.
   */
  intend(idempotency: Idempotency, plan: unknown): Promise<Intent>;
  complete(idempotency: Idempotency, answer: unknown): Promise<void>;

  /** Waiters' tickets (L7): renews or makes one; says whether it is this ticket's turn. Not durable, not an event. */
  queue(ticket: Ticket): Promise<{ readonly first: boolean }>;
  dequeue(ticket_id: string): Promise<void>;
  /** A cheap number that changes whenever another process has written anything. */
  pulse(): Promise<number>;
  /**
   * Sleeps for so long, or until the store hears that something was written, as far as it can hear. Absent where a look costs so little
   * that waiters look often.
   */
  drowse?(atMost: Millis): Promise<void>;

  /** Empties the runtime (`reset`). Tokens, event numbers and the clock go on; `runtime_id` becomes another. */
  clear(): Promise<void>;
  /** Everything that the runtime holds, at one moment. */
  snapshot(): Promise<RuntimeSnapshot>;
  /**
   * Puts a snapshot back into a runtime that holds nothing, all of it or none. Tokens, event numbers and the clock go on from whichever
   * is further, here or there; leases keep the instant at which they expire; no event is appended.
   *
   * @param own idempotency keys of the very call that restores, which may be there.
   * @param replacing a runtime that was retired in favour of this place counts as holding nothing, and is open again afterwards.
   */
  restore(snapshot: RuntimeSnapshot, own: readonly string[], replacing?: string): Promise<RestoreResult>;
  /**
   * Closes the runtime for writing, because it goes on elsewhere, and answers what it holds at that very moment: nothing that was
   * written is missing there, and whatever comes later is refused (`RUNTIME_MOVED`), also from who has it open. Reads go on.
   * Repeated for the same place it answers the same; for another one it is refused as every write is, so that of two moves one counts.
   *
   * @param moved_to where, as people may read it: a path, or a URL without its password.
   * @param over the place that it was retired for before, where that is to count no longer.
   */
  retire(moved_to: string, over?: string): Promise<RuntimeSnapshot>;
  /** Opens a runtime for writing again that was retired for that place; one that was not stays as it is. */
  revive(moved_to: string): Promise<void>;
  /** Remembers which repository the runtime is for, in the place of what it remembers. */
  belong(home: RuntimeHome): Promise<void>;
  /** Full check of the store's own integrity; problems as sentences. */
  inspect(): Promise<readonly string[]>;
  info(): Promise<RuntimeInfo>;
  close(): void;
}

export interface RuntimeInfo {
  /** Made when the runtime was made: an index that mirrors outcomes knows by it whether they are this runtime's. */
  readonly runtime_id: string;
  readonly schema_version: number;
  /** The program that keeps it, with its version, such as `SQLite 3.51.0`. */
  readonly engine: string;
  /** What time it is there. */
  readonly now: Millis;
  readonly home?: RuntimeHome;
  /** Where it went on, when it is retired. */
  readonly moved_to?: string;
  /** How far the runtime's clock runs ahead of wall time because that stepped back (L5). */
  readonly clock_offset: Millis;
  readonly counts: {
    readonly agents: number;
    readonly leases: number;
    readonly messages: number;
    readonly events: number;
    readonly outcomes: number;
  };
}

/** Which repository a runtime is for: how clones of other ones are told. */
export interface RuntimeHome {
  /** The first commit of its history. A fork has the same. */
  readonly root_commit?: string;
  /** Where it was cloned from, without anybody's name or password. */
  readonly origin?: string;
}

/** The caller-chosen key and a hash of the input that it stands for. */
export interface Idempotency {
  readonly key: string;
  readonly input_hash: string;
}

export type Intent =
  | { readonly kind: "fresh" }
  | { readonly kind: "planned"; readonly plan: unknown }
  | { readonly kind: "answered"; readonly answer: unknown }
  | { readonly kind: "mismatch" };

/**
 * The tasks whose recorded outcomes a decision rested on. It was made at `seen` ({@link Observation.version}); the step is
 * `stale` when the runtime has an outcome of one of these keys with a larger version: the check needs no row per key.
 */
export type Basis = readonly TaskKey[];

export interface RecordedOutcome extends TaskKey, Outcome {
  /** Grows with every recorded outcome of this runtime. */
  readonly version: number;
  readonly completed_by?: string;
  readonly completed_at?: Millis;
  readonly verified_by?: string;
  readonly verified_at?: Millis;
  readonly completed_in?: CompletedIn;
  /** What the commit that verified it made claimable. */
  readonly unblocked?: readonly string[];
  /** Where it was made. */
  readonly worktree: string;
  readonly branch: string;
  readonly at: Millis;
}

export interface ObserveQuery {
  /** Outcomes with a larger version are returned. */
  readonly since: number;
  /** Whose releases and heartbeat matter; its own leases too. */
  readonly agent_id?: string;
  /** Also count agents, messages and what this agent has not read: looks at whole tables, which those who take work need not pay for. */
  readonly counts?: boolean;
  readonly worktree: string;
  readonly branch: string;
}

export interface Observation {
  readonly runtime_id: string;
  readonly now: Millis;
  /** Live leases. */
  readonly leases: readonly Lease[];
  readonly outcomes: readonly RecordedOutcome[];
  /** Tasks that this agent was the last to hold, and gave back. */
  readonly released: readonly TaskKey[];
  /** True when outbox rows wait for this worktree and branch, or for a worktree that may be gone. */
  readonly outbox_waiting: boolean;
  readonly agent?: Agent;
  /** Only when asked for, as the next two. */
  readonly agent_count?: number;
  readonly message_count?: number;
  readonly unread?: number;
  readonly last_seq: number;
  readonly version: number;
  readonly retention: Retention;
  /** The runtime is retired; this is where it went on. */
  readonly moved_to?: string;
}

/** How long what grows is kept. */
export interface Retention {
  readonly events?: Millis;
  readonly messages?: Millis;
}

export interface RuntimeTask {
  readonly key: TaskKey;
  readonly lease?: Lease;
  readonly outcome?: RecordedOutcome;
  readonly message_count: number;
  /** Of the `reader` that the call named. */
  readonly unread: number;
  /** Every agent that held the task, in the order of their first grants. */
  readonly holders: readonly string[];
}

export interface Candidate {
  readonly key: TaskKey;
  /** Effective reopens at the decision: holders are counted within one round of work (L3). */
  readonly reopens: readonly string[];
  readonly locks: readonly string[];
  readonly basis: Basis;
}

export interface ClaimRequest {
  /** {@link Observation.version} of the look that the candidates come from. */
  readonly seen: number;
  readonly candidates: readonly Candidate[];
  readonly take: "all" | "first";
  readonly kind: LeaseKind;
  readonly agent_id: string;
  readonly session: string;
  readonly ttl: Millis;
  /** `next --claim` without `--another`. */
  readonly resume: boolean;
  readonly locks: "warn" | "enforce";
  /** Overrides a lock conflict only. */
  readonly force: boolean;
  /** Fresh lease ids, one a candidate at most is used. */
  readonly lease_ids: readonly string[];
  /** Unread messages of the thread are handed over up to so many characters. */
  readonly handoff_chars: number;
  readonly ticket?: Ticket;
  readonly idempotency?: Idempotency;
}

export interface LockConflict {
  readonly task_id: string;
  readonly held_task_id: string;
  readonly agent_id: string;
  readonly expires_at: Millis;
  readonly pattern: string;
  readonly other_pattern: string;
}

export interface Grant {
  readonly lease: Lease;
  readonly already: boolean;
  readonly conflicts: readonly LockConflict[];
  readonly handoff?: { readonly unread: number; readonly messages: readonly Message[] };
}

export type ClaimResult =
  | { readonly kind: "granted"; readonly grants: readonly Grant[] }
  /** `take: "all"`: somebody else (or this agent in another session) holds these. */
  | { readonly kind: "held"; readonly leases: readonly Lease[] }
  /** Outcomes changed since the decision: look again and repeat. */
  | { readonly kind: "stale"; readonly task_ids: readonly string[] }
  | { readonly kind: "conflict"; readonly conflicts: readonly LockConflict[] }
  /** `take: "first"`: no candidate passed; `stale` says that looking again may help. */
  | { readonly kind: "none"; readonly stale: boolean }
  /** Another waiter is before this one (L7). */
  | { readonly kind: "queued" }
  | { readonly kind: "unknown_agent" }
  | { readonly kind: "mismatch" };

/** Which lease a call speaks of (L2): token or lease id; without either, the agent's last lease on the task. */
export interface Claimant {
  readonly agent_id?: string;
  readonly fencing_token?: number;
  readonly lease_id?: string;
}

/** Why a call about a lease is refused. */
export type Refusal =
  | { readonly kind: "lost"; readonly task_id: string; readonly current?: Lease }
  | { readonly kind: "not_holder"; readonly task_id: string; readonly current?: Lease }
  | { readonly kind: "agent_required"; readonly task_id: string }
  | { readonly kind: "unknown_agent" }
  | { readonly kind: "mismatch" };

export interface RenewRequest extends Claimant {
  readonly key: TaskKey;
  readonly ttl: Millis;
  /** L8: renewed on the way, only when past half its TTL; writes no event. */
  readonly automatic: boolean;
  readonly idempotency?: Idempotency;
}
export type RenewResult =
  | { readonly kind: "renewed"; readonly lease: Lease }
  | { readonly kind: "unchanged"; readonly lease: Lease }
  | Refusal;

export interface ReleaseRequest extends Claimant {
  readonly key: TaskKey;
  readonly force: boolean;
  readonly note?: { readonly text: string; readonly message_id: string };
  /** `reverted`: the claim's own step back (L9); it leaves no `task.released` to be taken for a decision of the agent's. */
  readonly how: "released" | "reverted";
  /** The attempt at the work failed, and the event says so: who counts attempts reads it there. */
  readonly failed?: true;
  readonly idempotency?: Idempotency;
}
/** `already`: the lease was given back before, or had expired with nobody after it. */
export type ReleaseResult = { readonly kind: "released"; readonly lease: Lease; readonly already: boolean } | Refusal;

export type Change = "done" | "verify" | "done_verify" | "reopen" | "delete";

export interface FinishStep {
  readonly key: TaskKey;
  readonly change: Change;
  /** Effective outcome that the decision rested on, and the one to record. */
  readonly before: Outcome;
  readonly after: Outcome;
  /** Who completed the work as the spec tells it, where the runtime does not know (`verify: other`, idempotence). */
  readonly spec_completed_by?: string;
  /** Done by somebody without a lease is right only for a claimable task (L3). */
  readonly claimable: boolean;
  readonly basis: Basis;
  /** Ids that become claimable by this commit (T3). */
  readonly unblocked: readonly string[];
  readonly completed_in?: CompletedIn;
  readonly note?: { readonly text: string; readonly message_id: string };
}

export interface FinishRequest extends Claimant {
  /** {@link Observation.version} of the look that the steps come from. */
  readonly seen: number;
  readonly steps: readonly FinishStep[];
  readonly force: boolean;
  readonly verify: "any" | "other";
  readonly worktree: string;
  readonly branch: string;
  readonly idempotency?: Idempotency;
}

export interface Finished {
  readonly key: TaskKey;
  readonly already: boolean;
  /** The recorded outcome; with `already`, the one that stands. */
  readonly outcome: RecordedOutcome;
  /** The row to settle once the spec holds it; none with `already`. */
  readonly outbox_id?: number;
}

export type FinishResult =
  | { readonly kind: "finished"; readonly finished: readonly Finished[] }
  | { readonly kind: "stale"; readonly task_ids: readonly string[] }
  | { readonly kind: "self_verification"; readonly task_id: string; readonly agent_id: string }
  | { readonly kind: "not_claimable"; readonly task_id: string }
  | Refusal;

export interface OutboxRow extends RecordedOutcome {
  /** What made it: a `verify` is written only where the spec already records the work as done (T2). */
  readonly change: Change;
  readonly outbox_id: number;
  /** Where the spec has to learn of it; `worktree` and `branch` of the row, not of the outcome. */
  readonly target_worktree: string;
  readonly target_branch: string;
}

export interface JoinRequest {
  /** Resumes this agent, or registers it under this id. */
  readonly agent_id: string;
  readonly display_name?: string;
  readonly role?: string;
  readonly capabilities?: readonly string[];
  readonly session_meta?: Readonly<Record<string, string>>;
  readonly worktree: string;
  readonly session: string;
  readonly idempotency?: Idempotency;
}

export interface Agent {
  readonly agent_id: string;
  readonly display_name?: string;
  readonly role?: string;
  readonly capabilities: readonly string[];
  readonly session_meta: Readonly<Record<string, string>>;
  readonly registered_at: Millis;
  readonly last_seen_at: Millis;
  readonly left_at?: Millis;
  /** Where it joined or was last resumed. */
  readonly worktree: string;
}

export interface AgentsView {
  readonly now: Millis;
  readonly agents: readonly Agent[];
  readonly leases: readonly Lease[];
}

export const EVENT_TYPES = [
  "agent.joined",
  "agent.left",
  "task.created",
  "task.updated",
  "task.claimed",
  "task.renewed",
  "task.released",
  "task.expired",
  "task.done",
  "task.verified",
  "task.reopened",
  "task.deleted",
  "message.sent",
  "message.read",
  "prd.drifted",
  "prd.accepted",
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

export interface NewEvent {
  readonly type: EventType;
  readonly agent_id?: string;
  readonly task_id?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}
export interface RuntimeEvent extends NewEvent {
  readonly seq: number;
  readonly created_at: Millis;
}
export interface EventQuery {
  /** Events with a larger seq. */
  readonly since: number;
  readonly types?: readonly string[];
  readonly task_id?: string;
  readonly agent_id?: string;
  readonly limit: number;
}
export type EventPage =
  | { readonly kind: "page"; readonly events: readonly RuntimeEvent[]; readonly next_since: number }
  | { readonly kind: "pruned"; readonly oldest: number };

export const SEVERITIES = ["info", "warning", "handoff", "blocker"] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface NewMessage {
  readonly message_id: string;
  readonly from_agent_id: string;
  /** Exactly one of the two. */
  readonly task_id?: string;
  readonly to_agent_id?: string;
  readonly text: string;
  readonly subject?: string;
  readonly severity?: Severity;
  readonly idempotency?: Idempotency;
}
export interface Message {
  readonly message_id: string;
  readonly from_agent_id?: string;
  readonly task_id?: string;
  readonly to_agent_id?: string;
  readonly text: string;
  readonly subject?: string;
  readonly severity?: Severity;
  readonly created_at: Millis;
}

export type SendResult =
  | { readonly kind: "sent"; readonly message: Message }
  /** Sender or receiver is not registered, or has left. */
  | { readonly kind: "unknown_agent"; readonly agent_id: string };

export interface MessageQuery {
  /** Messages to this agent, and the threads of tasks that it holds. */
  readonly inbox_of?: string;
  readonly task_id?: string;
  readonly from_agent_id?: string;
  /** Only what this agent has not read; its own are never unread. */
  readonly unread_by?: string;
  /** Each of these stands in the text or the subject, whatever its case; any text will do, no sign has a meaning. */
  readonly words?: readonly string[];
  readonly since?: Millis;
  readonly until?: Millis;
  /** Oldest first is how a thread is read, newest first how a mailbox is. */
  readonly order: "oldest" | "newest";
  /** {@link MessagePage.last} of the page before: what was sent meanwhile neither moves nor repeats the next one. */
  readonly after?: number;
  readonly limit: number;
}
export interface MessagePage {
  readonly messages: readonly (Message & { readonly read_by: readonly string[] })[];
  /** How many pass the filters, on all pages together. */
  readonly count: number;
  /** Where the page ends; absent when it is empty. */
  readonly last?: number;
  /** There are messages after this page. */
  readonly more: boolean;
}

/** Which messages: all of a thread, these ids, or of these ids those in the thread. */
export interface MarkQuery {
  readonly task_id?: string;
  readonly message_ids?: readonly string[];
}

export interface Thread {
  readonly task_id: string;
  readonly message_count: number;
  readonly unread: number;
  readonly last_at: Millis;
}

export interface Ticket {
  readonly ticket_id: string;
  /** What is waited for: waiters with the same filter and worktree stand in one queue. */
  readonly filter: string;
  readonly worktree: string;
}

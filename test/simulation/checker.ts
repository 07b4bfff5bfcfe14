import { Database } from "bun:sqlite";
import { existsSync, statSync } from "node:fs";
import {
  claimableIds,
  effective,
  holds,
  isClaimable,
  join,
  keyText,
  NONE,
  type Outcome,
  readTasks,
  type SpecTask,
  same,
  sameRound,
  satisfied,
  statusOf,
} from "./lattice.ts";
import type { Worktree, World } from "./world.ts";

/** A promise of model.md that a history broke. */
export class Violation extends Error {
  readonly promise: string;
  constructor(promise: string, message: string) {
    super(`${promise}: ${message}`);
    this.promise = promise;
  }
}

interface LeaseRow {
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
}
interface OutcomeRow {
  readonly task_id: string;
  readonly created_at: string;
  readonly version: number;
  readonly reopens: string;
  readonly rank: number;
  readonly verified: number;
}
interface OutboxRow extends OutcomeRow {
  readonly outbox_id: number;
  readonly target_worktree: string;
  readonly target_branch: string;
  readonly change: string;
}
interface ClockRow {
  readonly clock_offset: number;
  readonly last_now: number;
  readonly last_seq: number;
}

/** The runtime's tables at one moment, read past the product. */
export interface Snapshot {
  readonly leases: ReadonlyMap<number, LeaseRow>;
  readonly outcomes: ReadonlyMap<string, Outcome & { readonly version: number }>;
  readonly outbox: ReadonlyMap<number, OutboxRow>;
  readonly clock: ClockRow | undefined;
}
const EMPTY: Snapshot = { leases: new Map(), outcomes: new Map(), outbox: new Map(), clock: undefined };

/** One call of a command, over all its attempts. */
export interface Call {
  readonly id: number;
  readonly agent_id: string;
  readonly command: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly worktree: Worktree;
  readonly idempotency_key: string | undefined;
  readonly session: string;
  attempts: number;
  /** How many runtimes had been lost when it was made: what it did before is forgotten with them. */
  runtime: number;
  /** The spec's text when this call last looked at it. */
  looked: string | undefined;
  /** Grants of this attempt that have not been seen claimable yet. */
  unproven: { readonly key: string; readonly task_id: string; readonly kind: string }[];
  /** Keys that steps of any attempt have changed, and leases that they were granted. */
  readonly applied: string[];
  readonly granted: string[];
  /** Dependencies that a grant of this attempt rests on and this worktree's spec lacks (T5). */
  absent: { readonly task_id: string; readonly need: string }[];
}

// biome-ignore lint/suspicious/noExplicitAny: requests and results of every method of the store.
type Json = any;

const outcomeOf = (row: OutcomeRow): Outcome => ({
  reopens: JSON.parse(row.reopens),
  rank: row.rank,
  verified: row.verified === 1,
});
const keyOfRow = (row: { task_id: string; created_at: string }): string => keyText(row.task_id, row.created_at);

/** Verifies each step against the state before it, and the whole afterwards. Shares no code with the product. */
export class Checker {
  readonly #world: World;
  #db: Database | undefined;
  #inode = 0n;
  /** The runtime's clock as L5 describes it. */
  #offset = 0;
  #last = 0;
  #maxToken = 0;
  readonly #reopens = new Set<string>();
  /** What is committed for each worktree and branch, and what was adopted there. */
  #committed: { readonly target: string; readonly key: string; readonly change: string; readonly outcome: Outcome }[] =
    [];
  /** Acknowledged outcomes of this runtime. */
  #acknowledged: { readonly key: string; readonly outcome: Outcome }[] = [];
  /** Where a new task was saved. */
  readonly #saved = new Map<string, string>();
  #created: { readonly branch: string; readonly key: string }[] = [];
  /** Acknowledged operations, for the report. */
  acknowledged = 0;

  constructor(world: World) {
    this.#world = world;
  }

  close(): void {
    this.#db?.close();
    this.#db = undefined;
  }

  /** The runtime's clock now. */
  get now(): number {
    return Math.max(this.#world.clock.now() + this.#offset, this.#last);
  }

  /** False when a lost runtime could not keep its tokens growing: wall time is behind what it has been. */
  get mayLoseRuntime(): boolean {
    return this.#world.clock.now() > this.#maxToken && this.#offset === 0;
  }

  forgetRuntime(): void {
    this.close();
    this.#inode = 0n;
    this.#committed = [];
    this.#acknowledged = [];
  }

  snapshot(): Snapshot {
    const { runtime } = this.#world;
    const inode = statSync(runtime, { bigint: true, throwIfNoEntry: false })?.ino;
    if (inode === undefined) return EMPTY;
    if (this.#db === undefined || inode !== this.#inode) {
      this.#db?.close();
      this.#db = new Database(runtime, { readwrite: true, create: false });
      this.#inode = inode;
      const [clock] = this.#rows<ClockRow>("select clock_offset, last_now, last_seq from runtime");
      this.#offset = clock?.clock_offset ?? 0;
      this.#last = clock?.last_now ?? 0;
    }
    const leases = this.#rows<LeaseRow>(
      "select fencing_token, task_id, created_at, lease_id, kind, agent_id, session, reopens, granted_at, expires_at, ended from lease order by fencing_token",
    );
    const outcomes = this.#rows<OutcomeRow>(
      "select task_id, created_at, version, reopens, rank, verified from outcome",
    );
    const outbox = this.#rows<OutboxRow>(
      "select outbox_id, target_worktree, target_branch, change, task_id, created_at, version, reopens, rank, verified from outbox order by outbox_id",
    );
    return {
      leases: new Map(leases.map((row) => [row.fencing_token, row])),
      outcomes: new Map(outcomes.map((row) => [keyOfRow(row), { ...outcomeOf(row), version: row.version }])),
      outbox: new Map(outbox.map((row) => [row.outbox_id, row])),
      clock: this.#rows<ClockRow>("select clock_offset, last_now, last_seq from runtime")[0],
    };
  }

  #rows<Row>(sql: string): Row[] {
    return (this.#db?.query(sql).all() ?? []) as Row[];
  }

  /** Checks one step of the store that wrote. */
  wrote(call: Call, method: string, request: Json, result: Json, before: Snapshot, after: Snapshot): void {
    this.#checkClock(before, after);
    this.#checkLeases(call, method, request, result, before, after);
    this.#checkOutcomes(call, method, request, result, before, after);
    this.#checkOutbox(call, method, request, result, before, after);
    if (method === "release" && request.how === "reverted") {
      // The claim stepped back from this grant (L9): only its last one is answered.
      const { task_id } = request.key;
      call.unproven = call.unproven.filter((grant) => grant.task_id !== task_id);
      call.absent = call.absent.filter((one) => one.task_id !== task_id);
    }
    if (method === "claim" && result.kind === "granted") this.#checkGrants(call, request, result, before, after);
  }

  #checkClock(before: Snapshot, after: Snapshot): void {
    const wall = this.#world.clock.now();
    const expected = Math.max(wall + this.#offset, this.#last);
    const { clock } = after;
    if (clock === undefined) throw new Violation("L6", "The runtime has lost its clock.");
    if (clock.last_now !== expected) {
      throw new Violation("L5", `The runtime's clock says ${clock.last_now}, not ${expected}; the wall says ${wall}.`);
    }
    if (before.clock !== undefined && clock.last_seq < before.clock.last_seq)
      throw new Violation("Events", "seq went back.");
    this.#offset = Math.max(this.#offset, expected - wall);
    this.#last = expected;
    if (clock.clock_offset !== this.#offset)
      throw new Violation("L5", `The offset is ${clock.clock_offset}, not ${this.#offset}: time would stand still.`);
  }

  #checkLeases(call: Call, method: string, request: Json, result: Json, before: Snapshot, after: Snapshot): void {
    const now = this.#last;
    for (const [token, row] of after.leases) {
      const old = before.leases.get(token);
      if (old === undefined) this.#checkNewLease(method, request, row, before);
      else if (old.lease_id !== row.lease_id) throw new Violation("L2", `The token ${token} was given out twice.`);
      else if (old.expires_at !== row.expires_at) this.#checkMoved(method, request, old, row, before);
      else if (old.ended !== row.ended) this.#checkEnded(method, request, row);
    }
    for (const [token, row] of before.leases) {
      if (!after.leases.has(token))
        throw new Violation("L2", `The grant ${token} of ${row.task_id} vanished from the history.`);
    }
    const live = new Map<string, LeaseRow>();
    for (const row of after.leases.values()) {
      if (row.ended !== null || row.expires_at <= now) continue;
      const other = live.get(keyOfRow(row));
      if (other !== undefined)
        throw new Violation("L1", `${row.task_id} is held by ${other.agent_id} and by ${row.agent_id} at once.`);
      live.set(keyOfRow(row), row);
    }
    if (method === "renew" && request.automatic === true && result.kind === "renewed") {
      const named = call.input.task_id;
      if (named !== undefined && named !== request.key.task_id)
        throw new Violation("L8", `A call about ${named} renewed ${request.key.task_id}.`);
      if (named === undefined) throw new Violation("L8", `A call about no task renewed ${request.key.task_id}.`);
    }
  }

  #checkNewLease(method: string, request: Json, row: LeaseRow, before: Snapshot): void {
    if (method !== "claim") throw new Violation("L1", `${method} made a lease of ${row.task_id}.`);
    if (row.fencing_token <= this.#maxToken)
      throw new Violation("L2", `The token ${row.fencing_token} is not larger than ${this.#maxToken}.`);
    this.#maxToken = row.fencing_token;
    if (row.agent_id !== request.agent_id)
      throw new Violation("L3", `${row.agent_id} was granted what another asked for.`);
    const held = [...before.leases.values()].find(
      (other) => keyOfRow(other) === keyOfRow(row) && other.ended === null && other.expires_at > this.#last,
    );
    if (held !== undefined)
      throw new Violation("L1", `${row.task_id} was granted to ${row.agent_id} while ${held.agent_id} held it.`);
    if (row.expires_at - this.#last < request.ttl)
      throw new Violation(
        "L5",
        `A lease of ${request.ttl} ms was granted with ${row.expires_at - this.#last} ms left.`,
      );
  }

  /** Renewed, or opened again after its time. */
  #checkMoved(method: string, request: Json, old: LeaseRow, row: LeaseRow, before: Snapshot): void {
    const mine = request?.agent_id === undefined || request.agent_id === row.agent_id;
    if ((method !== "renew" && method !== "claim") || !mine) {
      throw new Violation(
        "L3",
        `${method} by ${request?.agent_id} moved the lease of ${row.agent_id} on ${row.task_id}.`,
      );
    }
    const newer = [...before.leases.values()].some(
      (other) => keyOfRow(other) === keyOfRow(row) && other.fencing_token > row.fencing_token,
    );
    if (newer) throw new Violation("L2", `The stale token ${row.fencing_token} of ${row.task_id} was renewed.`);
    if (method === "renew" && request.fencing_token !== undefined && request.fencing_token !== row.fencing_token)
      throw new Violation("L2", `The token ${request.fencing_token} renewed ${row.fencing_token}.`);
    if (row.expires_at < this.#last + request.ttl)
      throw new Violation("L5", `A renewal for ${request.ttl} ms ends ${row.task_id} before that.`);
    if (method === "claim" && row.expires_at < old.expires_at)
      throw new Violation("L5", `A repeated claim made the lease of ${row.task_id} shorter.`);
  }

  #checkEnded(method: string, request: Json, row: LeaseRow): void {
    const what = `${row.task_id}'s lease of ${row.agent_id}`;
    const actor = request?.agent_id;
    if (row.ended === "expired") {
      if (row.expires_at > this.#last)
        throw new Violation("L5", `${what} was expired ${row.expires_at - this.#last} ms early.`);
      return;
    }
    const live = row.expires_at > this.#last;
    if (method === "leave") return;
    if (method === "release") {
      const token = request.fencing_token;
      if (request.force === true) return;
      if (actor !== undefined && actor !== row.agent_id) throw new Violation("L3", `${actor} released ${what}.`);
      if (token !== undefined && token !== row.fencing_token)
        throw new Violation("L2", `Token ${token} released ${what}.`);
      return;
    }
    if (method !== "finish") throw new Violation("L5", `${method} ended ${what}.`);
    const step = request.steps.find((one: Json) => keyText(one.key.task_id, one.key.created_at) === keyOfRow(row));
    if (step === undefined) throw new Violation("L5", `finish ended ${what}, which it does not name.`);
    if (request.force === true || step.change === "delete" || !live) return;
    if (actor !== undefined && actor !== row.agent_id)
      throw new Violation("L5", `${actor} ended ${what} by ${step.change}.`);
  }

  #checkOutcomes(call: Call, method: string, request: Json, result: Json, before: Snapshot, after: Snapshot): void {
    const applied = appliedOf(method, result, before, after);
    const byKey = new Map(applied.map((one) => [keyText(one.key.task_id, one.key.created_at), one]));
    for (const [key, outcome] of after.outcomes) {
      const old = before.outcomes.get(key);
      if (old?.version === outcome.version && same(old, outcome)) continue;
      if (!byKey.has(key)) throw new Violation("T1", `${method} changed the outcome of ${key}, which no command made.`);
      if (old !== undefined && !holds(outcome, old))
        throw new Violation("T1", `The outcome of ${key} moved backwards.`);
      for (const id of outcome.reopens) {
        const isNew = !(old?.reopens.includes(id) ?? false) && request.steps.some((s: Json) => s.change === "reopen");
        if (!isNew || this.#stated(call, key).includes(id)) continue;
        if (this.#reopens.has(`${key} ${id}`))
          throw new Violation("T1", `Two reopenings of ${key} share the id ${id}.`);
        this.#reopens.add(`${key} ${id}`);
      }
    }
    for (const key of before.outcomes.keys())
      if (!after.outcomes.has(key)) throw new Violation("L6", `The outcome of ${key} vanished.`);
    if (method !== "finish" || result.kind !== "finished") return;
    for (const [i, step] of request.steps.entries()) {
      const one = result.finished[i];
      const key = keyText(step.key.task_id, step.key.created_at);
      if (!applied.includes(one)) {
        // The answer to an idempotency key is given again word for word.
        const isRepeat =
          one.already || (call.idempotency_key !== undefined && call.applied.includes(`${step.change} ${key}`));
        if (!isRepeat) throw new Violation("L6", `${step.change} of ${key} was answered as done and changed nothing.`);
        continue;
      }
      if (!after.outcomes.has(key))
        throw new Violation("L6", `${step.change} of ${key} was answered and is not in the runtime.`);
      this.#checkRight(call, request, step, before);
      this.#committed.push({
        target: `${request.worktree} ${request.branch}`,
        key,
        change: step.change,
        outcome: outcomeIn(after, key),
      });
      if (
        (request.fencing_token !== undefined || call.idempotency_key !== undefined) &&
        call.applied.includes(`${step.change} ${key}`)
      )
        throw new Violation("L4", `A repeat of ${step.change} ${key} was done twice.`);
      call.applied.push(`${step.change} ${key}`);
    }
    if (applied.length > 0) this.#checkDecision(call, request, before, after);
  }

  #stated(call: Call, key: string): readonly string[] {
    const tasks = call.looked === undefined ? [] : [...readTasks(call.looked).values()];
    return tasks.find((task) => task.key === key)?.outcome.reopens ?? [];
  }

  /** T1 and T3 at the moment of the commit: what it rested on, and what it unblocked. */
  #checkDecision(call: Call, request: Json, before: Snapshot, after: Snapshot): void {
    if (call.looked === undefined) return;
    const tasks = readTasks(call.looked);
    for (const step of request.steps) {
      const task = tasks.get(step.key.task_id);
      if (task === undefined) continue;
      const truth = effective(task, before.outcomes);
      if (!same(truth, step.before))
        throw new Violation(
          "T1",
          `${step.change} of ${task.id} rested on ${JSON.stringify(step.before)}; it was ${JSON.stringify(truth)}.`,
        );
    }
    if (!request.steps.every((step: Json) => step.change === "verify" || step.change === "done_verify")) return;
    const was = new Set(claimableIds(tasks, before.outcomes));
    const made = claimableIds(tasks, after.outcomes).filter((id) => !was.has(id));
    const told = [...new Set<string>(request.steps.flatMap((step: Json) => step.unblocked))].sort();
    if (told.join() !== made.join()) throw new Violation("T3", `The commit unblocked [${made}] and told of [${told}].`);
  }

  /** L2 and L3: who may record an outcome. */
  #checkRight(call: Call, request: Json, step: Json, before: Snapshot): void {
    const key = keyText(step.key.task_id, step.key.created_at);
    const grants = [...before.leases.values()].filter((row) => keyOfRow(row) === key);
    const isOpen = (row: LeaseRow | undefined): boolean =>
      row !== undefined && (row.ended === null || row.ended === "expired") && row === grants.at(-1);
    const live = grants.find((row) => row.ended === null && row.expires_at > this.#last);
    const { agent_id: actor, fencing_token: token, force } = request;
    const says = `${step.change} of ${step.key.task_id} by ${actor ?? "nobody"}${token === undefined ? "" : ` with ${token}`}`;
    if (token !== undefined && !force) {
      const row = before.leases.get(token);
      const ownVerify = row?.ended === "done" && sameRound(JSON.parse(row.reopens), step.before.reopens);
      if (row === undefined || keyOfRow(row) !== key || !(isOpen(row) || (step.change !== "done" && ownVerify)))
        throw new Violation("L2", `${says} was accepted: the token is stale.`);
    }
    if (force || step.change === "delete") return;
    if (step.change === "verify" || step.change === "reopen" || step.before.rank > 0) {
      if (live?.kind === "review" && actor !== undefined && live.agent_id !== actor)
        throw new Violation("L3", `${says} was accepted while ${live.agent_id} reviewed it.`);
      return;
    }
    const round = grants.filter(
      (row) => row.ended !== "reverted" && sameRound(JSON.parse(row.reopens), step.before.reopens),
    );
    const holders = new Set(round.map((row) => row.agent_id));
    if (live !== undefined && actor !== undefined && live.agent_id !== actor)
      throw new Violation("L3", `${says} was accepted while ${live.agent_id} held it.`);
    if (token !== undefined) return;
    if (actor === undefined && holders.size > 1)
      throw new Violation("L3", `${says} was accepted although ${[...holders]} have held it.`);
    const mine = grants
      .filter((row) => row.ended !== "reverted" && (actor === undefined || row.agent_id === actor))
      .at(-1);
    if (isOpen(mine) && mine?.kind === "work") return;
    if (holders.size > 0 || live !== undefined)
      throw new Violation("L3", `${says} was accepted; it was held by ${[...holders]}.`);
    if (call.looked === undefined || isClaimable(readTasks(call.looked), before.outcomes, step.key.task_id)) return;
    throw new Violation("L3", `${says} was accepted; nobody held it and it was not claimable.`);
  }

  #checkOutbox(call: Call, method: string, request: Json, result: Json, before: Snapshot, after: Snapshot): void {
    const expected = appliedOf(method, result, before, after).map((one) => one.outbox_id as number);
    for (const id of expected)
      if (!after.outbox.has(id))
        throw new Violation("T2", `A commit left no outbox row ${id}: a crash now would lose it.`);
    for (const [id, row] of before.outbox) {
      const now = after.outbox.get(id);
      if (now === undefined) this.#checkSettled(call, method, request, row);
      else if (now.target_worktree !== row.target_worktree || now.target_branch !== row.target_branch) {
        if (method !== "adopt") throw new Violation("T2", `${method} moved an outbox row.`);
        const owner = this.#world.worktrees.find((worktree) => worktree.root === row.target_worktree);
        if (owner !== undefined && !owner.gone)
          throw new Violation("T2", "A row of a worktree that is there was taken over.");
        const outcome = outcomeOf(row);
        this.#committed.push({
          target: `${now.target_worktree} ${now.target_branch}`,
          key: keyOfRow(row),
          change: row.change,
          outcome,
        });
      }
    }
  }

  /** A row is cleared only once the spec holds what it says. */
  #checkSettled(call: Call, method: string, request: Json, row: OutboxRow): void {
    if (method !== "settle" || !request.includes(row.outbox_id))
      throw new Violation("T2", `${method} removed an outbox row.`);
    const task = readTasks(call.looked ?? "{}").get(row.task_id);
    if (task?.key !== keyOfRow(row) || !holds(task.outcome, outcomeOf(row)))
      throw new Violation(
        "T2",
        `The outbox row of ${row.task_id} was cleared; the spec of ${call.worktree.name} does not hold it.`,
      );
  }

  #checkGrants(call: Call, request: Json, result: Json, before: Snapshot, after: Snapshot): void {
    const mine = [...before.leases.values()].filter(
      (row) =>
        row.agent_id === request.agent_id &&
        row.session === request.session &&
        row.kind === request.kind &&
        row.ended === null &&
        row.expires_at > this.#last,
    );
    for (const { lease, already } of result.grants) {
      const row = after.leases.get(lease.fencing_token);
      if (row === undefined) {
        if (call.idempotency_key !== undefined && call.granted.includes(lease.lease_id)) continue;
        throw new Violation(
          "L6",
          `The grant ${lease.fencing_token} of ${lease.task_id} was answered and is not in the runtime.`,
        );
      }
      if (!call.granted.includes(lease.lease_id)) call.granted.push(lease.lease_id);
      if (already || before.leases.has(lease.fencing_token)) continue;
      if (request.resume && mine.length > 0)
        throw new Violation(
          "L4",
          `${lease.agent_id} holds ${mine[0]?.task_id} in this session and was granted ${lease.task_id} too.`,
        );
      const key = keyText(lease.task_id, lease.created_at);
      call.unproven.push({ key, task_id: lease.task_id, kind: request.kind });
      this.#noteAbsent(call, lease.task_id, before);
    }
    this.prove(call, before);
  }

  #noteAbsent(call: Call, task_id: string, before: Snapshot): void {
    if (call.looked === undefined) return;
    const tasks = readTasks(call.looked);
    for (const need of tasks.get(task_id)?.depends_on ?? []) {
      const task = tasks.get(need);
      if (task === undefined || satisfied(task.outcome) || !satisfied(effective(task, before.outcomes))) continue;
      call.absent.push({ task_id, need });
    }
  }

  /** This call has looked at its spec: what arrived meanwhile is not absent any more. */
  looked(call: Call): void {
    const text = call.worktree.text;
    call.looked = text;
    call.absent = call.absent.filter(({ need }) => !satisfied(readTasks(text).get(need)?.outcome ?? NONE));
    this.prove(call);
  }

  /** L9: a grant must have been right at some instant between itself and its answer. */
  prove(call: Call, at?: Snapshot): void {
    if (call.unproven.length === 0) return;
    const { outcomes } = at ?? this.snapshot();
    const tasks = readTasks(call.worktree.text);
    call.unproven = call.unproven.filter(({ key, task_id, kind }) => {
      const task = tasks.get(task_id);
      if (task?.key !== key) return true;
      return kind === "review" ? statusOf(task, outcomes) !== "done" : !isClaimable(tasks, outcomes, task_id);
    });
  }

  /** Checks a replacement of a spec by a command: nothing is lost, and outcomes come from commits alone (S3, T2). */
  saved(call: Call, worktree: Worktree, before: string, after: string): void {
    const [old, now] = [readTasks(before), readTasks(after)];
    const named = new Set(Object.values(call.input).flat());
    for (const [id, was] of old) {
      const is = now.get(id);
      if (is === undefined) throw new Violation("S3", `${call.command} lost the task ${id} of ${worktree.name}.`);
      if (is.key !== was.key) throw new Violation("Identity", `${call.command} changed what ${id} is.`);
      if (!same(is.outcome, was.outcome)) this.#checkWritten(call, worktree, was, is);
      else if (is.body !== was.body && !named.has(id))
        throw new Violation("S3", `${call.command} changed ${id}, which it does not name.`);
      const lostDependency = was.depends_on.find((need) => !is.depends_on.includes(need));
      if (lostDependency !== undefined)
        throw new Violation("S3", `${call.command} lost the dependency ${id} → ${lostDependency}.`);
    }
    for (const [id, task] of now) {
      if (old.has(id)) continue;
      if (call.command !== "task.create") throw new Violation("T2", `${call.command} made the task ${id} again.`);
      this.#saved.set(task.key, worktree.branch);
    }
  }

  #checkWritten(call: Call, worktree: Worktree, was: SpecTask, is: SpecTask): void {
    if (!holds(is.outcome, was.outcome))
      throw new Violation("T2", `${call.command} lowered ${was.id} in the spec of ${worktree.name}.`);
    const target = `${worktree.root} ${worktree.branch}`;
    const rows = this.#committed.filter((row) => row.key === was.key && row.target === target);
    // Every outcome that some order of these rows leads to.
    const reached: Outcome[] = [was.outcome];
    for (let i = 0; i < reached.length; i += 1) {
      const from = reached[i] as Outcome;
      for (const { change, outcome } of rows) {
        if (change === "verify" && (from.rank < 1 || !sameRound(from.reopens, outcome.reopens))) continue;
        const to = join(from, outcome);
        if (!reached.some((known) => same(known, to))) reached.push(to);
      }
    }
    if (reached.some((outcome) => same(outcome, is.outcome))) return;
    throw new Violation(
      "T2",
      `${call.command} wrote ${JSON.stringify(is.outcome)} of ${was.id} to ${worktree.branch} in ${worktree.name}, over ${JSON.stringify(was.outcome)}: no commit there says so.`,
    );
  }

  /** An answer reached its caller. */
  answered(call: Call, answer: Json): void {
    if (answer.error?.code === "INTERNAL") throw new Violation("Defect", `${call.command}: ${answer.error.message}`);
    if (!answer.ok) return;
    this.acknowledged += 1;
    this.prove(call);
    const [wrong] = call.unproven;
    if (wrong !== undefined && call.command !== "task.release")
      throw new Violation("L9", `${wrong.task_id} was granted to ${call.agent_id} and was claimable at no time since.`);
    for (const { task_id, need } of call.absent)
      if (!answer.warnings.some((line: string) => line.startsWith(`${task_id} builds on ${need},`)))
        throw new Violation("T5", `The claim did not say that ${task_id} builds on ${need}, which is not here.`);
    const { outcomes } = this.snapshot();
    for (const done of call.applied) {
      const key = done.slice(done.indexOf(" ") + 1);
      const outcome = outcomes.get(key);
      if (outcome !== undefined) this.#acknowledged.push({ key, outcome });
    }
    if (call.command !== "task.create") return;
    const key = keyText(answer.data.id, answer.data.created_at);
    const branch = this.#saved.get(key);
    if (branch === undefined)
      throw new Violation("L6", `The task ${key} was made according to the answer, and never saved.`);
    this.#created.push({ branch, key });
  }

  /** Compares what the product says of a worktree with what the planes are (T1, T3). */
  audit(worktree: Worktree, listed: Json, next: Json): void {
    const { outcomes, leases } = existsSync(this.#world.runtime) ? this.snapshot() : EMPTY;
    const tasks = readTasks(worktree.text);
    const said = new Map<string, string>(listed.tasks.map((item: Json) => [item.id, item.status]));
    for (const task of tasks.values()) {
      const truth = statusOf(task, outcomes);
      if (said.get(task.id) !== truth)
        throw new Violation("T1", `${worktree.name} says that ${task.id} is ${said.get(task.id)}; it is ${truth}.`);
    }
    const held = new Set(
      [...leases.values()].filter((row) => row.ended === null && row.expires_at > this.now).map(keyOfRow),
    );
    const expected = claimableIds(tasks, outcomes).filter((id) => !held.has(tasks.get(id)?.key ?? ""));
    const offered: string[] = next.tasks.map((item: Json) => item.id);
    if ([...offered].sort().join() !== expected.join())
      throw new Violation("T3", `${worktree.name} offers [${offered}]; claimable is [${expected}].`);
    const priorities = offered.map((id) => tasks.get(id)?.priority ?? 100);
    if (priorities.some((priority, i) => i > 0 && priority < (priorities[i - 1] ?? 0)))
      throw new Violation("T4", `${worktree.name} offers [${offered}] with the priorities [${priorities}].`);
    for (const id of leases.values())
      if (id.fencing_token > this.#maxToken)
        throw new Violation("L2", `The token ${id.fencing_token} came from nowhere.`);
  }

  /** After the last healing: everything acknowledged is there, and what waits has a reason. */
  finish(): void {
    const { outcomes, outbox } = this.snapshot();
    for (const { key, outcome } of this.#acknowledged) {
      const now = outcomes.get(key);
      if (now === undefined || !holds(now, outcome))
        throw new Violation("L6", `An acknowledged outcome of ${key} is lost.`);
    }
    for (const { branch, key } of this.#created) {
      const there = [...readTasks(this.#world.contentOf(branch)).values()].some((task) => task.key === key);
      if (!there) throw new Violation("L6", `The task ${key}, made on ${branch}, is lost.`);
    }
    for (const row of outbox.values()) {
      const owner = this.#world.worktrees.find((worktree) => worktree.root === row.target_worktree);
      if (owner === undefined || owner.gone) continue;
      const task = readTasks(this.#world.contentOf(row.target_branch)).get(row.task_id);
      if (task?.key !== keyOfRow(row)) continue;
      const outcome = outcomeOf(row);
      const waits =
        row.change === "verify" && (task.outcome.rank < 1 || !sameRound(task.outcome.reopens, outcome.reopens));
      if (!waits)
        throw new Violation("T2", `The outbox row of ${row.task_id} for ${row.target_branch} was never written.`);
    }
  }

  /** The checkpoint of the final healing: what a branch should have by now. */
  healed(worktree: Worktree): void {
    const tasks = [...readTasks(worktree.text).values()];
    const { outbox } = this.snapshot();
    for (const row of outbox.values()) {
      if (row.target_worktree !== worktree.root || row.target_branch !== worktree.branch) continue;
      const task = tasks.find((one) => one.key === keyOfRow(row));
      if (task === undefined) continue;
      const outcome = outcomeOf(row);
      const waits =
        row.change === "verify" && (task.outcome.rank < 1 || !sameRound(task.outcome.reopens, outcome.reopens));
      if (!waits)
        throw new Violation("T2", `A command on ${worktree.branch} did not write ${row.task_id} (${row.change}).`);
    }
  }
}

/** Which steps of a `finish` really recorded something. */
function appliedOf(method: string, result: Json, before: Snapshot, after: Snapshot): readonly Json[] {
  if (method !== "finish" || result.kind !== "finished") return [];
  return result.finished.filter((one: Json) => {
    const key = keyText(one.key.task_id, one.key.created_at);
    return !one.already && before.outcomes.get(key)?.version !== after.outcomes.get(key)?.version;
  });
}

function outcomeIn(snapshot: Snapshot, key: string): Outcome {
  const found = snapshot.outcomes.get(key);
  if (found === undefined) throw new Violation("L6", `The outcome of ${key} was recorded and is not there.`);
  return found;
}

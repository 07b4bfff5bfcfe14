import { parse as parseStrictly } from "yaml";
import { keyOfRow, type LeaseRow, type OutboxRow, outcomeOfRow } from "../support/runtime-tables.ts";
import type { Store } from "./faults.ts";
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
  type SpecTasks,
  same,
  sameRound,
  satisfied,
  statusOf,
} from "./lattice.ts";
import { misreported, Violation, waitsForWork } from "./promises.ts";
import type { ClockRow, SimulatedRuntime } from "./runtime.ts";
import type { Worktree, World } from "./world.ts";

/** The runtime's tables at one moment, read past the product. */
export interface Snapshot {
  readonly leases: ReadonlyMap<number, LeaseRow>;
  readonly outcomes: ReadonlyMap<string, Outcome & { readonly version: number }>;
  readonly outbox: ReadonlyMap<number, OutboxRow>;
  readonly clock: ClockRow | undefined;
  /** Of all events, in their order. */
  readonly seqs: readonly number[];
}
const EMPTY: Snapshot = {
  ...{ leases: new Map(), outcomes: new Map(), outbox: new Map(), clock: undefined, seqs: [] },
};

/** Rules that speak of what only one of the stores has. */
export const RULES_OF_ONE: Readonly<Record<Store, readonly string[]>> = {
  sqlite: ["L1: another handle drops the locks of an open database"],
  postgres: ["L4: a step that arrives twice is taken twice"],
};

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
  /** The answer that its caller got. */
  answer: unknown;
  /** Folders of worktrees that were made again while it ran: it may have seen that there was none. */
  readonly returned: string[];
}

// biome-ignore lint/suspicious/noExplicitAny: requests and results of every method of the store.
type Json = any;

/** The id of no call. */
const NO_CALL = -1;

/** What a command recorded for a worktree and branch. */
interface Committed {
  readonly target: string;
  readonly key: string;
  readonly change: string;
  readonly outcome: Outcome;
  readonly call: number;
  /** True once the spec there held it. */
  held: boolean;
}

/** Verifies each step against the state before it, and the whole afterwards. Shares no code with the product. */
export class Checker {
  readonly #world: World;
  readonly #runtime: SimulatedRuntime;
  /** The runtime in use; none while there is none, or another program's, or nobody has looked. */
  #identity: string | undefined;
  /** The runtime's clock as L5 describes it. */
  #offset = 0;
  #last = 0;
  #maxToken = 0;
  readonly #reopens = new Set<string>();
  /** What is committed for each worktree and branch, and what was adopted there. */
  #committed: Committed[] = [];
  /** Acknowledged outcomes of this runtime. */
  #acknowledged: { readonly key: string; readonly outcome: Outcome }[] = [];
  /** Where a new task was saved. */
  readonly #saved = new Map<string, string>();
  #created: { readonly branch: string; readonly key: string }[] = [];
  /** Acknowledged operations, for the report. */
  acknowledged = 0;

  constructor(world: World, runtime: SimulatedRuntime) {
    this.#world = world;
    this.#runtime = runtime;
  }

  /** How often each rule was looked at; one that never was proves nothing. */
  readonly exercised = new Map<string, number>();

  /** States what must never be. @throws Violation when it is. */
  #never(promise: string, rule: string, broken: boolean, say: () => string): void {
    const name = `${promise}: ${rule}`;
    this.exercised.set(name, (this.exercised.get(name) ?? 0) + 1);
    if (broken) throw new Violation(promise, say());
  }

  /** The runtime's clock now. */
  get now(): number {
    return Math.max(this.#world.clock.now() + this.#offset, this.#last);
  }

  /** False when a lost runtime could not keep its tokens growing: wall time is behind what it has been. */
  get mayLoseRuntime(): boolean {
    return this.#world.clock.now() > this.#maxToken && this.#offset === 0;
  }

  /** False while there is none, or another program's, or nobody has looked. */
  get knowsRuntime(): boolean {
    return this.#identity !== undefined;
  }

  forgetRuntime(): void {
    this.#identity = undefined;
    this.#committed = [];
    this.#acknowledged = [];
  }

  async snapshot(): Promise<Snapshot> {
    const tables = await this.#runtime.read();
    if (tables === undefined) return EMPTY;
    const { identity, clock, leases, outcomes, outbox, seqs } = tables;
    if (identity !== this.#identity) {
      this.#never(
        "L6",
        "a runtime in use is put away",
        this.#identity !== undefined,
        () => "Another runtime took the place of the one in use.",
      );
      this.#identity = identity;
      this.#offset = clock?.clock_offset ?? 0;
      this.#last = clock?.last_now ?? 0;
    }
    return {
      leases: new Map(leases.map((row) => [row.fencing_token, row])),
      outcomes: new Map(outcomes.map((row) => [keyOfRow(row), { ...outcomeOfRow(row), version: row.version }])),
      outbox: new Map(outbox.map((row) => [row.outbox_id, row])),
      ...{ clock, seqs },
    };
  }

  /** Checks one step of the store that wrote. */
  wrote(call: Call, method: string, request: Json, result: Json, before: Snapshot, after: Snapshot): void {
    this.#checkClock(before, after);
    this.#checkEvents(before, after);
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
    this.#never("L6", "the runtime loses its clock", clock === undefined, () => "The runtime has lost its clock.");
    if (clock === undefined) return;
    this.#never(
      "L5",
      "the clock says another time than the rule",
      clock.last_now !== expected,
      () => `The runtime's clock says ${clock.last_now}, not ${expected}; the wall says ${wall}.`,
    );
    this.#never(
      "Events",
      "seq goes back",
      before.clock !== undefined && clock.last_seq < before.clock.last_seq,
      () => "seq went back.",
    );
    this.#offset = Math.max(this.#offset, expected - wall);
    this.#last = expected;
    this.#never(
      "L5",
      "the offset is forgotten",
      clock.clock_offset !== this.#offset,
      () => `The offset is ${clock.clock_offset}, not ${this.#offset}: time would stand still.`,
    );
  }

  /** No reader may see an event before one that comes earlier in their order (counterexample 23). */
  #checkEvents(before: Snapshot, after: Snapshot): void {
    const top = before.seqs.at(-1) ?? 0;
    const late = after.seqs.filter((seq) => seq <= top).length - before.seqs.length;
    this.#never(
      "Events",
      "an event comes up behind one that was read",
      late > 0,
      () => `${late} events came up below the seq ${top}, which readers have passed.`,
    );
  }

  /** A step that a death cut short: none of it is there (counterexample 19). */
  died(call: Call, method: string, before: Snapshot, after: Snapshot): void {
    // An empty runtime may have been made for it: that is no part of the step.
    const { clock } = before.clock === undefined ? after : before;
    this.#never(
      "L6",
      "a step that was cut short is half done",
      textOf({ ...before, clock }) !== textOf(after),
      () => `${call.agent_id} died in ${method}, and a part of it is there.`,
    );
  }

  /** A step that a network hands over once more: it was taken, and nothing of it is taken again. */
  repeated(before: Snapshot, after: Snapshot): void {
    this.#never(
      "L4",
      "a step that arrives twice is taken twice",
      textOf(before) !== textOf(after),
      () => "A copy of a step arrived after the step, and changed the runtime.",
    );
  }

  #checkLeases(call: Call, method: string, request: Json, result: Json, before: Snapshot, after: Snapshot): void {
    const now = this.#last;
    for (const [token, row] of after.leases) {
      const old = before.leases.get(token);
      if (old === undefined) {
        this.#checkNewLease(method, request, row, before);
        continue;
      }
      this.#never(
        "L2",
        "a token is given out twice",
        old.lease_id !== row.lease_id,
        () => `The token ${token} was given out twice.`,
      );
      if (old.expires_at !== row.expires_at) this.#checkMoved(method, request, old, row, before);
      else if (old.ended !== row.ended) this.#checkEnded(method, request, row);
    }
    for (const [token, row] of before.leases) {
      this.#never(
        "L2",
        "a grant vanishes from the history",
        !after.leases.has(token),
        () => `The grant ${token} of ${row.task_id} vanished from the history.`,
      );
    }
    const live = new Map<string, LeaseRow>();
    for (const row of after.leases.values()) {
      if (row.ended !== null || row.expires_at <= now) continue;
      const other = live.get(keyOfRow(row));
      this.#never(
        "L1",
        "two leases of one task live at once",
        other !== undefined,
        () => `${row.task_id} is held by ${other?.agent_id} and by ${row.agent_id} at once.`,
      );
      live.set(keyOfRow(row), row);
    }
    if (method === "renew" && request.automatic === true && result.kind === "renewed") {
      const named = call.input.task_id;
      this.#never(
        "L8",
        "a call about one task renews another",
        named !== undefined && named !== request.key.task_id,
        () => `A call about ${named} renewed ${request.key.task_id}.`,
      );
      this.#never(
        "L8",
        "a call about no task renews one",
        named === undefined,
        () => `A call about no task renewed ${request.key.task_id}.`,
      );
    }
  }

  #checkNewLease(method: string, request: Json, row: LeaseRow, before: Snapshot): void {
    this.#never(
      "L1",
      "something else than a claim makes a lease",
      method !== "claim",
      () => `${method} made a lease of ${row.task_id}.`,
    );
    this.#never(
      "L2",
      "a token is not the largest so far",
      row.fencing_token <= this.#maxToken,
      () => `The token ${row.fencing_token} is not larger than ${this.#maxToken}.`,
    );
    this.#maxToken = row.fencing_token;
    this.#never(
      "L3",
      "a grant goes to somebody who did not ask",
      row.agent_id !== request.agent_id,
      () => `${row.agent_id} was granted what another asked for.`,
    );
    const held = [...before.leases.values()].find(
      (other) => keyOfRow(other) === keyOfRow(row) && other.ended === null && other.expires_at > this.#last,
    );
    this.#never(
      "L1",
      "what is held is granted",
      held !== undefined,
      () => `${row.task_id} was granted to ${row.agent_id} while ${held?.agent_id} held it.`,
    );
    this.#never(
      "L5",
      "a grant is shorter than its TTL",
      row.expires_at - this.#last < request.ttl,
      () => `A lease of ${request.ttl} ms was granted with ${row.expires_at - this.#last} ms left.`,
    );
  }

  /** Renewed, or opened again after its time. */
  #checkMoved(method: string, request: Json, old: LeaseRow, row: LeaseRow, before: Snapshot): void {
    const mine = request?.agent_id === undefined || request.agent_id === row.agent_id;
    this.#never(
      "L3",
      "a stranger moves a lease",
      (method !== "renew" && method !== "claim") || !mine,
      () => `${method} by ${request?.agent_id} moved the lease of ${row.agent_id} on ${row.task_id}.`,
    );
    this.#never(
      "L3",
      "a lease that was given up lives again",
      row.ended === null && old.ended !== null && old.ended !== "expired",
      () => `${method} by ${request?.agent_id} moved the lease of ${row.task_id}, which was ${old.ended}.`,
    );
    const newer = [...before.leases.values()].some(
      (other) => keyOfRow(other) === keyOfRow(row) && other.fencing_token > row.fencing_token,
    );
    this.#never(
      "L2",
      "a stale lease is renewed",
      newer,
      () => `The stale token ${row.fencing_token} of ${row.task_id} was renewed.`,
    );
    this.#never(
      "L2",
      "a token renews another token's lease",
      method === "renew" && request.fencing_token !== undefined && request.fencing_token !== row.fencing_token,
      () => `The token ${request.fencing_token} renewed ${row.fencing_token}.`,
    );
    this.#never(
      "L5",
      "a renewal is shorter than its TTL",
      row.expires_at < this.#last + request.ttl,
      () => `A renewal for ${request.ttl} ms ends ${row.task_id} before that.`,
    );
    this.#never(
      "L5",
      "a repeated claim shortens a lease",
      method === "claim" && row.expires_at < old.expires_at,
      () => `A repeated claim made the lease of ${row.task_id} shorter.`,
    );
  }

  #checkEnded(method: string, request: Json, row: LeaseRow): void {
    const what = `${row.task_id}'s lease of ${row.agent_id}`;
    const actor = request?.agent_id;
    if (row.ended === "expired") {
      this.#never(
        "L5",
        "a lease expires early",
        row.expires_at > this.#last,
        () => `${what} was expired ${row.expires_at - this.#last} ms early.`,
      );
      return;
    }
    const live = row.expires_at > this.#last;
    if (method === "leave") return;
    if (method === "release") {
      const token = request.fencing_token;
      if (request.force === true) return;
      this.#never(
        "L3",
        "a stranger releases a lease",
        actor !== undefined && actor !== row.agent_id,
        () => `${actor} released ${what}.`,
      );
      this.#never(
        "L2",
        "a token releases another token's lease",
        token !== undefined && token !== row.fencing_token,
        () => `Token ${token} released ${what}.`,
      );
      return;
    }
    this.#never("L5", "a lease ends for no reason", method !== "finish", () => `${method} ended ${what}.`);
    const step = request.steps.find((one: Json) => keyText(one.key.task_id, one.key.created_at) === keyOfRow(row));
    this.#never(
      "L5",
      "an outcome ends another task's lease",
      step === undefined,
      () => `finish ended ${what}, which it does not name.`,
    );
    if (request.force === true || step.change === "delete" || !live) return;
    this.#never(
      "L5",
      "a stranger ends a lease by an outcome",
      actor !== undefined && actor !== row.agent_id,
      () => `${actor} ended ${what} by ${step.change}.`,
    );
  }

  #checkOutcomes(call: Call, method: string, request: Json, result: Json, before: Snapshot, after: Snapshot): void {
    const applied = appliedOf(method, result, before, after);
    const byKey = new Map(applied.map((one) => [keyText(one.key.task_id, one.key.created_at), one]));
    for (const [key, outcome] of after.outcomes) {
      const old = before.outcomes.get(key);
      if (old?.version === outcome.version && same(old, outcome)) continue;
      this.#never(
        "T1",
        "an outcome changes without a command",
        !byKey.has(key),
        () => `${method} changed the outcome of ${key}, which no command made.`,
      );
      this.#never(
        "T1",
        "an outcome moves backwards",
        old !== undefined && !holds(outcome, old),
        () => `The outcome of ${key} moved backwards.`,
      );
      for (const id of outcome.reopens) {
        const isNew = !(old?.reopens.includes(id) ?? false) && request.steps.some((s: Json) => s.change === "reopen");
        if (!isNew || this.#stated(call, key).includes(id)) continue;
        this.#never(
          "T1",
          "two reopenings share an id",
          this.#reopens.has(`${key} ${id}`) || this.#world.reopenedElsewhere.has(`${key} ${id}`),
          () => `Two reopenings of ${key} share the id ${id}.`,
        );
        this.#reopens.add(`${key} ${id}`);
      }
    }
    for (const key of before.outcomes.keys())
      this.#never("L6", "an outcome vanishes", !after.outcomes.has(key), () => `The outcome of ${key} vanished.`);
    if (method !== "finish" || result.kind !== "finished") return;
    const answered = new Set(result.finished.map((one: Json) => keyText(one.key.task_id, one.key.created_at)));
    this.#never(
      "L6",
      "a step is left out",
      applied.length > 0 &&
        !request.steps.every((step: Json) => answered.has(keyText(step.key.task_id, step.key.created_at))),
      () => "Of several tasks that one call finishes some were left out.",
    );
    for (const one of result.finished) {
      const key = keyText(one.key.task_id, one.key.created_at);
      const step = request.steps.find((asked: Json) => keyText(asked.key.task_id, asked.key.created_at) === key);
      if (step === undefined || !applied.includes(one)) {
        // The answer to an idempotency key is given again word for word, also where another branch is checked out meanwhile, whose task of
        // this id is another one.
        const { change } = request.steps[0];
        const isRepeat =
          one.already || (call.idempotency_key !== undefined && call.applied.includes(`${change} ${key}`));
        this.#never(
          "L6",
          "what is answered as done changes nothing",
          !isRepeat,
          () => `${change} of ${key} was answered as done and changed nothing.`,
        );
        continue;
      }
      this.#never(
        "L6",
        "what is answered as done is not there",
        !after.outcomes.has(key),
        () => `${step.change} of ${key} was answered and is not in the runtime.`,
      );
      this.#checkRight(call, request, step, before);
      this.#committed.push({
        target: `${request.worktree} ${request.branch}`,
        key,
        change: step.change,
        outcome: outcomeIn(after, key),
        ...{ call: call.id, held: false },
      });
      this.#never(
        "L4",
        "a repeated call is done twice",
        // By force with a token of another round a call overrides what stands, each time; only a key makes that safe to repeat.
        ((request.fencing_token !== undefined && !request.force) || call.idempotency_key !== undefined) &&
          call.applied.includes(`${step.change} ${key}`),
        () => `A repeat of ${step.change} ${key} was done twice.`,
      );
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
      this.#never(
        "T1",
        "a decision rests on another state than it says",
        !same(truth, step.before),
        () => `${step.change} of ${task.id} rested on ${JSON.stringify(step.before)}; it was ${JSON.stringify(truth)}.`,
      );
    }
    if (!request.steps.every((step: Json) => step.change === "verify" || step.change === "done_verify")) return;
    const was = new Set(claimableIds(tasks, before.outcomes));
    const made = claimableIds(tasks, after.outcomes).filter((id) => !was.has(id));
    const told = [...new Set<string>(request.steps.flatMap((step: Json) => step.unblocked))].sort();
    this.#never(
      "T3",
      "a verification tells of the wrong tasks",
      told.join() !== made.join(),
      () => `The commit unblocked [${made}] and told of [${told}].`,
    );
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
      this.#never(
        "L2",
        "a stale token is accepted",
        row === undefined || keyOfRow(row) !== key || !(isOpen(row) || (step.change !== "done" && ownVerify)),
        () => `${says} was accepted: the token is stale.`,
      );
    }
    if (force || step.change === "delete") return;
    if (step.change === "verify" || step.change === "reopen" || step.before.rank > 0) {
      this.#never(
        "L3",
        "a reviewer is passed over",
        live?.kind === "review" && actor !== undefined && live.agent_id !== actor,
        () => `${says} was accepted while ${live?.agent_id} reviewed it.`,
      );
      return;
    }
    const round = grants.filter(
      (row) => row.ended !== "reverted" && sameRound(JSON.parse(row.reopens), step.before.reopens),
    );
    const holders = new Set(round.map((row) => row.agent_id));
    this.#never(
      "L3",
      "a holder is passed over",
      live !== undefined && actor !== undefined && live.agent_id !== actor,
      () => `${says} was accepted while ${live?.agent_id} held it.`,
    );
    if (token !== undefined) return;
    this.#never(
      "L3",
      "nobody is taken for one of several holders",
      actor === undefined && holders.size > 1,
      () => `${says} was accepted although ${[...holders]} have held it.`,
    );
    const mine = grants
      .filter((row) => row.ended !== "reverted" && (actor === undefined || row.agent_id === actor))
      .at(-1);
    if (isOpen(mine) && mine?.kind === "work") return;
    this.#never(
      "L3",
      "one who lost the right uses it",
      holders.size > 0 || live !== undefined,
      () => `${says} was accepted; it was held by ${[...holders]}.`,
    );
    if (call.looked === undefined) return;
    const open = isClaimable(readTasks(call.looked), before.outcomes, step.key.task_id);
    this.#never(
      "L3",
      "what nobody held and nobody could claim is finished",
      !open,
      () => `${says} was accepted; nobody held it and it was not claimable.`,
    );
  }

  #checkOutbox(call: Call, method: string, request: Json, result: Json, before: Snapshot, after: Snapshot): void {
    const expected = appliedOf(method, result, before, after).map((one) => one.outbox_id as number);
    for (const id of expected)
      this.#never(
        "T2",
        "a commit leaves no outbox row",
        !after.outbox.has(id),
        () => `A commit left no outbox row ${id}: a crash now would lose it.`,
      );
    for (const [id, row] of before.outbox) {
      const now = after.outbox.get(id);
      if (now === undefined) this.#checkSettled(call, method, request, row);
      else if (now.target_worktree !== row.target_worktree || now.target_branch !== row.target_branch) {
        this.#never(
          "T2",
          "an outbox row moves without being taken over",
          method !== "adopt",
          () => `${method} moved an outbox row.`,
        );
        const owner = this.#world.worktrees.find((worktree) => worktree.root === row.target_worktree);
        this.#never(
          "T2",
          "a row of a living worktree is taken over",
          owner !== undefined && !owner.gone && !call.returned.includes(owner.root),
          () => "A row of a worktree that is there was taken over.",
        );
        const outcome = outcomeOfRow(row);
        this.#committed.push({
          target: `${now.target_worktree} ${now.target_branch}`,
          key: keyOfRow(row),
          change: row.change,
          outcome,
          // Not what the call that takes it over was asked for: its answer does not wait for it.
          ...{ call: NO_CALL, held: false },
        });
      }
    }
  }

  /** A row is cleared only once the spec holds what it says. */
  #checkSettled(call: Call, method: string, request: Json, row: OutboxRow): void {
    this.#never(
      "T2",
      "an outbox row goes without being settled",
      method !== "settle" || !request.includes(row.outbox_id),
      () => `${method} removed an outbox row.`,
    );
    const task = readTasks(call.looked ?? "{}").get(row.task_id);
    this.#never(
      "T2",
      "a row is settled before the spec holds it",
      task?.key !== keyOfRow(row) || !holds(task.outcome, outcomeOfRow(row)),
      () => `The outbox row of ${row.task_id} was cleared; the spec of ${call.worktree.name} does not hold it.`,
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
      if (row === undefined && call.idempotency_key !== undefined && call.granted.includes(lease.lease_id)) continue;
      this.#never(
        "L6",
        "a grant is answered and not there",
        row === undefined,
        () => `The grant ${lease.fencing_token} of ${lease.task_id} was answered and is not in the runtime.`,
      );
      if (!call.granted.includes(lease.lease_id)) call.granted.push(lease.lease_id);
      if (already || before.leases.has(lease.fencing_token)) continue;
      this.#never(
        "L4",
        "next --claim grants one more to who holds one",
        request.resume && mine.length > 0,
        () => `${lease.agent_id} holds ${mine[0]?.task_id} in this session and was granted ${lease.task_id} too.`,
      );
      const key = keyText(lease.task_id, lease.created_at);
      call.unproven.push({ key, task_id: lease.task_id, kind: request.kind });
      this.#noteAbsent(call, lease.task_id, before);
    }
    this.#prove(call, before);
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
  async looked(call: Call): Promise<void> {
    const text = call.worktree.text;
    call.looked = text;
    call.absent = call.absent.filter(({ need }) => !satisfied(readTasks(text).get(need)?.outcome ?? NONE));
    this.#noteHeld(call.worktree, text);
    await this.prove(call);
  }

  #noteHeld(worktree: Worktree, text: string): void {
    const target = `${worktree.root} ${worktree.branch}`;
    const waiting = this.#committed.filter((row) => !row.held && row.target === target);
    if (waiting.length === 0) return;
    const tasks = [...readTasks(text).values()];
    for (const row of waiting) {
      const task = tasks.find(({ key }) => key === row.key);
      row.held = task !== undefined && holds(task.outcome, row.outcome);
    }
  }

  /** L9: a grant must have been right at some instant between itself and its answer. */
  async prove(call: Call): Promise<void> {
    if (call.unproven.length > 0) this.#prove(call, await this.snapshot());
  }

  #prove(call: Call, { outcomes }: Snapshot): void {
    const tasks = readTasks(call.worktree.text);
    call.unproven = call.unproven.filter(({ key, task_id, kind }) => {
      const task = tasks.get(task_id);
      if (task?.key !== key) return true;
      return kind === "review" ? statusOf(task, outcomes) !== "done" : !isClaimable(tasks, outcomes, task_id);
    });
  }

  /** Checks a replacement of a spec by a command: nothing is lost, and outcomes come from commits alone (S3, T2). */
  saved(call: Call, worktree: Worktree, before: string, after: string): void {
    this.#noteHeld(worktree, after);
    const [old, now] = [readTasks(before), readTasks(after)];
    const named = new Set(Object.values(call.input).flat());
    for (const [id, was] of old) {
      const is = now.get(id);
      this.#never(
        "S3",
        "a save loses a task",
        is === undefined,
        () => `${call.command} lost the task ${id} of ${worktree.name}.`,
      );
      if (is === undefined) continue;
      this.#never(
        "Identity",
        "a save changes what an id stands for",
        is.key !== was.key,
        () => `${call.command} changed what ${id} is.`,
      );
      if (!same(is.outcome, was.outcome)) this.#checkWritten(call, worktree, was, is);
      else
        this.#never(
          "S3",
          "a save changes a task that it does not name",
          is.body !== was.body && !named.has(id),
          () => `${call.command} changed ${id}, which it does not name.`,
        );
      const lostDependency = was.depends_on.find((need) => !is.depends_on.includes(need));
      this.#never(
        "S3",
        "a save loses a dependency",
        lostDependency !== undefined,
        () => `${call.command} lost the dependency ${id} → ${lostDependency}.`,
      );
    }
    for (const [id, task] of now) {
      if (old.has(id)) continue;
      this.#never(
        "T2",
        "a save makes a task again",
        call.command !== "task.create",
        () => `${call.command} made the task ${id} again.`,
      );
      this.#saved.set(task.key, worktree.branch);
    }
  }

  #checkWritten(call: Call, worktree: Worktree, was: SpecTask, is: SpecTask): void {
    this.#never(
      "T2",
      "a save lowers an outcome",
      !holds(is.outcome, was.outcome),
      () => `${call.command} lowered ${was.id} in the spec of ${worktree.name}.`,
    );
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
    this.#never(
      "T2",
      "a save writes what no commit there says",
      !reached.some((outcome) => same(outcome, is.outcome)),
      () =>
        `${call.command} wrote ${JSON.stringify(is.outcome)} of ${was.id} to ${worktree.branch} in ${worktree.name}, over ${JSON.stringify(was.outcome)}: no commit there says so.`,
    );
  }

  /** An answer reached its caller. */
  async answered(call: Call, answer: Json): Promise<void> {
    this.#never(
      "Defect",
      "an answer is a defect",
      answer.error?.code === "INTERNAL",
      () => `${call.command}: ${answer.error.message}`,
    );
    if (!answer.ok) return;
    this.acknowledged += 1;
    await this.prove(call);
    const [wrong] = call.unproven;
    this.#never(
      "L9",
      "a grant is answered that was right at no time",
      wrong !== undefined && call.command !== "task.release",
      () => `${wrong?.task_id} was granted to ${call.agent_id} and was claimable at no time since.`,
    );
    for (const { task_id, need } of call.absent)
      this.#never(
        "T5",
        "a claim keeps quiet about work that is not here",
        !answer.warnings.some((line: string) => line.startsWith(`${task_id} builds on ${need},`)),
        () => `The claim did not say that ${task_id} builds on ${need}, which is not here.`,
      );
    this.#checkHeld(call, answer);
    const { outcomes } = await this.snapshot();
    for (const done of call.applied) {
      const key = done.slice(done.indexOf(" ") + 1);
      const outcome = outcomes.get(key);
      if (outcome !== undefined) this.#acknowledged.push({ key, outcome });
    }
    if (call.command !== "task.create") return;
    const key = keyText(answer.data.id, answer.data.created_at);
    const branch = this.#saved.get(key);
    this.#never(
      "L6",
      "a new task is answered and not saved",
      branch === undefined,
      () => `The task ${key} was made according to the answer, and never saved.`,
    );
    if (branch === undefined) return;
    this.#created.push({ branch, key });
  }

  /** An outcome that is answered without a warning does not go with the runtime: the spec has it (counterexample 11). */
  #checkHeld(call: Call, answer: Json): void {
    if (answer.warnings.length > 0) return;
    const named = new Set(Object.values(call.input).flat());
    for (const row of this.#committed) {
      if (row.call !== call.id || row.change === "verify") continue;
      // A deletion that is repeated on another branch takes with it what depends on the task there: it no longer speaks of the others.
      if (!named.has(row.key.slice(0, row.key.indexOf(" ")))) continue;
      this.#never(
        "L6",
        "an outcome would go with the runtime",
        !row.held,
        () =>
          `${row.change} of ${row.key} was answered without a warning; the spec never held it, and losing the runtime would lose it.`,
      );
    }
  }

  /** Checks a merge of two branches by the product (S4). */
  merged(base: string, ours: string, theirs: string, text: string): void {
    const [was, a, b] = [readTasks(base), readTasks(ours), readTasks(theirs)];
    const now = tryTasks(text);
    this.#never(
      "S4",
      "a merge makes a file that cannot be read",
      now === undefined,
      () => "A merge left a file that is no spec.",
    );
    if (now === undefined) return;
    for (const id of new Set([...a.keys(), ...b.keys()])) {
      const [mine, other, is] = [a.get(id), b.get(id), now.get(id)];
      this.#never("S4", "a merge drops a task", is === undefined, () => `A merge dropped ${id}.`);
      if (is === undefined || mine === undefined || other === undefined || mine.key !== other.key) continue;
      const joined = join(mine.outcome, other.outcome);
      this.#never(
        "S4",
        "a merge is not the join",
        !same(is.outcome, joined),
        () =>
          `A merge of ${JSON.stringify(mine.outcome)} and ${JSON.stringify(other.outcome)} of ${id} says ${JSON.stringify(is.outcome)}.`,
      );
      const missing = [...mine.depends_on, ...other.depends_on].find((need) => !is.depends_on.includes(need));
      this.#never(
        "S4",
        "a merge drops a dependency",
        missing !== undefined,
        () => `A merge dropped ${id} → ${missing}.`,
      );
      if (joined.rank > 0) continue;
      const word = mergedWord(was.get(id)?.word, mine.word, other.word);
      this.#never(
        "S4",
        "a merge depends on whose side is ours",
        is.word !== word,
        () => `A merge of ${mine.word} and ${other.word} of ${id} says ${is.word}, not ${word}.`,
      );
    }
  }

  /** What `git add -A` would take beside the spec and its ignore file: nothing (counterexample 22). */
  ignored(worktree: Worktree, untracked: readonly string[]): void {
    this.#never(
      "Ignored",
      "a database would be committed",
      untracked.length > 0,
      () => `\`git add -A\` in ${worktree.name} would take ${untracked.join(", ")}.`,
    );
  }

  /** The kernel's list has the lock of the open connection: nothing has dropped it (counterexample 3). */
  locksAreKept(): void {
    const own = this.#runtime.keepsLocks();
    if (own === undefined) return;
    this.#never(
      "L1",
      "another handle drops the locks of an open database",
      !own,
      () =>
        "This process has the runtime open and no lock on it any more: something opened and closed the file past SQLite.",
    );
  }

  /** A call about a task that stands twice in the file (counterexample 24). */
  twice(id: string, claim: Json, offered: readonly string[], others: readonly string[]): void {
    this.#never(
      "S4",
      "a task that stands twice is taken",
      claim.ok,
      () => `${id} stands twice in the spec and was granted.`,
    );
    this.#never(
      "S4",
      "a task that stands twice is offered",
      offered.includes(id),
      () => `${id} stands twice in the spec and is offered.`,
    );
    const missing = others.find((one) => !offered.includes(one));
    this.#never(
      "S4",
      "one task that stands twice stops the others",
      missing !== undefined,
      () => `${id} stands twice, and ${missing} is not offered any more.`,
    );
  }

  /** On a branch without a spec a command refuses and makes nothing. */
  bare(answer: Json, made: readonly string[]): void {
    this.#never(
      "Reading",
      "a command works where there is no spec",
      answer.error?.code !== "NOT_INITIALIZED" || made.length > 0,
      () => `Where there is no spec a command answered ${answer.error?.code ?? "ok"} and made [${made}].`,
    );
  }

  /** Another program's runtime is moved aside whole, once (counterexample 21). */
  foreignKept(put: readonly string[], found: readonly string[]): void {
    const missing = put.find((mark) => !found.includes(mark));
    this.#never(
      "Foreign",
      "another program's runtime is lost",
      missing !== undefined,
      () => `Another program's runtime ${missing} is gone.`,
    );
  }

  /** What a follower of events has seen is what was there to see. */
  async followed(seen: readonly number[], from: number): Promise<void> {
    const { seqs } = await this.snapshot();
    const missed = seqs.find((seq) => seq > from && !seen.includes(seq));
    this.#never(
      "Events",
      "a follower misses an event",
      missed !== undefined,
      () => `A follower never saw the event ${missed}.`,
    );
  }

  /** Compares what the product says of a worktree with what the planes are (T1, T3). */
  async audit(worktree: Worktree, listed: Json, next: Json): Promise<void> {
    const { outcomes, leases } = await this.snapshot();
    const tasks = readTasks(worktree.text);
    const wrong = misreported(tasks, outcomes, listed.tasks);
    this.#never(
      "T1",
      "a worktree shows another status than the join",
      wrong !== undefined,
      () => `${worktree.name} says that ${wrong}.`,
    );
    const expected = await this.claimable(worktree);
    const offered: string[] = next.tasks.map((item: Json) => item.id);
    this.#never(
      "T3",
      "an offer is not what can be claimed",
      [...offered].sort().join() !== expected.join(),
      () => `${worktree.name} offers [${offered}]; claimable is [${expected}].`,
    );
    const priorities = offered.map((id) => tasks.get(id)?.priority ?? 100);
    this.#never(
      "T4",
      "offers are out of order",
      priorities.some((priority, i) => i > 0 && priority < (priorities[i - 1] ?? 0)),
      () => `${worktree.name} offers [${offered}] with the priorities [${priorities}].`,
    );
    for (const id of leases.values())
      this.#never(
        "L2",
        "a token comes from nowhere",
        id.fencing_token > this.#maxToken,
        () => `The token ${id.fencing_token} came from nowhere.`,
      );
  }

  /** What an agent in this worktree can claim now. */
  async claimable(worktree: Worktree): Promise<string[]> {
    const { outcomes, leases } = await this.snapshot();
    const tasks = readTasks(worktree.text);
    const held = new Set(
      [...leases.values()].filter((row) => row.ended === null && row.expires_at > this.now).map(keyOfRow),
    );
    return claimableIds(tasks, outcomes).filter((id) => !held.has(tasks.get(id)?.key ?? ""));
  }

  /** How many leases an agent holds at this moment. */
  async heldBy(agent_id: string): Promise<number> {
    const { leases } = await this.snapshot();
    return [...leases.values()].filter(
      (row) => row.agent_id === agent_id && row.ended === null && row.expires_at > this.now,
    ).length;
  }

  /** The `seq` before the runtime's first event. */
  async beginOfEvents(): Promise<number> {
    const [first = 1] = (await this.snapshot()).seqs;
    return first - 1;
  }

  /** How many outcomes wait for a spec. */
  async waiting(): Promise<number> {
    return (await this.snapshot()).outbox.size;
  }

  /** True when an outcome may be waiting for this branch in this worktree. */
  async waitsFor(worktree: Worktree, branch: string): Promise<boolean> {
    return [...(await this.snapshot()).outbox.values()].some((row) => {
      if (row.target_branch !== branch) return false;
      const owner = this.#world.worktrees.find((one) => one.root === row.target_worktree);
      return owner === undefined || owner.gone || owner === worktree;
    });
  }

  /** After the last healing: everything acknowledged is there, and what waits has a reason. */
  async finish(): Promise<void> {
    const { outcomes, outbox } = await this.snapshot();
    for (const { key, outcome } of this.#acknowledged) {
      const now = outcomes.get(key);
      this.#never(
        "L6",
        "an acknowledged outcome is lost",
        now === undefined || !holds(now, outcome),
        () => `An acknowledged outcome of ${key} is lost.`,
      );
    }
    for (const { branch, key } of this.#created) {
      const there = [...readTasks(this.#world.contentOf(branch)).values()].some((task) => task.key === key);
      this.#never("L6", "an acknowledged task is lost", !there, () => `The task ${key}, made on ${branch}, is lost.`);
    }
    for (const row of outbox.values()) {
      const owner = this.#world.worktrees.find((worktree) => worktree.root === row.target_worktree);
      if (owner === undefined || owner.gone) continue;
      const task = readTasks(this.#world.contentOf(row.target_branch)).get(row.task_id);
      if (task?.key !== keyOfRow(row)) continue;
      this.#never(
        "T2",
        "a row waits although its branch was there",
        !waitsForWork(row, task),
        () => `The outbox row of ${row.task_id} for ${row.target_branch} was never written.`,
      );
    }
  }

  /** The checkpoint of the final healing: what a branch should have by now. */
  async healed(worktree: Worktree): Promise<void> {
    const tasks = [...readTasks(worktree.text).values()];
    const { outbox } = await this.snapshot();
    for (const row of outbox.values()) {
      if (row.target_worktree !== worktree.root || row.target_branch !== worktree.branch) continue;
      const task = tasks.find((one) => one.key === keyOfRow(row));
      if (task === undefined) continue;
      this.#never(
        "T2",
        "a command leaves what it could write",
        !waitsForWork(row, task),
        () => `A command on ${worktree.branch} did not write ${row.task_id} (${row.change}).`,
      );
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

/** Everything that a snapshot holds, to compare with another. */
const textOf = ({ leases, outcomes, outbox, clock, seqs }: Snapshot): string =>
  JSON.stringify([[...leases.values()], [...outcomes], [...outbox.values()], clock, seqs]);

function outcomeIn(snapshot: Snapshot, key: string): Outcome {
  const found = snapshot.outcomes.get(key);
  if (found === undefined) throw new Violation("L6", `The outcome of ${key} was recorded and is not there.`);
  return found;
}

/** The tasks of a text that may be no spec at all. */
function tryTasks(text: string): SpecTasks | undefined {
  try {
    // A copy of a key is an error here, as it is in the product.
    parseStrictly(text);
    return readTasks(text);
  } catch {
    return undefined;
  }
}

/** The word of rank 0, three-way; changed on both sides, the stronger (counterexample 16). */
function mergedWord(was: string | undefined, ours: string, theirs: string): string {
  if (ours === theirs || theirs === was) return ours;
  if (ours === was) return theirs;
  return ["blocked", "todo", "ready"].find((word) => word === ours || word === theirs) ?? "ready";
}

import { LockTable } from "../../lease/locks.ts";
import { type Holding, isLive } from "../../lease/rules.ts";
import type { Candidate, ClaimRequest, ClaimResult, Grant, LockConflict } from "../store.ts";
import { isKnown, touch } from "./agents.ts";
import { mismatch, once } from "./idempotency.ts";
import { extend, grant, liveLeases } from "./leases.ts";
import { handOver } from "./messages.ts";
import { isStale } from "./outcomes.ts";
import type { WriteStep } from "./step.ts";
import { dequeue, isFirst } from "./tickets.ts";

/** Grants leases: see {@link RuntimeStore.claim}. All of it happens under the write lock. */
export function claim(step: WriteStep, request: ClaimRequest): ClaimResult {
  if (!isKnown(step, request.agent_id)) return { kind: "unknown_agent" };
  return once<ClaimResult, { readonly kind: "mismatch" }>(step, "claim", request.idempotency, {
    keep: (result) => result.kind === "granted",
    mismatch,
    run: () => {
      const result = new Claiming(step, request).run();
      if (result.kind === "granted") {
        touch(step, request.agent_id);
        if (request.ticket !== undefined) dequeue(step, request.ticket.ticket_id);
      }
      return result;
    },
  });
}

/** One claim: the live leases are read once, then candidates are looked at one after another. */
class Claiming {
  readonly #step: WriteStep;
  readonly #request: ClaimRequest;
  readonly #live: Holding[];
  readonly #locks = new LockTable();
  #idsUsed = 0;

  constructor(step: WriteStep, request: ClaimRequest) {
    this.#step = step;
    this.#request = request;
    this.#live = liveLeases(step);
  }

  run(): ClaimResult {
    const { resume, ticket, take } = this.#request;
    const held = resume ? this.#live.findLast((lease) => this.#isMine(lease)) : undefined;
    if (held !== undefined) return { kind: "granted", grants: [this.#renew(held)] };
    if (ticket !== undefined && !isFirst(this.#step, ticket)) return { kind: "queued" };
    return take === "all" ? this.#takeAll() : this.#takeFirst();
  }

  /** Judges every candidate before it grants one, so that a refusal grants none. */
  #takeAll(): ClaimResult {
    const { candidates, locks, force } = this.#request;
    const others = candidates.filter((one) => !this.#holdsIt(one));
    const held = others.flatMap((one) => this.#holderOf(one) ?? []);
    if (held.length > 0) return { kind: "held", leases: held };
    const stale = others.filter((one) => this.#isStale(one));
    if (stale.length > 0) return { kind: "stale", task_ids: stale.map(({ key }) => key.task_id) };
    const conflicts = others.flatMap((one) => this.#conflicts(one.key.task_id, one.locks));
    if (conflicts.length > 0 && locks === "enforce" && !force) return { kind: "conflict", conflicts };
    const grants: Grant[] = [];
    for (const candidate of candidates) {
      const mine = this.#holderOf(candidate);
      grants.push(mine === undefined ? this.#grant(candidate) : this.#renew(mine));
    }
    return { kind: "granted", grants };
  }

  /** The first that passes; those whose locks overlap another's come in a second pass, and under `enforce` never (T4). */
  #takeFirst(): ClaimResult {
    const { candidates, locks, force } = this.#request;
    let stale = false;
    const conflicting: Candidate[] = [];
    for (const candidate of candidates) {
      if (this.#holderOf(candidate) !== undefined) continue;
      if (this.#isStale(candidate)) stale = true;
      else if (this.#conflicts(candidate.key.task_id, candidate.locks).length > 0) conflicting.push(candidate);
      else return { kind: "granted", grants: [this.#grant(candidate)] };
    }
    const second = locks === "enforce" && !force ? undefined : conflicting[0];
    return second === undefined ? { kind: "none", stale } : { kind: "granted", grants: [this.#grant(second)] };
  }

  #isMine(lease: Holding): boolean {
    const { agent_id, session, kind } = this.#request;
    return lease.agent_id === agent_id && lease.session === session && lease.kind === kind;
  }

  #holderOf({ key }: Candidate): Holding | undefined {
    return this.#live.find((lease) => lease.task_id === key.task_id && lease.created_at === key.created_at);
  }

  #holdsIt(candidate: Candidate): boolean {
    const holder = this.#holderOf(candidate);
    return holder !== undefined && this.#isMine(holder);
  }

  /** The candidate's own outcome is part of every decision about it. */
  #isStale({ key, basis }: Candidate): boolean {
    return isStale(this.#step, this.#request.seen, [key, ...basis]);
  }

  #conflicts(task_id: string, locks: readonly string[]): LockConflict[] {
    if (locks.length === 0) return [];
    return this.#live.flatMap((lease) => {
      if (lease.agent_id === this.#request.agent_id || !isLive(lease, this.#step.now)) return [];
      const overlap = this.#locks.between(locks, lease.locks);
      if (overlap === undefined) return [];
      return [
        { task_id, held_task_id: lease.task_id, agent_id: lease.agent_id, expires_at: lease.expires_at, ...overlap },
      ];
    });
  }

  #grant({ key, reopens, locks }: Candidate): Grant {
    const { kind, agent_id, session, ttl, lease_ids } = this.#request;
    const lease_id = lease_ids[this.#idsUsed];
    this.#idsUsed += 1;
    if (lease_id === undefined) throw new Error("A claim brings a lease id for each lease that it may be granted.");
    const conflicts = this.#conflicts(key.task_id, locks);
    const lease = grant(this.#step, key, { lease_id, kind, agent_id, session, reopens, locks, ttl });
    if (lease === undefined) throw new Error(`Task ${key.task_id} was seen free under the write lock but is held.`);
    this.#live.push(lease);
    return this.#answer(lease, false, conflicts);
  }

  /** Claiming what one holds renews it; a retry never makes a lease shorter (L4, L5). */
  #renew(held: Holding): Grant {
    const { ttl } = this.#request;
    const lease = extend(this.#step, held, Math.max(held.expires_at, this.#step.now + ttl), ttl);
    return this.#answer(lease, true, this.#conflicts(lease.task_id, lease.locks));
  }

  #answer(lease: Holding, already: boolean, conflicts: readonly LockConflict[]): Grant {
    const { agent_id, handoff_chars } = this.#request;
    const handoff = handOver(this.#step, lease.task_id, agent_id, handoff_chars);
    return { lease, already, conflicts, ...(handoff === undefined ? {} : { handoff }) };
  }
}

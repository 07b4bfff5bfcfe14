import { NO_OUTCOME, type Outcome } from "../../src/core/status.ts";
import type { TaskKey } from "../../src/core/task.ts";
import { MINUTE } from "../../src/core/time.ts";
import type { Lease } from "../../src/lease/lease.ts";
import type {
  Candidate,
  Change,
  ClaimRequest,
  ClaimResult,
  FinishRequest,
  FinishStep,
  RuntimeEvent,
  RuntimeStore,
} from "../../src/runtime/store.ts";
import type { ManualClock } from "../support/clock.ts";

/** One runtime under test, with the clock that it reads. */
export interface Opened {
  readonly store: RuntimeStore;
  readonly clock: ManualClock;
  /** Another connection to the same runtime, as another process has it. */
  readonly second: () => RuntimeStore;
  readonly close: () => void;
}
export type Open = () => Promise<Opened>;

/** 2026-01-01. */
export const START = Date.UTC(2026, 0, 1);
export const TTL = 15 * MINUTE;
export const DONE: Outcome = { reopens: [], rank: 1, verified: false };
export const VERIFIED: Outcome = { reopens: [], rank: 2, verified: true };

export const key = (task_id: string, created_at = ""): TaskKey => ({ task_id, created_at });

/** A runtime with short words for what tests do over and over; defaults are those of the command line. */
export class Bench {
  readonly store: RuntimeStore;
  readonly clock: ManualClock;
  readonly second: () => RuntimeStore;
  #ids = 0;

  constructor(opened: Opened) {
    this.store = opened.store;
    this.clock = opened.clock;
    this.second = opened.second;
  }

  id(letter: string): string {
    this.#ids += 1;
    return `${letter}${this.#ids}`;
  }

  async join(...agent_ids: string[]): Promise<void> {
    for (const agent_id of agent_ids) await this.store.join({ agent_id, worktree: "/repo", session: "s1" });
  }

  async version(): Promise<number> {
    return (await this.observe()).version;
  }

  observe(agent_id?: string) {
    return this.store.observe({
      since: 0,
      worktree: "/repo",
      branch: "main",
      ...(agent_id === undefined ? {} : { agent_id }),
      counts: true,
    });
  }

  /** A claim request; tasks may be ids or whole candidates. */
  async claiming(
    agent_id: string,
    tasks: readonly (string | Candidate)[],
    extra: Partial<ClaimRequest> = {},
  ): Promise<ClaimRequest> {
    return {
      seen: await this.version(),
      candidates: tasks.map((task) => (typeof task === "string" ? candidate(task) : task)),
      take: "all",
      kind: "work",
      agent_id,
      session: "s1",
      ttl: TTL,
      resume: false,
      locks: "warn",
      force: false,
      lease_ids: tasks.map(() => this.id("L")),
      handoff_chars: 1000,
      ...extra,
    };
  }

  async claim(
    agent_id: string,
    tasks: string | readonly (string | Candidate)[],
    extra: Partial<ClaimRequest> = {},
  ): Promise<ClaimResult> {
    return this.store.claim(await this.claiming(agent_id, typeof tasks === "string" ? [tasks] : tasks, extra));
  }

  /** Claims one task that is known to be free. */
  async hold(agent_id: string, task_id: string, extra: Partial<ClaimRequest> = {}): Promise<Lease> {
    const result = await this.claim(agent_id, task_id, extra);
    const lease = result.kind === "granted" ? result.grants[0]?.lease : undefined;
    if (lease === undefined) throw new Error(`${agent_id} was not granted ${task_id}: ${JSON.stringify(result)}`);
    return lease;
  }

  /** A finishing request for one task; `before` is what the runtime says, unless given. */
  async finishing(
    change: Change,
    task_id: string,
    extra: Partial<FinishRequest> & { step?: Partial<FinishStep> } = {},
  ): Promise<FinishRequest> {
    const { step, ...request } = extra;
    const seen = await this.observe();
    const before = step?.before ?? outcomeOf(seen.outcomes, task_id);
    return {
      seen: seen.version,
      steps: [
        {
          key: key(task_id),
          change,
          before,
          after: after(before, change),
          claimable: true,
          basis: [],
          unblocked: [],
          ...step,
        },
      ],
      force: false,
      verify: "any",
      worktree: "/repo",
      branch: "main",
      ...request,
    };
  }

  async finish(change: Change, task_id: string, extra: Partial<FinishRequest> & { step?: Partial<FinishStep> } = {}) {
    return this.store.finish(await this.finishing(change, task_id, extra));
  }

  async events(task_id?: string): Promise<readonly RuntimeEvent[]> {
    const page = await this.store.events({ since: 0, limit: 10_000, ...(task_id === undefined ? {} : { task_id }) });
    return page.kind === "page" ? page.events : [];
  }

  async types(task_id?: string): Promise<readonly string[]> {
    return (await this.events(task_id)).map((event) => event.type);
  }
}

export function candidate(task_id: string, extra: Partial<Candidate> = {}): Candidate {
  return { key: key(task_id), reopens: [], locks: [], basis: [], ...extra };
}

export function outcomeOf(outcomes: readonly (TaskKey & Outcome)[], task_id: string): Outcome {
  const found = outcomes.find((one) => one.task_id === task_id);
  return found === undefined ? NO_OUTCOME : { reopens: found.reopens, rank: found.rank, verified: found.verified };
}

export function after(before: Outcome, change: Change): Outcome {
  switch (change) {
    case "done":
      return { ...before, rank: 1, verified: false };
    case "verify":
    case "done_verify":
      return { ...before, rank: 2, verified: true };
    case "delete":
      return { ...before, rank: 3 };
    case "reopen":
      return { reopens: [...before.reopens, `r${before.reopens.length + 1}`], rank: 0, verified: false };
  }
}

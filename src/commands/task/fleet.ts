import { LodestarError } from "../../core/errors.ts";
import { newAgentId, newLeaseId } from "../../core/ids.ts";
import type { Millis } from "../../core/time.ts";
import join from "../agent/join.ts";
import leave from "../agent/leave.ts";
import type { Context } from "../context.ts";
import type { Programs } from "../programs.ts";
import { attempt, type Plan, type Ran, Stop } from "./attempt.ts";
import { claimThese } from "./claiming.ts";
import { type Taken, takeNext } from "./taking.ts";
import { newTicket, waitFor } from "./waiting.ts";

/** Which tasks are run, and by whom. */
export interface Wish {
  /** This one; none: whichever is next. */
  readonly task_id?: string;
  readonly label?: string;
  readonly ttl?: string;
  /** The agent that acts; none: each worker joins as one of its own, and leaves at the end. */
  readonly agent_id?: string;
  readonly parallel: number;
  /** One after the other, until nothing is left. */
  readonly loop: boolean;
  readonly max_tasks: number;
  /** How long to wait for a task once nothing runs any more. */
  readonly patience: Millis;
}

/** What a fleet did. */
export interface Journey {
  readonly ran: readonly Ran[];
  readonly stop: Stop;
}

/** Something that a worker may get: a task, or the word that there is nothing more. */
type Got = Taken | "nothing";

/** Workers that each claim a task, run the program on it, finish it, and claim the next. */
export async function runFleet(context: Context, programs: Programs, wish: Wish, plan: Plan): Promise<Journey> {
  const fleet = new Fleet(context, programs, wish, plan);
  const unlisten = programs.onSignal((signal) => fleet.stop.raise(signal));
  try {
    await fleet.run();
  } finally {
    unlisten();
  }
  return { ran: fleet.ran, stop: fleet.stop };
}

class Fleet {
  readonly ran: Ran[] = [];
  readonly stop = new Stop();
  readonly #context: Context;
  readonly #programs: Programs;
  readonly #wish: Wish;
  readonly #plan: Plan;
  #begun = 0;
  #running = 0;
  /** Since when nothing runs. */
  #idle: Millis;
  #failure: unknown;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(context: Context, programs: Programs, wish: Wish, plan: Plan) {
    this.#context = context;
    this.#programs = programs;
    this.#wish = wish;
    this.#plan = plan;
    this.#idle = context.clock.now();
  }

  async run(): Promise<void> {
    const { parallel } = this.#wish;
    await Promise.all(Array.from({ length: parallel }, (_, i) => this.#worker(i + 1)));
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** True when no worker may begin anything more. */
  get #isOver(): boolean {
    return this.stop.signal !== undefined || this.#failure !== undefined;
  }

  async #worker(number: number): Promise<void> {
    const { agent_id: given, loop, max_tasks } = this.#wish;
    const agent_id = given ?? newAgentId(this.#context.random);
    // A session of its own: a second runner under the same name is not handed what this one holds. The program shares it, so that
    // its own calls speak of the same lease.
    const own = await this.#context.apart({
      LODESTAR_AGENT: agent_id,
      LODESTAR_SESSION: `run-${newLeaseId(this.#context.random)}`,
      LODESTAR_TASK_ID: undefined,
      LODESTAR_FENCING_TOKEN: undefined,
    });
    try {
      if (given === undefined) {
        const tool = (this.#plan.words[0] ?? "").replace(/^.*[\\/]/, "").slice(0, 150);
        await join.run({ agent_id, display_name: `${tool} ${number}`, tool }, own);
      }
      do {
        if (this.#begun >= max_tasks) break;
        this.#begun += 1;
        const got = await this.#acquire(own, agent_id);
        if (got === "nothing") {
          this.#begun -= 1;
          break;
        }
        try {
          this.ran.push(await attempt(own, this.#programs, got.grant, this.#plan, this.stop));
        } finally {
          this.#running -= 1;
          this.#idle = this.#context.clock.now();
        }
      } while (loop && !this.#isOver);
    } catch (error) {
      // The others finish what they have begun.
      this.#failure ??= error;
    } finally {
      await this.#sayGoodbye(own, agent_id, given === undefined);
    }
  }

  /** Leases that a defect or a damaged file has left end here. */
  async #sayGoodbye(own: Context, agent_id: string, joined: boolean): Promise<void> {
    try {
      if (joined) await leave.run({ agent_id }, own);
    } catch (error) {
      if (!(error instanceof LodestarError)) throw error;
      this.#context.warn(`${agent_id} has not left: ${error.message}`);
    }
    for (const warning of own.warnings) this.#context.warn(warning);
    own.closeRuntime();
  }

  async #acquire(own: Context, agent_id: string): Promise<Got> {
    const { task_id, label, ttl, patience } = this.#wish;
    const taking = { agent_id, kind: "work" as const, force: false, ...(ttl === undefined ? {} : { ttl }) };
    if (task_id !== undefined) {
      const [taken] = await claimThese(own, [task_id], taking, patience, () => this.#isOver);
      if (taken === undefined) return "nothing";
      this.#running += 1;
      return taken;
    }
    const since = own.clock.now();
    // As long as a task runs here, its end may make others claimable.
    const isAlone = () => this.#running === 0 && own.clock.now() >= Math.max(since, this.#idle) + patience;
    const wish = { another: false, ...(label === undefined ? {} : { label }) };
    const take = (more: Pick<typeof taking & { ticket: ReturnType<typeof newTicket> }, "ticket"> | object) =>
      this.#inTurn(async (): Promise<Got | undefined> => {
        if (this.#isOver) return "nothing";
        const last = isAlone();
        const taken = await takeNext(own, { ...taking, ...more }, wish);
        if (taken !== undefined) this.#running += 1;
        return taken ?? (last ? "nothing" : undefined);
      });
    const first = await take({});
    if (first !== undefined) return first;
    const ticket = newTicket(own, `next:work:${label ?? ""}`);
    const isDue = () => this.#isOver || isAlone();
    return (await waitFor(own, Number.POSITIVE_INFINITY, ticket, () => take({ ticket }), isDue)) ?? "nothing";
  }

  /** One worker looks at a time: who finds nothing while nothing runs knows that there is nothing. */
  #inTurn<T>(look: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(look, look);
    this.#turn = mine.catch(() => {});
    return mine;
  }
}

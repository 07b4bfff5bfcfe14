import { LodestarError } from "../../core/errors.ts";
import { formatDuration, type Millis, SECOND } from "../../core/time.ts";
import type { Lease } from "../../lease/lease.ts";
import type { Grant, RuntimeEvent } from "../../runtime/store.ts";
import brief, { type FORMATS } from "../agent/brief.ts";
import type { Context } from "../context.ts";
import { readEvents } from "../events/events.ts";
import type { Ended, Programs, Running, StopSignal } from "../programs.ts";
import { finishTasks } from "./finishing.ts";
import { giveBack } from "./release.ts";

/** What every attempt at a task does alike. */
export interface Plan {
  readonly words: readonly string[];
  readonly format: (typeof FORMATS)[number];
  /** So often may a task fail before it is set to blocked. */
  readonly max_attempts: number;
  /** How long a program may take to end once it was asked to. */
  readonly grace: Millis;
  readonly verify: boolean;
  /** Several programs speak at once: their lines are told apart. */
  readonly labelled: boolean;
}

export const OUTCOMES = ["done", "released", "blocked", "lost"] as const;

/** What came of one attempt. */
export interface Ran {
  task_id: string;
  agent_id: string;
  outcome: (typeof OUTCOMES)[number];
  exit_code: number;
  seconds: number;
}

/** The wish, from outside, that everything ends. */
export class Stop {
  #signal: StopSignal | undefined;
  readonly #listeners = new Set<(signal: StopSignal, again: boolean) => void>();

  get signal(): StopSignal | undefined {
    return this.#signal;
  }

  raise(signal: StopSignal): void {
    const again = this.#signal !== undefined;
    this.#signal ??= signal;
    for (const listener of this.#listeners) listener(signal, again);
  }

  /** @returns what calls it off. */
  on(listener: (signal: StopSignal, again: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

/**
 * Runs the program on a task that was just granted, and ends the lease as the program's end says: done, or given back with a note.
 * With a lease that was lost nothing is finished, and the program is ended.
 *
 * @param context of the agent that holds the lease.
 */
export async function attempt(
  context: Context,
  programs: Programs,
  { lease, handoff }: Grant,
  plan: Plan,
  stop: Stop,
): Promise<Ran> {
  const { task_id, agent_id, fencing_token } = lease;
  const began = context.clock.now();
  const told = (outcome: Ran["outcome"], exit_code: number): Ran => ({
    task_id,
    agent_id,
    outcome,
    exit_code,
    seconds: Math.max(0, Math.round((context.clock.now() - began) / 100) / 10),
  });
  const { formatted_output } = await brief.run({ task_id, agent_id, format: plan.format }, context);
  let running: Running;
  try {
    running = programs.start({
      words: plan.words,
      cwd: context.cwd,
      env: { ...context.env, LODESTAR_TASK_ID: task_id, LODESTAR_FENCING_TOKEN: String(fencing_token) },
      stdin: `${[formatted_output, ...wordLeft(handoff)].join("\n")}\n`,
      ...(plan.labelled ? { label: task_id } : {}),
    });
  } catch (cause) {
    // No word on the work itself: not counted as a failure of the task.
    const why = `${plan.words[0]} cannot be started: ${cause instanceof Error ? cause.message : String(cause)}`;
    await giveBack(context, { ...claimant(lease), note: why });
    throw new LodestarError("PATH_NOT_FOUND", `${why}; ${task_id} was given back`, { cause, details: { task_id } });
  }
  // Not waited for: the lease is to be kept also while nobody reads what is said.
  void programs.say(`${task_id} begun by ${agent_id}`);
  const ending = new Ending(running, plan.grace);
  let isLost = false;
  const keeping = keepLease(context, lease, () => {
    isLost = true;
    ending.ask("SIGTERM");
    void programs.say(`${task_id}: the lease was lost; its program is ended`);
  });
  const unlisten = stop.on((signal, again) => ending.ask(again ? "SIGKILL" : signal));
  // A signal that came while the task was being claimed.
  if (stop.signal !== undefined) ending.ask(stop.signal);
  try {
    const ended = await running.ended;
    ending.over();
    if (isLost) return told("lost", ended.status);
    const outcome = await conclude(context, lease, plan, ended, told("done", ended.status).seconds, stop.signal);
    const how = outcome === "done" ? "" : ` (exit status ${ended.status})`;
    await programs.say(`${task_id}: ${outcome}${how}`);
    return told(outcome, ended.status);
  } finally {
    keeping.stop();
    unlisten();
    ending.over();
  }
}

/** What the claim handed over: it counts as read, so whoever does the work must be told. */
function wordLeft(handoff: Grant["handoff"]): string[] {
  if (handoff === undefined || handoff.messages.length === 0) return [];
  const said = handoff.messages.map(({ from_agent_id, text }) => `${from_agent_id ?? "someone"}: ${text}`);
  return ["", "WORD LEFT ON THIS TASK:", ...said.map((each) => `  ${each.replaceAll("\n", "\n  ")}`)];
}

const claimant = ({ task_id, agent_id, fencing_token }: Lease) => ({ task_id, agent_id, fencing_token });

/** Ends the lease as the program's end says. */
async function conclude(
  context: Context,
  lease: Lease,
  plan: Plan,
  { status, tail }: Ended,
  seconds: number,
  signal: StopSignal | undefined,
): Promise<Ran["outcome"]> {
  const held = claimant(lease);
  const after = formatDuration(Math.round(seconds) * SECOND);
  try {
    // Also with exit status 0: a program that was asked to end may say so and have done nothing.
    if (signal !== undefined) {
      await giveBack(context, { ...held, note: noteOf(`Interrupted by ${signal} after ${after}.`, tail) });
      return "released";
    }
    if (status === 0) return await finish(context, lease, plan.verify);
    const failures = (await failuresOf(context, lease.task_id)) + 1;
    const block = failures >= plan.max_attempts;
    const what = `Attempt ${failures} of ${plan.max_attempts} failed: ${plan.words[0]} ended with exit status ${status} after ${after}.`;
    await giveBack(context, { ...held, failed: true, block, note: noteOf(what, tail) });
    return block ? "blocked" : "released";
  } catch (error) {
    if (!(error instanceof LodestarError) || !["LEASE_LOST", "NOT_HOLDER"].includes(error.code)) throw error;
    context.warn(`${lease.task_id}: ${error.message}`);
    return "lost";
  }
}

/** As `task done`. What refuses it although the lease holds gives the task back, with that word. */
async function finish(context: Context, lease: Lease, verify: boolean): Promise<Ran["outcome"]> {
  const held = claimant(lease);
  const { task_id, ...who } = held;
  try {
    await finishTasks(context, {
      change: verify ? "done_verify" : "done",
      task_ids: [task_id],
      ...who,
      force: false,
    });
    return "done";
  } catch (error) {
    if (!(error instanceof LodestarError)) throw error;
    if (verify && error.code === "SELF_VERIFICATION") {
      context.warn(`${task_id} is done and not verified: ${error.message}`);
      return finish(context, lease, false);
    }
    // A program that gave its task back itself is told as such: that call repeated changes nothing. With a lost lease it is refused.
    const { already } = await giveBack(context, { ...held, note: `Not done: ${error.message}` });
    if (already !== true) context.warn(`${task_id} was given back: ${error.message}`);
    return "released";
  }
}

const noteOf = (what: string, tail: string): string => (tail === "" ? what : `${what}\n\n${tail}`);

/**
 * How often attempts at the task failed, by whichever runner, since it was last planned: made, reopened, or given a status. Within the
 * time for which events are kept.
 */
async function failuresOf(context: Context, task_id: string): Promise<number> {
  let failures = 0;
  for (let since = 0; ; ) {
    const types = ["task.created", "task.reopened", "task.updated", "task.released"];
    const page = await readEvents(context, { since, types, task_id, limit: EVENTS_AT_ONCE });
    for (const { type, data } of page.events) {
      if (type === "task.released") failures += data?.failed === true ? 1 : 0;
      else if (type !== "task.updated" || isReplanned(data)) failures = 0;
    }
    if (page.events.length < EVENTS_AT_ONCE) return failures;
    since = page.next_since;
  }
}

/** Blocking it, the last failure's own deed, plans nothing: on another branch, whose spec still says ready, it is not tried all over again. */
const isReplanned = (data: RuntimeEvent["data"]): boolean =>
  Array.isArray(data?.updated_fields) && data.updated_fields.includes("status") && data.status !== "blocked";

const EVENTS_AT_ONCE = 1000;

/** Renews the lease while a program runs (L8): four looks in its time, and a renewal at the first past its half. */
function keepLease(context: Context, lease: Lease, onLost: () => void): { stop(): void } {
  const { task_id, created_at, agent_id, fencing_token, lease_id, ttl } = lease;
  const key = { task_id, created_at };
  let timer: Timer | undefined;
  let stopped = false;
  const renew = async (): Promise<void> => {
    let pause = ttl / 4;
    try {
      const runtime = await context.runtime();
      const result = await runtime.renew({ key, agent_id, fencing_token, lease_id, ttl, automatic: true });
      if (stopped) return;
      if (result.kind !== "renewed" && result.kind !== "unchanged") {
        const known = (await runtime.lookup([task_id])).find((each) => each.key.created_at === created_at)?.outcome;
        // A program that finished its task itself may take its time to end.
        if (!stopped && (known === undefined || known.rank === 0 || known.completed_by !== agent_id)) onLost();
        return;
      }
    } catch (error) {
      if (!(error instanceof LodestarError)) throw error;
      // The runtime was busy, or cannot be reached: whether the lease is lost only it can say.
      pause = Math.min(pause, SECOND);
    }
    if (!stopped) timer = setTimeout(renew, pause);
  };
  timer = setTimeout(renew, ttl / 4);
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

/** Asks a program to end, and ends it when it does not. */
class Ending {
  readonly #running: Running;
  readonly #grace: Millis;
  #timer: Timer | undefined;
  #isOver = false;

  constructor(running: Running, grace: Millis) {
    this.#running = running;
    this.#grace = grace;
  }

  ask(signal: StopSignal | "SIGKILL"): void {
    if (this.#isOver) return;
    this.#running.signal(signal);
    this.#timer ??= setTimeout(() => this.#running.signal("SIGKILL"), this.#grace);
  }

  /** It has ended; of what was asked to end, nothing that it started goes on either. */
  over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#running.signal("SIGKILL");
  }
}

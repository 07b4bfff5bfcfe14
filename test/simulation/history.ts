import { existsSync, readFileSync } from "node:fs";
import type { AnyCommand } from "../../src/commands/command.ts";
import type { Context } from "../../src/commands/context.ts";
import { type Answer, execute } from "../../src/commands/execute.ts";
import { REGISTRY } from "../../src/commands/registry.ts";
import { LodestarError } from "../../src/core/errors.ts";
import type { FaultPoint } from "../../src/core/fault.ts";
import type { RuntimeStore } from "../../src/runtime/store.ts";
import type { SpecPlane, SpecSession } from "../../src/spec/plane.ts";
import { openContext } from "../../src/wire.ts";
import { SeededRandom } from "../support/clock.ts";
import { type Call, Checker, type Snapshot, Violation } from "./checker.ts";
import { readTasks } from "./lattice.ts";
import { Crash, type Fiber, Scheduler } from "./scheduler.ts";
import { BRANCHES, type Worktree, World } from "./world.ts";

/** How often each thing happened. */
export interface Counts {
  steps: number;
  calls: number;
  acknowledged: number;
  crashes: number;
  lost_replies: number;
  retries: number;
  pauses: number;
  clock_jumps: number;
  busy_locks: number;
  edits: number;
  checkouts: number;
  merges: number;
  runtimes_lost: number;
  indexes_lost: number;
  worktrees_removed: number;
  audits: number;
}
export const noCounts = (): Counts => ({
  steps: 0,
  calls: 0,
  acknowledged: 0,
  crashes: 0,
  lost_replies: 0,
  retries: 0,
  pauses: 0,
  clock_jumps: 0,
  busy_locks: 0,
  edits: 0,
  checkouts: 0,
  merges: 0,
  runtimes_lost: 0,
  indexes_lost: 0,
  worktrees_removed: 0,
  audits: 0,
});

export interface Told {
  readonly seed: number;
  readonly counts: Counts;
  readonly violation?: { readonly promise: string; readonly message: string };
  /** Calls, answers, steps and faults in their order: the same for the same seed. */
  readonly log: readonly string[];
}

interface Agent {
  readonly agent_id: string;
  worktree: Worktree;
  /** Tokens that it was given, the newest last. */
  readonly leases: { readonly task_id: string; readonly fencing_token: number; readonly lease_id: string }[];
  /** Keeps its planes open over many calls, as a server does. */
  readonly server: boolean;
  store: RuntimeStore | undefined;
  plane: SpecPlane | undefined;
}

const WRITES: ReadonlySet<string> = new Set([
  ...["claim", "renew", "release", "finish", "settle", "adopt", "join", "heartbeat", "leave"],
  ...["append", "send", "markRead", "intend", "complete", "clear"],
]);
const READS: ReadonlySet<string> = new Set(["observe", "lookup", "outbox", "outcomes"]);

// biome-ignore lint/suspicious/noExplicitAny: methods of wrapped objects, whatever their arguments are.
type Any = any;

/** What a mutation of the harness's own changes; the product's are in mutants.ts. */
export interface HarnessSwitches {
  /** The harness does not keep the spec lock either. */
  readonly noLock?: boolean;
  /** Called before a step of the store, after which others may run: a check that is not one step with its act. */
  readonly peeks?: boolean;
}

type Globals = {
  LODESTAR_TEST_FAULTS?: boolean;
  lodestarFault?: (point: FaultPoint) => void;
  /** What the clock said when the running step began to wait; read by mutants alone. */
  simulatedEarlyNow?: number | undefined;
  /** Leases seen before the step began to wait; read by mutants alone. */
  simulatedEarlyLeases?: unknown;
  /** One more boundary, for mutants that make two steps of what was one. */
  simulatedYield?: () => Promise<void>;
};
const globals = globalThis as Globals;

/** Runs one history. The same seed gives the same history, step by step. */
export async function simulate(seed: number, base: string, switches: HarnessSwitches = {}): Promise<Told> {
  const history = new History(seed, base, switches);
  const { random } = Math;
  Math.random = () => history.fraction();
  globals.LODESTAR_TEST_FAULTS = true;
  globals.lodestarFault = (point) => history.fault(point);
  globals.simulatedYield = () => history.yield();
  try {
    return await history.run();
  } finally {
    Math.random = random;
    delete globals.LODESTAR_TEST_FAULTS;
    delete globals.lodestarFault;
    delete globals.simulatedYield;
    history.remove();
  }
}

class History {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #ids: SeededRandom;
  readonly #noise: SeededRandom;
  readonly #world: World;
  readonly #checker: Checker;
  readonly #scheduler: Scheduler;
  readonly #switches: HarnessSwitches;
  readonly #log: string[] = [];
  readonly #counts = noCounts();
  readonly #agents: Agent[] = [];
  readonly #running = new Map<Fiber, Call>();
  /** Seeds differ in what goes wrong, so that rare things happen often somewhere. */
  readonly #faults: {
    readonly crash: number;
    readonly world: number;
    readonly clock: number;
    readonly losing: boolean;
  };
  #quiet = true;
  #fiber: Fiber | undefined;
  #calls = 0;
  #violation: Violation | undefined;
  #snapshot: Snapshot | undefined;
  #textBefore = "";

  constructor(seed: number, base: string, switches: HarnessSwitches) {
    this.#seed = seed;
    this.#switches = switches;
    this.#random = new SeededRandom(seed * 2654435761);
    this.#ids = new SeededRandom(seed ^ 0x5eed);
    this.#noise = new SeededRandom(seed ^ 0xf00d);
    const worktrees = 1 + this.#random.below(3);
    this.#world = new World(base, this.#random, worktrees, (line) => this.#say(line));
    this.#checker = new Checker(this.#world);
    this.#scheduler = new Scheduler(this.#random);
    this.#faults = {
      crash: this.#random.pick([0, 1, 3, 6]),
      world: this.#random.pick([0, 2, 6, 12]),
      clock: this.#random.pick([0, 1, 3]),
      losing: this.#random.below(2) === 0,
    };
    const agents = 2 + this.#random.below(2);
    for (let i = 0; i < agents; i += 1) {
      const worktree = this.#random.pick(this.#world.worktrees);
      const server = this.#random.below(4) > 0;
      this.#agents.push({ agent_id: `A${i + 1}`, worktree, leases: [], server, store: undefined, plane: undefined });
    }
  }

  fraction(): number {
    return this.#noise.below(1_000_000) / 1_000_000;
  }

  yield(): Promise<void> {
    return this.#boundary(this.#fiber);
  }

  remove(): void {
    for (const agent of this.#agents) close(agent);
    this.#checker.close();
    this.#world.remove();
  }

  #say(line: string): void {
    this.#log.push(`${this.#world.clock.now()} ${line}`);
  }

  #chance(percent: number): boolean {
    return this.#random.below(100) < percent;
  }

  async run(): Promise<Told> {
    try {
      for (const agent of this.#agents)
        await this.#perform(undefined, agent, "agent.join", { agent_id: agent.agent_id });
      this.#quiet = false;
      for (const agent of this.#agents) {
        const calls = 4 + this.#random.below(9);
        this.#scheduler.start(agent.agent_id, (fiber) => this.#live(fiber, agent, calls));
      }
      this.#scheduler.start("auditor", (fiber) => this.#auditing(fiber, 2 + this.#random.below(5)));
      await this.#scheduler.run({ between: () => this.#between(), atBoundary: (fiber) => this.#atBoundary(fiber) });
      if (this.#scheduler.failure !== undefined) throw this.#scheduler.failure;
      await this.#healEverything();
    } catch (cause) {
      if (this.#violation === undefined && !(cause instanceof Violation))
        throw new Error(`seed ${this.#seed}: ${cause}`, { cause });
      this.#violation ??= cause as Violation;
    }
    this.#counts.steps = this.#scheduler.steps;
    this.#counts.acknowledged = this.#checker.acknowledged;
    const told = { seed: this.#seed, counts: this.#counts, log: this.#log };
    if (this.#violation === undefined) return told;
    const { promise, message } = this.#violation;
    return { ...told, violation: { promise, message } };
  }

  // --- What an agent does ---

  async #live(fiber: Fiber, agent: Agent, calls: number): Promise<void> {
    for (let i = 0; i < calls; i += 1) {
      if (agent.worktree.gone) agent.worktree = this.#world.worktrees[0] as Worktree;
      const { command, input, nameless } = this.#choose(agent);
      await this.#perform(fiber, agent, command, input, nameless);
    }
  }

  #choose(agent: Agent): { command: string; input: Record<string, unknown>; nameless?: boolean } {
    const random = this.#random;
    const ids = [...readTasks(agent.worktree.text).keys()];
    const id = random.pick(ids);
    // What is finished is reopened and verified more often than chance would.
    const tasks = readTasks(agent.worktree.text);
    const finished = ids.filter((one) => (tasks.get(one)?.outcome.rank ?? 0) > 0);
    const back = finished.length > 0 && random.below(4) > 0 ? random.pick(finished) : id;
    const held = agent.leases.at(-1);
    const mine =
      held !== undefined && random.below(5) > 0 ? held : agent.leases[random.below(Math.max(1, agent.leases.length))];
    const ttl = random.pick(["", "2s", "5s", "30s"]);
    const withTtl = ttl === "" ? {} : { ttl };
    const about = mine === undefined || random.below(6) === 0 ? id : mine.task_id;
    const token =
      mine !== undefined && about === mine.task_id && random.below(2) === 0
        ? { fencing_token: mine.fencing_token }
        : {};
    const review = random.below(5) === 0 ? { review: true } : {};
    const forced = random.below(15) === 0 ? { force: true } : {};
    switch (random.below(28)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return {
          command: "task.next",
          input: { claim: true, ...withTtl, ...review, ...(random.below(5) === 0 ? { another: true } : {}) },
        };
      case 5:
      case 6:
      case 7: {
        const several = random.below(5) === 0 ? [id, random.pick(ids)] : [id];
        return { command: "task.claim", input: { task_ids: several, ...withTtl, ...review } };
      }
      case 8:
      case 9:
      case 10:
      case 11:
      case 12:
      case 13: {
        const verify = random.below(4) === 0 ? { verify: true } : {};
        return {
          command: "task.done",
          input: { task_id: about, ...token, ...verify, ...forced },
          nameless: random.below(5) === 0,
        };
      }
      case 14:
      case 15:
      case 16:
      case 17: {
        const done = [...new Set([back, ...finished.filter(() => random.below(4) === 0)])].slice(
          0,
          1 + random.below(2),
        );
        return {
          command: "task.verify",
          input: { task_ids: done, ...forced },
          nameless: random.below(6) === 0,
        };
      }
      case 18:
      case 19:
        return { command: "task.renew", input: { task_id: about, ...token, ...withTtl } };
      case 20:
        return { command: "task.release", input: { task_id: about, ...token, ...forced } };
      case 21:
      case 22:
        return { command: "task.reopen", input: { task_id: random.below(4) > 0 ? back : about } };
      case 23:
        if (random.below(2) === 0)
          return { command: "task.delete", input: { task_id: id, cascade: random.below(2) === 0 } };
        return { command: "agent.heartbeat", input: {} };
      case 24: {
        const depends_on = random.below(2) === 0 ? { depends_on: [id] } : {};
        const given = random.below(2) === 0 ? { id: random.pick(["F", "G", "H"]) } : {};
        return { command: "task.create", input: { title: "More", priority: random.below(3), ...given, ...depends_on } };
      }
      case 25:
        return { command: "task.update", input: { task_id: id, priority: random.below(9) } };
      case 26:
        return {
          command: "task.update",
          input: { task_id: id, status: random.pick(["todo", "ready", "ready", "blocked"]) },
        };
      default: {
        const need = random.pick(ids);
        return { command: "task.update", input: { task_id: id, add_dep: [need < id ? need : (ids[0] ?? id)] } };
      }
    }
  }

  /** One call, with the retries of a caller who got no answer. */
  async #perform(
    fiber: Fiber | undefined,
    agent: Agent,
    command: string,
    input: Readonly<Record<string, unknown>>,
    nameless = false,
  ): Promise<void> {
    this.#calls += 1;
    const call: Call = {
      ...{
        id: this.#calls,
        agent_id: agent.agent_id,
        command,
        input,
        worktree: agent.worktree,
        attempts: 0,
        runtime: 0,
      },
      idempotency_key: !this.#quiet && this.#random.below(4) === 0 ? `k${this.#calls}` : undefined,
      session: this.#random.below(8) === 0 ? "s2" : "s1",
      ...{ looked: undefined, unproven: [], applied: [], granted: [], absent: [] },
    };
    for (;;) {
      while (this.#losing && fiber !== undefined) await this.#scheduler.point(fiber);
      if (call.worktree.gone) return;
      call.attempts += 1;
      if (call.runtime !== this.#counts.runtimes_lost) {
        call.runtime = this.#counts.runtimes_lost;
        call.applied.length = 0;
        call.granted.length = 0;
      }
      this.#counts.calls += 1;
      this.#say(
        `${agent.agent_id} ${call.attempts > 1 ? "again " : ""}#${call.id} ${command} ${JSON.stringify(input)}${nameless ? " (nobody)" : ""}${call.idempotency_key === undefined ? "" : ` key ${call.idempotency_key}`} in ${call.worktree.name}`,
      );
      const outcome = await this.#attempt(fiber, agent, call, nameless);
      // A runtime that was lost knows nobody: agents come back as those they were.
      if (outcome === "stranger" && command !== "agent.join")
        return this.#perform(fiber, agent, "agent.join", { agent_id: agent.agent_id });
      if (outcome !== "unknown" || fiber === undefined) return;
      // The caller tries again at once, after other work, or never.
      if (this.#random.below(3) === 0 || call.attempts > 3) return;
      this.#counts.retries += 1;
      if (call.worktree.gone) return;
      if (this.#random.below(2) === 0) {
        const other = this.#choose(agent);
        await this.#perform(fiber, agent, other.command, other.input, other.nameless);
        if (call.worktree.gone) return;
      }
    }
  }

  async #attempt(
    fiber: Fiber | undefined,
    agent: Agent,
    call: Call,
    nameless: boolean,
  ): Promise<"acknowledged" | "stranger" | "unknown"> {
    call.looked = undefined;
    call.unproven = [];
    call.absent = [];
    if (fiber !== undefined) this.#running.set(fiber, call);
    let opened: Opened | undefined;
    try {
      opened = await this.#open(fiber, agent, call, nameless);
      const command = await load(call.command);
      const answer = await execute(command, { ...call.input }, opened.context);
      if (this.#violation !== undefined) throw this.#violation;
      if (fiber?.dead === true) throw new Crash();
      this.#remember(agent, answer);
      if (fiber !== undefined) await this.#scheduler.point(fiber);
      if (fiber !== undefined && !this.#quiet && this.#chance(this.#faults.crash)) {
        this.#counts.lost_replies += 1;
        this.#say(`${agent.agent_id} #${call.id}: the answer is lost`);
        return "unknown";
      }
      this.#say(
        `${agent.agent_id} #${call.id} → ${answer.ok ? JSON.stringify(answer.data).slice(0, 160) : answer.error?.code}`,
      );
      this.#checker.answered(call, answer);
      return answer.error?.code === "AGENT_NOT_FOUND" ? "stranger" : "acknowledged";
    } catch (cause) {
      if (!(cause instanceof Crash)) throw cause;
      if (fiber !== undefined) fiber.dead = false;
      close(agent);
      return "unknown";
    } finally {
      opened?.close();
      if (fiber !== undefined) this.#running.delete(fiber);
    }
  }

  #remember(agent: Agent, answer: Answer): void {
    if (!answer.ok) return;
    const { claims } = answer.data as { claims?: Agent["leases"] };
    for (const lease of claims ?? [answer.data as Agent["leases"][number]]) {
      if (lease.lease_id === undefined || lease.fencing_token === undefined) continue;
      if (agent.leases.at(-1)?.lease_id !== lease.lease_id) agent.leases.push(lease);
    }
  }

  // --- The wrapped planes ---

  async #open(fiber: Fiber | undefined, agent: Agent, call: Call, nameless: boolean): Promise<Opened> {
    const inner = await openContext({
      cwd: call.worktree.root,
      env: { LODESTAR_SESSION: call.session },
      ...(nameless ? {} : { agent: agent.agent_id }),
      ...(call.idempotency_key === undefined ? {} : { idempotency_key: call.idempotency_key }),
      interactive: false,
      clock: this.#world.clock,
      random: this.#ids,
    });
    const stores: RuntimeStore[] = [];
    const kept = agent.server && agent.plane?.paths.spec === call.worktree.spec ? agent.plane : undefined;
    const own = kept ?? inner.spec;
    if (agent.server && own !== agent.plane) {
      agent.plane?.close();
      agent.plane = own;
    }
    const plane = this.#wrapPlane(fiber, call, own);
    const wrapped = new Map<RuntimeStore, RuntimeStore>();
    const wrap = (store: RuntimeStore): RuntimeStore => {
      let known = wrapped.get(store);
      if (known === undefined) {
        known = this.#wrapStore(fiber, call, store);
        wrapped.set(store, known);
      }
      return known;
    };
    const runtime = async (): Promise<RuntimeStore> => {
      if (agent.server && agent.store !== undefined) return wrap(agent.store);
      const store = await inner.runtime();
      if (agent.server) agent.store = store;
      else if (!stores.includes(store)) stores.push(store);
      return wrap(store);
    };
    const context = new Proxy(inner, {
      get: (target, name) => {
        if (name === "spec") return plane;
        if (name === "runtime") return runtime;
        if (name === "runtimeIfAny") {
          return async () => {
            if (agent.server && agent.store !== undefined) return wrap(agent.store);
            const store = await target.runtimeIfAny();
            if (store !== undefined && store !== agent.store && !stores.includes(store)) stores.push(store);
            return store === undefined ? undefined : wrap(store);
          };
        }
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    return {
      context,
      close: () => {
        for (const store of new Set(stores)) store.close();
        if (own !== agent.plane) own.close();
      },
    };
  }

  async #boundary(fiber: Fiber | undefined): Promise<void> {
    if (fiber === undefined) return;
    if (fiber.dead) throw new Crash();
    if (!this.#quiet) await this.#scheduler.point(fiber);
  }

  #wrapStore(fiber: Fiber | undefined, call: Call, store: RuntimeStore): RuntimeStore {
    return new Proxy(store, {
      get: (target, name: string) => {
        const method = Reflect.get(target, name, target) as Any;
        if (typeof method !== "function") return method;
        if (READS.has(name)) {
          return async (...args: Any[]) => {
            await this.#boundary(fiber);
            return method.apply(target, args);
          };
        }
        if (!WRITES.has(name)) return method.bind(target);
        return (...args: Any[]) => this.#write(fiber, call, name, args, target);
      },
    });
  }

  async #write(fiber: Fiber | undefined, call: Call, name: string, args: Any[], store: RuntimeStore): Promise<unknown> {
    const early = this.#world.clock.now();
    const seen =
      this.#switches.peeks === true && name === "claim"
        ? (await store.observe({ since: 0, worktree: "", branch: "" })).leases
        : undefined;
    await this.#boundary(fiber);
    globals.simulatedEarlyNow = early;
    globals.simulatedEarlyLeases = seen;
    const before = this.#snapshot ?? this.#checker.snapshot();
    const result = await (store as Any)[name](...args);
    const after = this.#checker.snapshot();
    this.#snapshot = after;
    this.#say(`  ${call.agent_id} ${name}${result?.kind === undefined ? "" : ` → ${result.kind}`}`);
    this.#guard(() => this.#checker.wrote(call, name, args[0], result, before, after));
    if (name === "claim" || name === "finish") await this.#boundary(fiber);
    this.#checker.prove(call);
    return result;
  }

  #guard(check: () => void): void {
    try {
      check();
    } catch (cause) {
      if (cause instanceof Violation) this.#violation ??= cause;
      throw cause;
    }
  }

  #wrapPlane(fiber: Fiber | undefined, call: Call, plane: SpecPlane): SpecPlane {
    const look = async <T>(read: () => Promise<T>): Promise<T> => {
      await this.#boundary(fiber);
      const index = await read();
      this.#checker.looked(call);
      return index;
    };
    const locked = async <T>(body: (session: SpecSession) => Promise<T>, patience?: number): Promise<T> => {
      const { lock } = plane.paths;
      const keeps = fiber !== undefined && !this.#quiet && this.#switches.noLock !== true;
      await this.#boundary(fiber);
      if (keeps && this.#scheduler.isLocked(lock) && this.#chance(6)) {
        this.#counts.busy_locks += 1;
        this.#say(`  ${call.agent_id} finds the spec busy`);
        throw new LodestarError("BUSY", "Another process has been saving the spec for too long.");
      }
      if (keeps) await this.#scheduler.acquire(fiber, lock);
      try {
        return await plane.locked(
          (session) =>
            body({
              index: () => look(() => session.index()),
              save: async (edits) => {
                await this.#boundary(fiber);
                this.#fiber = fiber;
                const saved = await session.save(edits);
                if (saved) this.#say(`  ${call.agent_id} saved ${call.worktree.branch} in ${call.worktree.name}`);
                await this.#boundary(fiber);
                return saved;
              },
            }),
          patience,
        );
      } finally {
        if (keeps) this.#scheduler.release(lock);
      }
    };
    return new Proxy(plane, {
      get: (target, name) => {
        if (name === "index") return (mode: "read" | "write") => look(() => target.index(mode));
        if (name === "locked") return locked;
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** Called by the product between the system calls of a save (src/core/fault.ts): what is not an agent's may happen even there. */
  fault(point: FaultPoint): void {
    const call = this.#fiber === undefined ? this.#quietCall : this.#running.get(this.#fiber);
    if (call === undefined) return;
    const { worktree } = call;
    if (point === "before-rename") this.#textBefore = readFileSync(worktree.spec, "utf8");
    if (point === "after-rename") {
      const now = readFileSync(worktree.spec, "utf8");
      worktree.text = now;
      this.#guard(() => this.#checker.saved(call, worktree, this.#textBefore, now));
    }
    if (this.#quiet || this.#fiber === undefined) return;
    const isInside = point === "before-temp" || point === "after-temp-write" || point === "after-fsync";
    if (isInside && this.#random.below(100) < this.#faults.world * 2) this.#changeSpec(worktree);
    const mayDie =
      isInside || point === "before-rename" || point === "after-rename" || point === "after-save-before-index";
    if (!mayDie || this.#random.below(200) >= this.#faults.crash) return;
    this.#kill(this.#fiber, `at ${point}`);
    if (point === "after-temp-write" || point === "after-fsync" || point === "before-rename")
      this.#world.leaveTemp(worktree);
    throw new Crash();
  }
  /** The call that runs outside the scheduler. */
  #quietCall: Call | undefined;

  #kill(fiber: Fiber, where: string): void {
    fiber.dead = true;
    this.#counts.crashes += 1;
    this.#say(`${fiber.name} is killed ${where}`);
  }

  // --- What happens between steps ---

  #atBoundary(fiber: Fiber): void {
    this.#fiber = fiber;
    if (this.#running.has(fiber) && this.#random.below(200) < this.#faults.crash)
      this.#kill(fiber, "between two steps");
  }

  #between(): void {
    const { clock } = this.#world;
    clock.advance(this.#random.pick([0, 0, 0, 1, 7, 60, 400, 1500]));
    if (this.#losing && this.#running.size === 0) this.#loseRuntime();
    if (this.#chance(this.#faults.clock)) {
      const jump = this.#random.pick([-3_600_000, -5000, -700, 86_400_000, 60_000, 6000]);
      clock.advance(jump);
      this.#counts.clock_jumps += 1;
      this.#say(`the clock jumps by ${jump} ms`);
    }
    if (this.#random.below(200) < this.#faults.crash && this.#fiber !== undefined && !this.#fiber.done) {
      this.#fiber.pause = 2 + this.#random.below(14);
      clock.advance(this.#random.pick([500, 3000, 6000, 31_000]));
      this.#counts.pauses += 1;
      this.#say(`${this.#fiber.name} is paused`);
    }
    if (this.#random.below(300) >= this.#faults.world) return;
    const worktree = this.#random.pick(this.#world.worktrees);
    const dice = this.#random.below(20);
    if (dice < 2) this.#removeOrMake(worktree);
    else if (worktree.gone) return;
    else if (dice < 7 && this.#faults.losing) this.#losing = true;
    else if (dice < 8) {
      if (this.#isBusy(worktree)) return;
      this.#world.deleteIndex(worktree);
      this.#counts.indexes_lost += 1;
    } else this.#changeSpec(worktree);
  }

  #changeSpec(worktree: Worktree): void {
    const dice = this.#random.below(10);
    if (dice < 3) {
      this.#counts.checkouts += 1;
      this.#world.checkOut(worktree, this.#random.pick(BRANCHES));
    } else if (dice < 6) {
      this.#counts.merges += 1;
      this.#world.merge(worktree, this.#random.pick(BRANCHES));
    } else {
      this.#counts.edits += 1;
      this.#world.edit(worktree);
    }
  }

  #isBusy(worktree: Worktree): boolean {
    return [...this.#running.values()].some((call) => call.worktree === worktree);
  }

  #removeOrMake(worktree: Worktree): void {
    if (worktree.name === "main" || this.#isBusy(worktree)) return;
    if (worktree.gone) {
      this.#world.makeAgain(worktree);
      return;
    }
    for (const agent of this.#agents)
      if (agent.worktree === worktree) agent.worktree = this.#world.worktrees[0] as Worktree;
    this.#world.removeWorktree(worktree);
    this.#counts.worktrees_removed += 1;
  }

  /** The runtime is about to be lost: that is between calls, for nothing is promised to a call that it happens to. */
  #losing = false;

  #loseRuntime(): void {
    this.#losing = false;
    if (!existsSync(this.#world.runtime) || !this.#checker.mayLoseRuntime) return;
    this.#world.deleteRuntime();
    this.#checker.forgetRuntime();
    this.#snapshot = undefined;
    this.#counts.runtimes_lost += 1;
  }

  // --- Looking at everything ---

  async #auditing(fiber: Fiber, times: number): Promise<void> {
    for (let i = 0; i < times; i += 1) {
      for (let wait = this.#random.below(25); wait >= 0; wait -= 1) await this.#scheduler.point(fiber);
      await this.#audit();
    }
  }

  /** Nothing else runs while it looks. */
  async #audit(): Promise<void> {
    this.#counts.audits += 1;
    for (const worktree of this.#world.worktrees) {
      if (worktree.gone) continue;
      const listed = await this.#read(worktree, "task.list", { include_deleted: true });
      const next = await this.#read(worktree, "task.next", { count: 1000 });
      if (listed.ok && next.ok) this.#guard(() => this.#checker.audit(worktree, listed.data, next.data));
      else throw new Violation("Defect", `${worktree.name} cannot be read: ${(listed.error ?? next.error)?.message}`);
      if (!this.#world.isKnown(worktree))
        throw new Violation("S3", `The spec of ${worktree.name} was changed by nobody.`);
    }
  }

  async #read(worktree: Worktree, name: string, input: Record<string, unknown>): Promise<Answer> {
    const context = await openContext({
      cwd: worktree.root,
      env: {},
      interactive: false,
      clock: this.#world.clock,
      random: this.#ids,
    });
    try {
      return await execute(await load(name), input, context);
    } finally {
      (await context.runtimeIfAny())?.close();
      context.spec.close();
    }
  }

  async #joinAll(): Promise<void> {
    for (const agent of this.#agents) {
      if (agent.worktree.gone) agent.worktree = this.#world.worktrees[0] as Worktree;
      await this.#writeQuietly(agent, agent.worktree);
    }
  }

  async #writeQuietly(agent: Agent, worktree: Worktree): Promise<void> {
    const call: Call = {
      ...{ id: 0, agent_id: agent.agent_id, command: "agent.join", input: { agent_id: agent.agent_id }, worktree },
      ...{ attempts: 1, runtime: 0, idempotency_key: undefined, session: "s1", looked: undefined },
      ...{ unproven: [], applied: [], granted: [], absent: [] },
    };
    this.#quietCall = call;
    try {
      await this.#attempt(undefined, agent, call, false);
    } finally {
      this.#quietCall = undefined;
    }
  }

  /** Every branch is checked out once more where its rows wait, and a command runs there: now nothing may be missing. */
  async #healEverything(): Promise<void> {
    this.#quiet = true;
    this.#fiber = undefined;
    const [first] = this.#agents;
    if (first === undefined) return;
    await this.#joinAll();
    await this.#audit();
    for (const worktree of this.#world.worktrees) {
      if (worktree.gone) continue;
      for (const branch of BRANCHES) {
        const other = this.#world.worktrees.find((one) => !one.gone && one !== worktree && one.branch === branch);
        if (other !== undefined)
          this.#world.checkOut(other, `parked-${other.name}-${worktree.name}-${branch}`, other.text);
        this.#world.checkOut(worktree, branch);
        await this.#writeQuietly(first, worktree);
        this.#guard(() => this.#checker.healed(worktree));
      }
    }
    await this.#audit();
    this.#guard(() => this.#checker.finish());
  }
}

function close(agent: Agent): void {
  agent.store?.close();
  agent.plane?.close();
  agent.store = undefined;
  agent.plane = undefined;
}

interface Opened {
  readonly context: Context;
  readonly close: () => void;
}

const loaded = new Map<string, AnyCommand>();
async function load(name: string): Promise<AnyCommand> {
  const known = loaded.get(name);
  if (known !== undefined) return known;
  const entry = REGISTRY[name];
  if (entry === undefined) throw new Error(`There is no command ${name}.`);
  const command = (await entry()).default;
  loaded.set(name, command);
  return command;
}

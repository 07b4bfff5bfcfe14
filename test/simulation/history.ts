import { readFileSync } from "node:fs";
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
import { type Call, Checker, type Snapshot } from "./checker.ts";
import type { Fault } from "./faults.ts";
import { readTasks } from "./lattice.ts";
import { Violation } from "./promises.ts";
import type { Hazard, OpenRuntime, SimulatedRuntime } from "./runtime.ts";
import { Crash, type Fiber, Scheduler } from "./scheduler.ts";
import { BRANCHES, type Worktree, World } from "./world.ts";

/** How often each thing happened, in all that the report speaks of. */
export interface Counts {
  steps: number;
  calls: number;
  acknowledged: number;
  retries: number;
  audits: number;
}
export const noCounts = (): Counts => ({ steps: 0, calls: 0, acknowledged: 0, retries: 0, audits: 0 });

export interface Told {
  readonly seed: number;
  readonly counts: Counts;
  readonly faults: Tally;
  /** Before which steps agents died. */
  readonly deaths: Tally;
  /** Commands by what came of them: `task.done ok`, `task.done NOT_HOLDER`. */
  readonly operations: Tally;
  /** How often each rule of the checker was looked at. */
  readonly rules: Tally;
  readonly violation?: { readonly promise: string; readonly message: string };
  /** Calls, answers, steps and faults in their order: the same for the same seed. */
  readonly log: readonly string[];
}

export type Tally = ReadonlyMap<string, number>;
function tally(map: Map<string, number>, name: string): void {
  map.set(name, (map.get(name) ?? 0) + 1);
}

/** One step of the runtime while it runs. */
interface Step {
  readonly fiber: Fiber | undefined;
  readonly call: Call;
  readonly method: string;
  before: Snapshot;
  /** Its process dies in the middle of it. */
  dies: boolean;
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
  /** Other clones count their reopenings, as this one does. */
  readonly counted?: boolean;
}

type Globals = {
  LODESTAR_TEST_FAULTS?: boolean;
  lodestarFault?: (point: FaultPoint) => void;
  /** What the clock said when the running step began to wait; read by mutants alone. */
  simulatedEarlyNow?: number | undefined;
  /** Leases seen before the step began to wait; read by mutants alone. */
  simulatedEarlyLeases?: unknown;
  /** A number for an event that was drawn before the step got its turn; read by mutants alone. */
  simulatedEarlySeq?: number;
  /** One more boundary, for mutants that make two steps of what was one. */
  simulatedYield?: () => Promise<void>;
};
const globals = globalThis as Globals;

/** What befalls a step on its way, as faults are named. */
const HAZARDS: readonly (readonly [Hazard, Fault])[] = [
  ["lost", "step lost in the network"],
  ["cut", "answer lost in the network"],
  ["repeated", "step arrives twice"],
];
/** A step that is longer under way than answers are kept is another matter (docs/concepts/distributed.md). */
const UNDER_WAY = 240_000;

/**
 * Runs one history. The same seed gives the same history, step by step.
 *
 * @param base the folder for its worktrees. @param open makes its runtime.
 */
export async function simulate(
  seed: number,
  base: string,
  open: OpenRuntime,
  switches: HarnessSwitches = {},
): Promise<Told> {
  const history = new History(seed, base, open(base), switches);
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
    delete globals.simulatedEarlySeq;
    await history.remove();
  }
}

class History {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #ids: SeededRandom;
  readonly #noise: SeededRandom;
  readonly #world: World;
  readonly #runtime: SimulatedRuntime;
  readonly #checker: Checker;
  readonly #scheduler: Scheduler;
  readonly #switches: HarnessSwitches;
  readonly #log: string[] = [];
  readonly #counts = noCounts();
  readonly #faultTally = new Map<string, number>();
  readonly #deaths = new Map<string, number>();
  readonly #operations = new Map<string, number>();
  readonly #readers = new Map<string, Context>();
  #runtimesLost = 0;
  readonly #agents: Agent[] = [];
  readonly #running = new Map<Fiber, Call>();
  /** Seeds differ in what goes wrong, so that rare things happen often somewhere. */
  readonly #faults: {
    readonly crash: number;
    readonly world: number;
    readonly clock: number;
    readonly disk: number;
    readonly losing: boolean;
  };
  /** Most histories are short; what takes many calls to go wrong has the others. */
  readonly #isLong: boolean;
  #quiet = true;
  #fiber: Fiber | undefined;
  #calls = 0;
  #violation: Violation | undefined;
  #snapshot: Snapshot | undefined;
  #textBefore = "";

  constructor(seed: number, base: string, runtime: SimulatedRuntime, switches: HarnessSwitches) {
    this.#seed = seed;
    this.#switches = switches;
    this.#random = new SeededRandom(seed * 2654435761);
    this.#ids = new SeededRandom(seed ^ 0x5eed);
    this.#noise = new SeededRandom(seed ^ 0xf00d);
    this.#isLong = this.#random.below(20) === 0;
    const worktrees = this.#random.pick([1, 1, 2, 2, 3]);
    this.#world = new World(base, this.#random, worktrees, (line) => this.#say(line), {
      counted: switches.counted === true,
      conventions: runtime.conventions,
    });
    this.#runtime = runtime;
    runtime.attach({
      now: () => this.#world.clock.now(),
      say: (line) => this.#say(line),
      died: () => this.#diedInside(),
      looksAgain: () => this.#looksAgain(),
    });
    this.#checker = new Checker(this.#world, runtime);
    this.#scheduler = new Scheduler(this.#random);
    this.#faults = {
      crash: this.#random.pick([0, 1, 3, 6]),
      world: this.#random.pick([0, 6, 16, 30]),
      clock: this.#random.pick([0, 1, 3]),
      disk: this.#random.pick([0, 0, 4, 12]),
      losing: this.#random.below(2) === 0,
    };
    const agents = this.#isLong || this.#random.below(4) === 0 ? 3 : 2;
    for (let i = 0; i < agents; i += 1) {
      const worktree = this.#random.pick(this.#world.worktrees);
      const server = this.#random.below(5) > 0;
      this.#agents.push({ agent_id: `A${i + 1}`, worktree, leases: [], server, store: undefined, plane: undefined });
    }
  }

  fraction(): number {
    return this.#noise.below(1_000_000) / 1_000_000;
  }

  yield(): Promise<void> {
    return this.#boundary(this.#fiber);
  }

  async remove(): Promise<void> {
    for (const agent of this.#agents) close(agent);
    this.#closeReaders();
    await this.#runtime.close();
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
        const calls = this.#isLong ? 4 + this.#random.below(9) : 1 + this.#random.below(3);
        this.#scheduler.start(agent.agent_id, (fiber) => this.#live(fiber, agent, calls));
      }
      const audits = this.#isLong ? 2 + this.#random.below(4) : this.#random.below(2);
      this.#scheduler.start("auditor", (fiber) => this.#auditing(fiber, audits));
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
    const told = {
      ...{ seed: this.#seed, counts: this.#counts, log: this.#log, faults: this.#faultTally },
      ...{ deaths: this.#deaths, operations: this.#operations, rules: this.#checker.exercised },
    };
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
        return { command: "task.update", input: { task_id: about, priority: random.below(9) } };
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
      ...{ looked: undefined, unproven: [], applied: [], granted: [], absent: [], answer: undefined, returned: [] },
    };
    for (;;) {
      while (this.#losing && fiber !== undefined) await this.#scheduler.point(fiber);
      if (call.worktree.gone) return;
      call.attempts += 1;
      if (call.runtime !== this.#runtimesLost) {
        call.runtime = this.#runtimesLost;
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
      await this.#boundary(fiber, "the answer");
      if (fiber !== undefined && !this.#quiet && this.#chance(this.#faults.crash)) {
        this.#fault("lost answer");
        this.#say(`${agent.agent_id} #${call.id}: the answer is lost`);
        return "unknown";
      }
      this.#say(
        `${agent.agent_id} #${call.id} → ${answer.ok ? JSON.stringify(answer.data).slice(0, 160) : answer.error?.code}`,
      );
      call.answer = answer;
      if (!this.#quiet) tally(this.#operations, `${call.command} ${answer.ok ? "ok" : answer.error?.code}`);
      await this.#guarding(() => this.#checker.answered(call, answer));
      // A server whose runtime another program has replaced is started again.
      if (answer.error?.code === "RUNTIME_CORRUPT") close(agent);
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
      env: { ...this.#runtime.env, LODESTAR_SESSION: call.session },
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

  async #boundary(fiber: Fiber | undefined, at = "a step of a mutant"): Promise<void> {
    if (fiber === undefined) return;
    fiber.at = at;
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
            await this.#boundary(fiber, name);
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
    this.#reservedSeq = Math.max(this.#reservedSeq + 1000, early);
    const reserved = this.#reservedSeq;
    await this.#boundary(fiber, name);
    globals.simulatedEarlyNow = early;
    globals.simulatedEarlyLeases = seen;
    globals.simulatedEarlySeq = reserved;
    const step: Step = { fiber, call, method: name, before: await this.#looked(), dies: false };
    step.dies = fiber !== undefined && !this.#quiet && this.#random.below(100) < this.#faults.crash;
    this.#begin(step);
    if (!step.dies && fiber !== undefined) this.#befall();
    let result: Any;
    try {
      result = await (store as Any)[name](...args);
    } catch (cause) {
      if (cause instanceof Crash && this.#step === step) {
        const { before } = step;
        const after = await this.#look();
        this.#guard(() => this.#checker.died(call, name, before, after));
      }
      throw cause;
    } finally {
      this.#end();
    }
    const after = await this.#look();
    this.#say(`  ${call.agent_id} ${name}${result?.kind === undefined ? "" : ` → ${result.kind}`}`);
    this.#guard(() => this.#checker.wrote(call, name, args[0], result, step.before, after));
    if (fiber !== undefined && !this.#quiet) this.#beSlow("slow disk in a commit");
    if (name === "claim" || name === "finish") await this.#boundary(fiber, `what follows ${name}`);
    await this.#guarding(() => this.#checker.prove(call));
    return result;
  }
  #reservedSeq = 0;
  #step: Step | undefined;

  #begin(step: Step): void {
    this.#step = step;
    this.#runtime.doom(step.dies ? 1 + this.#random.below(7) : 0);
  }

  #end(): void {
    this.#step = undefined;
    this.#runtime.doom(0);
  }

  /** The runtime as it is now. */
  async #look(): Promise<Snapshot> {
    this.#snapshot = await this.#guarding(() => this.#checker.snapshot());
    return this.#snapshot;
  }

  /** The same, where it was looked at since the last step. */
  async #looked(): Promise<Snapshot> {
    return this.#snapshot ?? this.#look();
  }

  /** The process of the running step has died in the middle of it. */
  #diedInside(): void {
    const fiber = this.#step?.fiber;
    if (fiber === undefined) return;
    this.#fault("crash inside a step of the runtime");
    this.#kill(fiber, "inside a step");
  }

  /** The running step has changed nothing and is tried again, knowing more: others may come in between. */
  async #looksAgain(): Promise<void> {
    const step = this.#step;
    if (step === undefined) return;
    const { call, method, fiber } = step;
    this.#end();
    const after = await this.#look();
    this.#say(`  ${call.agent_id} ${method} looks again`);
    this.#guard(() => this.#checker.wrote(call, "a look", undefined, undefined, step.before, after));
    await this.#boundary(fiber, "a second look");
    step.before = await this.#looked();
    this.#begin(step);
  }

  /** What the network does to the step that comes. */
  #befall(): void {
    const { network } = this.#runtime;
    if (network === undefined || this.#quiet || !this.#chance(2 * this.#faults.crash)) return;
    const [hazard, fault] = this.#random.pick(HAZARDS);
    network.befall(hazard);
    this.#fault(fault);
    this.#say(`  ${fault}`);
    if (hazard === "repeated") this.#sent = this.#world.clock.now();
  }
  /** When the step that is under way was sent. */
  #sent = 0;

  /** A copy of an earlier step arrives. */
  async #deliver(): Promise<void> {
    const { network } = this.#runtime;
    if (network?.isLate !== true) return;
    if (Math.abs(this.#world.clock.now() - this.#sent) > UNDER_WAY) return network.forget();
    if (!this.#chance(50)) return;
    const before = await this.#looked();
    await network.deliver();
    this.#say("a copy of a step arrives");
    const after = await this.#look();
    this.#guard(() => this.#checker.repeated(before, after));
  }

  #beSlow(fault: Fault): void {
    if (!this.#chance(this.#faults.disk)) return;
    const length = this.#random.pick([300, 1500, 6000, 40_000]);
    this.#world.clock.advance(length);
    this.#fault(fault);
    this.#say(`the disk takes ${length} ms`);
  }

  #fault(fault: Fault): void {
    tally(this.#faultTally, fault);
  }

  async #guarding<T>(check: () => Promise<T>): Promise<T> {
    try {
      return await check();
    } catch (cause) {
      if (cause instanceof Violation) this.#violation ??= cause;
      throw cause;
    }
  }

  #guard<T>(check: () => T): T {
    try {
      return check();
    } catch (cause) {
      if (cause instanceof Violation) this.#violation ??= cause;
      throw cause;
    }
  }

  #wrapPlane(fiber: Fiber | undefined, call: Call, plane: SpecPlane): SpecPlane {
    const look = async <T>(read: () => Promise<T>): Promise<T> => {
      await this.#boundary(fiber, "a look at the spec");
      const index = await read();
      await this.#guarding(() => this.#checker.looked(call));
      return index;
    };
    const locked = async <T>(body: (session: SpecSession) => Promise<T>, patience?: number): Promise<T> => {
      const { lock } = plane.paths;
      const keeps = fiber !== undefined && !this.#quiet && this.#switches.noLock !== true;
      await this.#boundary(fiber, "the spec's lock");
      if (keeps && this.#scheduler.isLocked(lock) && this.#chance(6)) {
        this.#fault("busy lock");
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
                await this.#boundary(fiber, "a save");
                this.#fiber = fiber;
                this.#saving = true;
                const saved = await session.save(edits).finally(() => {
                  this.#saving = false;
                });
                if (saved) this.#say(`  ${call.agent_id} saved ${call.worktree.branch} in ${call.worktree.name}`);
                await this.#boundary(fiber, "what follows a save");
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
    if (isInside && this.#random.below(100) < this.#faults.world * 2) this.#changeInside(worktree);
    if (point === "after-temp-write" || point === "after-fsync") this.#beSlow("slow disk in a save");
    const mayDie =
      isInside || point === "before-rename" || point === "after-rename" || point === "after-save-before-index";
    if (!mayDie || this.#random.below(200) >= this.#faults.crash) return;
    this.#fault("crash inside a save");
    tally(this.#deaths, point);
    this.#kill(this.#fiber, `at ${point}`);
    if (point === "after-temp-write" || point === "after-fsync" || point === "before-rename")
      this.#world.leaveTemp(worktree);
    throw new Crash();
  }
  /** The call that runs outside the scheduler. */
  #quietCall: Call | undefined;

  #kill(fiber: Fiber, where: string): void {
    fiber.dead = true;
    this.#say(`${fiber.name} is killed ${where}`);
  }

  // --- What happens between steps ---

  #atBoundary(fiber: Fiber): void {
    this.#fiber = fiber;
    if (!this.#running.has(fiber) || this.#random.below(200) >= this.#faults.crash) return;
    this.#fault("crash between two steps");
    tally(this.#deaths, `before ${fiber.at}`);
    this.#kill(fiber, `before ${fiber.at}`);
  }

  #jump(by: number): void {
    // Who loses the runtime and the time of day at once has nothing left that knows the last token (L2).
    if (by < 0 && this.#runtimesLost > 0 && !this.#checker.knowsRuntime) return;
    this.#world.clock.advance(by);
    this.#fault(by < 0 ? "clock backward" : "clock forward");
    this.#say(`the clock jumps by ${by} ms`);
  }

  async #between(): Promise<void> {
    await this.#deliver();
    const { clock } = this.#world;
    clock.advance(this.#random.pick([0, 0, 0, 1, 7, 60, 400, 1500]));
    if (this.#losing && this.#running.size === 0) await this.#loseRuntime();
    if (this.#chance(this.#faults.clock)) {
      this.#jump(this.#random.pick([-3_600_000, -5000, -700, 86_400_000, 60_000, 6000]));
    }
    if (this.#random.below(200) < this.#faults.crash && this.#fiber !== undefined && !this.#fiber.done)
      await this.#pause(this.#fiber);
    if (this.#random.below(300) >= this.#faults.world) return;
    const worktree = this.#random.pick(this.#world.worktrees);
    const dice = this.#random.below(28);
    if (dice < 4) this.#removeOrMake(worktree);
    else if (worktree.gone) return;
    else if (dice < 9 && this.#faults.losing) this.#losing = true;
    else if (dice < 11) {
      if (this.#isBusy(worktree)) return;
      this.#world.deleteIndex(worktree);
      this.#closeReaders();
      this.#fault("index lost");
    } else if (dice < 13) await this.#visitBareBranch(worktree);
    else if (dice < 15) await this.#visitTwice(worktree);
    else await this.#changeSpec(worktree);
  }

  async #pause(fiber: Fiber): Promise<void> {
    const held = await this.#checker.heldBy(fiber.name);
    fiber.pause = 2 + this.#random.below(14);
    this.#world.clock.advance(this.#random.pick([500, 3000, 6000, 31_000]));
    this.#fault("pause");
    if (held > (await this.#checker.heldBy(fiber.name))) this.#fault("pause past the end of a lease");
    this.#say(`${fiber.name} is paused`);
  }

  async #changeSpec(worktree: Worktree): Promise<void> {
    if (this.#random.below(10) >= 5) return this.#changeInside(worktree);
    const merged = await this.#world.merge(worktree, this.#random.pick(BRANCHES));
    if (merged.kind === "forward") this.#fault("fast-forward merge");
    if (merged.kind === "aborted") this.#fault("merge given up");
    if (merged.kind !== "merged") return;
    this.#fault("merge");
    this.#guard(() => this.#checker.merged(merged.base, merged.ours, merged.theirs, merged.text));
  }

  /** What somebody who takes no lock does to a spec, between two steps or in the middle of a save. */
  #changeInside(worktree: Worktree): void {
    const isInside = this.#fiber !== undefined && this.#running.get(this.#fiber)?.worktree === worktree && this.#saving;
    if (this.#random.below(3) === 0) {
      if (this.#world.checkOut(worktree, this.#random.pick(BRANCHES)))
        this.#fault(isInside ? "checkout in a save" : "checkout");
      return;
    }
    const kind = this.#world.edit(worktree);
    this.#fault(kind === "pulled" ? "pull from another clone" : isInside ? "edit in a save" : "edit by hand");
  }
  #saving = false;

  /** Somebody looks at a branch that has no `.lodestar/` (counterexample 22). */
  async #visitBareBranch(worktree: Worktree): Promise<void> {
    const [agent] = this.#agents;
    if (this.#isBusy(worktree) || agent === undefined || !(await this.#runtime.isThere())) return;
    this.#fault("bare branch");
    await this.#world.onBareBranch(worktree, async () => {
      this.#guard(() => this.#checker.ignored(worktree, this.#world.untracked(worktree)));
      const before = this.#world.files(worktree);
      const answer = await this.#quietly(agent, worktree, "agent.heartbeat", {});
      const made = this.#world.files(worktree).filter((name) => !before.includes(name));
      this.#guard(() => this.#checker.bare(answer, made));
    });
  }

  /** A merge on a host has left a task twice: nobody may get it, and the others go on (counterexample 24). */
  async #visitTwice(worktree: Worktree): Promise<void> {
    const [agent] = this.#agents;
    if (this.#isBusy(worktree) || agent === undefined || !(await this.#runtime.isThere())) return;
    const id = this.#random.pick([...readTasks(worktree.text).keys()]);
    this.#fault("task twice in the file");
    await this.#world.withTwice(worktree, id, async () => {
      const claim = await this.#quietly(agent, worktree, "task.claim", { task_ids: [id] });
      const next = await this.#read(worktree, "task.next", { count: 1000 });
      const offered = ((next.data as Any).tasks ?? []).map((task: Any) => task.id);
      const tasks = readTasks(worktree.text);
      const others = (await this.#checker.claimable(worktree)).filter(
        (one) => one !== id && !tasks.get(one)?.depends_on.includes(id),
      );
      this.#guard(() => this.#checker.twice(id, claim, offered, others));
    });
  }

  #isBusy(worktree: Worktree): boolean {
    return [...this.#running.values()].some((call) => call.worktree === worktree);
  }

  #removeOrMake(worktree: Worktree): void {
    if (worktree.name === "main" || this.#isBusy(worktree)) return;
    if (worktree.gone) {
      this.#fault("worktree made again");
      this.#world.makeAgain(worktree);
      for (const call of this.#running.values()) call.returned.push(worktree.root);
      return;
    }
    for (const agent of this.#agents)
      if (agent.worktree === worktree) agent.worktree = this.#world.worktrees[0] as Worktree;
    this.#closeReaders();
    this.#world.removeWorktree(worktree);
    this.#fault("worktree removed");
  }

  /** The runtime is about to be lost: that is between calls, for nothing is promised to a call that it happens to. */
  #losing = false;

  async #loseRuntime(): Promise<void> {
    this.#losing = false;
    if (!this.#checker.knowsRuntime || !this.#checker.mayLoseRuntime) return;
    this.#closeReaders();
    this.#checker.forgetRuntime();
    await this.#runtime.lose();
    const isReplaced = this.#random.below(2) === 0 && this.#runtime.putForeign !== undefined;
    if (isReplaced) this.#runtime.putForeign?.();
    this.#fault(isReplaced ? "foreign runtime" : "runtime lost");
    this.#snapshot = undefined;
    this.#runtimesLost += 1;
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
      if (listed.ok && next.ok) await this.#guarding(() => this.#checker.audit(worktree, listed.data, next.data));
      else throw new Violation("Defect", `${worktree.name} cannot be read: ${(listed.error ?? next.error)?.message}`);
      if (!this.#world.isKnown(worktree))
        throw new Violation("S3", `The spec of ${worktree.name} was changed by nobody.`);
      this.#guard(() => this.#checker.ignored(worktree, this.#world.untracked(worktree)));
    }
    this.#guard(() => this.#checker.locksAreKept());
    await this.#follow();
  }

  /** Reads on in the events, from where it stopped (counterexample 23). */
  async #follow(): Promise<void> {
    const worktree = this.#world.worktrees.find(({ gone }) => !gone);
    if (worktree === undefined || !(await this.#runtime.isThere())) return;
    if (this.#following.runtime !== this.#runtimesLost)
      this.#following = { runtime: this.#runtimesLost, from: await this.#checker.beginOfEvents(), seen: [] };
    const { from, seen } = this.#following;
    const answer = await this.#read(worktree, "events", { since: seen.at(-1) ?? from });
    if (!answer.ok) return;
    seen.push(...(answer.data as { events: { seq: number }[] }).events.map(({ seq }) => seq));
    await this.#guarding(() => this.#checker.followed(seen, from));
  }
  #following: { runtime: number; from: number; seen: number[] } = { runtime: -1, from: 0, seen: [] };

  /** Reads as a process that starts for it, or as one that has been running. */
  async #read(worktree: Worktree, name: string, input: Record<string, unknown>): Promise<Answer> {
    if (this.#noise.below(4) === 0) this.#closeReaders();
    let context = this.#readers.get(worktree.root);
    if (context === undefined) {
      context = await openContext({
        cwd: worktree.root,
        env: this.#runtime.env,
        interactive: false,
        clock: this.#world.clock,
        random: this.#ids,
      });
      this.#readers.set(worktree.root, context);
    }
    return execute(await load(name), input, context);
  }

  #closeReaders(): void {
    for (const context of this.#readers.values()) {
      context.close();
    }
    this.#readers.clear();
  }

  /** One call while nothing else runs. */
  async #quietly(agent: Agent, worktree: Worktree, command: string, input: Record<string, unknown>): Promise<Answer> {
    const call: Call = {
      ...{ id: 0, agent_id: agent.agent_id, command, input, worktree },
      ...{ attempts: 1, runtime: 0, idempotency_key: undefined, session: "s1", looked: undefined },
      ...{ unproven: [], applied: [], granted: [], absent: [], answer: undefined, returned: [] },
    };
    const fiber = this.#fiber;
    this.#fiber = undefined;
    this.#quietCall = call;
    try {
      // As a process of its own: the agent's server may be in the middle of a call.
      const alone = { ...agent, leases: [], server: false, store: undefined, plane: undefined };
      await this.#attempt(undefined, alone, call, false);
    } finally {
      this.#quietCall = undefined;
      this.#fiber = fiber;
    }
    return call.answer as Answer;
  }

  async #joinIn(worktree: Worktree): Promise<void> {
    const [first] = this.#agents;
    if (first !== undefined) await this.#quietly(first, worktree, "agent.join", { agent_id: first.agent_id });
  }

  /** Every branch is checked out once more where its rows wait, and a command runs there: now nothing may be missing. */
  async #healEverything(): Promise<void> {
    this.#quiet = true;
    this.#fiber = undefined;
    for (const worktree of this.#world.worktrees) if (!worktree.gone) await this.#joinIn(worktree);
    // A verification waits for the work that it verifies, which may be another worktree's to write.
    for (let before = Number.POSITIVE_INFINITY, now = await this.#checker.waiting(); now < before; ) {
      before = now;
      await this.#visitBranches();
      now = await this.#checker.waiting();
    }
    await this.#audit();
    this.#guard(() => this.#checker.foreignKept(this.#runtime.foreign.put, this.#runtime.foreign.found()));
    await this.#guarding(() => this.#checker.finish());
  }

  async #visitBranches(): Promise<void> {
    for (const worktree of this.#world.worktrees) {
      if (worktree.gone) continue;
      for (const branch of BRANCHES) {
        if (!(await this.#checker.waitsFor(worktree, branch))) continue;
        const other = this.#world.worktrees.find((one) => !one.gone && one !== worktree && one.branch === branch);
        if (other !== undefined)
          this.#world.checkOut(other, `parked-${other.name}-${worktree.name}-${branch}`, other.text);
        this.#world.checkOut(worktree, branch);
        await this.#joinIn(worktree);
        await this.#guarding(() => this.#checker.healed(worktree));
      }
    }
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

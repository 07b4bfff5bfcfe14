/** An agent that works, asks again when it gets no answer, and whose processes are killed and stopped. */
import type { FaultPoint } from "../../src/core/fault.ts";
import type { Arena, Worktree } from "./arena.ts";
import type { Answered, Asked, Hurt } from "./history.ts";
import { isSaving } from "./strangers.ts";

/** What a worker asks for. */
interface Wish {
  readonly command: string;
  readonly args?: readonly string[];
  readonly tasks?: readonly string[];
  readonly token?: number;
  readonly note?: string;
  readonly stdin?: string;
}

/** What is done to a process: at a point that it passes, or at a random moment. */
interface Plan {
  readonly how: "nothing" | "kill" | "stop";
  readonly point?: FaultPoint;
}

interface Held {
  readonly task: string;
  readonly token: number;
}

const TTLS = ["1s", "1s", "2s", "3s", "30s"] as const;
/** New tasks are made up to this many; later there is work enough. */
const ENOUGH = 250;
const LATER: ReadonlySet<string> = new Set(["BUSY"]);

const SAVING: readonly FaultPoint[] = [
  ...(["before-temp", "after-temp-write", "after-fsync", "before-rename"] as const),
  ...(["after-rename", "after-save-before-index"] as const),
];
const CLAIMING: readonly FaultPoint[] = ["before-grant"];
const FINISHING: readonly FaultPoint[] = ["before-finish", "after-runtime-commit", ...SAVING, "before-settle"];
const POINTS: Readonly<Record<string, readonly FaultPoint[]>> = {
  "task claim": CLAIMING,
  "task next --claim": CLAIMING,
  "task done": FINISHING,
  "task verify": FINISHING,
  "task reopen": FINISHING,
  "task delete": FINISHING,
  "task create": SAVING,
  "task import": SAVING,
  "task update": SAVING,
};

export class Worker {
  readonly #arena: Arena;
  readonly #agent: string;
  #worktree: Worktree;
  #held: Held[] = [];
  /** How long a process usually takes: a signal sent at random within it finds the process anywhere. */
  #usual = 80;

  constructor(arena: Arena, agent: string) {
    this.#arena = arena;
    this.#agent = agent;
    this.#worktree = arena.random.pick(arena.worktrees);
  }

  async run(): Promise<void> {
    const { random, until, worktrees } = this.#arena;
    while (Date.now() < until) {
      if (random.below(25) === 0) this.#worktree = random.pick(worktrees);
      await this.#call(this.#choose());
    }
  }

  // --- What it wants ---

  #choose(): Wish {
    const { random, tasks } = this.#arena;
    const task = random.pick(tasks);
    // What was made last is what most of them work at.
    const recent = tasks[Math.max(0, tasks.length - 1 - random.below(25))] ?? task;
    const mine = this.#held.at(-1 - random.below(2)) ?? this.#held.at(-1);
    const about = mine === undefined || random.below(8) === 0 ? recent : mine.task;
    const token = mine !== undefined && about === mine.task && random.below(3) > 0 ? { token: mine.token } : {};
    const ttl = random.below(3) === 0 ? [] : ["--ttl", random.pick(TTLS)];
    const note = random.below(3) === 0 ? { note: `note ${this.#arena.serial()}` } : {};
    const force = random.below(20) === 0 ? ["--force"] : [];
    const review = random.below(8) === 0 ? ["--review"] : [];
    const dice = random.below(100);
    if (dice < 18)
      return {
        command: "task next --claim",
        args: [...ttl, ...review, ...(random.below(4) === 0 ? ["--another"] : [])],
      };
    if (dice < 26) return { command: "task claim", args: [recent, "--no-context", ...ttl, ...review], tasks: [recent] };
    if (dice < 34) return { command: "task renew", args: [about, ...ttl], tasks: [about], ...token };
    if (dice < 38) return { command: "task release", args: [about, ...force], tasks: [about], ...token, ...note };
    if (dice < 52) {
      const verify = random.below(4) === 0 ? ["--verify"] : [];
      return { command: "task done", args: [about, ...verify, ...force], tasks: [about], ...token, ...note };
    }
    if (dice < 60) {
      const several = [...new Set([recent, ...(random.below(4) === 0 ? [task] : [])])];
      return { command: "task verify", args: several, tasks: several, ...(several.length === 1 ? note : {}) };
    }
    if (dice < 65) return { command: "task reopen", args: [recent], tasks: [recent], ...note };
    if (dice < 73) return tasks.length < ENOUGH || dice < 66 ? this.#create(task) : this.#update(recent);
    if (dice < 75 && tasks.length < ENOUGH) return this.#import();
    if (dice < 83) return this.#update(random.below(3) === 0 ? task : recent);
    if (dice < 85) return { command: "task delete", args: [recent, "--cascade"], tasks: [recent] };
    if (dice < 86) return { command: "agent heartbeat" };
    if (dice < 87) return { command: "agent join" };
    if (dice < 89) return { command: "task list", args: ["--limit", "1000"] };
    if (dice < 92) return { command: "task show", args: [recent], tasks: [recent] };
    if (dice < 95) return { command: "status" };
    if (dice < 98) return { command: "events", args: ["--since", "0", "--limit", "50"] };
    return { command: "task next", args: ["--count", "5"] };
  }

  #create(need: string): Wish {
    const { random } = this.#arena;
    const given = random.below(2) === 0 ? ["--id", `C${this.#arena.serial()}`] : [];
    const needs = random.below(5) === 0 ? ["--depends-on", need] : [];
    const priority = random.below(3) === 0 ? ["--priority", String(random.below(5))] : [];
    return { command: "task create", args: ["--title", `Made by ${this.#agent}`, ...given, ...needs, ...priority] };
  }

  #import(): Wish {
    const n = this.#arena.serial();
    const made = [{ title: "One of three" }, { id: `I${n}`, title: "Two" }, { title: "Three", depends_on: [`I${n}`] }];
    return { command: "task import", args: ["-"], stdin: JSON.stringify({ tasks: made }) };
  }

  #update(task: string): Wish {
    const { random } = this.#arena;
    const n = this.#arena.serial();
    const dice = random.below(10);
    const change =
      dice < 6
        ? ["--add-label", `l${n}`]
        : dice < 7
          ? ["--title", `Called ${n}`]
          : dice < 8
            ? ["--priority", String(random.below(5)), "--add-label", `l${n}`]
            : dice < 9
              ? ["--status", random.pick(["ready", "ready", "todo", "blocked"])]
              : ["--add-dep", random.pick(this.#arena.tasks)];
    return { command: "task update", args: [task, ...change], tasks: [task] };
  }

  // --- Asking, and asking again ---

  async #call(wish: Wish): Promise<void> {
    const { random, counts } = this.#arena;
    const call = this.#arena.serial();
    const isRead =
      !(wish.command in POINTS) &&
      !["task renew", "task release", "agent join", "agent heartbeat"].includes(wish.command);
    // An id that the caller chose makes two tasks of a repeat that finds another branch checked out, unless both are one call by key.
    const namesNew = wish.command === "task import" || (wish.command === "task create" && wish.args?.includes("--id"));
    const key = !isRead && (random.below(5) < 2 || namesNew === true) ? { key: `k${call}` } : {};
    const worktree = this.#worktree;
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      const asked: Asked = {
        ...{ kind: "asked", at: Date.now(), call, attempt, agent: this.#agent, worktree: worktree.name },
        ...{ command: wish.command, args: wish.args ?? [], tasks: wish.tasks ?? [] },
        ...(wish.token === undefined ? {} : { token: wish.token }),
        ...(wish.note === undefined ? {} : { note: wish.note }),
        ...key,
      };
      counts.calls += 1;
      if (attempt > 1) counts.retries += 1;
      this.#arena.history.add(asked);
      const answered = await this.#ask(asked, worktree, wish.stdin ?? "");
      this.#arena.history.add(answered);
      this.#learn(asked, answered);
      const isUnknown = answered.result === "silent" || answered.dropped === true || LATER.has(answered.code ?? "");
      if (!isUnknown || Date.now() > this.#arena.until + 5000 || random.below(4) === 0) return;
    }
  }

  async #ask(asked: Asked, worktree: Worktree, stdin: string): Promise<Answered> {
    const { random, lodestar, faulty, environment } = this.#arena;
    const plan = this.#plan(asked.command);
    const words = [
      ...asked.command.split(" "),
      ...asked.args,
      ...(asked.command === "agent join" ? ["--id", this.#agent] : ["--agent", this.#agent]),
      ...(asked.token === undefined ? [] : ["--fencing-token", String(asked.token)]),
      ...(asked.note === undefined ? [] : ["--note", asked.note]),
      ...(asked.key === undefined ? [] : ["--idempotency-key", asked.key]),
      "--json",
    ];
    const fault =
      plan.point === undefined ? {} : { LODESTAR_FAULT: `${plan.point}${plan.how === "stop" ? ":stop" : ""}` };
    const began = performance.now();
    const child = Bun.spawn([plan.point === undefined ? lodestar : faulty, ...words], {
      ...{ cwd: worktree.root, env: environment(fault), stdin: new TextEncoder().encode(stdin) },
      ...{ stdout: "pipe", stderr: "pipe" },
    });
    const ended = child.exited;
    const hurt = await this.#hurt(child, worktree, plan);
    const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    await ended;
    const killed = child.signalCode === "SIGKILL";
    if (!killed && hurt === undefined) this.#usual = this.#usual * 0.9 + (performance.now() - began) * 0.1;
    return this.#heard(asked, {
      stdout,
      stderr,
      killed,
      hurt: killed ? (hurt ?? "killed at a point") : hurt,
      dropped: random.below(30) === 0,
    });
  }

  #plan(command: string): Plan {
    const { random } = this.#arena;
    const points = POINTS[command];
    const dice = random.below(100);
    if (dice < 20) return points === undefined ? { how: "kill" } : { how: "kill", point: random.pick(points) };
    if (dice < 46) return { how: "kill" };
    if (dice < 50) return { how: "stop" };
    if (dice < 52 && points !== undefined)
      // Standing still in the window before the rename would hold open what S3 leaves open.
      return { how: "stop", point: random.pick(points.filter((point) => point !== "before-rename")) };
    return { how: "nothing" };
  }

  /** Sends what the plan says. @returns how the process was hurt, if it lived so long. */
  async #hurt(
    child: Bun.Subprocess<Uint8Array, "pipe", "pipe">,
    worktree: Worktree,
    { how, point }: Plan,
  ): Promise<Hurt | undefined> {
    const { random, counts } = this.#arena;
    const isAlive = (): boolean => child.exitCode === null && child.signalCode === null;
    const length = 300 + random.below(2900);
    if (how === "kill" && point !== undefined) {
      await child.exited;
      if (child.signalCode !== "SIGKILL") return undefined;
      counts.killed_at_a_point += 1;
      return "killed at a point";
    }
    if (how === "kill") {
      await Promise.race([child.exited, Bun.sleep(random.below(Math.ceil(this.#usual)))]);
      if (!isAlive()) return undefined;
      child.kill("SIGKILL");
      await child.exited;
      if (child.signalCode !== "SIGKILL") return undefined;
      counts.killed += 1;
      return "killed";
    }
    if (how === "nothing") return undefined;
    worktree.standing += 1;
    try {
      if (point === undefined) {
        await Promise.race([child.exited, Bun.sleep(random.below(Math.ceil(this.#usual)))]);
        if (!isAlive()) return undefined;
        child.kill("SIGSTOP");
        // Not while Git may be in the open window of this very save.
        if (worktree.gitIsAtIt && isSaving(worktree)) {
          child.kill("SIGCONT");
          return undefined;
        }
      }
      await Promise.race([child.exited, Bun.sleep(length)]);
      const isHurt = isAlive();
      // One that stops again, in a second try, is let go as often as it takes.
      while (isAlive()) {
        child.kill("SIGCONT");
        await Promise.race([child.exited, Bun.sleep(50)]);
      }
      if (!isHurt) return undefined;
      counts.stopped += 1;
      return point === undefined ? "stopped" : "stopped at a point";
    } finally {
      worktree.standing -= 1;
    }
  }

  #heard(
    { call, attempt }: Asked,
    ran: {
      readonly stdout: string;
      readonly stderr: string;
      readonly killed: boolean;
      readonly hurt: Hurt | undefined;
      readonly dropped: boolean;
    },
  ): Answered {
    const base = {
      ...{ kind: "answered" as const, at: Date.now(), call, attempt },
      ...(ran.hurt === undefined ? {} : { hurt: ran.hurt }),
    };
    // biome-ignore lint/suspicious/noExplicitAny: the envelope of any command.
    let envelope: any;
    try {
      envelope = JSON.parse(ran.stdout);
    } catch {
      if (ran.killed) return { ...base, result: "silent" };
      return { ...base, result: "broken", said: `${ran.stdout}${ran.stderr}`.slice(0, 2000) };
    }
    // What stands whole on standard output was acknowledged, whatever became of the process afterwards.
    if (ran.dropped) this.#arena.counts.dropped_answers += 1;
    const lost = ran.dropped || ran.killed ? { dropped: true } : {};
    if (envelope.ok === true) return { ...base, ...lost, result: "ok", data: envelope.data };
    return { ...base, ...lost, result: "refused", code: envelope.error.code, said: envelope.error.message };
  }

  #learn(asked: Asked, answered: Answered): void {
    if (answered.dropped === true || answered.result !== "ok") {
      if (answered.code === "LEASE_LOST" || answered.code === "NOT_HOLDER")
        this.#held = this.#held.filter(({ task }) => !asked.tasks.includes(task));
      return;
    }
    const { data } = answered;
    if (asked.command === "task create") this.#arena.tasks.push(data.id);
    if (asked.command === "task import") this.#arena.tasks.push(...data.created);
    if (asked.command === "task claim" || asked.command === "task next --claim") {
      if (data.fencing_token === undefined) return;
      this.#held = [
        ...this.#held.filter(({ task }) => task !== data.task_id),
        { task: data.task_id, token: data.fencing_token },
      ].slice(-4);
    }
    // Some are kept in mind, and tried again with a token that is stale by then.
    if ((asked.command === "task done" || asked.command === "task release") && this.#arena.random.below(4) > 0)
      this.#held = this.#held.filter(({ task }) => !asked.tasks.includes(task));
  }
}

/**
 * Shows Lodestar at work: four agents, each a process of its own, share the tasks of a real project and get each of them
 * done once. Then proves it from what Lodestar wrote down. Exit status 1 when the proof fails.
 *
 *   bun run demo
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..");
const PROGRAM = join(ROOT, "dist", process.platform === "win32" ? "lodestar.exe" : "lodestar");
const SPEC = join(ROOT, "test", "fixtures", "lodestar-own-spec.yaml");
const AGENTS = ["ADA", "BEN", "CLEO", "DAN"] as const;
/** How long an agent pretends to work on a task, in milliseconds. */
const WORK = { least: 900, most: 2300 };
/** So many times an agent waits for a task that is done and that nobody verifies. */
const PATIENCE = 5;

/** What an agent tells its parent: one line of JSON each. */
interface Told {
  readonly agent_id: string;
  readonly what: "claimed" | "done" | "verified" | "waits" | "leaves" | "failed";
  readonly task_id?: string;
  readonly title?: string;
  readonly unblocked?: readonly string[];
  readonly why?: string;
}

/** The envelope of any answer; the demo reads the few fields that it names. */
interface Answer {
  readonly ok: boolean;
  readonly error?: { readonly code: string; readonly message: string };
  // biome-ignore lint/suspicious/noExplicitAny: the answers of six commands.
  readonly data: any;
}

/** Nothing of this machine's own Lodestar or Bun settings reaches the demo. */
function environment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) => !/^(LODESTAR_|BUN_|GIT_)/.test(name));
  return Object.fromEntries(kept.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

async function lodestar(folder: string, ...args: readonly string[]): Promise<Answer> {
  const child = Bun.spawn([PROGRAM, ...args, "--json"], {
    cwd: folder,
    env: environment(),
    stdout: "pipe",
    stderr: "inherit",
  });
  return JSON.parse(await new Response(child.stdout).text()) as Answer;
}

/** As {@link lodestar}, for what must not be refused. */
async function must(folder: string, ...args: readonly string[]): Promise<Answer["data"]> {
  const { ok, error, data } = await lodestar(folder, ...args);
  if (!ok) throw new Error(`lodestar ${args.join(" ")}: ${error?.code} ${error?.message}`);
  return data;
}

/** One agent: takes the next task, works on it, finishes and verifies it, until nothing is left. */
async function work(agent_id: string, folder: string): Promise<void> {
  const tell = (told: Omit<Told, "agent_id">) => console.log(JSON.stringify({ agent_id, ...told }));
  const acting = ["--agent", agent_id];
  let waits = 0;
  for (;;) {
    const taken = await lodestar(folder, "task", "next", "--claim", ...acting);
    if (!taken.ok) throw new Error(`${taken.error?.code}: ${taken.error?.message}`);
    if (taken.data.task_id === undefined) {
      const { claimed, waiting, to_review } = taken.data.remaining;
      // Done and not yet verified: its agent is between the two calls, unless it stays so.
      if (claimed === 0 && (to_review === 0 || waits > PATIENCE)) {
        tell({ what: "leaves", why: waiting > 0 ? `${waiting} tasks wait for what nobody can do` : "all is verified" });
        return;
      }
      if (waits === 0)
        tell({ what: "waits", why: `others work on ${claimed + to_review}; ${waiting} tasks depend on them` });
      waits += 1;
      await lodestar(folder, "wait", "--for", "task.claimable", "--for", "task.verified", "--timeout", "2s", ...acting);
      continue;
    }
    waits = 0;
    const { task_id, fencing_token, context } = taken.data;
    tell({ what: "claimed", task_id, title: context?.title });
    await Bun.sleep(WORK.least + Math.random() * (WORK.most - WORK.least));
    await must(folder, "task", "done", task_id, "--fencing-token", String(fencing_token), ...acting);
    tell({ what: "done", task_id });
    const { unblocked } = await must(folder, "task", "verify", task_id, ...acting);
    tell({ what: "verified", task_id, unblocked });
  }
}

const coloured = process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
const paint = (code: number, text: string) => (coloured ? `\u001b[${code}m${text}\u001b[0m` : text);
const bold = (text: string) => paint(1, text);
const faint = (text: string) => paint(2, text);
/** Each agent has its colour; its name says the same. */
const inColour = (agent_id: string, text: string) =>
  paint(36 - AGENTS.indexOf(agent_id as (typeof AGENTS)[number]), text);

/** Follows an agent's lines until its process ends. */
async function follow(child: Bun.Subprocess<"ignore", "pipe", "inherit">, hear: (told: Told) => void): Promise<number> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of child.stdout) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) hear(JSON.parse(line) as Told);
  }
  return child.exited;
}

function show(told: Told, seconds: number): void {
  const { agent_id, what, task_id = "", title, unblocked = [], why } = told;
  const more = what === "claimed" ? title : unblocked.length > 0 ? `unblocks ${unblocked.join(", ")}` : why;
  const time = `${seconds.toFixed(1).padStart(5)} s`;
  const head = `${time}  ${agent_id.padEnd(5)} ${what.padEnd(9)} ${task_id.padEnd(5)}`;
  const line = more === undefined ? head : `${head} ${more}`;
  const cut = line.length > 80 ? `${line.slice(0, 79)}…` : line.trimEnd();
  console.log(what === "waits" || what === "leaves" ? faint(cut) : inColour(agent_id, cut));
}

interface Event {
  readonly seq: number;
  readonly created_at: string;
  readonly type: string;
  readonly agent_id?: string;
  readonly task_id: string;
  readonly data?: { readonly fencing_token?: number; readonly expires_at?: number };
}

interface Holding {
  readonly agent_id: string;
  readonly token: number;
  readonly expires_at: number;
}

/**
 * Walks through the events and finds every moment at which a task was granted although somebody held it, and every token
 * that is not larger than the one before. A holding ends with the `done`, release or expiry that bears its token.
 */
function findOverlaps(events: readonly Event[]): { readonly leases: number; readonly wrong: string[] } {
  const holding = new Map<string, Holding>();
  const lastToken = new Map<string, number>();
  const wrong: string[] = [];
  let leases = 0;
  for (const { type, task_id, agent_id = "", created_at, data = {} } of events) {
    const { fencing_token: token = 0, expires_at = 0 } = data;
    const held = holding.get(task_id);
    if (type === "task.claimed") {
      leases += 1;
      const isLive = held !== undefined && Date.parse(created_at) < held.expires_at;
      if (isLive) wrong.push(`${task_id} was granted to ${agent_id} while ${held.agent_id} held it`);
      if (token <= (lastToken.get(task_id) ?? 0)) wrong.push(`the token of ${task_id} did not grow: ${token}`);
      lastToken.set(task_id, token);
      holding.set(task_id, { agent_id, token, expires_at });
    } else if (["task.done", "task.released", "task.expired"].includes(type)) {
      if (held === undefined || held.token !== token)
        wrong.push(`${type} of ${task_id} by ${agent_id} without its lease`);
      else holding.delete(task_id);
    }
  }
  for (const [task_id, { agent_id }] of holding) wrong.push(`${agent_id} still holds ${task_id}`);
  return { leases, wrong };
}

interface SpecTask {
  readonly status: string;
  readonly completed_by?: string;
  readonly verified_by?: string;
}

const readSpec = (folder: string): Record<string, SpecTask> =>
  (Bun.YAML.parse(readFileSync(join(folder, ".lodestar", "spec.yaml"), "utf8")) as { tasks: Record<string, SpecTask> })
    .tasks;

/** What was acknowledged to an agent and is not in the spec, or was acknowledged twice. */
function findLost(acknowledged: readonly Told[], tasks: Readonly<Record<string, SpecTask>>): string[] {
  const wrong: string[] = [];
  const seen = new Set<string>();
  for (const { what, task_id = "", agent_id } of acknowledged) {
    const task = tasks[task_id];
    const by = what === "done" ? task?.completed_by : task?.verified_by;
    if (seen.has(`${what} ${task_id}`)) wrong.push(`${task_id} was ${what} twice`);
    seen.add(`${what} ${task_id}`);
    if (task?.status !== "verified" || by !== agent_id)
      wrong.push(`${agent_id} was told that ${task_id} is ${what}; spec.yaml does not say so`);
  }
  return wrong;
}

async function prepare(folder: string): Promise<void> {
  const git = Bun.which("git");
  const run = (...args: readonly string[]) => {
    if (git === null) return;
    const { exitCode, stderr } = Bun.spawnSync([git, ...args], { cwd: folder, env: environment(), stderr: "pipe" });
    if (exitCode !== 0) throw new Error(`git ${args.join(" ")}: ${stderr.toString()}`);
  };
  if (git === null) console.log("Git is not on the path: the demo goes on without it.");
  run("init", "-q", "-b", "main");
  await mkdir(join(folder, ".lodestar"));
  await cp(SPEC, join(folder, ".lodestar", "spec.yaml"));
  await must(folder, "init");
  run("add", "-A");
  run(
    "-c",
    "user.name=Demo",
    "-c",
    "user.email=demo@example.invalid",
    "-c",
    "commit.gpgsign=false",
    "commit",
    "-q",
    "-m",
    "Plan",
  );
  for (const agent_id of AGENTS) await must(folder, "agent", "join", "--id", agent_id);
}

const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? "" : "s"}`;

function table(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? [];
  for (const [i, row] of rows.entries()) {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
    console.log(i === 0 ? bold(line) : line);
  }
}

async function demo(folder: string): Promise<boolean> {
  await prepare(folder);
  const before = Object.entries(readSpec(folder));
  const finished = before.filter(([, { status }]) => status === "verified").length;
  console.log(
    bold(
      `${count(before.length, "task")} of a real project, ${finished} of them verified already; ${AGENTS.length} agents, each a process of its own.`,
    ),
  );
  console.log(`Each repeats: task next --claim, a moment of pretended work, task done, task verify.\n`);

  const started = performance.now();
  const heard: (Told & { readonly at: number })[] = [];
  const children = AGENTS.map((agent_id) =>
    Bun.spawn([process.execPath, import.meta.path, "--work", agent_id, folder], {
      env: environment(),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    }),
  );
  const stop = () => {
    for (const child of children) child.kill();
  };
  process.on("exit", stop);
  const exits = await Promise.all(
    children.map((child) =>
      follow(child, (told) => {
        const at = (performance.now() - started) / 1000;
        heard.push({ ...told, at });
        show(told, at);
      }),
    ),
  );
  process.off("exit", stop);

  const wrong: string[] = exits.flatMap((exit, i) =>
    exit === 0 ? [] : [`${AGENTS[i]} ended with exit status ${exit}`],
  );
  const { events } = (await must(folder, "events", "--limit", "10000")) as { events: Event[] };
  const { leases, wrong: overlaps } = findOverlaps(events);
  const tasks = readSpec(folder);
  const acknowledged = heard.filter(({ what }) => what === "done" || what === "verified");
  wrong.push(...overlaps, ...findLost(acknowledged, tasks));

  console.log("");
  const of = (agent_id: string, what: Told["what"]) =>
    heard.filter((told) => told.agent_id === agent_id && told.what === what);
  table([
    ["Agent", "Claimed", "Done", "Verified", "Busy"],
    ...AGENTS.map((agent_id) => {
      const busy = of(agent_id, "claimed").map(
        ({ task_id, at }) => (of(agent_id, "done").find((told) => told.task_id === task_id)?.at ?? at) - at,
      );
      const counts = (["claimed", "done", "verified"] as const).map((what) => String(of(agent_id, what).length));
      return [agent_id, ...counts, `${busy.reduce((sum, seconds) => sum + seconds, 0).toFixed(1)} s`];
    }),
  ]);
  console.log("");

  const left = Object.entries(tasks).filter(([, { status }]) => status !== "verified" && status !== "deleted");
  if (left.length > 0) {
    console.log(`Not verified: ${left.map(([id, { status }]) => `${id} (${status})`).join(", ")}`);
    const { data } = await lodestar(folder, "doctor");
    for (const check of data.checks ?? [])
      if (check.status === "fail") console.log(`  doctor: ${check.name}: ${check.message}`);
    const { total_claimable } = await must(folder, "task", "next");
    if (total_claimable > 0) wrong.push(`${count(total_claimable, "task")} could still be claimed`);
  }
  if (wrong.length > 0) {
    for (const each of wrong) console.log(paint(31, `Wrong: ${each}.`));
    console.log(bold("The proof failed."));
    return false;
  }
  console.log(`From ${count(events.length, "event")} and spec.yaml:`);
  console.log(
    `  ${count(leases, "lease")} were granted; no task had two holders at any time, and every token was larger than the one before.`,
  );
  console.log(
    `  ${count(acknowledged.length, "acknowledgement")} (done and verified) were given, and spec.yaml holds every one, once.`,
  );
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const reached =
    left.length === 0 ? `all ${before.length} tasks` : `${before.length - left.length} of ${before.length} tasks`;
  console.log(
    bold(
      `Proved: ${reached} are verified after ${seconds} s; each was held by one agent at a time, and nothing was lost.`,
    ),
  );
  return true;
}

const [mode, agent_id, folder] = process.argv.slice(2);
if (mode === "--work" && agent_id !== undefined && folder !== undefined) {
  await work(agent_id, folder).catch((cause: unknown) => {
    console.log(
      JSON.stringify({ agent_id, what: "failed", why: cause instanceof Error ? cause.message : String(cause) }),
    );
    process.exit(1);
  });
} else {
  if (!existsSync(PROGRAM)) {
    console.error("There is no dist/lodestar; `bun run demo` builds it first.");
    process.exit(1);
  }
  const scratch = mkdtempSync(join(tmpdir(), "lodestar-demo-"));
  const tidy = () => rmSync(scratch, { recursive: true, force: true });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
  process.on("exit", tidy);
  process.exit((await demo(scratch)) ? 0 : 1);
}

/**
 * What the hot commands load, ask of the databases, open, read, write and flush: counts that are the same on any machine, where times
 * are not. `bun run baseline` keeps them; the tests beside compare.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { generateSpec, PRD } from "../../scripts/bench/generate.ts";
import { GROUPS, members } from "../../scripts/build/chunks.ts";
import { binary, type Sandbox, sandbox } from "../support/sandbox.ts";
import type { Loaded } from "./counting.ts";

const ROOT = join(import.meta.dir, "..", "..");
export const BASELINE = join(import.meta.dir, "baseline.json");
/** Tasks of the two specs that are compared. */
export const SIZES = [10, 10_000] as const;

/** What the compiled program did with the files of the repository, as the kernel saw it. */
export interface Touched {
  /** Successful opens, by file. */
  readonly opened: Readonly<Record<string, number>>;
  readonly read_bytes: number;
  readonly written_bytes: number;
  /** Flushes to the disk, by file. */
  readonly flushed: Readonly<Record<string, number>>;
}

/** `touched` is missing where the kernel does not let one look (strace). */
export interface Counts {
  readonly modules: number;
  /** Without comments and white space. */
  readonly module_bytes: number;
  readonly packages: number;
  readonly statements: number;
  readonly touched?: Touched;
}

export interface Observed {
  /** Loaded at any size: what is new is named by them. */
  readonly modules: readonly string[];
  readonly packages: readonly string[];
  /** By the number of tasks. */
  readonly at: Readonly<Record<string, Counts>>;
}

/** Code that the product loads in one piece. */
export interface Chunk {
  readonly modules: number;
  readonly module_bytes: number;
}

/** By command. */
export type Calls = Readonly<Record<string, Observed>>;

export interface Baseline {
  readonly calls: Calls;
  readonly chunks: Readonly<Record<string, Chunk>>;
}

interface Hot {
  readonly name: string;
  readonly effect: "read" | "write";
  readonly argv: (task: string) => readonly string[];
  /** Brings about what it needs. */
  readonly before?: (task: string) => readonly string[];
  /** Gives back what the call took. */
  readonly after?: (answer: string) => readonly string[];
}

/** One after the other they are the life of a task: each finds what it needs. */
export const HOT: readonly Hot[] = [
  { name: "task next", effect: "read", argv: () => ["task", "next"] },
  { name: "status", effect: "read", argv: () => ["status"] },
  { name: "task show", effect: "read", argv: (task) => ["task", "show", task] },
  {
    name: "task next --claim",
    effect: "write",
    argv: () => ["task", "next", "--claim"],
    after: (answer) => ["task", "release", (JSON.parse(answer) as { data: { task_id: string } }).data.task_id],
  },
  { name: "task claim", effect: "write", argv: (task) => ["task", "claim", task] },
  { name: "task renew", effect: "write", argv: (task) => ["task", "renew", task] },
  { name: "task release", effect: "write", argv: (task) => ["task", "release", task] },
  {
    name: "msg send",
    effect: "write",
    argv: (task) => ["msg", "send", "--task", task, "--text", "The parser is done."],
  },
  { name: "task update", effect: "write", argv: (task) => ["task", "update", task, "--priority", "7"] },
  {
    name: "task done",
    effect: "write",
    before: (task) => ["task", "claim", task],
    argv: (task) => ["task", "done", task],
  },
  { name: "task verify", effect: "write", argv: (task) => ["task", "verify", task] },
  { name: "task create", effect: "write", argv: () => ["task", "create", "--title", "Made by a test"] },
];

/** Does the kernel let strace look at another process here? */
export function canTrace(): boolean {
  const strace = Bun.which("strace");
  if (strace === null) return false;
  const ran = Bun.spawnSync([strace, "-f", "--seccomp-bpf", "-y", "-e", "trace=execve", "true"], {
    stdout: "pipe",
    stderr: "pipe",
  });
  return ran.exitCode === 0 && ran.stderr.toString().includes("execve(");
}

/** A spec of so many tasks, with everything set up that a call finds later; and two tasks that can be claimed. */
async function prepare(tasks: number): Promise<{ readonly here: Sandbox; readonly free: readonly string[] }> {
  const here = sandbox();
  // Every task cites the document: which one is taken makes no difference.
  here.write(".lodestar/spec.yaml", generateSpec(tasks, 1));
  here.write("PRD.md", PRD);
  const setUp = async (...args: readonly string[]) => {
    const ran = await here.run([...args, "--json"]);
    if (ran.exit !== 0) throw new Error(`lodestar ${args.join(" ")}: ${ran.stdout}${ran.stderr}`);
    return ran.json;
  };
  await setUp("agent", "join", "--id", "ADA");
  here.git("add", "-A");
  here.git("commit", "-q", "-m", "plan");
  await setUp("task", "update", "T-000000", "--priority", "9");
  const { data } = (await setUp("task", "next", "-n", "3")) as { data: { tasks: { id: string }[] } };
  // The first is what `next --claim` gives.
  return { here, free: data.tasks.slice(1).map(({ id }) => id) };
}

type Run = (argv: readonly string[]) => { readonly exit: number | null; readonly text: string };

/** Runs the hot commands on one task, and looks after each. */
function eachHot<T>(here: Sandbox, task: string, run: Run, look: () => T): Map<string, T> {
  const found = new Map<string, T>();
  const env = here.environment({ LODESTAR_AGENT: "ADA" });
  const aside = (args: readonly string[]) => Bun.spawnSync([binary(), ...args, "--json"], { cwd: here.path, env });
  for (const { name, effect, before, argv, after } of HOT) {
    if (before !== undefined) aside(before(task));
    // Calls that write note every half minute that the agent lives: here it was noted just now, however slow the machine is.
    if (effect === "write") aside(["agent", "heartbeat"]);
    const { exit, text } = run([...argv(task), "--json"]);
    if (exit !== 0) throw new Error(`${name} failed: ${text}`);
    found.set(name, look());
    if (after !== undefined) aside(after(text));
  }
  return found;
}

/** Counts in the program itself, run from its sources. */
function loaded(here: Sandbox, task: string): Map<string, Loaded> {
  const counts = join(here.base, "counts.json");
  const env = here.environment({ LODESTAR_AGENT: "ADA", LODESTAR_COUNTS: counts });
  const program = [process.execPath, "--preload", join(import.meta.dir, "counting.ts"), join(ROOT, "src", "main.ts")];
  const run: Run = (argv) => {
    const ran = Bun.spawnSync([...program, ...argv], { cwd: here.path, env });
    return { exit: ran.exitCode, text: `${ran.stdout}${ran.stderr}` };
  };
  return eachHot(here, task, run, () => JSON.parse(readFileSync(counts, "utf8")) as Loaded);
}

const TRACED = "open,openat,creat,read,pread64,readv,preadv,write,pwrite64,writev,pwritev,fsync,fdatasync";

/** Watches the compiled program from outside. */
function touched(here: Sandbox, task: string): Map<string, Touched> {
  const log = join(here.base, "strace.log");
  const env = here.environment({ LODESTAR_AGENT: "ADA" });
  // No text of what is read and written, and for each descriptor the file that it stands for.
  const strace = [
    "strace",
    "-f",
    "--seccomp-bpf",
    "-qq",
    "-y",
    "-s",
    "0",
    "-e",
    `trace=${TRACED}`,
    "-e",
    "signal=none",
    "-o",
    log,
  ];
  const run: Run = (argv) => {
    const ran = Bun.spawnSync([...strace, binary(), ...argv], { cwd: here.path, env });
    return { exit: ran.exitCode, text: `${ran.stdout}${ran.stderr}` };
  };
  return eachHot(here, task, run, () => readTrace(readFileSync(log, "utf8"), here.base));
}

/** Reads a log of `strace -f -y`. Only files below `folder` count: what the system's libraries read differs by machine. */
export function readTrace(log: string, folder: string): Touched {
  const opened: Record<string, number> = {};
  const flushed: Record<string, number> = {};
  let read = 0;
  let written = 0;
  for (const line of whole(log)) {
    const [, call = "", words = "", result = ""] = /^(\w+)\((.*)\)\s+= (.*)$/.exec(line) ?? [];
    const opens = call.startsWith("open") || call === "creat";
    const [, path = ""] = /^\d+<(.*?)(?: ?\(deleted\))?>/.exec(opens ? result : words) ?? [];
    const count = Number.parseInt(result, 10);
    if (!path.startsWith(`${folder}/`) || !(count >= 0)) continue;
    // What is random in the names of temporary files is no difference.
    const name = path.slice(path.lastIndexOf("/") + 1).replace(/\.[0-9a-z]{8}\.tmp$/, ".tmp");
    if (opens) opened[name] = (opened[name] ?? 0) + 1;
    else if (call.endsWith("sync")) flushed[name] = (flushed[name] ?? 0) + 1;
    else if (call.includes("read")) read += count;
    else written += count;
  }
  return { opened: inOrder(opened), read_bytes: read, written_bytes: written, flushed: inOrder(flushed) };
}

const inOrder = (counts: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Calls that another thread's cut in two, put together again. */
function* whole(log: string): Generator<string> {
  const begun = new Map<string, string>();
  for (const line of log.split("\n")) {
    const [, thread = "", text = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const [, head] = /^(.*) <unfinished \.\.\.>$/.exec(text) ?? [];
    const [, tail] = /^<\.\.\. \w+ resumed>(.*)$/.exec(text) ?? [];
    if (head !== undefined) begun.set(thread, head);
    else if (tail !== undefined) yield `${begun.get(thread) ?? ""}${tail}`;
    else yield text;
  }
}

/** Observes every hot command at every size. */
export async function observe(): Promise<Calls> {
  const calls: Record<string, Observed> = {};
  const traces = canTrace();
  for (const tasks of SIZES) {
    const { here, free } = await prepare(tasks);
    using _ = here;
    const [first = "", second = ""] = free;
    const inside = loaded(here, first);
    const outside = traces ? touched(here, second) : undefined;
    for (const [name, { modules, packages, module_bytes, statements }] of inside) {
      const files = outside?.get(name);
      const counts: Counts = {
        ...{ modules: modules.length, module_bytes, packages: packages.length, statements },
        ...(files === undefined ? {} : { touched: files }),
      };
      const before = calls[name];
      calls[name] = {
        modules: [...new Set([...(before?.modules ?? []), ...modules])].sort(),
        packages: [...new Set([...(before?.packages ?? []), ...packages])].sort(),
        at: { ...before?.at, [tasks]: counts },
      };
    }
  }
  return calls;
}

const minifier = new Bun.Transpiler({ loader: "ts", minifyWhitespace: true });

/** The pieces of code that usual calls load (scripts/build/chunks.ts), whether a call needs all of one or not. */
export function observeChunks(): Readonly<Record<string, Chunk>> {
  const src = join(ROOT, "src");
  return Object.fromEntries(
    members(src).map((files, i) => {
      const bytes = files.map((path) => minifier.transformSync(readFileSync(join(src, path), "utf8")).length);
      const module_bytes = bytes.reduce((sum, each) => sum + each, 0);
      return [GROUPS[i]?.name ?? String(i), { modules: files.length, module_bytes }];
    }),
  );
}

export const readBaseline = (): Baseline | undefined =>
  existsSync(BASELINE) ? (JSON.parse(readFileSync(BASELINE, "utf8")) as Baseline) : undefined;

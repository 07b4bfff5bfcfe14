/**
 * Many processes in one repository: what the tests of races and of the two planes stand on.
 *
 * `LODESTAR_ROUNDS` multiplies how often a race is repeated; a soak on a free machine sets it to 10 or more.
 */
import { expect } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseDocument } from "yaml";
import { binary, faultyBinary, type Ran, type RunOptions, type Sandbox, sandbox } from "./sandbox.ts";

// biome-ignore lint/suspicious/noExplicitAny: a test looks into the answer of any command, and asserts what it finds.
type Json = any;

/** The product and the test build, looked for once a test file: a source that changes meanwhile does not change them. */
export const LODESTAR = binary();
export const FAULTY = faultyBinary();

const FACTOR = Math.max(1, Number(process.env.LODESTAR_ROUNDS ?? 1));

/** The numbers of the rounds of a race. */
export const rounds = (usually: number): number[] => Array.from({ length: usually * FACTOR }, (_, i) => i + 1);

/** `make(1)` … `make(count)`, all at once. */
export function together<T>(count: number, make: (n: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => make(i + 1)));
}

/** A sandbox, and shorter words for what its tests do. Command lines are split at spaces. */
export interface Fleet extends Sandbox {
  /** Runs `lodestar <line> --json`, whatever comes of it. */
  call(line: string | readonly string[], options?: RunOptions): Promise<Ran>;
  /** Runs it, expects success, and returns `data`. */
  ok(line: string | readonly string[], options?: RunOptions): Promise<Json>;
  /** Runs it, expects this refusal, and returns `error`. */
  refused(code: string, line: string | readonly string[], options?: RunOptions): Promise<Json>;
  /** Starts the test build, which dies at this point; fails when it does not. */
  killedAt(point: string, line: string | readonly string[], options?: RunOptions): Promise<void>;
  /** Agents with these ids, registered one after another. */
  join(...ids: readonly string[]): Promise<void>;
  /** Tasks with these ids, `ready`, written to spec.yaml by hand, with `extra` YAML lines each. */
  tasks(ids: readonly string[], extra?: (id: string) => readonly string[], conventions?: string): void;
  /** The tasks that the file of a worktree holds, read by another parser than ours. */
  file(cwd?: string): Record<string, Json>;
  /** `task show`, the effective truth. */
  show(id: string, options?: RunOptions): Promise<Json>;
  commit(message?: string): void;
  gitIn(cwd: string, ...args: readonly string[]): string;
}

export function words(line: string | readonly string[]): string[] {
  return typeof line === "string" ? line.split(" ").filter((word) => word !== "") : [...line];
}

/** A fresh repository, set up; `using here = await fleet()` removes it. */
export async function fleet(options: { readonly git?: boolean; readonly init?: boolean } = {}): Promise<Fleet> {
  const here = sandbox(options);
  const call: Fleet["call"] = (line, given) => here.run([...words(line), "--json"], { program: LODESTAR, ...given });
  const ok: Fleet["ok"] = async (line, given) => {
    const ran = await call(line, given);
    if (ran.exit !== 0)
      throw new Error(`lodestar ${words(line).join(" ")}: exit ${ran.exit}\n${ran.stdout}${ran.stderr}`);
    return ran.json.data;
  };
  if (options.init ?? true) await ok("init --no-agents-md");
  return {
    ...here,
    call,
    ok,
    async refused(code, line, given) {
      const ran = await call(line, given);
      if (ran.exit === 0 || ran.json.error?.code !== code) {
        throw new Error(
          `lodestar ${words(line).join(" ")}: not ${code}, but exit ${ran.exit}\n${ran.stdout}${ran.stderr}`,
        );
      }
      return ran.json.error;
    },
    async killedAt(point, line, given) {
      const ran = await call(line, { ...given, program: FAULTY, env: { ...given?.env, LODESTAR_FAULT: point } });
      if (ran.exit !== 137)
        throw new Error(
          `lodestar ${words(line).join(" ")} lives past ${point}: exit ${ran.exit}\n${ran.stdout}${ran.stderr}`,
        );
    },
    async join(...ids) {
      for (const id of ids) await ok(`agent join --id ${id}`);
    },
    tasks(ids, extra = () => [], conventions = "{}") {
      here.write(".lodestar/spec.yaml", specText(ids, extra, conventions));
    },
    file: (cwd = here.path) => readTasks(join(cwd.startsWith("/") ? "" : here.path, cwd)),
    show: (id, given) => ok(`task show ${id}`, given),
    commit(message = "work") {
      here.git("add", "-A");
      here.git("commit", "-q", "--allow-empty", "-m", message);
    },
    gitIn: (cwd, ...args) => here.git("-C", cwd, ...args),
    [Symbol.dispose]: here[Symbol.dispose],
  };
}

/** A spec as a person would write it. Tasks lie far apart, so that Git merges changes of two of them without us. */
export function specText(
  ids: readonly string[],
  extra: (id: string) => readonly string[] = () => [],
  conventions = "{}",
): string {
  const lines = [
    "# Kept by hand",
    "project:",
    "  name: shop",
    "  default_branch: main",
    `  conventions: ${conventions}`,
    "tasks:",
  ];
  for (const id of ids) {
    lines.push(
      `  ${id}:`,
      `    title: Title of ${id}`,
      "    description: |",
      `      First line of ${id}`,
      "      Second line",
      "    status: ready",
      "    created_at: 2026-01-01T00:00:00.000Z",
    );
    lines.push(
      ...extra(id).map((line) => `    ${line}`),
      `    # the end of ${id}, between which and the next`,
      `    # task there is room enough for ${id}`,
    );
  }
  return `${lines.join("\n")}\n`;
}

/** The tasks of a spec file, by another parser than ours; fails on anything that it finds wrong. */
export function readTasks(worktree: string): Record<string, Json> {
  const text = readFileSync(join(worktree, ".lodestar", "spec.yaml"), "utf8");
  return tasksIn(text);
}

export function tasksIn(text: string): Record<string, Json> {
  const document = parseDocument(text, { uniqueKeys: true, strict: true });
  expect(document.errors.map(({ message }) => message)).toEqual([]);
  return document.toJS().tasks ?? {};
}

/** Temp files that a save left beside the spec. */
export function leftovers(worktree: string): string[] {
  return readdirSync(join(worktree, ".lodestar")).filter((name) => name.endsWith(".tmp"));
}

/** Waits until something is so; fails when it is not within a time that no machine needs. */
export async function until(what: string, isSo: () => Promise<boolean> | boolean, patience = 30_000): Promise<void> {
  for (const end = Date.now() + patience; Date.now() < end; ) {
    if (await isSo()) return;
    await Bun.sleep(20);
  }
  throw new Error(`It did not come about that ${what}.`);
}

/** How many of each there are. */
export function tally<T extends string | number>(items: Iterable<T>): Record<T, number> {
  const counts = {} as Record<T, number>;
  for (const item of items) counts[item] = (counts[item] ?? 0) + 1;
  return counts;
}

/** How a process is doing (Linux): its state letter and CPU time in milliseconds; `undefined` when it is gone. */
export function processStat(pid: number): { readonly state: string; readonly cpu: number } | undefined {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return undefined;
  const fields = readFileSync(path, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return { state: fields[0] ?? "", cpu: (Number(fields[11]) + Number(fields[12])) * 10 };
}

/** Starts the test build, which stands still at `point`; `goOn` lets it finish. */
export async function stoppedAt(
  here: Fleet,
  point: string,
  line: string | readonly string[],
  options: RunOptions = {},
) {
  const child = Bun.spawn([FAULTY, ...words(line), "--json"], {
    cwd: join(options.cwd?.startsWith("/") ? "" : here.path, options.cwd ?? "."),
    env: here.environment({ ...options.env, LODESTAR_FAULT: `${point}:stop` }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  await until(`lodestar ${words(line).join(" ")} stands still at ${point}`, () => {
    if (child.exitCode !== null)
      throw new Error(`lodestar ${words(line).join(" ")} passed ${point} and ended with ${child.exitCode}`);
    return processStat(child.pid)?.state === "T";
  });
  return {
    pid: child.pid,
    /** @returns the envelope of its answer. */
    async goOn(): Promise<Json> {
      // A command that stops again, in a second try, is let go as often as it takes.
      const nudge = setInterval(() => child.kill("SIGCONT"), 20);
      const text = await new Response(child.stdout).text();
      clearInterval(nudge);
      await child.exited;
      return JSON.parse(text);
    },
    async kill(): Promise<void> {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/**
 * Measures whole calls of the compiled program against floors compiled with the same flags, side by side in one run:
 *
 *   bun run bench                    10, 1 000, 10 000 and 100 000 tasks
 *   bun run bench --tasks 10,1000    these sizes
 *   bun run bench --runs 30          so many counted runs of each command
 *
 * Prints medians in milliseconds and their ratios; nothing is asserted, because machines differ and are noisy.
 */

import { Database } from "bun:sqlite";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { build, compile } from "../build.ts";
import { generateSpec, PRD } from "./bench/generate.ts";

const option = (name: string): string | undefined => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
};
const SIZES = (option("tasks") ?? "10,1000,10000,100000").split(",").map(Number);
const RUNS = Number(option("runs") ?? 21);

const scratch = mkdtempSync(join(tmpdir(), "lodestar-bench-"));
const lodestar = build();
const floor = Object.fromEntries(
  ["empty", "query", "commit", "write"].map((name) => [
    name,
    compile(join(import.meta.dir, "bench", "floors", `${name}.ts`), join(scratch, `floor-${name}`)),
  ]),
) as Record<"empty" | "query" | "commit" | "write", string>;

interface Timed {
  readonly name: string;
  readonly argv: () => readonly string[];
  readonly cwd: string;
  /** Puts back what a run changed; not timed. */
  readonly after?: () => void;
  readonly times: number[];
}

function run(argv: readonly string[], cwd: string): { readonly ms: number; readonly stdout: string } {
  const started = Bun.nanoseconds();
  const child = Bun.spawnSync([...argv], {
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: scratch },
    stdout: "pipe",
    stderr: "pipe",
  });
  const ms = (Bun.nanoseconds() - started) / 1e6;
  if (child.exitCode !== 0) throw new Error(`${argv.join(" ")} failed: ${child.stdout}${child.stderr}`);
  return { ms, stdout: child.stdout.toString() };
}

const sorted = (times: readonly number[]): number[] => [...times].sort((a, b) => a - b);
const quantile = (times: readonly number[], q: number): number =>
  sorted(times)[Math.min(times.length - 1, Math.floor(times.length * q))] ?? Number.NaN;
const median = (times: readonly number[]): number => quantile(times, 0.5);

function prepare(count: number): string {
  const repository = join(scratch, `spec-${count}`);
  mkdirSync(join(repository, ".lodestar"), { recursive: true });
  run(["git", "init", "-q", "-b", "main"], repository);
  writeFileSync(join(repository, ".lodestar", "spec.yaml"), generateSpec(count));
  writeFileSync(join(repository, "PRD.md"), PRD);
  return repository;
}

interface Row {
  readonly tasks: number;
  readonly command: string;
  readonly median_ms: number;
  readonly quartiles_ms: readonly [number, number];
  readonly floor: string;
  readonly ratio: number;
}
const rows: Row[] = [];

function measure(count: number): void {
  const repository = prepare(count);
  const call = (...args: string[]) => run([lodestar, ...args, "--json"], repository);
  const agent = JSON.parse(call("agent", "join", "--name", "bench").stdout).data.agent_id as string;
  const data = join(scratch, `floor-${count}.sqlite`);
  const database = new Database(data, { create: true });
  database.run("pragma journal_mode = wal");
  database.run("create table t (text text)");
  database.close();
  const copy = join(scratch, `floor-${count}.yaml`);
  writeFileSync(copy, readFileSync(join(repository, ".lodestar", "spec.yaml")));

  // Each done needs a claimed task of its own.
  const free = (
    JSON.parse(call("task", "next", "-n", String(3 * RUNS + 10)).stdout).data.tasks as { id: string }[]
  ).map(({ id }) => id);
  let at = 0;
  const nextFree = () => free[at++ % Math.max(1, free.length)] ?? "";
  let claimed = "";
  const base = [lodestar, "--json", "--agent", agent];
  const commands: Timed[] = [
    { name: "E empty program", argv: () => [floor.empty], cwd: repository, times: [] },
    { name: "Q open + query", argv: () => [floor.query, data], cwd: repository, times: [] },
    { name: "C Q + commit", argv: () => [floor.commit, data], cwd: repository, times: [] },
    { name: "W C + replace", argv: () => [floor.write, data, copy], cwd: repository, times: [] },
    { name: "--version", argv: () => [lodestar, "--version"], cwd: repository, times: [] },
    { name: "task next", argv: () => [...base, "task", "next"], cwd: repository, times: [] },
    { name: "status", argv: () => [...base, "status"], cwd: repository, times: [] },
    { name: "task show", argv: () => [...base, "task", "show", free[0] ?? ""], cwd: repository, times: [] },
    {
      name: "task claim",
      argv: () => {
        claimed = nextFree();
        return [...base, "task", "claim", claimed];
      },
      cwd: repository,
      after: () => void call("task", "release", claimed, "--agent", agent),
      times: [],
    },
    {
      name: "task done",
      argv: () => {
        claimed = nextFree();
        call("task", "claim", claimed, "--agent", agent);
        return [...base, "task", "done", claimed];
      },
      cwd: repository,
      after: () => void call("task", "reopen", claimed),
      times: [],
    },
  ];
  for (let i = -2; i < RUNS; i += 1) {
    for (const command of commands) {
      const argv = command.argv();
      const { ms } = run(argv, command.cwd);
      command.after?.();
      if (i >= 0) command.times.push(ms);
    }
  }
  const of = (name: string) => median(commands.find((command) => command.name.startsWith(name))?.times ?? []);
  const floorOf = (name: string) => (name === "--version" || name.startsWith("E ") ? "E" : "Q");
  for (const { name, times } of commands) {
    const against = floorOf(name);
    rows.push({
      tasks: count,
      command: name,
      median_ms: median(times),
      quartiles_ms: [quantile(times, 0.25), quantile(times, 0.75)],
      floor: against,
      ratio: median(times) / of(`${against} `),
    });
  }
  rebuild(count, repository);
}

/** The first call after an edit by hand, and after the index was deleted. */
function rebuild(count: number, repository: string): void {
  const path = join(repository, ".lodestar", "spec.yaml");
  const local: number[] = [];
  const whole: number[] = [];
  for (let i = 0; i < 5; i += 1) {
    writeFileSync(path, readFileSync(path, "utf8").replace(/title: .*/, `title: edited by hand ${i}`));
    Bun.sleepSync(80);
    local.push(run([lodestar, "task", "next", "--json"], repository).ms);
    for (const suffix of ["", "-wal", "-shm"])
      rmSync(`${join(repository, ".lodestar", "index.sqlite")}${suffix}`, { force: true });
    whole.push(run([lodestar, "task", "update", "T-000001", "--priority", String(i + 7), "--json"], repository).ms);
  }
  const query = rows.find((row) => row.tasks === count && row.command.startsWith("Q "))?.median_ms ?? Number.NaN;
  for (const [command, times] of [
    ["next after a hand edit", local],
    ["update without an index", whole],
  ] as const) {
    rows.push({
      tasks: count,
      command,
      median_ms: median(times),
      quartiles_ms: [quantile(times, 0.25), quantile(times, 0.75)],
      floor: "Q",
      ratio: median(times) / query,
    });
  }
}

console.log(
  `${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, Bun ${Bun.version}; medians of ${RUNS} runs, in turn`,
);
for (const size of SIZES) {
  measure(size);
  console.log(`\n${size} tasks`);
  for (const row of rows.filter(({ tasks }) => tasks === size)) {
    const [low, high] = row.quartiles_ms;
    console.log(
      `  ${row.command.padEnd(26)} ${row.median_ms.toFixed(1).padStart(8)} ms  (${low.toFixed(1)} … ${high.toFixed(1)})  ${row.ratio.toFixed(2)} × ${row.floor}`,
    );
  }
}
const out = option("out");
if (out !== undefined) writeFileSync(out, `${JSON.stringify({ bun: Bun.version, runs: RUNS, rows }, null, 2)}\n`);
rmSync(scratch, { recursive: true, force: true });

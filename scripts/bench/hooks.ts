/**
 * Measures what the Git hooks add to Git's own time, in paired runs:
 *
 *   bun scripts/bench/hooks.ts                10 000 tasks
 *   bun scripts/bench/hooks.ts --tasks 1000   so many
 *   bun scripts/bench/hooks.ts --runs 30      so many pairs
 *
 * Prints medians in milliseconds: of the time that passes, which other programs on the machine lengthen, and of the processor time of
 * everything that Git waits for, which they hardly do. Nothing is asserted.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../build.ts";
import { generateSpec } from "./generate.ts";

const option = (name: string, otherwise: number): number => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const TASKS = option("tasks", 10_000);
const RUNS = option("runs", 15);

const scratch = mkdtempSync(join(tmpdir(), "lodestar-hooks-"));
const repository = join(scratch, "repo");
mkdirSync(join(repository, ".lodestar"), { recursive: true });
mkdirSync(join(scratch, "bin"));
symlinkSync(build(), join(scratch, "bin", "lodestar"));

interface Cost {
  readonly wall: number;
  readonly cpu: number;
}

function run(...argv: readonly string[]): Cost {
  const env = { PATH: `${join(scratch, "bin")}:${process.env.PATH}`, HOME: scratch, LODESTAR_AGENT: "ADA" };
  const started = Bun.nanoseconds();
  const ran = Bun.spawnSync([...argv], { cwd: repository, env, stdout: "pipe", stderr: "pipe" });
  const wall = (Bun.nanoseconds() - started) / 1e6;
  if (ran.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${ran.stdout}${ran.stderr}`);
  return { wall, cpu: Number(ran.resourceUsage.cpuTime.total) / 1000 };
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

function report(what: string, pairs: readonly (readonly [with_hooks: Cost, without: Cost])[]): void {
  const over = (of: (cost: Cost) => number) => median(pairs.map(([a, b]) => of(a) - of(b))).toFixed(1);
  const git = median(pairs.map(([, { wall }]) => wall)).toFixed(1);
  console.log(
    `${what.padEnd(42)} +${over(({ wall }) => wall)} ms  (+${over(({ cpu }) => cpu)} ms of processor; git alone ${git})`,
  );
}

const WITHOUT = ["-c", "core.hooksPath=/nonexistent"];
/** The next look at the spec: what the hooks leave to others must be over before the next pair. */
const settle = () => {
  for (let i = 0; i < 3; i += 1) {
    run("lodestar", "agent", "heartbeat");
    Bun.sleepSync(150);
  }
};

run("git", "init", "-q", "-b", "main");
run("git", "config", "user.name", "Bench");
run("git", "config", "user.email", "bench@example.invalid");
const spec = join(repository, ".lodestar", "spec.yaml");
writeFileSync(spec, generateSpec(TASKS));
run("lodestar", "init");
run("lodestar", "agent", "join", "--id", "ADA");
run("lodestar", "git", "install", "--hooks");
run("git", "add", "-A");
run("git", "commit", "-q", "-m", "plan");
run("git", "branch", "same");
run("git", "checkout", "-q", "-b", "feat");
writeFileSync(
  spec,
  readFileSync(spec, "utf8").replace(/status: ready/g, (found, at: number) =>
    at % 97 === 0 ? "status: blocked" : found,
  ),
);
run("git", "commit", "-q", "-a", "-m", "feat");
run("git", "checkout", "-q", "main");

function pairs(make: (words: readonly string[]) => Cost): [Cost, Cost][] {
  return Array.from({ length: RUNS }, (_, i) => {
    // In turn, so that a machine that gets slower does not count against one of them.
    const both = i % 2 === 0 ? ([make([]), make(WITHOUT)] as const) : ([make(WITHOUT), make([])] as const);
    return i % 2 === 0 ? [both[0], both[1]] : [both[1], both[0]];
  });
}

function commit(words: readonly string[]): Cost {
  writeFileSync(join(repository, "file"), String(Math.random()));
  run("git", "add", "file");
  return run("git", ...words, "commit", "-q", "-m", "work");
}

function checkout(branch: string): (words: readonly string[]) => Cost {
  return (words) => {
    run("git", ...WITHOUT, "checkout", "-q", "main");
    settle();
    return run("git", ...words, "checkout", "-q", branch);
  };
}

function merge(words: readonly string[]): Cost {
  run("git", ...WITHOUT, "checkout", "-q", "-B", "into", "main");
  settle();
  return run("git", ...words, "merge", "-q", "--no-edit", "feat");
}

console.log(`${TASKS} tasks, medians of ${RUNS} pairs: what the hooks add`);
report("commit (pre-commit, prepare-commit-msg)", pairs(commit));
report("checkout, the spec unchanged", pairs(checkout("same")));
report("checkout, 1 % of the spec changed", pairs(checkout("feat")));
report("merge, 1 % of the spec changed", pairs(merge));
rmSync(scratch, { recursive: true, force: true });

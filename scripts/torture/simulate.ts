/**
 * Histories for a long time (docs/concepts/testing.md): one process a core, each with seeds of its own.
 *
 *   bun scripts/torture.ts --simulate [--seed N] [--minutes M] [--workers W]
 */
import { join } from "node:path";
import type { Report } from "../../test/simulation/run.ts";

const RUN = join(import.meta.dir, "..", "..", "test", "simulation", "run.ts");
/** Seeds of two workers are so far apart that none meets the other's. */
const APART = 10_000_000;

export interface SimulationOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly workers: number;
}

/** Runs, prints one table, and answers the exit status: 1 when a promise was broken. */
export async function simulateForLong({ seed, minutes, workers }: SimulationOptions): Promise<number> {
  const began = performance.now();
  const reports = await Promise.all(
    Array.from({ length: workers }, (_, i) => runWorker(seed + i * APART, Math.round(minutes * 60))),
  );
  const violations = reports.flatMap((report) => report.violations);
  const total = (name: keyof Report["counts"]): number => reports.reduce((sum, { counts }) => sum + counts[name], 0);
  const lost = violations.filter(({ promise }) => promise === "L6" || promise === "S3").length;
  const rows: readonly (readonly [string, number])[] = [
    ["Histories", reports.reduce((sum, { histories }) => sum + histories, 0)],
    ["Steps", total("steps")],
    ["Calls", total("calls")],
    ["Acknowledged operations", total("acknowledged")],
    ["Crashes", total("crashes")],
    ["Lost answers", total("lost_replies")],
    ["Retries", total("retries")],
    ["Pauses", total("pauses")],
    ["Clock jumps", total("clock_jumps")],
    ["Busy locks", total("busy_locks")],
    ["Edits by hand and pulls", total("edits")],
    ["Checkouts", total("checkouts")],
    ["Merges", total("merges")],
    ["Runtimes lost", total("runtimes_lost")],
    ["Indexes lost", total("indexes_lost")],
    ["Worktrees removed", total("worktrees_removed")],
    ["Audits of all worktrees", total("audits")],
    ["Violations", violations.length],
    ["Lost", lost],
  ];
  console.log(
    `Simulation, seed ${seed}, ${((performance.now() - began) / 60_000).toFixed(1)} minutes, ${workers} workers\n`,
  );
  console.log("| | |\n| --- | ---: |");
  for (const [name, count] of rows) console.log(`| ${name} | ${count} |`);
  for (const violation of violations) {
    console.log(`\nseed ${violation.seed}: ${violation.message}`);
    console.log(`  replay: bun test/simulation/run.ts --seed ${violation.seed} --replay`);
  }
  return violations.length === 0 ? 0 : 1;
}

async function runWorker(seed: number, seconds: number): Promise<Report> {
  const child = Bun.spawn([process.execPath, RUN, "--seed", String(seed), "--seconds", String(seconds)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const out = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`The worker of seed ${seed} failed.`);
  return JSON.parse(out) as Report;
}

/**
 * Histories for a long time (docs/concepts/testing.md): one process a core, each with seeds of its own.
 *
 *   bun scripts/torture.ts --simulate [--seed N] [--minutes M] [--workers W]
 */
import { join } from "node:path";
import { FAULTS } from "../../test/simulation/faults.ts";
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
  const faults = new Map<string, number>(FAULTS.map((fault) => [fault, 0]));
  for (const report of reports)
    for (const [fault, times] of Object.entries(report.faults)) faults.set(fault, (faults.get(fault) ?? 0) + times);
  const rows: readonly (readonly [string, number])[] = [
    ["Histories", reports.reduce((sum, { histories }) => sum + histories, 0)],
    ["Steps", total("steps")],
    ["Calls", total("calls")],
    ["Acknowledged operations", total("acknowledged")],
    ["Retries", total("retries")],
    ["Audits of all worktrees", total("audits")],
    ...[...faults].map(([fault, times]) => [`Fault: ${fault}`, times] as const),
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

/**
 * Histories for a long time (docs/concepts/testing.md): one process a core, each with seeds of its own.
 *
 *   bun run torture --simulate [--runtime postgres] [--seed N] [--minutes M] [--workers W] [--report]
 */
import { FAULTS, type Store } from "../../test/simulation/faults.ts";
import { mutantReport, type Over, PART_OF, runHistories } from "../../test/simulation/mutant-report.ts";
import type { Report } from "../../test/simulation/run.ts";
import { Cluster, whyNoPostgres } from "../../test/support/postgres.ts";
import { record, rowsText } from "./report.ts";

/** Seeds of two workers are so far apart that none meets the other's. */
const APART = 10_000_000;

export interface SimulationOptions {
  /** Where the runtimes are. */
  readonly store: Store;
  readonly seed: number;
  readonly minutes: number;
  readonly workers: number;
  /** Also hunts the seeded bugs, and writes what came of it all into the documentation. */
  readonly report: boolean;
}

/** Runs, prints one table, and answers the exit status: 1 when a promise was broken. */
export async function simulateForLong(options: SimulationOptions): Promise<number> {
  if (options.store === "sqlite") return simulateOver({ store: "sqlite" }, options);
  const reason = whyNoPostgres();
  if (reason !== undefined) throw new Error(reason);
  const cluster = await Cluster.start();
  try {
    return await simulateOver({ store: "postgres", server: cluster.url() }, options);
  } finally {
    await cluster.stop();
  }
}

async function simulateOver(over: Over, { seed, minutes, workers, report }: SimulationOptions): Promise<number> {
  const began = performance.now();
  const reports = await Promise.all(
    Array.from({ length: workers }, (_, i) => runWorker(over, seed + i * APART, Math.round(minutes * 60))),
  );
  const violations = reports.flatMap((report) => report.violations);
  const total = (name: keyof Report["counts"]): number => reports.reduce((sum, { counts }) => sum + counts[name], 0);
  const lost = violations.filter(({ promise }) => promise === "L6" || promise === "S3").length;
  const faults = new Map<string, number>(FAULTS[over.store].map((fault) => [fault, 0]));
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
    `Simulation over ${over.store}, seed ${seed}, ${((performance.now() - began) / 60_000).toFixed(1)} minutes, ${workers} workers\n`,
  );
  console.log(rowsText(rows));
  for (const violation of violations) {
    console.log(`\nseed ${violation.seed}: ${violation.message}`);
    console.log(`  replay: bun test/simulation/run.ts --seed ${violation.seed} --replay --runtime ${over.store}`);
  }
  if (!report) return violations.length === 0 ? 0 : 1;
  const bugs = await mutantReport(over);
  record(PART_OF[over.store], { seed, minutes, workers, rows, bugs });
  return violations.length === 0 && bugs.every(({ promise }) => promise !== undefined) ? 0 : 1;
}

const runWorker = (over: Over, seed: number, seconds: number): Promise<Report> =>
  runHistories(over, ["--seed", String(seed), "--seconds", String(seconds)]);

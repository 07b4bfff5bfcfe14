/**
 * Real processes for a long time (docs/concepts/testing.md): killed, stopped, beside editors and Git.
 *
 *   bun run torture [--seed N] [--minutes M] [--workers W]
 */
import { join } from "node:path";
import { torture } from "../../test/torture/run.ts";

const FOLDER = join(import.meta.dir, "..", "..", "dist", "torture");

export interface ProcessOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly workers: number;
}

/** Runs, prints one table, and answers the exit status: 1 when a promise was broken. */
export async function tortureForLong({ seed, minutes, workers }: ProcessOptions): Promise<number> {
  const path = join(FOLDER, `history-${seed}.jsonl`);
  const { judgement, counts } = await torture({ seed, workers, seconds: minutes * 60, path });
  console.log(JSON.stringify({ ...counts, ...judgement, violations: judgement.violations.length }, null, 1));
  for (const violation of judgement.violations.slice(0, 40)) console.log(violation.message);
  console.log(`History: ${path}`);
  return judgement.violations.length === 0 ? 0 : 1;
}

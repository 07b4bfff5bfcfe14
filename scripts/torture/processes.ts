/**
 * Real processes for a long time (docs/concepts/testing.md): killed, stopped, beside editors and Git.
 *
 *   bun run torture [--seed N] [--minutes M] [--workers W] [--report]
 */
import { join } from "node:path";
import { torture } from "../../test/torture/run.ts";
import { type Rows, record, rowsText } from "./report.ts";

const FOLDER = join(import.meta.dir, "..", "..", "dist", "torture");

export interface ProcessOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly workers: number;
  /** Writes what came of it into the documentation. */
  readonly report: boolean;
}

/** Runs, prints one table, and answers the exit status: 1 when a promise was broken. */
export async function tortureForLong({ seed, minutes, workers, report }: ProcessOptions): Promise<number> {
  const path = join(FOLDER, `history-${seed}.jsonl`);
  const { judgement, counts, left } = await torture({ seed, workers, seconds: minutes * 60, path });
  const rows: Rows = [
    ["Histories", 1],
    ["Calls", counts.calls],
    ["Acknowledged operations", judgement.acknowledged],
    ["Processes killed", counts.killed + counts.killed_at_a_point],
    ["… between two steps of a promise", counts.killed_at_a_point],
    ["Processes stopped", counts.stopped],
    ["Lost answers", counts.dropped_answers],
    ["Retries", counts.retries],
    ["Edits by hand and pulls", counts.edits + counts.edits_in_place],
    ["Edits by hand that were thrown away", counts.discards],
    ["Commits", counts.commits],
    ["Checkouts", counts.checkouts],
    ["Merges", counts.merges + counts.merges_by_text],
    ["Indexes lost", counts.indexes_deleted],
    ["Violations", judgement.violations.length],
    ["Lost", judgement.lost],
    ["Written over by editors", judgement.overwritten],
    ["Put back by Git", judgement.put_back],
    ["In the open window", judgement.in_window],
  ];
  console.log(`Real processes, seed ${seed}, ${minutes} minutes, ${workers} workers\n\n${rowsText(rows)}`);
  for (const { message } of judgement.violations.slice(0, 40)) console.log(message);
  console.log(`History: ${path}${left === undefined ? "" : `, repository: ${left}`}`);
  if (report) record("processes", { seed, minutes, workers, rows });
  return judgement.violations.length === 0 ? 0 : 1;
}

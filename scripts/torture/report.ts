/** What runs of torture found, for the page docs/reference/torture.md: kept as data beside it, one part a mode. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { markdownTable } from "../../src/render/markdown.ts";
import type { MutantFinding } from "../../test/simulation/mutant-report.ts";

const DATA = join(import.meta.dir, "..", "..", "docs", "reference", "torture.json");

export type Rows = readonly (readonly [string, number])[];

export interface Part {
  readonly seed: number;
  readonly minutes: number;
  readonly workers: number;
  readonly rows: Rows;
  readonly bugs?: readonly MutantFinding[];
}

export interface Report {
  readonly processes?: Part;
  readonly simulation?: Part;
}

export const rowsText = (rows: Rows): string =>
  markdownTable(
    ["", ""],
    rows.map(([name, count]) => [name, String(count)]),
  );

export const readReport = (): Report => (existsSync(DATA) ? (JSON.parse(readFileSync(DATA, "utf8")) as Report) : {});

/** Replaces one part, and leaves the other as it is. `bun run docs` writes the page. */
export function record(mode: keyof Report, part: Part): void {
  writeFileSync(DATA, `${JSON.stringify({ ...readReport(), [mode]: part }, null, 2)}\n`);
}

/** The page, whose numbers are those of the last runs. */
export function torturePage({ processes, simulation }: Report, mark: string): string {
  const names = [...new Set([...(processes?.rows ?? []), ...(simulation?.rows ?? [])].map(([name]) => name))];
  const of = (part: Part | undefined, name: string): string =>
    String(part?.rows.find(([row]) => row === name)?.[1] ?? "");
  const run = (part: Part | undefined, command: string): string =>
    part === undefined ? "" : `\`${command} --seed ${part.seed} --minutes ${part.minutes} --workers ${part.workers}\``;
  const bugs = (simulation?.bugs ?? []).map(({ name, counterexample, promise, histories }) => [
    ...[name, String(counterexample ?? ""), promise ?? "not found", String(histories)],
  ]);
  return `${[
    "# What torture found",
    mark,
    "The last long run of each kind. How it is done, and what the lines mean: [how Lodestar is tried to be broken](../concepts/testing.md).",
    markdownTable(
      ["", "real processes", "simulation"],
      [
        ["Run", run(processes, "bun run torture"), run(simulation, "bun run torture --simulate")],
        ...names.map((name) => [name, of(processes, name), of(simulation, name)]),
      ],
    ),
    "## Seeded bugs",
    "Each is one rule of the program switched off, and the promise that the simulation then found broken, after so many histories from seed 1 on.",
    markdownTable(["rule switched off", "counterexample", "promise", "histories"], bugs),
  ].join("\n\n")}\n`;
}

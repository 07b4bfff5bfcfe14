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
  readonly simulation_postgres?: Part;
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
export function torturePage({ processes, simulation, simulation_postgres }: Report, mark: string): string {
  const parts = [processes, simulation, simulation_postgres];
  const names = [...new Set(parts.flatMap((part) => part?.rows ?? []).map(([name]) => name))];
  const of = (part: Part | undefined, name: string): string =>
    String(part?.rows.find(([row]) => row === name)?.[1] ?? "");
  const run = (part: Part | undefined, command: string): string =>
    part === undefined ? "" : `\`${command} --seed ${part.seed} --minutes ${part.minutes} --workers ${part.workers}\``;
  const bugNames = [
    ...new Set([simulation, simulation_postgres].flatMap((part) => part?.bugs ?? []).map(({ name }) => name)),
  ];
  const bugIn = (part: Part | undefined, name: string): MutantFinding | undefined =>
    part?.bugs?.find((bug) => bug.name === name);
  const found = (bug: MutantFinding | undefined): readonly string[] =>
    bug === undefined ? ["", ""] : [bug.promise ?? "not found", String(bug.histories)];
  const bugs = bugNames.map((name) => {
    const [file, server] = [bugIn(simulation, name), bugIn(simulation_postgres, name)];
    return [name, String((file ?? server)?.counterexample ?? ""), ...found(file), ...found(server)];
  });
  return `${[
    "# What torture found",
    mark,
    "The last long run of each kind. How it is done, and what the lines mean: [how Lodestar is tried to be broken](../concepts/testing.md).",
    markdownTable(
      ["", "real processes", "simulation", "simulation over PostgreSQL"],
      [
        [
          "Run",
          run(processes, "bun run torture"),
          run(simulation, "bun run torture --simulate"),
          run(simulation_postgres, "bun run torture --simulate --runtime postgres"),
        ],
        ...names.map((name) => [name, ...parts.map((part) => of(part, name))]),
      ],
    ),
    "## Seeded bugs",
    "Each is one rule of the program switched off, and the promise that the simulation then found broken, after so many histories from seed 1 on; then the same over PostgreSQL. Rules that all stores share are sought over SQLite.",
    markdownTable(
      ["rule switched off", "counterexample", "promise", "histories", "over PostgreSQL", "histories"],
      bugs,
    ),
  ].join("\n\n")}\n`;
}

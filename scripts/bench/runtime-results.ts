/** What the benchmark of runtimes found, as data (docs/performance/runtime.json), and as the page that is made of it. */
import { markdownTable } from "../../src/render/markdown.ts";
import { type About, aboutText, loadText, readWritten, writtenFrom } from "./about.ts";

/** What grants: a SQLite file, the PostgreSQL runtime, and the least that a grant on a server can be. */
export const GRANTERS = { sqlite: "SQLite", postgres: "PostgreSQL", bare: "bare upsert" } as const;
export type Granter = keyof typeof GRANTERS;

export interface GrantsRow {
  readonly agents: number;
  readonly by: Granter;
  readonly per_second: number;
  /** What its agent waited for a grant. */
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** Calls that waited as long as a call may, and were told to try again. */
  readonly refused: number;
}

export interface RuntimeResults extends About {
  readonly seconds: number;
  readonly server: string;
  readonly grants: readonly GrantsRow[];
}

/** The results in a folder; `undefined` when none were written yet. */
export const readRuntimeResults = (folder: string): RuntimeResults | undefined => readWritten(folder, "runtime.json");

const MARK = writtenFrom("runtime.json", "bun run bench:runtime");

/** One cell: grants a second, and what an agent waited. */
const cell = (row: GrantsRow | undefined): string =>
  row === undefined
    ? ""
    : `${row.per_second.toFixed(0)}/s, ${row.p50_ms.toFixed(1)} / ${row.p99_ms.toFixed(1)} ms${row.refused === 0 ? "" : `, ${row.refused} refused`}`;

/** A line for each number of agents: what each granter did. */
export function grantsTable(rows: readonly GrantsRow[]): string {
  const counts = [...new Set(rows.map(({ agents }) => agents))].sort((a, b) => a - b);
  const granters = Object.keys(GRANTERS) as Granter[];
  return markdownTable(
    ["agents", ...granters.map((by) => GRANTERS[by])],
    counts.map((agents) => [
      String(agents),
      ...granters.map((by) => cell(rows.find((row) => row.agents === agents && row.by === by))),
    ]),
  );
}

/** The page of the results. */
export function runtimePage(found: RuntimeResults): string {
  return `${[
    "# How many claims a runtime grants, measured",
    MARK,
    `${aboutText(found)} ${found.server}. ${found.seconds} s of each. ${loadText(found)}`,
    "Again on your machine: `bun run bench:runtime`; with your server: `bun run bench:runtime --url URL`.",
    "Agents that do nothing else claim one of the tasks that are free and give it back, without a pause, in up to 16 processes. Grants a second, and what an agent waited for one: median / 99 of 100. *Refused*: calls that waited as long as a call may, and were told to try again. The *bare upsert* of one row, without events, tokens and rules, is the limit of any runtime on that server. Compare within a line: agents, programs and server share the machine.",
    grantsTable(found.grants),
  ].join("\n\n")}\n`;
}

/** What a benchmark found, as data (docs/performance/results.json), and as the page that is made of it. */
import { join } from "node:path";
import { markdownTable } from "../../src/render/markdown.ts";
import { type About, aboutText, loadText, readWritten, writtenFrom } from "./about.ts";

/** Where the results are that the documentation shows. */
export const FOLDER = join(import.meta.dir, "..", "..", "docs", "performance");

/** Programs that do the least that a call must do: nothing; open and query; that and a durable commit; that and a saved file. */
export type Floor = "E" | "Q" | "C" | "W";

export interface CallRow {
  readonly tasks: number;
  readonly command: string;
  readonly median_ms: number;
  readonly quartiles_ms: readonly [number, number];
  readonly floor: Floor;
  readonly floor_ms: number;
  /** Of the medians of pairs that were run in turn. */
  readonly ratio: number;
  readonly ratio_quartiles: readonly [number, number];
  /** The ratio that is aimed at, at most. */
  readonly aim?: number;
}

export interface WorkRow {
  readonly tasks: number;
  readonly work: string;
  readonly runs: number;
  readonly median_ms: number;
  readonly quartiles_ms: readonly [number, number];
  readonly aim_ms?: number;
}

export interface MemoryRow {
  readonly tasks: number;
  readonly command: string;
  readonly megabytes: number;
  readonly floor_megabytes: number;
  readonly ratio: number;
  readonly aim: number;
}

/** How long calls took that were made at the same moment. */
export interface Waits {
  readonly p50_ms: number;
  readonly p90_ms: number;
  readonly p99_ms: number;
  readonly longest_ms: number;
}

export interface DrainRow {
  readonly tool: string;
  readonly tasks: number;
  readonly workers: number;
  readonly seconds: number;
  /** Tasks that ended up done. */
  readonly done: number;
  /** Tasks that more than one worker was given. */
  readonly given_twice: number;
  /** Calls that failed. */
  readonly failed: number;
  readonly done_per_second: number;
  /** None: no call of the kind ended in time. */
  readonly take?: Waits;
  readonly finish?: Waits;
}

export interface WritersRow extends Waits {
  readonly what: string;
  readonly writers: number;
  readonly rounds: number;
  readonly failed: number;
}

export interface PeerRow {
  readonly tasks: number;
  readonly command: string;
  readonly tool: string;
  readonly runs: number;
  /** None: it did not answer within the limit. */
  readonly median_ms?: number;
  readonly quartiles_ms?: readonly [number, number];
  readonly lodestar_ms: number;
}

export interface Results extends About {
  readonly runs: number;
  readonly calls: readonly CallRow[];
  readonly works: readonly WorkRow[];
  readonly memory: readonly MemoryRow[];
  readonly drains: readonly DrainRow[];
  readonly writers: readonly WritersRow[];
  readonly peers: readonly PeerRow[];
}

/** The results in a folder; `undefined` when none were written yet. */
export const readResults = (folder: string): Results | undefined => readWritten(folder, "results.json");

const MARK = writtenFrom("results.json", "bun run bench");
const PLOT = "![Cost of a call against the number of tasks](plot.svg)";

export const spaced = (count: number): string => String(count).replaceAll(/\B(?=(\d{3})+$)/g, " ");
const ms = (value: number): string => (value < 10 ? value.toFixed(1) : spaced(Math.round(value)));
const held = (value: number, aim: number | undefined): string => (aim === undefined ? "" : value <= aim ? " ✓" : " ✗");
const distinct = <T>(values: readonly T[]): T[] => [...new Set(values)];

/** A table with a line for each name and a column for each size; a cell that was not measured is empty. */
function bySize<Row extends { readonly tasks: number }>(
  rows: readonly Row[],
  heads: readonly string[],
  nameOf: (row: Row) => readonly string[],
  cell: (row: Row) => string,
): string {
  const sizes = distinct(rows.map(({ tasks }) => tasks)).sort((a, b) => a - b);
  const names = distinct(rows.map((row) => JSON.stringify(nameOf(row))));
  return markdownTable(
    [...heads, ...sizes.map((size) => `${spaced(size)} tasks`)],
    names.map((name) => [
      ...(JSON.parse(name) as string[]),
      ...sizes.map((size) => {
        const row = rows.find((each) => each.tasks === size && JSON.stringify(nameOf(each)) === name);
        return row === undefined ? "" : cell(row);
      }),
    ]),
  );
}

const waits = (found: Waits | undefined): string[] =>
  found === undefined
    ? ["—", "—", "—", "—"]
    : [found.p50_ms, found.p90_ms, found.p99_ms, found.longest_ms].map((value) => `${ms(value)} ms`);

/** The page of the results. @param runtimes true when the page of runtimes lies beside it. */
export function resultsPage(found: Results, runtimes = false): string {
  const { runs, calls, works, memory, drains, writers, peers } = found;
  const parts = [
    "# What calls cost, measured",
    MARK,
    `${aboutText(found)} ${runs} pairs of each. ${loadText(found)}`,
    "Again on your machine: `bun run bench`. How it is measured and what it means: [What a call costs](../performance.md).",
    ...(runtimes ? ["How many agents a runtime serves: [claims a second](runtime.md)."] : []),
    PLOT,
    "## Calls",
    "The median of whole processes, and how often the floor's that it was run in turn with: **E** an empty program, **Q** one that opens a database and runs one query, **C** Q and a durable commit, **W** C and the spec's bytes written anew. ✓ and ✗: the aim is reached, or not.",
    bySize(
      calls,
      ["command", "aim"],
      ({ command, floor, aim }) => [`\`${command}\``, aimOf(calls, command, floor, aim)],
      ({ median_ms, ratio, floor, aim }) => `${ms(median_ms)} ms = ${ratio.toFixed(2)} × ${floor}${held(ratio, aim)}`,
    ),
  ];
  if (works.length > 0) {
    parts.push(
      "## Work on the whole spec",
      bySize(
        works,
        ["what"],
        ({ work }) => [work],
        ({ median_ms, aim_ms }) =>
          `${ms(median_ms)} ms${aim_ms === undefined ? "" : ` (aim ${spaced(aim_ms)})`}${held(median_ms, aim_ms)}`,
      ),
    );
  }
  if (memory.length > 0) {
    parts.push(
      "## Memory",
      "The most that the process had, until it writes its answer.",
      bySize(
        memory,
        ["command", "aim"],
        ({ command, aim }) => [`\`${command}\``, `≤ ${aim} × Q`],
        ({ megabytes, ratio, aim }) => `${megabytes.toFixed(0)} MB = ${ratio.toFixed(2)} × Q${held(ratio, aim)}`,
      ),
    );
  }
  if (drains.length > 0) {
    parts.push(
      "## Many at once",
      `Agents at the same list until it is empty: each takes a task and says that it is done, one call after the other. *Given twice*: tasks that more than one of them was given.`,
      markdownTable(
        ["", "agents", "tasks", "done", "in", "a second", "given twice", "failed calls"],
        drains.map((row) => [
          row.tool,
          String(row.workers),
          spaced(row.tasks),
          spaced(row.done),
          `${row.seconds.toFixed(0)} s`,
          String(rounded2(row.done_per_second)),
          String(row.given_twice),
          String(row.failed),
        ]),
      ),
    );
  }
  const atOnce = [
    ...drains.flatMap(({ tool, workers, take, finish, failed }) => [
      [`${tool}: taking a task, while the list is drained`, String(workers), ...waits(take), String(failed)],
      [`${tool}: done, while the list is drained`, String(workers), ...waits(finish), String(failed)],
    ]),
    ...writers.map((row) => [row.what, String(row.writers), ...waits(row), String(row.failed)]),
  ];
  if (atOnce.length > 0) {
    parts.push(
      "How long a call takes when so many write at the same moment, the wait for a core included:",
      markdownTable(["", "writers", "half", "90 %", "99 %", "longest", "failed"], atOnce),
    );
  }
  if (peers.length > 0) {
    parts.push(
      "## Others",
      "The same work on the same number of tasks, in turn with Lodestar; how often Lodestar's time.",
      bySize(
        peers,
        ["tool", "what"],
        ({ tool, command }) => [tool, command],
        ({ median_ms, lodestar_ms }) =>
          median_ms === undefined ? "no answer in time" : `${ms(median_ms)} ms = ${ms(median_ms / lodestar_ms)} ×`,
      ),
    );
  }
  return `${parts.join("\n\n")}\n`;
}

const rounded2 = (value: number): number => Number(value.toPrecision(3));

/** Aims differ by size: all of them, once. */
function aimOf(calls: readonly CallRow[], command: string, floor: Floor, aim: number | undefined): string {
  if (aim === undefined) return "";
  const aims = distinct(calls.filter((row) => row.command === command).flatMap((row) => row.aim ?? []));
  return `≤ ${aims.sort((a, b) => a - b).join(" … ")} × ${floor}`;
}

/** How long the simulation seeks each seeded bug (docs/concepts/testing.md). */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Store } from "./faults.ts";
import { MUTANTS, type Mutant, storesOf } from "./mutants.ts";
import type { Report } from "./run.ts";

const RUN = join(import.meta.dir, "run.ts");

export interface MutantFinding {
  readonly name: string;
  /** The row of the table in docs/concepts/testing.md that the rule answers, if it is one of those. */
  readonly counterexample?: number;
  /** The promise that was found broken; absent when nothing was found. */
  readonly promise?: string;
  /** How many histories it took, beginning with the seed; when nothing was found, how many were run. */
  readonly histories: number;
}

/**
 * Seeks each seeded bug from one seed on.
 *
 * @param seed where each hunt begins.
 * @param most how many histories a hunt may take.
 * @param workers how many hunts run at once.
 * @param over where the runtimes are.
 */
export async function mutantReport(
  over: Over,
  { seed = 1, most = 4000, workers = availableParallelism() } = {},
): Promise<readonly MutantFinding[]> {
  const found = new Map<Mutant, MutantFinding>();
  const waiting = MUTANTS.filter((mutant) => storesOf(mutant).includes(over.store));
  const hunt = async (): Promise<void> => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift())
      found.set(mutant, await seek(over, mutant, seed, most));
  };
  await Promise.all(Array.from({ length: workers }, hunt));
  return MUTANTS.flatMap((mutant) => found.get(mutant) ?? []);
}

/** Where the runtimes of histories are. */
export interface Over {
  readonly store: Store;
  /** A server to make them on; without it each process starts its own. */
  readonly server?: string;
}

/** Runs histories with one rule off until a promise of that rule is found broken. */
export async function seek(over: Over, mutant: Mutant, seed: number, most: number): Promise<MutantFinding> {
  const args = ["--mutant", mutant.name, "--seed", String(seed), "--histories", String(most), "--first"];
  const { histories, violations } = await runHistories(over, args);
  const [violation] = violations;
  const told = {
    name: mutant.name,
    ...(mutant.row === undefined ? {} : { counterexample: mutant.row }),
    histories,
  };
  return violation === undefined || !mutant.breaks.includes(violation.promise)
    ? told
    : { ...told, promise: violation.promise };
}

/** The parts of the last report that speak of simulations. */
type ReportPart = "simulation" | "simulation_postgres";
export const PART_OF: Readonly<Record<Store, ReportPart>> = { sqlite: "simulation", postgres: "simulation_postgres" };

/** The last report: as hunts began with seed 1, the number of histories that one took is the seed that found it. */
const REPORT = join(import.meta.dir, "..", "..", "docs", "reference", "torture.json");

/**
 * Whether a seeded bug is found: by the seed that found it in the last report, or else by a whole search. Any change of the product
 * that takes a random number more gives each seed another history; then the search takes its time, until there is a new report.
 */
export async function isFound(over: Over, mutant: Mutant, most: number): Promise<boolean> {
  const report = JSON.parse(readFileSync(REPORT, "utf8")) as { [part in ReportPart]?: { bugs?: MutantFinding[] } };
  const { bugs } = report[PART_OF[over.store]] ?? {};
  const before = bugs?.find(({ name, promise }) => name === mutant.name && promise !== undefined);
  if (before !== undefined && (await seek(over, mutant, before.histories, 1)).promise !== undefined) return true;
  return (await seek(over, mutant, 1, most)).promise !== undefined;
}

/** Runs histories in a process of their own: the simulation stands between the product and the world. */
export async function runHistories(
  { store, server }: Over,
  args: readonly string[],
): Promise<Report & { readonly said: string }> {
  const where = ["--runtime", store, ...(server === undefined ? [] : ["--server", server])];
  const child = Bun.spawn([process.execPath, RUN, ...where, ...args], { stdout: "pipe", stderr: "pipe" });
  const [out, said] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(`The histories of ${args.join(" ")} failed: ${said}`);
  return { ...(JSON.parse(out) as Report), said };
}

/**
 * Runs so many histories by two processes, each from a seed of its own; fails with what they said when one breaks a promise.
 *
 * @returns how often a fault, a death, an answer or a rule had its turn.
 */
export async function unbroken(
  over: Over,
  histories: number,
): Promise<(of: "faults" | "deaths" | "operations" | "rules", name: string) => number> {
  const half = String(Math.ceil(histories / 2));
  const reports = await Promise.all(
    ["1000", "103000"].map((seed) => runHistories(over, ["--seed", seed, "--histories", half])),
  );
  const broken = reports.flatMap(({ violations }) => violations);
  if (broken.length > 0) throw new Error(`${broken.join("\n")}\n${reports.map(({ said }) => said).join("")}`);
  return (of, name) => reports.reduce((sum, report) => sum + (report[of][name] ?? 0), 0);
}

if (import.meta.main) console.log(JSON.stringify(await mutantReport({ store: "sqlite" }), undefined, 2));

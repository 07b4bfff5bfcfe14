/**
 * Runs histories in a process of its own, because it puts itself between the product and the world.
 *
 *   bun test/simulation/run.ts --seed 1 --histories 100 [--seconds 10]   a line of JSON at the end
 *   bun test/simulation/run.ts --seed 1 --replay                         the whole history of one seed
 *   … --mutant "token reuse"                                            with one rule of the product switched off
 *   … --runtime postgres [--server postgres://…]                          over PostgreSQL; without a server one is started
 */
import { existsSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Counts, Told } from "./history.ts";
import { install, MUTANTS } from "./mutants.ts";
import type { OpenRuntime } from "./runtime.ts";

export interface Report {
  readonly histories: number;
  readonly counts: Counts;
  /** How often each fault occurred, agents died before each step, commands were answered so and so, rules were looked at. */
  readonly faults: Readonly<Record<string, number>>;
  readonly deaths: Readonly<Record<string, number>>;
  readonly operations: Readonly<Record<string, number>>;
  readonly rules: Readonly<Record<string, number>>;
  readonly violations: readonly { readonly seed: number; readonly promise: string; readonly message: string }[];
  /** A digest of everything that happened: the same for the same seeds. */
  readonly digest: string;
}

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    histories: { type: "string", default: "1000000" },
    seconds: { type: "string", default: "1000000" },
    mutant: { type: "string" },
    runtime: { type: "string", default: "sqlite" },
    server: { type: "string" },
    replay: { type: "boolean", default: false },
    /** Stops at the first violation. */
    first: { type: "boolean", default: false },
  },
});

const mutant = MUTANTS.find(({ name }) => name === values.mutant);
if (values.mutant !== undefined && mutant === undefined) throw new Error(`There is no mutant ${values.mutant}.`);
if (mutant !== undefined) install(mutant);
const { noCounts, simulate } = await import("./history.ts");
const { open, close } = await runtimes();

/** In memory where there is such a folder: thousands of files are made and synced. */
const BASE = join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), `lodestar-simulation-${process.pid}`);

/** Each history has a folder of its own: one that ended in a violation leaves calls that hold locks for ever. */
const counts = noCounts();
const tallies = { faults: {}, deaths: {}, operations: {}, rules: {} } satisfies Record<string, Record<string, number>>;
const violations: { seed: number; promise: string; message: string }[] = [];
let histories = 0;
let digest = 0n;
const until = performance.now() + Number(values.seconds) * 1000;
for (let seed = Number(values.seed); histories < Number(values.histories) && performance.now() < until; seed += 1) {
  const told: Told = await simulate(seed, join(BASE, String(seed)), open, mutant?.harness);
  histories += 1;
  for (const name of Object.keys(counts) as (keyof Counts)[]) counts[name] += told.counts[name];
  for (const kind of Object.keys(tallies) as (keyof typeof tallies)[]) {
    const sums: Record<string, number> = tallies[kind];
    for (const [name, times] of told[kind]) sums[name] = (sums[name] ?? 0) + times;
  }
  digest = Bun.hash(told.log.join("\n").replaceAll(join(BASE, String(seed)), ""), digest) as bigint;
  if (values.replay) {
    for (const line of told.log) console.log(line);
    console.log(
      told.violation === undefined ? "No violation." : `${told.violation.promise}: ${told.violation.message}`,
    );
    break;
  }
  if (told.violation === undefined) continue;
  const { promise, message } = told.violation;
  violations.push({ seed, promise, message });
  console.error(`seed ${seed}: ${message}\n  replay: ${replayCommand(seed)}`);
  if (values.first) break;
}
rmSync(BASE, { recursive: true, force: true });
await close();
if (!values.replay)
  console.log(
    JSON.stringify({ histories, counts, ...tallies, violations, digest: digest.toString(36) } satisfies Report),
  );

/** What makes the runtimes of histories; the product is loaded with it. */
async function runtimes(): Promise<{ readonly open: OpenRuntime; readonly close: () => Promise<void> }> {
  if (values.runtime === "sqlite") {
    const { SqliteRuntime } = await import("./sqlite-runtime.ts");
    return { open: (base) => new SqliteRuntime(base), close: async () => {} };
  }
  if (values.runtime !== "postgres") throw new Error(`There is no store ${values.runtime}.`);
  const { PostgresRuntime, SimulationServer } = await import("./postgres-runtime.ts");
  const server = await SimulationServer.open(values.server);
  return { open: () => new PostgresRuntime(server), close: () => server.close() };
}

function replayCommand(seed: number): string {
  return `bun test/simulation/run.ts --seed ${seed} --replay${values.runtime === "sqlite" ? "" : ` --runtime ${values.runtime}`}${mutant === undefined ? "" : ` --mutant ${JSON.stringify(mutant.name)}`}`;
}

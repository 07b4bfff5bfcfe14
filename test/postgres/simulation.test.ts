import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import type { Fault } from "../simulation/faults.ts";
import { isFound, type Over, runHistories, unbroken } from "../simulation/mutant-report.ts";
import { MUTANTS, storesOf } from "../simulation/mutants.ts";
import { Cluster, whyNoPostgres } from "../support/postgres.ts";

/** How many histories are run, by two processes; a soak (`bun run torture --simulate --runtime postgres`) runs thousands. */
const HISTORIES = Number(process.env.LODESTAR_SIMULATION_POSTGRES_HISTORIES ?? 60);

/** Within how many histories each seeded bug must be found. */
const MOST = 1000;

/** What so few histories must have seen already; the table of the last long run has them all. */
const FREQUENT: readonly Fault[] = [
  ...(["crash between two steps", "crash inside a step of the runtime", "crash inside a save", "lost answer"] as const),
  ...(["clock forward", "clock backward", "pause", "slow disk in a commit", "edit in a save", "merge"] as const),
  ...(["runtime lost", "step lost in the network", "answer lost in the network", "step arrives twice"] as const),
];

/** Bugs of the server's functions, and of what speaks with them; those of what every store shares are found over SQLite. */
const OF_THE_SERVER = MUTANTS.filter((mutant) => storesOf(mutant).includes("postgres"));

const reason = whyNoPostgres();
let cluster: Cluster;
let over: Over;

describe.skipIf(reason !== undefined)(`PostgreSQL${reason === undefined ? "" : `: ${reason}`}`, () => {
  beforeAll(async () => {
    cluster = await Cluster.start();
    over = { store: "postgres", server: cluster.url() };
  }, 60_000);
  afterAll(() => cluster.stop());

  test("L1–L9, T1–T5, S3, S4: the histories of the simulation, with a network between, break no promise over PostgreSQL either", async () => {
    const total = await unbroken(over, HISTORIES);
    expect(FREQUENT.filter((fault) => total("faults", fault) === 0)).toEqual([]);
  }, 600_000);

  test("a seed replays exactly", async () => {
    const once = await runHistories(over, ["--seed", "7", "--histories", "4"]);
    const again = await runHistories(over, ["--seed", "7", "--histories", "4"]);
    expect(again.digest).toBe(once.digest);
    expect(again.counts).toEqual(once.counts);
  }, 120_000);

  test("the checker can fail: each bug that is seeded into the server's functions is found", async () => {
    const waiting = [...OF_THE_SERVER];
    expect(waiting.length).toBeGreaterThan(10);
    const missed: string[] = [];
    const hunt = async (): Promise<void> => {
      for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift())
        if (!(await isFound(over, mutant, MOST))) missed.push(mutant.name);
    };
    await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, hunt));
    expect(missed).toEqual([]);
  }, 1_800_000);
});

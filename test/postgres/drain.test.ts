import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Cluster, whyNoPostgres } from "../support/postgres.ts";
import { drain } from "./drain.ts";

const reason = whyNoPostgres();
const TASKS = 40;
let cluster: Cluster;

describe.skipIf(reason !== undefined)(`PostgreSQL${reason === undefined ? "" : `: ${reason}`}`, () => {
  beforeAll(async () => {
    cluster = await Cluster.start();
  }, 60_000);
  afterAll(() => cluster.stop());

  // `bun scripts/drain.ts` does the same with a thousand tasks.
  test("L1, L6: 32 processes in two clones drain one runtime while its server is killed: nothing acknowledged is lost, no task has two holders", async () => {
    const { judgement, holders } = await drain(cluster, { tasks: TASKS, workers: 32, kills: 1 });
    expect(judgement.violations).toEqual([]);
    expect(holders.size).toBe(TASKS);
    // A claim whose answer was lost is asked again, and answered by the lease that it had.
    for (const agents of holders.values()) expect(new Set(agents).size).toBe(1);
    expect(judgement.acknowledged).toBeGreaterThanOrEqual(2 * TASKS + 32);
    expect(judgement.lost).toBe(0);
  }, 300_000);
});

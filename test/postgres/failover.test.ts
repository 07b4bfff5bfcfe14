import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { openPostgresRuntime } from "../../src/runtime/postgres/open.ts";
import { Bench } from "../contract/fixture.ts";
import { SeededRandom } from "../support/clock.ts";
import { Cluster, whyNoPostgres } from "../support/postgres.ts";

const reason = whyNoPostgres();
setDefaultTimeout(120_000);
const started: Cluster[] = [];

async function bench(cluster: Cluster): Promise<Bench> {
  const store = await openPostgresRuntime({
    ...{ url: cluster.url(), project_id: "replicated", env: {}, clock: { now: Date.now }, create: true },
    random: new SeededRandom(started.length),
  });
  return new Bench({ store, clock: undefined as never, second: () => store, close() {} });
}

async function pair(replication: "synchronous" | "asynchronous") {
  const primary = await Cluster.start();
  started.push(primary);
  const standby = await primary.standby("standby_a");
  started.push(standby);
  if (replication === "synchronous") await primary.replicateTo("standby_a");
  return { primary, standby };
}

describe.skipIf(reason !== undefined)(`PostgreSQL${reason === undefined ? "" : `: ${reason}`}`, () => {
  afterEach(async () => {
    for (const cluster of started.splice(0).reverse()) await cluster.stop();
  });

  test("L2, L6: with synchronous replication a failover keeps every grant that was acknowledged, and later tokens are larger", async () => {
    const { primary, standby } = await pair("synchronous");
    const before = await bench(primary);
    await before.join("A1", "A2");
    const leases = [];
    for (let n = 0; n < 20; n += 1) leases.push(await before.hold("A1", `T${n}`, { lease_ids: [`L${n}`] }));
    await primary.kill();
    await standby.promote();
    const after = await bench(standby);
    const { leases: held } = await after.observe();
    expect(held.map(({ lease_id }) => lease_id)).toEqual(leases.map(({ lease_id }) => lease_id));
    expect(await after.claim("A2", "T19", { lease_ids: ["late"] })).toMatchObject({ kind: "held" });
    const next = await after.hold("A2", "other", { lease_ids: ["next"] });
    expect(next.fencing_token).toBeGreaterThan(leases.at(-1)?.fencing_token ?? Number.POSITIVE_INFINITY);
    before.store.close();
    after.store.close();
  });

  test("with asynchronous replication a failover may lose what was acknowledged last, and gives the task out again", async () => {
    const { primary, standby } = await pair("asynchronous");
    const before = await bench(primary);
    await before.join("A1", "A2");
    await before.hold("A1", "kept", { lease_ids: ["L1"] });
    await standby.caughtUp(primary);
    // The standby stops receiving, as when the network between them is slow; the primary does not care.
    await standby.deafen();
    await before.hold("A1", "lost", { lease_ids: ["L2"] });
    await primary.kill();
    await standby.promote();
    const after = await bench(standby);
    expect((await after.observe()).leases.map(({ task_id }) => task_id)).toEqual(["kept"]);
    // Two agents believe to hold it now: this is why replication must be synchronous.
    expect(await after.hold("A2", "lost", { lease_ids: ["L3"] })).toMatchObject({ agent_id: "A2" });
    before.store.close();
    after.store.close();
  });

  test("a standby that is asked to write says what it is", async () => {
    const { primary, standby } = await pair("asynchronous");
    const first = await bench(primary);
    await first.join("A1");
    await standby.caughtUp(primary);
    const other = await bench(standby);
    expect((await other.store.agents()).agents).toHaveLength(1);
    await expect(other.join("A2")).rejects.toMatchObject({
      code: "READ_ONLY",
      message: expect.stringContaining("is a standby, which only reads"),
    });
    first.store.close();
    other.store.close();
  });
});

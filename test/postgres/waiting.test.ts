import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { MINUTE } from "../../src/core/time.ts";
import { openPostgresRuntime } from "../../src/runtime/postgres/open.ts";
import { Bench } from "../contract/fixture.ts";
import { SeededRandom } from "../support/clock.ts";
import { fleet } from "../support/fleet.ts";
import { Cluster, freePort, openProject, PgBouncer, whyNoPgBouncer, whyNoPostgres } from "../support/postgres.ts";

const reason = whyNoPostgres();
setDefaultTimeout(60_000);
let cluster: Cluster;

describe.skipIf(reason !== undefined)(`PostgreSQL${reason === undefined ? "" : `: ${reason}`}`, () => {
  beforeAll(async () => {
    cluster = await Cluster.start();
  }, 60_000);
  afterAll(() => cluster.stop());

  describe("waiting", () => {
    test("who waits is woken by a change of its own project, and by no other's", async () => {
      const [mine, other] = [await openProject(cluster), await openProject(cluster)];
      const waiter = mine.second();
      await new Bench(other).join("A1");
      // Asks the server to tell; nothing has happened yet.
      await waiter.drowse?.(1);
      let woken = false;
      const drowsing = waiter.drowse?.(10 * MINUTE).then(() => {
        woken = true;
      });
      await new Bench(other).hold("A1", "X");
      expect(woken).toBe(false);
      await new Bench(mine).join("A1");
      // Only the change can end ten minutes of sleep within this test's time.
      await drowsing;
      mine.close();
      other.close();
    });

    test.skipIf(whyNoPgBouncer() !== undefined)(
      "behind a pool of connections nobody listens, and who waits looks at intervals",
      async () => {
        const port = freePort();
        const bouncer = await PgBouncer.start(cluster, port);
        try {
          const options = { project_id: "pooled", env: {}, clock: { now: Date.now }, create: true } as const;
          const store = await openPostgresRuntime({
            ...options,
            url: cluster.url({ port }),
            random: new SeededRandom(1),
          });
          await new Bench({ store, clock: undefined as never, second: () => store, close() {} }).join("A1");
          await store.drowse?.(1);
          await store.drowse?.(1);
          expect(await cluster.admin("select query from pg_stat_activity where query ilike 'listen%'")).toEqual([]);
          store.close();
        } finally {
          await bouncer.stop();
        }
      },
    );

    test("L7: task next --wait of the program gets what another machine makes claimable", async () => {
      using here = await fleet();
      here.tasks(["A", "B"], (id) => (id === "B" ? ["depends_on: [A]"] : []), "{ project_id: waiting }");
      const env = { LODESTAR_RUNTIME: cluster.url() };
      for (const id of ["A1", "A2"]) await here.ok(`agent join --id ${id}`, { env });
      await here.ok("task claim A --agent A1", { env });
      const waiting = here.ok("task next --claim --wait 10m --agent A2", { env });
      await here.ok("task done A --verify --agent A1", { env });
      expect(await waiting).toMatchObject({ task_id: "B", agent_id: "A2" });
    });
  });
});

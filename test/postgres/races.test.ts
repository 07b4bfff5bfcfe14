import { afterAll, beforeAll, describe } from "bun:test";
import { openPostgresRuntime } from "../../src/runtime/postgres/open.ts";
import { racingContract } from "../contract/racing.ts";
import { SeededRandom } from "../support/clock.ts";
import { Cluster, whyNoPostgres } from "../support/postgres.ts";

const reason = whyNoPostgres();
let cluster: Cluster;

describe.skipIf(reason !== undefined)(`PostgreSQL${reason === undefined ? "" : `: ${reason}`}`, () => {
  beforeAll(async () => {
    cluster = await Cluster.start();
  }, 60_000);
  afterAll(() => cluster.stop());

  racingContract(
    "postgres",
    async () => {
      // Schema and project are made by those who race.
      await cluster.admin("drop schema if exists lodestar cascade");
      const name = cluster.url();
      const options = { url: name, project_id: "race", env: {}, clock: { now: Date.now }, create: true } as const;
      return { name, open: () => openPostgresRuntime({ ...options, random: new SeededRandom(1) }), remove() {} };
    },
    32,
  );
});

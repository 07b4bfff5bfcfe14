import { afterAll, beforeAll, describe, setDefaultTimeout } from "bun:test";
import { runtimeContract } from "../contract/runtime-contract.ts";
import { Cluster, openProject, whyNoPostgres } from "../support/postgres.ts";

const reason = whyNoPostgres();
// Every step goes to a server, on a machine that does other things, too.
setDefaultTimeout(60_000);
let cluster: Cluster;

describe.skipIf(reason !== undefined)(`PostgreSQL${reason === undefined ? "" : `: ${reason}`}`, () => {
  beforeAll(async () => {
    cluster = await Cluster.start();
  }, 60_000);
  afterAll(() => cluster.stop());

  runtimeContract("postgres", () => openProject(cluster));
});

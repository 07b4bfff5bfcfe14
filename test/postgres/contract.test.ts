import { afterAll, beforeAll, describe, setDefaultTimeout } from "bun:test";
import { leaseProperty } from "../contract/lease-walk.ts";
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

  const open = () => openProject(cluster);
  runtimeContract("postgres", open);
  // A step goes to a server and back, so it takes fewer of them here.
  leaseProperty(open, { seeds: [1], steps: 300 });
});

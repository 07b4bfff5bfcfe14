/**
 * The long form of test/postgres/drain.test.ts: `bun scripts/drain.ts --tasks 1000 --workers 32 --kills 3`. Starts a PostgreSQL cluster of
 * its own; exit status 1 when anything that was promised did not hold.
 */
import { parseArgs } from "node:util";
import { drain } from "../test/postgres/drain.ts";
import { Cluster } from "../test/support/postgres.ts";

const { values } = parseArgs({
  options: {
    tasks: { type: "string", default: "1000" },
    workers: { type: "string", default: "32" },
    kills: { type: "string", default: "1" },
  },
});
const [tasks, workers, kills] = [Number(values.tasks), Number(values.workers), Number(values.kills)];
const cluster = await Cluster.start();
try {
  const { judgement, holders, retries } = await drain(cluster, { tasks, workers, kills, say: console.log });
  const twice = [...holders].filter(([, agents]) => new Set(agents).size > 1);
  for (const { message } of judgement.violations) console.log(message);
  console.log(
    `${workers} processes at a time in two clones, ${tasks} tasks: ${holders.size} taken, ${twice.length} by more than one agent; ` +
      `${judgement.acknowledged} acknowledged, ${judgement.lost} lost, ${judgement.violations.length} violations; ${retries} asked again`,
  );
  process.exitCode = judgement.violations.length > 0 || twice.length > 0 || holders.size < tasks ? 1 : 0;
} finally {
  await cluster.stop();
}

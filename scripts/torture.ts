/**
 * Breaks Lodestar on purpose, for as long as wanted (docs/concepts/testing.md).
 *
 *   bun run torture [--seed N] [--minutes M] [--workers W] [--report]              real processes, killed and stopped
 *   bun run torture --simulate [--seed N] [--minutes M] [--workers W] [--report]   histories that a seed decides
 *   bun run torture --simulate --runtime postgres …                                  the same over a PostgreSQL server of its own
 *
 * `--report` writes what came of it into docs/reference/torture.md.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  strict: false,
  options: {
    runtime: { type: "string", default: "sqlite" },
    simulate: { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "1" },
    workers: { type: "string" },
    report: { type: "boolean", default: false },
  },
});

const [seed, minutes, report] = [Number(values.seed), Number(values.minutes), values.report === true];
if (values.simulate) {
  const { simulateForLong } = await import("./torture/simulate.ts");
  const { STORES } = await import("../test/simulation/faults.ts");
  const store = STORES.find((name) => name === values.runtime);
  if (store === undefined) throw new Error(`There is no store ${values.runtime}: it is ${STORES.join(" or ")}.`);
  const workers = Number(values.workers ?? availableParallelism());
  process.exit(await simulateForLong({ store, seed, minutes, report, workers }));
}
const { tortureForLong } = await import("./torture/processes.ts");
process.exit(await tortureForLong({ seed, minutes, report, workers: Number(values.workers ?? 8) }));

/**
 * Breaks Lodestar on purpose, for as long as wanted (docs/concepts/testing.md).
 *
 *   bun run torture [--seed N] [--minutes M] [--workers W]              real processes, killed and stopped
 *   bun run torture --simulate [--seed N] [--minutes M] [--workers W]   histories that a seed decides
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  strict: false,
  options: {
    simulate: { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "1" },
    workers: { type: "string" },
  },
});

const [seed, minutes] = [Number(values.seed), Number(values.minutes)];
if (values.simulate) {
  const { simulateForLong } = await import("./torture/simulate.ts");
  process.exit(await simulateForLong({ seed, minutes, workers: Number(values.workers ?? availableParallelism()) }));
}
const { tortureForLong } = await import("./torture/processes.ts");
process.exit(await tortureForLong({ seed, minutes, workers: Number(values.workers ?? 8) }));

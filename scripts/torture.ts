/**
 * Breaks Lodestar on purpose, for as long as wanted (docs/concepts/testing.md).
 *
 *   bun scripts/torture.ts --simulate [--seed N] [--minutes M] [--workers W]
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  strict: false,
  options: {
    simulate: { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "1" },
    workers: { type: "string", default: String(availableParallelism()) },
  },
});

if (values.simulate) {
  const { simulateForLong } = await import("./torture/simulate.ts");
  const { seed, minutes, workers } = values;
  process.exit(await simulateForLong({ seed: Number(seed), minutes: Number(minutes), workers: Number(workers) }));
}
console.error("Say what to do: --simulate.");
process.exit(64);

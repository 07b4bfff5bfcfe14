/**
 * Feeds Lodestar hostile files, texts and databases for as long as wanted (docs/concepts/testing.md).
 *
 *   bun scripts/fuzz.ts [--seed N] [--minutes M] [--only CAMPAIGN] [--workers W]
 *   bun scripts/fuzz.ts --only CAMPAIGN --seed N --once
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { CAMPAIGNS, type Campaign } from "../test/hostile/campaigns.ts";

/** So many seeds a process: memory that one campaign's parser keeps is not another's. */
const BATCH = 10;
/** A batch takes seconds; what is not there by then hangs. */
const PATIENCE = 180_000;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "1" },
    only: { type: "string" },
    workers: { type: "string", default: String(availableParallelism()) },
    once: { type: "boolean", default: false },
    batch: { type: "boolean", default: false },
  },
});

const names = (Object.keys(CAMPAIGNS) as Campaign[]).filter(
  (name) => values.only === undefined || name === values.only,
);
if (names.length === 0) {
  console.error(`There is no campaign ${values.only}: ${Object.keys(CAMPAIGNS).join(", ")}`);
  process.exit(64);
}

/** Runs some seeds of one campaign; a line for each violation. */
async function runSeeds(name: Campaign, first: number, count: number): Promise<number> {
  let failed = 0;
  for (let seed = first; seed < first + count; seed += 1) {
    try {
      await CAMPAIGNS[name](seed);
    } catch (cause) {
      failed += 1;
      console.error(`${name} --seed ${seed}: ${cause instanceof Error ? (cause.stack ?? cause.message) : cause}\n`);
    }
  }
  return failed;
}

if (values.once || values.batch) {
  const [name] = names;
  process.exit(name !== undefined && (await runSeeds(name, Number(values.seed), values.once ? 1 : BATCH)) > 0 ? 1 : 0);
}

const end = Date.now() + Number(values.minutes) * 60_000;
const tally = new Map<Campaign, { seeds: number; failed: number; hung: number }>(
  names.map((name) => [name, { seeds: 0, failed: 0, hung: 0 }]),
);
let turn = 0;

async function work(): Promise<void> {
  while (Date.now() < end) {
    const name = names[turn % names.length];
    const seed = Number(values.seed) + Math.floor(turn / names.length) * BATCH;
    turn += 1;
    const counts = name === undefined ? undefined : tally.get(name);
    if (name === undefined || counts === undefined) return;
    const child = Bun.spawn([process.execPath, import.meta.path, "--batch", "--only", name, "--seed", String(seed)], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "inherit",
      timeout: PATIENCE,
      killSignal: "SIGKILL",
    });
    const status = await child.exited;
    counts.seeds += BATCH;
    if (child.signalCode !== null) {
      counts.hung += 1;
      console.error(
        `${name} --seed ${seed}…${seed + BATCH - 1}: ended by ${child.signalCode}, after ${PATIENCE / 1000} s or in a crash\n`,
      );
    } else if (status !== 0) counts.failed += 1;
  }
}

await Promise.all(Array.from({ length: Math.max(1, Number(values.workers)) }, work));
for (const [name, { seeds, failed, hung }] of tally)
  console.log(
    `${name.padEnd(16)} ${String(seeds).padStart(7)} seeds   ${failed} batches with violations   ${hung} hung`,
  );
process.exit([...tally.values()].every(({ failed, hung }) => failed + hung === 0) ? 0 : 1);

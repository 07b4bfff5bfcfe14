/** The campaigns, some seeds of each: `bun run fuzz` runs them for as long as wanted. */
import { describe, test } from "bun:test";
import { CAMPAIGNS, type Campaign } from "./campaigns.ts";

/** What fits into some seconds each. */
const SEEDS: Readonly<Record<Campaign, number>> = {
  "spec-text": 25,
  "spec-calls": 10,
  options: 8,
  "runtime-damage": 10,
  "index-damage": 5,
  "lock-damage": 6,
  places: 12,
  "git-hooks": 5,
  "agent-hooks": 8,
  merges: 8,
  shell: 6,
};

describe("hostile files and texts do no harm", () => {
  for (const name of Object.keys(CAMPAIGNS) as Campaign[]) {
    test(`${name}, seeds 1 to ${SEEDS[name]}`, async () => {
      for (let seed = 1; seed <= SEEDS[name]; seed += 1) {
        try {
          await CAMPAIGNS[name](seed);
        } catch (cause) {
          throw new Error(`bun scripts/fuzz.ts --only ${name} --seed ${seed} --once`, { cause });
        }
      }
    }, 120_000);
  }
});

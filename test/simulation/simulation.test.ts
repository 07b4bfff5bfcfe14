import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { RULES_OF_ONE } from "./checker.ts";
import { FAULTS } from "./faults.ts";
import { isFound, runHistories, unbroken } from "./mutant-report.ts";
import { MUTANTS, misplaced, storesOf } from "./mutants.ts";

const SQLITE = { store: "sqlite" } as const;

/** How many histories are run, by two processes; a soak sets it higher. */
const HISTORIES = Number(process.env.LODESTAR_SIMULATION_HISTORIES ?? 2000);

/** Within how many histories each seeded bug must be found. */
const MOST = 4000;

/** Every rule that the checker states, by its source: one that no history touches must be missed here. */
const RULES = [
  ...readFileSync(join(import.meta.dir, "checker.ts"), "utf8").matchAll(/#never\(\s*"(\w+)",\s*"([^"]+)"/g),
]
  .map(([, promise, rule]) => `${promise}: ${rule}`)
  .filter((rule) => !RULES_OF_ONE.postgres.includes(rule));

/** What an agent may be about to do when it dies. */
const DEATHS = [
  ...["claim", "renew", "release", "finish", "settle", "join", "heartbeat", "append", "intend", "complete"],
  ...["observe", "lookup", "outbox", "a look at the spec", "the spec's lock", "a save", "what follows a save"],
  ...["what follows claim", "what follows finish", "the answer"],
].map((step) => `before ${step}`);
const DEATHS_IN_A_SAVE = ["before-temp", "after-temp-write", "after-fsync", "before-rename", "after-rename"] as const;

const OPERATIONS = [
  ...["agent.join", "agent.heartbeat", "task.next", "task.claim", "task.done", "task.verify", "task.renew"],
  ...["task.release", "task.reopen", "task.delete", "task.create", "task.update"],
];
/** Refusals that rest on leases, tokens and outcomes. */
const REFUSALS = [
  ...["task.claim ALREADY_CLAIMED", "task.claim UNMET_DEPENDENCIES", "task.done NOT_HOLDER", "task.done LEASE_LOST"],
  ...["task.done AGENT_REQUIRED", "task.verify NOT_DONE", "task.verify SELF_VERIFICATION", "task.renew LEASE_LOST"],
];

test("L1–L9, T1–T5, S3, S4: no history of crashes, lost answers, clock jumps, checkouts and merges breaks a promise", async () => {
  const total = await unbroken(SQLITE, HISTORIES);
  // What never happened proves nothing: each kind of fault, of death, of answer, and each rule of the checker has its turn.
  expect(FAULTS.sqlite.filter((fault) => total("faults", fault) === 0)).toEqual([]);
  expect([...DEATHS, ...DEATHS_IN_A_SAVE].filter((death) => total("deaths", death) === 0)).toEqual([]);
  expect(OPERATIONS.filter((name) => total("operations", `${name} ok`) === 0)).toEqual([]);
  expect(REFUSALS.filter((name) => total("operations", name) === 0)).toEqual([]);
  expect(RULES.length).toBeGreaterThan(70);
  expect(RULES.filter((rule) => total("rules", rule) === 0)).toEqual([]);
}, 1_800_000);

test("a seed replays exactly", async () => {
  const [once, again] = await Promise.all([
    runHistories(SQLITE, ["--seed", "7", "--histories", "8"]),
    runHistories(SQLITE, ["--seed", "7", "--histories", "8"]),
  ]);
  expect(again.digest).toBe(once.digest);
  expect(again.counts).toEqual(once.counts);
}, 120_000);

test("every rule that can be switched off is where the mutant expects it", () => {
  expect(misplaced()).toEqual([]);
});

test("the checker can fail: each seeded bug is found", async () => {
  const waiting = MUTANTS.filter((mutant) => storesOf(mutant).includes("sqlite"));
  const missed: string[] = [];
  const hunt = async (): Promise<void> => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift())
      if (!(await isFound(SQLITE, mutant, MOST))) missed.push(mutant.name);
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, hunt));
  expect(missed).toEqual([]);
}, 1_800_000);

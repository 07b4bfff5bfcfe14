import { expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { MUTANTS, mutated } from "./mutants.ts";
import type { Report } from "./run.ts";

const RUN = join(import.meta.dir, "run.ts");
/** How long histories are run; a soak sets it higher. */
const SECONDS = Number(process.env.LODESTAR_SIMULATION_SECONDS ?? 12);

/** Runs histories in a process of their own: the simulation stands between the product and the world. */
async function run(...args: readonly string[]): Promise<Report & { readonly said: string }> {
  const child = Bun.spawn([process.execPath, RUN, ...args], { stdout: "pipe", stderr: "pipe" });
  const [out, said] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  expect(await child.exited, said).toBe(0);
  return { ...(JSON.parse(out) as Report), said };
}

test("L1–L9, T1–T5: no history of crashes, lost answers, clock jumps, checkouts and merges breaks a promise", async () => {
  const [early, late] = await Promise.all([
    run("--seed", "1", "--seconds", String(SECONDS)),
    run("--seed", "100000", "--seconds", String(SECONDS)),
  ]);
  expect([...early.violations, ...late.violations], early.said + late.said).toEqual([]);
  expect(early.histories + late.histories).toBeGreaterThan(10);
  expect(early.counts.acknowledged + late.counts.acknowledged).toBeGreaterThan(100);
}, 120_000);

test("a seed replays exactly", async () => {
  const [once, again] = await Promise.all([
    run("--seed", "7", "--histories", "3"),
    run("--seed", "7", "--histories", "3"),
  ]);
  expect(again.digest).toBe(once.digest);
  expect(again.counts).toEqual(once.counts);
}, 120_000);

test("every rule that can be switched off is where the mutant expects it", () => {
  for (const mutant of MUTANTS) for (const { file } of mutant.edits) expect(mutated(mutant, file)).not.toBe("");
});

test("the checker can fail: each seeded bug is found", async () => {
  const waiting = [...MUTANTS];
  const missed: string[] = [];
  const hunt = async (): Promise<void> => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const { violations, said } = await run(
        ...["--mutant", mutant.name, "--seed", String(mutant.seed), "--histories", String(mutant.within), "--first"],
      );
      const [found] = violations;
      if (found === undefined || !mutant.breaks.includes(found.promise)) missed.push(`${mutant.name}: ${said}`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, hunt));
  expect(missed).toEqual([]);
}, 300_000);

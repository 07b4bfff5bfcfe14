import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRuntime } from "../../src/runtime/sqlite/open.ts";
import { type Place, racingContract, startActor } from "../contract/racing.ts";
import { SeededRandom } from "../support/clock.ts";

async function make(): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), "lodestar-races-"));
  const name = join(folder, "runtime.sqlite");
  return {
    name,
    async open() {
      const store = openRuntime({
        ...{ path: name, clock: { now: Date.now }, random: new SeededRandom(1), create: false },
      });
      if (store === undefined) throw new Error("There is no runtime.");
      return store;
    },
    remove: () => rmSync(folder, { recursive: true }),
  };
}

racingContract("sqlite", make, 64);

test("counterexample 28: who finds another process making the database waits for it", async () => {
  const { name: path, remove } = await make();
  const other = new Database(path, { create: true });
  // The switch to WAL fails at once for whoever finds this lock, however long it would wait for others.
  other.run("begin immediate");
  const one = startActor(path, "A1", "open");
  const answered = one.exited.then(() => true);
  expect(await Promise.race([answered, Bun.sleep(2000).then(() => false)])).toBe(false);
  other.run("rollback");
  other.close();
  expect(await one.exited, await new Response(one.stderr).text()).toBe(0);
  remove();
}, 120_000);

import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRuntime } from "../../src/runtime/sqlite/open.ts";
import type { RuntimeStore } from "../../src/runtime/store.ts";
import { SeededRandom } from "../support/clock.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lodestar-races-"));
  path = join(folder, "runtime.sqlite");
});
afterEach(() => rmSync(folder, { recursive: true }));

const ACTOR = join(import.meta.dir, "actor.ts");

function start(name: string, what: string, count = 1) {
  const command = [process.execPath, ACTOR, path, name, what, String(count)];
  return Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
}

/** Runs so many processes at once; the JSON lines that each printed. */
async function race(processes: number, what: string, count = 1): Promise<Record<string, unknown>[][]> {
  const running = Array.from({ length: processes }, (_, i) => start(`A${i + 1}`, what, count));
  return Promise.all(
    running.map(async (one) => {
      const [stdout, stderr] = [await new Response(one.stdout).text(), await new Response(one.stderr).text()];
      if ((await one.exited) !== 0) throw new Error(`${stdout}${stderr}`);
      return stdout
        .trim()
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line));
    }),
  );
}

function open(): RuntimeStore {
  const store = openRuntime({ path, clock: { now: Date.now }, random: new SeededRandom(1), create: false });
  if (store === undefined) throw new Error("There is no runtime.");
  return store;
}

describe("races between processes", () => {
  test("counterexample 28: 64 processes make the database at once, and it is one", async () => {
    const answers = (await race(64, "open")).flat();
    expect(answers).toHaveLength(64);
    expect(new Set(answers.map((one) => one.runtime_id)).size).toBe(1);
  }, 120_000);

  test("counterexample 28: who finds another process making the database waits for it", async () => {
    const other = new Database(path, { create: true });
    // The switch to WAL fails at once for whoever finds this lock, however long it would wait for others.
    other.run("begin immediate");
    const one = start("A1", "open");
    const answered = one.exited.then(() => true);
    expect(await Promise.race([answered, Bun.sleep(2000).then(() => false)])).toBe(false);
    other.run("rollback");
    other.close();
    expect(await one.exited, await new Response(one.stderr).text()).toBe(0);
  }, 120_000);

  test("L1: 64 processes claim one task, and one is granted", async () => {
    const kinds = (await race(64, "claim")).flat().map((one) => one.kind);
    expect(kinds.filter((kind) => kind === "granted")).toHaveLength(1);
    expect(kinds.filter((kind) => kind === "none")).toHaveLength(63);
  }, 120_000);

  test("L1, L2, L9: 16 processes × 20 claims, renewals and dones: no task twice, no token twice, no error", async () => {
    const answers = (await race(16, "mixed", 20)).flat();
    expect(answers).toHaveLength(320);
    const kept = answers.filter((one) => one.finished === "kept");
    expect(new Set(kept.map((one) => one.task_id)).size).toBe(160);
    expect(new Set(answers.map((one) => one.fencing_token)).size).toBe(320);
    expect(new Set(answers.map((one) => one.finished))).toEqual(new Set(["kept", "finished"]));
    const store = open();
    const { leases } = await store.observe({ since: 0, worktree: "/", branch: "main" });
    expect(leases.map((lease) => lease.task_id).sort()).toEqual(kept.map((one) => String(one.task_id)).sort());
    expect(await store.inspect()).toEqual([]);
    store.close();
  }, 120_000);

  test("L6: what a writer was told is there after kill -9 in the middle of its loop", async () => {
    for (let round = 0; round < 3; round += 1) {
      const writer = start("A1", "write");
      let told = -1;
      let text = "";
      for await (const chunk of writer.stdout) {
        text += new TextDecoder().decode(chunk);
        told = Math.max(
          told,
          ...text
            .split("\n")
            .slice(0, -1)
            .map((line) => JSON.parse(line).sent),
        );
        if (told >= 100 + round * 37) {
          writer.kill("SIGKILL");
          break;
        }
      }
      await writer.exited;
      const store = open();
      const { count } = await store.messages({ task_id: "X", order: "newest", limit: 1 });
      expect(count).toBeGreaterThan(told);
      expect(await store.inspect()).toEqual([]);
      store.close();
    }
  }, 60_000);
});

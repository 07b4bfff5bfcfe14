import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { judge } from "./checker.ts";
import { type Found, parseHistory } from "./history.ts";
import { torture } from "./run.ts";

/** How long; a soak is `bun run torture`. */
const SECONDS = Number(process.env.LODESTAR_TORTURE_SECONDS ?? 20);

// What is exchanged atomically, so that nothing overwritten goes unnoticed, is exchanged by a system call of Linux.
test.skipIf(process.platform !== "linux")(
  "L1–L6, S2–S4, T1, T2: workers that are killed and stopped, editors and Git at one repository lose nothing",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "lodestar-torture-"));
    const path = join(folder, "history.jsonl");
    const seed = 1 + Math.floor(Math.random() * 1_000_000);
    const { judgement, counts } = await torture({ seed, seconds: SECONDS, workers: 8, path });
    // The history stays where it can be read when something is wrong.
    expect(
      judgement.violations.map(({ message }) => message),
      `seed ${seed}, history ${path}`,
    ).toEqual([]);
    expect(judgement).toMatchObject({ lost: 0 });
    expect(judgement.acknowledged).toBeGreaterThan(0);
    expect(counts.killed + counts.killed_at_a_point).toBeGreaterThan(0);

    // What was written is what was judged; and a real history that is doctored is not right any more.
    const history = parseHistory(readFileSync(path, "utf8"));
    expect(judge(history)).toEqual(judgement);
    const found = history.at(-1) as Found;
    const [grant] = history.flatMap((entry) =>
      entry.kind === "answered" && entry.result === "ok" && entry.data?.lease_id !== undefined ? [entry.data] : [],
    );
    const without = found.leases.filter(({ fencing_token }) => fencing_token !== grant?.fencing_token);
    expect(judge([...history.slice(0, -1), { ...found, leases: without }]).lost).toBeGreaterThan(0);
    rmSync(folder, { recursive: true });
  },
  300_000,
);

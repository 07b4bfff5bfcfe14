import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newTask } from "../../src/commands/task/planning.ts";
import { SpecPlane } from "../../src/spec/plane.ts";
import { ManualClock, SeededRandom } from "../support/clock.ts";

const TEXT = "tasks:\n  A:\n    title: A\n    status: ready\n";
const B = newTask({ id: "B", title: "B" }, "2026-01-01T00:00:00.000Z");

function planeIn(folder: string): SpecPlane {
  return new SpecPlane(
    { spec: join(folder, "spec.yaml"), index: join(folder, "index.sqlite"), lock: join(folder, "spec.lock") },
    { clock: new ManualClock(0), random: new SeededRandom(1), beforeCreate: async () => {}, warn: () => {} },
  );
}

test("S3: a file that an editor has emptied, and is about to write, is not saved over", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lodestar-test-"));
  const plane = planeIn(folder);
  try {
    // Once before, so that everything is loaded: a save takes a few milliseconds from here on.
    writeFileSync(join(folder, "spec.yaml"), TEXT);
    await plane.locked((session) => session.save(() => [{ kind: "set", task_id: "A", fields: { priority: 1 } }]));
    writeFileSync(join(folder, "spec.yaml"), "");
    setTimeout(() => writeFileSync(join(folder, "spec.yaml"), TEXT), 100);
    await plane.locked((session) => session.save(() => [{ kind: "add", task: B }]));
    expect(readFileSync(join(folder, "spec.yaml"), "utf8")).toContain("  A:\n    title: A\n");
    expect(readFileSync(join(folder, "spec.yaml"), "utf8")).toContain("  B:\n    title: B\n");
  } finally {
    plane.close();
    rmSync(folder, { recursive: true });
  }
});

test("a file that stays empty gets its first task", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lodestar-test-"));
  const plane = planeIn(folder);
  try {
    writeFileSync(join(folder, "spec.yaml"), "");
    await plane.locked((session) => session.save(() => [{ kind: "add", task: B }]));
    expect(readFileSync(join(folder, "spec.yaml"), "utf8")).toContain("  B:\n    title: B\n");
  } finally {
    plane.close();
    rmSync(folder, { recursive: true });
  }
});

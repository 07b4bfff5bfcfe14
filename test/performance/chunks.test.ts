/** The groups that the build makes one chunk of hold what the usual calls load: what is in none is a chunk of its own. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { members, stage } from "../../scripts/build/chunks.ts";
import { loadedBy } from "../support/loaded.ts";

const ROOT = join(import.meta.dir, "..", "..");
const grouped = new Set(members(join(ROOT, "src")).flat());

test.each([
  "task/next",
  "task/claim",
  "task/renew",
  "task/release",
  "task/done",
  "task/verify",
  "task/show",
  "repo/status",
])("%s is in one file of its own, and loads nothing more that is in no group", (name) => {
  const own = `commands/${name}.ts`;
  const left = loadedBy(own).filter((path) => path.endsWith(".ts") && path !== own && !grouped.has(path));
  expect(left.length, left.join(" ")).toBeLessThanOrEqual(2);
});

test("no module is in two groups", () => {
  expect(members(join(ROOT, "src")).flat()).toHaveLength(grouped.size);
});

test("the copy that is compiled differs from the sources in imports before the first line only", () => {
  const folder = mkdtempSync(join(tmpdir(), "lodestar-chunks-"));
  try {
    expect(stage(ROOT, folder, "src/main.ts")).toBe("src/main.ts");
    const before = readFileSync(join(ROOT, "src/commands/task/next.ts"), "utf8");
    const after = readFileSync(join(folder, "src/commands/task/next.ts"), "utf8");
    expect(after.endsWith(before)).toBe(true);
    const added = after.slice(0, -before.length);
    expect(added).toMatch(/^(?:import "\.{1,2}\/[a-z0-9./-]+\.ts";)+$/);
    expect(added).toContain('import "../../wire.ts";');
    // Two files that load nothing of a group, and nothing lazily, are as they were.
    for (const same of ["src/core/graph.ts", "src/main.ts"])
      expect(readFileSync(join(folder, same), "utf8")).toBe(readFileSync(join(ROOT, same), "utf8"));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

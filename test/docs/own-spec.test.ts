/** The project's own plan, `.lodestar/` at the root of this repository: healthy in a fresh clone, and as `init` would write it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Sandbox, sandbox } from "../support/sandbox.ts";
import { ROOT } from "./pages.ts";

/** What Git holds of the plan. */
const FILES = [".lodestar/spec.yaml", ".lodestar/.gitignore", ".gitattributes", "AGENTS.md"];

let origin: Sandbox;
let clone: string;

beforeAll(() => {
  origin = sandbox();
  for (const path of FILES) cpSync(join(ROOT, path), join(origin.path, path));
  origin.git("add", "--all", "--force");
  origin.git("commit", "-q", "-m", "Plan");
  clone = join(dirname(origin.path), "clone");
  origin.git("clone", "-q", origin.path, clone);
});
afterAll(() => origin[Symbol.dispose]());

test("doctor finds nothing wrong in a fresh clone", async () => {
  const { json, exit } = await origin.run(["doctor", "--strict", "--json"], { cwd: clone });
  expect(json.data.checks.filter(({ status }: { status: string }) => status === "warn" || status === "fail")).toEqual(
    [],
  );
  expect({ exit, healthy: json.data.healthy }).toEqual({ exit: 0, healthy: true });
});

test("init would change nothing: the ignore rules, the merge driver's attribute and the section of AGENTS.md are current", async () => {
  const { exit } = await origin.run(["init"], { cwd: clone });
  expect(exit).toBe(0);
  expect(origin.git("-C", clone, "status", "--porcelain")).toBe("");
});

test("what is verified says who did it, who looked at it, and where it is", async () => {
  const { tasks } = (await origin.run(["task", "list", "--json"], { cwd: clone })).json.data;
  const verified = tasks.filter(({ status }: { status: string }) => status === "verified");
  expect(verified.length).toBeGreaterThan(5);
  for (const { id } of verified) {
    const task = (await origin.run(["task", "show", id, "--json"], { cwd: clone })).json.data;
    expect(task).toMatchObject({
      completed_by: expect.any(String),
      verified_by: expect.any(String),
      completed_in: { branch: expect.any(String), commit: expect.stringMatching(/^[0-9a-f]{40}$/) },
    });
  }
});

test.each(FILES)("%s names no path of anybody's machine", (path) => {
  expect(readFileSync(join(ROOT, path), "utf8")).not.toMatch(
    /(?:^|[\s"'`(])(?:\/(?:tmp|root|home|work|Users|var)\/|[A-Z]:\\)/m,
  );
});

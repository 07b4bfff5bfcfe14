import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sandbox } from "../support/sandbox.ts";

test.skipIf(Bun.which("lodestar") !== null)(
  "S4: where `lodestar` is not on the path, a merge falls back to Git's own, and no side is lost without a marker",
  async () => {
    using here = sandbox();
    const title = async (text: string) => {
      expect((await here.run(["task", "update", "A", "--title", text])).exit).toBe(0);
      here.git("commit", "-qam", text);
    };
    expect((await here.run(["init"])).exit).toBe(0);
    expect((await here.run(["task", "create", "--id", "A", "--title", "first"])).exit).toBe(0);
    here.git("add", "-A");
    here.git("commit", "-qm", "base");
    here.git("checkout", "-qb", "feat");
    await title("theirs");
    here.git("checkout", "-q", "main");
    await title("ours");
    expect(() => here.git("merge", "feat")).toThrow();
    const text = readFileSync(join(here.path, ".lodestar", "spec.yaml"), "utf8");
    expect(text).toContain("<<<<<<<");
    expect(text).toContain("title: ours");
    expect(text).toContain("title: theirs");
    const answer = await here.run(["status", "--json"]);
    expect(answer.exit).toBe(6);
    expect(answer.json.error.code).toBe("SPEC_CONFLICT_MARKERS");
  },
);

test("S4: where `lodestar` fails on the way, no side is lost without a marker either, and Git is told of a conflict", async () => {
  using here = sandbox();
  const bin = join(here.base, "bin");
  mkdirSync(bin);
  const git = (...args: string[]) => {
    const env = here.environment();
    const ran = Bun.spawnSync(["git", ...args], { cwd: here.path, env: { ...env, PATH: `${bin}:${env.PATH}` } });
    return ran.exitCode;
  };
  expect((await here.run(["init"])).exit).toBe(0);
  expect((await here.run(["task", "create", "--id", "A", "--title", "first"])).exit).toBe(0);
  here.git("add", "-A");
  here.git("commit", "-qm", "base");
  for (const how of ["exit 70", "exit 2", "kill -9 $$"]) {
    writeFileSync(join(bin, "lodestar"), `#!/bin/sh\n${how}\n`, { mode: 0o755 });
    git("checkout", "-q", "-B", "feat", "main");
    expect((await here.run(["task", "update", "A", "--title", "theirs"])).exit).toBe(0);
    git("commit", "-qam", "theirs");
    git("checkout", "-q", "-B", "onto", "main");
    expect((await here.run(["task", "update", "A", "--title", "ours"])).exit).toBe(0);
    git("commit", "-qam", "ours");
    expect({ how, exit: git("merge", "feat") }).toEqual({ how, exit: 1 });
    const text = readFileSync(join(here.path, ".lodestar", "spec.yaml"), "utf8");
    for (const part of ["<<<<<<<", "title: ours", "title: theirs"]) expect(text).toContain(part);
    git("merge", "--abort");
  }
});

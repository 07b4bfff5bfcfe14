/** Where hooks end at once: no Lodestar above, and no way to one elsewhere. */
import { expect, test } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { nothingHere } from "../../src/git/nothing-here.ts";
import { fleet } from "../support/fleet.ts";

test("there is surely nothing only where no folder up to the repository's root has a .lodestar", async () => {
  using here = await fleet({ init: false });
  const deep = join(here.path, "a", "b");
  mkdirSync(deep, { recursive: true });
  expect(nothingHere(deep)).toBe(true);
  mkdirSync(join(here.path, "a", ".lodestar"));
  expect(nothingHere(deep)).toBe(false);
  expect(nothingHere(here.path)).toBe(true);
  rmSync(join(here.path, "a", ".lodestar"), { recursive: true });
  // What lies outside of the repository is not its own.
  mkdirSync(join(here.base, ".lodestar"));
  expect(nothingHere(deep)).toBe(true);
});

test("a linked worktree may have its spec elsewhere: its hooks look", async () => {
  using here = await fleet({ init: false });
  here.write("a.txt", "x");
  here.commit();
  here.git("worktree", "add", "-q", "../linked", "-b", "linked");
  const linked = join(here.base, "linked");
  expect(nothingHere(linked)).toBe(false);
  await here.ok("init --no-agents-md");
  here.tasks(["A"], () => [], "{spec: main}");
  await here.join("ADA");
  await here.ok("task claim A --agent ADA", { cwd: linked });
  const { exit, stderr } = await here.run(["hook", "stop"], {
    cwd: linked,
    env: { LODESTAR_AGENT: "ADA" },
    stdin: "{}",
  });
  expect({ exit, told: stderr.includes("You still hold A") }).toEqual({ exit: 2, told: true });
});

/** What hooks tell of a folder by a few looks: only what is sure, and then the same as the whole program finds. */
import { expect, test } from "bun:test";
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { lookHere } from "../../src/git/here.ts";
import { findPlace, sharedFolder } from "../../src/git/worktree.ts";
import { fleet } from "../support/fleet.ts";

const NOTHING = { kind: "nothing" } as const;
const UNCLEAR = { kind: "unclear" } as const;

/** Set up, and what worktrees share lies where the whole program looks for it. */
function expectSetUp(folder: string): void {
  const place = findPlace(folder);
  if (place === undefined) throw new Error(`${folder} is in no worktree`);
  expect(lookHere(folder)).toEqual({ kind: "set up", root: place.root, shared: sharedFolder(place) });
}

test("there is surely nothing only where no folder up to the repository's root has a .lodestar", async () => {
  using here = await fleet({ init: false });
  const deep = join(here.path, "a", "b");
  mkdirSync(deep, { recursive: true });
  expect(lookHere(deep)).toEqual(NOTHING);
  mkdirSync(join(here.path, "a", ".lodestar"));
  expect(lookHere(deep)).toEqual(UNCLEAR);
  expect(lookHere(here.path)).toEqual(NOTHING);
  rmSync(join(here.path, "a", ".lodestar"), { recursive: true });
  // What lies outside of the repository is not its own.
  mkdirSync(join(here.base, ".lodestar"));
  expect(lookHere(deep)).toEqual(NOTHING);
});

test("a repository, a folder of it with a spec of its own, their linked worktrees, and no repository at all are told", async () => {
  using here = await fleet();
  const deep = join(here.path, "a", "b");
  here.write("a/b/c.txt", "x");
  expectSetUp(here.path);
  expectSetUp(deep);
  here.write("a/.lodestar/spec.yaml", "tasks: {}\n");
  expectSetUp(deep);
  here.git("add", "-A", "-f", ".lodestar/spec.yaml", "a");
  here.commit();
  here.git("worktree", "add", "-q", "../linked tree", "-b", "linked");
  expectSetUp(join(here.base, "linked tree"));
  expectSetUp(join(here.base, "linked tree", "a", "b"));
  renameSync(join(here.path, ".git"), join(here.base, "git"));
  expectSetUp(deep);
});

test("whatever takes more than a look is unclear", async () => {
  using here = await fleet();
  here.git("add", "-A", "-f", ".lodestar/spec.yaml");
  here.commit();
  const linked = join(here.base, "linked");
  here.git("worktree", "add", "-q", "../linked", "-b", "linked");
  expect(lookHere(linked).kind).toBe("set up");
  // Its main worktree may have a spec that this branch has not.
  rmSync(join(linked, ".lodestar"), { recursive: true });
  expect(lookHere(linked)).toEqual(UNCLEAR);
  here.git("worktree", "add", "-q", "--detach", "../moved");
  renameSync(join(here.base, "moved"), join(here.base, "elsewhere"));
  expectSetUp(join(here.base, "elsewhere"));
  for (const line of ["\tworktree = ../other", "\tbare = true", "\tbare", "[include]\n\tpath = x"]) {
    const config = join(here.path, ".git/config");
    const before = await Bun.file(config).text();
    appendFileSync(config, `${line}\n`);
    expect({ line, here: lookHere(here.path) }).toEqual({ line, here: UNCLEAR });
    await Bun.write(config, before);
  }
  expect(lookHere(here.path).kind).toBe("set up");
  renameSync(join(here.path, ".lodestar"), join(here.base, "lodestar"));
  symlinkSync(join(here.base, "lodestar"), join(here.path, ".lodestar"));
  expectSetUp(here.path);
  rmSync(join(here.base, "lodestar"), { recursive: true });
  expect(lookHere(here.path)).toEqual(NOTHING);
});

test("a .git that no Git wrote holds nobody up, and is left to the whole program", async () => {
  using here = await fleet();
  const git = join(here.path, ".git");
  renameSync(git, join(here.base, "git"));
  symlinkSync(join(here.base, "git"), git);
  expectSetUp(here.path);
  for (const long of [join(git, "config"), git]) {
    rmSync(long);
    Bun.spawnSync(["mkfifo", long]);
    expect(lookHere(here.path)).toEqual(UNCLEAR);
    rmSync(long);
    here.write("long", "x".repeat(70_000));
    renameSync(join(here.path, "long"), long);
    expect(lookHere(here.path)).toEqual(UNCLEAR);
  }
});

test("a linked worktree may have its spec elsewhere: its hooks look", async () => {
  using here = await fleet({ init: false });
  here.write("a.txt", "x");
  here.commit();
  here.git("worktree", "add", "-q", "../linked", "-b", "linked");
  const linked = join(here.base, "linked");
  expect(lookHere(linked)).toEqual(UNCLEAR);
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

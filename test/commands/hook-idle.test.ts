/** Hooks that find nothing to do end after a look at the runtime; whatever could need them, or is in doubt, is left to the whole program. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { areElsewhere } from "../../src/commands/setup/edited-files.ts";
import { agree, plainPrefix } from "../../src/core/glob-prefix.ts";
import type { Lease } from "../../src/lease/lease.ts";
import { HeldPaths } from "../../src/lease/locks.ts";
import { isIdle, mayBeElsewhere, othersLocks } from "../../src/runtime/sqlite/idle.ts";
import { type Fleet, fleet } from "../support/fleet.ts";

const NEEDS = ["others' locks", "own lease", "own lease due"] as const;
type Need = (typeof NEEDS)[number];
const runtimeOf = (here: Fleet): string => join(here.path, ".lodestar", "runtime.sqlite");

/** What can be left alone, by who asks: an agent, or one that is not known. */
function idle(here: Fleet, agent: string | null, wall = Date.now()): Need[] {
  return NEEDS.filter((need) =>
    need === "others' locks"
      ? othersLocks(runtimeOf(here), agent)?.length === 0
      : isIdle(runtimeOf(here), need, agent, wall),
  );
}

function alter(here: Fleet, sql: string): void {
  using database = new Database(runtimeOf(here));
  database.run(sql);
}

/** BEN holds B, which owns src/b/**; ADA holds A, which owns nothing. */
async function held(): Promise<Fleet> {
  const here = await fleet();
  here.tasks(["A", "B"], (id) => (id === "B" ? ["locks: ['src/b/**']"] : []));
  await here.join("ADA", "BEN", "CY");
  await here.ok("task claim B --agent BEN");
  await here.ok("task claim A --agent ADA");
  return here;
}

test("what an agent needs a hook for: others' locks, its own leases, those past half their time", async () => {
  using here = await held();
  expect(idle(here, "ADA")).toEqual(["own lease due"]);
  expect(idle(here, "BEN")).toEqual(["others' locks", "own lease due"]);
  expect(idle(here, "CY")).toEqual(["own lease", "own lease due"]);
  expect(idle(here, null)).toEqual(["own lease due"]);
  // Past half of fifteen minutes, by the runtime's clock: also where it is ahead of this machine's.
  const later = Date.now() + 8 * 60_000;
  expect(idle(here, "ADA", later)).toEqual([]);
  expect(idle(here, "CY", later)).toEqual(["own lease", "own lease due"]);
  expect(idle(here, null, later)).toEqual([]);
  alter(here, `update runtime set clock_offset = ${8 * 60_000}`);
  expect(idle(here, "ADA")).toEqual([]);
  alter(here, `update runtime set clock_offset = 0, last_now = ${later}`);
  expect(idle(here, "ADA")).toEqual([]);
  // Over, and not swept: the hook that sweeps says so.
  expect(idle(here, "ADA", later + 3_600_000)).toEqual([]);
});

test("leases that have ended need nothing", async () => {
  using here = await held();
  await here.ok("task release B --agent BEN");
  await here.ok("task done A --agent ADA");
  expect(idle(here, null)).toEqual([...NEEDS]);
});

test("a runtime that is not there, moved on, of another version, damaged, or no file is in doubt", async () => {
  for (const damage of [
    (here: Fleet) => alter(here, "update runtime set moved_to = 'postgres://x/y'"),
    (here: Fleet) => alter(here, "pragma user_version = 99"),
    (here: Fleet) => alter(here, "delete from runtime"),
    (here: Fleet) => writeFileSync(runtimeOf(here), "no database ".repeat(900)),
    (here: Fleet) => rmSync(runtimeOf(here)),
    (here: Fleet) => {
      rmSync(runtimeOf(here));
      mkdirSync(runtimeOf(here));
    },
    (here: Fleet) => {
      rmSync(runtimeOf(here));
      Bun.spawnSync(["mkfifo", runtimeOf(here)]);
    },
  ]) {
    using here = await fleet();
    await here.join("ADA");
    expect(idle(here, "ADA")).toEqual([...NEEDS]);
    for (const part of ["-wal", "-shm"]) rmSync(`${runtimeOf(here)}${part}`, { force: true });
    damage(here);
    expect(idle(here, "ADA"), String(damage)).toEqual([]);
  }
});

/** The modules that a hook loads, by a run from the sources. */
function loadedBy(here: Fleet, event: string, env: Readonly<Record<string, string>>, said = "{}"): readonly string[] {
  const root = join(import.meta.dir, "..", "..");
  const counts = join(here.base, "counts.json");
  const preload = join(root, "test/performance/counting.ts");
  Bun.spawnSync([process.execPath, "--preload", preload, join(root, "src/main.ts"), "hook", event], {
    cwd: here.path,
    env: { PATH: process.env.PATH, HOME: here.base, ...env, LODESTAR_COUNTS: counts },
    stdin: new TextEncoder().encode(said),
  });
  return (JSON.parse(readFileSync(counts, "utf8")) as { modules: string[] }).modules;
}

test("a hook with nothing to do loads a handful of small modules; in doubt the whole program", async () => {
  using here = await held();
  for (const [event, agent] of [
    ["pre-edit", "BEN"],
    ["post-tool", "ADA"],
    ["stop", "CY"],
  ] as const) {
    const modules = loadedBy(here, event, { LODESTAR_AGENT: agent });
    expect(modules).toContain("runtime/sqlite/idle.ts");
    expect(modules.length, `${event}: ${modules.join(" ")}`).toBeLessThan(9);
  }
  const whole = (event: string, env: Readonly<Record<string, string>>) =>
    expect(loadedBy(here, event, env), event).toContain("commands/setup/hook-work.ts");
  whole("session-start", { LODESTAR_AGENT: "CY" });
  whole("stop", { LODESTAR_AGENT: "ADA" });
  whole("stop", {});
  // What counts may be another runtime.
  whole("stop", { LODESTAR_AGENT: "CY", LODESTAR_RUNTIME: runtimeOf(here) });
  mkdirSync(join(here.base, ".config/lodestar"), { recursive: true });
  writeFileSync(join(here.base, ".config/lodestar/trusted-runtimes.json"), "[]");
  whole("stop", { LODESTAR_AGENT: "CY" });
  expect(mayBeElsewhere({ HOME: here.base }, false)).toBe(true);
  expect(mayBeElsewhere({ HOME: here.base, XDG_CONFIG_HOME: join(here.base, "none") }, false)).toBe(false);
}, 60_000);

test("an edit away from others' locks is let through by a few small modules; near them, or in doubt, the whole program looks", async () => {
  using here = await held();
  const loaded = (said: unknown) =>
    loadedBy(here, "pre-edit", { LODESTAR_AGENT: "ADA" }, typeof said === "string" ? said : JSON.stringify(said));
  for (const file_path of ["src/c.ts", join(here.path, "src/c.ts"), "src/new/folder/x.ts"]) {
    const modules = loaded({ tool_input: { file_path } });
    expect(modules).toContain("commands/setup/edited-files.ts");
    expect(modules.length, modules.join(" ")).toBeLessThan(13);
  }
  for (const said of [{ tool_input: { file_path: "src/b/x.ts" } }, { tool_input: { file_path: "/etc/hosts" } }, "{ no"])
    expect(loaded(said)).toContain("commands/setup/hook-work.ts");
}, 60_000);

test("of an edit only what is surely elsewhere is let through, links and other worktrees looked at", async () => {
  using here = await fleet();
  here.write("src/b/x.ts", "x");
  here.write("src/c/x.ts", "x");
  symlinkSync("b", join(here.path, "src/link"));
  symlinkSync("../b/new.ts", join(here.path, "src/c/new.ts"));
  here.git("add", "-A", "-f", ".lodestar/spec.yaml");
  here.commit();
  here.git("worktree", "add", "-q", "../linked", "-b", "linked");
  here.git("init", "-q", "nested");
  const free = (file_path: string, patterns: readonly string[], cwd = here.path) =>
    areElsewhere({ tool_input: { file_path } }, cwd, here.path, patterns);
  for (const pattern of ["src/b/**", "src/b/", "src/b", "./src//b/*", "/src/b/x.ts", "{src,lib}/b/**", "*", "!x"]) {
    for (const file of ["src/b/x.ts", "src/b", "src/link/x.ts", "src/link/not/there", "src/c/new.ts"])
      expect({ pattern, file, free: free(file, [pattern]) }).toEqual({ pattern, file, free: false });
    expect(free("x.ts", [pattern], join(here.path, "src/b"))).toBe(false);
  }
  expect(free("src/c/x.ts", ["src/b/**", "src/cc", "src/c/y"])).toBe(true);
  expect(free("src/c/x.ts", ["src/b/**", "src/c"])).toBe(false);
  expect(free("src/c/x.ts", ["x".repeat(3000)])).toBe(false);
  for (const file of [
    join(here.base, "linked/src/c/x.ts"),
    "nested/x.ts",
    "../x.ts",
    "src/c/\0",
    `src/${"c".repeat(5000)}`,
  ])
    expect({ file, free: free(file, ["src/b/**"]) }).toEqual({ file, free: false });
  const both = { tool_input: { edits: [{ path: "src/c/x.ts" }, { path: "src/b/x.ts" }] } };
  expect(areElsewhere(both, here.path, here.path, ["src/b/**"])).toBe(false);
  // Nothing is named, or nothing is written.
  expect(areElsewhere({}, here.path, here.path, ["*"])).toBe(true);
  for (const root of ["", "/", "C:", "c:\\"])
    expect(areElsewhere({ tool_input: { path: "/x" } }, "/", root, ["y"])).toBe(false);
});

test("a path that begins otherwise than a pattern, as far as that can be read off, is in no lock", () => {
  const piece = fc.constantFrom(
    "a",
    "b",
    "ab",
    "/",
    "//",
    ".",
    "./",
    "*",
    "**",
    "?",
    "[ab]",
    "{a,b}",
    "\\\\a",
    "!",
    ",",
  );
  const path = fc
    .array(fc.constantFrom("a", "b", "ab", ".a"), { minLength: 1, maxLength: 4 })
    .map((names) => names.join("/"));
  const pattern = fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(path, pattern, (file, lock) => {
      fc.pre(!agree(file, plainPrefix(lock)));
      const lease = { agent_id: "BEN", locks: [lock] } as unknown as Lease;
      expect(new HeldPaths([lease], "ADA").on(file)).toBeUndefined();
    }),
    { numRuns: 2000 },
  );
});

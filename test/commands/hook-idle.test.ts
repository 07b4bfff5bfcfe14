/** Hooks that find nothing to do end after a look at the runtime; whatever could need them, or is in doubt, is left to the whole program. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isIdle, mayBeElsewhere, type Need } from "../../src/runtime/sqlite/idle.ts";
import { type Fleet, fleet } from "../support/fleet.ts";

const NEEDS: readonly Need[] = ["others' locks", "own lease", "own lease due"];
const runtimeOf = (here: Fleet): string => join(here.path, ".lodestar", "runtime.sqlite");

/** What can be left alone, by who asks: an agent, or one that is not known. */
function idle(here: Fleet, agent: string | null, wall = Date.now()): Need[] {
  return NEEDS.filter((need) => isIdle(runtimeOf(here), need, agent, wall));
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
function loadedBy(here: Fleet, event: string, env: Readonly<Record<string, string>>): readonly string[] {
  const root = join(import.meta.dir, "..", "..");
  const counts = join(here.base, "counts.json");
  const preload = join(root, "test/performance/counting.ts");
  Bun.spawnSync([process.execPath, "--preload", preload, join(root, "src/main.ts"), "hook", event], {
    cwd: here.path,
    env: { PATH: process.env.PATH, HOME: here.base, ...env, LODESTAR_COUNTS: counts },
    stdin: new TextEncoder().encode("{}"),
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
  whole("pre-edit", { LODESTAR_AGENT: "ADA" });
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

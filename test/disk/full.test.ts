/** A disk that is full at every possible write of a command: nothing is lost, the answer is clear, and room is all that is missing. */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fleet, LODESTAR, leftovers, specText, tasksIn, words } from "../support/fleet.ts";
import { NO_SMALL_DISK, type SmallDisk, smallDisk } from "../support/small-disk.ts";

const LONG = 300_000;
const IDS = Array.from({ length: 40 }, (_, i) => `T${i}`);
/** With LODESTAR_ROUNDS every number of free pages is tried; else those at which answers were seen to change, and some between. */
const THOROUGH = process.env.LODESTAR_ROUNDS !== undefined;
const PAGES = Array.from({ length: 64 }, (_, n) => n).filter(
  (n) => THOROUGH || n < 8 || (n < 32 && n % 4 === 0) || n % 16 === 0,
);

// biome-ignore lint/suspicious/noExplicitAny: a test looks into the answer of any command, and asserts what it finds.
type Json = any;

interface Case {
  readonly line: string;
  /** The state it starts in. */
  readonly from: "bare" | "planned" | "unindexed" | "waiting";
  /** Whether the effect is there, by the spec's tasks and the runtime's rows. */
  readonly done: (state: { tasks: Json; rows: (sql: string) => Json[] }) => boolean;
  /** What may be left half done, told by the error. */
  readonly halves?: RegExp;
}

const outcome =
  (id: string, rank: number) =>
  ({ rows }: { rows: (sql: string) => Json[] }) =>
    rows(`select 1 from outcome where task_id = '${id}' and rank = ${rank}`).length === 1;

const CASES: readonly Case[] = [
  { line: "init", from: "bare", done: ({ tasks }) => tasks !== undefined },
  { line: "init --mcp --force", from: "planned", done: ({ tasks }) => tasks !== undefined && tasks.T0 === undefined },
  {
    line: "agent join --id C",
    from: "planned",
    done: ({ rows }) => rows("select 1 from agent where agent_id = 'C'").length === 1,
  },
  { line: "task create --id NEW --title New", from: "planned", done: ({ tasks }) => tasks?.NEW?.title === "New" },
  { line: "task update T9 --title New", from: "planned", done: ({ tasks }) => tasks?.T9?.title === "New" },
  {
    line: "task import tasks.yaml",
    from: "planned",
    done: ({ tasks }) => Object.keys(tasks ?? {}).length === IDS.length + 2,
  },
  {
    line: "task claim T2 --agent A",
    from: "planned",
    done: ({ rows }) => rows("select 1 from lease where task_id = 'T2' and ended is null").length === 1,
  },
  {
    line: "task claim T2 --agent A",
    from: "unindexed",
    done: ({ rows }) => rows("select 1 from lease where task_id = 'T2' and ended is null").length === 1,
  },
  { line: "task done T0 --agent A", from: "planned", done: outcome("T0", 1) },
  { line: "task verify T1 --agent A", from: "planned", done: outcome("T1", 2) },
  {
    line: "reset --hard --force",
    from: "planned",
    done: ({ tasks, rows }) => Object.keys(tasks ?? {}).length === 0 && rows("select 1 from agent").length === 0,
    halves: /tasks are removed and kept in .*backup-/,
  },
  {
    line: "doctor --fix",
    from: "waiting",
    done: ({ tasks }) => tasks?.T0?.status === "done",
  },
];

describe.skipIf(NO_SMALL_DISK !== undefined)("a disk with so many pages left", () => {
  let disk: SmallDisk;
  let kept: string;
  const repo = () => join(disk.seen, "repo");
  const spec = () => join(repo(), ".lodestar/spec.yaml");

  function run(...argv: readonly string[]) {
    const ran = Bun.spawnSync(disk.inside(...argv), {
      env: { PATH: process.env.PATH ?? "", HOME: disk.path, GIT_CONFIG_NOSYSTEM: "1", LC_ALL: "C.UTF-8" },
      stdout: "pipe",
      stderr: "pipe",
    });
    return { exit: ran.exitCode, stdout: ran.stdout.toString(), stderr: ran.stderr.toString() };
  }
  const lodestar = (line: string) => {
    const ran = run(LODESTAR, "-C", join(disk.path, "repo"), ...words(line), "--json");
    return { ...ran, json: JSON.parse(ran.stdout) as Json };
  };
  const must = (line: string) => {
    const ran = lodestar(line);
    if (ran.exit !== 0) throw new Error(`${line}: ${ran.stdout}${ran.stderr}`);
  };
  const git = (...args: readonly string[]) => {
    const ran = run("git", "-C", join(disk.path, "repo"), ...args);
    if (ran.exit !== 0) throw new Error(`git ${args.join(" ")}: ${ran.stderr}`);
  };
  const copy = (from: string, to: string) => cpSync(from, to, { recursive: true, preserveTimestamps: true });
  const keep = (state: string) => copy(repo(), join(kept, state));
  const restore = (state: string) => {
    disk.empty();
    rmSync(repo(), { recursive: true, force: true });
    copy(join(kept, state), repo());
  };

  /** What the runtime's file holds, from a copy: this process sees the disk by a path that SQLite would not follow. */
  function rowsOf(path: string): (sql: string) => Json[] {
    const at = mkdtempSync(join(tmpdir(), "lodestar-copy-"));
    for (const part of ["", "-wal"]) if (existsSync(path + part)) copy(path + part, join(at, `runtime.sqlite${part}`));
    return (sql) => {
      if (!existsSync(path)) return [];
      using database = new Database(join(at, "runtime.sqlite"));
      return database.query(sql).all();
    };
  }
  const tasksNow = (): Json => (existsSync(spec()) ? tasksIn(readFileSync(spec(), "utf8")) : undefined);
  const temps = (): string[] =>
    readdirSync(repo(), { recursive: true, encoding: "utf8" }).filter((name) => /\.tmp$|-journal$/.test(name));

  beforeAll(async () => {
    disk = await smallDisk(16);
    kept = mkdtempSync(join(tmpdir(), "lodestar-kept-"));
    mkdirSync(repo());
    git("init", "-q", "-b", "main");
    keep("bare");
    must("init");
    must("agent join --id A");
    must("agent join --id B");
    writeFileSync(spec(), specText(IDS));
    writeFileSync(join(repo(), "tasks.yaml"), "- title: One\n- title: Two\n");
    writeFileSync(join(repo(), "AGENTS.md"), `# Ours\n\n${"Written by hand. ".repeat(2000)}\n`);
    must("task claim T0 --agent A");
    must("task done T1 --agent B");
    keep("planned");
    for (const part of ["", "-wal", "-shm"]) rmSync(join(repo(), `.lodestar/index.sqlite${part}`), { force: true });
    keep("unindexed");
    // The outcome is in the runtime alone, and the ignore rules are gone.
    const before = readFileSync(spec(), "utf8");
    must("task done T0 --agent A");
    writeFileSync(spec(), before);
    writeFileSync(join(repo(), ".git/info/exclude"), "mine\n");
    keep("waiting");
  }, LONG);

  afterAll(() => {
    disk[Symbol.dispose]();
    rmSync(kept, { recursive: true, force: true });
  });

  test.each(CASES.map((each) => [`${each.line} (${each.from})`, each] as const))(
    "%s: whole or DISK_FULL, nothing lost, and the same call succeeds when there is room",
    (_name, { line, from, done, halves }) => {
      const seen = new Set<string>();
      for (const pages of PAGES) {
        restore(from);
        const before = existsSync(spec()) ? readFileSync(spec(), "utf8") : undefined;
        const instructions = existsSync(join(repo(), "AGENTS.md"))
          ? readFileSync(join(repo(), "AGENTS.md"), "utf8")
          : "";
        disk.leave(pages);
        const { exit, json } = lodestar(line);
        const code = exit === 0 ? "ok" : json.error.code;
        seen.add(code);
        const at = { line, pages, exit, error: json.error?.message };
        expect({ ...at, code }).toEqual({
          ...at,
          code: exit === 0 ? "ok" : line.startsWith("doctor") ? "UNHEALTHY" : "DISK_FULL",
        });
        expect({ ...at, temps: temps() }).toEqual({ ...at, temps: [] });
        // What a person wrote is there, whatever became of our part.
        if (instructions !== "")
          expect(readFileSync(join(repo(), "AGENTS.md"), "utf8").startsWith(instructions.trimEnd())).toBe(true);
        const rows = rowsOf(join(repo(), ".lodestar/runtime.sqlite"));
        if (existsSync(join(repo(), ".lodestar/runtime.sqlite")))
          expect({ ...at, check: rows("pragma integrity_check") }).toEqual({
            ...at,
            check: [{ integrity_check: "ok" }],
          });
        const state = { tasks: tasksNow(), rows };
        if (exit === 0 && !line.startsWith("doctor"))
          expect({ ...at, done: done(state) }).toEqual({ ...at, done: true });
        const half = halves?.test(json.error?.message ?? "") ?? false;
        if (exit !== 0 && line !== "init" && !half)
          expect({ ...at, same: readFileSync(spec(), "utf8") === before }).toEqual({ ...at, same: true });
        if (half)
          expect(readFileSync(join(disk.seen, json.error.details.backup.slice(disk.path.length)), "utf8")).toBe(
            before ?? "",
          );
        if (exit !== 0 && line.startsWith("init --") && existsSync(spec()))
          expect(
            readdirSync(join(repo(), ".lodestar")).filter((name) => name.includes("backup")).length,
          ).toBeLessThanOrEqual(1);

        disk.empty();
        // A repeat of what was done: some commands are refused then, as they would be on any disk.
        if (exit !== 0 || !/create|reset|import/.test(line)) must(line);
        const after = { tasks: tasksNow(), rows: rowsOf(join(repo(), ".lodestar/runtime.sqlite")) };
        expect({ ...at, afterwards: done(after) }).toEqual({ ...at, afterwards: true });
      }
      // Else the disk was never full where it matters.
      expect([...seen].sort()).toEqual([line.startsWith("doctor") ? "UNHEALTHY" : "DISK_FULL", "ok"].sort());
    },
    LONG,
  );

  test(
    "what was finished on a full disk reaches the spec with the next command",
    () => {
      let waited = 0;
      // Each of them: between room for the runtime alone and room for both there are two or three.
      for (let pages = 0; pages < 32; pages += 1) {
        restore("planned");
        disk.leave(pages);
        const { exit, json } = lodestar("task done T0 --agent A");
        if (exit !== 0 || tasksNow().T0.status === "done") continue;
        waited += 1;
        expect(json.warnings.join()).toContain("not yet written to the spec");
        expect(lodestar("task show T0").json.data.status).toBe("done");
        disk.empty();
        must("agent heartbeat --agent B");
        expect(tasksNow().T0).toMatchObject({ status: "done", completed_by: "A" });
      }
      expect(waited).toBeGreaterThan(0);
    },
    LONG,
  );

  test(
    "without a free inode, too: DISK_FULL, and nothing is lost",
    () => {
      restore("planned");
      const before = readFileSync(spec(), "utf8");
      const used = Number(
        run("stat", "-f", "-c", "%c %d", disk.path)
          .stdout.split(" ")
          .reduce((all, free) => String(Number(all) - Number(free))),
      );
      disk.remount(`nr_inodes=${used}`);
      try {
        const { exit, json } = lodestar("task create --id NEW --title New");
        expect({ exit, code: json.error?.code }).toEqual({ exit: 5, code: "DISK_FULL" });
        expect(readFileSync(spec(), "utf8")).toBe(before);
        expect(lodestar("task show T3").exit).toBe(0);
      } finally {
        disk.remount("nr_inodes=100000");
      }
      must("task create --id NEW --title New");
      expect(tasksNow().NEW.title).toBe("New");
    },
    LONG,
  );
});

test.skipIf(NO_SMALL_DISK === undefined)("small disks are not tested here", () => {
  console.log(`skipped: ${NO_SMALL_DISK}`);
});

describe("where no disk can be made small", () => {
  test.each(["before-temp", "after-temp-write", "after-fsync", "before-rename"])(
    "a save that finds no room at %s leaves the old spec and no temp file",
    async (point) => {
      using here = await fleet();
      here.tasks(["T"]);
      const { FAULTY } = await import("../support/fleet.ts");
      const path = join(here.path, ".lodestar/spec.yaml");
      const before = readFileSync(path, "utf8");
      for (const [how, code] of [
        ["ENOSPC", "DISK_FULL"],
        ["EDQUOT", "DISK_FULL"],
        ["EFBIG", "DISK_FULL"],
        ["EROFS", "READ_ONLY"],
        ["EACCES", "READ_ONLY"],
      ]) {
        const options = { program: FAULTY, env: { LODESTAR_FAULT: `${point}:${how}` } };
        const { exit, json } = await here.call("task create --id N --title N", options);
        expect({ how, code: json.error?.code, exit }).toEqual({ how, code, exit: code === "DISK_FULL" ? 5 : 6 });
        expect(readFileSync(path, "utf8")).toBe(before);
        expect(leftovers(here.path)).toEqual([]);
      }
      await here.ok("task create --id N --title N");
    },
  );

  test.skipIf(process.platform === "win32")(
    "a limit on the size of files (ulimit -f) is DISK_FULL, and the spec is as it was",
    async () => {
      using here = await fleet();
      here.tasks(Array.from({ length: 5000 }, (_, i) => `T${i}`));
      await here.ok("status");
      const path = join(here.path, ".lodestar/spec.yaml");
      const before = readFileSync(path, "utf8");
      // Blocks of 512 bytes: less than the spec has.
      const limited = ["-c", `trap '' XFSZ; ulimit -f 1000; exec "$@"`, "sh", LODESTAR];
      const { exit, json } = await here.call([...limited, "task", "create", "--id", "N", "--title", "N"], {
        program: "/bin/sh",
      });
      expect({ exit, code: json.error?.code }).toEqual({ exit: 5, code: "DISK_FULL" });
      expect(readFileSync(path, "utf8")).toBe(before);
      expect(leftovers(here.path)).toEqual([]);
      await here.ok("task create --id N --title N");
    },
  );
});

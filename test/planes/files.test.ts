/** The files of the planes: kept, ignored, foreign, damaged, read-only (S2, and "Foreign and damaged" in model.md). */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Fleet, fleet, rounds, specText, tally, together } from "../support/fleet.ts";
import { outbox, rows } from "../support/runtime-file.ts";

const LONG = 120_000;
const READING = [
  "status",
  "task list",
  "task show T",
  "task next",
  "task next -n 3 --review",
  "doctor",
  "agent list",
  "events --since 0",
];

describe("S2: the spec", () => {
  test("a symlinked spec is followed, and stays a symlink", async () => {
    using here = await fleet();
    here.tasks(["T"]);
    const real = join(here.path, "planning/tasks.yaml");
    mkdirSync(join(here.path, "planning"));
    renameSync(join(here.path, ".lodestar/spec.yaml"), real);
    symlinkSync("../planning/tasks.yaml", join(here.path, ".lodestar/spec.yaml"));
    await together(8, (n) => here.ok(`task create --id N${n} --title N`));
    await here.ok("task done T");
    expect(lstatSync(join(here.path, ".lodestar/spec.yaml")).isSymbolicLink()).toBe(true);
    expect(readlinkSync(join(here.path, ".lodestar/spec.yaml"))).toBe("../planning/tasks.yaml");
    expect(readFileSync(real, "utf8")).toContain("status: done");
    expect(Object.keys(here.file())).toHaveLength(9);
    expect(readdirSync(join(here.path, "planning"))).toEqual(["tasks.yaml"]);
  });

  test("two worktrees whose specs are links to one file share one lock and lose nothing", async () => {
    using here = await fleet();
    here.tasks(["T"]);
    here.commit();
    const beside = join(here.base, "beside");
    here.git("worktree", "add", "-q", "-b", "feat", beside);
    renameSync(join(beside, ".lodestar/spec.yaml"), join(beside, ".lodestar/old.yaml"));
    symlinkSync(join(here.path, ".lodestar/spec.yaml"), join(beside, ".lodestar/spec.yaml"));
    await together(24, (n) => here.ok(`task create --id N${n} --title N`, { cwd: n % 2 === 0 ? beside : here.path }));
    expect(Object.keys(here.file())).toHaveLength(25);
  });

  test.skipIf(process.platform === "win32")("the file's mode is kept", async () => {
    using here = await fleet();
    here.tasks(["T"]);
    for (const mode of [0o640, 0o664, 0o600]) {
      chmodSync(join(here.path, ".lodestar/spec.yaml"), mode);
      await here.ok(`task create --id M${mode} --title N`);
      expect(statSync(join(here.path, ".lodestar/spec.yaml")).mode & 0o777).toBe(mode);
    }
  });

  test("line ends and a missing last one are kept", async () => {
    using here = await fleet();
    writeFileSync(join(here.path, ".lodestar/spec.yaml"), specText(["T", "U"]).replaceAll("\n", "\r\n"));
    await here.ok("task done T");
    const text = readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8");
    expect(text.replaceAll("\r\n", "")).not.toContain("\n");
    expect(here.file().T.status).toBe("done");
  });
});

describe("reading stays reading", () => {
  const listing = (folder: string) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => !name.startsWith(".git/"))
      .sort()
      .map((name) => ({ name, mtime: statSync(join(folder, name)).mtimeMs }));

  test("commands that read make no file and touch none, where there is no runtime and no index", async () => {
    using here = await fleet({ init: false });
    here.write(".lodestar/spec.yaml", specText(["T", "U"]));
    const before = { files: listing(here.path), git: readdirSync(join(here.path, ".git")).sort() };
    for (const line of READING) expect({ line, exit: (await here.call(line)).exit }).toEqual({ line, exit: 0 });
    expect({ files: listing(here.path), git: readdirSync(join(here.path, ".git")).sort() }).toEqual(before);
  });

  test("and change nothing in a runtime that is there", async () => {
    using here = await fleet();
    await here.join("A");
    here.tasks(["T", "U"]);
    await here.ok("task claim T --agent A --ttl 1s");
    await here.ok("status");
    const state = () => ({
      events: rows(here.path, "select * from event"),
      leases: rows(here.path, "select * from lease"),
      agents: rows(here.path, "select * from agent"),
    });
    const before = state();
    for (const line of READING)
      await here.ok(`${line} --agent A`.replace(/^(doctor|agent list|events.*) --agent A$/, "$1"));
    expect(state()).toEqual(before);
    expect(
      readdirSync(join(here.path, ".lodestar")).filter(
        (name) => !/^(spec\.yaml|\.gitignore|(index|runtime)\.sqlite(-wal|-shm)?)$/.test(name),
      ),
    ).toEqual([]);
  });

  test("they work on media that cannot be written, and commands that write say READ_ONLY", async () => {
    using here = await fleet();
    await here.join("A");
    here.tasks(["T", "U"]);
    await here.ok("task claim T --agent A");
    const mount = (...args: string[]) =>
      Bun.spawnSync(["mount", ...args], { stdout: "ignore", stderr: "ignore" }).exitCode === 0;
    if (!mount("--bind", here.path, here.path) || !mount("-o", "remount,bind,ro", here.path)) {
      console.log("skipped: this machine does not let the tests mount a folder read-only");
      return;
    }
    try {
      for (const line of READING) {
        const { exit, stdout } = await here.call(line);
        expect({ line, exit, stdout: exit === 0 ? "" : stdout }).toEqual({ line, exit: 0, stdout: "" });
      }
      expect((await here.ok("status")).leases).toMatchObject([{ task_id: "T" }]);
      for (const line of ["task create --title N", "agent join", "task done T --agent A", "task claim U --agent A"]) {
        const { exit, json } = await here.call(line);
        expect({ line, code: json.error?.code, exit }).toEqual({ line, code: "READ_ONLY", exit: 6 });
      }
    } finally {
      Bun.spawnSync(["umount", here.path]);
    }
    await here.ok("task done T --agent A");
  });
});

describe("a foreign runtime", () => {
  const path = (here: Fleet) => join(here.path, ".lodestar/runtime.sqlite");

  function makeForeign(here: Fleet, journal: "wal" | "delete"): void {
    using database = new Database(path(here), { create: true });
    database.run(`pragma journal_mode = ${journal}`);
    database.run("create table agents (agent_id text primary key, display_name text)");
    database.run("insert into agents values ('OLD', 'of the predecessor')");
  }

  test("is moved aside by the first that writes, with a warning; reading leaves it", async () => {
    using here = await fleet();
    here.tasks(["T"]);
    makeForeign(here, "wal");
    const read = await here.call("status");
    expect(read.exit).toBe(0);
    expect(read.json.warnings.join()).toContain("another program");
    expect(existsSync(`${path(here)}.foreign-1`)).toBe(false);
    const written = await here.call("agent join --id A");
    expect(written.exit).toBe(0);
    expect(written.json.warnings.join()).toContain("runtime.sqlite.foreign-1");
    expect(rows(here.path, "select * from agents", ".lodestar/runtime.sqlite.foreign-1")).toEqual([
      { agent_id: "OLD", display_name: "of the predecessor" },
    ]);
    expect((await here.call("agent join --id B")).json.warnings).toEqual([]);
    // Another one, later, gets another name.
    for (const part of ["", "-wal", "-shm"])
      if (existsSync(path(here) + part)) renameSync(path(here) + part, `${path(here)}${part}.kept`);
    makeForeign(here, "delete");
    await here.ok("agent join --id C");
    expect(existsSync(`${path(here)}.foreign-2`)).toBe(true);
    expect(here.git("status", "--porcelain", "--untracked-files=all")).not.toContain("foreign");
  });

  test.each(["wal", "delete"] as const)(
    "(counterexample 21) 16 processes at once move it once (journal %s), and lose nothing of what they write",
    async (journal) => {
      for (const _ of rounds(3)) {
        using here = await fleet();
        here.tasks(["T"]);
        makeForeign(here, journal);
        const ran = await together(16, (n) => here.call(`agent join --id A${n}`));
        for (const { exit, stdout } of ran)
          expect({ exit, stdout: exit === 0 ? "" : stdout }).toEqual({ exit: 0, stdout: "" });
        const asides = readdirSync(join(here.path, ".lodestar")).filter((name) => /foreign-\d+$/.test(name));
        expect(asides).toEqual(["runtime.sqlite.foreign-1"]);
        expect(rows(here.path, "select agent_id from agents", ".lodestar/runtime.sqlite.foreign-1")).toEqual([
          { agent_id: "OLD" },
        ]);
        expect((await here.ok("agent list")).count).toBe(16);
        expect((await here.ok("events --since 0")).events).toHaveLength(16);
        expect(tally(ran.map(({ json }) => json.warnings.join().includes("foreign-1")))).toEqual({
          true: 1,
          false: 15,
        });
      }
    },
    LONG,
  );

  test(
    "(counterexample 21) nor do processes of two worktrees, which share no spec lock, and the first of which finish tasks",
    async () => {
      for (const _ of rounds(3)) {
        using here = await fleet();
        const ids = Array.from({ length: 12 }, (_, i) => `T${i}`);
        here.tasks(ids);
        here.commit();
        const beside = join(here.base, "beside");
        here.git("worktree", "add", "-q", "-b", "feat", beside);
        makeForeign(here, "wal");
        const ran = await Promise.all(
          ids.map((id, i) => here.call(`task done ${id}`, { cwd: i % 2 === 0 ? here.path : beside })),
        );
        for (const { exit, stdout } of ran)
          expect({ exit, stdout: exit === 0 ? "" : stdout }).toEqual({ exit: 0, stdout: "" });
        expect(readdirSync(join(here.path, ".lodestar")).filter((name) => /foreign-\d+$/.test(name))).toEqual([
          "runtime.sqlite.foreign-1",
        ]);
        for (const cwd of [here.path, beside])
          expect((await here.ok("status", { cwd })).tasks.by_status).toEqual({ done: 12 });
      }
    },
    LONG,
  );

  test("a newer, a damaged and a symlinked runtime are refused, and doctor mends the damaged one", async () => {
    using here = await fleet();
    here.tasks(["T"]);
    await here.join("A");
    {
      using database = new Database(path(here));
      database.run("pragma user_version = 99");
    }
    await here.refused("RUNTIME_TOO_NEW", "agent join --id B");
    for (const part of ["", "-wal", "-shm"])
      if (existsSync(path(here) + part)) renameSync(path(here) + part, join(here.base, `newer${part}`));
    writeFileSync(
      path(here),
      "this is no database, and longer than a header of one hundred bytes would be if it were one of those".repeat(20),
    );
    const damaged = await here.call("agent join --id B");
    expect([damaged.exit, damaged.json.error?.code]).toEqual([6, "RUNTIME_CORRUPT"]);
    expect((await here.call("doctor")).json.error.code).toBe("UNHEALTHY");
    const { fixed } = await here.ok("doctor --fix");
    expect(fixed.join()).toContain("runtime.sqlite.corrupt-1");
    await here.ok("agent join --id B");
    for (const part of ["", "-wal", "-shm"])
      if (existsSync(path(here) + part)) renameSync(path(here) + part, join(here.base, `old${part}`));
    symlinkSync(join(here.base, "stranger.sqlite"), path(here));
    expect((await here.call("agent join --id B")).json.error?.code).toBe("RUNTIME_CORRUPT");
    expect(existsSync(join(here.base, "stranger.sqlite"))).toBe(false);
  });

  test("a tracked one is refused, RUNTIME_TRACKED, with the way out", async () => {
    using here = await fleet();
    here.tasks(["T"]);
    await here.join("A");
    here.git("add", "-f", ".lodestar/runtime.sqlite");
    here.commit("by mistake");
    const clone = join(here.base, "clone");
    here.git("clone", "-q", here.path, clone);
    const error = await here.refused("RUNTIME_TRACKED", "agent join --id B", { cwd: clone });
    expect(error.hint).toContain("git rm --cached .lodestar/runtime.sqlite");
    expect((await here.call("doctor", { cwd: clone })).json.error.code).toBe("UNHEALTHY");
    here.git("-C", clone, "rm", "-q", "--cached", ".lodestar/runtime.sqlite");
    await here.ok("agent join --id B", { cwd: clone });
  });
});

describe("conflict markers in spec.yaml", () => {
  test("renew, release and done of held tasks work with a warning; the others say SPEC_CONFLICT_MARKERS; the repaired file gets the outcome", async () => {
    using here = await fleet();
    await here.join("A", "B");
    here.tasks(["R", "S", "T", "U"]);
    here.commit();
    for (const id of ["R", "S", "T"]) await here.ok(`task claim ${id} --agent A`);
    here.git("checkout", "-q", "-b", "feat");
    await here.ok("task update U --title Theirs");
    here.commit();
    here.git("checkout", "-q", "main");
    await here.ok("task update U --title Ours");
    here.commit();
    expect(() => here.git("merge", "-q", "feat")).toThrow();
    expect(readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8")).toContain("<<<<<<<");

    for (const line of [
      "task renew R --agent A",
      "task release S --agent A",
      "task done T --agent A",
      "agent heartbeat --agent A",
      "agent list",
    ]) {
      const { exit, json, stdout } = await here.call(line);
      expect({ line, exit, stdout: exit === 0 ? "" : stdout }).toEqual({ line, exit: 0, stdout: "" });
      if (line.startsWith("task")) expect(json.warnings.length).toBeGreaterThan(0);
    }
    expect((await here.ok("task done T --agent A")).already).toBe(true);
    await here.refused("NOT_HOLDER", "task done R --agent B");
    for (const line of [
      "status",
      "task list",
      "task show T",
      "task next",
      "task claim U --agent B",
      "task create --title N",
      "task verify T --agent B",
      "task next --claim --agent B",
      "task done U --agent B",
      "task delete U",
      "task reopen T",
      "task update U --title N",
    ]) {
      const { exit, json } = await here.call(line);
      expect({ line, exit, code: json.error?.code }).toEqual({ line, exit: 6, code: "SPEC_CONFLICT_MARKERS" });
      expect(json.error.details.problems[0].line).toBeGreaterThan(1);
    }
    expect((await here.call("doctor")).json.error.code).toBe("UNHEALTHY");

    here.git("checkout", "-q", "--ours", ".lodestar/spec.yaml");
    expect((await here.show("T")).status).toBe("done");
    expect(here.file().T.status).toBe("ready");
    await here.ok("agent heartbeat --agent A");
    expect(here.file()).toMatchObject({
      R: { status: "ready" },
      S: { status: "ready" },
      T: { status: "done", completed_by: "A" },
      U: { title: "Ours" },
    });
    expect(outbox(here.path)).toEqual([]);
    expect((await here.ok("status")).leases).toMatchObject([{ task_id: "R", agent_id: "A" }]);
  });

  test("a spec that is no YAML is SPEC_INVALID with line and column; held tasks can still be finished", async () => {
    using here = await fleet();
    await here.join("A");
    here.tasks(["T"]);
    await here.ok("task claim T --agent A");
    const good = readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8");
    writeFileSync(join(here.path, ".lodestar/spec.yaml"), good.replace("title: Title of T", "title: [unclosed"));
    const error = await here.refused("SPEC_INVALID", "status");
    expect(error.details.problems[0]).toMatchObject({ line: expect.any(Number), column: expect.any(Number) });
    await here.ok("task done T --agent A");
    writeFileSync(join(here.path, ".lodestar/spec.yaml"), good);
    await here.ok("agent heartbeat --agent A");
    expect(here.file().T.status).toBe("done");
  });

  test("an empty file, and none at all, are told as what they are", async () => {
    using here = await fleet();
    await here.join("A");
    writeFileSync(join(here.path, ".lodestar/spec.yaml"), "");
    expect([0, 6]).toContain((await here.call("status")).exit);
    renameSync(join(here.path, ".lodestar/spec.yaml"), join(here.path, "gone.yaml"));
    expect(await here.ok("status")).toEqual({ initialized: false });
    await here.refused("NOT_INITIALIZED", "task list");
  });
});

describe("doctor", () => {
  const checks = async (here: Fleet) => {
    const { json } = await here.call("doctor");
    return json.data.checks as { name: string; status: string; message: string; fix?: string }[];
  };

  test("names a whole cycle, a missing dependency and an id that is there twice", async () => {
    using here = await fleet();
    here.tasks(["A1", "B1", "C1", "M1"], (id) => [`depends_on: [${{ A1: "B1", B1: "C1", C1: "A1", M1: "NONE" }[id]}]`]);
    const found = await checks(here);
    const cycle = found.find(({ name, status }) => name === "cycles" && status === "fail")?.message ?? "";
    for (const id of ["A1", "B1", "C1"]) expect(cycle).toContain(id);
    expect(cycle.split(" → ")).toHaveLength(4);
    expect(found.find(({ name, status }) => name === "dependencies" && status === "fail")?.message).toContain(
      "M1 → NONE",
    );
    expect((await here.call("doctor")).exit).toBe(1);
    await here.refused("NOT_CLAIMABLE", "task claim A1 --agent X").catch(async () => {
      await here.join("X");
      expect((await here.refused("NOT_CLAIMABLE", "task claim A1 --agent X")).details.reason).toBe("cycle");
    });

    here.tasks(["T", "U"]);
    const file = join(here.path, ".lodestar/spec.yaml");
    writeFileSync(file, `${readFileSync(file, "utf8")}  T:\n    title: Once more\n    status: ready\n`);
    const twice = await checks(here);
    expect(twice.some(({ status, message }) => status === "fail" && message.includes("T"))).toBe(true);
    await here.ok("task done U");
    await here.refused("SPEC_INVALID", "task done T");
  });

  test("--fix writes ignore rules, outcomes and a new index, and removes leftovers", async () => {
    using here = await fleet();
    await here.join("A");
    here.tasks(["T", "U"]);
    await here.killedAt("after-temp-write", "task done T --agent A");
    writeFileSync(join(here.path, ".git/info/exclude"), "");
    writeFileSync(join(here.path, ".lodestar/index.sqlite"), "rubbish that is no database");
    const { fixed, healthy } = await here.ok("doctor --fix");
    expect(healthy).toBe(true);
    expect(fixed.join("\n")).toMatch(/ignore rules[\s\S]*removed \.spec\.yaml[\s\S]*outcome of T/);
    expect(here.file().T.status).toBe("done");
    expect(readFileSync(join(here.path, ".git/info/exclude"), "utf8")).toContain("**/.lodestar/runtime.sqlite*");
    expect((await here.ok("doctor --fix")).fixed ?? []).toEqual([]);
  });

  test("a damaged index is no hindrance to any command", async () => {
    using here = await fleet();
    here.tasks(["T", "U"]);
    await here.ok("task create --id N --title N");
    for (const rubbish of ["", "rubbish", "SQLite format 3\0 and then nothing of the kind"]) {
      writeFileSync(join(here.path, ".lodestar/index.sqlite"), rubbish);
      for (const line of ["status", "task list", `task create --id R${rubbish.length} --title N`]) await here.ok(line);
    }
    expect(Object.keys(here.file())).toHaveLength(6);
    expect((await here.ok("task list")).count).toBe(6);
  });
});

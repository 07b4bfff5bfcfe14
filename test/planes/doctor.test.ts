/** Every damage that doctor can name: named, mended without losing a byte, healthy again; or the words to type. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Fleet, fleet, specText } from "../support/fleet.ts";
import { outbox, rows } from "../support/runtime-file.ts";

interface Check {
  readonly name: string;
  readonly status: "pass" | "warn" | "fail" | "info";
  readonly message: string;
  readonly fix?: string;
}

const doctor = async (here: Fleet, line = "doctor"): Promise<{ checks: Check[]; fixed: string[]; exit: number }> => {
  const { exit, json } = await here.call(line);
  return { checks: json.data.checks, fixed: json.data.fixed ?? [], exit };
};
const named = (checks: readonly Check[], name: string) =>
  checks.filter((check) => check.name === name && check.status !== "pass" && check.status !== "info");
const wrong = (checks: readonly Check[]) => checks.filter(({ status }) => status === "warn" || status === "fail");
/** The command that a fix names. */
const typed = (fix: string | undefined): string => /`(?:lodestar )?([^`]+)`/.exec(fix ?? "")?.[1] ?? "";

/** T is done and committed, U is claimed by A. */
async function working(): Promise<Fleet> {
  const here = await fleet();
  await here.join("A", "B");
  here.tasks(["T", "U", "V"]);
  await here.ok("task done T --agent A");
  await here.ok("task claim U --agent A");
  await here.ok("git install --hooks");
  here.commit();
  return here;
}

const at = (here: Fleet, name: string) => join(here.path, name);
const bytes = (path: string) => readFileSync(path).toString("base64");

/** A copy from which the old bytes can be compared: SQLite may bring its log into the file on the way. */
const RUNTIME = ".lodestar/runtime.sqlite";

function checkpointed(here: Fleet): void {
  using database = new Database(at(here, RUNTIME));
  database.run("pragma wal_checkpoint(truncate)");
}

interface Damage {
  readonly what: string;
  /** The name of the check. */
  readonly check: string;
  readonly says: RegExp;
  readonly does: (here: Fleet) => void | Promise<void>;
  readonly fixed: RegExp;
  /** The file that keeps the old bytes of another. */
  readonly backup?: readonly [old: string, kept: string];
  /** What is lost with the damaged thing itself: leases, in a runtime that cannot be read. */
  readonly loses?: "leases";
}

const DAMAGES: readonly Damage[] = [
  {
    what: "a runtime that is no database",
    check: "runtime",
    says: /not a database/,
    does: (here) => {
      for (const part of ["-wal", "-shm"]) rmSync(at(here, RUNTIME + part), { force: true });
      writeFileSync(at(here, RUNTIME), "no database at all, but long enough to have a header. ".repeat(50));
    },
    fixed: /damaged runtime is now .*runtime\.sqlite\.corrupt-1/,
    backup: [RUNTIME, `${RUNTIME}.corrupt-1`],
    loses: "leases",
  },
  {
    what: "a runtime with a torn page",
    check: "runtime",
    says: /SQLite|damaged|cannot be read/,
    does: (here) => {
      checkpointed(here);
      for (const part of ["-wal", "-shm"]) rmSync(at(here, RUNTIME + part), { force: true });
      const whole = readFileSync(at(here, RUNTIME));
      whole.fill(0xa5, 8192, whole.length - 4096);
      writeFileSync(at(here, RUNTIME), whole);
    },
    fixed: /damaged runtime is now/,
    backup: [RUNTIME, `${RUNTIME}.corrupt-1`],
    loses: "leases",
  },
  {
    what: "a runtime that is a link to nowhere",
    check: "runtime",
    says: /symbolic link/,
    does: (here) => {
      for (const part of ["", "-wal", "-shm"]) rmSync(at(here, RUNTIME + part), { force: true });
      symlinkSync("/nowhere/at/all.sqlite", at(here, RUNTIME));
    },
    fixed: /damaged runtime is now/,
    loses: "leases",
  },
  {
    what: "a runtime of another program",
    check: "runtime",
    says: /another program/,
    does: (here) => {
      for (const part of ["", "-wal", "-shm"]) rmSync(at(here, RUNTIME + part), { force: true });
      using database = new Database(at(here, RUNTIME), { create: true });
      database.run("create table agents (agent_id text primary key)");
      database.run("insert into agents values ('OLD')");
    },
    fixed: /another program and is now .*foreign-1/,
    backup: [RUNTIME, `${RUNTIME}.foreign-1`],
    loses: "leases",
  },
  {
    what: "an index that is rubbish",
    check: "index",
    says: /cannot be used/,
    does: (here) => {
      for (const part of ["-wal", "-shm"]) rmSync(at(here, `.lodestar/index.sqlite${part}`), { force: true });
      writeFileSync(at(here, ".lodestar/index.sqlite"), "rubbish".repeat(100));
    },
    fixed: /unusable index is now \.lodestar\/index\.sqlite\.corrupt-1/,
    backup: [".lodestar/index.sqlite", ".lodestar/index.sqlite.corrupt-1"],
  },
  {
    what: "an index that is somebody's other database",
    check: "index",
    says: /cannot be used/,
    does: (here) => {
      for (const part of ["", "-wal", "-shm"]) rmSync(at(here, `.lodestar/index.sqlite${part}`), { force: true });
      using database = new Database(at(here, ".lodestar/index.sqlite"), { create: true });
      database.run("create table precious (words text)");
    },
    fixed: /unusable index is now/,
    backup: [".lodestar/index.sqlite", ".lodestar/index.sqlite.corrupt-1"],
  },
  {
    what: "a lock with something in it",
    check: "lock",
    says: /not the empty file/,
    does: (here) => writeFileSync(at(here, ".git/lodestar/spec.lock"), "pid 4711"),
    fixed: /emptied the lock .*spec\.lock/,
  },
  {
    what: "a merge driver that is gone from the configuration",
    check: "merging",
    says: /configuration does not have the merge driver/,
    does: (here) => void here.git("config", "--remove-section", "merge.lodestar"),
    fixed: /merge driver installed$/m,
  },
  {
    what: "a merge driver that somebody changed",
    check: "merging",
    says: /configuration does not have the merge driver/,
    does: (here) => void here.git("config", "merge.lodestar.driver", "cp %B %A"),
    fixed: /merge\.lodestar\.driver was "cp %B %A"/,
  },
  {
    what: "an attribute line that is gone",
    check: "merging",
    says: /\.gitattributes does not name/,
    does: (here) => writeFileSync(at(here, ".gitattributes"), "*.png binary\n"),
    fixed: /commit \.gitattributes/,
  },
  {
    what: "an attribute line that a later one overrides",
    check: "merging",
    says: /\.gitattributes does not name/,
    does: (here) => {
      const path = at(here, ".gitattributes");
      writeFileSync(path, `${readFileSync(path, "utf8")}*.yaml merge=union\n`);
    },
    fixed: /commit \.gitattributes/,
  },
  {
    what: "hooks that are gone, changed and not executable",
    check: "hooks",
    says: /pre-commit, prepare-commit-msg, post-merge$/,
    does: (here) => {
      rmSync(at(here, ".git/hooks/pre-commit"));
      chmodSync(at(here, ".git/hooks/prepare-commit-msg"), 0o644);
      const path = at(here, ".git/hooks/post-merge");
      writeFileSync(path, `${readFileSync(path, "utf8")}echo mine\n`);
    },
    fixed: /hooks installed again: pre-commit, prepare-commit-msg, post-merge; as they were: post-merge\.changed-1/,
    backup: [".git/hooks/post-merge", ".git/hooks/post-merge.changed-1"],
  },
  {
    what: "ignore rules of the clone that are gone",
    check: "ignores",
    says: /info\/exclude/,
    does: (here) => writeFileSync(at(here, ".git/info/exclude"), "mine\n"),
    fixed: /ignore rules written/,
  },
  {
    what: "ignore rules of the folder that are gone",
    check: "ignores",
    says: /no \.lodestar\/\.gitignore/,
    does: (here) => rmSync(at(here, ".lodestar/.gitignore")),
    fixed: /ignore rules written/,
  },
  {
    what: "an outcome that the spec lacks",
    check: "planes",
    says: /T: the file says ready, the runtime says done/,
    does: (here) => here.write(".lodestar/spec.yaml", specText(["T", "U", "V"])),
    fixed: /wrote the outcome of T/,
  },
  {
    what: "a killed process that left its outcome in the outbox",
    check: "planes",
    says: /V: the file says ready, the runtime says done/,
    does: (here) => here.killedAt("after-runtime-commit", "task done V --agent A"),
    fixed: /wrote the outcome of V/,
  },
];

describe("doctor names it, --fix mends it, nothing is lost:", () => {
  test.each(DAMAGES.map((damage) => [damage.what, damage] as const))("%s", async (_what, damage) => {
    using here = await working();
    const spec = () => readFileSync(at(here, ".lodestar/spec.yaml"), "utf8");
    await damage.does(here);
    const old = damage.backup === undefined ? "" : bytes(at(here, damage.backup[0]));
    const before = await doctor(here);
    expect(
      named(before.checks, damage.check)
        .map(({ message }) => message)
        .join("\n"),
    ).toMatch(damage.says);
    // Every finding says what to do.
    for (const { message, fix } of wrong(before.checks))
      expect({ message, fix }).toEqual({ message, fix: expect.stringMatching(/./) });
    if (damage.backup !== undefined) expect(bytes(at(here, damage.backup[0]))).toBe(old);

    const mended = await doctor(here, "doctor --fix");
    expect(mended.fixed.join("\n")).toMatch(damage.fixed);
    expect(wrong(mended.checks)).toEqual([]);
    expect(mended.exit).toBe(0);
    if (damage.backup !== undefined) expect(bytes(at(here, damage.backup[1]))).toBe(old);

    const after = await doctor(here);
    expect(wrong(after.checks)).toEqual([]);
    expect((await here.show("T")).status).toBe("done");
    expect(spec()).toContain("completed_by: A");
    const leases = (await here.ok("status")).leases ?? [];
    expect(leases).toMatchObject(damage.loses === "leases" ? [] : [{ task_id: "U", agent_id: "A" }]);
    // And it works as before.
    await here.ok("agent join --id C");
    await here.ok("task create --id N --title N");
    expect((await doctor(here, "doctor --fix")).fixed).toEqual([]);
    // No database, no backup shows up for a commit.
    expect(here.git("status", "--porcelain", "--untracked-files=all")).not.toMatch(/sqlite|corrupt|foreign|tmp/);
  });
});

describe("leftovers", () => {
  test("of killed saves go, also beside the file that a link leads to; a young file of another kind stays", async () => {
    using here = await working();
    mkdirSync(at(here, "planning"));
    renameSync(at(here, ".lodestar/spec.yaml"), at(here, "planning/tasks.yaml"));
    symlinkSync("../planning/tasks.yaml", at(here, ".lodestar/spec.yaml"));
    await here.killedAt("after-temp-write", "task update V --title New");
    const young = at(here, ".lodestar/.new-1-AGENTS.md.tmp");
    const stale = at(here, ".lodestar/.new-2-AGENTS.md.tmp");
    for (const path of [young, stale]) writeFileSync(path, "half");
    utimesSync(stale, 1, 1);
    const { checks } = await doctor(here);
    const told = checks.find(({ name }) => name === "leftovers")?.message ?? "";
    expect(told).toContain("planning/.tasks.yaml.");
    expect(told).toContain(".new-2-");
    expect(told).not.toContain(".new-1-");
    expect((await doctor(here, "doctor --fix")).fixed).toHaveLength(2);
    expect(readdirSync(at(here, "planning"))).toEqual(["tasks.yaml"]);
    expect([existsSync(young), existsSync(stale)]).toEqual([true, false]);
  });
});

describe("where a person has to decide, the words to type mend it:", () => {
  test("a cycle, a missing dependency and one on a deleted task", async () => {
    using here = await fleet();
    here.tasks(["A1", "B1", "C1", "M1", "D1", "E1"], (id) => [
      `depends_on: [${{ A1: "B1", B1: "C1", C1: "A1", M1: "NONE", D1: "E1" }[id] ?? ""}]`,
    ]);
    const file = at(here, ".lodestar/spec.yaml");
    const text = readFileSync(file, "utf8");
    const last = text.lastIndexOf("status: ready");
    writeFileSync(file, `${text.slice(0, last)}status: deleted${text.slice(last + 13)}`);
    const before = readFileSync(file, "utf8");
    const fixed = await doctor(here, "doctor --fix");
    expect(fixed.exit).toBe(1);
    expect(readFileSync(file, "utf8")).toBe(before);
    const todo = wrong(fixed.checks);
    expect(todo.map(({ name }) => name).sort()).toEqual(["cycles", "dependencies", "dependencies"]);
    for (const { fix } of todo) await here.ok(typed(fix));
    expect(wrong((await doctor(here)).checks)).toEqual([]);
    expect(Object.keys(here.file())).toHaveLength(6);
  });

  test("an id that stands twice, and conflict markers: git resolve", async () => {
    using here = await fleet();
    here.tasks(["T", "U"]);
    const file = at(here, ".lodestar/spec.yaml");
    const good = readFileSync(file, "utf8");
    writeFileSync(
      file,
      `${good}  T:\n    title: Title of T\n    status: ready\n    created_at: 2026-01-01T00:00:00.000Z\n    labels: [more]\n`,
    );
    const twice = await doctor(here, "doctor --fix");
    expect(named(twice.checks, "spec")[0]).toMatchObject({
      status: "fail",
      message: expect.stringContaining('"T" stands twice'),
    });
    expect(typed(named(twice.checks, "spec")[0]?.fix)).toBe("git resolve");
    await here.ok("git resolve");
    expect(wrong((await doctor(here)).checks)).toEqual([]);
    expect(here.file().T.labels).toEqual(["more"]);

    writeFileSync(
      file,
      good.replace(
        "    title: Title of U\n",
        "<<<<<<< ours\n    title: Ours\n=======\n    title: Theirs\n>>>>>>> theirs\n",
      ),
    );
    const markers = await doctor(here, "doctor --fix");
    const [first] = named(markers.checks, "spec");
    expect(first?.message).toContain("conflict marker");
    expect(typed(first?.fix)).toBe("git resolve");
    await here.refused("MERGE_CONFLICT", "git resolve");
    await here.ok("git resolve --take theirs");
    expect(wrong((await doctor(here)).checks)).toEqual([]);
    expect(here.file().U.title).toBe("Theirs");
  });

  test("a lease of a task that a merge deleted", async () => {
    using here = await working();
    const file = at(here, ".lodestar/spec.yaml");
    const text = readFileSync(file, "utf8");
    const u = text.indexOf("  U:");
    writeFileSync(file, text.slice(0, u) + text.slice(u).replace("status: ready", "status: deleted"));
    const [lease] = named((await doctor(here, "doctor --fix")).checks, "leases");
    expect(lease?.message).toMatch(/^U is deleted and held by A until \d{4}-/);
    await here.ok(typed(lease?.fix));
    expect(wrong((await doctor(here)).checks)).toEqual([]);
    expect((await here.ok("status")).leases ?? []).toEqual([]);
  });

  test("databases that Git tracks, with the files by name", async () => {
    using here = await working();
    here.git("add", "-f", ".lodestar/runtime.sqlite", ".lodestar/index.sqlite");
    const { checks } = await doctor(here, "doctor --fix");
    const [tracked] = named(checks, "runtime");
    expect(tracked?.message).toBe("Tracked by Git: .lodestar/index.sqlite, .lodestar/runtime.sqlite");
    const command = typed(tracked?.fix).split(" ");
    expect(command.slice(0, 3)).toEqual(["git", "rm", "--cached"]);
    here.git(...command.slice(1));
    expect(wrong((await doctor(here)).checks)).toEqual([]);
    expect(existsSync(at(here, ".lodestar/runtime.sqlite"))).toBe(true);
  });

  test("a rule that takes ours back, and attributes that win over ours, by file and line", async () => {
    using here = await working();
    const ignore = at(here, ".lodestar/.gitignore");
    writeFileSync(ignore, `${readFileSync(ignore, "utf8")}!runtime.sqlite\n`);
    writeFileSync(at(here, ".git/info/attributes"), ".lodestar/* merge=union\n");
    const { checks } = await doctor(here, "doctor --fix");
    expect(named(checks, "ignores")[0]?.message).toMatch(
      /runtime\.sqlite, because of \.lodestar\/\.gitignore:\d+:!runtime\.sqlite$/,
    );
    expect(named(checks, "merging")[0]?.fix).toContain("info/attributes");
    writeFileSync(ignore, readFileSync(ignore, "utf8").replace("!runtime.sqlite\n", ""));
    rmSync(at(here, ".git/info/attributes"));
    expect(wrong((await doctor(here)).checks)).toEqual([]);
  });

  test("a hook that somebody put in the place of ours while theirs of before is kept", async () => {
    using here = await fleet();
    const hook = at(here, ".git/hooks/pre-commit");
    mkdirSync(at(here, ".git/hooks"), { recursive: true });
    writeFileSync(hook, "#!/bin/sh\n# before\n", { mode: 0o755 });
    await here.ok("git install --hooks");
    writeFileSync(hook, "#!/bin/sh\n# later\n");
    const { checks } = await doctor(here, "doctor --fix");
    const [told] = named(checks, "hooks");
    expect(told?.message).toContain("was replaced");
    expect(readFileSync(hook, "utf8")).toContain("# later");
    renameSync(hook, `${hook}.before-lodestar`);
    await here.ok("git install --hooks");
    expect(named((await doctor(here)).checks, "hooks")).toEqual([]);
    expect(statSync(hook).mode & 0o111).not.toBe(0);
  });
});

describe("outbox rows", () => {
  test("for a branch that is gone are forgotten once the spec has the outcome, else told", async () => {
    using here = await fleet();
    await here.join("A");
    here.tasks(["T", "U"]);
    here.commit();
    here.git("checkout", "-q", "-b", "feat");
    for (const id of ["T", "U"]) await here.killedAt("after-runtime-commit", `task done ${id} --agent A`);
    here.git("checkout", "-q", "main");
    here.git("branch", "-q", "-D", "feat");
    expect(outbox(here.path)).toHaveLength(2);
    const told = named((await doctor(here, "doctor --fix")).checks, "outbox");
    expect(told.map(({ message }) => message)).toEqual([
      "An outcome of T waits for the branch feat, which is gone",
      "An outcome of U waits for the branch feat, which is gone",
    ]);
    // T's work came as a squash from a host; U's is lost.
    const file = at(here, ".lodestar/spec.yaml");
    const [{ at: when }] = rows(here.path, "select at from outcome where task_id = 'T'") as [{ at: number }];
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace(
        "status: ready",
        `status: done\n    completed_by: A\n    completed_at: ${new Date(when).toISOString()}`,
      ),
    );
    const { fixed, checks } = await doctor(here, "doctor --fix");
    expect(fixed.join()).toContain("nothing is left to write of T");
    const [left] = named(checks, "outbox");
    expect(left?.message).toContain("U");
    expect(outbox(here.path).map(({ task_id }) => task_id)).toEqual(["U"]);
    expect((await here.show("T")).status).toBe("done");
    expect(typed(left?.fix)).toBe("task reopen U");
  });
});

test("one repair that fails does not stop the others, and is told", async () => {
  using here = await working();
  here.write(".lodestar/spec.yaml", specText(["T", "U", "V"]));
  rmSync(at(here, ".gitattributes"));
  mkdirSync(at(here, ".gitattributes"));
  // What cannot be removed.
  mkdirSync(at(here, ".lodestar/.new-folder.tmp"));
  utimesSync(at(here, ".lodestar/.new-folder.tmp"), 0, 0);
  const { json } = await here.call("doctor --fix");
  expect(json.data.fixed.join()).toContain("wrote the outcome of T");
  expect(json.ok).toBe(false);
  const said = JSON.stringify(json.data.checks);
  expect(said).toContain("Leftovers and index: ");
  expect(said).toContain(".gitattributes is no plain file");
});

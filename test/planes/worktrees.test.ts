/** One runtime for all worktrees of a repository, and outcomes that travel through it and through Git (T1, T2, T5). */
import { describe, expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Fleet, fleet, specText } from "../support/fleet.ts";
import { outbox } from "../support/runtime-file.ts";

interface Trees extends Fleet {
  /** A linked worktree beside the main one, on the branch `feat`. */
  readonly beside: string;
  /** A linked worktree inside the main one, on the branch `inner`. */
  readonly nested: string;
}

async function trees(
  ids: readonly string[],
  extra?: (id: string) => readonly string[],
  conventions?: string,
): Promise<Trees> {
  const here = await fleet();
  here.tasks(ids, extra, conventions);
  here.write("src/deep/file.txt", "x");
  here.write(".gitignore", "/nested\n");
  here.commit("start");
  const beside = join(here.base, "beside");
  const nested = join(here.path, "nested");
  here.git("worktree", "add", "-q", "-b", "feat", beside);
  here.git("worktree", "add", "-q", "-b", "inner", nested);
  await here.join("A", "B");
  return { ...here, beside, nested, [Symbol.dispose]: here[Symbol.dispose] };
}

const status = async (here: Fleet, id: string, cwd: string) => (await here.show(id, { cwd })).status;

describe("where", () => {
  test("one runtime is found from every worktree, and from the folders below", async () => {
    using here = await trees(["T"]);
    const places = [here.path, here.beside, here.nested].flatMap((root) => [root, join(root, "src/deep")]);
    for (const [i, cwd] of places.entries()) await here.ok(`agent join --id P${i}`, { cwd });
    for (const cwd of places) expect((await here.ok("agent list", { cwd })).count).toBe(2 + places.length);
    for (const root of [here.beside, here.nested])
      expect(existsSync(join(root, ".lodestar/runtime.sqlite"))).toBe(false);
    await here.ok("task claim T --agent A", { cwd: join(here.nested, "src") });
    await here.refused("ALREADY_CLAIMED", "task claim T --agent B", { cwd: here.beside });
  });

  test("each worktree has its own spec", async () => {
    using here = await trees(["T"]);
    await here.ok("task create --id ONLY-FEAT --title N", { cwd: join(here.beside, "src/deep") });
    expect(here.file(here.beside)["ONLY-FEAT"]).toBeDefined();
    for (const cwd of [here.path, here.nested]) await here.refused("TASK_NOT_FOUND", "task show ONLY-FEAT", { cwd });
  });

  test("a bare repository keeps the runtime in its own folder, for both of its worktrees", async () => {
    using here = await fleet();
    here.tasks(["T"]);
    here.commit();
    const bare = join(here.base, "bare.git");
    here.git("clone", "-q", "--bare", here.path, bare);
    const [one, two] = [join(here.base, "one"), join(here.base, "two")];
    here.git("-C", bare, "worktree", "add", "-q", "-b", "w1", one, "main");
    here.git("-C", bare, "worktree", "add", "-q", "-b", "w2", two, "main");
    await here.ok("agent join --id A", { cwd: one });
    await here.ok("task claim T --agent A", { cwd: one });
    await here.refused("ALREADY_CLAIMED", "task claim T --agent A", { cwd: two, env: { LODESTAR_SESSION: "other" } });
    await here.ok("task done T --agent A", { cwd: one });
    expect(await status(here, "T", two)).toBe("done");
    expect(existsSync(join(bare, "lodestar/runtime.sqlite"))).toBe(true);
    expect((await here.refused("NOT_INITIALIZED", "task list", { cwd: bare })).message).toContain("bare");
  });

  test("so does a bare repository that is called .git, with its worktrees beside it", async () => {
    using here = await fleet();
    here.tasks(["T"]);
    here.commit();
    const project = join(here.base, "project");
    mkdirSync(project);
    here.git("clone", "-q", "--bare", here.path, join(project, ".git"));
    const [one, two] = [join(project, "one"), join(project, "two")];
    here.git("-C", join(project, ".git"), "worktree", "add", "-q", "-b", "w1", one, "main");
    here.git("-C", join(project, ".git"), "worktree", "add", "-q", "-b", "w2", two, "main");
    await here.ok("agent join --id A", { cwd: one });
    expect((await here.ok("agent list", { cwd: two })).count).toBe(1);
    expect(existsSync(join(project, ".git/lodestar/runtime.sqlite"))).toBe(true);
    expect(existsSync(join(project, ".lodestar"))).toBe(false);
  });

  test("a `.git` file that points nowhere is NOT_A_REPOSITORY, exit status 3, never a folder outside Git", async () => {
    using here = await trees(["T"]);
    const copy = join(here.base, "copy");
    cpSync(here.beside, copy, { recursive: true });
    writeFileSync(join(copy, ".git"), "gitdir: /nowhere/.git/worktrees/copy\n");
    for (const line of ["status", "task list", "task create --title N", "agent join"]) {
      const ran = await here.call(line, { cwd: copy });
      expect({ line, exit: ran.exit, code: ran.json.error?.code }).toEqual({ line, exit: 3, code: "NOT_A_REPOSITORY" });
      expect(ran.json.error.message).toContain("/nowhere/.git/worktrees/copy");
    }
    expect(existsSync(join(copy, ".lodestar/runtime.sqlite"))).toBe(false);
  });

  test("a repository inside another one does not find its parent's spec", async () => {
    using here = await trees(["T"]);
    const inner = join(here.path, "vendor/inner");
    mkdirSync(inner, { recursive: true });
    here.git("init", "-q", "-b", "main", inner);
    expect(await here.ok("status", { cwd: inner })).toEqual({ initialized: false });
    await here.refused("NOT_INITIALIZED", "task list", { cwd: inner });
    await here.ok("init --no-agents-md", { cwd: inner });
    await here.ok("task create --id I --title N", { cwd: inner });
    await here.refused("TASK_NOT_FOUND", "task show I");
  });

  test("a linked worktree without a spec does not find the one of the worktree that it lies in", async () => {
    using here = await trees(["T"]);
    here.git("-C", here.nested, "rm", "-r", "-q", ".lodestar");
    here.git("-C", here.nested, "commit", "-q", "-m", "no spec");
    rmSync(join(here.nested, ".lodestar"), { recursive: true, force: true });
    expect(await here.ok("status", { cwd: here.nested })).toEqual({ initialized: false });
  });

  test("LODESTAR_RUNTIME names another runtime", async () => {
    using here = await trees(["T"]);
    const env = { LODESTAR_RUNTIME: join(here.base, "elsewhere/runtime.sqlite") };
    await here.ok("agent join --id E", { env });
    expect((await here.ok("agent list", { env })).count).toBe(1);
    expect((await here.ok("agent list")).count).toBe(2);
  });
});

describe("T1: outcomes are joined", () => {
  test("what is done in one worktree is done in the others at once, while their files say ready", async () => {
    using here = await trees(["T", "U"]);
    await here.ok("task claim T --agent A", { cwd: here.beside });
    await here.ok("task done T --agent A", { cwd: here.beside });
    expect(here.file(here.beside).T).toMatchObject({ status: "done", completed_in: { branch: "feat" } });
    for (const cwd of [here.path, here.nested]) {
      expect(here.file(cwd).T.status).toBe("ready");
      expect(await status(here, "T", cwd)).toBe("done");
      expect((await here.ok("status", { cwd })).only_in_runtime).toEqual([
        { task_id: "T", spec: "ready", runtime: "done", branch: "feat" },
      ]);
      expect((await here.ok("task next", { cwd })).tasks).toMatchObject([{ id: "U" }]);
      await here.refused("NOT_CLAIMABLE", "task claim T --agent B", { cwd });
    }
    const healthy = await here.ok("doctor");
    expect(JSON.stringify(healthy.checks)).toContain("the file says ready, the runtime says done on feat");
    // Reading and writing elsewhere changes nothing about it: it arrives by merging.
    await here.ok("task update U --title Other");
    expect(here.file().T.status).toBe("ready");
  });

  test("a merged outcome, a reopening and the work on it again are seen everywhere", async () => {
    using here = await trees(["T"]);
    await here.ok("task done T --agent A --verify", { cwd: here.beside });
    await here.ok("task reopen T --agent B", { cwd: here.nested });
    for (const cwd of [here.path, here.beside, here.nested]) expect(await status(here, "T", cwd)).toBe("ready");
    await here.ok("task claim T --agent B");
    await here.ok("task done T --agent B");
    for (const cwd of [here.path, here.beside, here.nested]) {
      const task = await here.show("T", { cwd });
      expect(task).toMatchObject({ status: "done", completed_by: "B" });
      expect(task.verified_by).toBeUndefined();
    }
  });

  test("an editor that sets a status back, and `git checkout` of an old file, undo no outcome", async () => {
    using here = await trees(["T"]);
    await here.ok("task done T --agent A");
    here.git("checkout", "-q", "--", ".lodestar/spec.yaml");
    expect(here.file().T.status).toBe("ready");
    expect(await status(here, "T", here.path)).toBe("done");
    await here.refused("NOT_CLAIMABLE", "task claim T --agent B");
    expect((await here.ok("doctor --fix")).fixed.join()).toContain("T");
    expect(here.file().T).toMatchObject({ status: "done", completed_by: "A" });
  });
});

describe("T5: not here yet", () => {
  test("claiming a dependent in another worktree warns, and names the branch to merge; after the merge it does not", async () => {
    using here = await trees(["D", "X"], (id) => (id === "X" ? ["depends_on: [D]"] : []));
    await here.ok("task done D --agent A --verify", { cwd: here.beside });
    const claimed = await here.call("task claim X --agent B");
    expect(claimed.exit).toBe(0);
    expect(claimed.json.warnings.join()).toContain("not in this worktree yet: merge feat");
    await here.ok("task release X --agent B");
    here.git("-C", here.beside, "commit", "-qam", "work");
    here.git("merge", "-q", "feat");
    expect((await here.call("task claim X --agent B")).json.warnings).toEqual([]);
  });

  test("(counterexample 25) after a squash merge the warning ends: the spec decides, not ancestry", async () => {
    using here = await trees(["D", "X"], (id) => (id === "X" ? ["depends_on: [D]"] : []));
    await here.ok("task done D --agent A --verify", { cwd: here.beside });
    here.git("-C", here.beside, "commit", "-qam", "work");
    here.git("merge", "-q", "--squash", "feat");
    here.git("commit", "-q", "-m", "squashed");
    expect((await here.call("task claim X --agent B")).json.warnings).toEqual([]);
  });
});

describe("T2: a row names the worktree and the branch", () => {
  test("(counterexample 26) a verification in main of work done on feat waits until that is merged, and then is written", async () => {
    using here = await trees(["T", "U", "X"], (id) => (id === "X" ? ["depends_on: [T]"] : []));
    await here.ok("task done T --agent A", { cwd: here.beside });
    here.git("-C", here.beside, "commit", "-qam", "work");
    const before = readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8");
    const verified = await here.call("task verify T --agent B");
    expect(verified.json.data).toMatchObject({ status: "verified", unblocked: ["X"] });
    expect(verified.json.warnings.join()).toContain("not in this worktree yet");
    expect(readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8")).toBe(before);
    await here.ok("task create --id Z --title N");
    expect(here.file().T.status).toBe("ready");
    here.commit("main goes on");
    // Neither side changed the other's lines: no conflict on any host.
    here.git("merge", "-q", "--no-edit", "feat");
    expect(here.file().T.status).toBe("done");
    expect(await status(here, "T", here.path)).toBe("verified");
    await here.ok("task update U --title Other");
    expect(here.file().T).toMatchObject({ status: "verified", verified_by: "B", completed_by: "A" });
    expect(outbox(here.path)).toEqual([]);
  });

  test("(counterexample 12) a worktree that was made again at the same path, on another branch, is not given the old one's outcome", async () => {
    using here = await trees(["T"]);
    here.git("worktree", "add", "-q", "-b", "one", join(here.base, "again"));
    const again = join(here.base, "again");
    await here.killedAt("after-runtime-commit", "task done T --agent A", { cwd: again });
    here.git("worktree", "remove", "--force", again);
    here.git("worktree", "add", "-q", "-b", "two", again, "main");
    await here.ok("agent join --id C", { cwd: again });
    expect(here.file(again).T.status).toBe("ready");
    expect(await status(here, "T", again)).toBe("done");
    expect(outbox(here.path)).toHaveLength(1);
    // On its own branch it is written.
    here.git("-C", again, "checkout", "-q", "one");
    await here.ok("agent join --id C", { cwd: again });
    expect(here.file(again).T.status).toBe("done");
    expect(outbox(here.path)).toEqual([]);
  });

  test("an outcome that waits is not written to another branch in the same worktree, and is when that one is back", async () => {
    using here = await trees(["T"]);
    await here.killedAt("after-runtime-commit", "task done T --agent A");
    here.git("checkout", "-q", "-b", "other");
    await here.ok("agent join --id C");
    expect(here.file().T.status).toBe("ready");
    here.git("checkout", "-q", "main");
    await here.ok("agent join --id C");
    expect(here.file().T.status).toBe("done");
  });

  test("the row of a removed worktree is taken over by the first where it applies", async () => {
    using here = await trees(["T"]);
    await here.killedAt("after-runtime-commit", "task done T --agent A", { cwd: here.nested });
    expect(outbox(here.path)).toMatchObject([{ target_worktree: here.nested }]);
    await here.ok("agent join --id C");
    expect(here.file().T.status).toBe("ready");
    here.git("worktree", "remove", "--force", here.nested);
    await here.ok("agent join --id C", { cwd: here.beside });
    expect(here.file(here.beside).T).toMatchObject({ status: "done", completed_by: "A" });
    expect(outbox(here.path)).toEqual([]);
    expect(here.file().T.status).toBe("ready");
  });

  test("a spec in a subfolder of a worktree is not taken for that of a removed worktree", async () => {
    using here = await fleet({ init: false });
    here.write("pkg/.lodestar/spec.yaml", specText(["T"]));
    here.commit();
    const beside = join(here.base, "beside");
    here.git("worktree", "add", "-q", "-b", "feat", beside);
    await here.ok("agent join --id A", { cwd: "pkg" });
    await here.killedAt("after-runtime-commit", "task done T --agent A", { cwd: "pkg" });
    await here.ok("agent join --id B", { cwd: join(beside, "pkg") });
    expect(here.file(join(beside, "pkg")).T.status).toBe("ready");
    await here.ok("agent join --id A", { cwd: "pkg" });
    expect(here.file("pkg").T.status).toBe("done");
  });

  test("a row whose task is gone is kept, told by doctor, and never makes the task again", async () => {
    using here = await trees(["T", "U"]);
    await here.killedAt("after-runtime-commit", "task done T --agent A");
    here.tasks(["U"]);
    await here.ok("task update U --title Other");
    expect(Object.keys(here.file())).toEqual(["U"]);
    expect(outbox(here.path)).toHaveLength(1);
    expect(JSON.stringify((await here.ok("doctor")).checks)).toContain("the spec here has no such task");
    here.tasks(["T", "U"]);
    await here.ok("task update U --title Again");
    expect(here.file().T.status).toBe("done");
  });
});

describe("conventions: {spec: main}", () => {
  test("every linked worktree reads and writes the main worktree's spec", async () => {
    using here = await trees(["T", "U"], undefined, "{ spec: main }");
    const before = readFileSync(join(here.beside, ".lodestar/spec.yaml"), "utf8");
    await here.ok("task create --id N --title N", { cwd: join(here.beside, "src/deep") });
    await here.ok("task claim T --agent A", { cwd: here.nested });
    await here.ok("task done T --agent A", { cwd: here.nested });
    expect(here.file()).toMatchObject({ T: { status: "done" }, N: { title: "N" } });
    expect(readFileSync(join(here.beside, ".lodestar/spec.yaml"), "utf8")).toBe(before);
    expect(here.file(here.nested).T.status).toBe("ready");
    for (const cwd of [here.path, here.beside, here.nested]) {
      expect(await status(here, "T", cwd)).toBe("done");
      expect((await here.ok("status", { cwd })).only_in_runtime).toBeUndefined();
    }
    expect(outbox(here.path)).toEqual([]);
  });

  test("a killed `done` of a linked worktree is healed from any worktree", async () => {
    using here = await trees(["T", "U"], undefined, "{ spec: main }");
    await here.killedAt("after-runtime-commit", "task done T --agent A", { cwd: here.beside });
    await here.ok("agent join --id C", { cwd: here.nested });
    expect(here.file().T.status).toBe("done");
  });
});

describe("S4, T1: every order of merging ends the same", () => {
  const ids = ["AA", "BB", "CC", "DD"];
  const orders = [
    ["feat", "inner"],
    ["inner", "feat"],
  ];

  test.each(orders)("main takes %s first, then %s", async (first, second) => {
    using here = await trees(ids);
    await here.ok("task done AA --agent A", { cwd: here.beside });
    await here.ok("task done BB --agent A --verify", { cwd: here.nested });
    await here.ok("task done CC --agent B --verify", { cwd: here.beside });
    await here.ok("task reopen CC --agent B", { cwd: here.beside });
    await here.ok("task delete DD --agent B", { cwd: here.nested });
    for (const cwd of [here.beside, here.nested]) here.git("-C", cwd, "commit", "-qam", "work");
    const truth = async (cwd: string) =>
      Object.fromEntries(await Promise.all(ids.map(async (id) => [id, await status(here, id, cwd)])));
    const before = await truth(here.path);
    expect(before).toEqual({ AA: "done", BB: "verified", CC: "ready", DD: "deleted" });
    for (const branch of [first, second]) {
      here.git("merge", "-q", "--no-edit", branch);
      expect(await truth(here.path)).toEqual(before);
    }
    const file = Object.fromEntries(Object.entries(here.file()).map(([id, { status }]) => [id, status]));
    expect(file).toEqual(before);
    expect((await here.ok("status")).only_in_runtime).toBeUndefined();
    // Also for a clone that has no runtime at all.
    const clone = join(here.base, "clone");
    here.git("clone", "-q", here.path, clone);
    expect(await truth(clone)).toEqual(before);
  });
});

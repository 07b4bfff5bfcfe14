/** Real merges, rebases and cherry-picks with the driver; hosts' textual merges without it, and what `git resolve` makes of them. */
import { expect, test } from "bun:test";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSpec } from "../../src/spec/document.ts";
import { type Repository, repository } from "../git/repository.ts";

async function statuses(text: string): Promise<Record<string, string>> {
  const reading = await readSpec(Buffer.from(text));
  if (!reading.ok) throw new Error(`${JSON.stringify(reading.problems)}\n${text}`);
  expect(reading.spec.broken).toEqual([]);
  return Object.fromEntries(reading.spec.tasks.map(({ task }) => [task.id, task.status]));
}

/** Two branches off the plan, each with its own work. `feat` and `main` are what differs between the orders of a merge. */
async function diverge(repo: Repository, feat: () => Promise<void>, main: () => Promise<void>): Promise<void> {
  repo.git("checkout", "-q", "-b", "feat");
  await feat();
  repo.commit("feat");
  repo.git("checkout", "-q", "main");
  await main();
  repo.commit("main");
}

const neighbours = (repo: Repository) =>
  diverge(
    repo,
    async () => {
      await repo.lodestar("task", "done", "B", "--agent", "ADA");
      await repo.lodestar("task", "create", "--id", "BA", "--title", "Beside B");
    },
    async () => {
      await repo.lodestar("task", "done", "C", "--agent", "BEN");
      await repo.lodestar("task", "create", "--id", "BB", "--title", "Also beside B");
    },
  );
const MERGED = { A: "ready", B: "done", BA: "ready", BB: "ready", C: "done", D: "ready" };

test("with the driver, done on neighbours and tasks added side by side merge in both orders", async () => {
  for (const [onto, from] of [
    ["main", "feat"],
    ["feat", "main"],
  ] as const) {
    using repo = await repository();
    await neighbours(repo);
    repo.git("checkout", "-q", onto);
    const { exit, out } = repo.tryGit(["merge", "--no-edit", from]);
    expect({ exit, out }).toMatchObject({ exit: 0 });
    expect(await statuses(repo.spec())).toEqual(MERGED);
    expect(repo.git("status", "--short")).toBe("");
  }
});

test("rebase and cherry-pick use the driver, too", async () => {
  using rebased = await repository();
  await neighbours(rebased);
  rebased.git("checkout", "-q", "feat");
  expect(rebased.tryGit(["rebase", "main"])).toMatchObject({ exit: 0 });
  expect(await statuses(rebased.spec())).toEqual(MERGED);
  using picked = await repository();
  await neighbours(picked);
  expect(picked.tryGit(["cherry-pick", "feat"])).toMatchObject({ exit: 0 });
  expect(await statuses(picked.spec())).toEqual(MERGED);
});

test("a field that both sides changed stops the merge, in that field alone; --take decides", async () => {
  using repo = await repository();
  await diverge(
    repo,
    async () => void (await repo.lodestar("task", "update", "A", "--title", "Theirs", "--priority", "5")),
    async () => void (await repo.lodestar("task", "update", "A", "--title", "Ours", "--add-label", "x")),
  );
  const merge = repo.tryGit(["merge", "feat"]);
  expect(merge.exit).toBe(1);
  expect(merge.out).toContain("both sides changed A (title)");
  expect(repo.git("status", "--short")).toContain("UU .lodestar/spec.yaml");
  expect(repo.spec().match(/^<{7}[\s\S]*?^>{7}.*$/gm)).toEqual([
    "<<<<<<< ours\n    title: Ours\n=======\n    title: Theirs\n>>>>>>> theirs",
  ]);
  expect(repo.spec()).toContain("priority: 5");
  const refused = await repo.here.run(["git", "resolve", "--json"]);
  expect(refused).toMatchObject({ exit: 1, json: { error: { code: "MERGE_CONFLICT" }, data: { resolved: false } } });
  const taken = await repo.lodestar("git", "resolve", "--take", "theirs", "--json");
  expect(taken.json.data).toMatchObject({ resolved: true, from: "index", decided: [{ task_id: "A", field: "title" }] });
  expect(repo.spec()).toContain("title: Theirs");
  expect(repo.spec()).toContain("labels: [x]");
  repo.git("add", "-A");
  repo.git("commit", "-q", "--no-edit");
});

test("an unreadable version is left to Git as a conflict, and nothing of it is lost", async () => {
  using repo = await repository();
  const path = join(repo.path, ".lodestar", "spec.yaml");
  await diverge(
    repo,
    async () => writeFileSync(path, `${repo.spec()}\nfeatures: [not a mapping\n`),
    async () => void (await repo.lodestar("task", "done", "A", "--agent", "ADA")),
  );
  const merge = repo.tryGit(["merge", "feat"]);
  expect(merge.exit).toBe(1);
  expect(merge.out).toContain("theirs cannot be read");
  expect(repo.git("status", "--short")).toContain("UU .lodestar/spec.yaml");
  expect(repo.spec()).toContain("features: [not a mapping");
  expect(repo.spec()).toContain("completed_by: ADA");
  repo.git("merge", "--abort");
});

test("verified in main before the pull request merges: no conflict, with the driver or without (counterexample 26)", async () => {
  for (const driver of [true, false]) {
    using repo = await repository({ driver });
    repo.git("checkout", "-q", "-b", "feat");
    await repo.lodestar("task", "done", "B", "--agent", "ADA");
    repo.commit("feat");
    repo.git("checkout", "-q", "main");
    await repo.lodestar("task", "verify", "B", "--agent", "BEN");
    expect((await statuses(repo.spec())).B).toBe("ready");
    expect(repo.git("status", "--short")).toBe("");
    expect(repo.tryGit(["merge", "--no-ff", "--no-edit", "feat"])).toMatchObject({ exit: 0 });
    expect((await statuses(repo.spec())).B).toBe("done");
    await repo.lodestar("doctor", "--fix");
    expect((await statuses(repo.spec())).B).toBe("verified");
  }
});

test("even verified in main's file by hand, the driver merges it with the pull request's done", async () => {
  using repo = await repository();
  await diverge(
    repo,
    async () => void (await repo.lodestar("task", "done", "B", "--agent", "ADA")),
    async () => {
      const path = join(repo.path, ".lodestar", "spec.yaml");
      const at = "'2030-01-01T00:00:00.000Z'";
      const edited = repo
        .spec()
        .replace(/( {2}B:\n(?: {4}.*\n)*? {4}status: )ready\n/, `$1verified\n    verified_at: ${at}\n`);
      writeFileSync(path, edited);
    },
  );
  expect(repo.tryGit(["merge", "--no-edit", "feat"])).toMatchObject({ exit: 0 });
  expect((await statuses(repo.spec())).B).toBe("verified");
  expect(repo.spec()).toContain("completed_by: ADA");
});

test("without the driver, tasks added in one gap conflict as text, and `git resolve` redoes the merge (counterexample 24)", async () => {
  for (const style of ["merge", "diff3", "zdiff3"]) {
    for (const staged of [true, false]) {
      using repo = await repository({ driver: false });
      repo.git("config", "merge.conflictStyle", style);
      await neighbours(repo);
      const merge = repo.tryGit(["merge", "--no-edit", "feat"]);
      expect(merge.exit).toBe(1);
      expect(repo.spec()).toContain("<<<<<<<");
      // What a host's merge button commits has the markers, and no index that knows the versions.
      if (!staged) repo.commit("with markers");
      const { json } = await repo.lodestar("git", "resolve", "--json");
      expect(json.data).toMatchObject({ resolved: true, from: staged ? "index" : "markers", conflicts: [] });
      expect({ style, staged, ...(await statuses(repo.spec())) }).toEqual({ style, staged, ...MERGED });
      expect(repo.spec()).toContain("title: Beside B");
      expect(repo.spec()).toContain("title: Also beside B");
      expect((await repo.lodestar("git", "resolve", "--json")).json.data).toMatchObject({
        resolved: true,
        from: "nothing",
      });
    }
  }
});

test("without the driver, done on two neighbours merges as text, or `git resolve` merges it", async () => {
  using repo = await repository({ driver: false });
  await diverge(
    repo,
    async () => void (await repo.lodestar("task", "done", "B", "--agent", "ADA")),
    async () => void (await repo.lodestar("task", "done", "C", "--agent", "BEN")),
  );
  repo.tryGit(["merge", "--no-edit", "feat"]);
  await repo.lodestar("git", "resolve");
  expect(await statuses(repo.spec())).toEqual({ A: "ready", B: "done", C: "done", D: "ready" });
});

test("a task that a textual merge left twice becomes one; two different tasks are left for a person", async () => {
  using repo = await repository({ driver: false });
  const path = join(repo.path, ".lodestar", "spec.yaml");
  const block = / {2}B:\n(?: {4}.*\n)*/.exec(repo.spec())?.[0] ?? "";
  writeFileSync(path, repo.spec() + block.replace("status: ready", "status: done\n    completed_by: ADA"));
  expect((await repo.here.run(["task", "show", "B"])).exit).toBe(6);
  const { json } = await repo.lodestar("git", "resolve", "--json");
  expect(json.data).toMatchObject({ resolved: true, from: "repeats", repeated: ["B"] });
  expect(await statuses(repo.spec())).toEqual({ A: "ready", B: "done", C: "ready", D: "ready" });
  writeFileSync(path, repo.spec() + block.replace(/created_at: .*/, "created_at: '2030-01-01T00:00:00.000Z'"));
  const refused = await repo.here.run(["git", "resolve", "--json"]);
  expect(refused).toMatchObject({ exit: 1, json: { error: { code: "MERGE_CONFLICT" } } });
  expect(repo.spec()).toContain("<<<<<<< the first");
});

test("a file resolved by hand is left alone", async () => {
  using repo = await repository();
  await diverge(
    repo,
    async () => void (await repo.lodestar("task", "update", "A", "--title", "Theirs")),
    async () => void (await repo.lodestar("task", "update", "A", "--title", "Ours")),
  );
  expect(repo.tryGit(["merge", "feat"]).exit).toBe(1);
  const byHand = repo.spec().replace(/<{7}[\s\S]*?>{7}.*\n/, "    title: Neither\n");
  writeFileSync(join(repo.path, ".lodestar", "spec.yaml"), byHand);
  expect((await repo.lodestar("git", "resolve", "--json")).json.data).toMatchObject({ from: "nothing" });
  expect(repo.spec()).toBe(byHand);
});

test("a merge that closes a cycle goes through and says so; doctor fails", async () => {
  using repo = await repository();
  await diverge(
    repo,
    async () => void (await repo.lodestar("task", "update", "A", "--add-dep", "B")),
    async () => void (await repo.lodestar("task", "update", "B", "--add-dep", "A")),
  );
  const merge = repo.tryGit(["merge", "--no-edit", "feat"]);
  expect(merge.exit).toBe(0);
  expect(merge.out).toContain("The merge closes a dependency cycle: A → B → A");
  expect((await repo.here.run(["doctor"])).exit).toBe(1);
});

test("`git merge` merges files by hand, to standard output or to a file", async () => {
  using repo = await repository();
  const base = "tasks:\n  A:\n    title: a\n    status: ready\n";
  repo.here.write("base.yaml", base);
  repo.here.write("ours.yaml", base.replace("ready", "done"));
  repo.here.write("theirs.yaml", base.replace("title: a", "title: b"));
  const args = ["git", "merge", "--base", "base.yaml", "--ours", "ours.yaml", "--theirs", "theirs.yaml"];
  expect((await repo.lodestar(...args)).stdout).toBe("tasks:\n  A:\n    title: b\n    status: done\n");
  await repo.lodestar(...args, "--output", "out.yaml");
  expect((await repo.here.run(["git", "merge", "--ours", "out.yaml", "--theirs", "none.yaml"])).exit).toBe(3);
});

test("install is idempotent, uninstall leaves nothing, doctor says and mends", async () => {
  using repo = await repository({ driver: false });
  const attributes = join(repo.path, ".gitattributes");
  writeFileSync(attributes, "*.png binary");
  const warned = (await repo.lodestar("doctor", "--json")).json.data.checks;
  expect(warned).toContainEqual(expect.objectContaining({ name: "merging", status: "warn" }));
  await repo.lodestar("git", "install");
  expect(await Bun.file(attributes).text()).toBe("*.png binary\n.lodestar/spec.yaml merge=lodestar\n");
  expect((await repo.lodestar("git", "install", "--json")).json.data.changed).toEqual([]);
  expect(repo.git("config", "merge.lodestar.driver")).toContain("lodestar git merge-driver %O %A %B %P");
  const config = await Bun.file(join(repo.path, ".git", "config")).text();
  await repo.lodestar("git", "uninstall");
  expect(await Bun.file(attributes).text()).toBe("*.png binary\n");
  expect(repo.tryGit(["config", "merge.lodestar.driver"]).exit).toBe(1);
  const fixed = await repo.lodestar("doctor", "--fix", "--json");
  expect(fixed.json.data.fixed).toContain("merge driver installed; commit .gitattributes");
  expect(fixed.json.data.checks).toContainEqual(expect.objectContaining({ name: "merging", status: "pass" }));
  expect(await Bun.file(join(repo.path, ".git", "config")).text()).toBe(config);
});

test("S3: what is saved after `git merge` has looked at the file, and before it takes its lock, is merged too", async () => {
  using repo = await repository();
  await neighbours(repo);
  const spec = join(repo.path, ".lodestar", "spec.yaml");
  const next = join(repo.here.base, "next.yaml");
  await repo.lodestar("task", "create", "--id", "SAVED", "--title", "Just now");
  renameSync(spec, next);
  repo.git("checkout", "--", ".lodestar/spec.yaml");
  // Git believes what it saw before: at the driver's start the file is another already.
  const driver = `mv ${next} .lodestar/spec.yaml; lodestar git merge-driver %O %A %B %P`;
  repo.git("config", "merge.lodestar.driver", driver);
  expect(repo.tryGit(["merge", "--no-edit", "feat"])).toMatchObject({ exit: 0 });
  expect(await statuses(repo.spec())).toEqual({ ...MERGED, SAVED: "ready" });
});

test("S3: a file that was changed before the merge is left as it is, and the merge refused", async () => {
  using repo = await repository();
  await neighbours(repo);
  await repo.lodestar("task", "create", "--id", "SAVED", "--title", "Not committed");
  const before = repo.spec();
  expect(repo.tryGit(["merge", "--no-edit", "feat"]).exit).not.toBe(0);
  expect(repo.spec()).toBe(before);
});

test("S4: branches that merged each other crosswise, with a conflict, have no one common version and merge all the same", async () => {
  using repo = await repository();
  const set = (priority: string) => repo.lodestar("task", "update", "A", "--priority", priority);
  const merge = async (branch: string, take: string): Promise<void> => {
    if (repo.tryGit(["merge", "--no-edit", branch]).exit === 0) return;
    await repo.lodestar("git", "resolve", "--take", take);
    repo.commit(`merge ${branch}`);
  };
  await diverge(
    repo,
    async () => void (await set("1")),
    async () => void (await set("2")),
  );
  repo.git("tag", "one", "feat");
  repo.git("tag", "two", "main");
  await merge("one", "ours");
  repo.git("checkout", "-q", "feat");
  await merge("two", "ours");
  await repo.lodestar("task", "create", "--id", "F", "--title", "On feat");
  repo.commit("F");
  repo.git("checkout", "-q", "main");
  await repo.lodestar("task", "create", "--id", "M", "--title", "On main");
  repo.commit("M");
  await merge("feat", "theirs");
  expect(await statuses(repo.spec())).toMatchObject({ F: "ready", M: "ready" });
  expect(repo.spec()).not.toContain("<<<<<<<");
});

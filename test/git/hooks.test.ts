/** The Git hooks in real repositories: what they do for an agent, and that they never stand in the way. */
import { expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Repository, repository } from "./repository.ts";

const hooksOf = (repo: Repository): string[] =>
  readdirSync(join(repo.path, ".git", "hooks"))
    .filter((name) => !name.endsWith(".sample"))
    .sort();

function write(path: string, text: string, mode = 0o755): void {
  writeFileSync(path, text);
  chmodSync(path, mode);
}

/** BEN holds B, which owns src/auth/**. */
async function locked(): Promise<Repository> {
  const repo = await repository();
  await repo.lodestar("task", "update", "B", "--add-lock", "src/auth/**");
  await repo.lodestar("git", "install", "--hooks");
  repo.commit("locks");
  await repo.lodestar("task", "claim", "B", "--agent", "BEN");
  repo.here.write("src/auth/login.ts", "1");
  repo.here.write("src/[auth]/x.ts", "1");
  repo.git("add", "-A");
  return repo;
}

test("pre-commit refuses files inside another agent's locks, naming task, holder and expiry; --no-verify is the way out", async () => {
  using repo = await locked();
  const refused = repo.tryGit(["commit", "-m", "x"], { agent: "ADA" });
  expect(refused.exit).toBe(1);
  expect(refused.out).toMatch(/src\/auth\/login\.ts is locked by task B, held by BEN until \d{4}-.*Z/);
  expect(refused.out).toContain("git commit --no-verify");
  expect(repo.tryGit(["commit", "-m", "x", "--", ":(literal)src/[auth]"], { agent: "ADA" }).exit).toBe(0);
  expect(repo.tryGit(["commit", "-m", "x", "--no-verify"], { agent: "ADA" }).exit).toBe(0);
});

test("the holder commits, and so does whoever is no agent; removed and renamed files count", async () => {
  using repo = await locked();
  expect(repo.tryGit(["commit", "-m", "x"], { agent: "BEN" }).exit).toBe(0);
  expect(repo.git("log", "-1", "--format=%B")).toContain("Lodestar-Task: B");
  repo.git("mv", "src/auth/login.ts", "other.ts");
  expect(repo.tryGit(["commit", "-m", "y"], { agent: "ADA" }).out).toContain("src/auth/login.ts is locked by task B");
  const plain = repo.tryGit(["commit", "-m", "y"]);
  expect(plain.exit).toBe(0);
  expect(repo.git("log", "-1", "--format=%B")).toBe("y\n\n");
});

test("a lease that is over locks nothing", async () => {
  using repo = await locked();
  await repo.lodestar("task", "release", "B", "--agent", "BEN");
  expect(repo.tryGit(["commit", "-m", "x"], { agent: "ADA" }).exit).toBe(0);
});

test("prepare-commit-msg names the task once, also for what was just done", async () => {
  using repo = await repository();
  await repo.lodestar("git", "install", "--hooks");
  await repo.lodestar("task", "claim", "A", "--agent", "ADA");
  repo.here.write("a.txt", "1");
  repo.git("add", "a.txt");
  expect(repo.tryGit(["commit", "-m", "Work on a"], { agent: "ADA" }).exit).toBe(0);
  expect(repo.git("log", "-1", "--format=%(trailers)").trim()).toBe("Lodestar-Task: A");
  expect(repo.tryGit(["commit", "--amend", "--no-edit"], { agent: "ADA" }).exit).toBe(0);
  expect(repo.git("log", "-1", "--format=%(trailers)").trim()).toBe("Lodestar-Task: A");
  await Bun.sleep(1100); // Git counts in seconds: the next event is later than the last commit.
  await repo.lodestar("task", "done", "A", "--agent", "ADA");
  expect(repo.tryGit(["commit", "-am", "Finish a"], { agent: "ADA" }).exit).toBe(0);
  expect(repo.git("log", "-1", "--format=%(trailers)").trim()).toBe("Lodestar-Task: A");
  repo.here.write("b.txt", "1");
  repo.git("add", "b.txt");
  expect(repo.tryGit(["commit", "-m", "Something else"], { agent: "BEN" }).exit).toBe(0);
  expect(repo.git("log", "-1", "--format=%(trailers)").trim()).toBe("");
});

test("post-merge says what was unblocked by what came through Git", async () => {
  using repo = await repository();
  await repo.lodestar("git", "install", "--hooks");
  await repo.lodestar("task", "update", "B", "--add-dep", "A");
  repo.commit("B needs A");
  repo.git("checkout", "-q", "-b", "feat");
  // As another clone would: the outcome comes through Git, this runtime knows nothing of it.
  const path = join(repo.path, ".lodestar", "spec.yaml");
  writeFileSync(
    path,
    repo.spec().replace("status: ready", "status: verified\n    verified_at: '2030-01-01T00:00:00.000Z'"),
  );
  repo.commit("A is verified");
  repo.git("checkout", "-q", "main");
  await repo.lodestar("status");
  const merged = repo.tryGit(["merge", "--no-edit", "feat"], { agent: "ADA" });
  expect(merged.exit).toBe(0);
  expect(merged.out).toContain("Unblocked tasks:\n  - B");
});

test("a verification waits for the work, and is written when the merge brings it", async () => {
  using repo = await repository();
  await repo.lodestar("git", "install", "--hooks");
  repo.git("checkout", "-q", "-b", "feat");
  await repo.lodestar("task", "done", "B", "--agent", "ADA");
  repo.commit("feat");
  repo.git("checkout", "-q", "main");
  await repo.lodestar("task", "verify", "B", "--agent", "BEN");
  expect(repo.spec()).not.toContain("verified");
  const merged = repo.tryGit(["merge", "--no-ff", "--no-edit", "feat"], { agent: "BEN" });
  expect(merged.out).toContain("wrote to the spec what had waited for this branch: B");
  expect(repo.spec()).toContain("status: verified");
});

test("post-checkout writes what waited for the branch, and a rebase is left in peace", async () => {
  using repo = await repository();
  await repo.lodestar("git", "install", "--hooks");
  repo.git("branch", "feat");
  repo.git("branch", "later");
  await repo.lodestar("task", "done", "B", "--agent", "ADA");
  repo.commit("B");
  await repo.lodestar("task", "verify", "B", "--agent", "BEN");
  repo.commit("B is verified");
  // Another branch got the work by itself; the verification belongs there too (T2), but it comes by merging.
  repo.git("checkout", "-q", "feat");
  repo.here.write("feat.txt", "1");
  repo.commit("feat");
  const rebased = repo.tryGit(["rebase", "main"], { agent: "ADA" });
  expect(rebased.exit).toBe(0);
  expect(repo.git("status", "--short")).toBe("");
  expect(repo.spec()).toContain("status: verified");
});

test("hooks that exist run first, and stop what they stopped before; uninstall puts them back as they were", async () => {
  using repo = await repository();
  const hooks = join(repo.path, ".git", "hooks");
  mkdirSync(hooks, { recursive: true });
  const own = '#!/bin/sh\necho "own $1" >> ran\n[ ! -e stop ]\n';
  write(join(hooks, "pre-commit"), own);
  write(join(hooks, "post-merge"), "#!/bin/sh\nexit 0\n", 0o644);
  const installed = await repo.lodestar("git", "install", "--hooks", "--json");
  expect(installed.json.data.kept).toEqual([
    ".git/hooks/pre-commit.before-lodestar",
    ".git/hooks/post-merge.before-lodestar",
  ]);
  expect((await repo.lodestar("git", "install", "--hooks", "--json")).json.data.changed).toEqual([]);
  repo.here.write("a.txt", "1");
  repo.git("add", "a.txt");
  writeFileSync(join(repo.path, "stop"), "");
  expect(repo.tryGit(["commit", "-m", "x"], { agent: "ADA" }).exit).toBe(1);
  renameSync(join(repo.path, "stop"), join(repo.path, "go"));
  expect(repo.tryGit(["commit", "-m", "x"], { agent: "ADA" }).exit).toBe(0);
  expect(readFileSync(join(repo.path, "ran"), "utf8")).toBe("own \nown \n");
  await repo.lodestar("git", "uninstall");
  expect(hooksOf(repo)).toEqual(["post-merge", "pre-commit"]);
  expect(readFileSync(join(hooks, "pre-commit"), "utf8")).toBe(own);
  expect(statSync(join(hooks, "post-merge")).mode & 0o777).toBe(0o644);
});

test("a hook that somebody replaced since is left alone, with a warning", async () => {
  using repo = await repository();
  const path = join(repo.path, ".git", "hooks", "pre-commit");
  mkdirSync(join(path, ".."), { recursive: true });
  write(path, "#!/bin/sh\nexit 0\n");
  await repo.lodestar("git", "install", "--hooks");
  write(path, "#!/bin/sh\n# theirs\n");
  const { json } = await repo.lodestar("git", "uninstall", "--json");
  expect(json.warnings[0]).toContain("is not Lodestar's any more");
  expect(readFileSync(path, "utf8")).toContain("# theirs");
  expect(existsSync(`${path}.before-lodestar`)).toBe(true);
});

test("core.hooksPath is respected", async () => {
  using repo = await repository();
  repo.git("config", "core.hooksPath", ".githooks");
  await repo.lodestar("git", "install", "--hooks");
  expect(readdirSync(join(repo.path, ".githooks")).length).toBe(4);
  await repo.lodestar("git", "uninstall");
  expect(readdirSync(join(repo.path, ".githooks"))).toEqual([]);
});

test("a broken Lodestar never blocks a commit: it warns", async () => {
  using repo = await locked();
  const path = join(repo.path, ".lodestar", "runtime.sqlite");
  writeFileSync(path, "SQLite format 3\u0000 and then nothing that makes sense".repeat(200));
  const damaged = repo.tryGit(["commit", "-m", "x"], { agent: "ADA" });
  expect(damaged.exit).toBe(0);
  expect(damaged.out).toContain("Lodestar could not help with pre-commit");
  writeFileSync(join(repo.path, ".lodestar", "spec.yaml"), "tasks: [\n");
  expect(repo.tryGit(["commit", "-am", "y"], { agent: "ADA" }).exit).toBe(0);
  expect(repo.tryGit(["checkout", "-q", "-b", "other"], { agent: "ADA" }).exit).toBe(0);
});

test("without lodestar on the PATH commits go on", async () => {
  using repo = await locked();
  renameSync(join(repo.here.base, "bin", "lodestar"), join(repo.here.base, "bin", "away"));
  expect(repo.tryGit(["commit", "-m", "x"], { agent: "ADA" })).toMatchObject({ exit: 0 });
});

test("in a linked worktree the same locks hold", async () => {
  using repo = await locked();
  repo.git("worktree", "add", "-q", "-b", "ada", join(repo.here.base, "ada"));
  const cwd = join(repo.here.base, "ada");
  mkdirSync(join(cwd, "src", "auth"), { recursive: true });
  writeFileSync(join(cwd, "src", "auth", "more.ts"), "1");
  expect(repo.tryGit(["add", "-A"], { cwd }).exit).toBe(0);
  expect(repo.tryGit(["commit", "-m", "x"], { agent: "ADA", cwd }).out).toContain(
    "src/auth/more.ts is locked by task B",
  );
  expect(repo.tryGit(["commit", "-m", "x"], { agent: "BEN", cwd }).exit).toBe(0);
});

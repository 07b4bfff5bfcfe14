/** How simpler rules fail (design/counterexamples.md), at the command line: those about outcomes and identity. */
import { expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Fleet, fleet, specText } from "../support/fleet.ts";
import { outbox } from "../support/runtime-file.ts";

const spec = (folder: string) => join(folder, ".lodestar/spec.yaml");
const removeRuntime = (folder: string) => {
  for (const part of ["", "-wal", "-shm"]) rmSync(join(folder, `.lodestar/runtime.sqlite${part}`), { force: true });
};

/** Two clones of one repository, each with a runtime and an agent of its own. */
async function clones(
  ids: readonly string[],
  extra?: (id: string) => readonly string[],
): Promise<{ one: Fleet; two: string; [Symbol.dispose](): void }> {
  const one = await fleet();
  one.tasks(ids, extra);
  one.commit("start");
  const two = join(one.base, "two");
  one.git("clone", "-q", one.path, two);
  await one.join("A");
  await one.ok("agent join --id B", { cwd: two });
  return { one, two, [Symbol.dispose]: one[Symbol.dispose] };
}

test("counterexample 10: after the runtime is lost a token of before opens nothing, and tokens go on growing", async () => {
  using here = await fleet();
  await here.join("A");
  here.tasks(["T"]);
  const before = await here.ok("task claim T --agent A");
  const { next_since } = await here.ok("events --since 0");
  removeRuntime(here.path);
  await here.join("B", "A");
  const after = await here.ok("task claim T --agent B");
  expect(after.fencing_token).toBeGreaterThan(before.fencing_token);
  for (const line of ["task renew T", "task done T", "task release T"]) {
    const error = await here.refused("LEASE_LOST", `${line} --agent A --fencing-token ${before.fencing_token}`);
    expect(error.details).toMatchObject({ task_id: "T", held_by: { agent_id: "B" } });
  }
  // Who was following the events is told where to begin again, and then misses none; numbers have grown, too.
  const { oldest } = (await here.refused("EVENTS_PRUNED", `events --since ${next_since}`)).details;
  expect(oldest).toBeGreaterThan(next_since);
  const { events } = await here.ok(`events --since ${oldest}`);
  expect(events.map(({ type }: { type: string }) => type)).toEqual(["agent.joined", "agent.joined", "task.claimed"]);
});

test("counterexample 11: losing the runtime loses leases and what waited, and never a task", async () => {
  using here = await fleet();
  await here.join("A");
  here.tasks(["S", "T", "U"]);
  here.commit();
  const beside = join(here.base, "beside");
  here.git("worktree", "add", "-q", "-b", "feat", beside);
  await here.ok("task done S --agent A", { cwd: beside });
  await here.ok("task claim U --agent A");
  await here.killedAt("after-runtime-commit", "task done T --agent A", { cwd: beside });
  const before = readFileSync(spec(here.path), "utf8");
  removeRuntime(here.path);
  for (const cwd of [here.path, beside]) expect((await here.ok("task list", { cwd })).count).toBe(3);
  expect((await here.show("S", { cwd: beside })).status).toBe("done");
  expect((await here.show("S")).status).toBe("ready");
  expect((await here.show("T", { cwd: beside })).status).toBe("ready");
  expect((await here.ok("status")).agents).toEqual({ registered: 0, active_leases: 0 });
  // Clear answers, and how to go on.
  const stranger = await here.refused("AGENT_NOT_FOUND", "task done U --agent A");
  expect(stranger.hint).toContain("lodestar agent join --id A");
  await here.ok("agent join --id A");
  const lost = await here.call("task renew U --agent A");
  expect([lost.exit, lost.json.error.code]).toEqual([4, "NOT_HOLDER"]);
  expect((await here.call("task renew U --agent A --fencing-token 5")).json.error.code).toBe("LEASE_LOST");
  expect(readFileSync(spec(here.path), "utf8")).toBe(before);
  await here.ok("task claim U --agent A");
});

test("counterexample 13: looking at a pull request that marks a task done does not make it done elsewhere", async () => {
  using here = await fleet();
  await here.join("A");
  here.tasks(["T", "U"]);
  here.commit();
  here.git("checkout", "-q", "-b", "pull-request");
  writeFileSync(spec(here.path), readFileSync(spec(here.path), "utf8").replace("status: ready", "status: verified"));
  here.commit("stranger's");
  expect((await here.ok("status")).tasks.by_status).toEqual({ ready: 1, verified: 1 });
  expect((await here.show("T")).status).toBe("verified");
  // Also by writing there.
  await here.ok("task claim U --agent A");
  await here.ok("task verify T --agent A");
  await here.ok("task release U --agent A");
  here.git("checkout", "-q", "main");
  expect((await here.ok("status")).tasks.by_status).toEqual({ ready: 2 });
  await here.ok("task claim T --agent A");
});

test("counterexample 14: a task that was deleted and made again is not born deleted, and two things with one id share nothing", async () => {
  using here = await fleet();
  await here.join("A", "B");
  const taken = await here.ok("task create --id T --title First");
  await here.ok("task delete T");
  const error = await here.refused("ID_TAKEN", "task create --id T --title Again");
  expect(error.hint).toContain("lodestar task reopen T");
  // A person takes it out of the file and writes another.
  here.tasks(["U"]);
  await here.refused("ID_TAKEN", "task create --id T --title Again");
  here.tasks(["T", "U"]);
  expect((await here.show("T")).status).toBe("ready");
  expect(here.file().T.created_at).not.toBe(taken.created_at);
  await here.ok("task claim T --agent A");

  // Two branches use the id for two things: one outcome and one lease each.
  here.commit();
  here.git("checkout", "-q", "-b", "other");
  here.tasks(["T", "U"], () => []);
  writeFileSync(spec(here.path), readFileSync(spec(here.path), "utf8").replaceAll("2026-01-01", "2026-02-02"));
  expect((await here.show("T")).claimed_by).toBeUndefined();
  await here.ok("task claim T --agent B");
  await here.ok("task done T --agent B --verify");
  here.commit();
  here.git("checkout", "-q", "main");
  expect(await here.show("T")).toMatchObject({ status: "ready", claimed_by: { agent_id: "A" } });
  await here.ok("task done T --agent A");
  expect((await here.show("T")).completed_by).toBe("A");
  here.git("checkout", "-q", "-f", "other");
  expect(await here.show("T")).toMatchObject({ status: "verified", completed_by: "B" });
});

test("an id that the runtime knows from another branch is ID_TAKEN, and TASK_NOT_FOUND names the branch", async () => {
  using here = await fleet();
  await here.join("A");
  here.tasks(["U"]);
  here.commit();
  here.git("checkout", "-q", "-b", "feat");
  await here.ok("task create --id AUTH-001 --title One");
  await here.ok("task claim AUTH-001 --agent A");
  await here.ok("task done AUTH-001 --agent A");
  here.commit();
  here.git("checkout", "-q", "main");
  const error = await here.refused("ID_TAKEN", "task create --id AUTH-001 --title Other");
  expect(error.details.branch).toBe("feat");
  const missing = await here.refused("TASK_NOT_FOUND", "task show AUTH-001");
  expect(missing.details.branch).toBe("feat");
  expect(missing.hint).toContain("feat");
});

test("counterexample 15: reopen and done on one clone, done and reopen on the other: the work is open, whoever looks", async () => {
  using both = await clones(["T"]);
  const { one, two } = both;
  await one.ok("task done T --agent A");
  await one.ok("task reopen T --agent A");
  await one.ok("task done T --agent A");
  await one.ok("task done T --agent B", { cwd: two });
  await one.ok("task reopen T --agent B", { cwd: two });
  const [here, there] = [readFileSync(spec(one.path), "utf8"), readFileSync(spec(two), "utf8")];
  // Each takes the other's file, as a checkout of its branch would bring it.
  writeFileSync(spec(one.path), there);
  writeFileSync(spec(two), here);
  for (const cwd of [one.path, two]) {
    const task = await one.show("T", { cwd });
    expect(task).toMatchObject({ status: "ready", claimable: true });
    expect(task.reopens).toHaveLength(2);
    expect(task.completed_by).toBeUndefined();
  }
  await one.ok("doctor --fix");
  await one.ok("doctor --fix", { cwd: two });
  expect(one.file().T).toMatchObject({ status: "ready" });
  expect(one.file(two).T.reopens).toEqual(one.file().T.reopens);
});

test("counterexample 16: a word of a person is this spec's; an outcome of the runtime does not change it", async () => {
  using here = await fleet();
  await here.join("A");
  here.tasks(["T"]);
  here.commit();
  const beside = join(here.base, "beside");
  here.git("worktree", "add", "-q", "-b", "feat", beside);
  await here.ok("task done T --agent A");
  await here.ok("task reopen T --agent A");
  await here.ok("task update T --status todo");
  await here.ok("task update T --status blocked", { cwd: beside });
  expect([(await here.show("T")).status, (await here.show("T", { cwd: beside })).status]).toEqual(["todo", "blocked"]);
  await here.ok("task update T --status ready");
  expect([(await here.show("T")).status, (await here.show("T", { cwd: beside })).status]).toEqual(["ready", "blocked"]);
  await here.ok("task claim T --agent A");
  await here.ok("task done T --agent A");
  expect((await here.show("T", { cwd: beside })).status).toBe("done");
});

test("counterexample 17: verified on one clone, deleted on the other: the dependents go on, whoever looks", async () => {
  using both = await clones(["D", "X"], (id) => (id === "X" ? ["depends_on: [D]"] : []));
  const { one, two } = both;
  await one.ok("task done D --agent A --verify");
  await one.refused("HAS_DEPENDENTS", "task delete D --agent B", { cwd: two });
  writeFileSync(
    spec(two),
    specText(["D", "X"], (id) => (id === "X" ? ["depends_on: [D]"] : [])).replace("status: ready", "status: deleted"),
  );
  expect((await one.show("X", { cwd: two })).blocked_by).toEqual(["D"]);
  expect(JSON.stringify((await one.call("doctor", { cwd: two })).json)).toContain("X → D");
  const [here, there] = [readFileSync(spec(one.path), "utf8"), readFileSync(spec(two), "utf8")];
  writeFileSync(spec(one.path), there);
  writeFileSync(spec(two), here);
  expect(await one.show("D")).toMatchObject({ status: "deleted" });
  expect(await one.show("X")).toMatchObject({ claimable: true });
  expect(await one.show("X", { cwd: two })).toMatchObject({ claimable: true });
  // What the file gets tells a clone without a runtime, too.
  await one.ok("doctor --fix");
  expect(one.file().D.status).toBe("deleted");
  removeRuntime(one.path);
  expect(await one.show("X")).toMatchObject({ claimable: true });
});

test("counterexample 22: on a branch without .lodestar/ the runtime is ignored, and `git add -A` commits nothing of ours", async () => {
  using here = await fleet({ init: false });
  here.commit("before Lodestar");
  here.git("branch", "old");
  // A repository that the predecessor made: its .gitignore knows nothing of our files.
  here.write(".lodestar/spec.yaml", specText(["T"]));
  here.write(".lodestar/.gitignore", "other\n");
  here.commit();
  await here.join("A");
  await here.ok("task claim T --agent A");
  here.commit("nothing of ours");
  expect(here.git("ls-files", ".lodestar").trim().split("\n")).toEqual([".lodestar/.gitignore", ".lodestar/spec.yaml"]);
  here.git("checkout", "-q", "old");
  expect(here.git("status", "--porcelain")).toBe("");
  here.git("add", "-A");
  expect(here.git("status", "--porcelain")).toBe("");
  here.git("checkout", "-q", "main");
  expect((await here.ok("status")).leases).toMatchObject([{ task_id: "T", agent_id: "A" }]);
});

test("T2: nothing is left in the outbox after a day's work", async () => {
  using here = await fleet();
  await here.join("A", "B");
  here.tasks(["D", "X"], (id) => (id === "X" ? ["depends_on: [D]"] : []));
  for (const id of ["D", "X"]) {
    await here.ok(`task claim ${id} --agent A`);
    await here.ok(`task done ${id} --agent A`);
    await here.ok(`task verify ${id} --agent B`);
  }
  await here.ok("task reopen X --agent B");
  await here.ok("task delete X --agent B");
  expect(outbox(here.path)).toEqual([]);
  expect((await here.ok("doctor --strict")).healthy).toBe(true);
});

/** What docs/concepts/ says and no other test proves: the effective status, what is not here yet, renewal without discipline. */
import { expect, test } from "bun:test";
import { dirname, join } from "node:path";
import { execute } from "../../src/commands/execute.ts";
import { REGISTRY } from "../../src/commands/registry.ts";
import { formatInstant, MINUTE } from "../../src/core/time.ts";
import { openContext } from "../../src/wire.ts";
import { ManualClock, SeededRandom } from "../support/clock.ts";
import { type Sandbox, sandbox } from "../support/sandbox.ts";

/** A repository with BASE ← TOP, agent ADA, and a second worktree on branch `feat`. */
async function planned(): Promise<{ readonly here: Sandbox; readonly feat: string }> {
  const here = sandbox();
  await here.run(["init"]);
  await here.run(["task", "create", "--id", "BASE", "--title", "Lay the ground"]);
  await here.run(["task", "create", "--id", "TOP", "--title", "Build on it", "--depends-on", "BASE"]);
  await here.run(["agent", "join", "--id", "ADA"]);
  here.git("add", "-A");
  here.git("commit", "-q", "-m", "Plan");
  here.git("worktree", "add", "-q", "-b", "feat", "../feat");
  return { here, feat: join(dirname(here.path), "feat") };
}

const statusOf = async (here: Sandbox, cwd: string, id: string): Promise<string> =>
  (await here.run(["task", "show", id, "--json"], { cwd })).json.data.status;

test("T1: an outcome made in one worktree holds in all, whatever their files say", async () => {
  const { here, feat } = await planned();
  using _ = here;
  await here.run(["task", "done", "BASE", "--agent", "ADA"], { cwd: feat });
  expect(await statusOf(here, here.path, "BASE")).toBe("done");
  const { only_in_runtime } = (await here.run(["status", "--json"])).json.data;
  expect(only_in_runtime).toEqual([{ task_id: "BASE", spec: "ready", runtime: "done", branch: "feat" }]);
  here.git("-C", feat, "reset", "-q", "--hard");
  expect(await statusOf(here, feat, "BASE")).toBe("done");
  expect((await here.run(["doctor"], { cwd: feat })).stdout).toContain(
    "BASE: the file says ready, the runtime says done on feat",
  );
  await here.run(["task", "reopen", "BASE", "--agent", "ADA"], { cwd: feat });
  expect(await statusOf(here, here.path, "BASE")).toBe("ready");
});

test("T1 (counterexample 13): the runtime learns nothing from a branch that one looks at", async () => {
  const { here, feat } = await planned();
  using _ = here;
  here.git("-C", feat, "switch", "-q", "-c", "pull-request");
  const spec = join(feat, ".lodestar", "spec.yaml");
  await Bun.write(spec, (await Bun.file(spec).text()).replace("status: ready", "status: done"));
  here.git("-C", feat, "commit", "-qam", "Says that it is done");
  expect(await statusOf(here, feat, "BASE")).toBe("done");
  await here.run(["task", "update", "TOP", "--priority", "3"], { cwd: feat });
  expect(await statusOf(here, here.path, "BASE")).toBe("ready");
  here.git("-C", feat, "checkout", "-q", "--force", "feat");
  expect(await statusOf(here, feat, "BASE")).toBe("ready");
});

test("T5: who builds on work that is not here is told which branch to merge; after a squash merge no more", async () => {
  const { here, feat } = await planned();
  using _ = here;
  await here.run(["task", "done", "BASE", "--agent", "ADA", "--verify"], { cwd: feat });
  here.git("-C", feat, "commit", "-qam", "Lay the ground");
  const first = (await here.run(["task", "claim", "TOP", "--agent", "ADA", "--json"])).json;
  expect(first.warnings).toEqual([
    "TOP builds on BASE, which was verified on feat and is not in this worktree yet: merge feat",
  ]);
  await here.run(["task", "release", "TOP", "--agent", "ADA"]);
  here.git("merge", "-q", "--squash", "feat");
  here.git("commit", "-qam", "Squashed");
  expect((await here.run(["task", "claim", "TOP", "--agent", "ADA", "--json"])).json).toMatchObject({
    ok: true,
    warnings: [],
  });
});

test("L8: a command renews the lease of the task that it names, past half the TTL, for its holder alone", async () => {
  const { here } = await planned();
  using _ = here;
  const clock = new ManualClock(Date.now() + MINUTE);
  const random = new SeededRandom(1);
  const run = async (name: string, input: Record<string, unknown>, env: Record<string, string> = {}) => {
    const loaded = await REGISTRY[name]?.();
    if (loaded === undefined) throw new Error(`There is no command ${name}.`);
    const context = await openContext({ cwd: here.path, env, interactive: false, clock, random });
    const { ok, data } = await execute(loaded.default, input, context);
    expect({ name, ok }).toEqual({ name, ok: true });
    // biome-ignore lint/suspicious/noExplicitAny: the answer of any command.
    return data as any;
  };
  const end = async () => (await run("task.show", { task_id: "BASE" })).claimed_by?.expires_at;
  const at = (minutes: number) => formatInstant(start + minutes * MINUTE);
  await run("agent.join", { agent_id: "BEN" });
  const start = clock.now();
  await run("task.claim", { task_ids: ["BASE"], agent_id: "ADA", ttl: "10m" });
  const touch = (task_id: string, agent_id: string, env = {}) =>
    run("task.update", { task_id, agent_id, add_label: [String(clock.now())] }, env);

  clock.set(start + 4 * MINUTE);
  await touch("BASE", "ADA");
  expect(await end()).toBe(at(10));
  clock.set(start + 6 * MINUTE);
  await touch("BASE", "BEN");
  await touch("TOP", "ADA");
  await run("agent.heartbeat", { agent_id: "ADA" });
  expect(await end()).toBe(at(10));
  await touch("BASE", "ADA");
  expect(await end()).toBe(at(16));
  clock.set(start + 12 * MINUTE);
  await run("task.create", { title: "Found on the way", agent_id: "ADA" }, { LODESTAR_TASK_ID: "BASE" });
  expect(await end()).toBe(at(22));
  clock.set(start + 22 * MINUTE);
  expect(await end()).toBeUndefined();
});

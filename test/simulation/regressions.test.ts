import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AnyCommand } from "../../src/commands/command.ts";
import type { Context } from "../../src/commands/context.ts";
import { execute } from "../../src/commands/execute.ts";
import { REGISTRY } from "../../src/commands/registry.ts";
import { LodestarError } from "../../src/core/errors.ts";
import type { RuntimeStore } from "../../src/runtime/store.ts";
import { openContext } from "../../src/wire.ts";
import { SeededRandom } from "../support/clock.ts";
import { readTasks } from "./lattice.ts";
import { type Worktree, World } from "./world.ts";

/** What the simulation has found, each as the shortest history that shows it. */

const SPEC = `project:
  name: sim
  conventions: {}
tasks:
  A:
    title: Task A
    status: ready
    created_at: 2026-01-01T00:00:00.000Z
`;

/** Calls do not draw the same ids. */
let seed = 3;

async function call(
  world: World,
  worktree: Worktree,
  name: string,
  input: object,
  between = (context: Context) => context,
) {
  const context = await openContext({
    ...{
      cwd: worktree.root,
      env: {},
      agent: "A1",
      interactive: false,
      clock: world.clock,
      random: new SeededRandom(seed++),
    },
  });
  try {
    const command = (await REGISTRY[name]?.())?.default as AnyCommand;
    return await execute(command, { ...input }, between(context));
  } finally {
    (await context.runtimeIfAny())?.close();
    context.spec.close();
  }
}

/** A history of one worktree, in which A1 has joined; the world is gone afterwards. */
async function inWorld(body: (world: World, worktree: Worktree) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "lodestar-history-"));
  const world = new World(folder, new SeededRandom(1), 1, () => {}, { spec: SPEC });
  try {
    const [worktree] = world.worktrees as [Worktree];
    await call(world, worktree, "agent.join", { agent_id: "A1" });
    await body(world, worktree);
  } finally {
    world.remove();
  }
}

/** The same object, with one of its methods in other words. */
function but<T extends object, K extends keyof T & string>(whole: T, name: K, method: T[K]): T {
  return new Proxy(whole, {
    get: (target, asked) => {
      if (asked === name) return method;
      const value = Reflect.get(target, asked, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The context, whose runtime takes one of its steps in other words. */
const withStep =
  <K extends keyof RuntimeStore & string>(name: K, step: (store: RuntimeStore) => RuntimeStore[K]) =>
  (context: Context): Context =>
    but(context, "runtime", async () => {
      const store = await context.runtime();
      return but(store, name, step(store));
    });

test("T2, counterexample 12: a commit is not written to a branch that was checked out after it", () =>
  inWorld(async (world, worktree) => {
    // Somebody checks out another branch between the runtime's commit and the save.
    const between = withStep("finish", (store) => async (request) => {
      const result = await store.finish(request);
      world.checkOut(worktree, "feat");
      return result;
    });
    const answer = await call(world, worktree, "task.done", { task_id: "A" }, between);
    expect(answer).toMatchObject({
      ok: true,
      data: { status: "done" },
      // Until then it would go with the runtime (L6).
      warnings: ["The outcome of A is recorded, but not yet written to the spec: the next command on main does it."],
    });
    const now = () => readTasks(readFileSync(worktree.spec, "utf8")).get("A")?.outcome.rank;
    worktree.text = readFileSync(worktree.spec, "utf8");
    expect(now()).toBe(0);
    // The row waits for its own branch.
    world.checkOut(worktree, "main");
    await call(world, worktree, "agent.heartbeat", { agent_id: "A1" });
    expect(now()).toBe(1);
  }));

test("L6, T2: what was decided by one branch's spec is not recorded for another that was checked out meanwhile", () =>
  inWorld(async (world, worktree) => {
    await call(world, worktree, "task.create", { id: "B", title: "On main alone" });
    worktree.text = readFileSync(worktree.spec, "utf8");
    let looks = 0;
    // The spec has been looked at; somebody checks out a branch without the task before the outcome is recorded.
    const between = withStep("observe", (store) => async (query) => {
      looks += 1;
      if (looks === 1) world.checkOut(worktree, "feat");
      return store.observe(query);
    });
    const answer = await call(world, worktree, "task.done", { task_id: "B" }, between);
    expect(answer).toMatchObject({ ok: false, error: { code: "TASK_NOT_FOUND" } });
    expect(looks).toBeGreaterThan(1);
    world.checkOut(worktree, "main");
    const again = await call(world, worktree, "task.done", { task_id: "B" });
    expect(again).toMatchObject({ ok: true, data: { status: "done" }, warnings: [] });
    expect(readTasks(readFileSync(worktree.spec, "utf8")).get("B")?.outcome.rank).toBe(1);
  }));

test("L6, T2: a `done` that is called again after its process died is not answered before the spec holds it", () =>
  inWorld(async (world, worktree) => {
    // The process dies between the runtime's commit and the save.
    const dying = withStep("finish", (store) => async (request) => {
      await store.finish(request);
      throw new Error("the process is gone");
    });
    const died = await call(world, worktree, "task.done", { task_id: "A" }, dying);
    expect(died).toMatchObject({ error: { code: "INTERNAL" } });
    // Whoever has the lock when the second call has given it back keeps it from writing what others have left.
    const others = (context: Context): Context =>
      but(
        context,
        "spec",
        but(context.spec, "locked", (body, patience) => {
          if (patience === 0) throw new LodestarError("BUSY", "Another process writes the spec.");
          return context.spec.locked(body, patience);
        }),
      );
    const again = await call(world, worktree, "task.done", { task_id: "A" }, others);
    expect(again).toMatchObject({ ok: true, data: { status: "done", already: true }, warnings: [] });
    expect(readTasks(readFileSync(worktree.spec, "utf8")).get("A")?.outcome.rank).toBe(1);
  }));

test("L9: a lease that runs out between the look and the grant is not granted anew for what can no longer be claimed", () =>
  inWorld(async (world, worktree) => {
    await call(world, worktree, "task.claim", { task_ids: ["A"], ttl: "2s" });
    worktree.text = worktree.text.replace("status: ready", "status: blocked");
    writeFileSync(worktree.spec, worktree.text);
    const late = withStep("claim", (store) => async (request) => {
      world.clock.advance(3000);
      return store.claim(request);
    });
    // While it is held a claim is a retry, whatever became of the task.
    expect(await call(world, worktree, "task.claim", { task_ids: ["A"], ttl: "2s" })).toMatchObject({ ok: true });
    const answer = await call(world, worktree, "task.claim", { task_ids: ["A"], ttl: "2s" }, late);
    expect(answer).toMatchObject({ ok: false, error: { code: "NOT_CLAIMABLE" } });
    expect(await call(world, worktree, "status", {})).toMatchObject({ data: { agents: { active_leases: 0 } } });
  }));

test("T2, T3: deleting work that was verified elsewhere says so in the spec, and no later command writes it again", () =>
  inWorld(async (world, worktree) => {
    // As an editor or another program leaves it: verified, and no word of when.
    writeFileSync(worktree.spec, worktree.text.replace("status: ready", "status: verified"));
    const text = () => readFileSync(worktree.spec, "utf8");
    await call(world, worktree, "task.delete", { task_id: "A", cascade: true });
    expect(readTasks(text()).get("A")?.outcome).toEqual({ reopens: [], rank: 3, verified: true });
    const before = text();
    world.clock.advance(1000);
    const later = await call(world, worktree, "agent.heartbeat", { agent_id: "A1" });
    expect(later.warnings).toEqual([]);
    expect(text()).toBe(before);
    // And the other way round: a record that an editor left behind does not make unverified work verified.
    writeFileSync(
      worktree.spec,
      `${world.contentOf("feat")}`.replace("status: ready", "status: ready\n    verified_at: 2026-01-01T00:00:00.000Z"),
    );
    await call(world, worktree, "task.reopen", { task_id: "A" });
    await call(world, worktree, "task.delete", { task_id: "A", cascade: true });
    expect(readTasks(text()).get("A")?.outcome).toMatchObject({ rank: 3, verified: false });
  }));

test("trust, counterexample 27: a committed runtime of a stranger is not spoken to, whatever an agent calls", async () => {
  let asked = 0;
  using stranger = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        asked += 1;
        socket.end();
      },
      data: () => {},
    },
  });
  const url = `postgres://127.0.0.1:${stranger.port}/lodestar`;
  const spec = SPEC.replace("conventions: {}", `conventions: { runtime: "${url}", project_id: p1 }`);
  const world = new World(mkdtempSync(join(tmpdir(), "lodestar-history-")), new SeededRandom(1), 1, () => {}, { spec });
  try {
    const [worktree] = world.worktrees as [Worktree];
    for (const [name, input] of [
      ["agent.join", { agent_id: "A1" }],
      ["task.next", { claim: true }],
      ["task.done", { task_id: "A" }],
      ["runtime.trust", {}],
      ["agent.join", { agent_id: "A1" }],
      ["status", {}],
      ["doctor", { fix: true }],
    ] as const)
      await call(world, worktree, name, input);
    expect(asked).toBe(0);
  } finally {
    world.remove();
  }
});

test("S4, counterexample 24: a task that a merge on a host left twice is offered to nobody and granted to nobody", async () => {
  const two = `${SPEC}  B:
    title: Task B
    status: ready
    created_at: 2026-01-01T00:00:00.000Z
  A:
    title: Another task A
    status: ready
    created_at: 2026-01-01T00:00:00.000Z
`;
  const world = new World(mkdtempSync(join(tmpdir(), "lodestar-history-")), new SeededRandom(1), 1, () => {}, {
    spec: two,
  });
  try {
    const [worktree] = world.worktrees as [Worktree];
    await call(world, worktree, "agent.join", { agent_id: "A1" });
    const offered = await call(world, worktree, "task.next", { count: 10 });
    expect((offered.data as { tasks: { id: string }[] }).tasks.map(({ id }) => id)).toEqual(["B"]);
    expect(await call(world, worktree, "task.next", { claim: true })).toMatchObject({ data: { task_id: "B" } });
    const more = await call(world, worktree, "task.next", { claim: true, another: true });
    expect(more).toMatchObject({ ok: true, data: { tasks: [] } });
    const named = await call(world, worktree, "task.claim", { task_ids: ["A"] });
    expect(named).toMatchObject({ ok: false, error: { code: "SPEC_INVALID" } });
  } finally {
    world.remove();
  }
});

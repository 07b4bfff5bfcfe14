import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AnyCommand } from "../../src/commands/command.ts";
import type { Context } from "../../src/commands/context.ts";
import { execute } from "../../src/commands/execute.ts";
import { REGISTRY } from "../../src/commands/registry.ts";
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
      random: new SeededRandom(3),
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

test("T2, counterexample 12: a commit is not written to a branch that was checked out after it", async () => {
  const world = new World(mkdtempSync(join(tmpdir(), "lodestar-history-")), new SeededRandom(1), 1, () => {}, SPEC);
  try {
    const [worktree] = world.worktrees as [Worktree];
    await call(world, worktree, "agent.join", { agent_id: "A1" });
    const answer = await call(world, worktree, "task.done", { task_id: "A" }, (context) => {
      // Somebody checks out another branch between the runtime's commit and the save.
      const runtime = async () => {
        const store = await context.runtime();
        return new Proxy(store, {
          get: (target, name) => {
            const value = Reflect.get(target, name, target);
            if (name !== "finish") return typeof value === "function" ? value.bind(target) : value;
            return async (request: Parameters<typeof store.finish>[0]) => {
              const result = await target.finish(request);
              world.checkOut(worktree, "feat");
              return result;
            };
          },
        });
      };
      return new Proxy(context, {
        get: (target, name) => {
          if (name === "runtime") return runtime;
          const value = Reflect.get(target, name, target);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    });
    expect(answer).toMatchObject({ ok: true, data: { status: "done" } });
    const now = () => readTasks(readFileSync(worktree.spec, "utf8")).get("A")?.outcome.rank;
    worktree.text = readFileSync(worktree.spec, "utf8");
    expect(now()).toBe(0);
    // The row waits for its own branch.
    world.checkOut(worktree, "main");
    await call(world, worktree, "agent.heartbeat", { agent_id: "A1" });
    expect(now()).toBe(1);
  } finally {
    world.remove();
  }
});

test("T2, T3: deleting work that was verified elsewhere says so in the spec, and no later command writes it again", async () => {
  const world = new World(mkdtempSync(join(tmpdir(), "lodestar-history-")), new SeededRandom(1), 1, () => {}, SPEC);
  try {
    const [worktree] = world.worktrees as [Worktree];
    await call(world, worktree, "agent.join", { agent_id: "A1" });
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
  } finally {
    world.remove();
  }
});

/** What people who know Lodestar 1.0 type, and the words that they and their scripts look for. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Sandbox, sandbox } from "../support/sandbox.ts";

const OWN_SPEC = readFileSync(join(import.meta.dir, "..", "fixtures", "lodestar-own-spec.yaml"), "utf8");

async function run(here: Sandbox, line: string, args: readonly string[] = []) {
  const { exit, stdout, stderr } = await here.run([...line.split(" "), ...args]);
  expect({ line, exit, stderr }).toEqual({ line, exit: 0, stderr });
  return stdout;
}

test("the quick start of 1.0 works, call for call", async () => {
  using here = sandbox();
  expect(await run(here, "init")).toContain("Initialized Lodestar in");
  expect(await run(here, "doctor")).toContain("All checks passed.");
  const create = "task create --id TASK-001 --priority 1 --label feature --title";
  expect(await run(here, create, ["Implement user authentication"])).toContain("Created task TASK-001");
  const joined = await run(here, "agent join --name Agent-1");
  const [, agent = ""] = /^Registered as agent (A[0-9A-Z]+)$/m.exec(joined) ?? [];
  expect(agent).not.toBe("");
  expect(await run(here, "task next")).toContain("Next Claimable Tasks (1 available)\n  TASK-001 P1 [feature]\n");
  const claimed = await run(here, `task claim TASK-001 --agent ${agent}`);
  expect(claimed).toStartWith("Claimed task TASK-001\n");
  expect(claimed).toMatch(/^ +Lease: L[0-9A-Z]+$/m);
  expect(claimed).toMatch(/^ +Expires in: 15m$/m);
  expect(await run(here, "task done TASK-001")).toStartWith("Marked TASK-001 as done\n");
  expect(await run(here, "task verify TASK-001")).toStartWith("Verified TASK-001\n");
  expect(await run(here, "task delete TASK-001")).toStartWith("Deleted 1 task(s)\n");
  expect(await run(here, "status")).toMatch(/^deleted +1$/m);
});

test("the words of 1.0 that people look for are still said", async () => {
  using here = sandbox();
  await run(here, "init");
  await run(here, "agent join --id ALICE");
  await run(here, "task create --id A --title First");
  await run(here, "task create --id B --title Second --depends-on A");
  await run(here, "task claim A --agent ALICE");
  expect(await run(here, "task renew A --agent ALICE --ttl 1h")).toStartWith("Renewed lease for A\n");
  expect(await run(here, "task release A")).toStartWith("Released claim on A\n");
  expect(await run(here, "task update A --priority 3")).toStartWith("Updated task A\n  Fields: priority\n");
  await run(here, "task claim A --agent ALICE");
  expect(await run(here, "task done A --agent ALICE")).toContain("Run lodestar task verify A after review\n");
  expect(await run(here, "task verify A")).toStartWith("Verified A\nUnblocked tasks:\n  - B\n");
  expect(await run(here, "agent heartbeat ALICE")).toBe("Heartbeat updated for ALICE\n");
  expect(await run(here, "task show B")).toStartWith("B - Second\n\n  Status: ready\n");
  expect(await run(here, "task delete B")).toContain("- B: Second\n");
  expect(await run(here, "task next")).toStartWith("No claimable tasks available.\n");
});

describe("a repository of Lodestar 1.0", () => {
  function repository(): Sandbox {
    const here = sandbox();
    here.write(".lodestar/spec.yaml", OWN_SPEC);
    here.write(".lodestar/.gitignore", "runtime.sqlite\nruntime.sqlite-wal\nruntime.sqlite-shm\nruntime.jsonl\n");
    here.git("add", "-A");
    here.git("commit", "-q", "-m", "As 1.0 left it");
    return here;
  }

  test("is read as it is, and reading changes nothing", async () => {
    using here = repository();
    const { json } = await here.run(["task", "list", "--json"]);
    expect(json.data.count).toBe(11);
    expect((await here.run(["status", "--json"])).json.data.tasks).toEqual({
      total: 11,
      by_status: { ready: 9, verified: 2 },
      claimable: 2,
    });
    expect((await here.run(["doctor", "--json"])).exit).toBe(0);
    expect(here.git("status", "--porcelain")).toBe("");
  });

  test("is worked on without a conversion, and only the lines that a command means change", async () => {
    using here = repository();
    await run(here, "agent join --id ALICE");
    const next = (await here.run(["task", "next", "--claim", "--agent", "ALICE", "--json"])).json.data;
    expect(next).toMatchObject({ task_id: "T001", context: { title: "Add MCP task creation tool" } });
    await run(here, "task done T001 --agent ALICE");
    await run(here, "task verify T001 --agent ALICE");
    const changed = here
      .git("diff", "--unified=0", "--", ".lodestar/spec.yaml")
      .split("\n")
      .filter((line) => /^[-+] /.test(line))
      .map((line) => line.replace(/:.*/, ""));
    expect(changed).toEqual([
      "-    status",
      "+    status",
      "-    updated_at",
      "+    updated_at",
      "+    completed_at",
      "+    completed_by",
      "+    completed_in",
      "+      branch",
      "+      commit",
      "+    verified_at",
      "+    verified_by",
    ]);
    expect(here.git("status", "--porcelain")).toBe(" M .lodestar/spec.yaml\n");
  });

  test("a runtime that 1.0 wrote is kept aside, with a warning", async () => {
    using here = repository();
    const { Database } = await import("bun:sqlite");
    using db = new Database(join(here.path, ".lodestar", "runtime.sqlite"), { create: true });
    db.run("create table agents (agent_id varchar primary key, display_name varchar)");
    db.run("insert into agents values ('A1B2C3D4', 'Old')");
    db.close();
    const { json } = await here.run(["agent", "join", "--id", "ALICE", "--json"]);
    expect(json).toMatchObject({ ok: true, data: { agent_id: "ALICE" } });
    expect(json.warnings[0]).toContain("runtime.sqlite.foreign-1");
    expect((await here.run(["agent", "list", "--json"])).json.data.count).toBe(1);
    expect(here.git("status", "--porcelain")).toBe("");
  });
});

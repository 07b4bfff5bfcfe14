/** `import` and `export snapshot` as they are called: the compiled program in fresh repositories. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { specText } from "../fixtures/calls.ts";
import { type Sandbox, sandbox } from "../support/sandbox.ts";
import { BACKLOG_VERSION, backlogProject } from "./backlog-project.ts";

const words = (line: string): string[] => line.split(" ");
const specOf = (here: Sandbox): string => readFileSync(join(here.path, ".lodestar", "spec.yaml"), "utf8");
const call = async (here: Sandbox, ...args: string[]) => {
  const ran = await here.run([...args, "--json"]);
  if (ran.exit !== 0) throw new Error(`lodestar ${args.join(" ")}: ${ran.stdout}${ran.stderr}`);
  return ran.json.data;
};
const fresh = async (): Promise<Sandbox> => {
  const here = sandbox();
  await call(here, "init", "--name", "fresh");
  return here;
};

const ISSUES = [
  { id: "bd-1", title: "Base", status: "closed", closed_at: "2026-01-01T00:00:00Z", priority: 1 },
  {
    id: "bd-2",
    title: "Next",
    status: "in_progress",
    priority: 0,
    dependencies: [{ depends_on_id: "bd-1", type: "blocks" }],
  },
  { id: "bd-3", title: "Last", dependencies: [{ depends_on_id: "bd-2", type: "blocks" }] },
];
const jsonl = (issues: readonly object[]): string => issues.map((issue) => JSON.stringify(issue)).join("\n");

describe("from another tool", () => {
  test("closed work frees what depends on it, one save, and each task has its event", async () => {
    using here = await fresh();
    here.write("issues.jsonl", `\ufeff${jsonl(ISSUES).replaceAll("\n", "\r\n")}\r\n`);
    expect(await call(here, ...words("import issues.jsonl --from beads"))).toEqual({
      created: ["bd-1", "bd-2", "bd-3"],
      count: 3,
      by_status: { verified: 1, ready: 2 },
    });
    const { tasks } = await call(here, ...words("task next -n 5"));
    expect(tasks).toMatchObject([{ id: "bd-2" }]);
    const { events } = await call(here, "events");
    expect(events.map(({ type, task_id }: { type: string; task_id: string }) => `${type} ${task_id}`)).toEqual(
      ISSUES.map(({ id }) => `task.created ${id}`),
    );
    expect((await call(here, "doctor")).healthy).toBe(true);
  });

  test("--dry-run says the same and writes nothing, not even a runtime", async () => {
    using here = await fresh();
    here.write("issues.jsonl", jsonl(ISSUES));
    const before = specOf(here);
    const said = await call(here, ...words("import issues.jsonl --from beads --dry-run"));
    expect(said).toEqual({
      created: ["bd-1", "bd-2", "bd-3"],
      count: 3,
      by_status: { verified: 1, ready: 2 },
      dry_run: true,
    });
    expect(specOf(here)).toBe(before);
    expect(here.git("status", "--porcelain", "--ignored")).not.toContain("runtime.sqlite");
  });

  test("one bad line, one circle, one taken id: nothing is imported, and it says what and where", async () => {
    using here = await fresh();
    const before = specOf(here);
    const from = async (text: string) => {
      const ran = await here.run(words("import - --from beads"), { stdin: text });
      expect(specOf(here)).toBe(before);
      return ran;
    };
    const bad = await from(`${jsonl(ISSUES)}\n{"id":\n[]`);
    expect({ exit: bad.exit, stderr: bad.stderr.split("\n").slice(0, 3) }).toEqual({
      exit: 2,
      stderr: ["Error: line 4: is not JSON (and 1 more).", "  line 4: is not JSON", "  line 5: is no issue"],
    });
    const circle = await from(
      jsonl(
        [...ISSUES, { id: "bd-1", title: "x" }]
          .slice(1, 3)
          .concat([{ id: "bd-1", title: "Base", dependencies: [{ depends_on_id: "bd-3", type: "blocks" }] } as never]),
      ),
    );
    expect({
      exit: circle.exit,
      said: /circle: .*bd-1 → bd-3 → bd-2 → bd-1|circle: .*→.*→.*→/.test(circle.stderr),
    }).toEqual({ exit: 1, said: true });
  });

  test("importing again: refused, skipped, or brought up to date without touching outcomes", async () => {
    using here = await fresh();
    here.write("issues.jsonl", jsonl(ISSUES));
    await call(here, ...words("import issues.jsonl --from beads"));
    const again = await here.run(words("import issues.jsonl --from beads --json"));
    expect(again.json.error).toMatchObject({ code: "ID_TAKEN", hint: expect.stringContaining("--on-existing") });
    const skipped = await call(here, ...words("import issues.jsonl --from beads --on-existing skip"));
    expect(skipped).toEqual({ created: [], skipped: ["bd-1", "bd-2", "bd-3"], count: 0 });
    here.write(
      "issues.jsonl",
      jsonl([
        { ...ISSUES[0], title: "Foundation", status: "open" },
        { ...ISSUES[1], status: "closed" },
      ]),
    );
    const updated = await call(here, ...words("import issues.jsonl --from beads --on-existing update"));
    expect(updated).toMatchObject({ updated: ["bd-1"], skipped: ["bd-2"] });
    expect(await call(here, "task", "show", "bd-1")).toMatchObject({ title: "Foundation", status: "verified" });
    expect(await call(here, "task", "show", "bd-2")).toMatchObject({ status: "ready" });
  });

  test("a repeat under one idempotency key creates nothing twice", async () => {
    using here = await fresh();
    here.write("issues.jsonl", jsonl(ISSUES));
    const keyed = words("import issues.jsonl --from beads --idempotency-key k1");
    const first = await call(here, ...keyed);
    expect(await call(here, ...keyed)).toEqual(first);
    expect((await call(here, "task", "list")).count).toBe(3);
  });
});

const made = backlogProject();
if (typeof made === "string")
  console.warn(`SKIPPED: no project of Backlog.md ${BACKLOG_VERSION} could be made here: ${made}`);

test.skipIf(typeof made === "string")(
  `a project that Backlog.md ${BACKLOG_VERSION} made itself is imported`,
  async () => {
    if (typeof made === "string") return;
    try {
      using here = await fresh();
      const { created, by_status } = await call(here, "import", made.path, "--from", "backlog");
      expect(created.toSorted()).toEqual(["DRAFT-1", "TASK-1", "TASK-2", "TASK-3", "TASK-4", "TASK-4.1", "TASK-5"]);
      expect(by_status).toEqual({ ready: 4, verified: 2, todo: 1 });
      expect(await call(here, "task", "show", "TASK-1")).toMatchObject({
        title: "Choose a database",
        description: "Compare three.",
        acceptance_criteria: ["Decision written"],
        labels: ["backend", "from:backlog"],
        priority: 50,
        claimable: true,
      });
      expect(await call(here, "task", "show", "TASK-2")).toMatchObject({
        description: "One line\n\n## A heading\ntext",
        acceptance_criteria: ["Migrates", "Rolls back: 'all'"],
        depends_on: ["TASK-1"],
        labels: ["milestone:Version 1", "from:backlog"],
        claimable: false,
      });
      expect(await call(here, "task", "show", "TASK-4")).toMatchObject({
        description: "## Implementation Notes\n\nhalf way",
        depends_on: ["TASK-3", "TASK-4.1"],
      });
      expect((await call(here, "doctor")).healthy).toBe(true);
    } finally {
      made.remove();
    }
  },
  120_000,
);

describe("a snapshot", () => {
  /** A repository in the middle of things. */
  const busy = async (): Promise<Sandbox> => {
    const here = await fresh();
    here.write(".lodestar/spec.yaml", specText("locks: warn, house: {rule: 1}"));
    for (const agent of ["ALICE", "BOB"]) await call(here, "agent", "join", "--id", agent, "-c", "sql");
    await call(here, ...words("task claim OPEN --agent ALICE --ttl 7d"));
    await call(here, "task", "release", "OPEN", "--agent", "ALICE", "--note", "half \u202e done \u{e0041}");
    await call(here, ...words("task claim OPEN --agent BOB --ttl 7d --idempotency-key c1"));
    await call(here, ...words("task claim FINISHED --review --agent ALICE"));
    await call(here, ...words("task verify FINISHED --agent ALICE"));
    await call(here, ...words("task reopen CHECKED --agent BOB --note again"));
    await call(here, ...words("task create --title New --label x --idempotency-key c2"));
    return here;
  };
  const without = (json: string) => json.replace(/"timestamp": "[^"]*"/, "");
  const exported = async (here: Sandbox, ...options: string[]): Promise<string> => {
    const { exit, stdout, stderr } = await here.run(["export", "snapshot", ...options]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    return stdout;
  };

  test("comes back to the byte, and what was held is held", async () => {
    using from = await busy();
    using to = await fresh();
    for (const options of [["--include-messages"], []]) {
      using target = options.length > 0 ? await fresh() : to;
      const snapshot = await exported(from, ...options);
      expect(await exported(from, ...options).then(without)).toBe(without(snapshot));
      writeFileSync(join(target.path, "snapshot.json"), snapshot);
      const dry = await call(target, ...words("import snapshot.json --from lodestar --dry-run"));
      const before = specOf(target);
      expect(specOf(target)).toBe(before);
      const result = await call(target, ...words("import snapshot.json --from lodestar --idempotency-key r"));
      expect({ ...result, dry_run: true }).toEqual(dry);
      expect(result.runtime).toMatchObject({ agents: 2, active_leases: 1, messages: options.length > 0 ? 2 : 0 });
      // The key of the import itself is new; nothing else is.
      const after = JSON.parse(await exported(target, ...options));
      const own = (row: { key: string }) => row.key === "r" || row.key.startsWith("r#");
      after.runtime.idempotency = after.runtime.idempotency?.filter((row: { key: string }) => !own(row));
      const expected = JSON.parse(snapshot);
      expect({ ...after, timestamp: "" }).toEqual({ ...expected, timestamp: "" });
      const held = await target.run([...words("task claim OPEN --agent ALICE --json")]);
      expect(held.json.error.code).toBe("ALREADY_CLAIMED");
      const [lease] = expected.runtime.active_leases;
      const token = String(lease.fencing_token);
      expect(await call(target, "task", "renew", "OPEN", "--agent", "BOB", "--fencing-token", token)).toMatchObject({
        fencing_token: lease.fencing_token,
      });
      const next = await call(target, ...words("task claim OTHER --agent ALICE"));
      expect(next.fencing_token).toBeGreaterThan(lease.fencing_token);
    }
  });

  test("without a key the second snapshot is the first, to the byte but for its timestamp; also through --json and a pipe", async () => {
    using from = await busy();
    using to = await fresh();
    const envelope = (await from.run(words("export snapshot --include-messages --json"))).stdout;
    const snapshot = await exported(from, "--include-messages");
    const ran = await to.run(words("import - --from lodestar"), { stdin: envelope });
    expect(ran.exit).toBe(0);
    expect(without(await exported(to, "--include-messages"))).toBe(without(snapshot));
    expect(JSON.parse(snapshot).runtime.messages[0].text).toBe("half \u202e done \u{e0041}");
    // Again: everything is there already.
    const again = await to.run(words("import - --from lodestar --json"), { stdin: snapshot });
    expect(again.json.data).toMatchObject({ created: [], count: 0, skipped: expect.arrayContaining(["OPEN"]) });
  });

  test("without --include-messages nothing quotes a message", async () => {
    using from = await busy();
    await call(from, ...words("task release OPEN --agent BOB --note secret-words"));
    await call(from, ...words("task claim OPEN --agent ALICE --idempotency-key c3"));
    expect(await exported(from, "--include-messages")).toContain("secret-words");
    const snapshot = await exported(from);
    expect(snapshot).not.toContain("secret-words");
    expect(snapshot).not.toContain("half ");
    expect(JSON.parse(snapshot).runtime.idempotency.map(({ key }: { key: string }) => key)).toContain("c2");
  });

  test("is refused where something would be lost, and changes nothing there", async () => {
    using from = await busy();
    const snapshot = await exported(from);
    using joined = await fresh();
    await call(joined, ...words("agent join --id CAROL"));
    using planned = await fresh();
    await call(planned, ...words("task create --id OPEN --title Mine"));
    await call(planned, ...words("reset --force"));
    for (const [here, names] of [
      [joined, "agents"],
      [planned, "OPEN"],
    ] as const) {
      const before = without(await exported(here, "--include-messages"));
      for (const dry of [["--dry-run"], []]) {
        const { json, exit } = await here.run(["import", "-", "--from", "lodestar", "--json", ...dry], {
          stdin: snapshot,
        });
        expect({ exit, code: json.error.code }).toEqual({ exit: 1, code: "NOT_EMPTY" });
        expect(json.error.message).toContain(names);
      }
      expect(without(await exported(here, "--include-messages"))).toBe(before);
    }
  });

  test("hostile snapshots are refused with a reason, never with a stack trace", async () => {
    using from = await busy();
    using to = await fresh();
    const good = JSON.parse(await exported(from, "--include-messages"));
    const [lease] = good.runtime.active_leases;
    const [kept] = good.runtime.idempotency;
    const hostile: unknown[] = [
      "",
      "null",
      "[]",
      '{"ok":true,"data":{}}',
      { ...good, snapshot_version: 2 },
      { ...good, timestamp: "yesterday" },
      { ...good, timestamp: "9999-01-01T00:00:00.000Z" },
      { ...good, runtime: { ...good.runtime, active_leases: [lease, { ...lease, lease_id: "L2", fencing_token: 1 }] } },
      { ...good, runtime: { ...good.runtime, active_leases: [{ ...lease, expires_at: "never" }] } },
      { ...good, runtime: { ...good.runtime, active_leases: [{ ...lease, ttl_seconds: 1e300 }] } },
      { ...good, runtime: { ...good.runtime, active_leases: [{ ...lease, ttl_seconds: 7 * 86_400 + 1 }] } },
      { ...good, runtime: { ...good.runtime, active_leases: [{ ...lease, ttl_seconds: 0 }] } },
      { ...good, runtime: { ...good.runtime, active_leases: [{ ...lease, ttl_seconds: -5 }] } },
      { ...good, runtime: { ...good.runtime, agents: [{ ...good.runtime.agents[0], agent_id: "--help" }] } },
      { ...good, runtime: { ...good.runtime, agents: [good.runtime.agents[0], good.runtime.agents[0]] } },
      { ...good, runtime: { ...good.runtime, idempotency: [{ ...kept, answer: "{" }] } },
      { ...good, runtime: { ...good.runtime, idempotency: [{ ...kept, answer: "7" }] } },
      { ...good, runtime: { ...good.runtime, idempotency: [{ ...kept, plan: "{" }] } },
      { ...good, runtime: { ...good.runtime, last_token: Number.MAX_SAFE_INTEGER } },
      { ...good, spec: { ...good.spec, tasks: { X: { title: 1, status: "ready" } } } },
      { ...good, spec: { ...good.spec, tasks: { X: { title: "a\0b", status: "ready" } } } },
      { ...good, spec: { ...good.spec, tasks: { "": { title: "a", status: "ready" } } } },
      JSON.stringify({ ...good }).replace('"tasks":{', '"tasks":{"__proto__":{"title":1,"status":"ready"},'),
    ];
    for (const one of hostile) {
      const stdin = typeof one === "string" ? one : JSON.stringify(one);
      const { json, exit } = await to.run(words("import - --from lodestar --json"), { stdin });
      expect(json).toHaveProperty("error");
      expect({ code: json.error?.code, exit, of: stdin.slice(0, 40) }).toMatchObject({ exit: 2 });
      expect(json.error.code).not.toBe("INTERNAL");
      // A look before says the same.
      const look = await to.run(words("import - --from lodestar --json --dry-run"), { stdin });
      expect({ exit: look.exit, code: look.json.error?.code }).toEqual({ exit, code: json.error.code });
    }
    expect(specOf(to)).toContain("tasks: {}");
    expect(JSON.parse(await exported(to)).runtime).toEqual({ agents: [], active_leases: [] });
  });
});

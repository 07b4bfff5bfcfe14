/** Other tools' files as tasks of ours: each format's documented fields, and what hostile files do. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { readBacklog } from "../../src/commands/exchange/backlog.ts";
import { readBeads } from "../../src/commands/exchange/beads.ts";
import { type Foreign, type Settled, settle } from "../../src/commands/exchange/foreign.ts";
import { readGitHub } from "../../src/commands/exchange/github.ts";
import { readTaskMaster } from "../../src/commands/exchange/taskmaster.ts";
import { LodestarError } from "../../src/core/errors.ts";
import { findCycle } from "../../src/core/graph.ts";

const jsonl = (...issues: readonly unknown[]): string => issues.map((issue) => JSON.stringify(issue)).join("\n");
const settled = (source: string, foreign: Foreign, here: readonly string[] = []): Settled =>
  settle(source, foreign, (id) => here.includes(id));
const beads = (...issues: readonly unknown[]): Settled => settled("beads", readBeads(jsonl(...issues)));
const item = ({ items }: Settled, id: string) => {
  const found = items.find((one) => one.id === id);
  if (found === undefined) throw new Error(`There is no ${id} in ${items.map((one) => one.id).join(", ")}`);
  return found;
};
const refusal = (call: () => unknown): LodestarError => {
  try {
    call();
  } catch (cause) {
    if (cause instanceof LodestarError) return cause;
    throw cause;
  }
  throw new Error("It was not refused.");
};
const blocks = (id: string) => ({ issue_id: "x", depends_on_id: id, type: "blocks" });
const child = (id: string) => ({ issue_id: "x", depends_on_id: id, type: "parent-child" });

describe("beads", () => {
  test("every field that has a place here gets there", () => {
    const all = beads(
      {
        id: "bd-a3f8",
        title: "Add user authentication",
        description: "OAuth\r\nflow",
        design: "Use PKCE",
        notes: "ask Ann",
        acceptance_criteria: "- [ ] Works\n- [x] Is fast\n  and cheap",
        status: "in_progress",
        priority: 1,
        issue_type: "feature",
        labels: ["backend", "backend"],
        external_ref: "gh-9",
        created_at: "2026-01-09T12:00:00.123456789Z",
        dependencies: [blocks("bd-2"), { depends_on_id: "bd-2", type: "discovered-from" }],
      },
      { id: "bd-2", title: "Database", status: "closed", closed_at: "2026-01-10T00:00:00+01:00" },
    );
    expect(item(all, "bd-a3f8")).toEqual({
      id: "bd-a3f8",
      title: "Add user authentication",
      description:
        "OAuth\nflow\n\n## Design\n\nUse PKCE\n\n## Notes\n\nask Ann\n\nImported from beads bd-a3f8, which refers to gh-9.",
      acceptance_criteria: ["Works", "Is fast and cheap"],
      depends_on: ["bd-2"],
      labels: ["backend", "feature", "from:beads"],
      priority: 50,
      status: "ready",
      history: { created_at: "2026-01-09T12:00:00.123Z" },
      features: [],
    });
    const at = "2026-01-09T23:00:00.000Z";
    expect(item(all, "bd-2").history).toEqual({ status: "verified", completed_at: at, verified_at: at });
    expect(all.ids).toEqual({});
  });

  test("each status has its meaning, and what is no work stays behind", () => {
    const words = ["open", "in_progress", "hooked", "blocked", "deferred", "pinned", "closed", "odd"];
    const all = beads(
      ...words.map((status, i) => ({ id: `bd-${i}`, title: status, status })),
      { id: "bd-t", title: "x", status: "tombstone" },
      { id: "bd-m", title: "x", issue_type: "message" },
      { _type: "memory", key: "k", value: "v" },
      { id: "bd-n", title: "x", dependencies: [blocks("bd-t"), blocks("bd-m"), blocks("other-7")] },
    );
    expect(all.items.map(({ title, status, history }) => [title, history?.status ?? status])).toEqual([
      ["open", "ready"],
      ["in_progress", "ready"],
      ["hooked", "ready"],
      ["blocked", "blocked"],
      ["deferred", "todo"],
      ["pinned", "todo"],
      ["closed", "verified"],
      ["odd", "ready"],
      ["x", "ready"],
    ]);
    expect(item(all, "bd-n").depends_on).toBeUndefined();
    expect(all.warnings).toEqual([
      "Unknown statuses were taken as ready: odd",
      "Dropped dependencies on what is deleted there: bd-n → bd-t",
      "Dropped dependencies on what is no work there: bd-n → bd-m",
      "Dropped dependencies on what is in another project: bd-n → other-7",
    ]);
  });

  test("a parent is a feature, waits for its open children, and hands them what it waits for", () => {
    const all = beads(
      { id: "bd-1", title: "Epic", issue_type: "epic", dependencies: [blocks("bd-9")] },
      { id: "bd-1.1", title: "Part" },
      { id: "bd-1.1.1", title: "Part of the part" },
      { id: "bd-7", title: "By edge", dependencies: [child("bd-1")] },
      { id: "bd-1.2", title: "Done part", status: "closed" },
      { id: "bd-9", title: "First" },
    );
    expect(item(all, "bd-1").depends_on).toEqual(["bd-9", "bd-1.1", "bd-7"]);
    expect(item(all, "bd-1.1").depends_on).toEqual(["bd-9", "bd-1.1.1"]);
    expect(item(all, "bd-1.1.1").depends_on).toEqual(["bd-9"]);
    expect(item(all, "bd-7").depends_on).toEqual(["bd-9"]);
    expect(item(all, "bd-1.2").depends_on).toBeUndefined();
    expect(item(all, "bd-1.1").features).toEqual(["bd-1", "bd-1.1"]);
    expect(item(all, "bd-1").features).toEqual(["bd-1"]);
  });

  test("a child that waits for its parent keeps that; the parent then does not wait for the child", () => {
    const all = beads({ id: "bd-1", title: "Epic" }, { id: "bd-1.1", title: "Part", dependencies: [blocks("bd-1")] });
    expect(item(all, "bd-1").depends_on).toBeUndefined();
    expect(item(all, "bd-1.1").depends_on).toEqual(["bd-1"]);
    expect(all.warnings).toEqual([
      "These wait for each other already, so parents do not wait for them: bd-1 and bd-1.1",
    ]);
  });

  test("a list as `bd list --json` writes it is read too", () => {
    const list = JSON.stringify(
      [
        { id: "bd-1", title: "x", dependencies: [{ id: "bd-2", dependency_type: "blocks" }] },
        { id: "bd-2", title: "y" },
      ],
      null,
      2,
    );
    expect(item(settled("beads", readBeads(list)), "bd-1").depends_on).toEqual(["bd-2"]);
  });

  test("every bad line is told at once, with its number", () => {
    const text = [
      '{"id":"bd-1","title":"x"}\r',
      "{oops",
      "[1]",
      '{"title":"no id"}',
      "",
      '{"id":"bd-2","title":["x"]}',
      '{"id":"bd-3","title":"x","priority":"high"}',
    ].join("\n");
    expect(refusal(() => readBeads(text))).toMatchObject({
      code: "USAGE",
      details: {
        issues: [
          { id: "line 2", message: "is not JSON" },
          { id: "line 3", message: "is no issue" },
          { id: "line 4", message: "has no id" },
          { id: "line 6", message: "title must be a text" },
          { id: "line 7", message: "priority must be a number" },
        ],
      },
    });
  });

  test("ids that stand twice, dependencies on nothing, empty and huge texts, NUL: refused, each with its place", () => {
    const same = refusal(() => beads({ id: "bd-1", title: "x" }, { id: "bd-1", title: "y" }));
    expect(same.message).toBe("line 2: bd-1 is there already (line 1).");
    const missing = refusal(() => beads({ id: "bd-1", title: "x", dependencies: [blocks("bd-2")] }));
    expect(missing).toMatchObject({
      code: "TASK_NOT_FOUND",
      details: { missing: [{ id: "line 1", task_id: "bd-2" }] },
    });
    const bad = refusal(() =>
      beads(
        { id: "bd-1", title: "" },
        { id: "bd-2", title: "x", description: "d".repeat(1_000_001) },
        { id: "bd-3", title: "a\0b" },
        { id: "bd-4", title: "half \ud800" },
      ),
    );
    const issues = bad.details.issues as { id: string }[];
    expect(issues.map(({ id }) => id)).toEqual(["line 1", "line 2", "line 3", "line 4"]);
    expect(bad.message.length).toBeLessThan(200);
  });

  test("`__proto__` as an id, a key, a label or a dependency is a word like any other", () => {
    const text =
      '{"id":"__proto__","title":"x","labels":["__proto__"],"__proto__":{"status":"closed"},"dependencies":[{"depends_on_id":"constructor","type":"blocks"}]}\n{"id":"constructor","title":"y","status":"toString"}';
    const all = settled("beads", readBeads(text));
    expect(item(all, "proto")).toMatchObject({
      status: "ready",
      labels: ["__proto__", "from:beads"],
      depends_on: ["constructor"],
    });
    expect(Object.entries(all.ids)).toEqual([["__proto__", "proto"]]);
    expect(({} as { status?: string }).status).toBeUndefined();
  });

  test("ids that are not legal become the nearest that are, told apart from all others", () => {
    const all = beads(
      { id: "a b", title: "x", dependencies: ["a/b", "../up"] },
      { id: "a/b", title: "x" },
      { id: "a-b", title: "x" },
      { id: "../up", title: "x" },
      { id: "💥", title: "x" },
      { id: "y".repeat(150), title: "x" },
      { id: "größe.1", title: "x" },
    );
    expect(Object.entries(all.ids)).toEqual([
      ["a b", "a-b-2"],
      ["a/b", "a-b-3"],
      ["../up", "up"],
      ["💥", "task"],
      ["y".repeat(150), "y".repeat(90)],
    ]);
    expect(item(all, "a-b-2").depends_on).toEqual(["a-b-3", "up"]);
  });

  test("what was imported before may be depended on, and be a parent", () => {
    const text = jsonl({ id: "bd-5", title: "x", dependencies: [blocks("bd-2"), child("bd-1")] });
    const all = settled("beads", readBeads(text), ["bd-1", "bd-2"]);
    expect(item(all, "bd-5")).toMatchObject({ depends_on: ["bd-2"], features: ["bd-1"] });
  });
});

test("what families add never closes a circle that was not there", async () => {
  const node = fc.record({
    parent: fc.option(fc.nat(11), { nil: undefined }),
    needs: fc.array(fc.nat(11), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(node, { minLength: 1, maxLength: 12 }), (nodes) => {
      const issues = nodes.map(({ parent, needs }, i) => ({
        id: `bd-${i}`,
        title: "x",
        dependencies: [
          // Only on earlier ones: what the file says has no circle.
          ...needs.filter((need) => need < i).map((need) => blocks(`bd-${need}`)),
          ...(parent === undefined || parent >= nodes.length ? [] : [child(`bd-${parent}`)]),
        ],
      }));
      const all = beads(...issues);
      const edges = new Map(all.items.map(({ id = "", depends_on = [] }) => [id, depends_on]));
      expect(findCycle(edges)).toBeUndefined();
      for (const { id, dependencies } of issues)
        for (const { type, depends_on_id } of dependencies)
          if (type === "blocks") expect(edges.get(id)).toContain(depends_on_id);
    }),
    { numRuns: 300 },
  );
});

test("ten thousand issues in one deep family, or with one parent and in one chain, cost no more than others", () => {
  const count = 10_000;
  const deep = Array.from({ length: count }, (_, i) => ({
    id: `x-${i}`,
    title: "c",
    dependencies: i === 0 ? [] : [child(`x-${i - 1}`)],
  }));
  expect(item(beads(...deep), "x-0").depends_on).toEqual(["x-1"]);
  const chain = Array.from({ length: count }, (_, i) => ({
    id: `x-${i}`,
    title: "c",
    dependencies: i === 0 ? [] : [child("x-0"), ...(i === 1 ? [] : [blocks(`x-${i - 1}`)])],
  }));
  expect(item(beads(...chain), "x-0").depends_on).toHaveLength(count - 1);
}, 60_000);

describe("Task Master", () => {
  const taskmaster = (value: unknown): Settled => settled("taskmaster", readTaskMaster(JSON.stringify(value)));
  const tasks = [
    {
      id: 1,
      title: "Init",
      description: "Set up",
      details: "npm init",
      testStrategy: "Run it",
      status: "done",
      dependencies: [],
      priority: "high",
    },
    {
      id: 2,
      title: "Core",
      status: "in-progress",
      dependencies: [4],
      priority: "low",
      subtasks: [
        { id: 1, title: "Auth", status: "pending", dependencies: [] },
        { id: 2, title: "Store", status: "review", dependencies: [1, "4", "1.9"].slice(0, 2) },
      ],
    },
    { id: "3", title: "Later", status: "deferred", dependencies: ["2.1"] },
    { id: 4, title: "Base", status: "pending" },
    { id: 5, title: "Never", status: "cancelled" },
    { id: 6, title: "After never", status: "pending", dependencies: [5] },
  ];

  test("tasks and subtasks, in the old form and under one tag", () => {
    for (const value of [{ tasks }, { master: { tasks, metadata: { created: "2026-01-01" } } }, tasks]) {
      const all = taskmaster(value);
      expect(all.items.map(({ id }) => id)).toEqual(["1", "2", "2.1", "2.2", "3", "4", "5", "6"]);
      expect(item(all, "1")).toMatchObject({
        description: "Set up\n\nnpm init",
        acceptance_criteria: ["Run it"],
        priority: 50,
        history: { status: "verified" },
      });
      expect(item(all, "2")).toMatchObject({ depends_on: ["4", "2.1", "2.2"], status: "ready", features: ["2"] });
      expect(item(all, "2.1")).toMatchObject({ depends_on: ["4"], priority: 150, features: ["2"] });
      expect(item(all, "2.2")).toMatchObject({ depends_on: ["2.1", "4"], history: { status: "done" } });
      expect(item(all, "3")).toMatchObject({ status: "todo", depends_on: ["2.1"] });
      expect(item(all, "5").history).toEqual({ status: "deleted" });
      expect(item(all, "6").depends_on).toBeUndefined();
      expect(all.warnings).toEqual(["Dropped dependencies on what is given up: 6 → 5"]);
    }
  });

  test("several tags stand beside each other: master keeps its ids", () => {
    const other = [
      { id: 1, title: "A", status: "pending" },
      { id: 2, title: "B", status: "pending", dependencies: [1] },
    ];
    const all = taskmaster({ "feat x": { tasks: other }, master: { tasks } });
    expect(item(all, "feat-x-2")).toMatchObject({
      depends_on: ["feat-x-1"],
      labels: ["tag:feat x", "from:taskmaster"],
    });
    expect(all.ids).toEqual({ "feat x-1": "feat-x-1", "feat x-2": "feat-x-2" });
    expect(item(all, "1").title).toBe("Init");
  });

  test("what is no tasks.json is refused", () => {
    for (const text of ["", "{}", "null", "{oops", '{"master":{}}'])
      expect(refusal(() => readTaskMaster(text)).code).toBe("USAGE");
    expect(
      refusal(() => readTaskMaster('{"tasks":[1,{"title":"x"},{"id":1,"title":"y","subtasks":3}]}')).details.issues,
    ).toEqual([
      { id: "task 1", message: "is no task" },
      { id: "task 2", message: "has no id" },
      { id: "task 3", message: "subtasks must be a list" },
    ]);
  });
});

describe("GitHub", () => {
  const url = (number: number) => `https://github.com/o/r/issues/${number}`;
  const github = (...issues: readonly unknown[]): Settled => settled("github", readGitHub(JSON.stringify(issues)));

  test("fields, labels, links and what a body says", () => {
    const all = github(
      {
        number: 1,
        title: "One",
        body: "Text\r\n\r\n## Acceptance Criteria\r\n- [ ] a\r\n- [x] b\r\n\r\n## More\r\nBlocked by #2, other/repo#7\r\nSee #4",
        state: "OPEN",
        labels: [{ name: "bug" }, { name: "priority: high" }],
        milestone: { title: "v1" },
        url: url(1),
        createdAt: "2026-01-01T00:00:00Z",
        blockedBy: {
          nodes: [
            { number: 9, state: "CLOSED", url: url(9) },
            { number: 3, url: "https://github.com/x/y/issues/3" },
          ],
        },
      },
      {
        number: 2,
        title: "Two",
        body: null,
        state: "CLOSED",
        stateReason: "COMPLETED",
        closedAt: "2026-02-01T00:00:00Z",
        url: url(2),
        labels: [],
      },
      { number: 4, title: "Four", state: "CLOSED", stateReason: "NOT_PLANNED", url: url(4), parent: { number: 1 } },
      {
        number: 5,
        title: "Five",
        state: "open",
        html_url: url(5),
        blocking: [{ number: 1 }],
        subIssues: [{ number: 6 }],
      },
      { number: 6, title: "Six", state: "OPEN", url: url(6) },
      { number: 7, title: "A pull request", state: "open", pull_request: {} },
    );
    expect(item(all, "GH-1")).toEqual({
      id: "GH-1",
      title: "One",
      description: `Text\n\n## More\nBlocked by #2, other/repo#7\nSee #4\n\nImported from ${url(1)}`,
      acceptance_criteria: ["a", "b"],
      depends_on: ["GH-2", "GH-5"],
      labels: ["bug", "priority: high", "milestone:v1", "from:github"],
      priority: 50,
      status: "ready",
      history: { created_at: "2026-01-01T00:00:00.000Z" },
      features: ["GH-1"],
    });
    expect(item(all, "GH-2").history).toMatchObject({ status: "verified", verified_at: "2026-02-01T00:00:00.000Z" });
    expect(item(all, "GH-4").history?.status).toBe("deleted");
    expect(item(all, "GH-5")).toMatchObject({ depends_on: ["GH-6"], features: ["GH-5"] });
    expect(all.items.map(({ id }) => id)).not.toContain("GH-7");
    expect(all.warnings).toEqual([
      "Dropped dependencies that only a text names and the list does not hold: GH-1 → other/repo#7",
      "Dropped dependencies on what is closed: GH-1 → GH-9",
      "Dropped dependencies on what is in another repository: GH-1 → x/y#3",
    ]);
  });

  test("what a template explains in a comment, or an example shows, is no dependency, nor is an issue on itself", () => {
    const body = [
      "<!--",
      "Blocked by #2",
      "-->",
      "```",
      "Depends on #3",
      "```",
      "- <!-- Depends on #3 -->",
      "",
      "Text",
      "",
      "    Depends on #3",
      "",
      "Blocked by #1",
      "> Blocked by #4",
    ].join("\r\n");
    const open = (number: number, more = {}) => ({ number, title: "x", state: "OPEN", ...more });
    const all = github(open(1, { body }), open(2), open(3), open(4));
    expect(item(all, "GH-1").depends_on).toEqual(["GH-4"]);
    expect(all.warnings).toEqual([]);
  });

  test("an open blocker that the list lacks is no reason to forget it: refused", () => {
    expect(
      refusal(() => github({ number: 1, title: "x", state: "OPEN", blockedBy: [{ number: 2, state: "OPEN" }] })),
    ).toMatchObject({
      code: "TASK_NOT_FOUND",
      message: "GH-1 depends on GH-2, which is neither there nor here",
    });
  });

  test("what is no list of issues is refused", () => {
    for (const text of ["", "{}", "[1]", '[{"title":"x"}]', '[{"number":1,"title":"x","state":"MAYBE"}]'])
      expect(refusal(() => readGitHub(text)).code).toBe("USAGE");
  });
});

describe("Backlog.md", () => {
  const project = (files: Readonly<Record<string, string>>, body: (path: string) => void) => {
    const path = mkdtempSync(join(tmpdir(), "lodestar-backlog-"));
    try {
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(dirname(join(path, name)), { recursive: true });
        writeFileSync(join(path, name), text);
      }
      body(path);
    } finally {
      rmSync(path, { recursive: true });
    }
  };
  const front = (lines: readonly string[], body = "") => `---\n${lines.join("\n")}\n---\n${body}`;

  test("tasks, completed ones, drafts; CRLF and BOM; the board's last column is done; cases of ids", () => {
    const files = {
      "backlog/config.yml": 'statuses: ["To Do", "Doing", "Shipped"]\n',
      "backlog/milestones/m-0 - v1.md": front(["id: m-0", 'title: "Version 1"']),
      "backlog/tasks/task-1 - A.md": `\ufeff${front(["id: TASK-1", "title: A", "status: Doing", "assignee: @bob", "priority: high", "milestone: m-0", "created_date: '2026-01-02 03:04'"], "\n## Description\n\n<!-- SECTION:DESCRIPTION:BEGIN -->\nWhat\n<!-- SECTION:DESCRIPTION:END -->\n\n## Acceptance Criteria\n<!-- AC:BEGIN -->\n- [ ] #1 Works\n- [x] #2 Fast\n<!-- AC:END -->\n\n## Implementation Notes\n\n<!-- SECTION:NOTES:BEGIN -->\nnoted\n<!-- SECTION:NOTES:END -->\n").replaceAll("\n", "\r\n")}`,
      "backlog/tasks/task-1.1 - B.md": front([
        "id: task-1.1",
        "title: B",
        "status: Shipped",
        "parent_task_id: task-1",
        "dependencies: [task-2, TASK-9]",
      ]),
      "backlog/completed/task-2 - C.md": front(["id: task-2", "title: C", "status: To Do"]),
      "backlog/drafts/draft-1 - D.md": front(["id: draft-1", "title: D", "status: Draft"]),
      "backlog/archive/tasks/task-9 - E.md": front(["id: task-9", "title: E"]),
      "backlog/tasks/readme.md": "# not a task\n",
    };
    project(files, (path) => {
      const all = settled("backlog", readBacklog(".", path));
      expect(item(all, "TASK-1")).toEqual({
        id: "TASK-1",
        title: "A",
        description: "What\n\n## Implementation Notes\n\nnoted",
        acceptance_criteria: ["Works", "Fast"],
        labels: ["milestone:Version 1", "from:backlog"],
        priority: 50,
        status: "ready",
        history: { created_at: "2026-01-02T03:04:00.000Z" },
        features: ["TASK-1"],
      });
      expect(item(all, "task-1.1")).toMatchObject({
        depends_on: ["task-2"],
        features: ["TASK-1"],
        history: { status: "verified" },
      });
      expect(item(all, "task-2").history?.status).toBe("verified");
      expect(item(all, "draft-1").status).toBe("todo");
      expect(all.warnings).toEqual(["Dropped dependencies on what is archived: task-1.1 → TASK-9"]);
      expect(readBacklog("backlog", path).tasks).toHaveLength(4);
      expect(readBacklog(join("backlog", "tasks"), path).tasks).toHaveLength(2);
    });
  });

  test("a file without front matter, and a folder that is none", () => {
    project(
      { "tasks/a.md": "# hello\n", "tasks/b.md": front(["id: ["]), "tasks/c.md": front(["title: x"]) },
      (path) => {
        expect(refusal(() => readBacklog(".", path)).details.issues).toEqual([
          { id: join("tasks", "a.md"), message: "has no front matter that is YAML" },
          { id: join("tasks", "b.md"), message: "has no front matter that is YAML" },
          { id: join("tasks", "c.md"), message: "has no id" },
        ]);
        expect(refusal(() => readBacklog("nowhere", path)).code).toBe("PATH_NOT_FOUND");
        expect(refusal(() => readBacklog("-", path)).code).toBe("PATH_NOT_FOUND");
      },
    );
  });
});

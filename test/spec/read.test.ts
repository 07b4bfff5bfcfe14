import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Task } from "../../src/core/task.ts";
import { readSpec } from "../../src/spec/document.ts";
import { bigSpec } from "../fixtures/spec/render.ts";
import { problemsOf, readGood } from "../fixtures/spec/support.ts";

const TASK = "    title: T\n    status: ready\n";
const task = (fields: string) => `tasks:\n  A:\n${TASK}${fields}`;

async function tasksOf(text: string | Uint8Array): Promise<Task[]> {
  return (await readGood(text)).tasks.map((block) => block.task);
}

async function only(text: string): Promise<Task> {
  const [first, ...more] = await tasksOf(text);
  if (first === undefined || more.length > 0) throw new Error("not one task");
  return first;
}

describe("an empty spec", () => {
  const cases = [
    "",
    "\n",
    "# nothing\n",
    "tasks:\n",
    "tasks: {}\n",
    "tasks: null\n",
    "tasks: ~ # none",
    "\ufeff",
    "---\n",
    "{}\n",
    "project: {}\n",
  ];
  test.each(cases)("%j has no tasks and the default project", async (text) => {
    const spec = await readGood(text);
    expect(spec.tasks).toEqual([]);
    expect(spec.project).toEqual({ name: "", default_branch: "main", conventions: {} });
  });
});

describe("a task", () => {
  test("has defaults for what is left out", async () => {
    expect(await only(task(""))).toEqual({
      id: "A",
      title: "T",
      acceptance_criteria: [],
      depends_on: [],
      labels: [],
      locks: [],
      priority: 100,
      status: "ready",
      reopens: [],
    });
  });

  test("may say null for every optional field", async () => {
    const names =
      "description acceptance_criteria depends_on labels locks priority reopens created_at updated_at completed_at completed_by completed_in verified_at verified_by prd";
    const nulls = names.split(" ").map((name, i) => `    ${name}:${i % 2 === 0 ? " null" : ""}\n`);
    expect(await only(task(nulls.join("")))).toEqual(await only(task("")));
  });

  test("keeps an old integer of reopens as that many ids", async () => {
    expect((await only(task("    reopens: 3\n"))).reopens).toEqual(["1", "2", "3"]);
    expect((await only(task("    reopens: 0\n"))).reopens).toEqual([]);
    expect((await only(task("    reopens: 10\n"))).reopens).toEqual([..."123456789", "10"].sort());
  });

  test("has its reopens sorted and once each", async () => {
    expect((await only(task("    reopens: [b, a, b]\n"))).reopens).toEqual(["a", "b"]);
  });

  test("ignores unknown keys, whatever they hold", async () => {
    const unknown =
      "    estimate: 12345678901234567890\n    meta: {a: [1, {b: c}]}\n    note: |\n      tasks:\n        B:\n    when: 2026-01-04\n";
    expect(await only(task(unknown))).toEqual(await only(task("")));
  });

  test("reads nested records and leaves their unknown keys out", async () => {
    const text = task(
      "    completed_in: {branch: b, commit: c, x: 1}\n    prd:\n      source: PRD.md\n      x: 1\n      refs:\n      - {anchor: '#a', lines: [1, 2], y: 2}\n",
    );
    expect(await only(text)).toMatchObject({
      completed_in: { branch: "b", commit: "c" },
      prd: { source: "PRD.md", refs: [{ anchor: "#a", lines: [1, 2] }] },
    });
  });

  test.each([
    "123",
    "007",
    "0x10",
    "1e3",
    "true",
    "null",
    "~",
    "__proto__",
    "constructor",
    "日本",
    "é",
    "a b",
    "a#b",
    "a:b",
    "tasks",
  ])("may have the id %s, plain and quoted", async (id) => {
    for (const key of [id, `'${id}'`, `"${id}"`]) {
      for (const text of [`tasks:\n  ${key}:\n${TASK}`, `tasks: {${key}: {title: T, status: ready}}`]) {
        expect(await only(text)).toMatchObject({ id, title: "T" });
      }
    }
    expect(({} as { title?: unknown }).title).toBeUndefined();
  });

  test("may depend on a task that is not there", async () => {
    expect((await only(task("    depends_on: [GONE]\n"))).depends_on).toEqual(["GONE"]);
  });
});

describe("the text may be written in any way", () => {
  const plain =
    "tasks:\n  A:\n    title: T\n    status: ready\n    labels: [x, y]\n  B:\n    title: U\n    status: done\n";
  const cases: Record<string, string> = {
    "with CR LF": plain.replaceAll("\n", "\r\n"),
    "with a byte order mark": `\ufeff${plain}`,
    "in flow style": "{tasks: {A: {title: T, status: ready, labels: [x, y]}, B: {title: U, status: done}}}",
    "as JSON": '{"tasks":{"A":{"title":"T","status":"ready","labels":["x","y"]},"B":{"title":"U","status":"done"}}}',
    "with tasks in flow style":
      "tasks:\n  A: {title: T, status: ready, labels: [x, y]}\n  B: {title: U,\n    status: done}\n",
    "with a document marker": `---\n${plain}`,
    "with comments and blank lines":
      "# a\ntasks: # b\n\n  # c\n  A: # d\n\n    # e\n    title: T # f\n   # g\n    status: ready\n    labels:\n    # h\n    - x # i\n\n    - y\n# j\n  B:\n    title: U\n    status: done\n\n# k\n",
    "with anchors and aliases":
      "x: &l [x, y]\ntasks:\n  A:\n    title: T\n    status: ready\n    labels: *l\n  B:\n    title: U\n    status: done\n",
    "with a merge key":
      "x: &d {status: done}\ntasks:\n  A:\n    title: T\n    status: ready\n    labels: [x, y]\n  B:\n    <<: *d\n    title: U\n",
    "with an anchor inside one task":
      "tasks:\n  A:\n    title: &t T\n    status: ready\n    labels: [x, y]\n    alias: *t\n  B:\n    title: U\n    status: done\n",
    "with explicit keys":
      "? tasks\n: ? A\n  : title: T\n    status: ready\n    labels: [x, y]\n  ? B\n  : title: U\n    status: done\n",
    "with tags":
      "tasks:\n  A:\n    title: !!str T\n    status: ready\n    labels: [x, y]\n  B: !!map\n    title: U\n    status: done\n",
    "with wide indentation":
      "tasks:\n      A:\n              title: T\n              status: ready\n              labels: [x, y]\n      B:\n       title: U\n       status: done\n",
    "with tasks first and last":
      "features: {}\ntasks:\n  A: {title: T, status: ready, labels: [x, y]}\n  B:\n    title: U\n    status: done",
  };
  test.each(Object.entries(cases))("%s", async (_, text) => {
    expect(await tasksOf(text)).toEqual(await tasksOf(plain));
  });

  test("and texts that look like structure stay texts", async () => {
    const text = `tasks:
  A:
    title: "x
      B:
      C: y"
    description: |
      tasks:
        Z:
      # no comment
      <<<<<<< in here

      - end
    status: ready
    locks:
      - 'it''s
        D: '
  B:
    title: a
      plain text
    description: >-
      folded
      text
    status: ready
    last: |+
      keeps


  C:
    title: C
    status: done
`;
    const [a, b, c] = await tasksOf(text);
    expect(a?.title).toBe("x B: C: y");
    expect(a?.description).toBe("tasks:\n  Z:\n# no comment\n<<<<<<< in here\n\n- end\n");
    expect(a?.locks).toEqual(["it's D: "]);
    expect(b).toMatchObject({ title: "a plain text", description: "folded text" });
    expect(c?.id).toBe("C");
  });
});

describe("the sections around the tasks", () => {
  test("are read, and unknown keys in them passed over", async () => {
    const spec = await readGood(
      "project:\n  name: n\n  default_branch: master\n  owner: x\n  conventions:\n    locks: enforce\n    verify: other\n    spec: main\n    lease_ttl: 90\n    runtime: postgres://h/d\n    project_id: p\n    style: x\nfeatures:\n  F: [A]\n  __proto__: [B]\n  G:\nother: 1\n",
    );
    const conventions = {
      locks: "enforce",
      verify: "other",
      spec: "main",
      lease_ttl: "90",
      runtime: "postgres://h/d",
      project_id: "p",
    };
    expect(spec.project).toEqual({ name: "n", default_branch: "master", conventions } as typeof spec.project);
    expect(Object.entries(spec.features)).toEqual([
      ["F", ["A"]],
      ["__proto__", ["B"]],
      ["G", []],
    ]);
  });
});

describe("problems are told with their place", () => {
  const cases: Record<string, readonly [string | Uint8Array, readonly string[]]> = {
    "no UTF-8": [Buffer.from("tasks:\n  A: \xff\n", "latin1"), ["2:6 This is not valid UTF-8."]],
    "a character cut at the end": [Buffer.from("a: é").subarray(0, 4), ["1:4 This is not valid UTF-8."]],
    NUL: ["tasks:\n  \0\n", ["2:3 The file holds a NUL byte."]],
    "a carriage return alone": [
      "tasks:\n  A: {title: T,\r status: done}\n",
      ["2:16 A line ends with a carriage return alone, which programs read in different ways."],
    ],
    "a list at the root": ["- a\n", ["1:1 The file must be a mapping."]],
    "a text at the root": ["hello\n", ["1:1 The file must be a mapping."]],
    "tasks as a list": ["tasks:\n- A\n", ["2:1 `tasks` must be a mapping of ids to tasks."]],
    "tasks as a text": ["tasks: x\n", ["1:8 `tasks` must be a mapping of ids to tasks."]],
    "a key twice": [
      "tasks:\n  A:\n    title: a\n    status: ready\n    title: b\n",
      ['5:5 The key "title" stands twice in one mapping.'],
    ],
    "a key twice, deeper": [
      task("    prd:\n      source: a\n      source: b\n"),
      ['7:7 The key "source" stands twice in one mapping.'],
    ],
    "a key twice in flow style": [task("    x: {a: 1, 'a': 2}\n"), ['5:15 The key "a" stands twice in one mapping.']],
    "a section twice": ["project: {}\ntasks:\nproject: {}\n", ['3:1 The key "project" stands twice in one mapping.']],
    "tasks twice": [
      "tasks:\n  A: {title: T, status: done}\ntasks: {}\n",
      ['3:1 The key "tasks" stands twice in one mapping.'],
    ],
    "no status": ["tasks:\n  A:\n    title: T\n", ["3:5 Task A: status is missing."]],
    "no title": ["tasks:\n  é: {status: done}\n", ["2:6 Task é: title is missing."]],
    "a task without fields": ["tasks:\n  A:\n", ["2:3 Task A must be a mapping, not null."]],
    "an unresolved alias": [
      task("    labels: *x\n"),
      ["5:13 The file cannot be understood: Unresolved alias (the anchor must be set before the alias): x."],
    ],
    "a section beside brackets": [
      "{a: 1}\ntasks:\n",
      ["2:1 Unexpected scalar at node end.", '2:6 Unexpected map-value-ind token in YAML stream: ":".'],
    ],
    "a section that is indented": [
      "  a: 1\ntasks:\n",
      ["2:1 Unexpected scalar at node end.", '2:6 Unexpected map-value-ind token in YAML stream: ":".'],
    ],
    "two documents": [
      "a: 1\n---\nb: 2\n",
      ["2:1 There must be one YAML document only; this is where a second one begins."],
    ],
  };
  test.each(Object.entries(cases))("%s", async (_, [text, problems]) => {
    expect(await problemsOf(text)).toEqual(["SPEC_INVALID", ...problems]);
  });

  const wrong: Record<string, readonly string[]> = {
    title: ["3", "[a]", "{a: b}", "true", "null"],
    status: ["open", "3", "[ready]", "null", "Ready"],
    description: ["3", "[a]", "{a: b}", "false"],
    priority: ["high", "1.5", "9007199254740993", "[1]", "true", ".nan", "'1'"],
    reopens: ["x", "-1", "1.5", "[1]", "{a: b}", "100000000"],
    prd: [
      "x",
      "[a]",
      "{refs: []}",
      "{source: 3}",
      "{source: a, refs: x}",
      "{source: a, refs: [{lines: 1}]}",
      "{source: a, excerpt: 1}",
    ],
    completed_in: ["x", "[a]", "{commit: a}", "{branch: 1}", "{branch: a, commit: 123}"],
  };
  for (const list of ["acceptance_criteria", "depends_on", "labels", "locks"])
    wrong[list] = ["x", "3", "{a: b}", "[1]", "[a, null]", "[[a]]", "true"];
  for (const text of ["created_at", "updated_at", "completed_at", "verified_at", "completed_by", "verified_by"])
    wrong[text] = ["3", "[a]", "{a: b}", "true"];
  test.each(Object.entries(wrong))("%s of the wrong type", async (field, values) => {
    const other = { title: "    status: ready\n", status: "    title: T\n" }[field] ?? TASK;
    for (const value of values) {
      const [code, ...found] = await problemsOf(`tasks:\n  A:\n${other}    ${field}: ${value}\n`);
      const line = field === "title" || field === "status" ? 4 : 5;
      expect({
        code,
        value,
        found: found.length > 0 && found.every((place) => value === "null" || place.startsWith(`${line}:`)),
      }).toEqual({ code: "SPEC_INVALID", value, found: true });
    }
  });

  test.each([
    "project: 3",
    "project: {name: 3}",
    "project: {conventions: []}",
    "project: {conventions: {locks: yes}}",
    "project: {conventions: {lease_ttl: soon}}",
    "features: []",
    "features: {F: x}",
    "features: {F: [1]}",
  ])("%s", async (text) => {
    expect(await problemsOf(`${text}\n`)).toEqual([
      "SPEC_INVALID",
      expect.stringMatching(/^1:\d+ The (project|features)/),
    ]);
  });

  test("all of them at once, in the order of the file", async () => {
    const text =
      "project: {name: 3}\ntasks:\n  A:\n    title: T\n  B:\n    title: [\n    status: ready\n  C:\n    title: C\n    title: D\n    status: ready\n    labels: 3\nfeatures: []\n";
    const found = await problemsOf(text);
    expect(found.map((place) => place.split(":")[0])).toEqual([
      "SPEC_INVALID",
      "1",
      "4",
      expect.any(String),
      "10",
      "12",
      "13",
    ] as string[]);
  });

  test("columns count characters, also behind a byte order mark", async () => {
    expect(await problemsOf("\ufefffeatures: x")).toEqual(["SPEC_INVALID", expect.stringMatching(/^1:11 /)]);
    expect(await problemsOf("features: {'😀é': x}")).toEqual(["SPEC_INVALID", expect.stringMatching(/^1:18 /)]);
  });

  test("every one has a hint", async () => {
    const reading = await readSpec(Buffer.from("project: 3\ntasks:\n  A: {}\n  B: 'x\n"));
    if (reading.ok) throw new Error("readable");
    for (const { hint } of reading.problems) expect(hint).toMatch(/\.$/);
  });

  test("a thousand of one kind are counted, not all listed", async () => {
    const text = `tasks:\n${Array.from({ length: 1000 }, (_, i) => `  T${i}: {}\n`).join("")}`;
    const found = await problemsOf(text);
    expect(found).toHaveLength(202);
    expect(found.at(-1)).toContain("1800 more problems");
  });
});

describe("what merging leaves", () => {
  test("conflict markers have their own code and name each line", async () => {
    const text =
      "tasks:\n  A:\n    title: T\n<<<<<<< HEAD\n    status: done\n||||||| base\n    status: todo\n=======\n    status: ready\n>>>>>>> feat\n";
    const marks = [
      "4:1 A conflict marker of Git: <<<<<<<",
      "6:1 A conflict marker of Git: |||||||",
      "8:1 A conflict marker of Git: =======",
      "10:1 A conflict marker of Git: >>>>>>>",
    ];
    expect(await problemsOf(text)).toEqual(["SPEC_CONFLICT_MARKERS", ...marks]);
    expect(await problemsOf(text.replaceAll("\n", "\r\n"))).toEqual(["SPEC_CONFLICT_MARKERS", ...marks]);
  });

  test.each([
    [
      "block",
      "tasks:\n  A:\n    title: T\n    status: ready\n  B:\n    title: U\n    status: ready\n  A:\n    title: V\n    status: done\n",
      "8:3",
    ],
    [
      "tree",
      "tasks: {A: {title: T, status: ready}, B: {title: U, status: ready}, A: {title: V, status: done}}",
      "1:69",
    ],
  ])("an id that stands twice breaks that task alone (%s)", async (kind, text, place) => {
    const spec = await readGood(text);
    expect(spec.layout.kind).toBe(kind as "block" | "tree");
    expect(spec.tasks.map(({ task }) => [task.id, task.title])).toEqual([
      ["A", "T"],
      ["B", "U"],
    ]);
    expect(spec.broken.map((problem) => [problem.task_id, `${problem.line}:${problem.column}`])).toEqual([
      ["A", place],
    ]);
  });
});

describe("limits", () => {
  test("100 MB", async () => {
    const bytes = Buffer.alloc(100 * 1024 * 1024 + 1, "#");
    expect(await problemsOf(bytes)).toEqual(["SPEC_INVALID", expect.stringContaining("100 MB")]);
  });

  test("100 000 tasks", async () => {
    const text = `tasks:\n${Array.from({ length: 100_001 }, (_, i) => `  T${i}: {title: x, status: done}\n`).join("")}`;
    expect(await problemsOf(text)).toEqual(["SPEC_INVALID", "2:1 There are 100001 tasks; at most 100000 are read."]);
  });

  test("alias bombs and deep nesting end quickly", async () => {
    let bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (let i = 1; i < 12; i += 1)
      bomb += `a${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(",")}]\n`;
    const inside = `tasks:\n  A:\n${TASK}${bomb.replace(/^/gm, "    ").trimEnd()}\n`;
    const started = performance.now();
    for (const text of [bomb, inside]) {
      expect(await problemsOf(text)).toEqual(["SPEC_INVALID", expect.stringContaining("expand without bound")]);
    }
    for (const text of [
      "[".repeat(100_000),
      "{a: ".repeat(20_000),
      "- ".repeat(20_000),
      `tasks:\n  A:\n${TASK}    x: ${"[".repeat(50_000)}`,
    ]) {
      expect((await problemsOf(text))[0]).toBe("SPEC_INVALID");
    }
    expect(performance.now() - started).toBeLessThan(15_000);
  }, 30_000);

  test("a list that holds itself is an unknown key like any other", async () => {
    for (const text of [
      task("    x: &a [*a]\n"),
      `y: &a [*a]\n${task("    x: 1\n")}`,
      `y: &b {z: *b}\n${task("    <<: *b\n")}`,
    ]) {
      const reading = await readSpec(Buffer.from(text));
      expect(reading.ok || reading.problems.length > 0).toBe(true);
    }
    expect(await problemsOf(task("    labels: &a [*a]\n"))).toEqual([
      "SPEC_INVALID",
      "5:17 Task A: labels[0] must be a text, not a list.",
    ]);
  });

  test("an alias may be used very often", async () => {
    const text = `x: &l [a]\ntasks:\n${Array.from({ length: 500 }, (_, i) => `  T${i}: {title: t, status: done, labels: *l}\n`).join("")}`;
    expect(await tasksOf(text)).toHaveLength(500);
  });
});

describe("blocks", () => {
  const text =
    "# top\ntasks:\n\n  # of A\n  A:\n    title: T\n    status: ready\n\n    # the end of A?\n  # of B\n\n  'B':\n    title: U\n    status: done\n\n# between\nfeatures: {}\n";

  test("begin at the key's line and end behind the last content line", async () => {
    const spec = await readGood(text);
    expect(spec.tasks.map(({ start, length }) => Buffer.from(text).toString("utf8", start, start + length))).toEqual([
      "  A:\n    title: T\n    status: ready\n\n    # the end of A?\n",
      "  'B':\n    title: U\n    status: done\n",
    ]);
    const { tasks_start, tasks_end } = spec.layout;
    expect(text.slice(tasks_start, tasks_end)).toMatch(/^ {2}A:[\s\S]*done\n$/);
    for (const block of spec.tasks) {
      const bytes = Buffer.from(text).subarray(block.start, block.start + block.length);
      expect(block.hash).toBe(Bun.hash(bytes) as bigint);
    }
  });

  test("that are known are not parsed again", async () => {
    const asked: string[] = [];
    const first = await readGood(text);
    const tasks = new Map(first.tasks.map(({ hash, task }) => [hash, task]));
    const changed = Buffer.from(text.replace("title: U", "title: V"));
    const reading = await readSpec(changed, {
      known: (hash, id) => {
        asked.push(id);
        const task = tasks.get(hash);
        return task === undefined ? undefined : () => task;
      },
    });
    if (!reading.ok) throw new Error("unreadable");
    expect(asked).toEqual(["A", "B"]);
    expect(reading.spec.tasks[0]?.task).toBe(first.tasks[0]?.task as Task);
    expect(reading.spec.tasks[1]?.task.title).toBe("V");
  });

  test("in a tree are never taken for known ones", async () => {
    const flow = "x: &s ready\ntasks:\n  A:\n    title: T\n    status: *s\n";
    const { tasks, layout } = await readGood(flow);
    expect(layout.kind).toBe("tree");
    const block = Buffer.from(flow).subarray(tasks[0]?.start, (tasks[0]?.start ?? 0) + (tasks[0]?.length ?? 0));
    expect(tasks[0]?.hash).not.toBe(Bun.hash(block) as bigint);
  });
});

test("the spec of Lodestar itself is read whole", async () => {
  const bytes = readFileSync(join(import.meta.dir, "../fixtures/lodestar-own-spec.yaml"));
  const spec = await readGood(bytes);
  expect(spec.layout).toMatchObject({ kind: "block", task_indent: 2, field_indent: 4, eol: "\n" });
  expect(spec.project).toEqual({ name: "lodestar", default_branch: "master", conventions: {} });
  expect(
    spec.tasks.map(({ task }) => `${task.id} ${task.status} ${task.priority} ${task.acceptance_criteria.length}`),
  ).toMatchSnapshot();
  const { yaml } = { yaml: await import("yaml") };
  const whole = yaml.parse(bytes.toString()) as { tasks: Record<string, Record<string, unknown>> };
  for (const { task } of spec.tasks) {
    for (const [key, value] of Object.entries(whole.tasks[task.id] ?? {})) expect(task).toHaveProperty(key, value);
  }
});

test("10 000 tasks are read, and read again from what is known", async () => {
  const bytes = bigSpec(10_000);
  const spec = await readGood(bytes);
  expect(spec.tasks).toHaveLength(10_000);
  expect(spec.tasks[9999]?.task).toMatchObject({
    id: "TASK-009999",
    title: "Do the thing number 9999 with care",
    depends_on: ["TASK-009998"],
    priority: 199,
    status: "done",
    completed_in: { branch: "feat/x", commit: "0a1b2c3" },
  });
  const known = new Map(spec.tasks.map(({ hash, task }) => [hash, task]));
  const again = await readSpec(bytes, { known: (hash) => () => known.get(hash) });
  if (!again.ok) throw new Error("unreadable");
  expect(again.spec.tasks.map(({ task }) => task)).toEqual(spec.tasks.map(({ task }) => task));
});

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { LodestarError } from "../../src/core/errors.ts";
import type { Task } from "../../src/core/task.ts";
import { applyEdits, type SpecEdit, StaleBlock, type TaskFieldsPatch } from "../../src/spec/document.ts";
import { bigSpec } from "../fixtures/spec/render.ts";
import { edited, readGood } from "../fixtures/spec/support.ts";

const newTask = (id: string, fields: Partial<Task> = {}): Task => ({
  id,
  title: `Task ${id}`,
  acceptance_criteria: [],
  depends_on: [],
  labels: [],
  locks: [],
  priority: 100,
  status: "ready",
  reopens: [],
  ...fields,
});

const set = (task_id: string, fields: TaskFieldsPatch): SpecEdit => ({ kind: "set", task_id, fields });
const add = (task: Task, after?: string): SpecEdit => ({ kind: "add", task, after });

/** The lines that differ: `-` gone, `+` new, by a plain comparison from both ends. */
function changes(before: string, after: string): string[] {
  const a = before.split("\n");
  const b = after.split("\n");
  while (a.length > 0 && b.length > 0 && a[0] === b[0]) {
    a.shift();
    b.shift();
  }
  while (a.length > 0 && b.length > 0 && a.at(-1) === b.at(-1)) {
    a.pop();
    b.pop();
  }
  return [...a.map((line) => `- ${line}`), ...b.map((line) => `+ ${line}`)];
}

/** What an edit of one task with these fields changes, as lines. */
async function changed(fields: string, patch: TaskFieldsPatch): Promise<string[]> {
  const text = `# top\ntasks:\n  0: {title: before, status: done}\n  A: # the task\n${fields}\n  # of Z\n  Z:\n    title: after\n    status: todo\n# end\n`;
  return changes(text, await edited(text, [set("A", patch)]));
}

const BASE = "    title: T\n    status: ready\n";

describe("setting a field changes its bytes alone", () => {
  test("a status, with its spaces and comment", async () => {
    expect(await changed("    status:   ready   # waits\n    title: T\n", { status: "done" })).toEqual([
      "-     status:   ready   # waits",
      "+     status:   done   # waits",
    ]);
  });

  test("in the quotes that were there", async () => {
    expect(
      await changed(`${BASE}    updated_at: '2026-01-01T00:00:00Z'\n`, { updated_at: "2026-01-02T00:00:00Z" }),
    ).toEqual(["-     updated_at: '2026-01-01T00:00:00Z'", "+     updated_at: '2026-01-02T00:00:00Z'"]);
    expect(await changed(`    title: "T" # c\n    status: ready\n`, { title: "U" })).toEqual([
      '-     title: "T" # c',
      '+     title: "U" # c',
    ]);
  });

  test("nothing where the value is there already", async () => {
    expect(
      await changed(`    title: "T"\n    status: ready\n    labels: [ a,b ]\n`, {
        title: "T",
        status: "ready",
        labels: ["a", "b"],
      }),
    ).toEqual([]);
  });

  test("a null and an empty value become values", async () => {
    expect(await changed(`${BASE}    completed_by: null # nobody\n`, { completed_by: "A1" })).toEqual([
      "-     completed_by: null # nobody",
      "+     completed_by: A1 # nobody",
    ]);
    expect(await changed(`${BASE}    completed_by:  # nobody\n`, { completed_by: "A1" })).toEqual([
      "-     completed_by:  # nobody",
      "+     completed_by: A1  # nobody",
    ]);
  });

  test("an old integer of reopens becomes a list", async () => {
    expect(await changed(`${BASE}    reopens: 2\n`, { reopens: ["1", "2", "k3f9"] })).toEqual([
      "-     reopens: 2",
      "+     reopens: ['1', '2', k3f9]",
    ]);
  });

  test("texts of several lines, in every style, to and from one line", async () => {
    const literal = "    description: |\n      a\n\n      b: c\n    # of the title\n    title: T\n    status: ready\n";
    expect(await changed(literal, { description: "x" })).toEqual([
      "-     description: |",
      "-       a",
      "- ",
      "-       b: c",
      "+     description: x",
    ]);
    expect(await changed(`    description: "a\n\n      b" # c\n${BASE}`, { description: "x" })).toEqual([
      '-     description: "a',
      "- ",
      '-       b" # c',
      '+     description: "x" # c',
    ]);
    expect(await changed(`    description: a\n      b\n${BASE}`, { description: "x" })).toEqual([
      "-     description: a",
      "-       b",
      "+     description: x",
    ]);
    expect(await changed(`    description: x\n${BASE}`, { description: "a\n\n b\n" })).toEqual([
      "-     description: x",
      "+     description: |",
      "+       a",
      "+ ",
      "+        b",
    ]);
    expect(await changed(`    description: x # c\n${BASE}`, { description: "a\nb" })).toEqual([
      "-     description: x # c",
      '+     description: "a\\nb" # c',
    ]);
  });

  test("a new field goes behind the nearest one that comes before it", async () => {
    const done = {
      status: "done",
      updated_at: "2026-01-02T00:00:00Z",
      completed_at: "2026-01-02T00:00:00Z",
      completed_by: "A1",
      completed_in: { branch: "feat/x", commit: "12345" },
    } as const;
    expect(await changed(`    title: T\n    # about the status\n    status: ready # s\n    x: y\n`, done)).toEqual([
      "-     status: ready # s",
      "+     status: done # s",
      "+     updated_at: '2026-01-02T00:00:00Z'",
      "+     completed_at: '2026-01-02T00:00:00Z'",
      "+     completed_by: A1",
      "+     completed_in:",
      "+       branch: feat/x",
      "+       commit: '12345'",
    ]);
    expect(await changed("    status: ready\n    title: T\n", { description: "d" })).toEqual(["+     description: d"]);
  });

  test("a field is removed with its lines, and comments before it stay", async () => {
    const fields = `${BASE}    # who\n    completed_by: A1 # c\n    completed_in:\n      branch: b # c\n\n      commit: c\n    # verified\n    verified_by: A2\n`;
    expect(await changed(fields, { completed_by: undefined, completed_in: undefined })).toEqual([
      "-     completed_by: A1 # c",
      "-     completed_in:",
      "-       branch: b # c",
      "- ",
      "-       commit: c",
    ]);
    expect(await changed(BASE, { completed_by: undefined })).toEqual([]);
  });

  test("records keep their unknown keys and comments", async () => {
    const prd = "    prd:\n      source: PRD.md # s\n      note: mine\n      prd_hash: a\n      excerpt: x\n";
    expect(
      await changed(BASE + prd, { prd: { source: "PRD.md", prd_hash: "b", refs: [{ anchor: "#x", hash: "h" }] } }),
    ).toEqual([
      "-       note: mine",
      "-       prd_hash: a",
      "-       excerpt: x",
      "+       refs:",
      "+         - anchor: '#x'",
      "+           hash: h",
      "+       note: mine",
      "+       prd_hash: b",
    ]);
  });
});

describe("lists change by items", () => {
  test("in block style, with the file's own indentation and comments", async () => {
    const list = "    labels: # l\n    - a # one\n    # two\n    - 'b'\n    - c\n";
    expect(await changed(BASE + list, { labels: ["a", "b", "c", "d"] })).toEqual(["+     - d"]);
    expect(await changed(BASE + list, { labels: ["a", "c"] })).toEqual(["-     - 'b'"]);
    expect(await changed(BASE + list, { labels: ["0", "a", "b", "c"] })).toEqual(["+     - '0'"]);
    expect(await changed(BASE + list, { labels: ["a", "x", "c"] })).toEqual(["-     - 'b'", "+     - x"]);
    expect(await changed(BASE + list, { labels: [] })).toEqual([
      "-     labels: # l",
      "-     - a # one",
      "-     # two",
      "-     - 'b'",
      "-     - c",
      "+     labels: [] # l",
    ]);
    const deep = "    acceptance_criteria:\n         - a\n         - b\n           c\n";
    expect(await changed(BASE + deep, { acceptance_criteria: ["a", "b c", "d: e"] })).toEqual(["+          - 'd: e'"]);
  });

  test("in flow style", async () => {
    expect(await changed(`${BASE}    labels: [ a,  'b' ,c ] # l\n`, { labels: ["a", "b", "c", "d"] })).toEqual([
      "-     labels: [ a,  'b' ,c ] # l",
      "+     labels: [ a,  'b' ,c, d ] # l",
    ]);
    expect(await changed(`${BASE}    labels: [ a,  'b' ,c ]\n`, { labels: ["a", "c"] })).toEqual([
      "-     labels: [ a,  'b' ,c ]",
      "+     labels: [ a ,c ]",
    ]);
    expect(await changed(`${BASE}    labels: [a, b]\n`, { labels: ["b"] })).toEqual([
      "-     labels: [a, b]",
      "+     labels: [b]",
    ]);
    expect(await changed(`${BASE}    labels: [a, b]\n`, { labels: [] })).toEqual([
      "-     labels: [a, b]",
      "+     labels: []",
    ]);
    expect(await changed(`${BASE}    labels: []\n`, { labels: ["a", "b, c"] })).toEqual([
      "-     labels: []",
      "+     labels: [a, 'b, c']",
    ]);
    expect(await changed(`${BASE}    labels: [\n      a, # one\n      b # two\n    ]\n`, { labels: ["a"] })).toEqual([
      "-       b # two",
      "+        # two",
    ]);
  });

  test("that were not there", async () => {
    expect(await changed(BASE, { labels: ["a"], acceptance_criteria: ["It works", "x: y"], reopens: [] })).toEqual([
      "+     acceptance_criteria:",
      "+       - It works",
      "+       - 'x: y'",
      "+     labels: [a]",
    ]);
  });
});

describe("a value is written so that it reads back the same", () => {
  const texts = [
    "",
    " ",
    "yes",
    "No",
    "null",
    "~",
    "123",
    "0x1F",
    "1e3",
    "1_000",
    "12:30",
    "2026-01-04",
    ".5",
    "-",
    "- a",
    "a: b",
    "a:",
    ":a",
    "a #b",
    "#a",
    "'",
    '"',
    "it's",
    "[a",
    "{a}",
    "a, b",
    "&a",
    "*a",
    "!a",
    "%a",
    "@a",
    "`a",
    "|",
    ">",
    "?",
    "? a",
    "<<",
    "=",
    "---",
    "--- a",
    "...",
    " a",
    "a ",
    "a\tb",
    "\ta",
    "a\nb",
    "a\n",
    "\na",
    "a\n\n",
    "  a\nb",
    "a\n  b",
    "a\r\nb",
    "\x07",
    "\x7f",
    "\x85",
    "\u2028",
    "\ufeff",
    "\ufffe",
    "é",
    "日本",
    "😀",
    "a\\b",
    "C:\\x",
    "\n",
    "\n\n",
    " \n ",
    "a\n \nb",
    "# x\ny",
    "a\n# b",
    "- a\n- b",
    "x: |+\ny",
    "\u00a0a\u00a0",
  ];
  test.each(texts)("%j", async (text) => {
    const block = `tasks:\n  A:\n    title: T\n    status: ready\n    locks:\n    - z\n`;
    const flow = "tasks: {A: {title: T, status: ready, locks: [z]}}";
    for (const spec of [block, block.replaceAll("\n", "\r\n"), flow]) {
      const after = await edited(spec, [
        set("A", {
          title: text,
          description: text,
          labels: [text, "x"],
          locks: ["z", text],
          completed_by: text,
          completed_in: { branch: text },
        }),
      ]);
      expect((await readGood(after)).tasks[0]?.task).toMatchObject({
        title: text,
        description: text,
        labels: [text, "x"],
        locks: ["z", text],
        completed_by: text,
        completed_in: { branch: text },
      });
    }
  });

  test.each(["a\0b", "\ud800"])("%j is refused", async (text) => {
    const refused = edited(`tasks:\n  A:\n${BASE}`, [set("A", { title: text })]);
    expect(await refused.catch((cause) => cause)).toMatchObject({ code: "USAGE" });
  });
});

describe("tasks that YAML writes in other ways", () => {
  test("flow style", async () => {
    const text = "tasks:\n  A: {title: T, 'status': ready, labels: [a]} # c\n";
    expect(
      changes(
        text,
        await edited(text, [
          set("A", { status: "done", labels: ["a", "b"], completed_in: { branch: "b" }, description: "d" }),
        ]),
      ),
    ).toEqual([
      "-   A: {title: T, 'status': ready, labels: [a]} # c",
      "+   A: {title: T, description: d, 'status': done, completed_in: { branch: b }, labels: [a, b]} # c",
    ]);
  });

  test("the whole file in flow style", async () => {
    const text = '{"tasks":{"A":{"title":"T","status":"ready"}}}';
    expect(
      await edited(text, [
        set("A", { status: "done" }),
        add(newTask("B"), "A"),
        { kind: "feature", feature: "F", task_id: "B" },
      ]),
    ).toBe(
      '{"tasks":{"A":{"title":"T","status":"done"}, B: { title: Task B, priority: 100, status: ready }}, features: { F: [B] }}',
    );
  });

  test("anchors, aliases and merge keys", async () => {
    const text =
      "x: &d\n  status: ready\ntasks:\n  A: &a # c\n    <<: *d\n    title: T\n    labels: &l [a]\n  B:\n    title: U\n    status: ready\n    labels: *l\n";
    expect(changes(text, await edited(text, [set("A", { status: "done" })]))).toEqual(["+     status: done"]);
    expect(changes(text, await edited(text, [set("B", { labels: ["a", "b"] })]))).toEqual([
      "-     labels: *l",
      "+     labels: [a, b]",
    ]);
    expect(changes(text, await edited(text, [add(newTask("C"), "B")]))).toEqual([
      "+   C:",
      "+     title: Task C",
      "+     priority: 100",
      "+     status: ready",
    ]);
    await expect(edited(text, [set("A", { labels: ["a", "b"] })])).rejects.toThrow("no way to write");
  });

  test("tags, explicit keys and an anchor inside one task", async () => {
    expect(
      await changed("    title: !!str T\n    ? status\n    : ready\n    x: &x y\n    z: *x\n", {
        status: "done",
        title: "U",
      }),
    ).toEqual([
      "-     title: !!str T",
      "-     ? status",
      "-     : ready",
      "+     title: !!str U",
      "+     ? status",
      "+     : done",
    ]);
  });

  test("ids in quotes", async () => {
    for (const key of ["A B", "'A B'", '"A B"']) {
      const text = `tasks:\n  ${key}:\n    title: T\n    status: ready\n`;
      expect(changes(text, await edited(text, [set("A B", { status: "done" })]))).toEqual([
        "-     status: ready",
        "+     status: done",
      ]);
    }
  });
});

describe("adding tasks", () => {
  const A = "  A:\n    title: T\n    status: ready\n";
  const B = "  B:\n    title: Task B\n    priority: 100\n    status: ready\n";

  test("writes one field a line, in order, without empty lists", async () => {
    const task = newTask("B", {
      prd: {
        source: "PRD.md",
        refs: [{ anchor: "#x", lines: [1, 2], hash: "h" }],
        excerpt: "one\ntwo\n",
        prd_hash: "p",
      },
      verified_by: "A2",
      verified_at: "2026-01-03T00:00:00Z",
      completed_in: { branch: "b" },
      completed_by: "A1",
      completed_at: "2026-01-02T00:00:00Z",
      updated_at: "2026-01-02T00:00:00Z",
      created_at: "2026-01-01T00:00:00Z",
      reopens: ["k3f9"],
      locks: ["src/**"],
      labels: ["x", "y: z"],
      depends_on: ["A", "123"],
      acceptance_criteria: ["It works"],
      description: "text",
    });
    expect(await edited("tasks:\n", [add(task)])).toMatchSnapshot();
  });

  test.each([
    ["an empty file", "", `tasks:\n${B}`],
    ["a file with a byte order mark alone", "\ufeff", `\ufefftasks:\n${B}`],
    ["a comment alone", "# c", `# c\ntasks:\n${B}`],
    ["no tasks", "project: {}\nfeatures: {}", `project: {}\nfeatures: {}\ntasks:\n${B}`],
    [
      "tasks: {}",
      "project: {}\ntasks: {} # none\n\nfeatures: {}\n",
      `project: {}\ntasks: # none\n${B}\nfeatures: {}\n`,
    ],
    ["tasks: null", "tasks: null", `tasks:\n${B}`],
    ["tasks:", "tasks:\r\n", `tasks:\n${B}`.replaceAll("\n", "\r\n")],
    ["tasks: { } and CR LF", "tasks: { }\r\nfeatures: {}\r\n", `tasks:\n${B}features: {}\n`.replaceAll("\n", "\r\n")],
    ["{}", "{}", "{tasks: { B: { title: Task B, priority: 100, status: ready } }}"],
  ])("to %s", async (_, before, after) => {
    expect(await edited(before, [add(newTask("B"))])).toBe(after);
  });

  test("behind its predecessor, before what belongs to the next", async () => {
    const text = `tasks:\n${A}\n  # of C\n  C:\n    title: U\n    status: ready\n# end\n`;
    expect(await edited(text, [add(newTask("B"), "A")])).toBe(text.replace("\n  # of C", `${B}\n  # of C`));
  });

  test("first, above the comment of the present first", async () => {
    const text = `tasks:\n  # all tasks\n\n  # of C\n  C:\n    title: U\n    status: ready\n`;
    expect(await edited(text, [add(newTask("B"))])).toBe(text.replace("  # of C", `${B}  # of C`));
  });

  test("behind a last line without an end", async () => {
    const text = `tasks:\n${A}`.trimEnd();
    expect(await edited(text, [add(newTask("B"), "A")])).toBe(`tasks:\n${A}${B}`);
    expect(
      await edited(text, [
        add(newTask("B"), "A"),
        set("A", { status: "done" }),
        { kind: "feature", feature: "F", task_id: "B" },
      ]),
    ).toBe(`tasks:\n${A.replace("ready", "done")}${B}features:\n  F: [B]\n`);
  });

  test("with the file's indentation and line ends", async () => {
    const text = "tasks:\n   A:\n     title: T\n     status: ready\n".replaceAll("\n", "\r\n");
    expect(await edited(text, [add(newTask("B"), "A")])).toBe(
      `${text}   B:\r\n     title: Task B\r\n     priority: 100\r\n     status: ready\r\n`,
    );
  });

  test("several in the order of their ids by UTF-8", async () => {
    const ids = ["é", "z", "B2", "😀", "B10", "\uffee"];
    const text = await edited(`tasks:\n${A}`, [...ids.map((id) => add(newTask(id), "A")), add(newTask("0"))]);
    expect((await readGood(text)).tasks.map(({ task }) => task.id)).toEqual([
      "0",
      "A",
      "B10",
      "B2",
      "z",
      "é",
      "\uffee",
      "😀",
    ]);
  });

  test("behind one that is added in the same call, and set in it", async () => {
    const text = await edited(`tasks:\n${A}`, [
      add(newTask("B"), "A"),
      add(newTask("C"), "B"),
      set("B", { status: "done" }),
    ]);
    expect((await readGood(text)).tasks.map(({ task }) => `${task.id} ${task.status}`)).toEqual([
      "A ready",
      "B done",
      "C ready",
    ]);
  });

  test("quotes ids that need it", async () => {
    const text = await edited(
      "tasks:\n",
      ["123", "null", "a: b", "a#b", "y", "__proto__"].map((id) => add(newTask(id))),
    );
    expect(text.match(/^ {2}\S.*/gm)).toEqual([
      "  '123':",
      "  __proto__:",
      "  a#b:",
      "  'a: b':",
      "  'null':",
      "  'y':",
    ]);
    const refused = edited("tasks:\n", [add(newTask("a\nb"))]).catch((cause: unknown) => cause);
    expect(await refused).toBeInstanceOf(LodestarError);
  });
});

test.each(["tasks:\n  A:\n    title: T\n    status: ready\n", "tasks: {A: {title: T, status: ready}}"])(
  "a task is not added over another: %j",
  async (text) => {
    const refused = edited(text, [add(newTask("A"))]).catch((cause: unknown) => cause);
    expect(await refused).toMatchObject({ code: "ID_TAKEN" });
  },
);

describe("features and conventions", () => {
  const TASKS = "tasks:\n  A:\n    title: T\n    status: ready\n";
  const feature = (name: string, task_id: string): SpecEdit => ({ kind: "feature", feature: name, task_id });
  const convention = (key: string, value: string | undefined): SpecEdit => ({ kind: "convention", key, value });

  test.each([
    ["without a section", TASKS, `${TASKS}features:\n  F: [A]\n`],
    ["without a section or line end", TASKS.trimEnd(), `${TASKS}features:\n  F: [A]\n`],
    ["in an empty section", `${TASKS}features: {} # f\n`, `${TASKS}features:\n  F: [A] # f\n`],
    [
      "with another feature",
      `${TASKS}features:\n  # g\n  G:\n  - A\n# end\n`,
      `${TASKS}features:\n  # g\n  G:\n  - A\n  F: [A]\n# end\n`,
    ],
    ["with a list", `features:\n  F:\n    - B # b\n${TASKS}`, `features:\n  F:\n    - B # b\n    - A\n${TASKS}`],
    ["in flow style", `features: {F: [B]}\n${TASKS}`, `features: {F: [B, A]}\n${TASKS}`],
    ["with null", `${TASKS}features:\n  F:\n`, `${TASKS}features:\n  F: [A]\n`],
    ["where it is", `${TASKS}features: {F: [A]}\n`, `${TASKS}features: {F: [A]}\n`],
  ])("a feature %s", async (_, before, after) => {
    expect(await edited(before, [feature("F", "A")])).toBe(after);
  });

  test("several features at once", async () => {
    const text = await edited(TASKS, [
      feature("F", "A"),
      feature("a: b", "A"),
      feature("F", "B"),
      feature("__proto__", "A"),
    ]);
    expect(Object.entries((await readGood(text)).features)).toEqual([
      ["F", ["A", "B"]],
      ["a: b", ["A"]],
      ["__proto__", ["A"]],
    ]);
  });

  test.each([
    ["without a project", TASKS, `project:\n  conventions:\n    locks: enforce\n${TASKS}`],
    [
      "without conventions",
      `project:\n  name: n # n\n${TASKS}`,
      `project:\n  name: n # n\n  conventions:\n    locks: enforce\n${TASKS}`,
    ],
    [
      "with none",
      `project:\n  name: n\n  conventions: {}\n${TASKS}`,
      `project:\n  name: n\n  conventions:\n    locks: enforce\n${TASKS}`,
    ],
    [
      "with another value",
      `project:\n  conventions:\n    locks: warn # l\n${TASKS}`,
      `project:\n  conventions:\n    locks: enforce # l\n${TASKS}`,
    ],
    [
      "behind the tasks",
      `${TASKS}project: {name: n}\n`,
      `${TASKS}project: {name: n, conventions: { locks: enforce }}\n`,
    ],
  ])("a convention %s", async (_, before, after) => {
    expect(await edited(before, [convention("locks", "enforce")])).toBe(after);
  });

  test("a convention is removed, also the last", async () => {
    expect(
      await edited(`project:\n  conventions:\n    a: b\n    c: d # c\n${TASKS}`, [convention("a", undefined)]),
    ).toBe(`project:\n  conventions:\n    c: d # c\n${TASKS}`);
    expect(await edited(`project:\n  conventions:\n    a: b\n  name: n\n${TASKS}`, [convention("a", undefined)])).toBe(
      `project:\n  conventions: {}\n  name: n\n${TASKS}`,
    );
    expect(await edited(TASKS, [convention("a", undefined)])).toBe(TASKS);
  });
});

describe("clearing", () => {
  test.each([
    [
      "project:\n  name: n # n\ntasks: # t\n  # a\n  A:\n    title: T\n    status: ready\n# f\nfeatures:\n  F: [A]\n# end\n",
      "project:\n  name: n # n\ntasks: {} # t\n  # a\n# f\nfeatures: {}\n# end\n",
    ],
    ["tasks: {A: {title: T, status: ready}} # t\n", "tasks: {} # t\n"],
    ["project: {}\n", "project: {}\n"],
    ["features: {F: [A]}\r\ntasks:\r\n  A: {title: T, status: ready}", "features: {}\r\ntasks: {}\r\n"],
  ])("%j leaves the rest", async (before, after) => {
    expect(await edited(before, [{ kind: "clear" }])).toBe(after);
  });

  test("and adding in one call", async () => {
    expect(await edited("{tasks: {A: {title: T, status: done}}}", [{ kind: "clear" }, add(newTask("B"))])).toBe(
      "{tasks: { B: { title: Task B, priority: 100, status: ready } }}",
    );
    const text = "tasks:\n  A:\n    title: T\n    status: ready\n";
    expect(await edited(text, [set("A", { status: "done" }), { kind: "clear" }, add(newTask("B"))])).toBe(
      "tasks:\n  B:\n    title: Task B\n    priority: 100\n    status: ready\n",
    );
  });
});

describe("finding a block", () => {
  const text =
    "tasks:\n  A:\n    title: T\n    status: ready\n    note: |\n      x\n       B:\n    x:\n      y:\n        A:\n  B:\n    title: U\n    status: ready\n";

  test("that is not where the index says is stale", async () => {
    const bytes = Buffer.from(text);
    const { layout, tasks } = await readGood(bytes);
    const known = new Map(tasks.map((block) => [block.task.id, block]));
    const locate = (id: string) => known.get(id);
    const moved = Buffer.from(text.replace("title: U", "title: V"));
    await expect(applyEdits(moved, layout, [set("B", { status: "done" })], locate)).rejects.toBeInstanceOf(StaleBlock);
    await expect(applyEdits(bytes, layout, [set("C", { status: "done" })], locate)).rejects.toBeInstanceOf(StaleBlock);
    await expect(applyEdits(bytes, layout, [add(newTask("D"), "C")], locate)).rejects.toBeInstanceOf(StaleBlock);
    expect((await applyEdits(bytes, layout, [set("A", { status: "done" })], locate)).changed).toHaveLength(1);
  });

  test("copies nothing large", async () => {
    const bytes = bigSpec(2000);
    const { layout, tasks } = await readGood(bytes);
    const known = new Map(tasks.map((block) => [block.task.id, block]));
    const { pieces } = await applyEdits(bytes, layout, [set("TASK-001000", { status: "done" })], (id) => known.get(id));
    const fresh = pieces.filter(({ buffer }) => buffer !== bytes.buffer);
    expect(fresh.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(2000);
    expect(pieces.length).toBeLessThan(8);
  });
});

test("the spec of Lodestar itself keeps every other byte", async () => {
  const text = readFileSync(join(import.meta.dir, "../fixtures/lodestar-own-spec.yaml"), "utf8");
  const { tasks } = await readGood(text);
  for (const { task } of tasks) {
    const after = await edited(text, [
      set(task.id, {
        status: "done",
        updated_at: "2026-02-01T00:00:00.000Z",
        completed_by: "A1",
        labels: [...task.labels, "new"],
        description: "d\ne",
      }),
    ]);
    const untouched = (spec: string) =>
      spec.split(/^(?= {2}\S)/m).filter((block) => !block.startsWith(`  ${task.id}:`));
    expect(untouched(after)).toEqual(untouched(text));
  }
  const done = await edited(text, [
    set("T001", { status: "done", reopens: ["k3f9"], completed_in: { branch: "main", commit: "0123456" } }),
  ]);
  expect(changes(text, done)).toEqual([
    "-     status: ready",
    "-     created_at: '2026-01-04T09:19:43.789680+00:00'",
    "-     updated_at: '2026-01-04T09:19:43.789685+00:00'",
    "+     status: done",
    "+     reopens: [k3f9]",
    "+     created_at: '2026-01-04T09:19:43.789680+00:00'",
    "+     updated_at: '2026-01-04T09:19:43.789685+00:00'",
    "+     completed_in:",
    "+       branch: main",
    "+       commit: '0123456'",
  ]);
});

test("10 000 tasks are imported in one call, and 10 000 changed", async () => {
  const { tasks } = await readGood(bigSpec(10_000));
  const text = await edited(
    "project: {}\n",
    tasks.map(({ task }) => add(task)),
  );
  const imported = await readGood(text);
  expect(imported.tasks.map(({ task }) => task)).toEqual(tasks.map(({ task }) => task));
  const verified = await readGood(
    await edited(
      text,
      tasks.map(({ task }) => set(task.id, { status: "verified" })),
    ),
  );
  expect(verified.tasks.every(({ task }) => task.status === "verified")).toBe(true);
}, 60_000);

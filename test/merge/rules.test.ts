/** S4, rule by rule: base, ours, theirs, and what becomes of them. */
import { describe, expect, test } from "bun:test";
import { mergeSpecs, type SpecMerge } from "../../src/spec/merge.ts";
import { readSide } from "../../src/spec/merge-side.ts";

type Merged = Extract<SpecMerge, { kind: "merged" }>;

const spec = (...tasks: readonly string[]): string =>
  `tasks:\n${tasks.map((fields, i) => `  ${"ABCDEF"[i]}:\n${lines(fields)}`).join("")}`;
const lines = (fields: string): string =>
  fields
    .split("\n")
    .map((line) => `    ${line}\n`)
    .join("");

async function merge(base: string | undefined, ours: string, theirs: string): Promise<Merged & { text: string }> {
  const merged = await mergeSpecs({
    base: base === undefined ? undefined : Buffer.from(base),
    ours: Buffer.from(ours),
    theirs: Buffer.from(theirs),
  });
  if (merged.kind !== "merged") throw new Error(JSON.stringify(merged));
  return { ...merged, text: Buffer.from(merged.bytes).toString("utf8") };
}

async function taskA(text: string): Promise<Record<string, unknown>> {
  const reading = await readSide(Buffer.from(text));
  if (!reading.ok) throw new Error(`${JSON.stringify(reading.problems)}\n${text}`);
  return { ...reading.side.fields("A") };
}

const T = (n: number): string => `2026-01-0${n}T00:00:00.000Z`;
const task = (more: string): string => `title: a\n${more}`;
const done = (agent: string, n: number): string => `status: done\ncompleted_at: ${T(n)}\ncompleted_by: ${agent}`;
const verified = `${done("ADA", 2).replace("done", "verified")}\nverified_at: ${T(3)}\nverified_by: BEN`;

describe("one task, merged both ways, comes to", () => {
  const cases: readonly (readonly [string, string | undefined, string, string, Record<string, unknown>])[] = [
    [
      "the field that one side changed",
      task("status: ready"),
      task("status: ready\npriority: 5"),
      task("status: ready\ndescription: d"),
      { priority: 5, description: "d" },
    ],
    [
      "labels of both, without those that one removed",
      task("status: ready\nlabels: [x, y]"),
      task("status: ready\nlabels: [x, z]"),
      task("status: ready\nlabels: [x, y, w]"),
      { labels: expect.arrayContaining(["x", "z", "w"]) },
    ],
    [
      "no labels when each removed one",
      task("status: ready\nlabels: [x, y]"),
      task("status: ready\nlabels: [x]"),
      task("status: ready\nlabels: [y]"),
      { labels: undefined },
    ],
    [
      "the higher outcome",
      task("status: ready"),
      task(done("ADA", 2)),
      task(verified),
      { status: "verified", verified_by: "BEN" },
    ],
    [
      "done over a word",
      task("status: ready"),
      task(done("ADA", 2)),
      task("status: blocked"),
      { status: "done", completed_by: "ADA" },
    ],
    [
      "the word that one side changed",
      task("status: blocked"),
      task("status: ready"),
      task("status: blocked\npriority: 2"),
      { status: "ready" },
    ],
    [
      "blocked over todo (counterexample 16)",
      task("status: ready"),
      task("status: todo"),
      task("status: blocked"),
      { status: "blocked" },
    ],
    [
      "the later of two completions",
      task("status: ready"),
      task(done("ADA", 2)),
      task(done("BEN", 3)),
      { completed_by: "BEN", completed_at: T(3) },
    ],
    [
      "at the same time that of the greater agent id",
      task("status: ready"),
      task(done("ADA", 2)),
      task(done("BEN", 2)),
      { completed_by: "BEN" },
    ],
    [
      "ready after a reopen, whatever the other side did before it",
      task(done("ADA", 2)),
      task("status: ready\nreopens: [k3f9]"),
      task(verified),
      { status: "ready", reopens: ["k3f9"], completed_by: undefined, verified_at: undefined },
    ],
    [
      "both reopens and ready, when each side went its own round (counterexample 15)",
      task(done("ADA", 2)),
      task(`reopens: [aaaa]\n${done("ADA", 4)}`),
      task(`reopens: [bbbb]\n${done("BEN", 5)}`),
      { status: "ready", reopens: ["aaaa", "bbbb"], completed_by: undefined },
    ],
    [
      "the old count of reopens as a set",
      task("status: ready\nreopens: 1"),
      task("status: ready\nreopens: 2"),
      task(`reopens: 1\n${done("ADA", 2)}`),
      { status: "ready" },
    ],
    [
      "deleted, and still verified for its dependents (counterexample 17)",
      task(done("ADA", 2)),
      task("status: deleted"),
      task(verified),
      { status: "deleted", verified_at: T(3), completed_by: "ADA" },
    ],
    [
      "deleted, and verified at a time, when nobody says which",
      task("status: ready"),
      task("status: deleted"),
      task(`status: verified\nupdated_at: ${T(4)}`),
      { status: "deleted", verified_at: T(4) },
    ],
    [
      "the latest update and the earliest creation",
      task(`status: ready\ncreated_at: ${T(3)}\nupdated_at: ${T(3)}`),
      task(`status: ready\ncreated_at: ${T(2)}\nupdated_at: ${T(4)}`),
      task(`status: ready\ncreated_at: ${T(3)}\nupdated_at: ${T(5)}`),
      { created_at: T(2), updated_at: T(5) },
    ],
    [
      "one task that both sides added alike",
      undefined,
      task(`status: ready\ncreated_at: ${T(1)}\nlabels: [x]`),
      task(`status: todo\ncreated_at: ${T(1)}\nlabels: [y]`),
      { status: "todo", labels: expect.arrayContaining(["x", "y"]) },
    ],
    [
      "the task that was made anew, when the other side did not touch the old one",
      task(`${done("ADA", 2)}\ncreated_at: ${T(1)}`),
      task(`status: ready\ncreated_at: ${T(5)}`),
      task(`${done("ADA", 2)}\ncreated_at: ${T(1)}`),
      { status: "ready", created_at: T(5) },
    ],
    [
      "a field that is null on one side is one that is not there",
      task("status: ready"),
      task("status: ready\ndescription: null\npriority: 3"),
      task("status: ready\nlabels: [x]"),
      { priority: 3, labels: ["x"] },
    ],
  ];
  test.each(cases)("%s", async (_name, base, ours, theirs, expected) => {
    for (const [mine, other] of [
      [ours, theirs],
      [theirs, ours],
    ] as const) {
      const merged = await merge(base === undefined ? undefined : spec(base), spec(mine), spec(other));
      expect(merged.conflicts).toEqual([]);
      const fields = await taskA(merged.text);
      for (const [field, value] of Object.entries(expected))
        expect({ [field]: fields[field] }).toEqual({ [field]: value });
    }
  });
});

test("a field that both sides changed in different ways is a conflict in its own lines", async () => {
  const base = spec("title: a # mine\nstatus: ready\npriority: 1");
  const ours = base.replace("title: a", "title: b").replace("status: ready", "status: todo");
  const merged = await merge(base, ours, base.replace("title: a", "title: c").replace("priority: 1", "priority: 2"));
  expect(merged.conflicts).toEqual([
    { task_id: "A", field: "title", message: "title was changed on both sides in different ways" },
  ]);
  expect(merged.text).toBe(`tasks:
  A:
<<<<<<< ours
    title: b # mine
=======
    title: c # mine
>>>>>>> theirs
    status: todo
    priority: 2
`);
});

test("a text that one side removed and the other changed is a conflict, too", async () => {
  const base = spec("title: a\ndescription: old\nstatus: ready");
  const merged = await merge(base, base.replace("    description: old\n", ""), base.replace("old", "new"));
  expect(merged.text).toBe(`tasks:
  A:
    title: a
<<<<<<< ours
=======
    description: new
>>>>>>> theirs
    status: ready
`);
});

test("one id for two different tasks is a conflict of the whole tasks (counterexample 14)", async () => {
  const ours = spec(task(`status: ready\ncreated_at: ${T(1)}`));
  const theirs = spec(task(`status: done\ncreated_at: ${T(2)}`));
  const merged = await merge(undefined, ours, theirs);
  expect(merged.conflicts).toMatchObject([{ task_id: "A", field: "created_at" }]);
  expect(merged.text).toContain(`=======\n  A:\n    title: a\n    status: done\n`);
});

test("a task that one side removed is gone, unless the other changed it", async () => {
  const base = spec(task("status: ready"), task("status: ready"));
  const without = spec(task("status: ready"));
  const gone = await merge(base, without, base);
  expect(gone.text).not.toContain("B:");
  const kept = await merge(base, without, spec(task("status: ready"), task(done("ADA", 2))));
  expect(kept.text).toContain("completed_by: ADA");
  expect(kept.warnings).toEqual(["Task B was removed in ours and changed in theirs: it is kept"]);
});

test("tasks that both sides added in one place stand there by id, each with its own bytes", async () => {
  const base = "tasks:\n  A:\n    title: a\n    status: ready\n  Z:\n    title: z\n    status: ready\n";
  const added = (id: string, more = "") =>
    base.replace("  Z:", `  # about ${id}\n  ${id}: # here${more}\n    title: ${id}\n    status: ready\n  Z:`);
  const merged = await merge(base, added("C"), added("B"));
  expect(merged.text).toBe(
    added("B").replace("  Z:", "  # about C\n  C: # here\n    title: C\n    status: ready\n  Z:"),
  );
});

test("conventions are merged key by key, features as sets", async () => {
  const base = "project:\n  name: shop\n  conventions:\n    locks: warn\n    team: x\ntasks: {}\nfeatures:\n  f: [A]\n";
  const ours = base.replace("locks: warn", "locks: enforce").replace("[A]", "[A, B]");
  const theirs = base.replace("    team: x\n", "    lease_ttl: 1h\n").replace("[A]", "[C]");
  const merged = await merge(base, ours, theirs);
  expect(merged.conflicts).toEqual([]);
  expect(merged.text).toBe(
    "project:\n  name: shop\n  conventions:\n    locks: enforce\n    lease_ttl: 1h\ntasks: {}\nfeatures:\n  f: [C, B]\n",
  );
  const clash = await merge(base, base.replace("warn", "enforce"), base.replace("    locks: warn\n", ""));
  expect(clash.conflicts).toMatchObject([{ field: "project.conventions.locks" }]);
});

test("a cycle that only the merge closes is named", async () => {
  const base = spec(task("status: ready"), task("status: ready"));
  const ours = spec(task("status: ready\ndepends_on: [B]"), task("status: ready"));
  const theirs = spec(task("status: ready"), task("status: ready\ndepends_on: [A]"));
  expect((await merge(base, ours, theirs)).cycles).toEqual([["A", "B", "A"]]);
  expect((await merge(base, ours, ours)).cycles).toEqual([]);
});

test("ours keeps its line ends, byte order mark and indentation", async () => {
  const base = spec(task("status: ready"), task("status: ready"));
  const ours = `\ufeff${base.replace("title: a", "title: b")}`.replaceAll("\n", "\r\n");
  const theirs = `${base.replace("ready", "done")}  C:\n    title: c\n    status: todo\n`;
  const wide = theirs.replaceAll(/^ +/gm, "$&$&");
  for (const other of [theirs, wide]) {
    const merged = await merge(base, ours, other);
    expect(merged.text.startsWith("\ufefftasks:\r\n")).toBe(true);
    expect(merged.text.replaceAll("\r\n", "")).not.toContain("\n");
    expect(await taskA(merged.text)).toEqual({ title: "b", status: "done" });
    expect(merged.text).toContain("  C:\r\n");
  }
});

test("what is not ours to understand is kept: unknown keys of any type, on both sides", async () => {
  const base = spec(task("status: ready\npoints: 1"));
  const ours = spec(task("status: ready\npoints: 1\nowner: { team: [a, true] }"));
  const theirs = spec(task("points: 2.5\nstatus: ready\nsecret: false"));
  const fields = await taskA((await merge(base, ours, theirs)).text);
  expect(fields).toMatchObject({ points: 2.5, owner: { team: ["a", true] }, secret: false });
});

test("ten thousand tasks with a few changes merge within a second or two", async () => {
  const many = (change: (i: number) => string) =>
    `tasks:\n${Array.from({ length: 10_000 }, (_, i) => `  T-${String(i).padStart(5, "0")}:\n    title: Task ${i}\n    status: ready\n    priority: ${change(i)}\n`).join("")}`;
  const merged = await merge(
    many(() => "1"),
    many((i) => (i % 100 === 0 ? "2" : "1")),
    many((i) => (i % 100 === 1 ? "3" : "1")),
  );
  expect(merged.conflicts).toEqual([]);
  expect(merged.text.match(/priority: 2/g)?.length).toBe(100);
  expect(merged.text.match(/priority: 3/g)?.length).toBe(100);
}, 20_000);

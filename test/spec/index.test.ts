import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Status } from "../../src/core/status.ts";
import { readSpec } from "../../src/spec/document.ts";
import { SpecIndex } from "../../src/spec/index.ts";
import type { Spec } from "../../src/spec/model.ts";
import { Schedule } from "../../src/spec/schedule.ts";

/** `SEED=n` repeats a run. */
const seed = Number(process.env.SEED ?? 20261122);

interface Drawn {
  readonly status: Status;
  readonly verified: boolean;
  /** By number; one that is not there is a missing dependency, a later one may close a cycle. */
  readonly needs: readonly number[];
}

const drawn: fc.Arbitrary<Drawn> = fc.record({
  status: fc.constantFrom("todo", "ready", "ready", "ready", "blocked", "done", "verified", "verified", "deleted"),
  verified: fc.boolean(),
  needs: fc.uniqueArray(fc.nat(9), { maxLength: 3 }),
});
/** By number, so that two of these differ by tasks that came, went and changed. */
const graph = fc.array(fc.option(drawn, { nil: undefined }), { minLength: 1, maxLength: 9 });

/** @param index what has read most of it before; without, every block is parsed. */
async function specOf(tasks: readonly (Drawn | undefined)[], index?: SpecIndex): Promise<Spec> {
  const lines = tasks.flatMap((task, i) =>
    task === undefined
      ? []
      : [
          `  T${i}:`,
          "    title: x",
          `    depends_on: [${task.needs.map((need) => `T${need}`).join(", ")}]`,
          `    status: ${task.status}`,
          ...(task.verified ? ["    verified_at: '2026-01-01T00:00:00.000Z'"] : []),
        ],
  );
  const bytes = Buffer.from(`tasks:${lines.length === 0 ? " {}" : ""}\n${lines.join("\n")}\n`);
  const read = await readSpec(bytes, index === undefined ? {} : { known: index.knows() });
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return read.spec;
}

const seen = (key: string) => ({ key, settled: true, digest: key });

function stateOf(index: SpecIndex): unknown {
  const { by_status, claimable } = index.header() ?? {};
  return { rows: [...index.tasks()], by_status, claimable };
}

/** Claimable as model.md has it, straight from the definition. */
function byDefinition(tasks: readonly (Drawn | undefined)[]): string[] {
  const reaches = (from: number, to: number, past = new Set<number>()): boolean =>
    (tasks[from]?.needs ?? []).some((need) => {
      if (tasks[need] === undefined || past.has(need)) return false;
      past.add(need);
      return need === to || reaches(need, to, past);
    });
  const met = (need: number) =>
    tasks[need]?.status === "verified" || (tasks[need]?.status === "deleted" && tasks[need]?.verified);
  return tasks.flatMap((task, i) =>
    task?.status === "ready" && !reaches(i, i) && task.needs.every(met) ? [`T${i}`] : [],
  );
}

test(`T3: an index that follows edits is the same as one made anew, and right by definition (SEED=${seed})`, async () => {
  await fc.assert(
    fc.asyncProperty(graph, graph, async (before, after) => {
      const followed = SpecIndex.memory();
      const anew = SpecIndex.memory();
      const changed = SpecIndex.memory();
      const first = await specOf(before);
      followed.refresh(first, seen("1"));
      changed.refresh(first, seen("1"));
      const spec = await specOf(after);
      followed.refresh(await specOf(after, followed), seen("2"));
      anew.refresh(spec, seen("2"));
      expect(stateOf(followed)).toEqual(stateOf(anew));
      expect(
        anew
          .claimable({ limit: 99, offset: 0 })
          .map(({ task }) => task.id)
          .sort(),
      ).toEqual(byDefinition(after));
      // Edits of ours never take a task out of the file.
      if (before.every((task, i) => task === undefined || after[i] !== undefined)) {
        const were = new Map(first.tasks.map(({ task, hash }) => [task.id, hash]));
        const edited = spec.tasks.filter(({ task, hash }) => were.get(task.id) !== hash);
        changed.change(edited, "1", { key: "2", layout: spec.layout });
        expect(stateOf(changed)).toEqual(stateOf(anew));
      }
    }),
    { seed, numRuns: 400 },
  );
});

test("the tasks whose ids begin so: those of the index's rows, of the claimable and of any, a page at a time", async () => {
  const ids = [
    "A",
    "AB",
    "AB-1",
    "AB-2",
    "A_B",
    "A%B",
    "a",
    "Z",
    "é",
    "éa",
    "\u{10fffe}",
    "A\u{10fffe}\u{10fffd}",
    "日本-1",
  ];
  const bytes = Buffer.from(
    `tasks:\n${ids.map((id) => `  ${JSON.stringify(id)}:\n    title: x\n    status: ready\n`).join("")}`,
  );
  const read = await readSpec(bytes, {});
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  const index = SpecIndex.memory();
  index.refresh(read.spec, seen("1"));
  for (const prefix of ["", "A", "AB", "AB-", "A_", "A%", "a", "é", "日", "日本-1x", "\u{10fffe}", "A\u{10fffe}"]) {
    const begin = ids.filter((id) => id.startsWith(prefix)).sort();
    const claimable = index.claimable({ id_prefix: prefix, limit: 99, offset: 0 });
    expect({ prefix, ids: claimable.map(({ task }) => task.id).sort() }).toEqual({ prefix, ids: begin });
    const paged = [...index.tasksFrom(prefix, 2)].map(({ task }) => task.id);
    expect({ prefix, ids: [...paged].sort() }).toEqual({ prefix, ids: begin });
    expect(paged).toEqual(begin.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  }
});

test("of tasks that stand otherwise in the runtime, too, only those whose ids begin so are offered, and fill the limit", async () => {
  const ids = [...Array.from({ length: 10 }, (_, i) => `A${i}`), "X1", "X2"];
  const at = "2026-01-01T00:00:00.000Z";
  const bytes = Buffer.from(
    `tasks:\n${ids.map((id) => `  ${id}:\n    title: x\n    status: verified\n    created_at: '${at}'\n`).join("")}`,
  );
  const read = await readSpec(bytes, {});
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  const index = SpecIndex.memory();
  index.refresh(read.spec, seen("1"));
  // Reopened in the runtime alone.
  const known = ids.map((task_id, i) => ({
    task_id,
    created_at: at,
    reopens: ["R"],
    rank: 0 as const,
    verified: false,
    version: i + 1,
  }));
  const wish = { what: "work", among: { id_prefix: "X" }, released: [], leases: [] } as const;
  const offers = new Schedule(index, known).offers(wish, 5);
  expect(offers.map(({ task }) => task.id)).toEqual(["X1", "X2"]);
});

test.each([
  [3, "few"],
  [250, "many"],
])("T3: an edit by hand of %d tasks of 300 leaves what an index made anew holds (%s)", async (count) => {
  const tasks = Array.from(
    { length: 300 },
    (_, i): Drawn => ({
      status: i % 3 === 0 ? "verified" : "ready",
      verified: false,
      needs: i > 9 ? [i - 9, i % 7] : [],
    }),
  );
  const edits: readonly ((task: Drawn) => Drawn | undefined)[] = [
    (task) => ({ ...task, status: "verified" }),
    (task) => ({ ...task, needs: [...task.needs, 299] }),
    (task) => ({ ...task, status: "deleted" }),
    (task) => ({ ...task, needs: [] }),
    () => undefined,
  ];
  for (const edit of edits) {
    const after = tasks.map((task, i) => (i > 20 && i <= 20 + count ? edit(task) : task));
    // The other way round, too: then tasks come where there were none.
    for (const [one, other] of [
      [tasks, after],
      [after, tasks],
    ] as const) {
      const [followed, anew] = [SpecIndex.memory(), SpecIndex.memory()];
      followed.refresh(await specOf(one), seen("1"));
      followed.refresh(await specOf(other, followed), seen("2"));
      anew.refresh(await specOf(other), seen("2"));
      expect(stateOf(followed)).toEqual(stateOf(anew));
    }
  }
});

test(`T3: after edits of statuses alone, dependents stand as in an index made anew (SEED=${seed})`, async () => {
  const statuses = fc.array(
    fc.tuple(fc.nat(8), fc.record({ status: drawn.map(({ status }) => status), verified: fc.boolean() })),
    {
      minLength: 1,
      maxLength: 2,
    },
  );
  await fc.assert(
    fc.asyncProperty(graph, statuses, async (before, edits) => {
      const after = [...before];
      for (const [at, edit] of edits) {
        const task = after[at];
        if (task !== undefined) after[at] = { ...task, ...edit };
      }
      const [first, spec] = [await specOf(before), await specOf(after)];
      const [changed, anew] = [SpecIndex.memory(), SpecIndex.memory()];
      changed.refresh(first, seen("1"));
      const were = new Map(first.tasks.map(({ task, hash }) => [task.id, hash]));
      const edited = spec.tasks.filter(({ task, hash }) => were.get(task.id) !== hash);
      changed.change(edited, "1", { key: "2", layout: spec.layout });
      anew.refresh(spec, seen("2"));
      expect(stateOf(changed)).toEqual(stateOf(anew));
    }),
    { seed, numRuns: 400 },
  );
});

test("what was worked out from a state of the spec that is over is not kept, and a change of product context forgets it", async () => {
  const spec = async (cited: string, title = "x") => {
    const read = await readSpec(
      Buffer.from(
        `tasks:\n  T:\n    title: ${title}\n    status: ready\n    prd: {source: PRD.md, refs: [{anchor: '${cited}'}]}\n`,
      ),
    );
    if (!read.ok) throw new Error(JSON.stringify(read.problems));
    return read.spec;
  };
  const index = SpecIndex.memory();
  const take = async (cited: string, key: string, title?: string) => {
    index.refresh(await spec(cited, title), { key, settled: true, digest: "" });
    const header = index.header();
    if (header === undefined) throw new Error("There is no header.");
    return header;
  };
  const first = await take("#a", "1");
  index.memoriseOfAll("one", first);
  expect(index.recallOfAll()).toBe("one");
  await take("#a", "2", "y");
  expect(index.recallOfAll()).toBe("one");
  await take("#b", "3", "y");
  expect(index.recallOfAll()).toBeUndefined();
  index.memoriseOfAll("late", first);
  expect(index.recallOfAll()).toBeUndefined();
});

test("the features follow the file and our edits, apart from the header that every call reads", async () => {
  const index = SpecIndex.memory();
  expect(index.features()).toEqual({});
  const spec = await specOf([{ status: "ready", verified: false, needs: [] }]);
  const features = { login: ["T0"] };
  index.refresh({ ...spec, features }, seen("1"));
  expect(index.features()).toEqual(features);
  expect(JSON.stringify(index.header())).not.toContain("login");
  index.change([], "1", { key: "2", layout: spec.layout });
  expect(index.features()).toEqual(features);
  index.change([], "2", { key: "3", layout: spec.layout }, { features: { ...features, search: ["T0"] } });
  expect(index.features()).toEqual({ ...features, search: ["T0"] });
  // Only the list of a feature was edited: no task's bytes changed.
  index.refresh({ ...spec, features: {} }, seen("4"));
  expect(index.features()).toEqual({});
});

/** What holds for every spec, tried on random ones. `SEED=n RUNS=m bun test …` repeats or deepens a run. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isMap, type Pair, parseDocument, type Scalar, type YAMLMap } from "yaml";
import type { Task } from "../../src/core/task.ts";
import { readSpec, type SpecEdit } from "../../src/spec/document.ts";
import type { SpecReading } from "../../src/spec/read.ts";
import { readTask } from "../../src/spec/schema.ts";
import { anyTask, anyTasks, chooser, render } from "../fixtures/spec/render.ts";
import { edited, readGood } from "../fixtures/spec/support.ts";

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const numRuns = Number(process.env.RUNS ?? 150);
const size = fc.integer({ min: 0 });

/** Runs a property; a failure names the seed and the smallest case. */
async function holds<T extends unknown[]>(property: fc.IAsyncProperty<T>): Promise<void> {
  const result = await fc.check(property, { seed, numRuns });
  if (!result.failed) return;
  const cause =
    result.errorInstance instanceof Error ? (result.errorInstance.stack ?? "") : String(result.errorInstance);
  throw new Error(`SEED=${seed} RUNS=${numRuns}\n${cause}`);
}

/** A reading with its tasks as values: those that were known are fetched when asked for. */
const plain = (reading: SpecReading) =>
  reading.ok
    ? {
        ...reading.spec,
        tasks: reading.spec.tasks.map(({ id, task, hash, start, length }) => ({ id, task, hash, start, length })),
      }
    : reading;
const byId = (tasks: readonly Task[]) => [...tasks].sort((a, b) => (a.id < b.id ? -1 : 1));
const utf8 = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

type TaskPair = Pair<Scalar, YAMLMap>;
const idOf = ({ key }: TaskPair) => (key.type === "PLAIN" ? (key.source ?? "") : String(key.value));

function pairsOf(text: string): { doc: ReturnType<typeof parseDocument>; map: YAMLMap | undefined; pairs: TaskPair[] } {
  const doc = parseDocument(text, { merge: true, uniqueKeys: false });
  if (doc.errors[0] !== undefined)
    throw new Error(`the package yaml cannot read it: ${doc.errors[0].message}\n${text}`);
  const map = doc.get("tasks");
  return isMap(map) ? { doc, map, pairs: map.items as TaskPair[] } : { doc, map: undefined, pairs: [] };
}

/** The tasks as the package `yaml` reads them. */
function tasksByYaml(text: string): Task[] {
  const { doc, pairs } = pairsOf(text);
  return pairs.map((pair) => {
    const reading = readTask(idOf(pair), pair.value?.toJS(doc));
    if (!reading.ok) throw new Error(JSON.stringify(reading.issues));
    return reading.value;
  });
}

/** The lines of the text without those of these fields of a task; of a task in flow style none is left. */
function outside(text: string, id: string, keys: readonly string[]): string[] {
  const { map, pairs } = pairsOf(text);
  const pair = pairs.find((candidate) => idOf(candidate) === id);
  const cuts: [number, number][] = [];
  const endOf = (start: number, end: number) => start + text.slice(start, end).replace(/[ \t\r\n]+$/, "").length;
  if (map?.flow || pair?.value?.flow) cuts.push([pair?.key.range?.[0] ?? 0, pair?.value?.range?.[1] ?? 0]);
  else {
    for (const { key, value } of (pair?.value?.items ?? []) as Pair<Scalar, Scalar | null>[]) {
      if (!keys.includes(String(key.value))) continue;
      const start = key.range?.[0] ?? 0;
      const end = endOf(start, Math.max(value?.range?.[1] ?? 0, key.range?.[1] ?? 0));
      cuts.push([text.lastIndexOf("\n", start - 1) + 1, `${text}\n`.indexOf("\n", end)]);
    }
  }
  let rest = "";
  let at = 0;
  for (const [start, end] of cuts.sort((a, b) => a[0] - b[0])) {
    rest += text.slice(at, start);
    at = end;
  }
  // Comments inside a removed value stay in the file, so they are outside after and inside before.
  const lines = (rest + text.slice(at)).split(/\r?\n/);
  return lines.filter((line) => line.trim() !== "" && !/^ *# (?:item|about )/.test(line));
}

const FIELDS = [
  "title",
  "description",
  "acceptance_criteria",
  "depends_on",
  "labels",
  "locks",
  "priority",
  "status",
  "reopens",
  "created_at",
  "updated_at",
  "completed_at",
  "completed_by",
  "completed_in",
  "verified_at",
  "verified_by",
  "prd",
] as const;
const REQUIRED = new Set<string>(FIELDS.slice(0, 9)).difference(new Set(["description"]));

/** A patch from one task to another's fields, mixing lists, with the task that it makes. */
function patched(task: Task, donor: Task, keys: readonly (typeof FIELDS)[number][], choose: (n: number) => number) {
  const fields: Record<string, unknown> = {};
  const next: Record<string, unknown> = { ...task };
  for (const key of keys) {
    const old = task[key];
    let value: unknown = donor[key];
    if (Array.isArray(old) && Array.isArray(value) && choose(2) === 1) {
      const mixed = [...old.filter(() => choose(3) > 0), ...value.slice(0, 1)];
      value = key === "reopens" ? [...new Set(mixed)].sort() : mixed;
    }
    if (value === undefined && REQUIRED.has(key)) continue;
    fields[key] = value;
    if (value === undefined) delete next[key];
    else next[key] = value;
  }
  return { fields, task: next as unknown as Task };
}

describe(`for every spec (SEED=${seed})`, () => {
  test("reading gives what was written, in every style", async () => {
    await holds(
      fc.asyncProperty(anyTasks, size, async (tasks, style) => {
        const text = render(tasks, style);
        const spec = await readGood(text);
        const read = byId(spec.tasks.map(({ task }) => task));
        if (!Bun.deepEquals(read, byId(tasks))) throw new Error(`${JSON.stringify(read)}\n${text}`);
        if (!Bun.deepEquals(byId(tasksByYaml(text)), read)) throw new Error(`yaml reads it differently\n${text}`);
      }),
    );
  }, 60_000);

  test("reading with what is known gives what reading everything gives", async () => {
    await holds(
      fc.asyncProperty(anyTasks, anyTask, size, async (tasks, other, style) => {
        const before = await readGood(render(tasks, style));
        const known = new Map(before.tasks.map(({ hash, task }) => [`${hash} ${task.id}`, task]));
        const changed = Buffer.from(
          render(
            [...tasks.slice(0, -1), other].filter((t, i, all) => all.findIndex(({ id }) => id === t.id) === i),
            style,
          ),
        );
        const cold = await readSpec(changed);
        const fetcher = (hash: bigint, id: string) => {
          const task = known.get(`${hash} ${id}`);
          return task === undefined ? undefined : () => task;
        };
        expect(plain(await readSpec(changed, { known: fetcher }))).toEqual(plain(cold));
        // One that knows and then comes back with nothing, as an index does that was closed meanwhile.
        const forgetful = (hash: bigint, id: string) => (known.has(`${hash} ${id}`) ? () => undefined : undefined);
        expect(plain(await readSpec(changed, { known: forgetful }))).toEqual(plain(cold));
      }),
    );
  }, 60_000);

  test("setting fields changes those fields and no line beside them", async () => {
    await holds(
      fc.asyncProperty(
        anyTasks,
        anyTask,
        size,
        fc.subarray([...FIELDS]),
        size,
        async (tasks, donor, style, keys, choice) => {
          const choose = chooser(choice);
          const target = tasks[choose(tasks.length || 1)];
          if (target === undefined) return;
          const text = render(tasks, style);
          const { fields, task } = patched(target, donor, keys, choose);
          const after = await edited(text, [{ kind: "set", task_id: target.id, fields }]);
          const wanted = byId([...tasks.filter(({ id }) => id !== task.id), task]);
          const wrong = (what: string) =>
            new Error(`${what} ${JSON.stringify(fields)}\n--- before\n${text}\n--- after\n${after}`);
          if (!Bun.deepEquals(byId(tasksByYaml(after)), wanted)) throw wrong("yaml reads something else");
          if (!Bun.deepEquals(outside(after, task.id, keys), outside(text, task.id, keys)))
            throw wrong("other lines changed");
        },
      ),
    );
  }, 120_000);

  test("adding a task, a feature and a convention beside it leaves every old line", async () => {
    await holds(
      fc.asyncProperty(anyTasks, anyTask, size, size, async (tasks, task, style, choice) => {
        const choose = chooser(choice);
        const text = render(tasks, style);
        const { layout } = await readGood(text);
        if (tasks.some(({ id }) => id === task.id) || (layout.kind === "block" && /^$|^\s|\s$|\\/.test(task.id)))
          return;
        const after = tasks
          .map(({ id }) => id)
          .filter((id) => utf8(id, task.id) < 0)
          .sort(utf8)
          .at(-1);
        const edits: SpecEdit[] = [{ kind: "add", task, after }];
        if (choose(2) === 0)
          edits.push({ kind: "feature", feature: ["F", "G: x"][choose(2)] ?? "F", task_id: task.id });
        if (choose(3) === 0) edits.push({ kind: "convention", key: "locks", value: "warn" });
        const result = await edited(text, edits);
        const wrong = (what: string) =>
          new Error(`${what} ${JSON.stringify(edits)}\n--- before\n${text}\n--- after\n${result}`);
        if (!Bun.deepEquals(byId(tasksByYaml(result)), byId([...tasks, task])))
          throw wrong("yaml reads something else");
        if (edits.length > 1 || layout.kind === "tree" || layout.tasks_end <= layout.tasks_start) return;
        const added = (await readGood(result)).tasks.find((block) => block.task.id === task.id);
        const bytes = Buffer.from(result);
        const without = Buffer.concat([
          bytes.subarray(0, added?.start),
          bytes.subarray((added?.start ?? 0) + (added?.length ?? 0)),
        ]).toString();
        if (without.trimEnd() !== text.trimEnd()) throw wrong("other bytes changed");
      }),
    );
  }, 120_000);

  test("damaged bytes end in a spec or in problems with places, and what is read agrees with yaml", async () => {
    const pieces = [
      "\n",
      "  ",
      "'",
      '"',
      ":",
      "- ",
      "#",
      "&a ",
      "*a",
      "<<: ",
      "{",
      "}",
      "[",
      "]",
      "\t",
      "\r",
      "\0",
      "\xff",
      "|",
      "?",
      "---\n",
      "tasks:\n",
      "  A:\n",
      "    title: x\n",
      "=======\n",
      ",",
      "!x ",
      "...\n",
      "%YAML 1.2\n",
      "    status: done\n",
    ];
    await holds(
      fc.asyncProperty(anyTasks, size, size, async (tasks, style, choice) => {
        const choose = chooser(choice);
        let bytes = Buffer.from(render(tasks, style));
        for (let i = choose(3); i >= 0; i -= 1) {
          const at = choose(bytes.length + 1);
          const from = choose(bytes.length + 1);
          const cut = choose(3) === 0 ? choose(30) : 0;
          const put =
            choose(2) === 0
              ? Buffer.from(pieces[choose(pieces.length)] ?? "", "latin1")
              : bytes.subarray(from, from + choose(60));
          bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + cut)]);
        }
        const started = performance.now();
        const reading = await readSpec(bytes);
        expect(performance.now() - started).toBeLessThan(5000);
        const text = bytes.toString();
        if (!reading.ok) {
          expect(reading.problems.length).toBeGreaterThan(0);
          const lines = text.split("\n").length;
          for (const { line, column } of reading.problems) expect(line >= 1 && line <= lines && column >= 1).toBe(true);
          return;
        }
        const doc = parseDocument(text, { merge: true, uniqueKeys: false, logLevel: "error" });
        if (doc.errors.length > 0 || reading.spec.broken.length > 0) return;
        let value: { tasks?: Record<string, Record<string, unknown>> | null } | null;
        try {
          value = doc.toJS({ maxAliasCount: -1 });
        } catch {
          // It refuses `<<: text`, which is an ordinary key to Bun and to us.
          return;
        }
        const entries = value?.tasks ?? {};
        if (reading.spec.tasks.length !== Object.keys(entries).length)
          throw new Error(`yaml finds other tasks\n${text}`);
        for (const { task } of reading.spec.tasks) {
          const fields = Object.hasOwn(entries, task.id) ? entries[task.id] : undefined;
          for (const key of ["title", "status", "description", "completed_by"] as const) {
            if (fields !== undefined && (fields[key] ?? undefined) !== task[key])
              throw new Error(`yaml reads another ${key} of ${task.id}\n${text}`);
          }
        }
      }),
    );
  }, 120_000);
});

/** The spec's half of a snapshot: out of any way to write a spec, into a fresh one, and out again the same. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { applyEdits, readSpec } from "../../src/spec/document.ts";
import { readWhole, restoring, type WholeSpec } from "../../src/spec/whole.ts";
import { anyTasks, render } from "../fixtures/spec/render.ts";

const FRESH = 'project:\n  name: "fresh"\n  default_branch: "main"\n  conventions: {}\ntasks: {}\n';
const OWN = readFileSync(join(import.meta.dir, "..", "fixtures", "lodestar-own-spec.yaml"), "utf8");

async function whole(text: string | Uint8Array): Promise<WholeSpec> {
  const reading = await readWhole(Buffer.from(text), "spec.yaml");
  if (!reading.ok) throw new Error(JSON.stringify(reading.problems));
  return reading.whole;
}

/** What a spec becomes when a snapshot is brought into it; through JSON, as a snapshot travels. */
async function restored(into: string, from: WholeSpec): Promise<string> {
  const bytes = Buffer.from(into);
  const reading = await readSpec(bytes);
  if (!reading.ok) throw new Error("the spec to restore into is invalid");
  const plan = restoring(await whole(into), JSON.parse(JSON.stringify(from)));
  expect(plan.conflicts).toEqual([]);
  const known = new Map(reading.spec.tasks.map((block) => [block.task.id, block]));
  const before = (id: string) =>
    [...known.keys()].filter((one) => Buffer.compare(Buffer.from(one), Buffer.from(id)) < 0);
  const edits = plan.edits((id) => before(id).sort().at(-1));
  if (edits.length === 0) return into;
  const { pieces } = await applyEdits(bytes, reading.spec.layout, edits, (id) => known.get(id));
  return Buffer.concat(pieces).toString();
}

test("the spec of a real project comes back the same, and again without a change", async () => {
  const from = await whole(OWN);
  expect(Object.keys(from.tasks)).toHaveLength(OWN.match(/^ {2}[A-Z]\d+:$/gm)?.length ?? 0);
  const text = await restored(FRESH, from);
  expect(JSON.stringify(await whole(text))).toBe(JSON.stringify(from));
  expect(restoring(await whole(text), from)).toMatchObject({ created: [], conflicts: [] });
  expect(await restored(text, from)).toBe(text);
});

test("random specs come back the same, however they are written", async () => {
  await fc.assert(
    fc.asyncProperty(anyTasks, fc.nat(), async (tasks, seed) => {
      // An empty key can be read but not be written; such a task is refused as INVALID_ID.
      fc.pre(tasks.every(({ id }) => id !== ""));
      const from = await whole(render(tasks, seed));
      const back = await whole(await restored(FRESH, from));
      expect(back).toEqual(from);
      expect(JSON.stringify(back)).toBe(JSON.stringify(from));
    }),
    { numRuns: 150 },
  );
}, 120_000);

test("keys that Lodestar does not know come too, at every depth, and so do settings and other sections", async () => {
  const text = `project:
  name: shop
  owner: {team: a, on_call: [x, 1, true, null]}
  conventions: {locks: enforce, house: {rules: [a, {b: c}]}}
tasks:
  A:
    title: One
    status: ready
    estimate: 3.5
    flags: {urgent: true, none: null, empty: []}
    reopens: 2
    prd: {source: PRD.md, own: kept, refs: [{anchor: '#a', lines: [1, 2], note: x}]}
  '1.2': {title: "0x10", status: todo, odd: "yes", n: 1}
features: {f: [A, '1.2'], empty: []}
house: {size: 3}
list: [1, two]
`;
  const from = await whole(text);
  expect(from.project).toEqual({
    name: "shop",
    conventions: { locks: "enforce", house: { rules: ["a", { b: "c" }] } },
    owner: { team: "a", on_call: ["x", 1, true, null] },
  });
  expect(from.tasks.A).toMatchObject({
    estimate: 3.5,
    flags: { urgent: true },
    reopens: ["1", "2"],
    prd: { own: "kept" },
  });
  const back = await restored(FRESH, from);
  expect(await whole(back)).toEqual(from);
  expect(back).not.toContain("default_branch");
});

test("a task that says something else is a conflict; one that says the same stays as it is written", async () => {
  const from = await whole("tasks:\n  A: {title: One, status: ready}\n  B: {title: Two, status: ready}\n");
  const same = "# mine\ntasks:\n  # and this\n  A:\n    title: 'One' # as it is\n    status: ready\n";
  const text = await restored(same, from);
  expect(text).toStartWith(same);
  expect(await whole(text)).toEqual(from);
  const other = await whole("project: {name: x}\ntasks:\n  A: {title: Else, status: ready}\n");
  expect(restoring(other, { ...from, project: { name: "y" } }).conflicts.toSorted()).toEqual(["A", "project"]);
});

test("a task that stands twice is told with its place instead of being left out", async () => {
  const text = "tasks:\n  A:\n    title: One\n    status: ready\n  A:\n    title: Two\n    status: ready\n";
  expect(await readWhole(Buffer.from(text), "spec.yaml")).toMatchObject({ ok: false, problems: [{ line: 5 }] });
});

/** S4 for random pairs of histories over one base. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { joinOutcomes, sameOutcome } from "../../src/core/status.ts";
import { specOutcome } from "../../src/core/task.ts";
import { readSpec } from "../../src/spec/document.ts";
import { mergeSpecs, type SpecMerge } from "../../src/spec/merge.ts";
import { readSide } from "../../src/spec/merge-side.ts";
import { BASE, play, type Step, steps, WOVEN } from "./histories.ts";

const RUNS = Number(process.env.LODESTAR_MERGE_RUNS ?? 120);

type Merged = Extract<SpecMerge, { kind: "merged" }>;

async function merge(base: string, ours: string, theirs: string, take?: "ours" | "theirs"): Promise<Merged> {
  const bytes = { base: Buffer.from(base), ours: Buffer.from(ours), theirs: Buffer.from(theirs) };
  const merged = await mergeSpecs(bytes, { take });
  if (merged.kind !== "merged") throw new Error(JSON.stringify(merged));
  return merged;
}

const textOf = ({ bytes }: Merged): string => Buffer.from(bytes).toString("utf8");

/** What a spec says, whatever its order and style. */
async function meaning(text: string): Promise<unknown> {
  const reading = await readSide(Buffer.from(text));
  if (!reading.ok) throw new Error(`${JSON.stringify(reading.problems)}\n${text}`);
  const { side } = reading;
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map((item) => JSON.stringify(sorted(item))).sort();
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).filter(
      ([, item]) => item !== null && !(Array.isArray(item) && item.length === 0),
    );
    return Object.fromEntries(
      entries.map(([key, item]) => [key, sorted(item)] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  };
  const tasks = side.tasks.map(({ id }) => [id, { priority: 100, ...side.fields(id) }] as const);
  return sorted({ ...side.sections, tasks: Object.fromEntries(tasks) });
}

const pairs = fc.tuple(steps(["AA", "BB", "ZZ"], "ours"), steps(["AB", "BC", "Z"], "theirs"));

async function forAll(property: (base: string, ours: string, theirs: string) => Promise<void>): Promise<void> {
  const base = fc.oneof({ weight: 4, arbitrary: fc.constant(BASE) }, { weight: 1, arbitrary: fc.constant(WOVEN) });
  const holds = fc.asyncProperty(base, pairs, async (base, [mine, other]) => {
    await property(base, await play(base, mine), await play(base, other));
  });
  await fc.assert(holds, { numRuns: RUNS });
}

test("the meaning of a merge does not depend on which side is ours, nor do its conflicts", async () => {
  await forAll(async (base, ours, theirs) => {
    const [one, other] = [await merge(base, ours, theirs, "ours"), await merge(base, theirs, ours, "theirs")];
    expect(await meaning(textOf(one))).toEqual(await meaning(textOf(other)));
    const names = (merged: Merged) => merged.decided.map(({ task_id, field }) => `${task_id} ${field}`).sort();
    expect(names(one)).toEqual(names(other));
    expect(one.warnings.length).toBe(other.warnings.length);
  });
});

test("merging what is merged already changes nothing", async () => {
  await forAll(async (base, ours, theirs) => {
    expect(textOf(await merge(base, ours, ours))).toBe(ours);
    expect(textOf(await merge(base, ours, base))).toBe(ours);
    expect(await meaning(textOf(await merge(base, base, theirs)))).toEqual(await meaning(theirs));
    const merged = textOf(await merge(base, ours, theirs, "ours"));
    const again = [textOf(await merge(base, merged, ours, "ours")), textOf(await merge(base, merged, theirs, "ours"))];
    // Where the whole file is one text, lines that look alike (blank ones) may come twice.
    for (const text of again)
      expect(base === WOVEN ? await meaning(text) : text).toEqual(base === WOVEN ? await meaning(merged) : merged);
  });
});

test("lines of both sides that name a task twice together are not taken", async () => {
  const create = (id: string): Step => ({ kind: "create", id, minute: 1 });
  const ours = await play(WOVEN, [create("AA")]);
  const theirs = await play(WOVEN, [create("BC"), { kind: "blank", id: "BC" }]);
  const merged = textOf(await merge(WOVEN, ours, theirs));
  expect(await meaning(textOf(await merge(WOVEN, merged, theirs)))).toEqual(await meaning(merged));
});

test("no task that one side added or changed is dropped, no outcome goes backwards, and the result reads cleanly", async () => {
  await forAll(async (base, ours, theirs) => {
    const merged = await merge(base, ours, theirs);
    const text = textOf(merged);
    const taken = textOf(await merge(base, ours, theirs, "theirs"));
    const result = await readSpec(Buffer.from(taken));
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    expect(result.spec.broken).toEqual([]);
    const tasks = new Map(result.spec.tasks.map(({ task }) => [task.id, task]));
    const before = await readSpec(Buffer.from(base));
    const old = new Set(before.ok ? before.spec.tasks.map(({ task }) => task.id) : []);
    for (const side of [ours, theirs]) {
      const reading = await readSpec(Buffer.from(side));
      if (!reading.ok) throw new Error("a side is unreadable");
      for (const { task } of reading.spec.tasks) {
        const now = tasks.get(task.id);
        if (now === undefined) {
          expect(old.has(task.id)).toBe(true);
          continue;
        }
        const outcome = specOutcome(now);
        expect(sameOutcome(joinOutcomes(outcome, specOutcome(task)), outcome)).toBe(true);
      }
    }
    const hasMarkers = /^(<{7}|={7}|>{7})/m.test(text);
    expect(hasMarkers).toBe(merged.conflicts.length > 0);
    const again = await readSpec(merged.bytes);
    expect(again.ok).toBe(!hasMarkers);
  });
});

test("comments of both sides survive above the tasks that survive", async () => {
  await forAll(async (base, ours, theirs) => {
    // A task that is written anew into a file without blocks comes without the lines above it.
    if (base === WOVEN) return;
    const merged = textOf(await merge(base, ours, theirs, "ours"));
    for (const side of [ours, theirs]) {
      const above = [
        ...side.matchAll(/^ {2}# ((?:ours|theirs) says \d+)\r?\n(?=(?:\s*\r?\n| {2}#.*\r?\n)* {2}(\w+):)/gm),
      ];
      for (const [, comment = "", id = ""] of above) {
        if (new RegExp(`^  ${id}:`, "m").test(merged)) expect(merged).toContain(comment);
      }
    }
  });
});

test("an unreadable side is refused by name, whichever it is", async () => {
  const damage = fc.constantFrom(
    "\ttasks:\n",
    "<<<<<<< ours\n",
    "  A:\n    title: again\n    status: ready\n",
    "\u0000",
  );
  const holds = fc.asyncProperty(fc.constantFrom("base", "ours", "theirs" as const), damage, async (side, bad) => {
    const broken = bad.startsWith("  A") ? BASE.replace("features:", `${bad}features:`) : BASE + bad;
    const all = { base: BASE, ours: BASE.replace("Design", "Draw"), theirs: BASE, [side]: broken };
    const [b, o, t] = [all.base, all.ours, all.theirs].map((text) => Buffer.from(text));
    const merged = await mergeSpecs({ base: b, ours: o ?? new Uint8Array(), theirs: t ?? new Uint8Array() });
    expect(merged).toMatchObject({ kind: "unreadable", side });
  });
  await fc.assert(holds, { numRuns: 50 });
});

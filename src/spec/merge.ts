/** The three-way merge of specs, task by task and field by field (model.md, S4). Bytes in, bytes out; nothing is touched. */
import { findCycle } from "../core/graph.ts";
import type { Task } from "../core/task.ts";
import { asBuffer, hasBom, lineEndOf } from "./division.ts";
import { blocksMerged } from "./merge-blocks.ts";
import { type Plan, planTasks, type Versions, withTheirs } from "./merge-plan.ts";
import { type MergedSections, mergeSections } from "./merge-sections.ts";
import { emptySide, type KnownBlocks, readSide, type Side } from "./merge-side.ts";
import type { Labels, Marks } from "./merge-text.ts";
import { sameFields, sameValue } from "./merge-values.ts";
import type { Problem } from "./model.ts";
import type { SpecFailure } from "./problems.ts";

export interface SpecVersions {
  /** Absent or empty: the two sides have no common version. */
  readonly base?: Uint8Array | undefined;
  readonly ours: Uint8Array;
  readonly theirs: Uint8Array;
}

/** What only a person can decide. */
export interface MergeConflict {
  readonly task_id?: string;
  /** `title`, `project.name`; `created_at` when the id stands for two different tasks. */
  readonly field: string;
  readonly message: string;
}

export type SpecMerge =
  | {
      readonly kind: "merged";
      /** With conflicts: Git's markers around the fields in question, and nowhere else. */
      readonly bytes: Uint8Array;
      readonly conflicts: readonly MergeConflict[];
      /** Those for which the side to take was given. */
      readonly decided: readonly MergeConflict[];
      readonly warnings: readonly string[];
      /** Dependency cycles that neither side has alone: the ids along each, the first repeated at the end. */
      readonly cycles: readonly (readonly string[])[];
    }
  /** A version cannot be read; nothing is invented. */
  | {
      readonly kind: "unreadable";
      readonly side: "base" | "ours" | "theirs";
      readonly code: SpecFailure["code"];
      readonly problems: readonly Problem[];
    }
  /** Both can be read, but no text was found that says what they come to. */
  | { readonly kind: "failed"; readonly reason: string };

const DEFAULT_LABELS: Labels = { ours: "ours", theirs: "theirs" };
/** More cycles are not named: one edge may close very many. */
const MOST_CYCLES = 10;

/**
 * Merges two versions of a spec against their common base.
 *
 * Labels, dependencies, locks, criteria and features are merged as sets, outcomes by the lattice's join, other fields three-way.
 * A task that one side added is never dropped, an outcome never moved backwards. What is changed on both sides in different
 * ways is a conflict in that field alone. The result is read again and must say what the merge says.
 */
export async function mergeSpecs(
  versions: SpecVersions,
  { labels = DEFAULT_LABELS, take }: { readonly labels?: Labels; readonly take?: "ours" | "theirs" | undefined } = {},
): Promise<SpecMerge> {
  const seen: KnownBlocks = new Map();
  const sides: Partial<Record<keyof SpecVersions, Side>> = {};
  for (const side of ["base", "ours", "theirs"] as const) {
    const bytes = versions[side];
    if (side === "base" && (bytes === undefined || bytes.length === 0)) continue;
    let reading = await readSide(bytes ?? new Uint8Array(), seen);
    // Of several common versions Git makes one by merging them; where they conflict, either is as good a base.
    if (side === "base" && !reading.ok && reading.code === "SPEC_CONFLICT_MARKERS") {
      const { splitMarkers } = await import("./merge-markers.ts");
      const split = splitMarkers(bytes ?? new Uint8Array());
      if (split !== undefined) reading = await readSide(split.ours, seen);
    }
    if (!reading.ok) return { kind: "unreadable", side, code: reading.code, problems: reading.problems };
    sides[side] = reading.side;
  }
  const { base = await emptySide(), ours = base, theirs = base } = sides;
  try {
    return await mergeSides(
      { base, ours, theirs },
      versions.ours,
      { labels, ...(take === undefined ? {} : { take }) },
      seen,
    );
  } catch (cause) {
    return { kind: "failed", reason: cause instanceof Error ? cause.message : String(cause) };
  }
}

/** The text of a merge: with our choice wherever there is a conflict, with theirs, and with both between marks. */
export interface MergedText {
  readonly ours: string;
  readonly theirs: string;
  readonly marked: string;
}

async function mergeSides(
  versions: Versions,
  our_bytes: Uint8Array,
  marks: Marks,
  seen: KnownBlocks,
): Promise<SpecMerge> {
  const { base, ours, theirs } = versions;
  const { labels, take } = marks;
  const plan = planTasks(versions);
  const around = mergeSections(base.sections, ours.sections, theirs.sections);
  const ways =
    ours.parts === undefined
      ? (await import("./merge-tree.ts")).treesMerged(versions, plan, around, marks)
      : [() => blocksMerged(versions, plan, around, marks)];
  const { text, result } = await firstRight(ways, async (made) => {
    const side = await checked(made.ours, plan, around, "ours", seen);
    if (made.theirs !== made.ours) await checked(made.theirs, plan, around, "theirs", seen);
    return side;
  });
  const found = conflictsOf(plan, around);
  // Two tasks under one id stay a conflict whichever side is taken.
  const isTwo = plan.tasks.some(({ kind }) => kind === "two");
  const isOpen = (conflict: MergeConflict) =>
    take === undefined || (isTwo && (ours.parts === undefined || conflict.field === "created_at"));
  const [conflicts, decided] = [found.filter(isOpen), found.filter((conflict) => !isOpen(conflict))];
  const said = found.length === 0 ? text.ours : text.marked;
  const warnings = plan.kept.map(({ id, by }) => {
    const [changed, removed] = by === "ours" ? [labels.ours, labels.theirs] : [labels.theirs, labels.ours];
    return `Task ${id} was removed in ${removed} and changed in ${changed}: it is kept`;
  });
  const bytes = encoded(said === ours.text ? ours.text : said, our_bytes);
  return {
    kind: "merged",
    bytes,
    conflicts,
    decided,
    warnings,
    cycles: newCycles(result.tasks, [ours.tasks, theirs.tasks]),
  };
}

/** The first text that reads back as what the merge says. @throws Error why the last one does not, when none does. */
async function firstRight(
  ways: readonly (() => Promise<MergedText>)[],
  check: (text: MergedText) => Promise<Side>,
): Promise<{ readonly text: MergedText; readonly result: Side }> {
  let failure: unknown;
  for (const way of ways) {
    try {
      const text = await way();
      return { text, result: await check(text) };
    } catch (cause) {
      failure = cause;
    }
  }
  throw failure;
}

/** The text with our line ends and byte order mark. */
function encoded(text: string, ours: Uint8Array): Uint8Array {
  const eol = lineEndOf(asBuffer(ours));
  const body = eol === "\r\n" ? text.replaceAll("\n", "\r\n") : text;
  return Buffer.from(hasBom(ours) ? `\ufeff${body}` : body);
}

/**
 * Reads what was made, with one side's choice wherever there is a conflict.
 * @throws Error when it does not say what the merge says: then there is no merge.
 */
async function checked(
  text: string,
  { tasks }: Plan,
  { sections, clashes }: MergedSections,
  choice: "ours" | "theirs",
  seen: KnownBlocks,
): Promise<Side> {
  const reading = await readSide(Buffer.from(text), seen);
  if (!reading.ok) throw new Error(`the merged text is unreadable: ${reading.problems[0]?.message}`);
  const { side } = reading;
  const ids = new Set(side.tasks.map(({ id }) => id));
  if (ids.size !== tasks.length || !tasks.every(({ id }) => ids.has(id))) throw new Error("a task came or went");
  for (const task of tasks) {
    if (task.kind === "same") continue;
    const fields = task.kind === "two" ? task[choice] : choice === "ours" ? task.fields : withTheirs(task);
    if (!sameFields(side.fields(task.id) ?? {}, fields))
      throw new Error(`task ${task.id} does not read back as merged`);
  }
  const isOurChoice = choice === "ours" || clashes.length === 0;
  if (isOurChoice && !sameValue(withoutEmpty(side.sections), withoutEmpty(sections)))
    throw new Error("the sections do not read back as merged");
  return side;
}

/** An empty section is as good as none. */
function withoutEmpty(sections: Readonly<Record<string, unknown>>): unknown {
  const isEmpty = (value: unknown) =>
    value === null || value === undefined || (typeof value === "object" && Object.keys(value).length === 0);
  const prune = (value: unknown, depth: number): unknown => {
    if (depth === 0 || typeof value !== "object" || value === null || Array.isArray(value)) return value;
    const entries = Object.entries(value).map(([key, item]) => [key, prune(item, depth - 1)] as const);
    return Object.fromEntries(entries.filter(([, item]) => !isEmpty(item)));
  };
  return prune(sections, 2);
}

function conflictsOf({ tasks }: Plan, { clashes }: MergedSections): MergeConflict[] {
  const conflicts: MergeConflict[] = clashes.map(({ path }) => ({
    field: path.join("."),
    message: "changed on both sides in different ways",
  }));
  for (const task of tasks) {
    if (task.kind === "two") {
      const message = "the id stands for two different tasks; keep one, or give one of them another id";
      conflicts.push({ task_id: task.id, field: "created_at", message });
    } else if (task.kind === "task") {
      for (const { field } of task.clashes)
        conflicts.push({ task_id: task.id, field, message: `${field} was changed on both sides in different ways` });
    }
  }
  return conflicts;
}

/** The cycles of the merged tasks that no side has alone. */
function newCycles(tasks: readonly Task[], sides: readonly (readonly Task[])[]): string[][] {
  const edgesOf = (all: readonly Task[]) => new Map(all.map(({ id, depends_on }) => [id, depends_on]));
  const edges = edgesOf(tasks);
  const known = sides.map(edgesOf);
  const found: string[][] = [];
  for (let cycle = findCycle(edges); cycle !== undefined && found.length < MOST_CYCLES; cycle = findCycle(edges)) {
    const along = cycle;
    const isOld = known.some((side) => along.every((id, i) => i === 0 || side.get(along[i - 1] ?? "")?.includes(id)));
    if (!isOld) found.push(along);
    const [from = "", to = ""] = along;
    edges.set(
      from,
      (edges.get(from) ?? []).filter((need) => need !== to),
    );
  }
  return found;
}

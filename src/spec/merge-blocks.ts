/** The text of a merge when ours is written in blocks: each task's block, and the lines between them, merged by themselves. */

import { EMPTY_TASKS_LINE } from "./division.ts";
import { patchedSections } from "./edit-around.ts";
import type { MergedText } from "./merge.ts";
import { bothLines, mergeLines } from "./merge-lines.ts";
import { type Plan, type PlannedTask, type Versions, withTheirs } from "./merge-plan.ts";
import type { MergedSections, SectionClash } from "./merge-sections.ts";
import { ended, type Parts, type Side, sectionsIn } from "./merge-side.ts";
import {
  conflict,
  difference,
  isOneTask,
  type Marks,
  marked,
  patchedTask,
  reindented,
  writtenTask,
} from "./merge-text.ts";
import { type Fields, sameValue } from "./merge-values.ts";
import type { Patch } from "./patch.ts";
import { isMapping } from "./schema.ts";

const NO_PARTS: Parts = { header: "", tasks_line: "", gaps: new Map(), blocks: new Map(), tail: "", footer: "" };
const partsOf = (side: Side): Parts => side.parts ?? NO_PARTS;

const all = (text: string): MergedText => ({ ours: text, theirs: text, marked: text });
const joined = (texts: readonly MergedText[]): MergedText => ({
  ours: texts.map(({ ours }) => ours).join(""),
  theirs: texts.map(({ theirs }) => theirs).join(""),
  marked: texts.map((text) => text.marked).join(""),
});

export async function blocksMerged(
  versions: Versions,
  plan: Plan,
  around: MergedSections,
  marks: Marks,
): Promise<MergedText> {
  const { base, ours, theirs } = versions;
  const [b, o, t] = [partsOf(base), partsOf(ours), partsOf(theirs)];
  const frame = versions[plan.frame];
  const indented = frame.tasks.length > 0 ? frame : plan.frame === "ours" ? theirs : ours;
  const { layout } = indented;
  const tasks: MergedText[] = [];
  for (const task of plan.tasks) {
    tasks.push(all(gapOf(task.id, [b, o, t])), await blockMerged(task, versions, layout, marks));
  }
  const { header, footer } = await aroundMerged([b, o, t], around, marks);
  const tail = mergeLines(b.tail, o.tail, t.tail, bothLines);
  const line = tasksLine(o.tasks_line || t.tasks_line, plan.tasks.length > 0);
  const parts = [header, all(line), ...tasks, all(tail), footer];
  const whole = joined(endedParts(parts));
  const unended = !ours.text.endsWith("\n") && ours.text !== "" && whole.ours === `${ours.text}\n`;
  return unended ? all(ours.text) : whole;
}

/** Every part but the last ends with a line end where something follows it. */
function endedParts(parts: readonly MergedText[]): MergedText[] {
  return parts.map((part) => ({ ours: ended(part.ours), theirs: ended(part.theirs), marked: ended(part.marked) }));
}

function tasksLine(line: string, filled: boolean): string {
  if (!filled) return line;
  return `${line.trimEnd().replace(EMPTY_TASKS_LINE, "$1$2") || "tasks:"}\n`;
}

/** The lines above a task: merged where both sides have it. */
function gapOf(id: string, [base, ours, theirs]: readonly [Parts, Parts, Parts]): string {
  const [was, mine, other] = [base.gaps.get(id), ours.gaps.get(id), theirs.gaps.get(id)];
  if (mine === undefined || other === undefined) return mine ?? other ?? "";
  return mergeLines(was ?? "", mine, other, bothLines);
}

async function blockMerged(
  task: PlannedTask,
  versions: Versions,
  layout: Side["layout"],
  marks: Marks,
): Promise<MergedText> {
  const { id } = task;
  const block = (side: Side) => {
    const text = side.parts?.blocks.get(id);
    return text === undefined ? undefined : reindented(text, side.layout.task_indent, layout.task_indent);
  };
  const [was, mine, other] = [block(versions.base), block(versions.ours), block(versions.theirs)];
  if (task.kind === "same") return all(mine ?? other ?? "");
  if (task.kind === "two") {
    const [ours, theirs] = [mine ?? written(id, task.ours, layout), other ?? written(id, task.theirs, layout)];
    return { ours, theirs, marked: conflict(ours, theirs, marks.labels) };
  }
  const ours = await hosted(id, task.fields, [was, mine, other], layout);
  if (task.clashes.length === 0) return all(ours);
  const theirs = await hosted(id, withTheirs(task), [undefined, ours, undefined], layout);
  const paths = task.clashes.map(({ field }) => [keyOf(ours), field]);
  return decided(ours, theirs, paths, marks);
}

/** Two texts, and what stands for both: the side that is taken, or both between marks. */
async function decided(
  ours: string,
  theirs: string,
  paths: readonly (readonly string[])[],
  { labels, take }: Marks,
): Promise<MergedText> {
  if (take !== undefined) return { ours, theirs, marked: take === "ours" ? ours : theirs };
  return { ours, theirs, marked: (await marked(ours, theirs, paths, labels)) ?? conflict(ours, theirs, labels) };
}

/** The key of a block as its outline has it. */
function keyOf(block: string): string {
  return Object.keys(sectionsIn(block))[0] ?? "";
}

function written(id: string, fields: Fields, layout: Side["layout"]): string {
  const text = writtenTask(id, fields, layout);
  if (text === undefined) throw new Error(`task ${id} cannot be written`);
  return text;
}

/** A block that says these fields, from the text that comes nearest: both sides' lines together, ours, theirs, new. */
async function hosted(
  id: string,
  fields: Fields,
  [was, mine, other]: readonly [string | undefined, string | undefined, string | undefined],
  layout: Side["layout"],
): Promise<string> {
  const hosts: string[] = [];
  if (mine !== undefined && other !== undefined && was !== undefined) {
    const both = mergeLines(was, mine, other);
    if (both === mine || both === other || (await isOneTask(both, mine))) hosts.push(both);
  }
  for (const host of [...hosts, mine, other]) {
    const text = host === undefined ? undefined : await patchedTask(host, fields);
    if (text !== undefined) return text;
  }
  return written(id, fields, layout);
}

/** The text before the tasks and behind them. */
async function aroundMerged(
  [b, o, t]: readonly [Parts, Parts, Parts],
  { sections, clashes }: MergedSections,
  marks: Marks,
): Promise<{ readonly header: MergedText; readonly footer: MergedText }> {
  let header = mergeLines(b.header, o.header, t.header);
  let footer = mergeLines(b.footer, o.footer, t.footer);
  if (!isUsable(header, footer)) [header, footer] = [o.header, o.footer];
  const [above, below] = [sectionsIn(header), sectionsIn(footer)];
  const up: Record<string, unknown> = {};
  const down: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(sections)) {
    const isAbove =
      Object.hasOwn(above, key) ||
      (!Object.hasOwn(below, key) && (key === "project" || Object.hasOwn(sectionsIn(t.header), key)));
    (isAbove ? up : down)[key] = value;
  }
  return {
    header: await patchedPart(header, above, up, clashes, marks),
    footer: await patchedPart(footer, below, down, clashes, marks),
  };
}

function isUsable(header: string, footer: string): boolean {
  try {
    const [above, below] = [sectionsIn(header), sectionsIn(footer)];
    return !Object.keys(above).some((key) => Object.hasOwn(below, key)) && !hasRepeats(header) && !hasRepeats(footer);
  } catch {
    return false;
  }
}

/** Does a top-level key stand twice? */
function hasRepeats(text: string): boolean {
  const keys = [...text.matchAll(/^([^\s#'"-][^\n:]*):(?=\s|$)/gm)].map(([, key]) => key);
  return new Set(keys).size < keys.length;
}

async function patchedPart(
  text: string,
  is: Fields,
  must: Fields,
  clashes: readonly SectionClash[],
  marks: Marks,
): Promise<MergedText> {
  const ours = await patched(text, is, difference(is, must));
  const own = clashes.filter(({ path: [key = ""] }) => Object.hasOwn(must, key) || Object.hasOwn(is, key));
  if (own.length === 0) return all(ours);
  const choice: Patch = own.reduce<Patch>((patch, { path, theirs }) => withPath(patch, path, theirs), {});
  const theirs = await patched(ours, sectionsIn(ours), choice);
  const paths = own.map(({ path }) => path);
  return decided(ours, theirs, paths, marks);
}

function withPath(patch: Patch, [key = "", ...rest]: readonly string[], value: unknown): Patch {
  if (rest.length === 0) return { ...patch, [key]: (value ?? undefined) as Patch[string] };
  const below = patch[key];
  return { ...patch, [key]: withPath(isMapping(below) ? (below as Patch) : {}, rest, value) };
}

async function patched(text: string, is: Fields, patch: Patch): Promise<string> {
  if (Object.keys(patch).length === 0) return text;
  const after = await patchedSections(text, is, "\n", patch);
  return sameValue(is, sectionsIn(after)) ? text : after;
}

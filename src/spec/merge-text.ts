/** The text of a merge: one version's bytes made to say what the merge says, and the marks of what people must decide. */
import { dashOf, isWrittenBelow } from "./edit-block.ts";
import { FIELD_ORDER, fieldsBefore } from "./edits.ts";
import { fieldsIn } from "./merge-side.ts";
import { type Fields, sameField, sameValue } from "./merge-values.ts";
import type { Layout } from "./model.ts";
import { type Entry, type Mapping, type Node, outline, type Span } from "./outline.ts";
import { tryParse } from "./parse.ts";
import { isPatched, type Patch, type PatchContext, patchMapping } from "./patch.ts";
import { fieldLines, type Value } from "./scalar.ts";
import { isMapping } from "./schema.ts";
import { lineEnd, lineStart, nextLine, spliced } from "./splice.ts";

/** The names that the marks of a conflict give the sides. */
export interface Labels {
  readonly ours: string;
  readonly theirs: string;
}

/** How conflicts are left in the text. */
export interface Marks {
  readonly labels: Labels;
  /** This side's value instead of a conflict. Never for two tasks under one id: one would be lost. */
  readonly take?: "ours" | "theirs";
}

/** Moves all lines of a block from one indentation to another. */
export function reindented(block: string, from: number, to: number): string {
  if (from === to) return block;
  const move = (line: string) => {
    if (line.trim() === "") return line;
    if (to > from) return " ".repeat(to - from) + line;
    const spaces = line.search(/[^ ]/);
    return line.slice(Math.min(spaces, from - to));
  };
  return block
    .split("\n")
    .map((line) => move(line))
    .join("\n");
}

/** What must change in a mapping so that it says the same as another; nulls are absent. */
export function difference(
  host: Fields,
  target: Fields,
  same: (key: string, a: unknown, b: unknown) => boolean = (_key, a, b) => sameValue(a, b),
): Patch {
  const patch: Record<string, Patch[string]> = {};
  for (const key of new Set([...Object.keys(target), ...Object.keys(host)])) {
    const [is, must] = [host[key], target[key] ?? undefined];
    if (same(key, is, must)) continue;
    if (isMapping(is) && isMapping(must)) patch[key] = difference(is, must);
    else patch[key] = must as Patch[string];
  }
  return patch;
}

/** The only task of a block's text. */
function onlyTask(text: string): { readonly key: string; readonly fields: Fields } | undefined {
  const value = tryParse(text)?.value;
  const [entry, ...more] = isMapping(value) ? Object.entries(value) : [];
  return entry === undefined || more.length > 0 || !isMapping(entry[1])
    ? undefined
    : { key: entry[0], fields: entry[1] };
}

async function rootOf(text: string): Promise<Node | undefined> {
  const found = outline(text);
  if (found !== undefined) return found.root;
  const { parseYaml } = await import("./yaml.ts");
  return (await parseYaml(text)).outline.root;
}

/** True for the text of one task with this key, in which no key stands twice. */
export async function isOneTask(text: string, like: string): Promise<boolean> {
  const task = onlyTask(text);
  if (task === undefined || task.key !== onlyTask(like)?.key) return false;
  const found = outline(text);
  if (found !== undefined) return found.duplicates.length === 0;
  const { parseYaml } = await import("./yaml.ts");
  const { errors, outline: parsed } = await parseYaml(text);
  return errors.length === 0 && parsed.duplicates.length === 0;
}

/**
 * A block's text changed so that its task has these fields, and no other byte.
 * @returns `undefined` when there is no way that reads back right.
 */
export async function patchedTask(text: string, target: Fields): Promise<string | undefined> {
  const before = onlyTask(text);
  if (before === undefined) return undefined;
  const patch = difference(before.fields, target, sameField);
  if (Object.keys(patch).length === 0) return text;
  const root = await rootOf(text);
  const entry = root?.kind === "mapping" ? root.entries[0] : undefined;
  if (entry?.value.kind !== "mapping") return undefined;
  const fields = entry.value;
  const column = (at: number) => at - lineStart(text, at);
  const context: PatchContext = {
    text,
    eol: "\n",
    step: Math.max(1, fields.flow ? 2 : column(fields.start) - column(entry.start)),
    dash: dashOf(text, fields) ?? 2,
    before: (key, path, mapping) => {
      const known = fieldsBefore(key, path[0]);
      return known.length > 0 || key === FIELD_ORDER[0] ? known : mapping.entries.map((each) => each.key).toReversed();
    },
    below: isWrittenBelow,
  };
  const after = spliced(text, patchMapping(context, fields, before.fields, patch));
  const read = onlyTask(after);
  return read?.key === before.key && isPatched(before.fields, read.fields, patch) ? after : undefined;
}

/** The block of a task that no version has in this form. */
export function writtenTask(id: string, fields: Fields, { task_indent, field_indent }: Layout): string | undefined {
  const step = Math.max(1, field_indent - task_indent);
  const known = FIELD_ORDER.filter((key) => Object.hasOwn(fields, key));
  const others = Object.keys(fields).filter((key) => !(FIELD_ORDER as readonly string[]).includes(key));
  const ordered = Object.fromEntries([...known, ...others].map((key) => [key, fields[key]])) as {
    [key: string]: Value;
  };
  const style = { eol: "\n", indent: task_indent, step, dash: step };
  const text = `${fieldLines(id, ordered, style, isWrittenBelow).join("\n")}\n`;
  return sameValue(fieldsIn(text), fields) ? text : undefined;
}

const START = "<<<<<<<";
const MIDDLE = "=======";
const END = ">>>>>>>";

/** Two texts as a conflict of Git. Each is whole lines, or empty. */
export function conflict(ours: string, theirs: string, labels: Labels): string {
  const label = (text: string) => text.replaceAll(/[\r\n]+/g, " ").trim();
  return `${START} ${label(labels.ours)}\n${ours}${MIDDLE}\n${theirs}${END} ${label(labels.theirs)}\n`;
}

/** Two texts that differ in some entries only, as one with a conflict around the lines of each such entry. */
export async function marked(
  ours: string,
  theirs: string,
  paths: readonly (readonly string[])[],
  labels: Labels,
): Promise<string | undefined> {
  const [mine, other] = [await rootOf(ours), await rootOf(theirs)];
  const places = new Map<string, { readonly ours: Span; readonly theirs: Span }>();
  for (const path of paths) {
    const found = placeOf({ text: ours, root: mine }, { text: theirs, root: other }, path);
    if (found === undefined) return undefined;
    places.set(`${found.ours.start} ${found.ours.end}`, found);
  }
  const outermost = [...places.values()].filter(
    ({ ours: { start, end } }, _i, all) =>
      !all.some(
        (each) => each.ours.end - each.ours.start > end - start && each.ours.start <= start && each.ours.end >= end,
      ),
  );
  const splices = outermost.map(({ ours: { start, end }, theirs: span }) => ({
    start,
    end,
    text: conflict(ours.slice(start, end), theirs.slice(span.start, span.end), labels),
  }));
  return spliced(ours, splices);
}

interface Rooted {
  readonly text: string;
  readonly root: Node | undefined;
}

/** The lines of an entry in both texts; those of what it is in, where it shares its lines with others. */
function placeOf(ours: Rooted, theirs: Rooted, path: readonly string[]): { ours: Span; theirs: Span } | undefined {
  for (let depth = path.length; depth > 0; depth -= 1) {
    const shorter = path.slice(0, depth);
    const [mine, other] = [entryAt(ours.root, shorter), entryAt(theirs.root, shorter)];
    const lines = { ours: wholeLines(ours.text, mine), theirs: wholeLines(theirs.text, other) };
    if (lines.ours !== undefined && lines.theirs !== undefined) return { ours: lines.ours, theirs: lines.theirs };
    if (mine === undefined && lines.theirs !== undefined) {
      const at = gapFor(theirs, ours, shorter);
      if (at !== undefined) return { ours: { start: at, end: at }, theirs: lines.theirs };
    }
    if (other === undefined && lines.ours !== undefined) {
      const at = gapFor(ours, theirs, shorter);
      if (at !== undefined) return { ours: lines.ours, theirs: { start: at, end: at } };
    }
  }
  return undefined;
}

function mappingAt(root: Node | undefined, path: readonly string[]): Mapping | undefined {
  let node = root;
  for (const key of path)
    node = node?.kind === "mapping" ? node.entries.find((entry) => entry.key === key)?.value : undefined;
  return node?.kind === "mapping" ? node : undefined;
}

function entryAt(root: Node | undefined, path: readonly string[]): Entry | undefined {
  return mappingAt(root, path.slice(0, -1))?.entries.find((entry) => entry.key === path.at(-1));
}

/** The lines of an entry that shares them with no other. */
function wholeLines(text: string, entry: Entry | undefined): Span | undefined {
  if (entry === undefined) return undefined;
  const start = lineStart(text, entry.start);
  const rest = text.slice(entry.end, lineEnd(text, entry.end));
  if (text.slice(start, entry.start).trim() !== "" || !/^[ \t]*(?:#.*)?$/.test(rest)) return undefined;
  return { start, end: nextLine(text, entry.end) };
}

/** Where in `lacking` the entry would stand that only `having` has: beside the same neighbour. */
function gapFor(having: Rooted, lacking: Rooted, path: readonly string[]): number | undefined {
  const parent = path.slice(0, -1);
  const siblings = mappingAt(having.root, parent)?.entries ?? [];
  const at = siblings.findIndex((entry) => entry.key === path.at(-1));
  for (const { key } of siblings.slice(0, at).toReversed()) {
    const lines = wholeLines(lacking.text, entryAt(lacking.root, [...parent, key]));
    if (lines !== undefined) return lines.end;
  }
  for (const { key } of siblings.slice(at + 1)) {
    const lines = wholeLines(lacking.text, entryAt(lacking.root, [...parent, key]));
    if (lines !== undefined) return lines.start;
  }
  return undefined;
}

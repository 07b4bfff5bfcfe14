/**
 * Changes to mappings that leave every other byte as it is. A patch is worked out against an outline as splices of the
 * text; what came of it is checked against the parsed values, because an outline does not know what a text means.
 */
import { listSplices } from "./list.ts";
import type { Entry, Mapping, Node } from "./outline.ts";
import { type Below, fieldLines, inlineText, isList, keyText, type Style, type Value, writeValue } from "./scalar.ts";
import { isMapping } from "./schema.ts";
import { insertLines, lineEnd, lineStart, nextLine, removeFlowItems, type Splice } from "./splice.ts";

/** Makes a mapping `{}` whatever it holds. */
export const EMPTIED = Symbol("emptied");

/** Keys to set, and with `undefined` to remove. A patch for a key that holds a mapping is applied to that mapping. */
export interface Patch {
  readonly [key: string]: Value | Patch | typeof EMPTIED | undefined;
}

export interface PatchContext {
  readonly text: string;
  readonly eol: string;
  /** Spaces that a nested mapping is deeper than its key, and a list's dashes. */
  readonly step: number;
  readonly dash: number;
  /** The keys that a new key comes behind, nearest first; the first that exists counts, none means at the beginning. */
  readonly before: (key: string, path: readonly string[], mapping: Mapping) => readonly string[];
  /** True for lists that are written with one item a line when they are new. */
  readonly below: Below;
}

/**
 * The splices that make `mapping` what the patch says.
 * @param old the parsed value of the mapping.
 */
export function patchMapping(
  context: PatchContext,
  mapping: Mapping,
  old: Readonly<Record<string, unknown>>,
  patch: Patch,
  path: readonly string[] = [],
): Splice[] {
  const splices: Splice[] = [];
  const removed = new Set<number>();
  const added: string[] = [];
  for (const [key, value] of Object.entries(patch)) {
    const at = mapping.entries.findIndex((entry) => entry.key === key);
    const entry = mapping.entries[at];
    if (entry === undefined) {
      if (!isNothing(value)) added.push(key);
    } else if (value === undefined) removed.add(at);
    else splices.push(...patchEntry(context, mapping, entry, old[key], value, [...path, key]));
  }
  const kept = { ...mapping, entries: mapping.entries.filter((_, i) => !removed.has(i)) };
  for (const key of added) splices.push(insertion(context, kept, key, writtenValue(patch[key]), path));
  if (mapping.flow) splices.push(...removeFlowItems(mapping.entries, removed, context.text));
  else {
    for (const at of removed) {
      const entry = mapping.entries[at];
      if (entry === undefined) continue;
      const { text } = context;
      splices.push({ start: lineStart(text, entry.start), end: nextLine(text, entry.end), text: "" });
    }
  }
  return splices;
}

function isPatch(value: unknown): value is Patch {
  return isMapping(value);
}

/** True for what needs no key where there is none: nothing, an empty list, a patch that only removes. */
export function isNothing(value: Patch[string]): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return value === undefined || (isPatch(value) && Object.values(value).every(isNothing));
}

/** The value that a patch makes where there was nothing. */
export function writtenValue(value: Patch[string]): Value {
  if (value === EMPTIED || value === undefined) return {};
  if (!isPatch(value)) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries.map(([key, item]) => [key, writtenValue(item)]));
}

function patchEntry(
  context: PatchContext,
  mapping: Mapping,
  entry: Entry,
  old: unknown,
  value: NonNullable<Patch[string]>,
  path: readonly string[],
): Splice[] {
  const node = entry.value;
  if (isPatch(value) && node.kind === "mapping" && node.entries.length > 0 && isMapping(old)) {
    const left = node.entries.some(({ key }) => !(Object.hasOwn(value, key) && value[key] === undefined));
    if (left || Object.values(value).some((item) => item !== undefined)) {
      return patchMapping(context, node, old, value, path);
    }
  }
  if (old === null && isPatch(value) && isNothing(value)) return [];
  const next = writtenValue(value);
  if (old !== undefined && old !== null && Bun.deepEquals(old, next)) return [];
  if (node.kind === "sequence" && isList(next) && next.length > 0) {
    const splices = listSplices(context, node, old, next);
    if (splices !== undefined) return splices;
  }
  return mapping.flow ? [replaceInFlow(context, entry, next)] : replaceInBlock(context, mapping, entry, next);
}

function likeOf(node: Node) {
  return node.kind === "single" || node.kind === "double" ? node.kind : undefined;
}

function replaceInFlow({ text }: PatchContext, entry: Entry, value: Value): Splice {
  const { start, end, kind } = entry.value;
  const inline = inlineText(value, { flow: true, like: likeOf(entry.value) });
  if (kind !== "empty") return { start, end, text: inline };
  return { start: entry.colon, end: entry.colon, text: text[entry.colon - 1] === ":" ? ` ${inline}` : `: ${inline}` };
}

function styleOf(context: PatchContext, mapping: Mapping): Style {
  const indent = mapping.start - lineStart(context.text, mapping.start);
  return { eol: context.eol, indent, step: context.step, dash: context.dash };
}

function replaceInBlock(context: PatchContext, mapping: Mapping, entry: Entry, value: Value): Splice[] {
  const { text, eol } = context;
  const node = entry.value;
  const key_line_end = lineEnd(text, entry.colon);
  const on_line = node.kind === "empty" || node.start < key_line_end;
  const commented = text.slice(node.end, lineEnd(text, node.end)).trim() !== "";
  const below = isList(value) && node.kind === "sequence" && !node.flow;
  let { head, lines } = writeValue(value, styleOf(context, mapping), (key) => below || context.below(key), entry.key);
  if (typeof value === "string" && (lines.length === 0 || commented)) {
    head = ` ${inlineText(value, { flow: false, like: likeOf(node) })}`;
    lines = [];
  }
  const rest = lines.map((line) => eol + line).join("");
  if (node.kind !== "empty" && on_line)
    return [{ start: entry.colon, end: node.end, text: spaced(text, entry, head) + rest }];
  return [
    { start: entry.colon, end: entry.colon, text: head },
    { start: key_line_end, end: node.kind === "empty" ? key_line_end : node.end, text: rest },
  ];
}

/** Keeps the spaces that stand between the colon and a value on its line. */
function spaced(text: string, entry: Entry, head: string): string {
  return head === "" ? "" : text.slice(entry.colon, entry.value.start) + head.slice(1);
}

function insertion(
  context: PatchContext,
  mapping: Mapping,
  key: string,
  value: Value,
  path: readonly string[],
): Splice {
  const { text, eol } = context;
  const names = context.before(key, path, mapping);
  const at = names.map((name) => mapping.entries.findIndex((entry) => entry.key === name)).find((i) => i >= 0);
  const before = at === undefined ? undefined : mapping.entries[at];
  if (mapping.flow) {
    const pair = `${keyText(key)}: ${inlineText(value, { flow: true })}`;
    if (before !== undefined) return { start: before.end, end: before.end, text: `, ${pair}` };
    const first = mapping.entries[0];
    if (first === undefined) return { start: mapping.start + 1, end: mapping.start + 1, text: pair };
    return { start: first.start, end: first.start, text: `${pair}, ` };
  }
  const lines = fieldLines(key, value, styleOf(context, mapping), context.below);
  const line = before === undefined ? lineStart(text, mapping.start) : nextLine(text, before.end);
  return insertLines(text, line, lines, eol);
}

/** True when `next` is `old` with exactly the patch applied. */
export function isPatched(old: unknown, next: unknown, patch: Patch): boolean {
  const before = isMapping(old) ? old : {};
  if (!isMapping(next)) return false;
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(patch, key) && !(Object.hasOwn(next, key) && Bun.deepEquals(before[key], next[key])))
      return false;
  }
  for (const key of Object.keys(next)) if (!Object.hasOwn(patch, key) && !Object.hasOwn(before, key)) return false;
  return Object.entries(patch).every(([key, value]) => {
    if (value === undefined) return !Object.hasOwn(next, key);
    if (!Object.hasOwn(next, key)) return isNothing(value);
    if (next[key] === null) return before[key] === null && isPatch(value) && isNothing(value);
    if (value === EMPTIED) return Bun.deepEquals(next[key], {});
    return isPatch(value) ? isPatched(before[key], next[key], value) : Bun.deepEquals(next[key], value);
  });
}

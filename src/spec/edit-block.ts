/** Edits of a spec in blocks, found by their hash and spliced one by one. */
import { LodestarError } from "../core/errors.ts";
import { blockOf, divide, keyLineId, keySpellings } from "./division.ts";
import { type Around, editAround } from "./edit-around.ts";
import {
  type Add,
  type AppliedEdits,
  type Batch,
  type ChangedTask,
  checkNew,
  fieldsBefore,
  type Locate,
  newTaskPatch,
  StaleBlock,
  taskPatch,
} from "./edits.ts";
import type { Layout } from "./model.ts";
import { type Mapping, type Node, outline, type Span } from "./outline.ts";
import { parseFast, tryParse } from "./parse.ts";
import { isPatched, type Patch, type PatchContext, patchMapping, writtenValue } from "./patch.ts";
import { fieldLines, keyText } from "./scalar.ts";
import { isMapping, readTask } from "./schema.ts";
import { lineStart, spliced } from "./splice.ts";

/** From this many blocks on, one pass over all key lines is cheaper than a search for each. */
const MANY = 32;
const LF = 10;

/** Bytes that replace those from `start` to `end` among the tasks. */
interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly bytes: Buffer;
}

/** Lists of sentences are written with one item a line when they are new. */
export const isWrittenBelow = (key: string) => key === "acceptance_criteria";

export async function editBlocks(buffer: Buffer, layout: Layout, batch: Batch, locate: Locate): Promise<AppliedEdits> {
  checkNew(batch, (task_id) => locate(task_id) !== undefined);
  const find = finder(buffer, layout, batch.sets.size + batch.adds.length > MANY, locate);
  const first = firstLine(buffer, layout);
  const groups = Map.groupBy(batch.adds, ({ after }) => after);
  const replacements: Replacement[] = [];
  const changed: ChangedTask[] = [];
  const patches = new Map([...batch.sets].map(([task_id, fields]) => [task_id, taskPatch(fields)]));
  // A last line without its end gets one when something follows; its block is then another one.
  const unended = [...groups.keys()].find((id) => id !== undefined && buffer[find(id).end - 1] !== LF);
  if (unended !== undefined && !patches.has(unended)) patches.set(unended, {});

  for (const [task_id, patch] of patches) {
    const { start, end } = find(task_id);
    const old = buffer.toString("utf8", start, end);
    let text = await patchedBlock(old, layout, patch);
    if (task_id === unended && !text.endsWith("\n")) text += layout.eol;
    if (text === old) continue;
    replacements.push({ start, end, bytes: Buffer.from(text) });
    changed.push(indexed(task_id, blockOf(text, layout.task_indent)));
  }
  for (const [after, adds] of groups) {
    const blocks = adds.map((add) => newBlock(add, layout));
    for (const [i, { text, fields }] of blocks.entries()) changed.push(readBack(adds[i]?.task.id ?? "", text, fields));
    const at = after === undefined ? first : find(after).end;
    replacements.push({ start: at, end: at, bytes: Buffer.from(blocks.map(({ text }) => text).join("")) });
  }
  const region = { start: first, end: Math.max(first, layout.tasks_end) };
  const around = await editAround(buffer, layout, batch, region);
  const ended = region.end === region.start || buffer[region.end - 1] === LF || unended !== undefined;
  if (!ended && around.footer.length > 0) {
    replacements.push({ start: region.end, end: region.end, bytes: Buffer.from(layout.eol) });
  }
  return { ...assemble(buffer, layout, region, replacements, around), changed };
}

function indexed(task_id: string, text: string): ChangedTask {
  const value: unknown = parseFast(text);
  return readBack(task_id, text, isMapping(value) ? Object.values(value)[0] : undefined);
}

/** @param fields what was parsed from the block's text. */
function readBack(task_id: string, text: string, fields: unknown): ChangedTask {
  const reading = readTask(task_id, fields);
  if (!reading.ok) {
    const [issue] = reading.issues;
    throw new Error(`task ${task_id} would be unreadable: ${issue?.path.join(".")} ${issue?.message}`);
  }
  const bytes = Buffer.from(text);
  return { task: reading.value, hash: Bun.hash(bytes) as bigint, length: bytes.length };
}

type Find = (task_id: string) => Span;

/** Finds blocks by key line and hash: one search after the other, or all key lines at once. */
function finder(buffer: Buffer, layout: Layout, many: boolean, locate: Locate): Find {
  let starts: ReadonlyMap<string, number> | undefined;
  const candidates = (task_id: string): Iterable<number> => {
    if (!many) return keyLines(buffer, layout, task_id);
    starts ??= new Map((divide(buffer)?.blocks ?? []).toReversed().map(({ id, start }) => [id, start]));
    return [starts.get(task_id) ?? buffer.length];
  };
  return (task_id) => {
    const known = locate(task_id);
    if (known === undefined) throw new StaleBlock(task_id);
    for (const start of candidates(task_id)) {
      const end = start + known.length;
      if (end <= buffer.length && Bun.hash(buffer.subarray(start, end)) === known.hash) return { start, end };
    }
    throw new StaleBlock(task_id);
  };
}

function* keyLines(buffer: Buffer, layout: Layout, task_id: string): Generator<number> {
  const from = Math.max(0, layout.tasks_start - 1);
  for (const spelling of keySpellings(task_id)) {
    const needle = Buffer.from(`\n${" ".repeat(layout.task_indent)}${spelling}`);
    for (let at = buffer.indexOf(needle, from); at >= 0 && at < layout.tasks_end; at = buffer.indexOf(needle, at + 1)) {
      yield at + 1;
    }
  }
}

/** Where a task that comes first is written: above the comments that lead the present first one. */
function firstLine(buffer: Buffer, { tasks_start, tasks_end }: Layout): number {
  if (tasks_start < 0) return buffer.length;
  let at = tasks_start;
  while (tasks_end > tasks_start) {
    const start = buffer.lastIndexOf(LF, at - 2) + 1;
    if (at < 2 || start >= at || !buffer.toString("latin1", start, at).trim().startsWith("#")) break;
    at = start;
  }
  return at;
}

/** @returns the block's text, and its fields as they are read back from it. */
function newBlock(add: Add, layout: Layout): { readonly text: string; readonly fields: unknown } {
  const { task } = add;
  const { task_indent, field_indent, eol } = layout;
  const step = field_indent - task_indent;
  const style = { eol, indent: task_indent, step, dash: step };
  const key = keyText(task.id);
  if (keyLineId(`${key}:`) !== task.id) {
    const message = `${JSON.stringify(task.id)} cannot be the id of a task.`;
    throw new LodestarError("INVALID_ID", message, { details: { id: task.id } });
  }
  const fields = newTaskPatch(add);
  const text = `${fieldLines(task.id, writtenValue(fields), style, isWrittenBelow).join(eol)}${eol}`;
  const value: unknown = parseFast(text);
  const [read] = isMapping(value) ? Object.values(value) : [];
  if (!isPatched({}, read, fields)) throw new Error(`task ${task.id} cannot be written so that it reads back the same`);
  return { text, fields: read };
}

/** The block with the patch applied, by the fast outline or else by the package `yaml`. */
async function patchedBlock(old: string, layout: Layout, patch: Patch): Promise<string> {
  if (Object.keys(patch).length === 0) return old;
  const eol = /\r?\n/.exec(old)?.[0] ?? layout.eol;
  const attempt = (root: Node | undefined): string | undefined => {
    const entry = root?.kind === "mapping" ? root.entries[0] : undefined;
    if (entry?.value.kind !== "mapping") return undefined;
    const before = onlyEntry(old);
    if (before === undefined || !isMapping(before.value)) return undefined;
    const fields = entry.value;
    const context: PatchContext = {
      text: old,
      eol,
      step: Math.max(1, layout.field_indent - layout.task_indent),
      dash: dashOf(old, fields) ?? 2,
      before: (key, path) => fieldsBefore(key, path[0]),
      below: isWrittenBelow,
    };
    const text = spliced(old, patchMapping(context, fields, before.value, patch));
    const after = onlyEntry(text);
    return after?.key === before.key && isPatched(before.value, after.value, patch) ? text : undefined;
  };
  const fast = attempt(outline(old)?.root);
  if (fast !== undefined) return fast;
  const { parseYaml } = await import("./yaml.ts");
  const slow = attempt((await parseYaml(old)).outline.root);
  if (slow !== undefined) return slow;
  throw new Error(
    `no way to write these fields is right: ${Object.keys(patch).join(", ")} in ${old.slice(0, 80).trim()}`,
  );
}

function onlyEntry(text: string): { readonly key: string; readonly value: unknown } | undefined {
  const value = tryParse(text)?.value;
  const [entry, ...more] = isMapping(value) ? Object.entries(value) : [];
  return entry === undefined || more.length > 0 ? undefined : { key: entry[0], value: entry[1] };
}

/** How much deeper than its key the dashes of a list are in this mapping, if it has one in block style. */
export function dashOf(text: string, mapping: Mapping): number | undefined {
  const column = (at: number) => at - lineStart(text, at);
  for (const { start, value } of mapping.entries) {
    if (value.kind === "sequence" && !value.flow) return column(value.start) - column(start);
  }
  return undefined;
}

function assemble(
  buffer: Buffer,
  layout: Layout,
  region: Span,
  replacements: readonly Replacement[],
  { header, footer }: Around,
): Omit<AppliedEdits, "changed"> {
  const pieces: Uint8Array[] = [header];
  let at = region.start;
  let tasks_length = 0;
  const put = (piece: Uint8Array) => {
    if (piece.length === 0) return;
    pieces.push(piece);
    tasks_length += piece.length;
  };
  for (const { start, end, bytes } of replacements.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    put(buffer.subarray(at, start));
    put(bytes);
    at = end;
  }
  put(buffer.subarray(at, region.end));
  const last = replacements.find(({ start, end }) => end === region.end && end > start);
  const follows = replacements.some(({ start, end }) => start === region.end && end === start && end > region.start);
  const text = follows ? "" : (last?.bytes.toString() ?? "");
  const blank = Buffer.byteLength(text.slice(blockOf(text, layout.task_indent).length));
  if (footer.length > 0) pieces.push(footer);
  const length = header.length + tasks_length + footer.length;
  const leading = replacements.some(({ start, end }) => start === region.start && end === start)
    ? 0
    : layout.tasks_start - region.start;
  const none = layout.tasks_start < 0 && tasks_length === 0;
  const tasks_start = none ? -1 : header.length + (tasks_length === 0 ? 0 : leading);
  const tasks_end = none ? -1 : header.length + tasks_length - blank;
  return { pieces, length, layout: { ...layout, tasks_start, tasks_end } };
}

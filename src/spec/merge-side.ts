/** One version of a spec, taken apart for a merge. */
import type { Task } from "../core/task.ts";
import { asBuffer, type Division, divide } from "./division.ts";
import type { Fields } from "./merge-values.ts";
import type { Layout, Spec } from "./model.ts";
import { parseFast } from "./parse.ts";
import type { SpecFailure } from "./problems.ts";
import { readSpec } from "./read.ts";
import { isMapping } from "./schema.ts";

/** The text of a spec in blocks, in parts that together are the whole. */
export interface Parts {
  /** Up to the line `tasks:`. */
  readonly header: string;
  /** That line; empty when there is none. */
  readonly tasks_line: string;
  /** The lines above each task, behind the one before it: comments and blank ones. */
  readonly gaps: ReadonlyMap<string, string>;
  /** Each task's block, with the end of its last line. */
  readonly blocks: ReadonlyMap<string, string>;
  /** The lines behind the last task. */
  readonly tail: string;
  readonly footer: string;
}

export interface Side {
  /** The whole text: line ends LF, no byte order mark. */
  readonly text: string;
  readonly layout: Layout;
  /** In file order. */
  readonly tasks: readonly Task[];
  /** Absent when the file does not divide into blocks. */
  readonly parts?: Parts;
  /** All top-level keys but `tasks`. */
  readonly sections: Fields;
  /** What the file says of a task; parsed when asked for. */
  fields(id: string): Fields | undefined;
}

export type SideReading = { readonly ok: true; readonly side: Side } | SpecFailure;

/** A version that is not there: nothing in it. */
export async function emptySide(): Promise<Side> {
  const reading = await readSide(new Uint8Array());
  if (!reading.ok) throw new Error("an empty spec is unreadable");
  return reading.side;
}

/** The tasks of blocks by their hashes: what one version shares with another is parsed once. */
export type KnownBlocks = Map<bigint, Task>;

/** Reads one version. A task that stands twice makes it unreadable here: nothing may be lost by taking the first. */
export async function readSide(bytes: Uint8Array, seen: KnownBlocks = new Map()): Promise<SideReading> {
  const known = (hash: bigint, task_id: string) => {
    const task = seen.get(hash);
    return task?.id === task_id ? () => task : undefined;
  };
  const reading = await readSpec(bytes, { known });
  if (!reading.ok) return reading;
  const { spec } = reading;
  if (spec.broken.length > 0) return { ok: false, code: "SPEC_INVALID", problems: spec.broken };
  if (spec.layout.kind === "block") for (const { hash, task } of spec.tasks) seen.set(hash, task);
  const text = asBuffer(bytes)
    .toString("utf8")
    .replace(/^\ufeff/, "")
    .replaceAll("\r\n", "\n");
  const buffer = Buffer.from(text);
  const division = spec.layout.kind === "block" ? divide(buffer) : undefined;
  const side = division === undefined ? await treeSide(buffer, spec) : blockSide(buffer, text, spec, division);
  return { ok: true, side };
}

function blockSide(buffer: Buffer, text: string, spec: Spec, { blocks, layout, header, footer }: Division): Side {
  const gaps = new Map<string, string>();
  const texts = new Map<string, string>();
  const tasks_at = header.end;
  const first = firstLineAfter(buffer, tasks_at);
  let at = first;
  for (const { id, start, end } of blocks) {
    gaps.set(id, buffer.toString("utf8", at, start));
    texts.set(id, ended(buffer.toString("utf8", start, end)));
    at = end;
  }
  const parts: Parts = {
    header: buffer.toString("utf8", header.start, header.end),
    tasks_line: ended(buffer.toString("utf8", tasks_at, first)),
    gaps,
    blocks: texts,
    tail: buffer.toString("utf8", at, footer.start),
    footer: buffer.toString("utf8", footer.start, footer.end),
  };
  const known = new Map<string, Fields>();
  return {
    text,
    layout,
    tasks: spec.tasks.map(({ task }) => task),
    parts,
    sections: { ...sectionsIn(parts.header), ...sectionsIn(parts.footer) },
    fields(id) {
      const block = texts.get(id);
      if (block === undefined) return undefined;
      const fields = known.get(id) ?? fieldsIn(block);
      known.set(id, fields);
      return fields;
    },
  };
}

async function treeSide(buffer: Buffer, spec: Spec): Promise<Side> {
  const { readTree } = await import("./tree.ts");
  const reading = await readTree(buffer);
  if (!reading.ok) throw new Error("a spec that was read cannot be read as a tree");
  const { tasks, ...sections } = reading.tree.value;
  const all = isMapping(tasks) ? tasks : {};
  return {
    text: reading.tree.text,
    layout: reading.tree.spec.layout,
    tasks: spec.tasks.map(({ task }) => task),
    sections,
    fields: (id) => (Object.hasOwn(all, id) ? (all[id] as Fields) : undefined),
  };
}

function firstLineAfter(buffer: Buffer, at: number): number {
  const end = buffer.indexOf(10, at);
  return end < 0 ? buffer.length : end + 1;
}

/** The text with a line end behind its last line. */
export const ended = (text: string): string => (text === "" || text.endsWith("\n") ? text : `${text}\n`);

/** The fields of a block's only task. */
export function fieldsIn(block: string): Fields {
  const value = parseFast(block);
  const fields = isMapping(value) ? Object.values(value)[0] : undefined;
  return isMapping(fields) ? fields : {};
}

export function sectionsIn(text: string): Fields {
  const value = parseFast(text);
  return isMapping(value) ? value : {};
}

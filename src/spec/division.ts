/**
 * How a spec's bytes divide into a header, one block for each task and a footer, found without parsing. What is divided
 * here must mean the same when each part is parsed alone; whatever might not is left to the parse of the whole file.
 */
import type { Layout } from "./model.ts";

/** The bytes of one task: its key's line and all deeper lines up to the last that is not blank. */
export interface Block {
  readonly id: string;
  readonly start: number;
  readonly end: number;
}

export interface Division {
  readonly layout: Layout;
  readonly blocks: readonly Block[];
  /** The bytes before the line of `tasks:`, without the byte order mark. */
  readonly header: { readonly start: number; readonly end: number };
  /** The bytes after the tasks: top-level keys that follow them. */
  readonly footer: { readonly start: number; readonly end: number };
}

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const HASH = 35;

/** A line of `tasks:` with nothing, an empty mapping or null as its value. */
export const EMPTY_TASKS_LINE = /^(tasks:)[ \t]*(?:\{[ \t]*\}|~|null|Null|NULL)?([ \t]+#.*?)?[ \t]*\r?$/;
const TASKS_LINE = /^tasks:[ \t]*(?:[ \t]#.*)?\r?$/;
/** A document marker or directive at the beginning of a line: the text is not one plain document. */
const MARKER = /^(?:---(?![^\s])|\.\.\.(?![^\s])|%)/m;
const LEADING_MARKER = /^(?:[ \t]*(?:#.*)?\r?\n)*---[ \t]*(?:#.*)?(?:\r?\n|$)/;
/** A block scalar that keeps the blank lines after it, so that they belong to the block. */
const KEEPS_BLANK_LINES = /[:-][ \t]+(?:[&!]\S+[ \t]+)*[|>](?:[1-9]?\+|\+[1-9])[ \t]*(?:[ \t]#.*)?$/m;

export function hasBom(bytes: Uint8Array): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The file's line end by its first line; `undefined` when a CR stands alone, which YAML takes for a line end too. */
export function lineEndOf(bytes: Buffer): Layout["eol"] | undefined {
  let at = bytes.indexOf(CR);
  if (at < 0) return "\n";
  const eol = bytes.indexOf(LF) === at + 1 ? "\r\n" : "\n";
  for (; at >= 0; at = bytes.indexOf(CR, at + 2)) if (bytes[at + 1] !== LF) return undefined;
  return eol;
}

/** The offset after the end of the line that holds `at`. */
function nextLine(bytes: Buffer, at: number): number {
  const end = bytes.indexOf(LF, at);
  return end < 0 ? bytes.length : end + 1;
}

/** The offset of the line `tasks:`; -1 when there is none, `undefined` when there are several. */
function findTasksLine(bytes: Buffer, from: number): number | undefined {
  const found: number[] = bytes.toString("latin1", from, from + 6) === "tasks:" ? [from] : [];
  const needle = Buffer.from("\ntasks:");
  for (let at = bytes.indexOf(needle, from); at >= 0; at = bytes.indexOf(needle, at + 1)) found.push(at + 1);
  return found.length > 1 ? undefined : (found[0] ?? -1);
}

/**
 * The id of a key line (from the key's first byte to the line's end); `undefined` when the line is not a key spelled in
 * a way that {@link keySpellings} can find again.
 */
export function keyLineId(line: string): string | undefined {
  const quoted = /^(?:'((?:[^']|'')+)'|"([^"\\]+)"):(?=[ \t\r]|$)/.exec(line);
  if (quoted !== null) return quoted[1]?.replaceAll("''", "'") ?? quoted[2];
  const plain = /^([^\s\-?:,[\]{}#&*!|>'"%@`][^\r]*?):(?=[ \t\r]|$)/.exec(line)?.[1];
  if (plain === undefined || /\s#|\s$/.test(plain) || plain === "<<") return undefined;
  return plain;
}

/** The ways in which a key with this id may stand at the beginning of its block, after the indentation. */
export function keySpellings(id: string): string[] {
  return [`${id}:`, `'${id.replaceAll("'", "''")}':`, `"${id}":`];
}

/**
 * Divides a spec written in blocks.
 * @returns `undefined` when the text is not certain to be so; the caller then parses the whole.
 */
export function divide(bytes: Buffer): Division | undefined {
  const bom = hasBom(bytes);
  const origin = bom ? 3 : 0;
  const eol = lineEndOf(bytes);
  const tasks_line = findTasksLine(bytes, origin);
  if (eol === undefined || tasks_line === undefined) return undefined;

  const header = { start: origin, end: tasks_line < 0 ? bytes.length : tasks_line };
  const head = bytes.toString("utf8", header.start, header.end).replace(LEADING_MARKER, "");
  if (MARKER.test(head)) return undefined;
  const empty: Layout = { kind: "block", eol, bom, task_indent: 2, field_indent: 4, tasks_start: -1, tasks_end: -1 };
  if (tasks_line < 0) return { layout: empty, blocks: [], header, footer: { start: bytes.length, end: bytes.length } };

  const first = nextLine(bytes, tasks_line);
  const line = bytes.toString("utf8", tasks_line, first).replace(/\n$/, "");
  if (!EMPTY_TASKS_LINE.test(line)) return undefined;
  const found = divideTasks(bytes, first);
  if (found === undefined || (found.blocks.length > 0 && !TASKS_LINE.test(line))) return undefined;
  const { blocks, footer_start } = found;
  const footer = { start: footer_start, end: bytes.length };
  if (MARKER.test(bytes.toString("utf8", footer.start, footer.end))) return undefined;
  const tasks_start = blocks[0]?.start ?? first;
  const tasks_end = blocks.at(-1)?.end ?? first;
  const { task_indent, field_indent } = found;
  return { layout: { ...empty, task_indent, field_indent, tasks_start, tasks_end }, blocks, header, footer };
}

/** How much of a text that begins with a block is the block: without the blank lines at its end. */
export function blockOf(text: string, task_indent: number): string {
  if (KEEPS_BLANK_LINES.test(text)) return text;
  let end = text.length;
  for (;;) {
    const start = text.lastIndexOf("\n", end - 2) + 1;
    const line = text.slice(start, end);
    const spaces = line.search(/[^ ]/);
    if (start === 0 || /[^ \t\r\n]/.test(line) || !line.endsWith("\n") || spaces > task_indent)
      return text.slice(0, end);
    end = start;
  }
}

interface TaskLines {
  readonly blocks: Block[];
  readonly task_indent: number;
  readonly field_indent: number;
  readonly footer_start: number;
}

function divideTasks(bytes: Buffer, first: number): TaskLines | undefined {
  const size = bytes.length;
  const blocks: Block[] = [];
  let task_indent = 0;
  let field_indent = 0;
  let id: string | undefined;
  let start = 0;
  let end = 0;
  /** Where the blank lines directly after the block's last line end. */
  let blank_end = 0;
  const close = () => {
    if (id === undefined) return;
    if (blank_end > end && KEEPS_BLANK_LINES.test(bytes.toString("latin1", start, end))) end = blank_end;
    blocks.push({ id, start, end });
  };

  for (let at = first; at < size; ) {
    const next = nextLine(bytes, at);
    let column = at;
    while (column < next && bytes[column] === SPACE && (task_indent === 0 || column - at <= task_indent)) column += 1;
    const indent = column - at;
    const byte = bytes[column];
    if (task_indent > 0 && indent > task_indent) {
      // Deeper than a key: the block's own, whatever it says; a comment or blank line may be part of a block scalar.
      if (id === undefined) return undefined;
      if (field_indent === 0) field_indent = fieldIndent(bytes, at, next);
      end = blank_end = next;
    } else if (byte === undefined || byte === LF || byte === CR || column === next) {
      if (blank_end === at) blank_end = next;
    } else if (byte === TAB) {
      if (bytes.toString("latin1", column, next).trim() !== "") return undefined;
      if (blank_end === at) blank_end = next;
    } else if (byte !== HASH) {
      if (indent === 0) {
        close();
        return { blocks, ...indents(task_indent, field_indent), footer_start: at };
      }
      if (task_indent === 0) task_indent = indent;
      if (indent !== task_indent) return undefined;
      close();
      id = keyLineId(bytes.toString("utf8", column, bytes[next - 1] === LF ? next - 1 : next));
      if (id === undefined) return undefined;
      start = at;
      end = blank_end = next;
    }
    at = next;
  }
  close();
  return { blocks, ...indents(task_indent, field_indent), footer_start: size };
}

/** The indentation of a field's line; 0 when the line is blank or a comment. */
function fieldIndent(bytes: Buffer, at: number, next: number): number {
  const text = bytes.toString("latin1", at, next);
  const indent = text.search(/[^ \t\r\n]/);
  return indent < 0 || text[indent] === "#" ? 0 : indent;
}

function indents(task_indent: number, field_indent: number) {
  const task = task_indent || 2;
  return { task_indent: task, field_indent: field_indent || task * 2 };
}

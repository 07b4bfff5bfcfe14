/** Reading a spec. Bytes in, tasks or every problem out; nothing is touched. */
import type { Task } from "../core/task.ts";
import { asBuffer, type Block, type Division, divide } from "./division.ts";
import { fieldFinding, type Piece, repeatedKey, repeatedTask, syntaxError, tooDeep, tooManyTasks } from "./findings.ts";
import type { Spec, TaskBlock } from "./model.ts";
import { type Outline, outline } from "./outline.ts";
import { tryParse } from "./parse.ts";
import {
  badBytes,
  conflictMarkers,
  type Finding,
  invalid,
  MAX_PROBLEMS,
  MAX_TASKS,
  placed,
  type SpecFailure,
} from "./problems.ts";
import { isMapping, readFeatures, readProject, readTask } from "./schema.ts";

export interface ReadOptions {
  /** For the caller's messages only. */
  readonly path?: string;
  /**
   * What fetches the task of a block with this hash, if it was read before: such blocks are not parsed again. A fetcher that comes
   * back with nothing, or fails, costs no more than the parsing.
   */
  readonly known?: (hash: bigint, task_id: string) => (() => Task | undefined) | undefined;
}

export type SpecReading = { readonly ok: true; readonly spec: Spec } | SpecFailure;

/**
 * Reads a spec of at most 100 MB and 100 000 tasks.
 *
 * Never throws for what the bytes hold: every problem is listed with line and column. A task id that stands twice does not
 * make the spec unreadable; it is in `spec.broken`. Blocks that `known` knows cost a hash, others about 20 µs.
 * The package `yaml` is loaded only for files that do not divide into blocks and for places of errors.
 */
export async function readSpec(bytes: Uint8Array, options: ReadOptions = {}): Promise<SpecReading> {
  const buffer = asBuffer(bytes);
  const bad = badBytes(buffer);
  if (bad !== undefined) return invalid(buffer, [bad]);
  const markers = conflictMarkers(buffer);
  if (markers.length > 0) return { ok: false, code: "SPEC_CONFLICT_MARKERS", problems: placed(buffer, markers) };
  const division = divide(buffer);
  try {
    const reading = division === undefined ? undefined : await readBlocks(buffer, division, options.known);
    if (reading !== undefined) return reading;
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    return invalid(buffer, [tooDeep()]);
  }
  const { readTree } = await import("./tree.ts");
  const tree = await readTree(buffer);
  return tree.ok ? { ok: true, spec: tree.tree.spec } : tree;
}

/** @returns `undefined` when parts of the file may depend on each other, so that only the whole can be read. */
async function readBlocks(
  buffer: Buffer,
  { blocks, layout, header, footer }: Division,
  known: ReadOptions["known"],
): Promise<SpecReading | undefined> {
  const findings: Finding[] = [];
  const broken: Finding[] = [];
  const tasks: TaskBlock[] = [];
  const unreadable: Block[] = [];
  const seen = new Set<string>();
  if (blocks.length > MAX_TASKS) {
    findings.push(tooManyTasks(blocks.length, layout.tasks_start));
  }

  for (const block of findings.length > 0 ? [] : blocks) {
    const { id, start, end } = block;
    if (seen.has(id)) {
      broken.push(repeatedTask(start + layout.task_indent, id));
      continue;
    }
    seen.add(id);
    const hash = Bun.hash(buffer.subarray(start, end)) as bigint;
    const fetch = known?.(hash, id);
    if (fetch !== undefined) {
      tasks.push(new KnownBlock(id, hash, start, end - start, () => fetched(fetch) ?? readAgain(buffer, block)));
      continue;
    }
    const text = buffer.toString("utf8", start, end);
    const value = tryParse(text)?.value;
    if (value === undefined) {
      unreadable.push(block);
      continue;
    }
    const fields = isMapping(value) ? Object.values(value) : [];
    if (fields.length !== 1) return undefined;
    if (mayRepeatKeys(text, fields[0])) findings.push(...(await repeatedKeys(text, start)));
    const reading = readTask(id, fields[0]);
    if (reading.ok) tasks.push({ id, task: reading.value, hash, start, length: end - start });
    else {
      const piece: Piece = { text, start, root: (await outlined(text)).root };
      const key = piece.root?.kind === "mapping" ? (piece.root.entries[0]?.key ?? id) : id;
      for (const issue of reading.issues) findings.push(fieldFinding(piece, `Task ${id}`, [key], issue));
    }
  }

  if (unreadable.length > 0) {
    if (tryParse(buffer.toString("utf8")) !== undefined) return undefined;
    const before = findings.length;
    for (const { start, end } of unreadable.slice(0, MAX_PROBLEMS)) {
      findings.push(...(await syntaxErrors(buffer.toString("utf8", start, end), start)));
    }
    // Without an error of its own a block may need an anchor from elsewhere.
    if (findings.length === before) return undefined;
  }
  const around = await readAround(buffer, [header, footer], findings);
  if (around === undefined) return undefined;
  const project = readProject(around.value.project);
  const features = readFeatures(around.value.features);
  const sections = { project, features };
  for (const [key, reading] of Object.entries(sections)) {
    const has = ({ root }: Piece) => root?.kind === "mapping" && root.entries.some((entry) => entry.key === key);
    const piece = around.pieces.find(has) ?? around.pieces[0];
    if (reading.ok || piece === undefined) continue;
    for (const issue of reading.issues) findings.push(fieldFinding(piece, `The ${key}`, [key], issue));
  }
  if (findings.length > 0 || !project.ok || !features.ok) return invalid(buffer, findings);
  const spec: Spec = {
    project: project.value,
    features: features.value,
    tasks,
    broken: placed(buffer, broken),
    layout,
  };
  return { ok: true, spec };
}

/** A block whose task is known already: of the thousands in a file that somebody has edited, few are looked at. */
class KnownBlock implements TaskBlock {
  readonly id: string;
  readonly hash: bigint;
  readonly start: number;
  readonly length: number;
  readonly #fetch: () => Task;
  #task: Task | undefined;

  constructor(id: string, hash: bigint, start: number, length: number, fetch: () => Task) {
    this.id = id;
    this.hash = hash;
    this.start = start;
    this.length = length;
    this.#fetch = fetch;
  }

  get task(): Task {
    this.#task ??= this.#fetch();
    return this.#task;
  }
}

function fetched(fetch: () => Task | undefined): Task | undefined {
  try {
    return fetch();
  } catch {
    // The index was closed, replaced or damaged meanwhile: the bytes tell the same.
    return undefined;
  }
}

/** These very bytes were read before, so that they can be read. */
function readAgain(buffer: Buffer, { id, start, end }: Block): Task {
  const value = tryParse(buffer.toString("utf8", start, end))?.value;
  const reading = readTask(id, isMapping(value) ? Object.values(value)[0] : undefined);
  if (!reading.ok) throw new Error(`The block of ${id} was read before, and cannot be read now.`);
  return reading.value;
}

interface Around {
  readonly value: Record<string, unknown>;
  readonly pieces: readonly Piece[];
}

/** Reads the header and the footer, which are mappings of their own. */
async function readAround(
  buffer: Buffer,
  spans: readonly { readonly start: number; readonly end: number }[],
  findings: Finding[],
): Promise<Around | undefined> {
  const value: Record<string, unknown> = Object.create(null);
  const pieces: Piece[] = [];
  for (const { start, end } of spans) {
    const text = buffer.toString("utf8", start, end);
    const part = tryParse(text);
    if (part === undefined) {
      const errors = await syntaxErrors(text, start);
      if (errors.length === 0) return undefined;
      findings.push(...errors);
      continue;
    }
    if (part.value === null || part.value === undefined) continue;
    if (!isMapping(part.value) || Object.hasOwn(part.value, "tasks")) return undefined;
    const { root, duplicates } = await outlined(text);
    // What begins at another column or in brackets does not go on with `tasks:`, though it can be read alone.
    if (root?.kind === "mapping" && (root.flow || (root.start > 0 && text[root.start - 1] !== "\n"))) return undefined;
    const piece: Piece = { text, start, root };
    pieces.push(piece);
    for (const { key, at } of duplicates) findings.push(repeatedKey(piece, key, at));
    for (const entry of root?.kind === "mapping" ? root.entries : []) {
      if (Object.hasOwn(value, entry.key)) findings.push(repeatedKey(piece, entry.key, entry.start));
    }
    Object.assign(value, part.value);
  }
  return { value, pieces };
}

/** The package `yaml` takes a second and 40 MB for each of these to say where an error is. */
const MAX_BYTES_FOR_PLACES = 2 * 1024 * 1024;

async function syntaxErrors(text: string, start: number): Promise<Finding[]> {
  if (text.length > MAX_BYTES_FOR_PLACES) {
    const message = `What begins here is no valid YAML, and with ${text.length} characters too long to say where.`;
    return [{ at: start, message, hint: "Look for a quote or bracket that is not closed." }];
  }
  const { parseYaml } = await import("./yaml.ts");
  try {
    const { errors, outline } = await parseYaml(text);
    return errors.map(({ at, message }) => syntaxError({ text, start, root: outline.root }, at, message));
  } catch {
    // Too deep for the stack, or such: the reading of the whole file says it.
    return [];
  }
}

async function outlined(text: string): Promise<Outline> {
  const found = outline(text);
  if (found !== undefined) return found;
  const { parseYaml } = await import("./yaml.ts");
  return (await parseYaml(text)).outline;
}

async function repeatedKeys(text: string, start: number): Promise<Finding[]> {
  const { duplicates, root } = await outlined(text);
  return duplicates.map(({ key, at }) => repeatedKey({ text, start, root }, key, at));
}

const FIELD_INDENT = /\n( +)[^ \t\r\n#]/;
/** Lines that begin a field, by indentation: a dash or comment begins none. */
const fieldLines = new Map<number, RegExp>();
const EXPLICIT_KEY = /(?:^|[ \t-])\?[ \t\r\n]/m;

/**
 * False when no key can stand twice in the block: it has no more places that may be a key than the parsed task has keys.
 * Saves outlining most blocks.
 */
function mayRepeatKeys(text: string, fields: unknown): boolean {
  // Aliases may make the value deep beyond counting, even circular.
  if (!isMapping(fields) || text.includes("&") || text.includes("{") || text.includes("<<")) return true;
  if (text.includes("?") && EXPLICIT_KEY.test(text)) return true;
  if (countColons(text) === countKeys(fields) + 1) return false;
  const keys = Object.keys(fields);
  const indent = FIELD_INDENT.exec(text)?.[1]?.length ?? 0;
  return !keys.every((key) => isFlat(fields[key])) || text.match(linesAt(indent))?.length !== keys.length;
}

/** Colons that may end a key in block style. */
function countColons(text: string): number {
  let count = 0;
  for (let at = text.indexOf(":"); at >= 0; at = text.indexOf(":", at + 1)) {
    const next = text[at + 1];
    if (next === " " || next === "\n" || next === "\r" || next === "\t" || next === undefined) count += 1;
  }
  return count;
}

function linesAt(indent: number): RegExp {
  const lines = fieldLines.get(indent) ?? new RegExp(`\\n {${indent}}[^ \\t\\r\\n#-]`, "g");
  fieldLines.set(indent, lines);
  return lines;
}

function isFlat(value: unknown): boolean {
  return (
    typeof value !== "object" ||
    value === null ||
    (Array.isArray(value) && value.every((item) => typeof item !== "object"))
  );
}

function countKeys(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const items: unknown[] = Object.values(value);
  return items.reduce((count: number, item) => count + countKeys(item), Array.isArray(value) ? 0 : items.length);
}

/** Reading a spec that does not divide into blocks: flow style, anchors, tags, and every file with a mistake in it. */
import type { Document, Pair, YAMLMap } from "yaml";
import { asBuffer, hasBom, lineEndOf } from "./division.ts";
import {
  byteAt,
  fieldFinding,
  type Piece,
  repeatedKey,
  repeatedTask,
  syntaxError,
  tooDeep,
  tooManyTasks,
} from "./findings.ts";
import type { Layout, Spec, TaskBlock } from "./model.ts";
import { follow, type Mapping, type Node } from "./outline.ts";
import { parseFast } from "./parse.ts";
import { type Finding, invalid, MAX_TASKS, placed, type SpecFailure } from "./problems.ts";
import { isMapping, readFeatures, readProject, readTask } from "./schema.ts";
import { parseYaml, type YamlText } from "./yaml.ts";

/** The package `yaml` takes half a second and 100 MB for each of these megabytes. */
const MAX_TREE_BYTES = 16 * 1024 * 1024;
/** Marks the hashes of tasks that were not read alone, so that no block is taken for one of them. */
const TREE_SEED = 1n;

export interface Tree {
  readonly text: string;
  readonly yaml: YamlText;
  readonly spec: Spec;
  /** Everything that the file says, with aliases and merge keys resolved; tasks by their ids as written. */
  readonly value: Record<string, unknown>;
}

export type TreeReading = { readonly ok: true; readonly tree: Tree } | SpecFailure;

/** Reads the whole text with the package `yaml`. The bytes are valid UTF-8 without conflict markers. */
export async function readTree(bytes: Uint8Array): Promise<TreeReading> {
  const buffer = asBuffer(bytes);
  if (buffer.length > MAX_TREE_BYTES) {
    const message = "A spec of this size is read only when every task is a block of its own lines.";
    const hint = "Use block style for `tasks:`, without anchors or aliases between tasks, and spaces for indentation.";
    return invalid(buffer, [{ at: 0, message, hint }]);
  }
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(buffer);
  if (lineEndOf(buffer) === undefined) {
    const at = Buffer.byteLength(text.slice(0, text.search(/\r(?!\n)/)));
    const message = "A line ends with a carriage return alone, which programs read in different ways.";
    return invalid(buffer, [{ at, message, hint: "Save the file with line ends LF or CR LF." }]);
  }
  if (expandsWithoutBound(text)) {
    const at = Buffer.byteLength(text.slice(0, Math.max(0, text.search(/&\S/))));
    const hint = "Write the values out instead of nesting aliases.";
    return invalid(buffer, [{ at, message: "The anchors and aliases expand without bound.", hint }]);
  }
  try {
    return understand(buffer, text, await parseYaml(text));
  } catch (cause) {
    return invalid(buffer, [misunderstood(text, cause)]);
  }
}

/** What the package `yaml` throws instead of reporting. */
function misunderstood(text: string, cause: unknown): Finding {
  if (cause instanceof RangeError) {
    return tooDeep();
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  const alias = /Unresolved alias.*: (\S+)$/.exec(reason)?.[1];
  const place = alias === undefined ? text.indexOf("<<") : text.indexOf(`*${alias}`);
  const hint =
    alias === undefined
      ? "A merge key (<<) takes a mapping or an alias of one."
      : "Define each anchor (&name) before its aliases (*name).";
  const at = Buffer.byteLength(text.slice(0, Math.max(0, place)));
  return { at, message: `The file cannot be understood: ${reason}.`, hint };
}

function expandsWithoutBound(text: string): boolean {
  if (!text.includes("*")) return false;
  try {
    parseFast(text);
    return false;
  } catch (cause) {
    // Every other error is told with its place by the package `yaml`.
    return cause instanceof Error && cause.message.includes("Excessive aliasing");
  }
}

function understand(buffer: Buffer, text: string, yaml: YamlText): TreeReading {
  const { outline, errors, doc } = yaml;
  const piece: Piece = { text, start: 0, root: outline.root };
  if (errors.length > 0) {
    return invalid(
      buffer,
      errors.map(({ at, message }) => syntaxError(piece, at, message)),
    );
  }
  const value: unknown = outline.root === undefined ? {} : (doc.toJS({ maxAliasCount: -1 }) ?? {});
  if (!isMapping(value)) {
    const hint = "The file begins with keys such as `project:` and `tasks:` at the left margin.";
    return invalid(buffer, [{ at: 0, message: "The file must be a mapping.", hint }]);
  }
  const findings: Finding[] = [];
  const broken: Finding[] = [];
  const tasks = readTasks(buffer, piece, yaml, value.tasks, findings, broken);
  const project = readProject(value.project);
  if (!project.ok)
    findings.push(...project.issues.map((issue) => fieldFinding(piece, "The project", ["project"], issue)));
  const features = readFeatures(value.features);
  if (!features.ok)
    findings.push(...features.issues.map((issue) => fieldFinding(piece, "The features", ["features"], issue)));
  if (findings.length > 0 || !project.ok || !features.ok) return invalid(buffer, findings);
  const layout = treeLayout(buffer, piece, tasks);
  const spec: Spec = {
    project: project.value,
    features: features.value,
    tasks,
    broken: placed(buffer, broken),
    layout,
  };
  const by_id = isMapping(value.tasks) ? { tasks: renamed(value.tasks, doc) } : {};
  return { ok: true, tree: { text, yaml, spec, value: { ...value, ...by_id } } };
}

/** The tasks by their ids as written: `0x10` is an id here, not the number 16. */
function renamed(tasks: Record<string, unknown>, doc: Document.Parsed): Record<string, unknown> {
  const ids = new Map(tasksMap(doc)?.items.map((pair) => [jsKey(pair), idOf(pair)]));
  return Object.fromEntries(Object.entries(tasks).map(([key, task]) => [ids.get(key) ?? key, task]));
}

function idOf(pair: Pair): string {
  const { source, type } = pair.key as { readonly source?: string; readonly type?: string };
  return type === "PLAIN" && source !== undefined ? source : jsKey(pair);
}

/** The mapping of `tasks:` as the package sees it, also behind an alias. */
function tasksMap(doc: Document.Parsed): YAMLMap | undefined {
  const node = doc.get("tasks", true) as { resolve?: (doc: Document) => unknown } | undefined;
  const map = typeof node?.resolve === "function" ? node.resolve(doc) : node;
  return typeof map === "object" && map !== null && "items" in map ? (map as YAMLMap) : undefined;
}

function readTasks(
  buffer: Buffer,
  piece: Piece,
  { doc, outline }: YamlText,
  value: unknown,
  findings: Finding[],
  broken: Finding[],
): TaskBlock[] {
  const map = value === undefined || value === null ? undefined : tasksMap(doc);
  const entries = tasksEntries(piece.root);
  const own = new Set(entries.map(({ start }) => start));
  for (const { key, at } of outline.duplicates) if (!own.has(at)) findings.push(repeatedKey(piece, key, at));
  if (value === undefined || value === null) return [];
  if (!isMapping(value) || map === undefined) {
    const issue = { path: [], message: "must be a mapping of ids to tasks" };
    findings.push(fieldFinding(piece, "`tasks`", ["tasks"], issue));
    return [];
  }
  if (entries.length > MAX_TASKS) findings.push(tooManyTasks(entries.length, byteAt(piece, entries[0]?.start ?? 0)));

  const tasks: TaskBlock[] = [];
  const seen = new Set<string>();
  const names = new Set<string>();
  let at = 0;
  let byte = 0;
  const read = (id: string, fields: unknown, start: number, length: number) => {
    const reading = readTask(id, fields);
    if (reading.ok) {
      const hash = Bun.hash(buffer.subarray(start, start + length), TREE_SEED) as bigint;
      tasks.push({ id, task: reading.value, hash, start, length });
    } else {
      for (const issue of reading.issues) findings.push(fieldFinding(piece, `Task ${id}`, ["tasks", id], issue));
    }
  };
  for (const [i, entry] of entries.entries()) {
    const start = byte + Buffer.byteLength(piece.text.slice(at, entry.start));
    const length = Buffer.byteLength(piece.text.slice(entry.start, entry.end));
    [at, byte] = [entry.end, start + length];
    if (entry.key === "<<") continue;
    if (seen.has(entry.key)) {
      broken.push(repeatedTask(start, entry.key));
      continue;
    }
    seen.add(entry.key);
    names.add(jsKey(map.items[i]));
    read(entry.key, fieldsOf(map.items[i], doc, value, outline.duplicates.length > 0), start, length);
  }
  // Tasks that came through an alias or a merge key have no bytes of their own.
  for (const id of Object.keys(value)) if (!names.has(id)) read(id, value[id], byte, 0);
  return tasks;
}

/** The key of a pair in the package's plain objects. */
function jsKey(pair: Pair | undefined): string {
  return String((pair?.key as { readonly value?: unknown } | undefined)?.value ?? "");
}

/** A repeated key keeps its last value in the whole; the first counts here, so such files are asked pair by pair. */
function fieldsOf(pair: Pair | undefined, doc: Document, tasks: Record<string, unknown>, repeated: boolean): unknown {
  if (!repeated) return tasks[jsKey(pair)];
  const node = pair?.value as { toJS?: (doc: Document, options: object) => unknown } | null | undefined;
  return node?.toJS?.(doc, { maxAliasCount: -1 });
}

function tasksEntries(root: Node | undefined): Mapping["entries"] {
  const tasks = root?.kind === "mapping" ? follow(root, ["tasks"])?.node : undefined;
  return tasks?.kind === "mapping" && tasks !== root ? tasks.entries : [];
}

function treeLayout(buffer: Buffer, piece: Piece, tasks: readonly TaskBlock[]): Layout {
  const [first] = tasksEntries(piece.root);
  const column = first === undefined ? 2 : first.start - (piece.text.lastIndexOf("\n", first.start - 1) + 1);
  const fields = first?.value.kind === "mapping" ? first.value : undefined;
  const field_column =
    fields === undefined || fields.flow
      ? column * 2
      : fields.start - (piece.text.lastIndexOf("\n", fields.start - 1) + 1);
  const last = tasks.at(-1);
  return {
    kind: "tree",
    eol: lineEndOf(buffer) ?? "\n",
    bom: hasBom(buffer),
    task_indent: column,
    field_indent: field_column,
    tasks_start: tasks[0]?.start ?? -1,
    tasks_end: last === undefined ? -1 : last.start + last.length,
  };
}

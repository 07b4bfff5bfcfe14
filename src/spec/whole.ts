/** A spec as plain values, with the keys that this program does not know: what a snapshot holds of it. */
import { LodestarError } from "../core/errors.ts";
import type { Task } from "../core/task.ts";
import { asBuffer } from "./division.ts";
import { FIELD_ORDER, type SpecEdit } from "./edits.ts";
import type { Problem, Spec } from "./model.ts";
import { parseFast } from "./parse.ts";
import type { Patch } from "./patch.ts";
import { readSpec } from "./read.ts";
import { isMapping, readTask } from "./schema.ts";

type Fields = Readonly<Record<string, unknown>>;

/**
 * The whole file. Known fields are as `Task` has them; unknown ones as they are written. Nulls and empty lists and mappings are left
 * out, since no reader tells them from absent ones. Tasks and features are sorted, so that one content has one form.
 */
export interface WholeSpec {
  readonly project: Fields;
  /** By id; the fields in their usual order, then unknown ones. */
  readonly tasks: Readonly<Record<string, Fields>>;
  readonly features: Readonly<Record<string, readonly string[]>>;
  /** Other sections of the file. */
  readonly [section: string]: unknown;
}

export type WholeReading =
  | { readonly ok: true; readonly whole: WholeSpec }
  | {
      readonly ok: false;
      readonly code: "SPEC_INVALID" | "SPEC_CONFLICT_MARKERS";
      readonly problems: readonly Problem[];
    };

const byUtf8 = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
const sorted = <T>(record: Readonly<Record<string, T>>): [string, T][] =>
  Object.entries(record).sort(([a], [b]) => byUtf8(a, b));

/** Reads a spec whole; a task that stands twice is a problem here, because no mapping can hold both. */
export async function readWhole(bytes: Uint8Array, path: string): Promise<WholeReading> {
  const reading = await readSpec(bytes, { path });
  if (!reading.ok) return reading;
  const { spec } = reading;
  if (spec.broken.length > 0) return { ok: false, code: "SPEC_INVALID", problems: spec.broken };
  const { sections, rawTask } = await rawOf(asBuffer(bytes), spec);
  const tasks = spec.tasks.map(({ task }) => [task.id, taskFields(task, rawTask(task.id))] as const);
  const { project, features: _, tasks: __, ...others } = sections;
  return {
    ok: true,
    whole: {
      project: projectFields(project),
      tasks: Object.fromEntries(tasks.toSorted(([a], [b]) => byUtf8(a, b))),
      features: Object.fromEntries(sorted(spec.features).filter(([, ids]) => ids.length > 0)),
      ...Object.fromEntries(sorted(others).flatMap(([key, value]) => kept(key, value))),
    },
  };
}

interface Raw {
  /** The top-level keys; those of a spec in blocks without `tasks`. */
  readonly sections: Fields;
  readonly rawTask: (id: string) => Fields;
}

async function rawOf(buffer: Buffer, spec: Spec): Promise<Raw> {
  if (spec.layout.kind === "tree") {
    const { readTree } = await import("./tree.ts");
    const tree = await readTree(buffer);
    if (!tree.ok) throw new Error("a spec that was read cannot be read as a tree");
    const { tasks } = tree.tree.value;
    return { sections: tree.tree.value, rawTask: (id) => mapping(isMapping(tasks) ? tasks[id] : {}) };
  }
  const blocks = new Map(
    spec.tasks.map(({ task, start, length }) => [task.id, buffer.toString("utf8", start, start + length)]),
  );
  const { tasks_start, tasks_end } = spec.layout;
  const cut = tasks_start < 0 ? buffer.length : tasks_start;
  const around = [buffer.toString("utf8", 0, cut), buffer.toString("utf8", Math.max(cut, tasks_end))];
  const sections = around.map((text) => mapping(parseFast(text.replace(/^\ufeff/, ""))));
  return {
    sections: { ...sections[0], ...sections[1] },
    rawTask: (id) => mapping(Object.values(mapping(parseFast(blocks.get(id) ?? "")))[0]),
  };
}

const mapping = (value: unknown): Fields => (isMapping(value) ? value : {});

/** Nested mappings that keep their unknown keys. */
const NESTED = ["completed_in", "prd"] as const;

function taskFields(task: Task, raw: Fields): Fields {
  const known = FIELD_ORDER.flatMap((key) =>
    kept(key, (NESTED as readonly string[]).includes(key) ? raw[key] : task[key]),
  );
  const unknown = sorted(raw).filter(([key]) => !(FIELD_ORDER as readonly string[]).includes(key));
  return Object.fromEntries([...known, ...unknown.flatMap(([key, value]) => kept(key, value))]);
}

function projectFields(value: unknown): Fields {
  const { name, default_branch, conventions, ...others } = mapping(value);
  const fields = Object.entries({ name, default_branch, conventions }).concat(sorted(others));
  return Object.fromEntries(fields.flatMap(([key, item]) => kept(key, item)));
}

/** The entry, unless it says nothing. */
function kept(key: string, value: unknown): [string, unknown][] {
  const said = saying(value);
  return said === undefined ? [] : [[key, said]];
}

/** The value without what says nothing; `undefined` when nothing is left. */
function saying(value: unknown): unknown {
  if (value === null) return undefined;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value;
  if (!isMapping(value)) return value;
  const entries = Object.entries(value).flatMap(([key, item]) => kept(key, item));
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

export interface Restoring {
  readonly created: readonly string[];
  /** Tasks that are there already, with the same content. */
  readonly same: readonly string[];
  /** What is there and says something else: ids of tasks, names of sections. */
  readonly conflicts: readonly string[];
  /** @param predecessor the greatest id in the file that sorts before this one. */
  readonly edits: (predecessor: (id: string) => string | undefined) => SpecEdit[];
}

/**
 * How to bring what a snapshot holds into a spec. Tasks that are there with the same content stay as they are; a spec without tasks
 * takes the snapshot's project too.
 * @throws LodestarError `USAGE` when a task of the snapshot is none.
 */
export function restoring(own: WholeSpec, from: WholeSpec): Restoring {
  const fresh = Object.keys(own.tasks).length === 0;
  const conflicts: string[] = [];
  const created: string[] = [];
  const same: string[] = [];
  for (const [id, fields] of Object.entries(from.tasks)) {
    if (!Object.hasOwn(own.tasks, id)) created.push(id);
    else if (Bun.deepEquals(own.tasks[id], fields)) same.push(id);
    else conflicts.push(id);
  }
  const sections: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(from)) {
    if (key === "tasks" || key === "features" || Bun.deepEquals(own[key], value)) continue;
    if (own[key] !== undefined && !(key === "project" && fresh)) conflicts.push(key);
    else sections[key] = key === "project" ? replacing(own.project, from.project) : value;
  }
  const tasks = created.map((id) => asTask(id, from.tasks[id]));
  return {
    created,
    same,
    conflicts,
    edits: (predecessor) => [
      ...Object.entries(sections).map(([key, value]) => ({
        kind: "section" as const,
        key,
        value: value as Patch[string],
      })),
      ...tasks.map(({ task, more }) => ({ kind: "add" as const, task, more, after: predecessor(task.id) })),
      ...Object.entries(from.features).flatMap(([feature, ids]) => {
        const there = Object.hasOwn(own.features, feature) ? (own.features[feature] ?? []) : [];
        return ids
          .filter((task_id) => !there.includes(task_id))
          .map((task_id) => ({ kind: "feature" as const, feature, task_id }));
      }),
    ],
  };
}

/** A patch that makes a mapping say just what another says. */
function replacing(own: Fields, from: Fields): Patch {
  const gone = Object.keys(own).filter((key) => !Object.hasOwn(from, key));
  const patch = Object.entries(from).map(([key, value]) => {
    const old = own[key];
    return [key, isMapping(value) && isMapping(old) ? replacing(old, value) : value] as const;
  });
  return Object.fromEntries([...patch, ...gone.map((key) => [key, undefined] as const)]) as Patch;
}

function asTask(id: string, value: unknown): { readonly task: Task; readonly more: Fields } {
  const reading = readTask(id, value);
  if (!reading.ok) {
    const [issue] = reading.issues;
    throw new LodestarError("USAGE", `Task ${id} of the snapshot: ${issue?.path.join(".")} ${issue?.message}.`, {
      details: { task_id: id, issues: reading.issues.map(({ path, message }) => ({ field: path.join("."), message })) },
    });
  }
  const known = FIELD_ORDER.filter((key) => !(NESTED as readonly string[]).includes(key)) as readonly string[];
  return {
    task: reading.value,
    more: Object.fromEntries(Object.entries(mapping(value)).filter(([key]) => !known.includes(key))),
  };
}

/** What a command may change in a spec, and a batch of it put in order. */
import { LodestarError } from "../core/errors.ts";
import type { Task } from "../core/task.ts";
import type { Layout } from "./model.ts";
import { EMPTIED, type Patch } from "./patch.ts";
import type { Value } from "./scalar.ts";

/** Fields to set; a key that is present with `undefined` removes the field from the file. */
export type TaskFieldsPatch = { readonly [K in Exclude<keyof Task, "id">]?: Task[K] | undefined };

export type SpecEdit =
  | { readonly kind: "set"; readonly task_id: string; readonly fields: TaskFieldsPatch }
  /** `after`: the greatest id in the file that sorts before this one; without it the task comes first. */
  | {
      readonly kind: "add";
      readonly task: Task;
      readonly after?: string | undefined;
      /** Keys besides those of {@link FIELD_ORDER}, or whole values that take the place of such a field. */
      readonly more?: Readonly<Record<string, unknown>>;
    }
  /** Adds a task to a feature's list, which is made as needed. */
  | { readonly kind: "feature"; readonly feature: string; readonly task_id: string }
  | { readonly kind: "convention"; readonly key: string; readonly value: string | undefined }
  /** Sets a section besides tasks and features; a mapping is patched, anything else is replaced. */
  | { readonly kind: "section"; readonly key: string; readonly value: Patch[string] }
  /** Removes all tasks and features. */
  | { readonly kind: "clear" };

/** The bytes do not hold what the caller's index says; read them again and plan the edit anew. */
export class StaleBlock extends Error {
  override readonly name = "StaleBlock";
  readonly task_id: string;

  constructor(task_id: string) {
    super(`the block of task ${task_id} is not where it was`);
    this.task_id = task_id;
  }
}

/** Where a task's block is, as far as an index knows: its hash and its length in bytes. */
export type Locate = (task_id: string) => { readonly hash: bigint; readonly length: number } | undefined;

export interface ChangedTask {
  readonly task: Task;
  readonly hash: bigint;
  readonly length: number;
}

export interface AppliedEdits {
  /** The new file in order: parts of the given bytes and new ones. */
  readonly pieces: readonly Uint8Array[];
  readonly length: number;
  readonly layout: Layout;
  /** The tasks whose bytes are other than before, with what an index must know of them. */
  readonly changed: readonly ChangedTask[];
}

/** The order in which a task's fields are written. */
export const FIELD_ORDER = [
  "title",
  "description",
  "acceptance_criteria",
  "depends_on",
  "labels",
  "locks",
  "priority",
  "status",
  "reopens",
  "created_at",
  "updated_at",
  "completed_at",
  "completed_by",
  "completed_in",
  "verified_at",
  "verified_by",
  "prd",
] as const satisfies readonly Exclude<keyof Task, "id">[];

const PARTS: Readonly<Record<string, readonly string[]>> = {
  completed_in: ["branch", "commit"],
  prd: ["source", "refs", "excerpt", "prd_hash"],
};

/** The keys that a new key of a task, or of a mapping in it, comes behind: nearest first. */
export function fieldsBefore(key: string, parent: string | undefined): readonly string[] {
  const order: readonly string[] = parent === undefined ? FIELD_ORDER : (PARTS[parent] ?? []);
  return order.slice(0, Math.max(0, order.indexOf(key))).toReversed();
}

/** The patch of a task's mapping. Unknown keys inside `completed_in` and `prd` are kept, known ones that are left out go. */
export function taskPatch(fields: TaskFieldsPatch): Patch {
  const patch: Record<string, Patch[string]> = {};
  for (const key of FIELD_ORDER) {
    if (!Object.hasOwn(fields, key)) continue;
    const value = fields[key] as Patch[string];
    const parts = PARTS[key];
    patch[key] =
      value === undefined || parts === undefined
        ? value
        : Object.fromEntries(parts.map((part) => [part, (value as Record<string, Value | undefined>)[part]]));
  }
  return patch;
}

/** A new task's mapping: fields in their order, empty lists left out, then what else it holds. */
export function newTaskPatch({ task, more }: Add): Patch {
  const entries = Object.entries({ ...taskPatch(task), ...(more as Patch) });
  return Object.fromEntries(
    entries.filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0)),
  );
}

/** A task to write, behind the task `after` of the file. */
export interface Add {
  readonly task: Task;
  readonly after: string | undefined;
  readonly more: Readonly<Record<string, unknown>>;
}

/** A batch: what it does to each task and section, however many edits said so. */
export interface Batch {
  readonly sets: ReadonlyMap<string, TaskFieldsPatch>;
  readonly adds: readonly Add[];
  readonly features: ReadonlyMap<string, readonly string[]>;
  readonly conventions: ReadonlyMap<string, string | undefined>;
  readonly sections: ReadonlyMap<string, Patch[string]>;
}

const byUtf8 = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/**
 * Gathers edits, the later over the earlier. Adds are sorted by id; an add behind a task that is added too goes to where
 * that one goes.
 */
export function gather(edits: readonly SpecEdit[]): Batch {
  const sets = new Map<string, TaskFieldsPatch>();
  const adds = new Map<string, { task: Task; after: string | undefined; more: Add["more"] }>();
  const features = new Map<string, string[]>();
  const conventions = new Map<string, string | undefined>();
  const sections = new Map<string, Patch[string]>();
  for (const edit of edits) {
    if (edit.kind === "add") {
      if (adds.has(edit.task.id)) throw new Error(`task ${edit.task.id} is added twice in one batch`);
      adds.set(edit.task.id, { task: edit.task, after: edit.after, more: edit.more ?? {} });
    } else if (edit.kind === "set") {
      const added = adds.get(edit.task_id);
      if (added !== undefined) added.task = withFields(added.task, edit.fields);
      else sets.set(edit.task_id, { ...sets.get(edit.task_id), ...edit.fields });
    } else if (edit.kind === "feature") {
      const ids = features.get(edit.feature) ?? [];
      if (!ids.includes(edit.task_id)) ids.push(edit.task_id);
      features.set(edit.feature, ids);
    } else if (edit.kind === "convention") conventions.set(edit.key, edit.value);
    else if (edit.kind === "section") sections.set(edit.key, edit.value);
  }
  const anchored = [...adds.values()].map(({ task, after, more }) => {
    let anchor = after;
    while (anchor !== undefined && adds.has(anchor)) anchor = adds.get(anchor)?.after;
    return { task, after: anchor, more };
  });
  return { sets, adds: anchored.sort((a, b) => byUtf8(a.task.id, b.task.id)), features, conventions, sections };
}

function withFields(task: Task, fields: TaskFieldsPatch): Task {
  const set = Object.entries({ ...task, ...fields }).filter(([, value]) => value !== undefined);
  return { ...task, ...Object.fromEntries(set) };
}

/** The patch of the sections around the tasks. `features` are the lists as the file has them. */
export function sectionsPatch(batch: Batch, features: Readonly<Record<string, unknown>>): Patch {
  const patch: Record<string, Patch[string]> = Object.fromEntries(batch.sections);
  if (batch.conventions.size > 0) patch.project = { conventions: Object.fromEntries(batch.conventions) };
  if (batch.features.size > 0) {
    const lists = [...batch.features].map(([feature, ids]) => {
      const old = Object.hasOwn(features, feature) ? features[feature] : undefined;
      const before = Array.isArray(old) ? (old as string[]) : [];
      return [feature, [...before, ...ids.filter((id) => !before.includes(id))]];
    });
    patch.features = Object.fromEntries(lists);
  }
  return patch;
}

/** The patch that empties those of these sections that exist. */
export function emptied(value: Readonly<Record<string, unknown>>, keys: readonly string[]): Patch {
  return Object.fromEntries(keys.filter((key) => Object.hasOwn(value, key)).map((key) => [key, EMPTIED]));
}

/** @throws LodestarError `ID_TAKEN` when a task to add is there already. */
export function checkNew(batch: Batch, exists: (task_id: string) => boolean): void {
  const taken = batch.adds.find(({ task }) => exists(task.id))?.task.id;
  if (taken === undefined) return;
  throw new LodestarError("ID_TAKEN", `There is a task ${taken} already.`, { details: { task_id: taken } });
}

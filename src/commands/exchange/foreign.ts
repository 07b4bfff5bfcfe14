/** What every other tool's tasks have in common, and the way from there to tasks of ours. */
import { check } from "../../core/check.ts";
import { LodestarError } from "../../core/errors.ts";
import { isNewId } from "../../core/ids.ts";
import type { Status } from "../../core/status.ts";
import { formatInstant, readInstant } from "../../core/time.ts";
import { ImportedTask, type Item } from "../task/import.ts";
import { addFamilies } from "./families.ts";

/** One task as another tool has it, in our words. References are by its own ids. */
export interface ForeignTask {
  readonly source_id: string;
  /** Where it was read, for messages: `line 12`, `tasks/task-1.md`. */
  readonly where: string;
  readonly title: string;
  readonly description?: string | undefined;
  readonly acceptance_criteria?: readonly string[];
  readonly labels?: readonly string[];
  readonly priority?: number | undefined;
  /** `deleted`: given up there. */
  readonly status: Status;
  readonly created_at?: string | undefined;
  readonly finished_at?: string | undefined;
  readonly depends_on: readonly string[];
  readonly parent?: string | undefined;
}

/** All that one source holds. */
export interface Foreign {
  readonly tasks: readonly ForeignTask[];
  /** What is referred to but not imported → why: dependencies on it are dropped with a warning. */
  readonly gone: ReadonlyMap<string, string>;
  /** Does what a parent waits for hold up its children there? */
  readonly inherits: boolean;
  readonly warnings: readonly string[];
}

export interface Settled {
  readonly items: readonly Item[];
  /** Source's id → ours, where they differ. */
  readonly ids: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
}

/** Priorities of ours for five steps, the most urgent first; the middle one is our default. */
export const PRIORITIES = [0, 50, 100, 150, 200] as const;

const WORDS: Readonly<Record<string, number>> = Object.assign(Object.create(null), {
  ...{ critical: 0, urgent: 0, highest: 0, blocker: 0, p0: 0 },
  ...{ high: 50, p1: 50, medium: 100, normal: 100, moderate: 100, p2: 100 },
  ...{ low: 150, minor: 150, p3: 150, lowest: 200, trivial: 200, backlog: 200, p4: 200 },
});

/** The priority that a word stands for in most tools. */
export const priorityOf = (word: string | undefined): number | undefined =>
  word === undefined ? undefined : WORDS[word.trim().toLowerCase()];

const OPEN: readonly Status[] = ["todo", "ready", "blocked", "done"];

/**
 * Turns what a source holds into tasks of the import file.
 *
 * A parent becomes a feature of its id, and waits for its open children: it is what remains when they are verified. Where the source
 * means it so, children wait for what their parent waits for. Neither is added where it would close a circle.
 *
 * @param exists says whether this spec has a task of this id: what was imported before may be referred to.
 * @throws LodestarError `USAGE` naming every task that cannot be taken; `TASK_NOT_FOUND` for dependencies on nothing.
 */
export function settle(source: string, foreign: Foreign, exists: (id: string) => boolean): Settled {
  const { tasks, gone } = foreign;
  refuse(repeated(tasks));
  const ids = legalIds(tasks);
  const by_id = new Map(tasks.map((task) => [task.source_id, task]));
  const warnings = [...foreign.warnings];
  const dropped = new Map<string, string[]>();
  const missing: { id: string; message: string; task_id: string }[] = [];
  const edges = new Map<string, Set<string>>();
  for (const { source_id, where, depends_on } of tasks) {
    const kept = new Set<string>();
    for (const need of depends_on) {
      const there = by_id.get(need);
      const why =
        there?.status === "deleted" ? "given up" : there === undefined && !exists(need) ? gone.get(need) : undefined;
      if (why !== undefined) dropped.set(why, [...(dropped.get(why) ?? []), `${source_id} → ${need}`]);
      else if (there === undefined && !exists(need))
        missing.push({
          id: where,
          message: `${source_id} depends on ${need}, which is neither there nor here`,
          task_id: need,
        });
      else kept.add(need);
    }
    edges.set(source_id, kept);
  }
  if (missing.length > 0) {
    throw new LodestarError("TASK_NOT_FOUND", `${missing[0]?.message}${more(missing.length - 1)}`, {
      details: { task_id: missing[0]?.task_id, missing },
      hint: "Export all of it (closed tasks too), or remove the dependency from the file; nothing was imported.",
    });
  }
  for (const [why, pairs] of dropped) warnings.push(`Dropped dependencies on what is ${why}: ${some(pairs)}`);
  const members = tasks.map((task) => ({ ...task, open: OPEN.includes(task.status) }));
  const apart = addFamilies(members, foreign.inherits, edges);
  if (apart.length > 0)
    warnings.push(`These wait for each other already, so parents do not wait for them: ${some(apart)}`);
  const features = featuresOf(foreign, by_id, ids, exists, warnings);
  const problems: { id: string; message: string }[] = [];
  const items = tasks.map((task) => {
    const needs = [...(edges.get(task.source_id) ?? [])].map((need) => ids.get(need) ?? need);
    const { item, issues } = itemOf(task, ids.get(task.source_id) ?? task.source_id, needs, source);
    for (const message of issues) problems.push({ id: task.where, message });
    return { ...item, features: features.get(task.source_id) ?? [] };
  });
  refuse(problems);
  const changed = [...ids].filter(([before, after]) => before !== after);
  return { items, ids: Object.fromEntries(changed), warnings };
}

/** Ids that stand twice, with both places. */
function repeated(tasks: readonly ForeignTask[]): { readonly id: string; readonly message: string }[] {
  const first = new Map<string, string>();
  return tasks.flatMap(({ source_id, where }) => {
    const before = first.get(source_id);
    if (before === undefined) first.set(source_id, where);
    return before === undefined ? [] : [{ id: where, message: `${source_id} is there already (${before})` }];
  });
}

/** @throws LodestarError `USAGE` when there is any problem; names the first, and holds all. */
export function refuse(problems: readonly { readonly id: string; readonly message: string }[]): void {
  const [first] = problems;
  if (first === undefined) return;
  throw new LodestarError("USAGE", `${first.id}: ${first.message}${more(problems.length - 1)}.`, {
    details: { issues: problems.slice(0, 100) },
    hint: "Mend it in the source, or give the tool that wrote it with --from; nothing was imported.",
  });
}

const more = (count: number): string => (count > 0 ? ` (and ${count} more)` : "");
const some = (texts: readonly string[]): string =>
  texts.length > 10 ? `${texts.slice(0, 10).join(", ")} and ${texts.length - 10} more` : texts.join(", ");

/** Each id as it is where it may be an id here; else the nearest one that may, told apart from all others. */
function legalIds(tasks: readonly ForeignTask[]): Map<string, string> {
  const ids = new Map<string, string>();
  const taken = new Set<string>();
  for (const { source_id } of tasks) if (isNewId(source_id)) taken.add(source_id);
  for (const { source_id } of tasks) {
    if (ids.has(source_id)) continue;
    let id = source_id;
    if (!isNewId(id)) {
      const near =
        id
          .normalize("NFC")
          .replace(/[^\p{L}\p{N}._-]+/gu, "-")
          .replace(/\.{2,}/g, ".")
          .replace(/^[._-]+|[._-]+$/g, "")
          .slice(0, 90) || "task";
      for (let n = 1; ; n += 1) {
        id = n === 1 ? near : `${near}-${n}`;
        if (isNewId(id) && !taken.has(id)) break;
      }
    }
    taken.add(id);
    ids.set(source_id, id);
  }
  return ids;
}

/** The features that each task belongs to: its parent's, and its own when it has children. */
function featuresOf(
  { tasks }: Foreign,
  by_id: ReadonlyMap<string, ForeignTask>,
  ids: ReadonlyMap<string, string>,
  exists: (id: string) => boolean,
  warnings: string[],
): Map<string, string[]> {
  const features = new Map<string, string[]>();
  const orphans: string[] = [];
  const put = (task: string, feature: string) => {
    const list = features.get(task) ?? [];
    if (!list.includes(feature)) features.set(task, [...list, feature]);
  };
  for (const { source_id, parent } of tasks) {
    if (parent === undefined) continue;
    const feature = by_id.has(parent) ? ids.get(parent) : exists(parent) ? parent : undefined;
    if (feature === undefined) orphans.push(`${source_id} (${parent})`);
    else {
      if (by_id.has(parent)) put(parent, feature);
      put(source_id, feature);
    }
  }
  if (orphans.length > 0) warnings.push(`Their parents are not there, so they are in no feature: ${some(orphans)}`);
  return features;
}

function itemOf(
  task: ForeignTask,
  id: string,
  depends_on: readonly string[],
  source: string,
): { readonly item: Item; readonly issues: readonly string[] } {
  const { title, acceptance_criteria = [], labels = [], priority, status } = task;
  const description = task.description?.trim();
  const created = instantOf(task.created_at);
  const finished = instantOf(task.finished_at) ?? created;
  const isOpen = status === "todo" || status === "ready" || status === "blocked";
  const at = finished === undefined ? {} : { completed_at: finished };
  const history = {
    ...(created === undefined ? {} : { created_at: created }),
    ...(isOpen ? {} : { status }),
    ...(status === "done" || status === "verified" ? at : {}),
    ...(status === "verified" && finished !== undefined ? { verified_at: finished } : {}),
  };
  const fields = {
    id,
    title: title.trim(),
    ...(description === undefined || description === "" ? {} : { description }),
    ...(acceptance_criteria.length === 0 ? {} : { acceptance_criteria: [...acceptance_criteria] }),
    ...(depends_on.length === 0 ? {} : { depends_on: [...depends_on] }),
    labels: [...new Set([...labels.map((label) => label.trim()).filter((label) => label !== ""), `from:${source}`])],
    ...(priority === undefined ? {} : { priority }),
    ...(isOpen ? { status } : {}),
  };
  const issues = check(ImportedTask, fields).map(
    ({ path, message }) => `${task.source_id}: ${path.join(".")} ${message}`,
  );
  const texts = [fields.title, description ?? "", ...acceptance_criteria, ...fields.labels];
  if (texts.some((text) => text.includes("\0") || !text.isWellFormed()))
    issues.push(`${task.source_id}: a text holds a NUL character or half a character`);
  return { item: { ...fields, ...(Object.keys(history).length === 0 ? {} : { history }) } as Item, issues };
}

function instantOf(text: string | undefined): string | undefined {
  const at = text === undefined ? undefined : readInstant(text);
  return at === undefined ? undefined : formatInstant(at);
}

/** The fields of one record, read with their types; what is wrong is noted with its place. */
export class Fields {
  readonly #record: Readonly<Record<string, unknown>>;
  readonly #where: string;
  readonly #problems: { id: string; message: string }[];

  constructor(record: Readonly<Record<string, unknown>>, where: string, problems: { id: string; message: string }[]) {
    this.#record = record;
    this.#where = where;
    this.#problems = problems;
  }

  /** Any value of its own; null counts as absent. */
  value(...names: readonly string[]): unknown {
    for (const name of names) {
      if (Object.hasOwn(this.#record, name) && this.#record[name] !== null) return this.#record[name];
    }
    return undefined;
  }

  wrong(message: string): void {
    this.#problems.push({ id: this.#where, message });
  }

  /** A text with line ends LF; `undefined` when absent or empty. */
  text(...names: readonly string[]): string | undefined {
    const value = this.value(...names);
    if (value === undefined || value === "") return undefined;
    if (typeof value === "string") return value.replaceAll("\r\n", "\n");
    this.wrong(`${names[0]} must be a text`);
    return undefined;
  }

  /** A text or a whole number, as text: how tools write ids. */
  id(...names: readonly string[]): string | undefined {
    const value = this.value(...names);
    return Number.isSafeInteger(value) ? String(value) : this.text(...names)?.trim();
  }

  list(...names: readonly string[]): readonly unknown[] {
    const value = this.value(...names);
    if (value === undefined) return [];
    if (Array.isArray(value)) return value;
    this.wrong(`${names[0]} must be a list`);
    return [];
  }

  /** A list of texts or whole numbers, as texts. */
  texts(...names: readonly string[]): string[] {
    return this.list(...names).flatMap((item) => {
      if (typeof item === "string") return item.trim() === "" ? [] : [item.trim()];
      if (Number.isSafeInteger(item)) return [String(item)];
      this.wrong(`${names[0]} must hold texts`);
      return [];
    });
  }
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const ITEM = /^\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?(?:#\d+\s+)?(.*\S)\s*$/;

/** Criteria that are written as a list, one each; text that is no list is one criterion. */
export function criteriaOf(text: string | undefined): string[] {
  const lines = (text ?? "").split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) return [];
  const [first = ""] = lines;
  if (!ITEM.test(first)) return [lines.join("\n").trim()];
  const criteria: string[] = [];
  for (const line of lines) {
    const item = ITEM.exec(line)?.[1];
    if (item !== undefined) criteria.push(item);
    else criteria.push(`${criteria.pop()} ${line.trim()}`);
  }
  return criteria;
}

/** Takes the section of acceptance criteria out of a Markdown text, if it is a list. */
export function splitCriteria(body: string): { readonly rest: string; readonly criteria: string[] } {
  const lines = body.split("\n");
  const start = lines.findIndex((line) => /^#{1,6}\s+acceptance criteria\b/i.test(line));
  if (start < 0) return { rest: body, criteria: [] };
  const depth = /^#+/.exec(lines[start] ?? "")?.[0].length ?? 1;
  const length = lines.slice(start + 1).findIndex((line) => (/^#+(?=\s)/.exec(line)?.[0].length ?? 7) <= depth);
  const end = length < 0 ? lines.length : start + 1 + length;
  const inside = lines.slice(start + 1, end).filter((line) => line.trim() !== "");
  if (inside.length === 0 || !ITEM.test(inside[0] ?? "")) return { rest: body, criteria: [] };
  const rest = [...lines.slice(0, start), ...lines.slice(end)].join("\n").replace(/\n{3,}/g, "\n\n");
  return { rest, criteria: criteriaOf(inside.join("\n")) };
}

/** The shape of the spec file as JSON Schema, and the way from a parsed value to the types of spec/model.ts. */
import { check, type Issue } from "../core/check.ts";
import {
  Dictionary,
  Duration,
  Instant,
  Integer,
  List,
  OneOf,
  Optional,
  Shape,
  type Static,
  StatusWord,
  Text,
  Union,
} from "../core/schema.ts";
import type { Task } from "../core/task.ts";
import { compileFits } from "./fits.ts";
import type { Conventions, Project } from "./model.ts";

/** An old integer `reopens: n` stands for n returns to work; a larger one is no count that anybody made. */
const MAX_OLD_REOPENS = 1000;

export const CompletedInSchema = Shape({ branch: Text(), commit: Optional(Text()) });

export const PrdRefSchema = Shape({
  anchor: Text(),
  lines: Optional(Union([List(Integer()), Text()])),
  hash: Optional(Text()),
});

export const PrdSchema = Shape({
  source: Text(),
  refs: Optional(List(PrdRefSchema)),
  excerpt: Optional(Text()),
  prd_hash: Optional(Text()),
});

/** One entry of `tasks:`. `null` for an optional field counts as absent; unknown keys are kept. */
export const TaskSchema = Shape({
  title: Text({ description: "What the work is, in one line" }),
  description: Optional(Text()),
  acceptance_criteria: Optional(List(Text())),
  depends_on: Optional(List(Text(), { description: "Ids of the tasks that must be verified first" })),
  labels: Optional(List(Text())),
  locks: Optional(List(Text(), { description: "Glob patterns that the task owns while it is claimed" })),
  priority: Optional(Integer({ description: "Lower comes first; 100 when left out" })),
  status: StatusWord,
  reopens: Optional(
    Union([List(Text()), Integer({ minimum: 0, maximum: MAX_OLD_REOPENS })], {
      description: "A short random id for each return to work; an old integer n reads as 1 to n",
    }),
  ),
  created_at: Optional(Instant),
  updated_at: Optional(Instant),
  completed_at: Optional(Instant),
  completed_by: Optional(Text()),
  completed_in: Optional(CompletedInSchema),
  verified_at: Optional(Instant),
  verified_by: Optional(Text()),
  prd: Optional(PrdSchema),
});

export const ConventionsSchema = Shape({
  locks: Optional(OneOf(["warn", "enforce"])),
  verify: Optional(OneOf(["any", "other"])),
  spec: Optional(OneOf(["branch", "main"])),
  lease_ttl: Optional(Union([Duration(), Integer({ minimum: 1 })])),
  keep_events: Optional(Duration()),
  keep_messages: Optional(Duration()),
  runtime: Optional(Text()),
  project_id: Optional(Text()),
});

export const ProjectSchema = Shape({
  name: Optional(Text()),
  default_branch: Optional(Text()),
  conventions: Optional(ConventionsSchema),
});

export const FeaturesSchema = Dictionary(Text(), List(Text()));

/** The whole of `.lodestar/spec.yaml`. */
export const SpecSchema = Shape({
  project: Optional(ProjectSchema),
  tasks: Optional(Dictionary(Text(), TaskSchema)),
  features: Optional(FeaturesSchema),
});

/** A value as read, or what is wrong with it; paths begin at the value. */
export type Reading<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly issues: Issue[] };

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The mapping without its nulls; the same object when it has none. */
function withoutNulls(value: unknown): unknown {
  if (!isMapping(value)) return value;
  for (const key in value) {
    if (value[key] === null) return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null));
  }
  return value;
}

function present(value: unknown): unknown {
  const mapping = withoutNulls(value);
  if (!isMapping(mapping) || (mapping.prd === undefined && mapping.completed_in === undefined)) return mapping;
  const copy = { ...mapping };
  if (isMapping(copy.completed_in)) copy.completed_in = withoutNulls(copy.completed_in);
  if (isMapping(copy.prd)) {
    const prd = { ...(withoutNulls(copy.prd) as Record<string, unknown>) };
    if (Array.isArray(prd.refs)) prd.refs = prd.refs.map(withoutNulls);
    copy.prd = prd;
  }
  return copy;
}

export function readReopens(value: readonly string[] | number | undefined): readonly string[] {
  if (value === undefined) return [];
  if (typeof value === "number") return Array.from({ length: value }, (_, i) => String(i + 1)).sort();
  return value.length < 2 ? value : [...new Set(value)].sort();
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function pick<T extends object, K extends keyof T>(value: T, keys: readonly K[]): Pick<T, K> {
  const picked = {} as Pick<T, K>;
  for (const key of keys) if (value[key] !== undefined) picked[key] = value[key];
  return picked;
}

const fitsTask = compileFits(TaskSchema);

/** Reads one entry of `tasks:`. */
export function readTask(id: string, value: unknown): Reading<Task> {
  const fields = present(value);
  const issues = fitsTask(fields) ? [] : check(TaskSchema, fields);
  if (issues.length > 0) return { ok: false, issues };
  const raw = fields as Static<typeof TaskSchema>;
  const task: Mutable<Task> = {
    id,
    title: raw.title,
    acceptance_criteria: raw.acceptance_criteria ?? [],
    depends_on: raw.depends_on ?? [],
    labels: raw.labels ?? [],
    locks: raw.locks ?? [],
    priority: raw.priority ?? 100,
    status: raw.status as Task["status"],
    reopens: readReopens(raw.reopens),
  };
  if (raw.description !== undefined) task.description = raw.description;
  if (raw.created_at !== undefined) task.created_at = raw.created_at;
  if (raw.updated_at !== undefined) task.updated_at = raw.updated_at;
  if (raw.completed_at !== undefined) task.completed_at = raw.completed_at;
  if (raw.verified_at !== undefined) task.verified_at = raw.verified_at;
  if (raw.completed_by !== undefined) task.completed_by = raw.completed_by;
  if (raw.verified_by !== undefined) task.verified_by = raw.verified_by;
  if (raw.completed_in !== undefined) task.completed_in = pick(raw.completed_in, ["branch", "commit"]);
  if (raw.prd !== undefined) {
    const prd = pick(raw.prd, ["source", "refs", "excerpt", "prd_hash"]);
    task.prd =
      prd.refs === undefined ? prd : { ...prd, refs: prd.refs.map((ref) => pick(ref, ["anchor", "lines", "hash"])) };
  }
  return { ok: true, value: task };
}

/** Reads `project:`; an absent one has no name and the branch `main`. */
export function readProject(value: unknown): Reading<Project> {
  const fields = withoutNulls(value) ?? {};
  const plain =
    isMapping(fields) && isMapping(fields.conventions)
      ? { ...fields, conventions: withoutNulls(fields.conventions) }
      : fields;
  const issues = check(ProjectSchema, plain);
  if (issues.length > 0) return { ok: false, issues };
  const { name = "", default_branch = "main", conventions = {} } = plain as Static<typeof ProjectSchema>;
  const { lease_ttl, ...known } = pick(conventions, [
    "locks",
    "verify",
    "spec",
    "lease_ttl",
    "keep_events",
    "keep_messages",
    "runtime",
    "project_id",
  ]) as Omit<Conventions, "lease_ttl"> & { lease_ttl?: string | number };
  const read: Conventions = lease_ttl === undefined ? known : { ...known, lease_ttl: String(lease_ttl) };
  return { ok: true, value: { name, default_branch, conventions: read } };
}

/** Reads `features:`; the result has no inherited keys that a feature's name could meet. */
export function readFeatures(value: unknown): Reading<Readonly<Record<string, readonly string[]>>> {
  const lists = isMapping(value)
    ? Object.fromEntries(Object.entries(value).map(([feature, ids]) => [feature, ids ?? []]))
    : (value ?? {});
  const issues = check(FeaturesSchema, lists);
  if (issues.length > 0) return { ok: false, issues };
  return { ok: true, value: Object.assign(Object.create(null), lists) };
}

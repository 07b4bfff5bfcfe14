import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { check } from "../../core/check.ts";
import { LodestarError } from "../../core/errors.ts";
import { topologicalOrder } from "../../core/graph.ts";
import { newTaskId } from "../../core/ids.ts";
import {
  AgentId,
  Dictionary,
  Flag,
  Integer,
  List,
  OneOf,
  Optional,
  Shape,
  type Static,
  TaskId,
  Text,
  Union,
  Unknown,
} from "../../core/schema.ts";
import type { Prd, Task } from "../../core/task.ts";
import { formatInstant } from "../../core/time.ts";
import { line, list, note } from "../../core/view.ts";
import type { RuntimeTask } from "../../runtime/store.ts";
import type { SpecEdit } from "../../spec/document.ts";
import type { SpecIndex } from "../../spec/index.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { requireRegistered } from "../refused.ts";
import { tell } from "../tell.ts";
import { settledPlan } from "./create.ts";
import { checkFreeId, cycleError, newTask } from "./planning.ts";

const Words = List(Text({ minLength: 1 }));

/** One task of the file: the fields of spec.yaml that planning may set, an `id` or not, a `ref` for the others of the file. */
export const ImportedTask = Shape(
  {
    id: Optional(Text({ minLength: 1 })),
    ref: Optional(Text({ minLength: 1, description: "Name within this file, for depends_on" })),
    title: Text({ minLength: 1, maxLength: 1000 }),
    description: Optional(Text({ maxLength: 1_000_000 })),
    acceptance_criteria: Optional(Words),
    depends_on: Optional(Words),
    labels: Optional(Words),
    locks: Optional(Words),
    priority: Optional(Integer()),
    status: Optional(OneOf(["todo", "ready", "blocked"])),
    feature: Optional(Text({ minLength: 1 })),
    prd: Optional(
      Shape(
        {
          source: Text({ minLength: 1 }),
          refs: Optional(
            List(
              Union([
                Text({ minLength: 1 }),
                Shape(
                  { anchor: Text({ minLength: 1 }), lines: Optional(List(Integer())), hash: Optional(Text()) },
                  { additionalProperties: false },
                ),
              ]),
            ),
          ),
          excerpt: Optional(Text({ maxLength: 100_000 })),
          prd_hash: Optional(Text()),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);
type Imported = Static<typeof ImportedTask>;

export const CONFLICTS = ["error", "skip", "update"] as const;

export default command({
  name: "task.import",
  effect: "write",
  summary: "Create many tasks in one call, all or none",
  explain:
    "Reads YAML or JSON: {defaults?, tasks}, where tasks is a mapping of ids as in spec.yaml or a list. A task without id gets one; `ref` names it within the file, so that others can depend on it. `prd: {source, refs: ['#section'], excerpt}` cites a product document: the sections are frozen as they are now, unless they carry a hash from before. Everything is checked before anything is written: ids, dependencies, circles. For ids that exist: --on-existing error (default), skip, or update (planning fields only; an outcome is never touched).",
  tool: true,
  destructive: true,
  tool_omits: ["text"],
  tool_bare: ["dry_run", "on_existing"],
  positional: ["file"],
  files: ["file"],
  options: { agent_id: "agent" },
  input: Shape({
    file: Optional(Text({ minLength: 1, description: "File to read; - for standard input" })),
    text: Optional(Text({ description: "The text itself" })),
    tasks: Optional(
      List(Dictionary(Text(), Unknown()), {
        description:
          "Each {title, id?, ref?, description?, acceptance_criteria?, depends_on?, labels?, locks?, priority?, status?, feature?, prd?: {source, refs, excerpt?}}",
      }),
    ),
    dry_run: Optional(Flag({ description: "Only say what would happen" })),
    on_existing: Optional(OneOf(CONFLICTS, { description: "What to do with ids that exist (default error)" })),
    agent_id: Optional(AgentId),
  }),
  output: Shape({
    created: List(TaskId),
    updated: Optional(List(TaskId)),
    skipped: Optional(List(TaskId)),
    count: Integer(),
    ids: Optional(Dictionary(Text(), TaskId)),
    dry_run: Optional(Flag()),
  }),
  errors: [
    "AGENT_NOT_FOUND",
    "ID_TAKEN",
    "INVALID_ID",
    "TASK_NOT_FOUND",
    "DEPENDENCY_CYCLE",
    "PATH_NOT_FOUND",
    "ANCHOR_NOT_FOUND",
    "PRD_OUTSIDE_REPOSITORY",
  ],
  examples: [
    { line: "lodestar task import plan.yaml --dry-run", shows: "Look before" },
    { line: "lodestar task import - < plan.json", shows: "From another program" },
  ],
  only_reads: (input) => input.dry_run === true,
  run: async (input, context) => {
    const { planned, named } = await importTasks(read(input, context), input, context);
    const refs = named.filter(({ ref }) => ref !== undefined).map(({ ref, id }) => [ref as string, id]);
    return {
      created: planned.created,
      ...(planned.updated.length === 0 ? {} : { updated: planned.updated }),
      ...(planned.skipped.length === 0 ? {} : { skipped: planned.skipped }),
      count: planned.created.length + planned.updated.length,
      ...(refs.length === 0 ? {} : { ids: Object.fromEntries(refs) as Record<string, string> }),
      ...(input.dry_run === true ? { dry_run: true } : {}),
    };
  },
  next: ({ dry_run }) =>
    dry_run === true ? [] : [{ command: "task.next", input: {}, why: "See what can be claimed" }],
  view: ({ created, updated, skipped, dry_run }) => [
    line(
      `${dry_run === true ? "Would create" : "Created"} ${created.length} task(s)${updated === undefined ? "" : `, ${dry_run === true ? "update" : "updated"} ${updated.length}`}${skipped === undefined ? "" : `, skipped ${skipped.length}`}`,
      "good",
    ),
    ...(created.length === 0 ? [] : [list(created.slice(0, 20), "Created")]),
    ...(created.length > 20 ? [note(`and ${created.length - 20} more`)] : []),
  ],
});

/** A task to import, and what only its source can know of it. */
export interface Item extends Imported {
  /** Fields that planning may not set: an outcome that was reached elsewhere, and when. */
  /** Besides `feature`: several at once. */
  readonly features?: readonly string[];
  readonly history?: Partial<Pick<Task, "status" | "created_at" | "completed_at" | "verified_at">>;
}

export interface ImportOptions {
  readonly dry_run?: boolean;
  readonly on_existing?: (typeof CONFLICTS)[number];
  readonly agent_id?: string;
}

/** Creates many tasks in one save, all or none; with `dry_run` only says what would happen. */
export async function importTasks(
  items: readonly Item[],
  input: ImportOptions,
  context: Context,
): Promise<{ readonly planned: Plan; readonly named: readonly Named[] }> {
  const agent = context.actor(input.agent_id);
  const mode = input.on_existing ?? "error";
  if (input.dry_run !== true) await requireRegistered(context, agent);
  const index = await context.spec.index(input.dry_run === true ? "read" : "write");
  const fresh = name(items, context, index);
  const runtime = input.dry_run === true ? await context.runtimeIfAny() : await context.runtime();
  const { named: settled, now } = input.dry_run === true ? fresh : await settledPlan(context, fresh);
  const named = await withProduct(context, index, settled);
  const known = (await runtime?.lookup(named.map(({ id }) => id))) ?? [];
  if (input.dry_run === true) return { planned: plan(index, named, known, mode, now, false), named };
  const planned = await context.spec.locked(async (session) => {
    let latest: Plan = { created: [], updated: [], skipped: [], edits: [] };
    await session.save((current) => {
      latest = plan(current, named, known, mode, now, context.idempotency("plan") !== undefined);
      return latest.edits;
    });
    return latest;
  });
  const by = agent === undefined ? {} : { agent_id: agent };
  await tell(context, runtime, [
    ...planned.created.map((task_id) => ({ type: "task.created" as const, task_id, ...by })),
    ...planned.updated.map((task_id) => ({ type: "task.updated" as const, task_id, ...by })),
  ]);
  return { planned, named };
}

interface Settled extends Item {
  readonly id: string;
}

/** With its product context frozen. */
interface Named extends Omit<Settled, "prd"> {
  readonly prd?: Prd;
}

/** Freezes what the tasks cite; each document is read once. */
async function withProduct(context: Context, index: SpecIndex, settled: readonly Settled[]): Promise<Named[]> {
  if (settled.every(({ prd }) => prd === undefined)) return settled.map(({ prd: _, ...rest }) => rest);
  const [{ freeze }, { openSources }] = await Promise.all([import("../prd/freeze.ts"), import("../prd/sources.ts")]);
  const sources = openSources(context, index);
  const named: Named[] = [];
  for (const item of settled) {
    const { prd, ...rest } = item;
    if (prd === undefined) {
      named.push(rest);
      continue;
    }
    try {
      const refs = (prd.refs ?? []).map((ref) => (typeof ref === "string" ? { anchor: ref } : ref));
      named.push({ ...rest, prd: await freeze(sources, context.cwd, { ...prd, refs }, true) });
    } catch (error) {
      if (!(error instanceof LodestarError)) throw error;
      const { code, message, details } = error;
      throw new LodestarError(code, `${item.id}: ${message}`, {
        details: { task_id: item.id, ...details },
        ...(code === "ANCHOR_NOT_FOUND" ? { hint: error.hint } : {}),
      });
    }
  }
  return named;
}

interface Plan {
  readonly created: string[];
  readonly updated: string[];
  readonly skipped: string[];
  readonly edits: SpecEdit[];
}

function bad(message: string, details: Record<string, unknown> = {}): LodestarError {
  return new LodestarError("USAGE", message, {
    details,
    hint: "See `lodestar task import --explain` for what the file may hold.",
  });
}

/** The tasks as given, with the defaults filled in. Every fault is told at once. */
function read(
  input: { file?: string; text?: string; tasks?: Record<string, unknown>[] },
  context: Context,
): Imported[] {
  const given = [input.file, input.text, input.tasks].filter((each) => each !== undefined).length;
  if (given !== 1) throw bad("Give one file (or - for standard input).");
  const whole = input.tasks ?? parse(input.text ?? readFile(input.file as string, context), input.file ?? "the text");
  const { defaults, items } = unfold(whole);
  const merged = items.map((item) => ({ ...defaults, ...item }));
  const issues = merged.flatMap((item, i) =>
    check(ImportedTask, item).map(({ path, message }) => ({ task: i + 1, field: path.join("."), message })),
  );
  if (issues.length > 0) {
    const [first] = issues;
    throw bad(
      `Task ${first?.task} of the file: ${first?.field} ${first?.message}${issues.length > 1 ? ` (and ${issues.length - 1} more)` : ""}.`,
      { issues },
    );
  }
  return merged as Imported[];
}

/** The text of a file, or of standard input for `-`. @throws LodestarError `PATH_NOT_FOUND` */
export function readFile(file: string, context: Context): string {
  try {
    return file === "-" ? context.stdin() : readFileSync(resolve(context.cwd, file), "utf8");
  } catch (cause) {
    throw new LodestarError("PATH_NOT_FOUND", `${file} cannot be read: ${(cause as Error).message}`, {
      cause,
      details: { path: file },
    });
  }
}

function parse(text: string, name: string): unknown {
  try {
    return parseJson(text) ?? Bun.YAML.parse(text);
  } catch (cause) {
    throw bad(`${name} is neither YAML nor JSON: ${(cause as Error).message}`);
  }
}

/** JSON is YAML, and read several times faster as what it is. @returns nothing when it is not JSON. */
function parseJson(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A list, a mapping of ids, or either under `tasks` beside `defaults`. */
function unfold(whole: unknown): {
  readonly defaults: Record<string, unknown>;
  readonly items: Record<string, unknown>[];
} {
  if (Array.isArray(whole)) return { defaults: {}, items: whole.map(mapping) };
  const root = mapping(whole);
  const defaults = root.defaults === undefined ? {} : mapping(root.defaults);
  if (root.tasks === undefined) throw bad("The file has no `tasks`.");
  if (Array.isArray(root.tasks)) return { defaults, items: root.tasks.map(mapping) };
  return { defaults, items: Object.entries(mapping(root.tasks)).map(([id, item]) => ({ id, ...mapping(item) })) };
}

function mapping(value: unknown): Record<string, unknown> {
  if (isMapping(value)) return value;
  throw bad("Each task is a mapping of fields.");
}

/** Gives an id to every task and turns refs into ids. */
function name(
  items: readonly Item[],
  context: Context,
  index: SpecIndex,
): { readonly named: Settled[]; readonly now: string } {
  const refs = new Map<string, string>();
  const ids = new Set<string>();
  const size = index.count() + items.length;
  const withIds = items.map((item) => {
    let id = item.id;
    while (id === undefined || (item.id === undefined && (ids.has(id) || index.task(id) !== undefined)))
      id = newTaskId(context.random, size);
    if (ids.has(id)) throw bad(`The id ${id} is there twice.`, { task_id: id });
    ids.add(id);
    if (item.ref !== undefined) {
      if (refs.has(item.ref)) throw bad(`The ref ${item.ref} is there twice.`, { ref: item.ref });
      refs.set(item.ref, id);
    }
    return { ...item, id };
  });
  const named = withIds.map((item) =>
    item.depends_on === undefined
      ? item
      : { ...item, depends_on: item.depends_on.map((need) => refs.get(need) ?? need) },
  );
  return { named, now: formatInstant(context.clock.now()) };
}

/** What to write, checked against the spec as it is now. @throws LodestarError before anything is changed */
function plan(
  index: SpecIndex,
  named: readonly Named[],
  known: readonly RuntimeTask[],
  mode: (typeof CONFLICTS)[number],
  now: string,
  isKeyed: boolean,
): Plan {
  const made: Plan = { created: [], updated: [], skipped: [], edits: [] };
  const coming = new Set(named.map(({ id }) => id));
  const edges = index.edges();
  for (const item of named) {
    const { id, ref: _, feature, features = [], history = {}, ...fields } = item;
    const created_at = history.created_at ?? now;
    const there = index.task(id)?.task;
    const missing = (item.depends_on ?? []).filter((need) => !coming.has(need) && !edges.has(need));
    if (missing.length > 0)
      throw new LodestarError("TASK_NOT_FOUND", `${id} cannot depend on ${missing.join(", ")}: there is no such task`, {
        details: { task_id: missing[0], missing },
      });
    // A repeat of a call that was saved before it could answer finds its own tasks.
    if (isKeyed && there?.created_at === created_at && there.updated_at === now && there.title === item.title) {
      made.created.push(id);
      continue;
    }
    if (there !== undefined && mode === "skip") {
      made.skipped.push(id);
      continue;
    }
    if (there !== undefined && mode === "update") {
      const changed = Object.fromEntries(
        Object.entries(fields).filter(
          ([field, value]) =>
            field !== "status" && JSON.stringify(value) !== JSON.stringify(there[field as keyof Task]),
        ),
      );
      if (item.depends_on !== undefined) edges.set(id, [...item.depends_on]);
      if (Object.keys(changed).length === 0) made.skipped.push(id);
      else {
        made.updated.push(id);
        made.edits.push({ kind: "set", task_id: id, fields: { ...changed, updated_at: now } });
      }
    } else {
      checkFreeId(index, known, id, created_at);
      const after = index.predecessor(id);
      const task = newTask({ ...(fields as Partial<Task> & { title: string }), ...history, id }, now);
      made.created.push(id);
      made.edits.push(after === undefined ? { kind: "add", task } : { kind: "add", task, after });
      edges.set(id, [...task.depends_on]);
    }
    const named_in = feature === undefined ? features : [feature, ...features];
    made.edits.push(...named_in.map((name) => ({ kind: "feature" as const, feature: name, task_id: id })));
  }
  refuseNewCycles(edges, made.created.concat(made.updated));
  return made;
}

/** A circle that was there before is the doctor's business; one through these tasks is refused. */
function refuseNewCycles(edges: ReadonlyMap<string, readonly string[]>, ids: readonly string[]): void {
  try {
    topologicalOrder(edges);
  } catch (error) {
    if (!(error instanceof LodestarError) || error.code !== "DEPENDENCY_CYCLE") throw error;
    const cycle = error.details.cycle as string[];
    if (cycle.some((id) => ids.includes(id))) throw cycleError(cycle);
  }
}

/** The JSONL of beads (`.beads/issues.jsonl`, `bd export`) or its JSON list (`bd list --json`). */
import type { Status } from "../../core/status.ts";
import { criteriaOf, Fields, type Foreign, type ForeignTask, isRecord, PRIORITIES, refuse } from "./foreign.ts";

/** Dependencies that hold up work; the others (related, discovered-from, …) only tell a story. */
const BLOCKING = new Set(["blocks", "conditional-blocks", "waits-for"]);
/** Kinds of issues that are no work. */
const NO_WORK = new Set(["message", "event", "gate", "agent", "role", "rig", "convoy", "slot"]);
const STATUSES: ReadonlyMap<string, Status> = new Map([
  ["open", "ready"],
  ["in_progress", "ready"],
  ["hooked", "ready"],
  ["blocked", "blocked"],
  ["deferred", "todo"],
  ["pinned", "todo"],
  ["closed", "verified"],
]);

export function readBeads(text: string): Foreign {
  const problems: { id: string; message: string }[] = [];
  const gone = new Map<string, string>();
  const tasks: ForeignTask[] = [];
  const unknown = new Set<string>();
  for (const { where, record } of records(text, problems)) {
    const fields = new Fields(record, where, problems);
    if ((fields.text("_type") ?? "issue") !== "issue") continue;
    const source_id = fields.id("id");
    if (source_id === undefined) {
      fields.wrong("has no id");
      continue;
    }
    const status = fields.text("status") ?? "open";
    const kind = fields.text("issue_type", "type") ?? "task";
    if (status === "tombstone" || record.deleted_at != null) gone.set(source_id, "deleted there");
    else if (NO_WORK.has(kind) || record.ephemeral === true || record.wisp === true || record.is_template === true)
      gone.set(source_id, "no work there");
    else {
      if (!STATUSES.has(status)) unknown.add(status);
      tasks.push(taskOf(fields, { source_id, where, kind, status: STATUSES.get(status) ?? "ready" }, gone));
    }
  }
  refuse(problems);
  const prefixes = new Set(tasks.map(({ source_id }) => prefixOf(source_id)));
  const known = new Set(tasks.map(({ source_id }) => source_id));
  for (const need of tasks.flatMap(({ depends_on }) => depends_on)) {
    if (!known.has(need) && !gone.has(need) && !prefixes.has(prefixOf(need))) gone.set(need, "in another project");
  }
  const warnings = unknown.size === 0 ? [] : [`Unknown statuses were taken as ready: ${[...unknown].join(", ")}`];
  return { tasks, gone, inherits: true, warnings };
}

/** `bd` of `bd-a3f8.1`: what names the project. */
const prefixOf = (id: string): string => /^(.*)-[^-]*$/.exec(id)?.[1] ?? "";

function taskOf(
  fields: Fields,
  { kind, ...known }: Pick<ForeignTask, "source_id" | "where" | "status"> & { readonly kind: string },
  gone: Map<string, string>,
): ForeignTask {
  const { source_id } = known;
  const priority = fields.value("priority");
  if (priority !== undefined && typeof priority !== "number") fields.wrong("priority must be a number");
  const depends_on: string[] = [];
  let parent = fields.id("parent");
  for (const entry of fields.list("dependencies")) {
    const edge = typeof entry === "string" ? { depends_on_id: entry } : entry;
    if (!isRecord(edge)) {
      fields.wrong("dependencies must hold mappings");
      continue;
    }
    const need = edge.depends_on_id ?? edge.id;
    const type = edge.type ?? edge.dependency_type ?? edge.dep_type ?? "blocks";
    if (typeof need !== "string") fields.wrong("a dependency has no depends_on_id");
    else if (type === "parent-child") parent ??= need;
    else if (typeof type === "string" && BLOCKING.has(type)) {
      if (need.startsWith("external:")) gone.set(need, "in another project");
      depends_on.push(need);
    }
  }
  // A child's id says whose child it is, also where no edge does.
  parent ??= /^(.+)\.\d+$/.exec(source_id)?.[1];
  const ref = fields.text("external_ref");
  const parts = [
    fields.text("description"),
    titled("Design", fields.text("design")),
    titled("Notes", fields.text("notes")),
    ref === undefined ? undefined : `Imported from beads ${source_id}, which refers to ${ref}.`,
  ];
  return {
    ...known,
    title: fields.text("title") ?? "",
    description: parts.filter((part) => part !== undefined).join("\n\n"),
    acceptance_criteria: criteriaOf(fields.text("acceptance_criteria")),
    labels: [...fields.texts("labels"), ...(kind === "task" ? [] : [kind])],
    priority: typeof priority === "number" ? PRIORITIES[Math.min(4, Math.max(0, Math.round(priority)))] : undefined,
    created_at: fields.text("created_at"),
    finished_at: fields.text("closed_at", "updated_at"),
    depends_on,
    ...(parent === undefined ? {} : { parent }),
  };
}

const titled = (title: string, text: string | undefined): string | undefined =>
  text === undefined ? undefined : `## ${title}\n\n${text}`;

interface Place {
  readonly where: string;
  readonly record: Readonly<Record<string, unknown>>;
}

/** One record a line, or a JSON list of them. Every line that is none is a problem. */
function records(text: string, problems: { id: string; message: string }[]): Place[] {
  const listed = text.trimStart().startsWith("[") ? parsed(text) : undefined;
  if (Array.isArray(listed?.value)) {
    return listed.value.flatMap((record: unknown, i) => place(record, `issue ${i + 1}`, problems));
  }
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    const where = `line ${i + 1}`;
    const value = parsed(line);
    if (value !== undefined) return place(value.value, where, problems);
    problems.push({ id: where, message: "is not JSON" });
    return [];
  });
}

function place(record: unknown, where: string, problems: { id: string; message: string }[]): Place[] {
  if (isRecord(record)) return [{ where, record }];
  problems.push({ id: where, message: "is no issue" });
  return [];
}

function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    // The caller says where; what the parser says counts characters of one line.
    return undefined;
  }
}

/** A project of Backlog.md: a folder of Markdown files with front matter. */
import { type Dirent, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { LodestarError } from "../../core/errors.ts";
import type { Status } from "../../core/status.ts";
import { Fields, type Foreign, type ForeignTask, isRecord, priorityOf, refuse, splitCriteria } from "./foreign.ts";

/** Where tasks lie in a project, and the status that the folder alone gives. */
const FOLDERS: readonly (readonly [folder: string, status: Status | undefined])[] = [
  ["tasks", undefined],
  ["completed", "verified"],
  ["drafts", "todo"],
];

/**
 * @param file the project's folder, its `backlog` folder, or a folder of task files.
 * @throws LodestarError `PATH_NOT_FOUND`, `USAGE`
 */
export function readBacklog(file: string, cwd: string): Foreign {
  const root = rootOf(file, cwd);
  const problems: { id: string; message: string }[] = [];
  const gone = new Map<string, string>();
  const statuses = configured(root);
  const milestones = milestonesIn(join(root, "milestones"));
  const unknown = new Set<string>();
  const tasks: ForeignTask[] = [];
  const folders = existsSync(join(root, "tasks")) ? FOLDERS : [["", undefined] as const];
  for (const [folder, status] of folders) {
    for (const name of markdownIn(join(root, folder))) {
      const where = join(folder, name);
      const task = readTask(readFileSync(join(root, folder, name), "utf8"), where, milestones, problems);
      if (task === undefined) continue;
      const word = task.status_word ?? "";
      const meant = status ?? statusOf(word, statuses);
      if (meant === undefined) unknown.add(word);
      tasks.push({ ...task.task, status: meant ?? "ready" });
    }
  }
  for (const name of markdownIn(join(root, "archive", "tasks"))) {
    const id = /^([\w.]+-[\d.]*\d)/.exec(name)?.[1];
    if (id !== undefined) gone.set(id.toUpperCase(), "archived");
  }
  refuse(problems);
  const warnings = unknown.size === 0 ? [] : [`Unknown statuses were taken as ready: ${[...unknown].join(", ")}`];
  return { ...sameCase(tasks, gone), inherits: false, warnings };
}

function rootOf(file: string, cwd: string): string {
  const given = resolve(cwd, file);
  const root = [join(given, "backlog"), join(given, ".backlog"), given].find(
    (path) => path !== undefined && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true,
  );
  if (root !== undefined && file !== "-") return root;
  throw new LodestarError("PATH_NOT_FOUND", `${file} is no folder of a Backlog.md project`, {
    details: { path: file },
  });
}

function markdownIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const isTask = (entry: Dirent) => entry.isFile() && entry.name.endsWith(".md") && !/^readme\.md$/i.test(entry.name);
  const entries = readdirSync(folder, { withFileTypes: true }).filter(isTask);
  return entries.map(({ name }) => name).sort();
}

/** The project's own statuses, in the order of its board: what stands in the last column is done. */
function configured(root: string): readonly string[] {
  const path = [join(root, "config.yml"), join(root, "..", "backlog.config.yml")].find((one) => existsSync(one));
  if (path === undefined) return [];
  const config = yaml(readFileSync(path, "utf8"));
  const statuses = isRecord(config) ? config.statuses : undefined;
  return Array.isArray(statuses) ? statuses.map(String) : [];
}

function statusOf(word: string, statuses: readonly string[]): Status | undefined {
  const at = word.trim().toLowerCase();
  if (at === statuses.at(-1)?.toLowerCase() || /^(?:done|completed?|closed)$/.test(at)) return "verified";
  if (/^(?:to ?do|in[ -]progress|ready|)$/.test(at)) return "ready";
  if (/review|testing/.test(at)) return "done";
  if (at === "blocked") return "blocked";
  if (/^(?:draft|backlog|icebox|later)$/.test(at)) return "todo";
  if (/^(?:cancell?ed|won't do|wontfix)$/.test(at)) return "deleted";
  return statuses.some((status) => status.toLowerCase() === at) ? "ready" : undefined;
}

function yaml(text: string): unknown {
  try {
    return Bun.YAML.parse(text);
  } catch {
    // Whoever asks says what is wrong, with its place.
    return undefined;
  }
}

function readTask(
  bytes: string,
  where: string,
  milestones: ReadonlyMap<string, string>,
  problems: { id: string; message: string }[],
): { readonly task: Omit<ForeignTask, "status">; readonly status_word: string | undefined } | undefined {
  const { record, body } = divided(bytes);
  if (!isRecord(record)) {
    problems.push({ id: where, message: "has no front matter that is YAML" });
    return undefined;
  }
  const fields = new Fields(record, where, problems);
  const id = fields.id("id");
  if (id === undefined) {
    fields.wrong("has no id");
    return undefined;
  }
  const { rest, criteria } = splitCriteria(plain(body));
  const milestone = fields.id("milestone");
  const task = {
    source_id: id,
    where,
    title: fields.id("title") ?? "",
    description: rest.replace(/^\s*## Description\n+/, ""),
    acceptance_criteria: criteria,
    labels: [
      ...listed(fields, "labels"),
      ...(milestone === undefined ? [] : [`milestone:${milestones.get(milestone) ?? milestone}`]),
    ],
    priority: priorityOf(fields.text("priority")),
    created_at: date(fields, "created_date"),
    finished_at: date(fields, "completed_date", "updated_date"),
    depends_on: listed(fields, "dependencies"),
    parent: fields.id("parent_task_id", "parent"),
  };
  return { task, status_word: fields.text("status") };
}

/** The front matter, if there is any that is YAML, and what follows. */
function divided(bytes: string): { readonly record: unknown; readonly body: string } {
  const text = bytes.replace(/^\ufeff/, "").replaceAll("\r\n", "\n");
  const [, front, body = ""] = /^---\n([\s\S]*?)\n---(?:\n|$)([\s\S]*)$/.exec(text) ?? [];
  // People write `assignee: @bob`, which is no YAML.
  return { record: front === undefined ? undefined : yaml(front.replace(/^(\s*assignee:\s*)(@.*)$/m, "$1'$2'")), body };
}

/** The names of milestones by their ids. */
function milestonesIn(folder: string): Map<string, string> {
  const records = markdownIn(folder).map((name) => divided(readFileSync(join(folder, name), "utf8")).record);
  return new Map(
    records.flatMap((record) =>
      isRecord(record) && typeof record.title === "string" ? [[String(record.id), record.title] as const] : [],
    ),
  );
}

/** A list, or one text where the list has one item. */
const listed = (fields: Fields, name: string): string[] =>
  typeof fields.value(name) === "string"
    ? (fields.text(name) ?? "")
        .split(",")
        .map((item) => item.trim())
        .filter(Boolean)
    : fields.texts(name);

/** `2026-11-22 19:39`, in UTC. */
function date(fields: Fields, ...names: readonly string[]): string | undefined {
  const value = fields.value(...names);
  return value instanceof Date ? value.toISOString() : fields.text(...names);
}

/** The body without the comments by which Backlog.md finds its sections. */
const plain = (body: string): string =>
  body.replace(/^<!-- (?:AC|DOD|SECTION:[A-Z_]+|COMMENTS?):(?:BEGIN|END) -->\n?/gm, "").replace(/\n{3,}/g, "\n\n");

/** Backlog.md takes `task-1` and `TASK-1` for one: references are written as their tasks are. */
function sameCase(tasks: readonly ForeignTask[], gone: ReadonlyMap<string, string>): Pick<Foreign, "tasks" | "gone"> {
  const written = new Map(tasks.map(({ source_id }) => [source_id.toUpperCase(), source_id]));
  const proper = (id: string): string => {
    const key = id.toUpperCase();
    return written.get(key) ?? (gone.has(key) ? key : id);
  };
  return {
    gone,
    tasks: tasks.map((task) => ({
      ...task,
      depends_on: task.depends_on.map(proper),
      ...(task.parent === undefined ? {} : { parent: proper(task.parent) }),
    })),
  };
}

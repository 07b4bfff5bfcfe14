/** The tasks.json of Task Master: one list, or a list for each tag. */
import { LodestarError } from "../../core/errors.ts";
import type { Status } from "../../core/status.ts";
import { criteriaOf, Fields, type Foreign, type ForeignTask, isRecord, priorityOf, refuse } from "./foreign.ts";

const STATUSES: ReadonlyMap<string, Status> = new Map([
  ["pending", "ready"],
  ["in-progress", "ready"],
  ["review", "done"],
  ["done", "verified"],
  ["completed", "verified"],
  ["deferred", "todo"],
  ["blocked", "blocked"],
  ["cancelled", "deleted"],
]);

interface Reading {
  readonly problems: { id: string; message: string }[];
  readonly tasks: ForeignTask[];
  readonly unknown: Set<string>;
}

/** Tags that are read beside each other: the first keeps its ids, those of the others begin with the tag. */
export function readTaskMaster(text: string): Foreign {
  const reading: Reading = { problems: [], tasks: [], unknown: new Set() };
  const tags = tagsOf(text);
  const main = tags.find(({ tag }) => tag === "master") ?? tags[0];
  for (const { tag, tasks, at } of tags) {
    const prefix = tag === main?.tag ? "" : `${tag}-`;
    const top = tasks.flatMap((task) => (isRecord(task) ? [new Fields(task, tag, []).id("id") ?? ""] : []));
    tasks.forEach((task, i) => {
      readTask(task, { prefix, tag: tags.length > 1 ? tag : undefined, at, number: i + 1, top: new Set(top) }, reading);
    });
  }
  refuse(reading.problems);
  const { unknown } = reading;
  const warnings = unknown.size === 0 ? [] : [`Unknown statuses were taken as ready: ${[...unknown].join(", ")}`];
  return { tasks: reading.tasks, gone: new Map(), inherits: true, warnings };
}

interface Tag {
  readonly tag: string;
  readonly at: string;
  readonly tasks: readonly unknown[];
}

function tagsOf(text: string): Tag[] {
  let whole: unknown;
  try {
    whole = JSON.parse(text);
  } catch (cause) {
    throw noTasks(`it is not JSON (${(cause as Error).message})`);
  }
  if (Array.isArray(whole)) return [{ tag: "master", at: "", tasks: whole }];
  if (!isRecord(whole)) throw noTasks("it holds no tasks");
  if (Array.isArray(whole.tasks)) return [{ tag: "master", at: "", tasks: whole.tasks }];
  const tags = Object.entries(whole).flatMap(([tag, value]) =>
    isRecord(value) && Array.isArray(value.tasks) ? [{ tag, at: `${tag}: `, tasks: value.tasks as unknown[] }] : [],
  );
  if (tags.length === 0) throw noTasks("it holds no tasks");
  return tags;
}

const noTasks = (why: string): LodestarError =>
  new LodestarError("USAGE", `This is no tasks.json of Task Master: ${why}.`, {
    hint: "Give .taskmaster/tasks/tasks.json; nothing was imported.",
  });

interface Where {
  readonly prefix: string;
  readonly tag: string | undefined;
  readonly at: string;
  readonly number: number;
  /** Ids of the tag's own tasks. */
  readonly top: ReadonlySet<string>;
}

function readTask(value: unknown, { prefix, tag, at, number, top }: Where, reading: Reading): void {
  const { problems } = reading;
  const place = `${at}task ${number}`;
  if (!isRecord(value)) {
    problems.push({ id: place, message: "is no task" });
    return;
  }
  const fields = new Fields(value, place, problems);
  const id = fields.id("id");
  if (id === undefined) {
    fields.wrong("has no id");
    return;
  }
  const labels = tag === undefined ? [] : [`tag:${tag}`];
  const task = taskOf(fields, `${prefix}${id}`, `${at}task ${id}`, reading, labels);
  reading.tasks.push({ ...task, depends_on: fields.texts("dependencies").map((need) => prefix + need) });
  const subtasks = fields.list("subtasks").filter(isRecord);
  const siblings = new Set(subtasks.map((subtask) => localId(new Fields(subtask, place, []).id("id"), id)));
  for (const subtask of subtasks) {
    const inner = new Fields(subtask, `${at}a subtask of ${id}`, problems);
    const local = localId(inner.id("id"), id);
    if (local === "") {
      inner.wrong("has no id");
      continue;
    }
    // A bare number among a subtask's dependencies is its sibling; where there is none, the task of that number.
    const needs = inner
      .texts("dependencies")
      .map((need) => (need.includes(".") || (!siblings.has(need) && top.has(need)) ? need : `${id}.${need}`));
    const own = taskOf(inner, `${prefix}${id}.${local}`, `${at}task ${id}.${local}`, reading, labels);
    reading.tasks.push({
      ...own,
      priority: own.priority ?? task.priority,
      depends_on: needs.map((need) => prefix + need),
      parent: `${prefix}${id}`,
    });
  }
}

/** The subtask's own number, also where it is written with its task's. */
const localId = (id: string | undefined, parent: string): string =>
  id?.startsWith(`${parent}.`) === true ? id.slice(parent.length + 1) : (id ?? "");

function taskOf(
  fields: Fields,
  source_id: string,
  where: string,
  { unknown }: Reading,
  labels: readonly string[],
): Omit<ForeignTask, "depends_on"> {
  const word = fields.text("status") ?? "pending";
  if (!STATUSES.has(word)) unknown.add(word);
  const parts = [fields.text("description"), fields.text("details")];
  return {
    source_id,
    where,
    title: fields.text("title") ?? "",
    description: parts.filter((part) => part !== undefined).join("\n\n"),
    acceptance_criteria: criteriaOf(fields.text("testStrategy")),
    labels,
    priority: priorityOf(fields.text("priority")),
    status: STATUSES.get(word) ?? "ready",
    finished_at: fields.text("updatedAt"),
  };
}

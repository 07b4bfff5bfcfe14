/** GitHub issues, as `gh issue list --json …` or GitHub's own API gives them. */
import { LodestarError } from "../../core/errors.ts";
import type { Status } from "../../core/status.ts";
import { proseOf } from "../../prd/prose.ts";
import { Fields, type Foreign, type ForeignTask, isRecord, priorityOf, refuse, splitCriteria } from "./foreign.ts";

/** GitHub itself reads `GH-42` as a reference to issue 42. */
const idOf = (number: string): string => `GH-${number}`;

export function readGitHub(text: string): Foreign {
  const problems: { id: string; message: string }[] = [];
  const gone = new Map<string, string>();
  const issues: Issue[] = [];
  /** Links that the other end tells of: who waits, and whose child. */
  const blockers = new Map<string, string[]>();
  const parents = new Map<string, string>();
  for (const [i, record] of listOf(text).entries()) {
    const number = isRecord(record) ? new Fields(record, `issue ${i + 1}`, problems).id("number") : undefined;
    if (!isRecord(record) || number === undefined) {
      problems.push({ id: `issue ${i + 1}`, message: "has no number" });
      continue;
    }
    const issue = readIssue(new Fields(record, `#${number}`, problems), idOf(number), `#${number}`, gone);
    // GitHub's API lists pull requests among the issues.
    if (record.pull_request != null) gone.set(idOf(number), "a pull request");
    else issues.push(issue);
    for (const blocked of issue.blocking) blockers.set(blocked, [...(blockers.get(blocked) ?? []), idOf(number)]);
    for (const child of issue.children) parents.set(child, idOf(number));
  }
  refuse(problems);
  const known = new Set(issues.map(({ task }) => task.source_id));
  const loose: string[] = [];
  const tasks = issues.map(({ task, parent, mentioned }) => {
    const { source_id } = task;
    // What a text only mentions may be closed, or never have been: that it is not in the list is no reason to refuse.
    loose.push(...mentioned.filter((need) => !known.has(need)).map((need) => `${source_id} → ${need}`));
    const needs = [
      ...task.depends_on,
      ...mentioned.filter((need) => known.has(need)),
      ...(blockers.get(source_id) ?? []),
    ];
    return { ...task, depends_on: needs, parent: parent ?? parents.get(source_id) };
  });
  const warnings =
    loose.length === 0
      ? []
      : [`Dropped dependencies that only a text names and the list does not hold: ${loose.slice(0, 10).join(", ")}`];
  return { tasks, gone, inherits: false, warnings };
}

function listOf(text: string): readonly unknown[] {
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list)) return list;
  } catch (cause) {
    throw noIssues(`it is not JSON (${(cause as Error).message})`);
  }
  throw noIssues("it is no list");
}

const noIssues = (why: string): LodestarError =>
  new LodestarError("USAGE", `This is no list of GitHub issues: ${why}.`, {
    hint: "Give the output of `gh issue list --state all --limit 10000 --json number,title,body,state,…`; nothing was imported.",
  });

interface Issue {
  readonly task: ForeignTask;
  readonly parent: string | undefined;
  readonly blocking: readonly string[];
  readonly children: readonly string[];
  readonly mentioned: readonly string[];
}

function readIssue(fields: Fields, source_id: string, where: string, gone: Map<string, string>): Issue {
  const url = fields.text("html_url", "url");
  const home = repositoryOf(url);
  const links = (name: string) => nodes(fields.value(name)).flatMap((one) => linked(one, home, gone));
  const { rest, criteria } = splitCriteria(fields.text("body") ?? "");
  const labels = fields.list("labels").flatMap((label) => {
    const name = isRecord(label) ? label.name : label;
    if (typeof name === "string") return [name];
    fields.wrong("labels must hold names");
    return [];
  });
  const milestone = fields.value("milestone");
  const title = isRecord(milestone) ? milestone.title : milestone;
  const task: ForeignTask = {
    source_id,
    where,
    title: fields.text("title") ?? "",
    description: url === undefined ? rest : `${rest.trim()}\n\nImported from ${url}`,
    acceptance_criteria: criteria,
    labels: [...labels, ...(typeof title === "string" ? [`milestone:${title}`] : [])],
    priority: labels.map(priorityOfLabel).find((priority) => priority !== undefined),
    status: statusOf(fields),
    created_at: fields.text("createdAt", "created_at"),
    finished_at: fields.text("closedAt", "closed_at"),
    depends_on: links("blockedBy"),
  };
  return {
    task,
    parent: fields.value("parent") === undefined ? undefined : linked(fields.value("parent"), home, gone)[0],
    blocking: links("blocking"),
    children: links("subIssues"),
    mentioned: mentions(rest, home, gone).filter((id) => id !== source_id),
  };
}

/** What was closed as not planned was given up; everything else that is closed was done. */
function statusOf(fields: Fields): Status {
  const state = fields.text("state")?.toLowerCase();
  if (state === "open" || (state === undefined && fields.value("closed") !== true)) return "ready";
  if (state !== "closed" && state !== undefined) fields.wrong("state must be OPEN or CLOSED");
  const reason = fields.text("stateReason", "state_reason")?.toLowerCase();
  return reason === "not_planned" || reason === "duplicate" ? "deleted" : "verified";
}

/** `P1`, `priority: high`, `priority/critical`; a bare `high` may mean anything. */
function priorityOfLabel(label: string): number | undefined {
  const word = /^(?:prio(?:rity)?\s*[:/\-_ ]\s*(\S+)|(p[0-4]))$/i.exec(label.trim());
  return priorityOf(word?.[1] ?? word?.[2]);
}

/** A list, or what GraphQL wraps around one. */
function nodes(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return isRecord(value) && Array.isArray(value.nodes) ? value.nodes : [];
}

/** `owner/repo` of an issue's address. */
const repositoryOf = (url: unknown): string | undefined =>
  typeof url === "string"
    ? /^https?:\/\/[^/]+\/(?:repos\/)?([^/]+\/[^/]+)\/issues\/\d+/.exec(url)?.[1]?.toLowerCase()
    : undefined;

/** The id of an issue that another one points to; notes why it may be missing. */
function linked(value: unknown, home: string | undefined, gone: Map<string, string>): string[] {
  const one = isRecord(value) ? value : { number: value };
  if (!Number.isSafeInteger(one.number)) return [];
  const repository = isRecord(one.repository) ? one.repository.nameWithOwner : one.repository;
  const there = typeof repository === "string" ? repository.toLowerCase() : repositoryOf(one.url);
  const isElsewhere = there !== undefined && home !== undefined && there !== home;
  const id = isElsewhere ? `${there}#${one.number}` : idOf(String(one.number));
  if (isElsewhere) gone.set(id, "in another repository");
  else if (typeof one.state === "string" && one.state.toLowerCase() === "closed") gone.set(id, "closed");
  return [id];
}

const REFERENCE =
  /(?<![\w/])(?:([\w.-]+\/[\w.-]+)#|#|GH-|https:\/\/github\.com\/([\w.-]+\/[\w.-]+)\/issues\/)(\d+)\b/gi;

const MENTION = /^\W*(?:depends\s+(?:up)?on|blocked\s+by)\b(.*)$/i;

/** Issues on lines such as `Depends on #12, #13` or `Blocked by: owner/repo#7`; not those in code and comments. */
function mentions(body: string, home: string | undefined, gone: Map<string, string>): string[] {
  // Most texts mention none, and need not be taken apart.
  if (!body.split("\n").some((line) => MENTION.test(line))) return [];
  return proseOf(body).flatMap((line) => {
    const said = MENTION.exec(line)?.[1];
    return [...(said ?? "").matchAll(REFERENCE)].flatMap(([, short, long, number]) => {
      const repository = short ?? long;
      return linked({ number: Number(number), ...(repository === undefined ? {} : { repository }) }, home, gone);
    });
  });
}

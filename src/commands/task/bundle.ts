import { cutText } from "../../core/cut.ts";
import type { Task } from "../../core/task.ts";

/** A section of the product document that a task cites, as it is now. */
export interface SectionText {
  readonly anchor: string;
  /** Absent when the section is gone. */
  readonly content?: string;
  /** Absent when the section is as it was frozen. */
  readonly drift?: "moved" | "edited" | "missing" | "source_missing";
}

/** What a claim says of its task: see {@link bundle}. */
export interface ContextBundle {
  title: string;
  description?: string;
  acceptance_criteria?: string[];
  locks?: string[];
  prd_source?: string;
  prd_excerpt?: string;
  prd_sections?: SectionText[];
  truncated?: string;
}

/** A claim's context is bounded: agents pay for every byte they read. Bytes of UTF-8. */
export const CONTEXT_BUDGET = 1200;

/** Where the rest is. */
const REST = "task context";
/** What a list or a field costs beside its contents: its name, quotes, a comma. */
const LIST = 26;
const field = (name: string): number => name.length + 6;

/**
 * The context of a claim within `budget` bytes: title and locks, then the criteria, the description, the excerpt and the sections of the
 * product document, each as far as it fits; where the description and the excerpt do not both fit, each may have half. `truncated` names the
 * command that tells all, when something was left out.
 */
export function bundle(
  task: Task,
  sections: readonly SectionText[] = [],
  budget: number = CONTEXT_BUDGET,
): ContextBundle {
  const made: ContextBundle = { title: cut(task.title, 300) };
  if (task.locks.length > 0) made.locks = [...task.locks];
  if (task.prd !== undefined) made.prd_source = task.prd.source;
  let left = budget - size(made) - field("truncated") - size(REST);
  let truncated = made.title !== task.title;
  if (made.locks !== undefined && left < 0) {
    delete made.locks;
    truncated = true;
    left = budget - size(made) - field("truncated") - size(REST);
  }
  const criteria: string[] = [];
  for (const criterion of task.acceptance_criteria) {
    const cost = size(criterion) + 1;
    if (cost > left - LIST) {
      truncated = true;
      break;
    }
    criteria.push(criterion);
    left -= cost;
  }
  if (criteria.length > 0) {
    made.acceptance_criteria = criteria;
    left -= LIST;
  }
  const { description = "", prd: { excerpt = "" } = {} } = task;
  const add = (name: "description" | "prd_excerpt", text: string, most: number): void => {
    const part = text === "" ? "" : cut(text, Math.min(left, most) - field(name));
    if (part !== text) truncated = true;
    if (part === "") return;
    made[name] = part;
    left -= size(part) + field(name);
  };
  const wanted = excerpt === "" ? 0 : size(excerpt) + field("prd_excerpt");
  add("description", description, left - Math.min(wanted, Math.floor(left / 2)));
  add("prd_excerpt", excerpt, left);
  const shown: SectionText[] = [];
  left -= field("prd_sections") + 2;
  for (const section of sections) {
    const { content, ...rest } = section;
    const room = left - size(rest) - 1;
    if (room < 0) {
      truncated = true;
      break;
    }
    const part = content === undefined ? "" : cut(content, room - field("content"));
    if (part !== (content ?? "")) truncated = true;
    const put = part === "" ? rest : { ...rest, content: part };
    shown.push(put);
    left -= size(put) + 1;
  }
  if (shown.length > 0) made.prd_sections = shown;
  return truncated ? { ...made, truncated: REST } : made;
}

const size = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

/** Less is not worth its place. */
const LEAST = 24;

const cut = (text: string, room: number): string => {
  // A text takes at least a byte a character: what is longer is not measured.
  if (text.length + 2 <= room && size(text) <= room) return text;
  return room < LEAST ? "" : cutText(text, room, size);
};

import type { Task } from "../../core/task.ts";

/** What a claim says of its task: see {@link bundle}. */
export interface ContextBundle {
  title: string;
  description?: string;
  acceptance_criteria?: string[];
  locks?: string[];
  prd_source?: string;
  prd_excerpt?: string;
  truncated?: boolean;
}

/** A claim's context is bounded: agents pay for every byte they read. Bytes of UTF-8. */
export const CONTEXT_BUDGET = 1200;

/**
 * The context of a claim within `budget` bytes: title and locks, then the criteria, the description, the excerpt, each as far as it fits.
 * `truncated` says that something was left out.
 */
export function bundle(task: Task, budget: number = CONTEXT_BUDGET): ContextBundle {
  const made: ContextBundle = { title: cut(task.title, 300) };
  if (task.locks.length > 0) made.locks = [...task.locks];
  if (task.prd !== undefined) made.prd_source = task.prd.source;
  let left = budget - size(made);
  let truncated = made.title !== task.title;
  if (made.locks !== undefined && left < 0) {
    delete made.locks;
    truncated = true;
    left = budget - size(made);
  }
  const criteria: string[] = [];
  for (const criterion of task.acceptance_criteria) {
    const cost = size(criterion) + 1;
    if (cost > left - 26) {
      truncated = true;
      break;
    }
    criteria.push(criterion);
    left -= cost;
  }
  if (criteria.length > 0) {
    made.acceptance_criteria = criteria;
    left -= 26;
  }
  for (const [name, text] of [
    ["description", task.description],
    ["prd_excerpt", task.prd?.excerpt],
  ] as const) {
    if (text === undefined || text === "") continue;
    const room = left - name.length - 6;
    const part = cut(text, room);
    if (part !== text) truncated = true;
    if (part === "") continue;
    made[name] = part;
    left -= size(part) + name.length + 6;
  }
  return truncated ? { ...made, truncated } : made;
}

const size = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

/** The beginning of a text that is at most `room` bytes as JSON, ended at a sentence, a line or a word where one is near, with `…`. */
function cut(text: string, room: number): string {
  if (size(text) <= room) return text;
  if (room < 24) return "";
  let part = text.slice(0, room);
  while (size(part) > room - 4 && part !== "") part = part.slice(0, Math.floor(part.length * 0.9));
  const near = Math.max(part.lastIndexOf(". ") + 1, part.lastIndexOf("\n"), part.lastIndexOf(" "));
  const kept = near > part.length * 0.6 ? part.slice(0, near) : part;
  // A cut must not leave half of a surrogate pair.
  return `${kept.replace(/[\uD800-\uDBFF]$/, "").trimEnd()}…`;
}

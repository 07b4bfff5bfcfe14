/** What is said about the fields of a spec: one sentence and one hint for each issue. */
import type { Issue } from "../core/check.ts";
import { STATUSES } from "../core/status.ts";
import { follow, type Node } from "./outline.ts";
import { type Finding, MAX_TASKS } from "./problems.ts";

/** A piece of the file with its offset in it, and its outline when there is one. */
export interface Piece {
  readonly text: string;
  /** Byte offset in the file. */
  readonly start: number;
  readonly root: Node | undefined;
}

/** The byte offset in the file of a character of the piece. */
export function byteAt(piece: Piece, at: number): number {
  return piece.start + Buffer.byteLength(piece.text.slice(0, at));
}

function written(path: readonly (string | number)[]): string {
  return path.map((step, i) => (typeof step === "number" ? `[${step}]` : i === 0 ? step : `.${step}`)).join("");
}

const QUOTE_HINT = "Put the value in quotes, or correct it.";

function hintFor(field: string | number | undefined, message: string): string {
  if (message === "is missing") {
    return "A merge may have left this task behind: restore the line from Git, or remove the whole entry.";
  }
  switch (field) {
    case "status":
      return `Write one of ${STATUSES.join(", ")}.`;
    case "priority":
      return "Write a whole number; lower comes first.";
    case "acceptance_criteria":
    case "depends_on":
    case "labels":
    case "locks":
    case "reopens":
      return "Write a list of texts, such as [a, b]; put numbers, true and false in quotes.";
    case "completed_in":
      return "Write a mapping of branch and commit; put a commit that has only digits in quotes.";
    case "prd":
      return "Write a mapping of source, refs, excerpt and prd_hash.";
    case undefined:
      return "Write a mapping of fields with at least title and status.";
    default:
      return QUOTE_HINT;
  }
}

/**
 * The finding for an issue with a field.
 * @param where the path in the piece to the value that the issue's path begins at.
 */
export function fieldFinding(piece: Piece, what: string, where: readonly (string | number)[], issue: Issue): Finding {
  const at = follow(piece.root, [...where, ...issue.path])?.at ?? 0;
  const field = written(issue.path);
  const message = `${what}${field === "" ? "" : `: ${field}`} ${issue.message}.`;
  return { at: byteAt(piece, at), message, hint: hintFor(issue.path[0], issue.message) };
}

/** The finding for a key that stands again in one mapping. */
export function repeatedKey(piece: Piece, key: string, at: number): Finding {
  const message = `The key ${JSON.stringify(key)} stands twice in one mapping.`;
  return { at: byteAt(piece, at), message, hint: "Keep one of the two; a merge may have left both." };
}

/** The finding for a second task with the same id; the rest of the file can be used. */
export function repeatedTask(at: number, task_id: string): Finding {
  const message = `The task ${JSON.stringify(task_id)} stands twice; the first one counts.`;
  return {
    at,
    message,
    hint: "A textual merge may have left both: `lodestar git resolve` makes them one; or rename one by hand.",
    task_id,
  };
}

/** The finding for a syntax error that the package `yaml` reported. */
export function syntaxError(piece: Piece, at: number, message: string): Finding {
  const hint = "Correct the YAML here or in the line before; a text with special characters wants quotes.";
  return { at: byteAt(piece, at), message: message.replace(/\.?$/, "."), hint };
}

/** The finding for more tasks than are read. */
export function tooManyTasks(count: number, at: number): Finding {
  const message = `There are ${count} tasks; at most ${MAX_TASKS} are read.`;
  return { at, message, hint: "Move finished tasks to another file." };
}

export const tooDeep = (): Finding => ({
  at: 0,
  message: "The file is nested too deeply.",
  hint: "Nest fewer lists and mappings.",
});

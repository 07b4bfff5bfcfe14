/** Places in a spec for people: offsets to lines and columns, and the problems that need no parsing. */
import { LodestarError } from "../core/errors.ts";
import type { SpecEdit } from "./edits.ts";
import { MAX_BYTES } from "./key.ts";
import type { Problem } from "./model.ts";

export const MAX_TASKS = 100_000;
/** More are counted, not listed: who has this many has one cause. */
export const MAX_PROBLEMS = 200;

export type SpecFailure = {
  readonly ok: false;
  readonly code: "SPEC_INVALID" | "SPEC_CONFLICT_MARKERS";
  readonly problems: readonly Problem[];
};

/** A problem whose place is still a byte offset. */
export interface Finding {
  readonly at: number;
  readonly message: string;
  readonly hint: string;
  readonly task_id?: string;
}

/** Gives findings their lines and columns (characters, from 1), in the order of the file, repeats left out. */
export function placed(bytes: Buffer, findings: readonly Finding[]): Problem[] {
  const ordered = [...findings].sort((a, b) => a.at - b.at);
  const problems: Problem[] = [];
  let line = 1;
  let line_start = 0;
  let last: Finding | undefined;
  for (const finding of ordered) {
    if (last !== undefined && last.at === finding.at && last.message === finding.message) continue;
    last = finding;
    const { at, ...rest } = finding;
    for (let end = bytes.indexOf(10, line_start); end >= 0 && end < at; end = bytes.indexOf(10, line_start)) {
      line += 1;
      line_start = end + 1;
    }
    const before = bytes.toString("utf8", line_start, Math.max(line_start, at)).replace(/^\ufeff/, "");
    problems.push({ line, column: [...before].length + 1, ...rest });
  }
  return problems;
}

/** The failure that these findings are. */
export function invalid(bytes: Buffer, findings: readonly Finding[]): SpecFailure {
  const problems = placed(bytes, findings);
  const listed = problems.slice(0, MAX_PROBLEMS);
  const next = problems[MAX_PROBLEMS];
  if (next !== undefined) {
    const message = `There are ${problems.length - MAX_PROBLEMS} more problems from here on.`;
    listed.push({ line: next.line, column: next.column, message, hint: "Fix those above first; many have one cause." });
  }
  return { ok: false, code: "SPEC_INVALID", problems: listed };
}

/** What is wrong with the bytes themselves, whatever YAML they hold. */
export function badBytes(bytes: Buffer): Finding | undefined {
  if (bytes.length > MAX_BYTES) {
    const message = `The file has ${bytes.length} bytes; at most ${MAX_BYTES} (100 MB) are read.`;
    return { at: 0, message, hint: "Move finished tasks or long texts out of it." };
  }
  const nul = bytes.indexOf(0);
  if (nul >= 0) {
    const hint = "The file may be damaged or UTF-16; restore it from Git or save it as UTF-8.";
    return { at: nul, message: "The file holds a NUL byte.", hint };
  }
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return undefined;
  } catch {
    return { at: firstInvalid(bytes), message: "This is not valid UTF-8.", hint: "Save the file as UTF-8." };
  }
}

/** The offset of the first byte that is no part of valid UTF-8, by halving. */
function firstInvalid(bytes: Buffer): number {
  let valid = 0;
  let bad = bytes.length;
  while (bad - valid > 1) {
    const middle = (valid + bad) >> 1;
    // `stream` lets a character that is cut at the end pass.
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, middle), { stream: true });
      valid = middle;
    } catch {
      bad = middle;
    }
  }
  return valid;
}

/** The lines that Git's textual merge leaves; all of them when there is one. */
export function conflictMarkers(bytes: Buffer): Finding[] {
  const findings: Finding[] = [];
  for (const mark of ["<<<<<<<", "|||||||", "=======", ">>>>>>>"]) {
    const needle = Buffer.from(mark);
    for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + mark.length)) {
      const after = bytes[at + mark.length];
      const starts = at === 0 || bytes[at - 1] === 10;
      if (!starts || !(after === undefined || after === 10 || after === 13 || after === 32)) continue;
      const hint = "Resolve the merge: `lodestar git resolve`, or keep the right lines and delete the markers.";
      findings.push({ at, message: `A conflict marker of Git: ${mark}`, hint });
    }
  }
  return findings;
}

/**
 * Refuses an edit after which the file could not be read any more.
 *
 * @param before how many tasks there are of each status.
 * @param bytes of the file with the edit.
 * @throws LodestarError `SPEC_INVALID`; nothing is saved then.
 */
export function refuseTooMuch(
  edits: readonly SpecEdit[],
  before: Readonly<Record<string, number>>,
  bytes: number,
): void {
  const added = edits.filter(({ kind }) => kind === "add").length;
  if (added === 0) return;
  const kept = edits.some(({ kind }) => kind === "clear") ? 0 : Object.values(before).reduce((sum, n) => sum + n, 0);
  const why =
    kept + added > MAX_TASKS
      ? `${kept + added} tasks; at most ${MAX_TASKS} are read`
      : bytes > MAX_BYTES
        ? `${bytes} bytes; at most ${MAX_BYTES} (100 MB) are read`
        : undefined;
  if (why === undefined) return;
  throw new LodestarError("SPEC_INVALID", `The spec would have ${why}`, {
    hint: "Move finished tasks to another file.",
  });
}

/** Files as a textual merge leaves them: conflict markers, and tasks that stand twice. */
import { asBuffer, type Block, divide } from "./division.ts";
import type { MergeConflict } from "./merge.ts";
import { linesOf } from "./merge-lines.ts";
import { ended, fieldsIn } from "./merge-side.ts";
import { conflict, type Labels, marked, patchedTask } from "./merge-text.ts";
import { mergeTask } from "./merge-values.ts";
import { tryParse } from "./parse.ts";

export interface MarkedSides {
  /** Only where every conflict shows it (diff3 style). */
  readonly base?: Uint8Array;
  readonly ours: Uint8Array;
  readonly theirs: Uint8Array;
  readonly labels: Labels;
}

/** Takes a file with Git's conflict markers apart into the versions that it was made from; `undefined` when it has none, or broken ones. */
export function splitMarkers(bytes: Uint8Array): MarkedSides | undefined {
  const parts: Record<"base" | "ours" | "theirs", string[]> = { base: [], ours: [], theirs: [] };
  const labels = { ours: "ours", theirs: "theirs" };
  let place: keyof typeof parts | undefined;
  let hunks = 0;
  let based = 0;
  for (const line of linesOf(asBuffer(bytes).toString("utf8"))) {
    const [, mark, label = ""] = /^(<{7}|\|{7}|={7}|>{7})(?: (.*?))?\r?\n?$/.exec(line) ?? [];
    if (mark?.startsWith("<")) {
      if (place !== undefined) return undefined;
      place = "ours";
      hunks += 1;
      if (label !== "") labels.ours = label;
    } else if (mark?.startsWith("|")) {
      if (place !== "ours") return undefined;
      place = "base";
      based += 1;
    } else if (mark?.startsWith("=")) {
      if (place !== "ours" && place !== "base") return undefined;
      place = "theirs";
    } else if (mark?.startsWith(">")) {
      if (place !== "theirs") return undefined;
      place = undefined;
      if (label !== "") labels.theirs = label;
    } else if (place === undefined) for (const side of Object.values(parts)) side.push(line);
    else parts[place].push(line);
  }
  if (hunks === 0 || place !== undefined) return undefined;
  const [base, ours, theirs] = [parts.base, parts.ours, parts.theirs].map((lines) => Buffer.from(lines.join("")));
  if (base === undefined || ours === undefined || theirs === undefined) return undefined;
  return { ...(based === hunks ? { base } : {}), ours, theirs, labels };
}

export interface Unrepeated {
  readonly bytes: Uint8Array;
  /** Tasks that stood twice. */
  readonly ids: readonly string[];
  readonly conflicts: readonly MergeConflict[];
}

/**
 * Makes one task of each that stands twice, as a textual merge leaves those that both sides have added or moved. There is no
 * base: what differs and has no rule is a conflict.
 *
 * @returns `undefined` when nothing stands twice, the file does not divide into blocks, or one of those cannot be read.
 */
export async function withoutRepeats(bytes: Uint8Array, labels: Labels): Promise<Unrepeated | undefined> {
  const buffer = asBuffer(bytes);
  const division = divide(buffer);
  const groups = [...Map.groupBy(division?.blocks ?? [], ({ id }) => id)].filter(([, blocks]) => blocks.length > 1);
  if (groups.length === 0) return undefined;
  const conflicts: MergeConflict[] = [];
  const replaced = new Map<Block, string>();
  for (const [id, [first, ...others]] of groups) {
    if (first === undefined) continue;
    const textOf = ({ start, end }: Block) => ended(buffer.toString("utf8", start, end).replaceAll("\r\n", "\n"));
    let text = textOf(first);
    let shown = text;
    for (const other of others) {
      const theirs = textOf(other);
      // One side of a merge may be damaged besides: whoever reads it whole says where.
      if (tryParse(text) === undefined || tryParse(theirs) === undefined) return undefined;
      replaced.set(other, "");
      const merged = mergeTask(undefined, fieldsIn(text), fieldsIn(theirs));
      if (merged.kind === "two") {
        conflicts.push({ task_id: id, field: "created_at", message: "the id stands for two different tasks" });
        shown = conflict(shown, theirs, labels);
        continue;
      }
      const made = await patchedTask(text, merged.fields);
      const choice = Object.fromEntries(merged.clashes.map((clash) => [clash.field, clash.theirs]));
      const their_choice = made === undefined ? undefined : await patchedTask(made, { ...merged.fields, ...choice });
      if (made === undefined || their_choice === undefined) return undefined;
      [text, shown] = [made, made];
      if (merged.clashes.length === 0) continue;
      const paths = merged.clashes.map(({ field }) => [id, field]);
      shown = (await marked(made, their_choice, paths, labels)) ?? conflict(made, their_choice, labels);
      for (const { field } of merged.clashes)
        conflicts.push({ task_id: id, field, message: `${field} differs between the two` });
    }
    replaced.set(first, shown);
  }
  const eol = division?.layout.eol ?? "\n";
  const pieces: Buffer[] = [];
  let at = 0;
  for (const [{ start, end }, text] of [...replaced].toSorted(([a], [b]) => a.start - b.start)) {
    pieces.push(buffer.subarray(at, start), Buffer.from(text.replaceAll("\n", eol)));
    at = end;
  }
  pieces.push(buffer.subarray(at));
  return { bytes: Buffer.concat(pieces), ids: groups.map(([id]) => id), conflicts };
}

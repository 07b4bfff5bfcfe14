/** What the commands that merge specs have in common: their input, what they say, how they refuse. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { LodestarError } from "../../core/errors.ts";
import { List, Optional, Shape, Text } from "../../core/schema.ts";
import { quote } from "../../core/shell.ts";
import type { View } from "../../core/view.ts";
import type { MergeConflict, SpecMerge } from "../../spec/merge.ts";
import type { Context } from "../context.ts";

export type Merged = Extract<SpecMerge, { kind: "merged" }>;

export const ConflictShape = Shape({ task_id: Optional(Text()), field: Text(), message: Text() });
export const CyclesShape = Optional(
  List(List(Text()), { description: "Ids along each cycle that only the merge closed" }),
);

/** @throws LodestarError `PATH_NOT_FOUND` */
export function readVersion(context: Context, path: string): Uint8Array {
  try {
    return readFileSync(resolve(context.cwd, path));
  } catch (cause) {
    const why = (cause as { code?: string }).code ?? String(cause);
    throw new LodestarError("PATH_NOT_FOUND", `${path} cannot be read (${why})`, { cause, details: { path } });
  }
}

/** Says beside the answer what a person should look at after a merge that Git takes for clean. */
export function warnOf(context: Context, { warnings, cycles }: Pick<Merged, "warnings" | "cycles">): void {
  for (const warning of warnings) context.warn(warning);
  for (const cycle of cycles) {
    context.warn(
      `The merge closes a dependency cycle: ${cycle.join(" → ")}; \`lodestar task update ${quote(cycle[0] ?? "")} --remove-dep ${quote(cycle[1] ?? "")}\` breaks it`,
    );
  }
}

const named = ({ task_id, field }: MergeConflict): string => (task_id === undefined ? field : `${task_id} (${field})`);

/** The refusal when fields are left for a person to decide. */
export function conflictError(
  path: string,
  conflicts: readonly MergeConflict[],
  carried: { readonly data: unknown; readonly view?: () => readonly View[]; readonly hint?: string },
): LodestarError {
  const some = conflicts.slice(0, 5).map(named).join(", ");
  const more = conflicts.length > 5 ? ` and ${conflicts.length - 5} more` : "";
  const { hint, ...rest } = carried;
  return new LodestarError("MERGE_CONFLICT", `${path}: both sides changed ${some}${more}`, {
    details: { path, conflicts, ...rest },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** The refusal when there is no merge at all: a version is unreadable, or no text was found. */
export function unmergedError(
  path: string,
  merge: Exclude<SpecMerge, { kind: "merged" }>,
  names: Readonly<Record<string, string>> = {},
): LodestarError {
  if (merge.kind === "failed") {
    return new LodestarError("MERGE_CONFLICT", `${path} could not be merged by tasks: ${merge.reason}`, {
      details: { path },
      hint: "Merge the file as any text, then run `lodestar doctor`.",
    });
  }
  const { side, code, problems } = merge;
  const [first] = problems;
  const where = first === undefined ? "" : `: line ${first.line}: ${first.message}`;
  return new LodestarError(code, `${path}: ${names[side] ?? side} cannot be read${where}`, {
    details: { path, side, problems },
  });
}

import type { SpecEdit } from "./edits.ts";
import type { SpecIndex } from "./index.ts";

/**
 * Those of these edits that a spec does not hold, after Git has put another file in the place of the one that they were saved in: all of
 * them, or none when it merged that one, too. Sections are not looked into: setting them again changes nothing.
 */
export function lacking(index: SpecIndex, edits: readonly SpecEdit[]): readonly SpecEdit[] {
  // What follows a clearing stands or falls with it.
  if (edits.some(({ kind }) => kind === "clear")) return edits;
  return edits.filter((edit) => !holds(index, edit));
}

function holds(index: SpecIndex, edit: SpecEdit): boolean {
  if (edit.kind === "feature") return (index.features()[edit.feature] ?? []).includes(edit.task_id);
  if (edit.kind === "add") {
    const there = index.task(edit.task.id)?.task;
    return there?.created_at === edit.task.created_at && there?.title === edit.task.title;
  }
  if (edit.kind !== "set") return false;
  const there = index.task(edit.task_id)?.task;
  if (there === undefined) return false;
  const fields: Readonly<Record<string, unknown>> = { ...there };
  return Object.entries(edit.fields).every(([key, value]) => Bun.deepEquals(fields[key] ?? [], value ?? []));
}

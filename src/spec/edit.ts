/** Editing a spec: only the bytes of the fields that are set change (model.md, S1). */
import { asBuffer } from "./division.ts";
import { editBlocks } from "./edit-block.ts";
import { type AppliedEdits, gather, type Locate, type SpecEdit } from "./edits.ts";
import type { Layout } from "./model.ts";
import { readSpec } from "./read.ts";

/**
 * Applies edits to a spec that was read without problems.
 *
 * With a `block` layout nothing but the touched blocks is parsed; with `tree` the whole file is, twice. Every new text is
 * parsed again and must say exactly what the edits say, or nothing is returned.
 *
 * @param locate the caller's index; it must know each task that is set or added behind.
 * @throws StaleBlock when a task is not where `locate` says; LodestarError `USAGE` for text that YAML cannot hold,
 * `INVALID_ID` for an id that cannot be a key, `ID_TAKEN` for one that is there; Error when no way to write an edit is right.
 */
export async function applyEdits(
  bytes: Uint8Array,
  layout: Layout,
  edits: readonly SpecEdit[],
  locate: Locate,
): Promise<AppliedEdits> {
  const buffer = asBuffer(bytes);
  const cleared = edits.findLastIndex(({ kind }) => kind === "clear");
  if (cleared >= 0) {
    const { clearTasks } = await import("./clear.ts");
    const empty = await clearTasks(buffer, layout);
    const reading = await readSpec(empty);
    if (!reading.ok) throw new Error("no way to clear this spec is right");
    const left = reading.spec.layout;
    const rest = edits.slice(cleared + 1);
    if (rest.length === 0) return { pieces: [empty], length: empty.length, layout: left, changed: [] };
    return applyEdits(empty, left, rest, () => undefined);
  }
  const batch = gather(edits);
  if (layout.kind === "block") return editBlocks(buffer, layout, batch, locate);
  const { editTree } = await import("./edit-tree.ts");
  return editTree(buffer, batch);
}

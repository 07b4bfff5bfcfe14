/** Removing all tasks and features from a spec: what `reset --hard` leaves. */

import { EMPTY_TASKS_LINE, hasBom } from "./division.ts";
import { patchedSections, sectionsOf } from "./edit-around.ts";
import { patchedTree } from "./edit-tree.ts";
import { emptied } from "./edits.ts";
import type { Layout } from "./model.ts";

/** The spec's bytes without tasks and features; all others stay as they are. */
export async function clearTasks(buffer: Buffer, layout: Layout): Promise<Buffer> {
  if (layout.kind === "tree") return patchedTree(buffer, (value) => emptied(value, ["tasks", "features"]));
  const bom = hasBom(buffer) ? 3 : 0;
  const start = layout.tasks_start < 0 ? buffer.length : layout.tasks_start;
  let header = buffer.toString("utf8", bom, start);
  let footer = buffer.toString("utf8", Math.max(start, layout.tasks_end));
  if (layout.tasks_end > layout.tasks_start) {
    header = header.replace(/^tasks:[^\r\n]*/m, (line) => line.replace(EMPTY_TASKS_LINE, "$1 {}$2"));
  }
  header = await patchedSections(header, sectionsOf(header), layout.eol, emptied(sectionsOf(header), ["features"]));
  footer = await patchedSections(footer, sectionsOf(footer), layout.eol, emptied(sectionsOf(footer), ["features"]));
  return Buffer.concat([buffer.subarray(0, bom), Buffer.from(header), Buffer.from(footer)]);
}

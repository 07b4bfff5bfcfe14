/** Edits of what stands before and after the tasks of a spec in blocks: project and features. */
import { EMPTY_TASKS_LINE, hasBom } from "./division.ts";
import { type Batch, sectionsPatch } from "./edits.ts";
import type { Layout } from "./model.ts";
import { type Node, outline, type Span } from "./outline.ts";
import { parseFast } from "./parse.ts";
import { isNothing, isPatched, type Patch, type PatchContext, patchMapping, writtenValue } from "./patch.ts";
import { fieldLines } from "./scalar.ts";
import { isMapping } from "./schema.ts";
import { insertLines, lineStart, type Splice, spliced } from "./splice.ts";

/** The bytes before the tasks, with the byte order mark and the line of `tasks:`, and those after them. */
export interface Around {
  readonly header: Buffer;
  readonly footer: Buffer;
}

export async function editAround(buffer: Buffer, layout: Layout, batch: Batch, region: Span): Promise<Around> {
  const unchanged = { header: buffer.subarray(0, region.start), footer: buffer.subarray(region.end) };
  const begins = batch.adds.length > 0 && layout.tasks_end <= layout.tasks_start;
  const sections = batch.features.size + batch.conventions.size + batch.sections.size > 0;
  if (!begins && !sections) return unchanged;

  const bom = hasBom(buffer) ? 3 : 0;
  let header = buffer.toString("utf8", bom, region.start);
  let footer = buffer.toString("utf8", region.end);
  if (sections) [header, footer] = await patchedAround(header, footer, layout.eol, batch);
  if (begins) header = openedTasks(header, layout);
  const follows = batch.adds.length > 0 || region.end > region.start;
  if (header !== "" && !header.endsWith("\n") && (follows || footer !== "")) header += layout.eol;
  return { header: Buffer.concat([buffer.subarray(0, bom), Buffer.from(header)]), footer: Buffer.from(footer) };
}

/** A header that ends with a line `tasks:` which tasks can follow. */
function openedTasks(header: string, layout: Layout): string {
  const ended = header === "" || header.endsWith("\n") ? header : header + layout.eol;
  if (layout.tasks_start < 0) return `${ended}tasks:${layout.eol}`;
  const at = lineStart(ended, ended.length - 1);
  const line = ended.slice(at).trimEnd();
  return ended.slice(0, at) + line.replace(EMPTY_TASKS_LINE, "$1$2") + layout.eol;
}

async function patchedAround(header: string, footer: string, eol: string, batch: Batch): Promise<[string, string]> {
  const above = sectionsOf(header);
  const below = sectionsOf(footer);
  const features = above.features ?? below.features;
  const in_header: Record<string, Patch[string]> = {};
  const in_footer: Record<string, Patch[string]> = {};
  for (const [key, value] of Object.entries(sectionsPatch(batch, isMapping(features) ? features : {}))) {
    // Where it is already; new ones go below the tasks, but the project above.
    const isBelow = key === "project" ? Object.hasOwn(below, key) : !Object.hasOwn(above, key);
    (isBelow ? in_footer : in_header)[key] = value;
  }
  return [await patchedSections(header, above, eol, in_header), await patchedSections(footer, below, eol, in_footer)];
}

/** The top-level keys of a header or footer. */
export function sectionsOf(text: string): Record<string, unknown> {
  const value: unknown = parseFast(text);
  return isMapping(value) ? value : {};
}

/** A header or footer with a patch applied to its top-level mapping. */
export async function patchedSections(
  text: string,
  old: Readonly<Record<string, unknown>>,
  eol: string,
  patch: Patch,
): Promise<string> {
  if (Object.keys(patch).length === 0) return text;
  const context = sectionContext(text, eol);
  const attempt = (root: Node | undefined): string | undefined => {
    if (root !== undefined && root.kind !== "mapping") return undefined;
    const splices = root === undefined ? newSections(context, patch) : patchMapping(context, root, old, patch);
    const patched = spliced(text, splices);
    return isPatched(old, sectionsOf(patched), patch) ? patched : undefined;
  };
  const outlined = outline(text);
  const fast = outlined === undefined ? undefined : attempt(outlined.root);
  if (fast !== undefined) return fast;
  const { parseYaml } = await import("./yaml.ts");
  const slow = attempt((await parseYaml(text)).outline.root);
  if (slow !== undefined) return slow;
  throw new Error(`no way to write these sections is right: ${Object.keys(patch).join(", ")}`);
}

/** New sections go to the end, but the project to the beginning. */
export function sectionContext(text: string, eol: string): PatchContext {
  return {
    text,
    eol,
    step: 2,
    dash: 2,
    before: (key, path, mapping) =>
      path.length === 0 && key === "project" ? [] : mapping.entries.map((entry) => entry.key).toReversed(),
    below: () => false,
  };
}

/** The splices that write a patch into a text that has no keys yet. */
export function newSections({ text, eol, step, dash, below }: PatchContext, patch: Patch): Splice[] {
  const entries = Object.entries(patch).filter(([, value]) => !isNothing(value));
  const style = { eol, indent: 0, step, dash };
  const lines = entries.flatMap(([key, value]) => fieldLines(key, writtenValue(value), style, below));
  return lines.length === 0 ? [] : [insertLines(text, text.length, lines, eol)];
}

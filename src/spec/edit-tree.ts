/** Edits of a spec that does not divide into blocks: the whole file is outlined, spliced and read again. */

import { LodestarError } from "../core/errors.ts";
import { newSections, sectionContext } from "./edit-around.ts";
import { dashOf, isWrittenBelow } from "./edit-block.ts";
import {
  type AppliedEdits,
  type Batch,
  checkNew,
  fieldsBefore,
  newTaskPatch,
  StaleBlock,
  sectionsPatch,
  taskPatch,
} from "./edits.ts";
import { follow, type Mapping } from "./outline.ts";
import { isPatched, type Patch, type PatchContext, patchMapping } from "./patch.ts";
import { isMapping } from "./schema.ts";
import { spliced } from "./splice.ts";
import { readTree, type Tree } from "./tree.ts";

export async function editTree(buffer: Buffer, batch: Batch): Promise<AppliedEdits> {
  const tree = await goodTree(buffer);
  const ids = new Set(tree.spec.tasks.map(({ task }) => task.id));
  for (const id of batch.sets.keys()) if (!ids.has(id)) throw new StaleBlock(id);
  checkNew(batch, (task_id) => ids.has(task_id));
  const tasks: Patch = Object.fromEntries([
    ...[...batch.sets].map(([id, fields]) => [id, taskPatch(fields)] as const),
    ...batch.adds.map((add) => [add.task.id, newTaskPatch(add)] as const),
  ]);
  const features = isMapping(tree.value.features) ? tree.value.features : {};
  const sections = sectionsPatch(batch, features);
  const patch: Patch = Object.keys(tasks).length > 0 ? { ...sections, tasks } : sections;
  const bytes = await patched(tree, patch, new Map(batch.adds.map(({ task, after }) => [task.id, after])));
  const { spec } = await goodTree(bytes);
  const touched = spec.tasks.filter(({ task }) => Object.hasOwn(tasks, task.id));
  return { pieces: [bytes], length: bytes.length, layout: spec.layout, changed: touched };
}

/** The bytes with a patch that is made from what the file says. */
export async function patchedTree(
  buffer: Buffer,
  patch: (value: Readonly<Record<string, unknown>>) => Patch,
): Promise<Buffer> {
  const tree = await goodTree(buffer);
  return patched(tree, patch(tree.value), new Map());
}

async function goodTree(buffer: Buffer): Promise<Tree> {
  const reading = await readTree(buffer);
  if (reading.ok) return reading.tree;
  const [problem] = reading.problems;
  throw uneditable(`${problem?.line}:${problem?.column} ${problem?.message}`);
}

/** For YAML that can be read and has no place for the change: anchors on keys, odd indentation. Nothing was written yet. */
function uneditable(why: string): LodestarError {
  return new LodestarError("SPEC_INVALID", `The spec cannot be edited as it is written: ${why}`, {
    hint: "Make this change by hand, or write the tasks in plain block style first: one field a line, no anchors.",
  });
}

async function patched(
  { text, yaml, spec, value }: Tree,
  patch: Patch,
  after: ReadonlyMap<string, string | undefined>,
): Promise<Buffer> {
  const { root } = yaml.outline;
  const { eol, task_indent, field_indent } = spec.layout;
  const tasks = follow(root, ["tasks"])?.node;
  const example =
    tasks?.kind === "mapping" ? tasks.entries.find(({ value }) => value.kind === "mapping")?.value : undefined;
  const sections = sectionContext(text, eol);
  const context: PatchContext = {
    ...sections,
    step: Math.max(1, field_indent - task_indent),
    dash: (example?.kind === "mapping" ? dashOf(text, example) : undefined) ?? 2,
    before: (key, path, mapping: Mapping) => {
      if (path[0] !== "tasks") return sections.before(key, path, mapping);
      if (path.length > 1) return fieldsBefore(key, path[2]);
      const behind = after.get(key);
      return behind === undefined ? [] : [behind];
    },
    below: isWrittenBelow,
  };
  const splices = root?.kind === "mapping" ? patchMapping(context, root, value, patch) : newSections(context, patch);
  const bytes = Buffer.from(spliced(text, splices));
  const next = await goodTree(bytes);
  if (!isPatched(value, next.value, patch))
    throw uneditable("no way to write this change reads back as what was meant");
  return bytes;
}

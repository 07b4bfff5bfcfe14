/** The text of a merge when ours does not divide into blocks: the whole file is patched. */
import { patchedTree } from "./edit-tree.ts";
import type { MergedText } from "./merge.ts";
import { mergeLines } from "./merge-lines.ts";
import { type Plan, type Versions, withTheirs } from "./merge-plan.ts";
import type { MergedSections } from "./merge-sections.ts";
import { conflict, difference, type Marks, marked } from "./merge-text.ts";
import { type Fields, sameField } from "./merge-values.ts";
import type { Patch } from "./patch.ts";

/**
 * The ways to say it, the best first: both sides' lines together, so that comments of both survive, where that can be made to say the
 * right thing (lines that do not fit together may name a task twice); then our lines alone.
 */
export function treesMerged(
  { base, ours, theirs }: Versions,
  plan: Plan,
  around: MergedSections,
  marks: Marks,
): (() => Promise<MergedText>)[] {
  const together = mergeLines(base.text, ours.text, theirs.text);
  const hosts = together === ours.text ? [ours.text] : [together, ours.text];
  return hosts.map((host) => () => patchedWith(host, plan, around, marks));
}

/** A text patched to say what the merge says. @throws Error when that cannot be. */
async function patchedWith(
  host: string,
  { tasks }: Plan,
  { sections, clashes }: MergedSections,
  { labels, take }: Marks,
): Promise<MergedText> {
  const targets = new Map<string, { readonly ours: Fields; readonly theirs: Fields }>();
  const paths: (readonly string[])[] = clashes.map(({ path }) => path);
  for (const task of tasks) {
    if (task.kind === "same") continue;
    if (task.kind === "two") {
      targets.set(task.id, { ours: task.ours, theirs: task.theirs });
      paths.push(["tasks", task.id]);
      continue;
    }
    targets.set(task.id, { ours: task.fields, theirs: withTheirs(task) });
    for (const { field } of task.clashes) paths.push(["tasks", task.id, field]);
  }
  const made = await patchedText(host, (value) => ({
    ...difference(without(value, "tasks"), sections),
    ...tasksPatch(value, targets, "ours"),
  }));
  if (paths.length === 0) return { ours: made, theirs: made, marked: made };
  const chosen = clashes.reduce<Fields>((all, { path, theirs }) => withPath(all, path, theirs), sections);
  const theirs = await patchedText(made, (value) => ({
    ...difference(without(value, "tasks"), chosen),
    ...tasksPatch(value, targets, "theirs"),
  }));
  if (take !== undefined && !tasks.some(({ kind }) => kind === "two")) {
    return { ours: made, theirs, marked: take === "ours" ? made : theirs };
  }
  return { ours: made, theirs, marked: (await marked(made, theirs, paths, labels)) ?? conflict(made, theirs, labels) };
}

const without = (value: Fields, key: string): Fields =>
  Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));

function withPath(value: Fields, [key = "", ...rest]: readonly string[], leaf: unknown): Fields {
  if (rest.length === 0) return { ...value, [key]: leaf };
  return { ...value, [key]: withPath((value[key] ?? {}) as Fields, rest, leaf) };
}

function tasksPatch(
  value: Fields,
  targets: ReadonlyMap<string, { readonly ours: Fields; readonly theirs: Fields }>,
  choice: "ours" | "theirs",
): Patch {
  const present = (value.tasks ?? {}) as Readonly<Record<string, Fields>>;
  const patch: Record<string, Patch[string]> = {};
  for (const id of Object.keys(present)) if (!targets.has(id)) patch[id] = undefined;
  for (const [id, target] of targets) {
    const is = Object.hasOwn(present, id) ? present[id] : undefined;
    if (is === undefined) patch[id] = target[choice] as Patch;
    else {
      const change = difference(is, target[choice], sameField);
      if (Object.keys(change).length > 0) patch[id] = change;
    }
  }
  return Object.keys(patch).length === 0 ? {} : { tasks: patch };
}

async function patchedText(text: string, patch: (value: Fields) => Patch): Promise<string> {
  return (await patchedTree(Buffer.from(text), patch)).toString("utf8");
}

/** Which tasks a merged spec has, in which order, and what it says of each. */
import type { Side } from "./merge-side.ts";
import { type Clash, type Fields, mergeTask, sameFields } from "./merge-values.ts";

export interface Versions {
  readonly base: Side;
  readonly ours: Side;
  readonly theirs: Side;
}

export type PlannedTask =
  /** `from`: only this side has it. Without it both do, and `fields` is what they come to. */
  | {
      readonly kind: "task";
      readonly id: string;
      readonly from?: "ours" | "theirs";
      readonly fields: Fields;
      readonly clashes: readonly Clash[];
    }
  /** The same bytes on both sides. */
  | { readonly kind: "same"; readonly id: string }
  /** Two different tasks under one id. */
  | { readonly kind: "two"; readonly id: string; readonly ours: Fields; readonly theirs: Fields };

export interface Plan {
  readonly tasks: readonly PlannedTask[];
  /** The side whose order, and whose indentation, the result has. */
  readonly frame: "ours" | "theirs";
  /** Tasks that one side removed and the other changed: they are kept. */
  readonly kept: readonly { readonly id: string; readonly by: "ours" | "theirs" }[];
}

const idsOf = (side: Side): string[] => side.tasks.map(({ id }) => id);
const sameOrder = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((id, i) => id === b[i]);

export function planTasks(versions: Versions): Plan {
  const { base, ours, theirs } = versions;
  const order = { base: idsOf(base), ours: idsOf(ours), theirs: idsOf(theirs) };
  const isBlocks = ours.parts !== undefined && theirs.parts !== undefined;
  const frame = isBlocks && order.base.length > 0 && sameOrder(order.ours, order.base) ? "theirs" : "ours";
  const other = frame === "ours" ? "theirs" : "ours";
  const planned = new Map<string, PlannedTask>();
  const kept: { id: string; by: "ours" | "theirs" }[] = [];
  for (const id of new Set([...order.ours, ...order.theirs])) {
    const task = planTask(id, versions);
    if (task === undefined) continue;
    planned.set(id, task);
    if (task.kind === "task" && task.from !== undefined && base.fields(id) !== undefined)
      kept.push({ id, by: task.from });
  }
  const ids = order[frame].filter((id) => planned.has(id));
  const present = new Set(ids);
  const old = new Set(order.base);
  const positions = new Map(ids.map((id, i) => [id, i]));
  /** Tasks of the other side alone, by the task of the frame that they stand behind there; `-1`: before all. */
  const behind = new Map<number, string[]>();
  let anchor = -1;
  for (const id of order[other]) {
    if (present.has(id)) {
      anchor = positions.get(id) ?? anchor;
      continue;
    }
    if (!planned.has(id)) continue;
    // Among tasks that both sides added in one place, by id.
    for (let next = ids[anchor + 1]; next !== undefined && !old.has(next) && next < id; next = ids[anchor + 1])
      anchor += 1;
    behind.set(anchor, [...(behind.get(anchor) ?? []), id]);
  }
  const sequence = [...(behind.get(-1) ?? []), ...ids.flatMap((id, i) => [id, ...(behind.get(i) ?? [])])];
  return { tasks: sequence.flatMap((id) => planned.get(id) ?? []), frame, kept };
}

function planTask(id: string, { base, ours, theirs }: Versions): PlannedTask | undefined {
  const texts = [ours, theirs].map((side) => side.parts?.blocks.get(id));
  if (texts[0] !== undefined && texts[0] === texts[1]) return { kind: "same", id };
  const [was, mine, other] = [base.fields(id), ours.fields(id), theirs.fields(id)];
  if (mine === undefined || other === undefined) {
    const fields = mine ?? other;
    if (fields === undefined || (was !== undefined && sameFields(was, fields))) return undefined;
    return { kind: "task", id, from: mine === undefined ? "theirs" : "ours", fields, clashes: [] };
  }
  const merged = mergeTask(was, mine, other);
  return merged.kind === "two" ? { kind: "two", id, ours: mine, theirs: other } : { ...merged, kind: "task", id };
}

/** The fields with their choice wherever there is a clash. */
export function withTheirs({
  fields,
  clashes,
}: {
  readonly fields: Fields;
  readonly clashes: readonly Clash[];
}): Fields {
  return { ...fields, ...Object.fromEntries(clashes.map(({ field, theirs }) => [field, theirs])) };
}

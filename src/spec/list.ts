/** Changes to lists that touch only the items that come and go. */
import type { Sequence } from "./outline.ts";
import { inlineText, itemLines, type Value } from "./scalar.ts";
import { insertLines, lineStart, nextLine, removeFlowItems, type Splice } from "./splice.ts";

/** Which items of `old` stay, as pairs of old and new index: a longest common subsequence. */
function kept(old: readonly unknown[], next: readonly unknown[]): Map<number, number> {
  const same = (i: number, j: number) => Bun.deepEquals(old[i], next[j]);
  const pairs = new Map<number, number>();
  let first = 0;
  while (first < old.length && first < next.length && same(first, first)) pairs.set(first, first++);
  let old_end = old.length;
  let next_end = next.length;
  while (old_end > first && next_end > first && same(old_end - 1, next_end - 1)) pairs.set(--old_end, --next_end);
  const width = next_end - first + 1;
  if ((old_end - first) * width > 1_000_000) return pairs;
  const longest = new Uint32Array((old_end - first + 1) * width);
  const at = (i: number, j: number) => (i - first) * width + (j - first);
  for (let i = old_end - 1; i >= first; i -= 1) {
    for (let j = next_end - 1; j >= first; j -= 1) {
      const skip = Math.max(longest[at(i + 1, j)] ?? 0, longest[at(i, j + 1)] ?? 0);
      longest[at(i, j)] = same(i, j) ? (longest[at(i + 1, j + 1)] ?? 0) + 1 : skip;
    }
  }
  for (let i = first, j = first; i < old_end && j < next_end; ) {
    if (same(i, j)) pairs.set(i++, j++);
    else if ((longest[at(i + 1, j)] ?? 0) >= (longest[at(i, j + 1)] ?? 0)) i += 1;
    else j += 1;
  }
  return pairs;
}

/**
 * The splices that make a list `next` and keep the bytes and comments of the items that stay.
 * @returns `undefined` when the list must be written anew: it was empty, or nothing of it stays in flow style.
 */
export function listSplices(
  { text, eol }: { readonly text: string; readonly eol: string },
  list: Sequence,
  old: unknown,
  next: readonly Value[],
): Splice[] | undefined {
  if (!Array.isArray(old) || old.length !== list.items.length || old.length === 0) return undefined;
  const pairs = kept(old, next);
  if (list.flow && pairs.size === 0) return undefined;
  const removed = new Set(list.items.keys().filter((i) => !pairs.has(i)));
  const sources = new Map([...pairs].map(([from, to]) => [to, from]));
  const splices: Splice[] = [];
  const first_kept = Math.min(...pairs.keys());
  const column = list.start - lineStart(text, list.start);
  let behind = -1;
  for (const [j, value] of next.entries()) {
    const source = sources.get(j);
    if (source !== undefined) {
      behind = source;
      continue;
    }
    if (list.flow) {
      const item = inlineText(value, { flow: true });
      const at = behind < 0 ? (list.items[first_kept]?.start ?? 0) : (list.items[behind]?.end ?? 0);
      splices.push({ start: at, end: at, text: behind < 0 ? `${item}, ` : `, ${item}` });
    } else {
      const replaced = removed.has(behind + 1) ? list.items[behind + 1] : undefined;
      const first = replaced ?? (behind < 0 ? list.items[0] : undefined);
      const at = first ? lineStart(text, first.start) : nextLine(text, list.items[behind]?.end ?? 0);
      splices.push(insertLines(text, at, itemLines(value, " ".repeat(column)), eol));
    }
  }
  if (list.flow) splices.push(...removeFlowItems(list.items, removed, text));
  else {
    for (const i of removed) {
      const item = list.items[i];
      if (item !== undefined)
        splices.push({ start: lineStart(text, item.start), end: nextLine(text, item.end), text: "" });
    }
  }
  return splices;
}

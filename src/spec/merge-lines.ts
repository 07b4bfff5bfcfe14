/** A three-way merge of lines: how comments and formatting of both sides come together before anything is given a meaning. */

/** More comparisons than this are not made; the sides then count as changed throughout. */
const MOST_CELLS = 4_000_000;

/** What stands where both sides changed the same lines. */
export type Clash = (ours: string, theirs: string, base: string) => string;

/** For comments: ours, then the lines that only theirs has and that are not blank. */
export const bothLines: Clash = (ours, theirs, base) => {
  const known = new Set([...linesOf(ours), ...linesOf(base)]);
  return (
    ours +
    linesOf(theirs)
      .filter((line) => line.trim() !== "" && !known.has(line))
      .join("")
  );
};

/** The text's lines, each with its end. */
export function linesOf(text: string): string[] {
  const lines = text.split("\n").map((line) => `${line}\n`);
  const last = lines.pop()?.slice(0, -1) ?? "";
  return last === "" ? lines : [...lines, last];
}

/** Which lines of `a` stand in `b` unchanged: index → index, a longest common subsequence. */
function matches(a: readonly string[], b: readonly string[]): Map<number, number> | undefined {
  const pairs = new Map<number, number>();
  let first = 0;
  while (first < a.length && first < b.length && a[first] === b[first]) pairs.set(first, first++);
  let a_end = a.length;
  let b_end = b.length;
  while (a_end > first && b_end > first && a[a_end - 1] === b[b_end - 1]) pairs.set(--a_end, --b_end);
  const width = b_end - first + 1;
  const height = a_end - first + 1;
  if (width * height > MOST_CELLS) return undefined;
  const longest = new Uint32Array(width * height);
  const at = (i: number, j: number) => (i - first) * width + (j - first);
  for (let i = a_end - 1; i >= first; i -= 1) {
    for (let j = b_end - 1; j >= first; j -= 1) {
      const skip = Math.max(longest[at(i + 1, j)] ?? 0, longest[at(i, j + 1)] ?? 0);
      longest[at(i, j)] = a[i] === b[j] ? (longest[at(i + 1, j + 1)] ?? 0) + 1 : skip;
    }
  }
  for (let i = first, j = first; i < a_end && j < b_end; ) {
    if (a[i] === b[j]) pairs.set(i++, j++);
    else if ((longest[at(i + 1, j)] ?? 0) >= (longest[at(i, j + 1)] ?? 0)) i += 1;
    else j += 1;
  }
  return pairs;
}

/**
 * Merges two texts against their base by lines. Where both sides changed the same lines in different ways, `clash` says what
 * stands there: ours, unless another is given.
 * @returns ours when the texts are too different to be compared.
 */
export function mergeLines(base: string, ours: string, theirs: string, clash: Clash = (mine) => mine): string {
  if (ours === theirs || theirs === base) return ours;
  if (ours === base) return theirs;
  const b = linesOf(base);
  const o = linesOf(ours);
  const t = linesOf(theirs);
  const in_ours = matches(b, o);
  const in_theirs = matches(b, t);
  if (in_ours === undefined || in_theirs === undefined) return ours;
  const parts: string[] = [];
  let [i, j, k] = [0, 0, 0];
  for (let next = 0; next <= b.length; next += 1) {
    const [at_ours, at_theirs] = next === b.length ? [o.length, t.length] : [in_ours.get(next), in_theirs.get(next)];
    if (at_ours === undefined || at_theirs === undefined) continue;
    const was = b.slice(i, next).join("");
    const mine = o.slice(j, at_ours).join("");
    const other = t.slice(k, at_theirs).join("");
    parts.push(mine === was ? other : other === was || other === mine ? mine : clash(mine, other, was), b[next] ?? "");
    [i, j, k] = [next + 1, at_ours + 1, at_theirs + 1];
  }
  return parts.join("");
}

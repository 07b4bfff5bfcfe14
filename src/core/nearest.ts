/**
 * How many single-letter slips lie between two words: a letter added, left out, changed, or swapped with its neighbour.
 *
 * @see Damerau, "A technique for computer detection and correction of spelling errors", CACM 7(3), 1964; this is the
 * restricted form (optimal string alignment). O(a · b).
 */
export function slips(a: string, b: string): number {
  let before: number[] = [];
  let above: number[] = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (above[j - 1] ?? 0) + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) least = Math.min(least, (before[j - 2] ?? 0) + 1);
      row.push(least);
    }
    before = above;
    above = row;
  }
  return above[b.length] ?? 0;
}

/** The words that `typed` may have been meant as, best first, at most three; a word that begins with it counts too. */
export function nearest(typed: string, words: Iterable<string>): string[] {
  const wanted = typed.toLowerCase();
  const allowed = Math.max(1, Math.floor(wanted.length / 3));
  const found: { word: string; distance: number }[] = [];
  for (const word of new Set(words)) {
    const distance = slips(wanted, word.toLowerCase());
    if (distance <= allowed) found.push({ word, distance });
    else if (wanted.length >= 3 && word.startsWith(wanted)) found.push({ word, distance: allowed + 1 });
  }
  return found
    .sort((a, b) => a.distance - b.distance || (a.word < b.word ? -1 : 1))
    .slice(0, 3)
    .map(({ word }) => word);
}

/** ` Did you mean "claim"?`, to follow a sentence; empty when nothing is near. */
export function didYouMean(suggestions: readonly string[], quote = '"'): string {
  if (suggestions.length === 0) return "";
  const quoted = suggestions.map((word) => `${quote}${word}${quote}`);
  const last = quoted.pop();
  return ` Did you mean ${quoted.length === 0 ? last : `${quoted.join(", ")} or ${last}`}?`;
}

/** A longer pattern is taken to match everything. */
export const MAX_LENGTH = 2048;

/** What a pattern's paths begin with, as far as it can be read off: most pairs differ here, and need no automata. */
export function plainPrefix(pattern: string): string {
  if (pattern.length > MAX_LENGTH) return "";
  let atStart = true;
  for (let i = 0; i < pattern.length; i += 1) {
    const char = pattern[i] ?? "";
    // A dot or a slash where a name should begin may be normalised away.
    if ("*?[]{}\\!".includes(char) || (atStart && (char === "." || char === "/"))) return pattern.slice(0, i);
    atStart = char === "/";
  }
  return pattern;
}

/** False when paths that begin with the one can surely not begin with the other. */
export function agree(a: string, b: string): boolean {
  return a.length < b.length ? b.startsWith(a) : a.startsWith(b);
}

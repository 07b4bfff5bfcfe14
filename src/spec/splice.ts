/** Changes to a text at offsets of the old text. */
import type { Span } from "./outline.ts";

export interface Splice extends Span {
  readonly text: string;
}

/** Makes the text with all splices in place; those at the same offset keep their order. */
export function spliced(text: string, splices: readonly Splice[]): string {
  const ordered = [...splices].sort((a, b) => a.start - b.start || a.end - b.end);
  const parts: string[] = [];
  let at = 0;
  for (const { start, end, text: inserted } of ordered) {
    parts.push(text.slice(at, start), inserted);
    at = Math.max(at, end);
  }
  parts.push(text.slice(at));
  return parts.join("");
}

export function lineStart(text: string, at: number): number {
  return text.lastIndexOf("\n", at - 1) + 1;
}

/** The offset behind the line's end; the text's length for a last line without one. */
export function nextLine(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end < 0 ? text.length : end + 1;
}

/** The offset of the line's end. */
export function lineEnd(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end < 0 ? text.length : end > 0 && text[end - 1] === "\r" ? end - 1 : end;
}

/** Puts whole lines at the beginning of a line, or behind a last line that has no end. */
export function insertLines(text: string, at: number, lines: readonly string[], eol: string): Splice {
  const unended = at > 0 && text[at - 1] !== "\n" && text[at - 1] !== "\ufeff";
  const joined = lines.join(eol);
  return { start: at, end: at, text: unended ? eol + joined : joined + eol };
}

/** The splices that take items out of a flow collection together with their commas. */
export function removeFlowItems(items: readonly Span[], removed: ReadonlySet<number>, text: string): Splice[] {
  const splices: Splice[] = [];
  for (let i = 0; i < items.length; i += 1) {
    if (!removed.has(i)) continue;
    const first = i;
    while (removed.has(i + 1)) i += 1;
    const from = items[first - 1]?.end;
    const start = items[first]?.start ?? 0;
    const end = items[i]?.end ?? start;
    const next = items[i + 1]?.start;
    if (from !== undefined && !text.slice(from, start).includes("#")) splices.push({ start: from, end, text: "" });
    else if (next !== undefined && !text.slice(end, next).includes("#")) splices.push({ start, end: next, text: "" });
    else {
      // A comment stands between; it stays, and so does a comma where one is still needed.
      const comma = /\s*,/y;
      comma.lastIndex = end;
      splices.push({ start, end: comma.test(text) ? comma.lastIndex : end, text: "" });
    }
  }
  return splices;
}

/**
 * How wide text is, without a font at hand: estimated from classes of letters, on the wide side, because a picture is shown with
 * whatever sans-serif its reader has.
 */

/** Width of one character in ems, after Arial and DejaVu Sans, nearer to the wider of the two. */
function ems(segment: string): number {
  if (Bun.stringWidth(segment) > 1) return 1.05;
  if (/^[ijlI.,:;'|!]/.test(segment)) return 0.32;
  if (/^[ftr()[\]{}\-/\\" ]/.test(segment)) return 0.42;
  if (/^[mMW@%…—]/.test(segment)) return 0.98;
  if (/^\p{Lu}/u.test(segment) || /^[w&#<>+=~]/.test(segment)) return 0.76;
  return 0.61;
}

let segmenter: Intl.Segmenter | undefined;
/** What people see as characters. */
function graphemes(text: string): string[] {
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
  return [...segmenter.segment(text)].map(({ segment }) => segment);
}

/** Estimated width of a line of sans-serif text. */
export const widthOf = (text: string, size: number): number =>
  graphemes(text).reduce((sum, segment) => sum + ems(segment) * size, 0);

/** Cuts a line to a width, with `…` where something was cut. */
export function cutToWidth(text: string, room: number, size: number): string {
  if (widthOf(text, size) <= room) return text;
  let kept = "";
  let width = ems("…") * size;
  for (const segment of graphemes(text)) {
    width += ems(segment) * size;
    if (width > room) break;
    kept += segment;
  }
  return `${kept.trimEnd()}…`;
}

/** At most `most` lines, broken at spaces where it can be; the last is cut. */
export function linesWithin(text: string, room: number, size: number, most: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest !== "" && lines.length < most - 1 && widthOf(rest, size) > room) {
    let end = 0;
    let space = 0;
    let width = 0;
    for (const segment of graphemes(rest)) {
      width += ems(segment) * size;
      if (width > room) break;
      end += segment.length;
      if (/\s/.test(segment)) space = end;
    }
    // A break that leaves the line half empty is worse than one inside a word.
    const at = space > end / 2 ? space : Math.max(end, 1);
    lines.push(rest.slice(0, at).trimEnd());
    rest = rest.slice(at).trimStart();
  }
  return rest === "" ? lines : [...lines, cutToWidth(rest, room, size)];
}

/** Cuts an id in its middle: its beginning and its end are what tells it from others. */
export function cutMiddle(text: string, most: number): string {
  const all = graphemes(text).flatMap((segment) => (Bun.stringWidth(segment) > 1 ? [segment, ""] : [segment]));
  if (all.length <= most) return text;
  const head = Math.ceil((most - 1) * 0.6);
  const tail = Math.max(0, most - 1 - head);
  return `${all.slice(0, head).join("")}…${tail === 0 ? "" : all.slice(-tail).join("")}`;
}

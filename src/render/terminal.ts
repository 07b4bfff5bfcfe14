import type { Tone, View } from "../core/view.ts";
import { sanitise, sanitiseLine } from "./sanitise.ts";

/** Gives text its colour; text without colour comes back as it is. */
export type Paint = (tone: Tone, text: string) => string;

export interface Page {
  /** Columns of the terminal; `Infinity` where nothing must be wrapped or shortened, as in a pipe. */
  readonly width: number;
  readonly paint: Paint;
}

/** What this folder drew, line by line: harmless already, and painted, so that it must not be made harmless once more. */
export interface Drawn {
  readonly kind: "drawn";
  readonly text: string;
}

/** No colour at all. */
export const plain: Paint = (_tone, text) => text;

/** Loads the colours. Only for people on a colour terminal: consola costs more than most whole calls. */
export async function colours(): Promise<Paint> {
  const { colors } = await import("consola/utils");
  const tones: Readonly<Record<Tone, (text: string) => string>> = {
    plain: (text) => text,
    strong: colors.bold,
    faint: colors.dim,
    good: colors.green,
    warn: colors.yellow,
    bad: colors.red,
  };
  return (tone, text) => (text === "" ? text : tones[tone](text));
}

const INDENT = "  ";
/** Narrower than this nothing can be laid out; lines are left to the terminal. */
const NARROWEST = 20;

let segmenter: Intl.Segmenter | undefined;
/** What people see as characters: an emoji of several code points is one. */
function graphemes(text: string): Iterable<{ readonly segment: string }> {
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
  return segmenter.segment(text);
}

/** Cuts text to at most `width` columns, the last of them a `…` where something was cut. */
export function shorten(text: string, width: number): string {
  if (Bun.stringWidth(text) <= width) return text;
  if (width < 1) return "";
  // Of what is printed one column a character nothing needs to be taken apart, which costs a table of all scripts.
  if (/^[ -~]*$/.test(text)) return `${text.slice(0, width - 1).trimEnd()}…`;
  let kept = "";
  let columns = 0;
  for (const { segment } of graphemes(text)) {
    columns += Bun.stringWidth(segment);
    if (columns > width - 1) break;
    kept += segment;
  }
  return `${kept.trimEnd()}…`;
}

/** Splits a word that is longer than a line. */
function pieces(word: string, width: number): string[] {
  if (Bun.stringWidth(word) <= width) return [word];
  const found: string[] = [];
  let piece = "";
  let columns = 0;
  for (const { segment } of graphemes(word)) {
    const wide = Bun.stringWidth(segment);
    if (columns + wide > width && piece !== "") {
      found.push(piece);
      piece = "";
      columns = 0;
    }
    piece += segment;
    columns += wide;
  }
  if (piece !== "") found.push(piece);
  return found;
}

/**
 * Breaks text into lines of at most `width` columns, at spaces where it can. Line ends stay; a line's own indentation is
 * kept for the lines it is broken into.
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const line of text.split("\n")) {
    if (width < NARROWEST || Bun.stringWidth(line) <= width) {
      lines.push(line.trimEnd());
      continue;
    }
    const [indent = ""] = /^\s*(?:[-*•]\s+)?/.exec(line) ?? [];
    const hanging = " ".repeat(Math.min(Bun.stringWidth(indent), width - NARROWEST / 2));
    let current = indent;
    let empty = true;
    for (const word of line
      .slice(indent.length)
      .split(/ +/)
      .flatMap((word) => pieces(word, width - hanging.length))) {
      const next = empty ? current + word : `${current} ${word}`;
      if (!empty && Bun.stringWidth(next) > width) {
        lines.push(current);
        current = hanging + word;
      } else current = next;
      empty = false;
    }
    lines.push(current.trimEnd());
  }
  return lines;
}

const indented = (text: string, { width }: Page, indent = "", hanging = indent) =>
  wrap(text, width - hanging.length).map((line, i) => (line === "" ? "" : (i === 0 ? indent : hanging) + line));

/** Pads to `width` columns as the terminal counts them: wide characters take two. */
export const pad = (text: string, width: number) => text + " ".repeat(Math.max(0, width - Bun.stringWidth(text)));

/** Widths of the columns of a table such that a row fits: the widest give way first, none below a readable minimum. */
function columnWidths(rows: readonly (readonly string[])[], room: number): number[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, Bun.stringWidth(cell));
    });
  }
  const total = () => widths.reduce((sum, width) => sum + width, 0) + 2 * (widths.length - 1);
  while (total() > room) {
    const widest = widths.indexOf(Math.max(...widths));
    const width = widths[widest] ?? 0;
    if (width <= 8) break;
    widths[widest] = width - 1;
  }
  return widths;
}

function tableLines(head: readonly string[], body: readonly (readonly string[])[], page: Page): string[] {
  if (body.length === 0) return [];
  const rows = [head, ...body].map((row) => row.map(sanitiseLine));
  const widths = columnWidths(rows, page.width);
  return rows.map((row, i) => {
    const cells = row.map((cell, j) => pad(shorten(cell, widths[j] ?? 0), j === row.length - 1 ? 0 : (widths[j] ?? 0)));
    const text = cells.join("  ").trimEnd();
    return i === 0 ? page.paint("strong", text) : text;
  });
}

function linesOf(view: View | Drawn, page: Page): string[] {
  const { paint } = page;
  switch (view.kind) {
    case "title":
      return [...indented(sanitiseLine(view.text), page).map((line) => paint("strong", line)), ""];
    case "line":
      return indented(sanitise(view.text), page, INDENT.repeat(view.indent)).map((line) => paint(view.tone, line));
    case "field": {
      const label = sanitiseLine(view.label);
      const lines = indented(`${label}: ${sanitise(view.value)}`, page, INDENT, INDENT + INDENT);
      return lines.map((line, i) =>
        i === 0 && line.startsWith(`${INDENT}${label}:`)
          ? `${INDENT}${paint("faint", `${label}:`)}${line.slice(INDENT.length + label.length + 1)}`
          : line,
      );
    }
    case "text":
      // Without a label it is the result itself (a graph, a brief), to be copied or piped as it is.
      return view.label === undefined
        ? sanitise(view.text).replace(/\n+$/, "").split("\n")
        : [`${paint("strong", sanitiseLine(view.label))}:`, ...indented(sanitise(view.text).trimEnd(), page, INDENT)];
    case "list": {
      if (view.items.length === 0) return [];
      const items = view.items.flatMap((item) => indented(sanitise(item), page, `${INDENT}- `, `${INDENT}${INDENT}`));
      return view.label === undefined ? items : [`${paint("strong", sanitiseLine(view.label))}:`, ...items];
    }
    case "table":
      return tableLines(view.head, view.rows, page);
    case "note":
      return indented(sanitise(view.text), page).map((line) => paint(view.tone, line));
    case "drawn":
      return view.text.split("\n");
    case "blank":
      return [""];
  }
}

/** Views as the text of a terminal, without a line end after the last line. Nothing in the data can act on the terminal. */
export function renderTerminal(views: readonly (View | Drawn)[], page: Page): string {
  const lines: string[] = [];
  for (const view of views) {
    if (view.kind === "blank") {
      if (lines.length > 0 && lines.at(-1) !== "") lines.push("");
    } else {
      if (view.kind === "title" && lines.length > 0 && lines.at(-1) !== "") lines.push("");
      // Not push(...): a list of 100 000 tasks would not fit on the stack.
      for (const line of linesOf(view, page)) lines.push(line);
    }
  }
  while (lines.at(-1) === "") lines.pop();
  return lines.join("\n");
}

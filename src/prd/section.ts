import { slug as slugOf } from "github-slugger";
import MarkdownIt, { type Token } from "markdown-it";
import { hashOf } from "./fingerprint.ts";
import { linesOf, withoutComments } from "./text.ts";

/** One section of a Markdown source: a heading and everything up to the next heading of the same or a higher level. */
export interface Section {
  /** What it is cited as, without `#`: its `{#id}`, else GitHub's slug. */
  readonly anchor: string;
  /** Other names that lead here: the slug beside a `{#id}`, and every `<a id>` or `<a name>` in it. */
  readonly aliases: readonly string[];
  /** The heading's text without its markup. */
  readonly title: string;
  /** 1 to 6. */
  readonly level: number;
  /** First and last line, counted from 1; blank lines and rules at the end are not part of it. */
  readonly lines: readonly [number, number];
  /** The line that the heading ends on: setext headings have two or more. */
  readonly heading_end: number;
  readonly title_hash: string;
  /** Of what comes below the heading, subsections included; `""` when that is nothing. */
  readonly body_hash: string;
}

/** The sections of one source, in the order of their headings. */
export interface Outline {
  readonly sections: readonly Section[];
}

interface Heading {
  readonly title: string;
  readonly level: number;
  /** Of its first line and of the line after its last, counted from 0. */
  readonly map: readonly [number, number];
  readonly anchor: string;
  readonly aliases: string[];
}

/**
 * The sections of a Markdown text (CommonMark with GFM's tables). Only headings at the outermost level begin one: not those inside
 * fences, comments, HTML blocks, block quotes, lists and front matter. Headings in block quotes and lists still count for the numbers of
 * repeated slugs, because they do on GitHub.
 */
export function outlineOf(text: string): Outline {
  const lines = linesOf(text);
  const { headings, rules } = headingsOf(withoutFrontMatter(lines).join("\n"));
  const ends = endsOf(headings, lines.length);
  const trimmed = lines.map((line) => line.trimEnd());
  const sections = headings.map(({ title, level, map, anchor, aliases }, i): Section => {
    let end = ends[i] ?? lines.length;
    end = withoutRule(trimmed, rules, map[1], end);
    let from = map[1];
    while (from < end && trimmed[from] === "") from += 1;
    // Line ends and trailing white space are no part of what a text says; neither are blank lines around it.
    const body = trimmed.slice(from, end).join("\n");
    return {
      anchor,
      aliases,
      title,
      level,
      lines: [map[0] + 1, end],
      heading_end: map[1],
      title_hash: hashOf(title),
      body_hash: body === "" ? "" : hashOf(body),
    };
  });
  return { sections };
}

/** Blank lines at a section's end are no part of it, nor is a rule that parts it from the next. */
function withoutRule(trimmed: readonly string[], rules: ReadonlySet<number>, from: number, to: number): number {
  let end = to;
  while (end > from && (trimmed[end - 1] === "" || rules.has(end - 1))) end -= 1;
  return end;
}

/** Where each section ends: at the next heading of its level or a higher one. One pass from the back. */
function endsOf(headings: readonly Heading[], end: number): number[] {
  const nextAt = new Array<number>(7).fill(end);
  const ends = new Array<number>(headings.length).fill(end);
  for (let i = headings.length - 1; i >= 0; i -= 1) {
    const heading = headings[i];
    if (heading === undefined) continue;
    ends[i] = Math.min(...nextAt.slice(1, heading.level + 1));
    nextAt[heading.level] = heading.map[0];
    for (let deeper = heading.level + 1; deeper < 7; deeper += 1) nextAt[deeper] = heading.map[0];
  }
  return ends;
}

/** YAML or TOML at the top is blanked, so that line numbers stay. */
function withoutFrontMatter(lines: readonly string[]): readonly string[] {
  const fence = lines[0]?.trimEnd();
  if (fence !== "---" && fence !== "+++") return lines;
  const close = lines.findIndex(
    (line, i) => i > 0 && (line.trimEnd() === fence || (fence === "---" && line.trimEnd() === "...")),
  );
  if (close < 0) return lines;
  const inside = lines.slice(1, close).filter((line) => line.trim() !== "" && !/^[\s#\-\]}]/.test(line));
  // A text between two rules is no front matter: that has keys.
  const separator = fence === "---" ? ":" : "=";
  if (!inside.every((line) => line.includes(separator)) || (inside.length === 0 && close > 1)) return lines;
  return lines.map((line, i) => (i <= close ? "" : line));
}

const EXPLICIT = /^\{#([^\s{}]+)(?:\s[^{}]*)?\}$/;
const ANCHOR = /<a\s[^>]{0,300}?\b(?:id|name)\s{0,9}=\s{0,9}(?:"([^"]{1,300})"|'([^']{1,300})'|([^\s"'>]{1,300}))/gi;
/** Without one of these a text has no markup. */
const MARKUP = /[\\`*_[\]<>&!~]/;

function headingsOf(text: string): { readonly headings: Heading[]; readonly rules: ReadonlySet<number> } {
  const parser = new MarkdownIt({ html: true });
  // Blocks only: the insides of paragraphs do not matter, and are most of the work.
  parser.core.ruler.enableOnly(["normalize", "block"]);
  const env = {};
  const tokens = parser.parse(text, env);
  const inlines = (content: string): Token[] => {
    const parsed: Token[] = [];
    parser.inline.parse(content, parser, env, parsed);
    return parsed;
  };
  const slugs = new Slugs();
  const hasAnchors = /<a\s/i.test(text);
  const headings: Heading[] = [];
  const rules = new Set<number>();
  /** Anchors that stand alone, as it seems before the next heading. */
  let waiting: string[] = [];
  for (const [i, token] of tokens.entries()) {
    if (token.type === "heading_open") {
      const content = tokens[i + 1]?.content ?? "";
      const { said, explicit } = explicitId(content.trimEnd());
      const { title, anchors } = plainText(said, inlines);
      const slug = slugs.next(title);
      if (token.level > 0) continue;
      const map = token.map as [number, number];
      const anchor = explicit ?? slug;
      const others = [...waiting, ...anchors, ...(explicit === undefined ? [] : [slug])];
      waiting = [];
      headings.push({ title, level: Number(token.tag.slice(1)), map, anchor, aliases: others });
      continue;
    }
    if (token.type === "hr" && token.level === 0) rules.add(token.map?.[0] ?? 0);
    if (!hasAnchors || (token.type !== "inline" && token.type !== "html_block")) continue;
    if (tokens[i - 1]?.type === "heading_open" || !/<a\s/i.test(token.content)) continue;
    const html = token.type === "html_block" ? withoutComments(token.content) : htmlOf(inlines(token.content));
    const anchors = anchorsIn(html);
    if (anchors.length === 0) continue;
    const next = tokens[i + (token.type === "inline" ? 2 : 1)];
    const isAlone = token.content.replaceAll(/<[^>]*>/g, "").trim() === "";
    if (isAlone && next?.type === "heading_open" && next.level === 0) waiting.push(...anchors);
    else headings.at(-1)?.aliases.push(...anchors);
  }
  return { headings, rules };
}

const ASCII = /^[\u0020-\u007e]*$/;

/** Slugs in the order of their headings: GitHub's, a repeated one with the next free number. */
export class Slugs {
  /** Slug → the number that was given last. */
  readonly #given = new Map<string, number>();

  next(title: string): string {
    // The library's pattern knows all of Unicode, and costs more than the rest of a heading.
    const plain = ASCII.test(title)
      ? title
          .toLowerCase()
          .replaceAll(/[^a-z0-9_ -]/g, "")
          .replaceAll(" ", "-")
      : slugOf(title);
    let slug = plain;
    let number = this.#given.get(plain) ?? 0;
    while (this.#given.has(slug)) {
      number += 1;
      slug = `${plain}-${number}`;
    }
    this.#given.set(plain, number);
    this.#given.set(slug, this.#given.get(slug) ?? 0);
    return slug;
  }
}

/** A heading's text and its `{#id}`. Looked for from the end: a pattern over the whole heading takes its square in time on long ones. */
function explicitId(content: string): { readonly said: string; readonly explicit?: string } {
  if (!content.endsWith("}")) return { said: content };
  const at = content.lastIndexOf("{#");
  const explicit = at < 0 ? undefined : EXPLICIT.exec(content.slice(at))?.[1];
  return explicit === undefined ? { said: content } : { said: content.slice(0, at).trimEnd(), explicit };
}

const htmlOf = (inlines: readonly Token[]): string =>
  inlines
    .flatMap(({ type, content }) => (type === "html_inline" && !content.startsWith("<!--") ? [content] : []))
    .join("");

function anchorsIn(html: string): string[] {
  return [...html.matchAll(ANCHOR)].map(([, double, single, bare]) => double ?? single ?? bare ?? "").filter(Boolean);
}

const oneLine = (text: string): string =>
  text
    .split("\n")
    .map((line) => line.trim())
    .join(" ")
    .trim();

/** What a reader sees of a heading: the text that GitHub makes its slug from. */
function plainText(content: string, inlines: (content: string) => Token[]): { title: string; anchors: string[] } {
  if (!MARKUP.test(content)) return { title: oneLine(content), anchors: [] };
  const parsed = inlines(content);
  const said = parsed.map(({ type, content: inner }) => {
    if (type === "text" || type === "text_special" || type === "code_inline") return inner;
    return type === "softbreak" || type === "hardbreak" ? " " : "";
  });
  return { title: said.join("").trim(), anchors: anchorsIn(htmlOf(parsed)) };
}

/** Writing values as YAML that versions 1.1 and 1.2 read alike. */
import { LodestarError } from "../core/errors.ts";

export type Value = string | number | readonly Value[] | { readonly [key: string]: Value };

export interface Place {
  /** Inside brackets, where commas and brackets end a plain text. */
  readonly flow: boolean;
  /** The style that the replaced value had, kept where it can be. */
  readonly like?: "plain" | "single" | "double" | undefined;
}

/** Words and numbers that some reader takes for something else than text; dates too, since YAML 1.1 has a type for them. */
const SPECIAL = /^(?:~|null|true|false|yes|no|on|off|y|n|=|<<|[-+]?\.(?:inf|nan)|[-+.]?[0-9][-0-9a-fox_.:+tz ]*)$/i;
const PLAIN = /^[^\s\-?:,[\]{}#&*!|>'"%@`][^\n]*$/u;
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\ufeff\ufffe\uffff]/u;
const FLOW_ONLY = /[,[\]{}]/;

/**
 * Refuses text that YAML cannot hold.
 * @throws LodestarError `USAGE`
 */
export function checkText(text: string): void {
  if (text.includes("\0")) throw new LodestarError("USAGE", "A text must not hold a NUL character.");
  if (!text.isWellFormed())
    throw new LodestarError("USAGE", "A text must be valid Unicode; this one holds half a character.");
}

function isPlain(text: string, flow: boolean): boolean {
  return (
    PLAIN.test(text) &&
    !SPECIAL.test(text) &&
    !UNPRINTABLE.test(text) &&
    !/\s$|:(?:\s|$)|\s#/.test(text) &&
    !/^(?:---|\.\.\.)/.test(text) &&
    !(flow && (FLOW_ONLY.test(text) || text.includes(":")))
  );
}

function doubleQuoted(text: string): string {
  const escaped = JSON.stringify(text).replace(/[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return escaped;
}

/** A text on one line: plain where that is safe, else in quotes. */
export function scalarText(text: string, { flow, like }: Place): string {
  checkText(text);
  if (UNPRINTABLE.test(text) || like === "double") return doubleQuoted(text);
  if (like !== "single" && isPlain(text, flow)) return text;
  return `'${text.replaceAll("'", "''")}'`;
}

/** A task's id or another key, in quotes where needed. */
export function keyText(key: string): string {
  return scalarText(key, { flow: true });
}

/** Any value on one line. */
export function inlineText(value: Value, place: Place): string {
  // Unknown keys may hold what no field of ours does: true, false and, in lists, null.
  if ((typeof value !== "string" && typeof value !== "object") || value === null) return String(value);
  if (typeof value === "string") return scalarText(value, place);
  if (isList(value)) return `[${value.map((item) => inlineText(item, { flow: true })).join(", ")}]`;
  const pairs = Object.entries(value).map(([key, item]) => `${keyText(key)}: ${inlineText(item, { flow: true })}`);
  return pairs.length === 0 ? "{}" : `{ ${pairs.join(", ")} }`;
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** The lines of a literal block scalar; `undefined` when the text cannot be one and must be quoted. */
function literalLines(text: string): { header: string; lines: string[] } | undefined {
  if (!text.includes("\n")) return undefined;
  const lines = text.replace(/\n$/, "").split("\n");
  const [first = "", last = ""] = [lines[0], lines.at(-1)];
  if (first.trim() === "" || first.startsWith(" ") || last === "") return undefined;
  if (lines.some((line) => UNPRINTABLE.test(line) || /^ +$|\|\+|>\+/.test(line))) return undefined;
  return { header: text.endsWith("\n") ? "|" : "|-", lines };
}

export interface Style {
  readonly eol: string;
  /** Spaces before the keys of the mapping that the field is in, and how much deeper its values go. */
  readonly indent: number;
  readonly step: number;
  /** Spaces of a list's dashes, relative to its key. */
  readonly dash: number;
}

/** True for the keys whose lists are written with one item a line. */
export type Below = (key: string) => boolean;

/** How a field's value is laid out: on the key's line, or on lines below it. */
export interface Written {
  /** Behind the colon, beginning with its space. */
  readonly head: string;
  /** Whole lines without the last line end; empty when the value is on the key's line. */
  readonly lines: readonly string[];
}

/** A value as it is written behind `key:` in block style. */
export function writeValue(value: Value, style: Style, below: Below, key = ""): Written {
  const pad = " ".repeat(style.indent + style.step);
  if (typeof value === "string") {
    checkText(value);
    const literal = literalLines(value);
    if (literal === undefined) return { head: ` ${scalarText(value, { flow: false })}`, lines: [] };
    return { head: ` ${literal.header}`, lines: literal.lines.map((line) => (line === "" ? "" : pad + line)) };
  }
  if (typeof value !== "object") return { head: ` ${value}`, lines: [] };
  if (isList(value)) {
    if (value.length === 0 || !(below(key) || value.some((item) => typeof item === "object")))
      return { head: ` ${inlineText(value, { flow: true })}`, lines: [] };
    const dash = " ".repeat(style.indent + style.dash);
    return { head: "", lines: value.flatMap((item) => itemLines(item, dash)) };
  }
  const entries = Object.entries(value);
  if (entries.length === 0) return { head: " {}", lines: [] };
  const inner = { ...style, indent: style.indent + style.step };
  return {
    head: "",
    lines: entries.flatMap(([key, item]) => fieldLines(key, item, inner, below)),
  };
}

/** The lines of one `key: value` in block style. */
export function fieldLines(key: string, value: Value, style: Style, below: Below): string[] {
  const { head, lines } = writeValue(value, style, below, key);
  return [`${" ".repeat(style.indent)}${keyText(key)}:${head}`, ...lines];
}

/** The lines of one item of a block list, the dash at the end of `pad`. */
export function itemLines(item: Value, pad: string): string[] {
  if (typeof item !== "object" || isList(item)) return [`${pad}- ${inlineText(item, { flow: false })}`];
  if (item === null || Object.keys(item).length === 0) return [`${pad}- ${inlineText(item, { flow: false })}`];
  const pairs = Object.entries(item).map(([key, value]) => `${keyText(key)}: ${inlineText(value, { flow: false })}`);
  return pairs.map((pair, i) => `${pad}${i === 0 ? "- " : "  "}${pair}`);
}

/** The part of the outline's reader that knows flow style, and what both parts share. */
import type { Entry, Mapping, Node, Sequence, Span } from "./outline.ts";

/** Thrown inside, never out: the text holds what this reader does not know. */
export const UNKNOWN = new Error("unknown YAML");
export const MAX_DEPTH = 100;

export const isBreak = (char: string | undefined) => char === undefined || char === "\n" || char === "\r";
export const isBlank = (char: string | undefined) => isBreak(char) || char === " " || char === "\t";

/** YAML's blanks only: a no-break space, which JavaScript trims, is text. */
export function withoutBlankEnd(text: string): string {
  return text.replace(/[ \t\r\n]+$/, "");
}

/** The text of a quoted key. */
export function unquote(raw: string): string {
  if (raw.startsWith("'")) return raw.slice(1, -1).replaceAll("''", "'");
  if (!raw.includes("\\")) return raw.slice(1, -1);
  try {
    return JSON.parse(raw) as string;
  } catch {
    throw UNKNOWN;
  }
}

/** A reader of flow collections and quoted texts, at a place in the text that its methods move on. */
export class FlowReader {
  protected readonly text: string;
  protected at = 0;
  protected depth = 0;
  protected readonly duplicates: { key: string; at: number }[] = [];

  constructor(text: string) {
    this.text = text;
  }

  protected lineEnd(at: number): number {
    const end = this.text.indexOf("\n", at);
    if (end < 0) return this.text.length;
    return end > at && this.text[end - 1] === "\r" ? end - 1 : end;
  }

  protected isDash(at: number): boolean {
    return this.text[at] === "-" && isBlank(this.text[at + 1]);
  }

  protected quotedEnd(start: number): number {
    const text = this.text;
    const quote = text[start] ?? "'";
    for (let at = text.indexOf(quote, start + 1); at >= 0; at = text.indexOf(quote, at + 1)) {
      if (quote === '"') {
        let backslashes = 0;
        while (text[at - 1 - backslashes] === "\\") backslashes += 1;
        if (backslashes % 2 === 0) return at + 1;
      } else if (text[at + 1] === "'") at += 1;
      else return at + 1;
    }
    throw UNKNOWN;
  }

  protected flowSpace(): void {
    const text = this.text;
    for (;;) {
      const char = text[this.at];
      if (char === " " || char === "\t" || char === "\n" || char === "\r") this.at += 1;
      else if (char === "#" && isBlank(text[this.at - 1])) this.at = this.lineEnd(this.at);
      else return;
    }
  }

  protected flow(): Node {
    this.depth += 1;
    if (this.depth > MAX_DEPTH) throw UNKNOWN;
    const node = this.text[this.at] === "[" ? this.flowSequence() : this.flowMapping();
    this.depth -= 1;
    return node;
  }

  protected flowSequence(): Sequence {
    const start = this.at;
    const items: (Span & { value: Node })[] = [];
    this.at += 1;
    for (;;) {
      this.flowSpace();
      if (this.text[this.at] === "]") break;
      const value = this.flowValue();
      items.push({ start: value.start, end: value.end, value });
      this.flowSpace();
      if (this.text[this.at] === ",") this.at += 1;
      else if (this.text[this.at] !== "]") throw UNKNOWN;
    }
    this.at += 1;
    return { kind: "sequence", flow: true, items, start, end: this.at };
  }

  protected flowMapping(): Mapping {
    const text = this.text;
    const start = this.at;
    const entries: Entry[] = [];
    const seen = new Set<string>();
    this.at += 1;
    for (;;) {
      this.flowSpace();
      if (text[this.at] === "}") break;
      const key = this.flowValue();
      if (key.kind !== "plain" && key.kind !== "single" && key.kind !== "double") throw UNKNOWN;
      const raw = text.slice(key.start, key.end);
      const name = key.kind === "plain" ? raw : unquote(raw);
      if (name === "<<" || raw.includes("\n")) throw UNKNOWN;
      if (seen.has(name)) this.duplicates.push({ key: name, at: key.start });
      seen.add(name);
      this.flowSpace();
      let colon = key.end;
      let value: Node = { kind: "empty", start: colon, end: colon };
      if (text[this.at] === ":") {
        colon = this.at + 1;
        this.at = colon;
        this.flowSpace();
        const char = text[this.at];
        value = char === "," || char === "}" ? { kind: "empty", start: colon, end: colon } : this.flowValue();
        this.flowSpace();
      }
      entries.push({ key: name, start: key.start, end: Math.max(value.end, colon), colon, value });
      if (text[this.at] === ",") this.at += 1;
      else if (text[this.at] !== "}") throw UNKNOWN;
    }
    this.at += 1;
    return { kind: "mapping", flow: true, entries, start, end: this.at };
  }

  protected flowValue(): Node {
    const text = this.text;
    const start = this.at;
    const first = text[start];
    if (first === "[" || first === "{") return this.flow();
    if (first === "'" || first === '"') {
      this.at = this.quotedEnd(start);
      return { kind: first === "'" ? "single" : "double", start, end: this.at };
    }
    if (first === undefined || "&*!%@`]},?|>:#".includes(first) || this.isDash(start)) throw UNKNOWN;
    let end = start;
    for (let at = start; ; at += 1) {
      const char = text[at];
      if (char === undefined) throw UNKNOWN;
      if (",[]{}".includes(char) || (char === "#" && isBlank(text[at - 1]))) break;
      if (char === ":" && (isBlank(text[at + 1]) || ",[]{}".includes(text[at + 1] ?? ","))) break;
      if (!isBlank(char)) end = at + 1;
    }
    this.at = end;
    return { kind: "plain", start, end };
  }
}

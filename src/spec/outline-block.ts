/** The part of the outline's reader that knows block style. */

import type { Entry, Mapping, Node, Outline, Scalar, Sequence, Span } from "./outline.ts";
import { FlowReader, isBlank, isBreak, MAX_DEPTH, UNKNOWN, unquote, withoutBlankEnd } from "./outline-flow.ts";

const PLAIN_KEY = /([^\r\n]*?):(?=[ \t\r\n]|$)/y;
const COMMENT = /[ \t]#/;

/** Reads a whole text by indentation: entries at one column, deeper ones below them. */
export class BlockReader extends FlowReader {
  read(): Outline {
    const root = this.block(-1, false, 0);
    if (this.nextContent() >= 0) throw UNKNOWN;
    return { root: root.kind === "empty" ? undefined : root, duplicates: this.duplicates };
  }

  private lineStart(at: number): number {
    return this.text.lastIndexOf("\n", at - 1) + 1;
  }

  /** Goes to the next line that is neither blank nor a comment. @returns its indentation, -1 at the end of the text. */
  private nextContent(): number {
    const text = this.text;
    let at = this.at;
    while (at < text.length) {
      let column = at;
      while (text[column] === " ") column += 1;
      const char = text[column];
      if (char === "\t") {
        if (withoutBlankEnd(text.slice(column, this.lineEnd(column))) !== "") throw UNKNOWN;
      } else if (!isBreak(char) && char !== "#") {
        this.at = at;
        return column - at;
      }
      const end = text.indexOf("\n", column);
      at = end < 0 ? text.length : end + 1;
    }
    this.at = at;
    return -1;
  }

  /** From here only blanks and a comment may follow on the line; goes to the next line. */
  private finishLine(): void {
    const text = this.text;
    let at = this.at;
    while (text[at] === " " || text[at] === "\t") at += 1;
    if (!isBreak(text[at]) && !(text[at] === "#" && isBlank(text[at - 1]))) throw UNKNOWN;
    const end = text.indexOf("\n", at);
    this.at = end < 0 ? text.length : end + 1;
  }

  /** A value that begins on a line of its own, deeper than `parent`; or a sequence as deep as its key. */
  private block(parent: number, under_key: boolean, behind: number): Node {
    const before = this.at;
    const indent = this.nextContent();
    const dash = indent >= 0 && this.isDash(this.at + indent);
    if (indent < 0 || indent < parent || (indent === parent && !(under_key && dash))) {
      this.at = before;
      return { kind: "empty", start: behind, end: behind };
    }
    this.at += indent;
    return this.collectionOrScalar(indent, parent);
  }

  /** What begins here at `column`, in the middle of a line or at its first character. */
  private collectionOrScalar(column: number, parent: number): Node {
    this.depth += 1;
    if (this.depth > MAX_DEPTH) throw UNKNOWN;
    let node: Node;
    if (this.isDash(this.at)) node = this.sequence(column);
    else if (this.key() !== undefined) node = this.mapping(column);
    else node = this.inline(parent);
    this.depth -= 1;
    return node;
  }

  private sequence(column: number): Sequence {
    const items: (Span & { value: Node })[] = [];
    const start = this.at;
    do {
      const dash = this.at;
      this.at = dash + 1;
      while (this.text[this.at] === " ") this.at += 1;
      const value = this.atLineEnd()
        ? this.valueBelow(column, false, dash + 1)
        : this.collectionOrScalar(this.at - this.lineStart(this.at), column);
      items.push({ start: dash, end: Math.max(value.end, dash + 1), value });
    } while (this.continues(column, true));
    return { kind: "sequence", flow: false, items, start, end: items.at(-1)?.end ?? start };
  }

  /** Goes to the next entry when the next content line is at `column` exactly and begins with a dash, or does not. */
  private continues(column: number, dash: boolean): boolean {
    const before = this.at;
    const indent = this.nextContent();
    if (indent > column) throw UNKNOWN;
    if (indent < column || this.isDash(this.at + indent) !== dash) {
      this.at = before;
      return false;
    }
    this.at += indent;
    return true;
  }

  private atLineEnd(): boolean {
    const char = this.text[this.at];
    return isBreak(char) || (char === "#" && isBlank(this.text[this.at - 1]));
  }

  private valueBelow(parent: number, under_key: boolean, behind: number): Node {
    this.finishLine();
    return this.block(parent, under_key, behind);
  }

  private mapping(column: number): Mapping {
    const entries: Entry[] = [];
    const seen = new Set<string>();
    const start = this.at;
    do {
      const key_start = this.at;
      const key = this.key();
      if (key === undefined || key.name === "<<") throw UNKNOWN;
      if (seen.has(key.name)) this.duplicates.push({ key: key.name, at: key_start });
      seen.add(key.name);
      this.at = key.colon;
      while (this.text[this.at] === " " || this.text[this.at] === "\t") this.at += 1;
      const value = this.atLineEnd() ? this.valueBelow(column, true, key.colon) : this.inline(column);
      entries.push({ key: key.name, start: key_start, end: Math.max(value.end, key.colon), colon: key.colon, value });
    } while (this.continues(column, false));
    return { kind: "mapping", flow: false, entries, start, end: entries.at(-1)?.end ?? start };
  }

  /** The key that begins here, if the line has one. */
  private key(): { name: string; colon: number } | undefined {
    const text = this.text;
    const first = text[this.at];
    let end: number;
    let name: string;
    if (first === "'" || first === '"') {
      end = this.quotedEnd(this.at);
      const raw = text.slice(this.at, end);
      if (raw.includes("\n")) return undefined;
      name = unquote(raw);
      while (text[end] === " ") end += 1;
      if (text[end] !== ":" || !isBlank(text[end + 1])) return undefined;
      return { name, colon: end + 1 };
    }
    if (first === undefined || "[]{},#|>@`%&*!".includes(first)) return undefined;
    if (first === "?" && isBlank(text[this.at + 1])) throw UNKNOWN;
    PLAIN_KEY.lastIndex = this.at;
    const plain = PLAIN_KEY.exec(text)?.[1];
    if (plain === undefined || COMMENT.test(plain)) return undefined;
    end = this.at + plain.length;
    name = withoutBlankEnd(text.slice(this.at, end));
    return { name, colon: end + 1 };
  }

  /** A value that begins on this line and is no block collection; goes to the line after it. */
  private inline(parent: number): Node {
    const first = this.text[this.at];
    const start = this.at;
    if (first === "|" || first === ">") return this.blockScalar(parent);
    if (first === "'" || first === '"') {
      const end = this.quotedEnd(start);
      this.at = end;
      this.finishLine();
      return { kind: first === "'" ? "single" : "double", start, end };
    }
    if (first === "[" || first === "{") {
      const node = this.flow();
      this.finishLine();
      return node;
    }
    if (first === undefined || "&*!%@`]},".includes(first)) throw UNKNOWN;
    return this.plain(parent);
  }

  private plain(parent: number): Scalar {
    const text = this.text;
    const start = this.at;
    let end = start;
    for (;;) {
      const line_end = this.lineEnd(this.at);
      const comment = text.slice(this.at, line_end).search(COMMENT);
      const content = withoutBlankEnd(text.slice(this.at, comment < 0 ? line_end : this.at + comment));
      end = this.at + content.length;
      const next = text.indexOf("\n", line_end);
      this.at = next < 0 ? text.length : next + 1;
      if (comment >= 0) break;
      const before = this.at;
      const blank = /(?:[ \t]*\r?\n)*/y;
      blank.lastIndex = before;
      blank.exec(text);
      const indent = /[ \t]*/y;
      indent.lastIndex = blank.lastIndex;
      const width = indent.exec(text)?.[0].length ?? 0;
      const column = blank.lastIndex + width;
      if (column >= text.length || width <= parent || text[column] === "#") {
        this.at = before;
        break;
      }
      this.at = column;
    }
    return { kind: "plain", start, end };
  }

  private blockScalar(parent: number): Scalar {
    const text = this.text;
    const start = this.at;
    const header = /[|>][-+1-9]*/y;
    header.lastIndex = start;
    const indicator = header.exec(text)?.[0] ?? "|";
    let end = start + indicator.length;
    this.at = end;
    this.finishLine();
    let indent = /\d/.test(indicator) ? Math.max(parent, 0) + Number(indicator.replace(/\D/g, "")) : 0;
    while (this.at < text.length) {
      const line_end = this.lineEnd(this.at);
      let column = this.at;
      while (text[column] === " ") column += 1;
      const width = column - this.at;
      if (column < line_end) {
        if (width <= parent || (indent > 0 && width < indent)) break;
        if (indent === 0) indent = width;
        end = line_end;
      } else if ((indent > 0 && width > indent) || indicator.includes("+")) end = line_end;
      const next = text.indexOf("\n", line_end);
      this.at = next < 0 ? text.length : next + 1;
    }
    return { kind: "literal", start, end };
  }
}

/**
 * Where the keys and values of a piece of YAML are, without what they mean: enough to splice bytes and to find duplicate
 * keys. The reader of this file knows the common part of YAML and says so when it meets the rest.
 */

/** Offsets into the text; `end` is behind the last character. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface Scalar extends Span {
  /** `empty`: nothing there; the offset is the one behind the colon or dash. `other`: an alias, or tagged or anchored. */
  readonly kind: "empty" | "plain" | "single" | "double" | "literal" | "other";
}

export interface Sequence extends Span {
  readonly kind: "sequence";
  readonly flow: boolean;
  /** In block style a span begins at the dash, in flow style at the value. */
  readonly items: readonly (Span & { readonly value: Node })[];
}

export interface Mapping extends Span {
  readonly kind: "mapping";
  readonly flow: boolean;
  readonly entries: readonly Entry[];
}

/** A span from the key's first character to the value's last. */
export interface Entry extends Span {
  readonly key: string;
  /** Behind the colon, or behind the key when there is no colon. */
  readonly colon: number;
  readonly value: Node;
}

export type Node = Scalar | Sequence | Mapping;

export interface Outline {
  /** `undefined` for a text without content. */
  readonly root: Node | undefined;
  /** Every key that stands again in its mapping. */
  readonly duplicates: readonly { readonly key: string; readonly at: number }[];
}

/** Thrown inside, never out: the text holds what this reader does not know. */
const UNKNOWN = new Error("unknown YAML");
const MAX_DEPTH = 100;

/**
 * Outlines a text that is known to be good YAML: one document of block and flow collections and scalars.
 * @returns `undefined` for anchors, aliases, tags, explicit and merge keys and whatever else it is not sure of.
 */
export function outline(text: string): Outline | undefined {
  try {
    return new Reader(text).read();
  } catch (cause) {
    if (cause === UNKNOWN) return undefined;
    throw cause;
  }
}

/** The value at a path of keys and indices, and its key's offset; as far as the path goes. */
export function follow(root: Node | undefined, path: readonly (string | number)[]): { at: number; node: Node } | undefined {
  if (root === undefined) return undefined;
  let found = { at: root.start, node: root };
  for (const step of path) {
    const { node } = found;
    if (node.kind === "mapping") {
      const entry = node.entries.find(({ key }) => key === String(step));
      if (entry === undefined) return found;
      found = { at: entry.value.kind === "empty" ? entry.start : entry.value.start, node: entry.value };
    } else if (node.kind === "sequence") {
      const item = node.items[Number(step)];
      if (item === undefined) return found;
      found = { at: item.value.start, node: item.value };
    } else return found;
  }
  return found;
}

const PLAIN_KEY = /([^\r\n]*?):(?=[ \t\r\n]|$)/y;
const COMMENT = /[ \t]#/;

const isBreak = (char: string | undefined) => char === undefined || char === "\n" || char === "\r";
const isBlank = (char: string | undefined) => isBreak(char) || char === " " || char === "\t";

/** YAML's blanks only: a no-break space, which JavaScript trims, is text. */
export function withoutBlankEnd(text: string): string {
  return text.replace(/[ \t\r\n]+$/, "");
}

class Reader {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  readonly #duplicates: { key: string; at: number }[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  read(): Outline {
    const root = this.#block(-1, false, 0);
    if (this.#nextContent() >= 0) throw UNKNOWN;
    return { root: root.kind === "empty" ? undefined : root, duplicates: this.#duplicates };
  }

  #lineStart(at: number): number {
    return this.#text.lastIndexOf("\n", at - 1) + 1;
  }

  #lineEnd(at: number): number {
    const end = this.#text.indexOf("\n", at);
    if (end < 0) return this.#text.length;
    return end > at && this.#text[end - 1] === "\r" ? end - 1 : end;
  }

  /** Goes to the next line that is neither blank nor a comment. @returns its indentation, -1 at the end of the text. */
  #nextContent(): number {
    const text = this.#text;
    let at = this.#at;
    while (at < text.length) {
      let column = at;
      while (text[column] === " ") column += 1;
      const char = text[column];
      if (char === "\t") {
        if (withoutBlankEnd(text.slice(column, this.#lineEnd(column))) !== "") throw UNKNOWN;
      } else if (!isBreak(char) && char !== "#") {
        this.#at = at;
        return column - at;
      }
      const end = text.indexOf("\n", column);
      at = end < 0 ? text.length : end + 1;
    }
    this.#at = at;
    return -1;
  }

  /** From here only blanks and a comment may follow on the line; goes to the next line. */
  #finishLine(): void {
    const text = this.#text;
    let at = this.#at;
    while (text[at] === " " || text[at] === "\t") at += 1;
    if (!isBreak(text[at]) && !(text[at] === "#" && isBlank(text[at - 1]))) throw UNKNOWN;
    const end = text.indexOf("\n", at);
    this.#at = end < 0 ? text.length : end + 1;
  }

  /** A value that begins on a line of its own, deeper than `parent`; or a sequence as deep as its key. */
  #block(parent: number, under_key: boolean, behind: number): Node {
    const before = this.#at;
    const indent = this.#nextContent();
    const dash = indent >= 0 && this.#isDash(this.#at + indent);
    if (indent < 0 || indent < parent || (indent === parent && !(under_key && dash))) {
      this.#at = before;
      return { kind: "empty", start: behind, end: behind };
    }
    this.#at += indent;
    return this.#collectionOrScalar(indent, parent);
  }

  #isDash(at: number): boolean {
    return this.#text[at] === "-" && isBlank(this.#text[at + 1]);
  }

  /** What begins here at `column`, in the middle of a line or at its first character. */
  #collectionOrScalar(column: number, parent: number): Node {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw UNKNOWN;
    let node: Node;
    if (this.#isDash(this.#at)) node = this.#sequence(column);
    else if (this.#key() !== undefined) node = this.#mapping(column);
    else node = this.#inline(parent);
    this.#depth -= 1;
    return node;
  }

  #sequence(column: number): Sequence {
    const items: (Span & { value: Node })[] = [];
    const start = this.#at;
    do {
      const dash = this.#at;
      this.#at = dash + 1;
      while (this.#text[this.#at] === " ") this.#at += 1;
      const value = this.#atLineEnd()
        ? this.#valueBelow(column, false, dash + 1)
        : this.#collectionOrScalar(this.#at - this.#lineStart(this.#at), column);
      items.push({ start: dash, end: Math.max(value.end, dash + 1), value });
    } while (this.#continues(column, true));
    return { kind: "sequence", flow: false, items, start, end: items.at(-1)?.end ?? start };
  }

  /** Goes to the next entry when the next content line is at `column` exactly and begins with a dash, or does not. */
  #continues(column: number, dash: boolean): boolean {
    const before = this.#at;
    const indent = this.#nextContent();
    if (indent > column) throw UNKNOWN;
    if (indent < column || this.#isDash(this.#at + indent) !== dash) {
      this.#at = before;
      return false;
    }
    this.#at += indent;
    return true;
  }

  #atLineEnd(): boolean {
    const char = this.#text[this.#at];
    return isBreak(char) || (char === "#" && isBlank(this.#text[this.#at - 1]));
  }

  #valueBelow(parent: number, under_key: boolean, behind: number): Node {
    this.#finishLine();
    return this.#block(parent, under_key, behind);
  }

  #mapping(column: number): Mapping {
    const entries: Entry[] = [];
    const seen = new Set<string>();
    const start = this.#at;
    do {
      const key_start = this.#at;
      const key = this.#key();
      if (key === undefined || key.name === "<<") throw UNKNOWN;
      if (seen.has(key.name)) this.#duplicates.push({ key: key.name, at: key_start });
      seen.add(key.name);
      this.#at = key.colon;
      while (this.#text[this.#at] === " " || this.#text[this.#at] === "\t") this.#at += 1;
      const value = this.#atLineEnd() ? this.#valueBelow(column, true, key.colon) : this.#inline(column);
      entries.push({ key: key.name, start: key_start, end: Math.max(value.end, key.colon), colon: key.colon, value });
    } while (this.#continues(column, false));
    return { kind: "mapping", flow: false, entries, start, end: entries.at(-1)?.end ?? start };
  }

  /** The key that begins here, if the line has one. */
  #key(): { name: string; colon: number } | undefined {
    const text = this.#text;
    const first = text[this.#at];
    let end: number;
    let name: string;
    if (first === "'" || first === '"') {
      end = this.#quotedEnd(this.#at);
      const raw = text.slice(this.#at, end);
      if (raw.includes("\n")) return undefined;
      name = unquote(raw);
      while (text[end] === " ") end += 1;
      if (text[end] !== ":" || !isBlank(text[end + 1])) return undefined;
      return { name, colon: end + 1 };
    }
    if (first === undefined || "[]{},#|>@`%&*!".includes(first)) return undefined;
    if (first === "?" && isBlank(text[this.#at + 1])) throw UNKNOWN;
    PLAIN_KEY.lastIndex = this.#at;
    const plain = PLAIN_KEY.exec(text)?.[1];
    if (plain === undefined || COMMENT.test(plain)) return undefined;
    end = this.#at + plain.length;
    name = withoutBlankEnd(text.slice(this.#at, end));
    return { name, colon: end + 1 };
  }

  /** A value that begins on this line and is no block collection; goes to the line after it. */
  #inline(parent: number): Node {
    const first = this.#text[this.#at];
    const start = this.#at;
    if (first === "|" || first === ">") return this.#blockScalar(parent);
    if (first === "'" || first === '"') {
      const end = this.#quotedEnd(start);
      this.#at = end;
      this.#finishLine();
      return { kind: first === "'" ? "single" : "double", start, end };
    }
    if (first === "[" || first === "{") {
      const node = this.#flow();
      this.#finishLine();
      return node;
    }
    if (first === undefined || "&*!%@`]},".includes(first)) throw UNKNOWN;
    return this.#plain(parent);
  }

  #quotedEnd(start: number): number {
    const text = this.#text;
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

  #plain(parent: number): Scalar {
    const text = this.#text;
    const start = this.#at;
    let end = start;
    for (;;) {
      const line_end = this.#lineEnd(this.#at);
      const comment = text.slice(this.#at, line_end).search(COMMENT);
      const content = withoutBlankEnd(text.slice(this.#at, comment < 0 ? line_end : this.#at + comment));
      end = this.#at + content.length;
      const next = text.indexOf("\n", line_end);
      this.#at = next < 0 ? text.length : next + 1;
      if (comment >= 0) break;
      const before = this.#at;
      const blank = /(?:[ \t]*\r?\n)*/y;
      blank.lastIndex = before;
      blank.exec(text);
      const indent = /[ \t]*/y;
      indent.lastIndex = blank.lastIndex;
      const width = indent.exec(text)?.[0].length ?? 0;
      const column = blank.lastIndex + width;
      if (column >= text.length || width <= parent || text[column] === "#") {
        this.#at = before;
        break;
      }
      this.#at = column;
    }
    return { kind: "plain", start, end };
  }

  #blockScalar(parent: number): Scalar {
    const text = this.#text;
    const start = this.#at;
    const header = /[|>][-+1-9]*/y;
    header.lastIndex = start;
    const indicator = header.exec(text)?.[0] ?? "|";
    let end = start + indicator.length;
    this.#at = end;
    this.#finishLine();
    let indent = /\d/.test(indicator) ? Math.max(parent, 0) + Number(indicator.replace(/\D/g, "")) : 0;
    while (this.#at < text.length) {
      const line_end = this.#lineEnd(this.#at);
      let column = this.#at;
      while (text[column] === " ") column += 1;
      const width = column - this.#at;
      if (column < line_end) {
        if (width <= parent || (indent > 0 && width < indent)) break;
        if (indent === 0) indent = width;
        end = line_end;
      } else if ((indent > 0 && width > indent) || indicator.includes("+")) end = line_end;
      const next = text.indexOf("\n", line_end);
      this.#at = next < 0 ? text.length : next + 1;
    }
    return { kind: "literal", start, end };
  }

  #flowSpace(): void {
    const text = this.#text;
    for (;;) {
      const char = text[this.#at];
      if (char === " " || char === "\t" || char === "\n" || char === "\r") this.#at += 1;
      else if (char === "#" && isBlank(text[this.#at - 1])) this.#at = this.#lineEnd(this.#at);
      else return;
    }
  }

  #flow(): Node {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw UNKNOWN;
    const node = this.#text[this.#at] === "[" ? this.#flowSequence() : this.#flowMapping();
    this.#depth -= 1;
    return node;
  }

  #flowSequence(): Sequence {
    const start = this.#at;
    const items: (Span & { value: Node })[] = [];
    this.#at += 1;
    for (;;) {
      this.#flowSpace();
      if (this.#text[this.#at] === "]") break;
      const value = this.#flowValue();
      items.push({ start: value.start, end: value.end, value });
      this.#flowSpace();
      if (this.#text[this.#at] === ",") this.#at += 1;
      else if (this.#text[this.#at] !== "]") throw UNKNOWN;
    }
    this.#at += 1;
    return { kind: "sequence", flow: true, items, start, end: this.#at };
  }

  #flowMapping(): Mapping {
    const text = this.#text;
    const start = this.#at;
    const entries: Entry[] = [];
    const seen = new Set<string>();
    this.#at += 1;
    for (;;) {
      this.#flowSpace();
      if (text[this.#at] === "}") break;
      const key = this.#flowValue();
      if (key.kind !== "plain" && key.kind !== "single" && key.kind !== "double") throw UNKNOWN;
      const raw = text.slice(key.start, key.end);
      const name = key.kind === "plain" ? raw : unquote(raw);
      if (name === "<<" || raw.includes("\n")) throw UNKNOWN;
      if (seen.has(name)) this.#duplicates.push({ key: name, at: key.start });
      seen.add(name);
      this.#flowSpace();
      let colon = key.end;
      let value: Node = { kind: "empty", start: colon, end: colon };
      if (text[this.#at] === ":") {
        colon = this.#at + 1;
        this.#at = colon;
        this.#flowSpace();
        const char = text[this.#at];
        value = char === "," || char === "}" ? { kind: "empty", start: colon, end: colon } : this.#flowValue();
        this.#flowSpace();
      }
      entries.push({ key: name, start: key.start, end: Math.max(value.end, colon), colon, value });
      if (text[this.#at] === ",") this.#at += 1;
      else if (text[this.#at] !== "}") throw UNKNOWN;
    }
    this.#at += 1;
    return { kind: "mapping", flow: true, entries, start, end: this.#at };
  }

  #flowValue(): Node {
    const text = this.#text;
    const start = this.#at;
    const first = text[start];
    if (first === "[" || first === "{") return this.#flow();
    if (first === "'" || first === '"') {
      this.#at = this.#quotedEnd(start);
      return { kind: first === "'" ? "single" : "double", start, end: this.#at };
    }
    if (first === undefined || "&*!%@`]},?|>:#".includes(first) || this.#isDash(start)) throw UNKNOWN;
    let end = start;
    for (let at = start; ; at += 1) {
      const char = text[at];
      if (char === undefined) throw UNKNOWN;
      if (",[]{}".includes(char) || (char === "#" && isBlank(text[at - 1]))) break;
      if (char === ":" && (isBlank(text[at + 1]) || ",[]{}".includes(text[at + 1] ?? ","))) break;
      if (!isBlank(char)) end = at + 1;
    }
    this.#at = end;
    return { kind: "plain", start, end };
  }
}

/** The text of a quoted key. */
function unquote(raw: string): string {
  if (raw.startsWith("'")) return raw.slice(1, -1).replaceAll("''", "'");
  if (!raw.includes("\\")) return raw.slice(1, -1);
  try {
    return JSON.parse(raw) as string;
  } catch {
    throw UNKNOWN;
  }
}

/**
 * Edits in JSON that somebody else wrote, comments and trailing commas included: one entry is put in or taken out, and every other byte
 * stays as it was. Taking out is the inverse of putting in: what is tried is kept only if putting in again gives the same bytes.
 */

type Node =
  | { readonly kind: "object"; readonly start: number; readonly end: number; readonly members: readonly Member[] }
  | { readonly kind: "array"; readonly start: number; readonly end: number; readonly items: readonly Node[] }
  | { readonly kind: "value"; readonly start: number; readonly end: number; readonly value: unknown };
interface Member {
  readonly key: string;
  readonly start: number;
  readonly node: Node;
}
type Container = Exclude<Node, { kind: "value" }>;

/** Where an entry belongs: the keys that lead to its container, and its own key; none: it is an item of an array. */
export interface Entry {
  readonly path: readonly string[];
  readonly key?: string;
  readonly value: unknown;
}

/** Deeper than any configuration; a text of a million brackets is none. */
const MOST_DEPTH = 200;

/** Why a text is no JSON that can be edited. */
export class NotEditable extends Error {}

class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Node {
    const node = this.#value(0);
    this.#gap();
    if (this.#at < this.#text.length) throw this.#unexpected();
    return node;
  }

  #unexpected(): NotEditable {
    const line = this.#text.slice(0, this.#at).split("\n").length;
    return new NotEditable(`line ${line} is no JSON`);
  }

  /** White space, comments, and a byte order mark at the beginning. */
  #gap(): void {
    const gap = /(?:[ \t\r\n]|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y;
    if (this.#at === 0 && this.#text.startsWith("\uFEFF")) this.#at = 1;
    gap.lastIndex = this.#at;
    gap.exec(this.#text);
    this.#at = Math.max(this.#at, gap.lastIndex);
  }

  #take(sign: string): boolean {
    if (this.#text[this.#at] !== sign) return false;
    this.#at += 1;
    return true;
  }

  #value(depth: number): Node {
    if (depth > MOST_DEPTH) throw new NotEditable("it is nested too deeply");
    this.#gap();
    const start = this.#at;
    if (this.#take("{")) return this.#object(start, depth);
    if (this.#take("[")) return this.#array(start, depth);
    const scalar = /"(?:[^"\\]|\\.)*"|[-+\w.]+/y;
    scalar.lastIndex = start;
    const found = scalar.exec(this.#text)?.[0];
    if (found === undefined) throw this.#unexpected();
    try {
      const value: unknown = JSON.parse(found);
      this.#at += found.length;
      return { kind: "value", start, end: this.#at, value };
    } catch {
      throw this.#unexpected();
    }
  }

  #object(start: number, depth: number): Node {
    const members: Member[] = [];
    for (;;) {
      this.#gap();
      if (this.#take("}")) return { kind: "object", start, end: this.#at, members };
      const at = this.#at;
      const key = this.#value(depth + 1);
      if (key.kind !== "value" || typeof key.value !== "string") throw this.#unexpected();
      this.#gap();
      if (!this.#take(":")) throw this.#unexpected();
      members.push({ key: key.value, start: at, node: this.#value(depth + 1) });
      this.#gap();
      if (!this.#take(",") && this.#text[this.#at] !== "}") throw this.#unexpected();
    }
  }

  #array(start: number, depth: number): Node {
    const items: Node[] = [];
    for (;;) {
      this.#gap();
      if (this.#take("]")) return { kind: "array", start, end: this.#at, items };
      items.push(this.#value(depth + 1));
      this.#gap();
      if (!this.#take(",") && this.#text[this.#at] !== "]") throw this.#unexpected();
    }
  }
}

const scan = (text: string): Node => new Scanner(text).document();

export const isBlank = (text: string): boolean => text.replace(/^\uFEFF/, "").trim() === "";

function plainOf(node: Node): unknown {
  if (node.kind === "value") return node.value;
  if (node.kind === "array") return node.items.map(plainOf);
  return Object.fromEntries(node.members.map(({ key, node: value }) => [key, plainOf(value)]));
}

/** @throws NotEditable */
export const readJson = (text: string): unknown => (isBlank(text) ? {} : plainOf(scan(text)));

/** The containers on the way to an entry, as far as they are there. @throws NotEditable */
function wayTo(root: Node, { path, key }: Entry): Container[] {
  const way: Container[] = [];
  let node: Node | undefined = root;
  for (let depth = 0; node !== undefined; depth++) {
    const wanted = depth === path.length && key === undefined ? "array" : "object";
    if (node.kind !== wanted) throw new NotEditable(`${path.slice(0, depth).join(".") || "it"} is no ${wanted}`);
    way.push(node);
    if (depth === path.length || node.kind !== "object") break;
    node = memberOf(node, path[depth] ?? "")?.node;
  }
  return way;
}

/** @throws NotEditable for a key that stands twice: which one counts is not for us to say. */
function memberOf(node: Container, key: string): Member | undefined {
  if (node.kind !== "object") return undefined;
  const found = node.members.filter((member) => member.key === key);
  if (found.length > 1) throw new NotEditable(`"${key}" stands there twice`);
  return found[0];
}

/** What stands where the entry belongs: for a key its value, or nothing; for an item all items. @throws NotEditable */
export function standing(text: string, entry: Entry): readonly unknown[] {
  if (isBlank(text)) return [];
  const container = wayTo(scan(text), entry)[entry.path.length];
  if (container === undefined) return [];
  if (container.kind === "array") return container.items.map(plainOf);
  const member = memberOf(container, entry.key ?? "");
  return member === undefined ? [] : [plainOf(member.node)];
}

function isIn(container: Container, { key, value }: Entry): boolean {
  if (container.kind === "array") return container.items.some((item) => Bun.deepEquals(plainOf(item), value));
  return memberOf(container, key ?? "") !== undefined;
}

/** What is put in at one level: the entry, or the outermost container of it that is not there yet. */
function additionAt(entry: Entry, depth: number): { readonly key: string | undefined; readonly value: unknown } {
  const { path, key, value } = entry;
  if (depth === path.length) return { key, value };
  let made: unknown = key === undefined ? [value] : { [key]: value };
  for (const above of path.slice(depth + 1).reverse()) made = { [above]: made };
  return { key: path[depth], value: made };
}

/** The entry's whole document, for a file that is not there. */
const alone = (entry: Entry): unknown => {
  const { key, value } = additionAt(entry, 0);
  return { [key ?? ""]: value };
};

/**
 * The text with the entry in it, first in its container; the same text when something stands there already.
 *
 * @throws NotEditable
 */
export function putIn(text: string, entry: Entry): string {
  if (isBlank(text)) return fill(text, alone(entry));
  const root = scan(text);
  const way = wayTo(root, entry);
  const depth = way.length - 1;
  const container = way[depth] as Container;
  if (depth === entry.path.length && isIn(container, entry)) return text;
  const { key, value } = additionAt(entry, depth);
  const children = childrenOf(container);
  const name = key === undefined ? "" : `${JSON.stringify(key)}: `;
  const [before, after] = [text.slice(0, container.start + 1), text.slice(container.start + 1)];
  if (children.length === 0) return `${before} ${name}${JSON.stringify(value)} ${after}`;
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const indent = indentOf(text, container);
  const step = indent.includes("\t") ? "\t" : "  ";
  const body = JSON.stringify(value, null, step).replaceAll("\n", `${eol}${indent}`);
  return `${before}${eol}${indent}${name}${body},${after}`;
}

/** A blank text with a document in it; its byte order mark stays before, its white space after it. */
export function fill(text: string, document: unknown): string {
  const mark = text.startsWith("\uFEFF") ? 1 : 0;
  return `${text.slice(0, mark)}${JSON.stringify(document)}${text.slice(mark)}`;
}

/** The blank text that was {@link fill}ed; `undefined` when it was not. */
export function emptied(text: string, document: unknown): string | undefined {
  const mark = text.startsWith("\uFEFF") ? 1 : 0;
  const body = JSON.stringify(document);
  const rest = text.slice(mark + body.length);
  return text.startsWith(body, mark) && isBlank(rest) ? text.slice(0, mark) + rest : undefined;
}

const childrenOf = (container: Container): readonly { readonly start: number }[] =>
  container.kind === "object" ? container.members : container.items;

/** How deep the first child that begins a line stands; for children on one line two deeper than that line. */
function indentOf(text: string, container: Container): string {
  for (const { start } of childrenOf(container)) {
    const before = /(?:^|\n)([ \t]*)$/.exec(text.slice(container.start + 1, start));
    if (before !== null) return before[1] ?? "";
  }
  const line = text.slice(text.lastIndexOf("\n", container.start) + 1, container.start);
  return `${/^[ \t]*/.exec(line)?.[0] ?? ""}  `;
}

/**
 * The text without the entry: what {@link putIn} had before, byte for byte, unless somebody has altered it since; then the entry goes
 * with its comma and the rest stays. The same text when the entry does not stand there with this very value.
 *
 * @throws NotEditable
 */
export function takeOut(text: string, entry: Entry): string {
  if (isBlank(text)) return text;
  const way = wayTo(scan(text), entry);
  const container = way[entry.path.length];
  if (container === undefined) return text;
  const index = placeOf(container, entry);
  if (index === undefined) return text;
  for (let depth = 0; depth <= entry.path.length; depth++) {
    for (const before of candidates(text, way, entry, depth)) if (gives(before, entry, text)) return before;
  }
  return withoutChild(text, container, index);
}

function gives(before: string, entry: Entry, after: string): boolean {
  try {
    return putIn(before, entry) === after;
  } catch (cause) {
    if (cause instanceof NotEditable) return false;
    throw cause;
  }
}

/** What there may have been before an addition at this depth. */
function* candidates(text: string, way: readonly Container[], entry: Entry, depth: number): Generator<string> {
  if (depth === 0) {
    const blank = emptied(text, alone(entry));
    if (blank !== undefined) yield blank;
  }
  const container = way[depth];
  const first = container === undefined ? undefined : childrenOf(container)[0];
  if (container === undefined || first === undefined) return;
  const { value } = additionAt(entry, depth);
  const node = "node" in first ? (first as Member).node : (first as Node);
  if (!Bun.deepEquals(plainOf(node), value)) return;
  for (const sign of [",", " "]) {
    if (text.startsWith(sign, node.end)) yield text.slice(0, container.start + 1) + text.slice(node.end + 1);
  }
}

function placeOf(container: Container, { key, value }: Entry): number | undefined {
  const at =
    container.kind === "array"
      ? container.items.findIndex((item) => Bun.deepEquals(plainOf(item), value))
      : container.members.findIndex((member) => member.key === key && Bun.deepEquals(plainOf(member.node), value));
  return at < 0 ? undefined : at;
}

/** Without a child that somebody has moved or laid out anew: its comma and the line that it leaves empty go with it. */
function withoutChild(text: string, container: Container, index: number): string {
  const starts = childrenOf(container);
  const ends =
    container.kind === "object" ? container.members.map(({ node }) => node.end) : container.items.map(({ end }) => end);
  const [start, end] = [starts[index]?.start ?? 0, ends[index] ?? 0];
  const from = text.slice(0, start).search(/\s*$/);
  const comma = commaAfter(text, end);
  if (comma !== undefined) return text.slice(0, from) + text.slice(comma);
  const previous = index > 0 ? commaAfter(text, ends[index - 1] ?? 0) : undefined;
  // The comma before it goes; a comment between the two stays.
  if (previous !== undefined) return text.slice(0, previous - 1) + text.slice(previous, from) + text.slice(end);
  return text.slice(0, from) + text.slice(end);
}

/** Where a text goes on after the comma that follows here; comments may come before it. */
function commaAfter(text: string, at: number): number | undefined {
  const found = /^(?:\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*,/.exec(text.slice(at));
  return found === null ? undefined : at + found[0].length;
}

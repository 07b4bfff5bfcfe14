/**
 * Do two glob patterns possibly match a common path? Asked about path locks, where a wrong "no" lets two agents edit
 * one file and a wrong "yes" costs a warning: whatever is doubtful here is a yes.
 *
 * Method: each pattern becomes a small automaton over characters; the patterns overlap when the product of the two
 * reaches a pair of accepting states. No backtracking, so hostile patterns cost at most {@link MAX_PAIRS} steps.
 */
import { agree, MAX_LENGTH, plainPrefix } from "./glob-prefix.ts";

/** A set of characters: sorted, disjoint ranges of code points. */
type CharSet = readonly (readonly [from: number, to: number])[];

const LAST = 0x10ffff;
const SLASH = 0x2f;
const ANY: CharSet = [[0, LAST]];
const IN_SEGMENT: CharSet = [
  [0, SLASH - 1],
  [SLASH + 1, LAST],
];
const ONLY_SLASH: CharSet = [[SLASH, SLASH]];

/** More pairs of states than this are not looked at: the answer is then yes. */
const MAX_PAIRS = 1_000_000;

interface State {
  readonly moves: { readonly on: CharSet; readonly to: number }[];
  readonly free: number[];
}

/** A pattern made ready for {@link overlap}. */
export interface Glob {
  readonly pattern: string;
  /** Every path that it matches begins with this. */
  readonly prefix: string;
  readonly states: readonly State[];
  readonly accept: number;
}

/** True unless it is certain that no path matches both patterns. Symmetric. */
export function globsOverlap(a: string, b: string): boolean {
  return agree(plainPrefix(a), plainPrefix(b)) && overlap(compileGlob(a), compileGlob(b));
}

/** {@link globsOverlap} for patterns that are compared more than once. */
export function overlap(a: Glob, b: Glob): boolean {
  if (!agree(a.prefix, b.prefix)) return false;
  const width = b.states.length;
  if (a.states.length * width > MAX_PAIRS) return true;
  const seen = new Uint8Array(a.states.length * width);
  const work: number[] = [0];
  seen[0] = 1;
  const visit = (i: number, j: number): void => {
    const pair = i * width + j;
    if (seen[pair] === 0) {
      seen[pair] = 1;
      work.push(pair);
    }
  };
  for (let pair = work.pop(); pair !== undefined; pair = work.pop()) {
    const i = Math.floor(pair / width);
    const j = pair % width;
    if (i === a.accept && j === b.accept) return true;
    const left = a.states[i];
    const right = b.states[j];
    if (left === undefined || right === undefined) continue;
    for (const to of left.free) visit(to, j);
    for (const to of right.free) visit(i, to);
    for (const x of left.moves) for (const y of right.moves) if (meet(x.on, y.on)) visit(x.to, y.to);
  }
  return false;
}

/**
 * Reads a pattern: `**`, `*`, `?`, `[…]`, `{a,b}` and `\` as escape; a leading `./` or `/`, doubled slashes and a
 * trailing `/` mean nothing. A pattern that names a folder covers what is in it. What cannot be read, and a leading
 * `!`, matches everything.
 */
export function compileGlob(pattern: string): Glob {
  const everything = pattern.length > MAX_LENGTH || pattern.startsWith("!");
  const text = everything ? [] : normalise(pattern);
  const builder = new Builder(text);
  const end = everything ? undefined : builder.read();
  if (end === undefined || text.length === 0) return { pattern, prefix: "", ...MATCH_ALL };
  // What a pattern matches may be a folder: `/…` may follow.
  const accept = builder.state();
  const below = builder.state();
  builder.free(end, accept);
  builder.move(end, ONLY_SLASH, below);
  builder.move(below, ANY, below);
  builder.free(below, accept);
  return { pattern, prefix: literalPrefix(text), states: builder.states, accept };
}

const MATCH_ALL: Pick<Glob, "states" | "accept"> = { states: [{ moves: [{ on: ANY, to: 0 }], free: [] }], accept: 0 };

function meet(a: CharSet, b: CharSet): boolean {
  return a.some(([from, to]) => b.some(([start, end]) => from <= end && start <= to));
}

/** The pattern as characters, with `./`, `//`, a leading and a trailing `/` taken out (a slash cannot be escaped away). */
function normalise(pattern: string): string[] {
  const out: string[] = [];
  const chars = [...pattern];
  const atStart = (): boolean => out.length === 0 || out.at(-1) === "/";
  for (let i = 0; i < chars.length; i += 1) {
    const char = chars[i] ?? "";
    if (char === "\\" && chars[i + 1] !== undefined && chars[i + 1] !== "/") {
      out.push(char, chars[i + 1] ?? "");
      i += 1;
    } else if (char === "\\" && chars[i + 1] === "/") {
      // An escaped slash is a slash.
    } else if (char === "/" && atStart()) {
      // `//` is `/`, and paths are relative.
    } else if (char === "." && atStart() && (chars[i + 1] === "/" || i + 1 === chars.length)) {
      i += 1;
    } else {
      out.push(char);
    }
  }
  while (out.at(-1) === "/" && out.at(-2) !== "\\") out.pop();
  return out;
}

const SPECIAL = new Set(["*", "?", "[", "]", "{", "}", ","]);

/** The characters before the first special one; the last `/` is left out, for `a/**` covers `a` too. */
function literalPrefix(text: readonly string[]): string {
  let prefix = "";
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i] ?? "";
    if (SPECIAL.has(char)) break;
    if (char === "\\") i += 1;
    prefix += char === "\\" ? (text[i] ?? char) : char;
  }
  return prefix.endsWith("/") ? prefix.slice(0, -1) : prefix;
}

/** Thompson's construction; state 0 is the start. */
class Builder {
  readonly states: State[] = [];
  readonly #text: readonly string[];
  readonly #hasGlobstar: boolean;
  #at = 0;

  constructor(text: readonly string[]) {
    this.#text = text;
    this.#hasGlobstar = text.some((char, i) => char === "*" && text[i + 1] === "*");
  }

  state(): number {
    return this.states.push({ moves: [], free: [] }) - 1;
  }
  free(from: number, to: number): void {
    this.states[from]?.free.push(to);
  }
  move(from: number, on: CharSet, to: number): void {
    this.states[from]?.moves.push({ on, to });
  }

  /** The end state of the whole pattern; `undefined` when the pattern cannot be read. */
  read(): number | undefined {
    const end = this.#sequence(this.state(), false);
    return this.#at === this.#text.length ? end : undefined;
  }

  #sequence(start: number, inBraces: boolean): number | undefined {
    let from: number | undefined = start;
    while (from !== undefined && this.#at < this.#text.length) {
      const char = this.#text[this.#at];
      if (inBraces && (char === "," || char === "}")) return from;
      from = this.#part(from, char ?? "");
    }
    return inBraces ? undefined : from;
  }

  #part(from: number, char: string): number | undefined {
    this.#at += 1;
    switch (char) {
      case "*":
        return this.#star(from);
      case "?":
        return this.#one(from, IN_SEGMENT);
      case "[":
        return this.#charClass(from);
      case "{":
        return this.#braces(from);
      case "/":
        return this.#slash(from);
      case "\\":
        return this.#literal(from, this.#text[this.#at++] ?? "\\");
      default:
        return this.#literal(from, char);
    }
  }

  #one(from: number, on: CharSet): number {
    const to = this.state();
    this.move(from, on, to);
    return to;
  }

  #literal(from: number, char: string): number {
    const code = char.codePointAt(0) ?? 0;
    return this.#one(from, [[code, code]]);
  }

  /** `*` stays in its segment; two or more stars cross slashes. */
  #star(from: number): number {
    const before = this.#text[this.#at - 2];
    let count = 1;
    while (this.#text[this.#at] === "*") {
      this.#at += 1;
      count += 1;
    }
    const loop = this.state();
    this.free(from, loop);
    this.move(loop, count > 1 ? ANY : IN_SEGMENT, loop);
    const to = this.state();
    const isSegment = count > 1 && (before === undefined || before === "/") && this.#text[this.#at] === "/";
    if (isSegment) {
      // `**` and its slash stand for any number of folders, none too.
      this.#at += 1;
      this.move(loop, ONLY_SLASH, to);
      this.free(from, to);
    } else {
      this.free(loop, to);
    }
    return to;
  }

  /** A slash; it may vanish with a `**` that ends the pattern, or beside braces where one may hide. */
  #slash(from: number): number {
    const [before, after] = [this.#text[this.#at - 2], this.#text[this.#at]];
    const to = this.#one(from, ONLY_SLASH);
    if (this.#hasGlobstar && (isBrace(before) || isBrace(after))) this.free(from, to);
    if (!this.#endsInGlobstar()) return to;
    const end = this.#part(to, this.#text[this.#at] ?? "");
    if (end !== undefined) this.free(from, end);
    return end ?? to;
  }

  #endsInGlobstar(): boolean {
    const rest = this.#text.slice(this.#at, this.#at + 3).join("");
    return rest === "**";
  }

  /** `{a,b}`, nested too; one that is not closed makes the pattern unreadable. */
  #braces(from: number): number | undefined {
    const to = this.state();
    for (;;) {
      const start = this.state();
      this.free(from, start);
      const end = this.#sequence(start, true);
      if (end === undefined) return undefined;
      this.free(end, to);
      const closing = this.#text[this.#at];
      this.#at += 1;
      if (closing === "}") return to;
    }
  }

  /** `[…]`; negated and odd ones count as any character. */
  #charClass(from: number): number | undefined {
    const first = this.#text[this.#at];
    let odd = first === "!" || first === "^" || first === "]";
    const ranges: [number, number][] = [];
    if (odd) this.#at += 1;
    for (;;) {
      const char = this.#text[this.#at];
      this.#at += 1;
      if (char === undefined) return undefined;
      if (char === "]") break;
      // Dialects differ on escapes, nested brackets and slashes in a class.
      if (char === "\\" || char === "[" || char === "/") odd = true;
      if (char === "\\") this.#at += 1;
      const code = char.codePointAt(0) ?? 0;
      const last = this.#text[this.#at + 1];
      if (this.#text[this.#at] === "-" && last !== undefined && last !== "]") {
        this.#at += 2;
        const end = last.codePointAt(0) ?? 0;
        if (last === "\\" || last === "[" || end < code) odd = true;
        if (last === "\\") this.#at += 1;
        ranges.push([Math.min(code, end), Math.max(code, end)]);
      } else {
        ranges.push([code, code]);
      }
    }
    return this.#one(from, odd ? ANY : ranges);
  }
}

function isBrace(char: string | undefined): boolean {
  return char === "{" || char === "}" || char === ",";
}

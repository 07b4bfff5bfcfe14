/** How Lodestar's part of one file is put in, brought up to date and taken out, for each kind of file. */

import { append, cut } from "../repo/append.ts";
import { guideSection, hasSection, withoutSection, withSection } from "../repo/guide.ts";
import { type Entry, emptied, fill, isBlank, NotEditable, putIn, standing, takeOut } from "../repo/json-edit.ts";
import { isAsWritten, sealed } from "./seal.ts";

/** `older`: as another version wrote it; `own`: somebody has changed it, or had it before. */
export type State = "missing" | "older" | "own" | "current";

/** One file that a tool reads, and what of it is Lodestar's. The functions throw NotEditable. */
export interface Part {
  /** From the repository's root; with `--global` from the person's home. */
  readonly path: string;
  /** Another name under which the tool reads the same file; when that is there, it is meant. */
  readonly instead?: string;
  /** What is there to put in, for people. */
  readonly what: string;
  /** Of several things in one file, how it is with the one that needs most. */
  state(text: string | undefined): State;
  /** What is missing is put in, what is older is renewed. */
  put(text: string | undefined): string;
  /** What a Lodestar has put, of whatever version. `undefined`: the file was made by {@link put}, and goes. */
  take(text: string): string | undefined;
}

/** An entry, and by what it is known when it is not as we would write it now. */
export interface Piece extends Entry {
  /** What older versions wrote. */
  readonly former?: readonly unknown[];
  /** What an item's text has in it, whoever wrote it; an entry with a key is known by that. */
  readonly runs?: RegExp;
}

interface More extends Pick<Part, "instead"> {
  /** What a file needs besides the entries; one that is there already has it. */
  readonly head?: object;
}

const STATES: readonly State[] = ["missing", "older", "own", "current"];

function stateOf(text: string, piece: Piece): State {
  const there = standing(text, piece);
  const has = (value: unknown): boolean => there.some((one) => Bun.deepEquals(one, value));
  if (piece.former?.some(has)) return "older";
  if (has(piece.value)) return "current";
  const isKnown = (one: unknown): boolean => piece.runs === undefined || piece.runs.test(JSON.stringify(one));
  return there.some(isKnown) ? "own" : "missing";
}

/** The entries that a Lodestar has put, as they stand there. */
const putBefore = (text: string, pieces: readonly Piece[]): readonly Entry[] =>
  pieces.flatMap((piece) => {
    const there = standing(text, piece);
    return [piece.value, ...(piece.former ?? [])]
      .filter((value) => there.some((one) => Bun.deepEquals(one, value)))
      .map((value) => ({ ...piece, value }));
  });

/** @param pieces in the order in which they should stand. */
export function json(path: string, what: string, pieces: readonly Piece[], { head, ...more }: More = {}): Part {
  const documentOf = (entries: readonly Entry[]): object => ({
    ...head,
    ...JSON.parse(entries.reduceRight(putIn, "{}")),
  });
  const wholeOf = (entries: readonly Entry[]): string => `${JSON.stringify(documentOf(entries), null, 2)}\n`;
  const statesOf = (text: string): readonly State[] => pieces.map((piece) => stateOf(text, piece));
  const take = (text: string): string | undefined => {
    const there = putBefore(text, pieces);
    if (there.length === 0) return text;
    if (text.replaceAll("\r\n", "\n") === wholeOf(there)) return undefined;
    return emptied(text, documentOf(there)) ?? there.reduce(takeOut, text);
  };
  const put = (text: string | undefined): string => {
    if (text === undefined) return wholeOf(pieces);
    if (isBlank(text)) return fill(text, documentOf(pieces));
    const states = statesOf(text);
    if (!states.includes("missing") && !states.includes("older")) return text;
    const without = take(text);
    // All that stands there is ours, or in an order that is ours: it is put in anew, so that it can be taken out as it was put in.
    if (without === undefined || isBlank(without) || states.includes("older")) return put(without);
    // Each goes in before those that are there: the last first.
    return pieces.filter((_, at) => states[at] === "missing").reduceRight(putIn, text);
  };
  return {
    path,
    what,
    ...more,
    state: (text) => STATES.find((state) => (text === undefined ? [] : statesOf(text)).includes(state)) ?? "missing",
    put,
    take,
  };
}

const byTool = (tool: string): string => `put here by \`lodestar setup ${tool}\``;
const markOf = (tool: string): string => `${byTool(tool)}, taken out with \`--remove\`; write outside these markers`;

/** A section in a file that is somebody else's. One that `lodestar init` or another tool's setup has put is as good. */
export function guide(path: string, what: string, tool: string): Part {
  const section = guideSection(markOf(tool));
  return {
    path,
    what,
    state: (text) => {
      if (text === undefined || !hasSection(text)) return "missing";
      return hasSection(text, byTool(tool)) && withSection(text, section) !== text ? "older" : "current";
    },
    put: (text) =>
      text !== undefined && hasSection(text) && !hasSection(text, byTool(tool)) ? text : withSection(text, section),
    take: (text) => withoutSection(text, byTool(tool)),
  };
}

/** A file for such a section alone. Somebody may have made it their own, with words around the section or without it: then it stays. */
export function rule(path: string, what: string, tool: string, head: string): Part {
  const section = guideSection(markOf(tool));
  const content = `${head}${section}\n`;
  const isOurs = (text: string): boolean => hasSection(text, byTool(tool));
  return {
    path,
    what,
    state: (text) => {
      if (text === undefined) return "missing";
      if (!isOurs(text)) return "own";
      return withSection(text, section) === text ? "current" : "older";
    },
    put: (text) => {
      if (text === undefined) return content;
      return isOurs(text) ? withSection(text, section) : text;
    },
    take: (text) => {
      if (!isOurs(text)) return text;
      const renewed = withSection(text, section).replaceAll("\r\n", "\n");
      return renewed === content ? undefined : withoutSection(text, byTool(tool));
    },
  };
}

const MARKED = /# lodestar:begin \(put here[^\n]*\n(?:(?!# lodestar:begin)[\s\S])*?# lodestar:end/;

/** The tables of `mcp_servers`, and all that is not Lodestar's. @throws NotEditable */
function readToml(text: string): { readonly hasServer: boolean; readonly rest: object } {
  let read: Record<string, unknown>;
  try {
    read = Bun.TOML.parse(text.replace(/^\uFEFF/, "")) as Record<string, unknown>;
  } catch (cause) {
    throw new NotEditable(cause instanceof Error ? cause.message : String(cause));
  }
  const { mcp_servers, ...others } = read;
  if (typeof mcp_servers !== "object" || mcp_servers === null || !("lodestar" in mcp_servers))
    return { hasServer: false, rest: read };
  const { lodestar: _, ...servers } = mcp_servers;
  return { hasServer: true, rest: Object.keys(servers).length === 0 ? others : { ...others, mcp_servers: servers } };
}

/** @param earlier digests of the blocks that had no seal. */
export function toml(path: string, what: string, table: string, earlier: readonly string[] = []): Part {
  const block = sealed(table);
  const blockIn = (text: string): string | undefined => MARKED.exec(text)?.[0];
  const state = (text: string | undefined): State => {
    if (text === undefined || !readToml(text).hasServer) return "missing";
    const there = blockIn(text);
    if (there?.replaceAll("\r\n", "\n") === block) return "current";
    return there !== undefined && isAsWritten(there, earlier) ? "older" : "own";
  };
  const put = (text: string | undefined): string => {
    const found = state(text);
    if (text !== undefined && found === "older") {
      const eol = text.includes("\r\n") ? "\r\n" : "\n";
      return text.replace(MARKED, () => block.replaceAll("\n", eol));
    }
    if (text !== undefined && found !== "missing") return text;
    const after = append(text, block);
    if (!readToml(after).hasServer) throw new NotEditable("its mcp_servers cannot be extended at the end of the file");
    return after;
  };
  const take = (text: string): string | undefined => {
    const there = blockIn(text);
    if (there === undefined) return text;
    const after = cut(text, there);
    const left = readToml(after ?? "");
    if (!Bun.deepEquals(left.rest, readToml(text).rest))
      throw new NotEditable(
        "what stands after Lodestar's table belongs to it, and would belong to another one without it",
      );
    // A server without a command: the tool would not start any more.
    if (left.hasServer)
      throw new NotEditable("more of mcp_servers.lodestar stands outside of what `setup` has put; take that out first");
    return after;
  };
  return { path, what, state, put, take };
}

/** A file that is Lodestar's alone, with a seal in it. One that somebody has changed is theirs. */
export function file(path: string, what: string, text: string, earlier: readonly string[] = []): Part {
  const content = sealed(text);
  const state = (there: string | undefined): State => {
    if (there === undefined) return "missing";
    if (there.replaceAll("\r\n", "\n") === content) return "current";
    return isAsWritten(there, earlier) ? "older" : "own";
  };
  return {
    path,
    what,
    state,
    put: (there) => (there === undefined || state(there) === "older" ? content : there),
    take: (there) => (state(there) === "own" ? there : undefined),
  };
}

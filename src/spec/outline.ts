/**
 * Where the keys and values of a piece of YAML are, without what they mean: enough to splice bytes and to find duplicate
 * keys. The reader of this file knows the common part of YAML and says so when it meets the rest.
 */
import { BlockReader } from "./outline-block.ts";
import { UNKNOWN } from "./outline-flow.ts";

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

/**
 * Outlines a text that is known to be good YAML: one document of block and flow collections and scalars.
 * @returns `undefined` for anchors, aliases, tags, explicit and merge keys and whatever else it is not sure of.
 */
export function outline(text: string): Outline | undefined {
  try {
    return new BlockReader(text).read();
  } catch (cause) {
    if (cause === UNKNOWN) return undefined;
    throw cause;
  }
}

/** The value at a path of keys and indices, and its key's offset; as far as the path goes. */
export function follow(
  root: Node | undefined,
  path: readonly (string | number)[],
): { at: number; node: Node } | undefined {
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

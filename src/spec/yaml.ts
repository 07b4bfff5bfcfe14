/** The slow and complete reading of YAML through the package `yaml`, loaded only when it is needed. */
import type { Document, Pair, Node as YamlNode } from "yaml";
import type { Entry, Node, Outline } from "./outline.ts";
import { withoutBlankEnd } from "./outline-flow.ts";

export interface YamlText {
  readonly doc: Document.Parsed;
  readonly outline: Outline;
  /** Syntax errors; repeated keys are in `outline.duplicates`. */
  readonly errors: readonly { readonly at: number; readonly message: string }[];
}

/** Messages of the package that say nothing to who edits a spec. */
const WORDS = [
  ["Maximum call stack", "This is nested too deeply"],
  ["Source contains multiple documents", "There must be one YAML document only; this is where a second one begins"],
] as const;

/** So far no person indents. The package takes the cube of the depth: minutes, where the fast parser takes none. */
const DEEPEST = /^[ \t]{1000}[ \t]*[^ \t\r\n]/m;

/**
 * Parses one text. Slow: about half a millisecond and 100 kB for each task.
 * @throws RangeError when the text is nested too deeply; callers report it as a problem.
 */
export async function parseYaml(text: string): Promise<YamlText> {
  if (DEEPEST.test(text)) throw new RangeError("nested too deeply");
  const { parseDocument } = await import("yaml");
  const doc = parseDocument(text, { merge: true, prettyErrors: false, logLevel: "error" });
  const errors: { at: number; message: string }[] = [];
  const duplicates: { key: string; at: number }[] = [];
  for (const error of doc.errors) {
    if (error.code === "DUPLICATE_KEY") {
      const at = error.pos[0];
      duplicates.push({ key: /^[^:\r\n]{0,80}/.exec(text.slice(at, at + 80))?.[0].trim() ?? "", at });
    } else
      errors.push({
        at: error.pos[0],
        message: WORDS.find(([found]) => error.message.startsWith(found))?.[1] ?? error.message,
      });
  }
  const contents = doc.contents;
  return { doc, outline: { root: contents === null ? undefined : toNode(contents, text, 0), duplicates }, errors };
}

function toNode(node: unknown, text: string, behind: number): Node {
  const empty: Node = { kind: "empty", start: behind, end: behind };
  if (node === null || node === undefined) return empty;
  const { range, items, flow, type, anchor, tag, source } = node as YamlNode & {
    readonly items?: readonly unknown[];
    readonly flow?: boolean;
    readonly type?: string;
    readonly source?: unknown;
  };
  if (range === null || range === undefined) return empty;
  const start = range[0];
  const end = Math.max(start, trimmedEnd(text, start, range[1]));
  if (items !== undefined) {
    const first = items[0];
    if (typeof first === "object" && first !== null && "key" in first) {
      const entries = items.map((pair) => toEntry(pair as Pair, text));
      return { kind: "mapping", flow: flow === true, entries, start, end };
    }
    if (items.length === 0 && text[start] === "{") return { kind: "mapping", flow: true, entries: [], start, end };
    const values = items.map((item) => {
      const value = toNode(item, text, start);
      const from = flow === true ? value.start : text.lastIndexOf("-", value.start - 1);
      return { start: from, end: value.end, value };
    });
    return { kind: "sequence", flow: flow === true, items: values, start, end };
  }
  if (anchor !== undefined || tag !== undefined) return { kind: "other", start, end };
  if (source === "" && start === end) return { ...empty, start, end };
  if (type === "PLAIN") return { kind: "plain", start, end };
  if (type === "QUOTE_SINGLE") return { kind: "single", start, end };
  if (type === "QUOTE_DOUBLE") return { kind: "double", start, end };
  if (type === "BLOCK_LITERAL" || type === "BLOCK_FOLDED") return { kind: "literal", start, end };
  return { kind: "other", start, end };
}

/** A range of a block collection or block scalar reaches over the line end behind it; ours do not. */
function trimmedEnd(text: string, start: number, end: number): number {
  const keep = /^[|>]\d?\+/.test(text.slice(start, start + 3));
  if (keep) return text[end - 1] === "\n" ? end - (text[end - 2] === "\r" ? 2 : 1) : end;
  return start + withoutBlankEnd(text.slice(start, end)).length;
}

function toEntry(pair: Pair, text: string): Entry {
  const key = pair.key as YamlNode & { readonly source?: string; readonly type?: string; readonly value?: unknown };
  const [start, key_end] = key.range ?? [0, 0];
  const name = key.type === "PLAIN" ? (key.source ?? "") : String(key.value ?? key.source ?? "");
  const missing = pair.value === null || pair.value === undefined;
  const colon_at = missing ? -1 : text.indexOf(":", key_end);
  const colon = colon_at < 0 ? key_end : colon_at + 1;
  const value = toNode(pair.value, text, colon);
  const at: Node = value.kind === "empty" ? { kind: "empty", start: colon, end: colon } : value;
  return { key: name, start, end: Math.max(at.end, colon), colon, value: at };
}

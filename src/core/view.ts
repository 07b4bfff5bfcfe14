import type { GraphFormat, TaskGraph } from "./task-graph.ts";

/**
 * Presentation as data. A command's `view` returns these; `render/` turns them into terminal text or Markdown.
 * No colour, no width, no escape sequence is decided here.
 */
export type Tone = "plain" | "strong" | "faint" | "good" | "warn" | "bad";

/** What a command may show: plain views, and what must be drawn before it is text (`render/graph.ts`). */
export type Shown = View | GraphView;

export interface GraphView {
  readonly kind: "graph";
  readonly graph: TaskGraph;
  /** None: an outline on a terminal, JSON elsewhere. */
  readonly format?: GraphFormat;
}

export type View =
  | { readonly kind: "title"; readonly text: string }
  | { readonly kind: "line"; readonly text: string; readonly tone: Tone; readonly indent: number }
  | { readonly kind: "field"; readonly label: string; readonly value: string }
  | { readonly kind: "text"; readonly label?: string; readonly text: string }
  | { readonly kind: "list"; readonly label?: string; readonly items: readonly string[] }
  | { readonly kind: "table"; readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] }
  | { readonly kind: "note"; readonly tone: Tone; readonly text: string }
  | { readonly kind: "blank" };

export const title = (text: string): View => ({ kind: "title", text });
export const line = (text: string, tone: Tone = "plain", indent = 0): View => ({ kind: "line", text, tone, indent });
export const field = (label: string, value: string | number): View => ({ kind: "field", label, value: String(value) });
export const text = (body: string, label?: string): View =>
  label === undefined ? { kind: "text", text: body } : { kind: "text", label, text: body };
export const list = (items: readonly string[], label?: string): View =>
  label === undefined ? { kind: "list", items } : { kind: "list", label, items };
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): View => ({
  kind: "table",
  head,
  rows,
});
export const note = (body: string, tone: Tone = "faint"): View => ({ kind: "note", tone, text: body });
export const blank: View = { kind: "blank" };

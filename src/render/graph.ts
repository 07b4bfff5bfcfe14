import type { GraphFormat, TaskGraph } from "../core/task-graph.ts";
import type { Shown, View } from "../core/view.ts";
import { escapeActing } from "./sanitise.ts";
import { type Drawn, type Page, shorten } from "./terminal.ts";

/** Draws what must be drawn before a page can be laid out; all other views come back as they are. */
export async function drawn(views: readonly Shown[], page: Page): Promise<(View | Drawn)[]> {
  const plain: (View | Drawn)[] = [];
  for (const view of views) {
    if (view.kind !== "graph") plain.push(view);
    else {
      const format = view.format ?? (Number.isFinite(page.width) ? "outline" : "json");
      // Only the outline is painted; the others are data, and shown as any text is.
      plain.push({
        kind: format === "outline" ? "drawn" : "text",
        text: await drawGraph(view.graph, format, page),
      });
    }
  }
  return plain;
}

/** The graph in one form. Each form, and the library that lays out pictures, is loaded only when it is asked for. */
export async function drawGraph(graph: TaskGraph, format: GraphFormat, page: Page): Promise<string> {
  switch (format) {
    case "json":
      return graphJson(graph, Number.isFinite(page.width));
    case "dot":
      return (await import("./graph/dot.ts")).graphDot(graph);
    case "mermaid":
      return (await import("./graph/mermaid.ts")).graphMermaid(graph);
    case "svg":
      return (await import("./graph/svg.ts")).graphSvg(graph);
    case "outline":
      return (await import("./graph/outline.ts")).graphOutline(graph, page);
  }
}

/** The envelope of `--json`, as Lodestar 1.0 wrote it with `--format json`. What would act on a terminal is written as an escape. */
function graphJson(graph: TaskGraph, indented: boolean): string {
  const envelope = { ok: true, data: graph, next: [], warnings: [] };
  return escapeActing(JSON.stringify(envelope, null, indented ? 2 : undefined));
}

/** A title on one line of a label, cut where it is longer than anybody reads there. */
export const labelTitle = (title: string, width = 60): string => shorten(title.replaceAll(/\s+/g, " ").trim(), width);

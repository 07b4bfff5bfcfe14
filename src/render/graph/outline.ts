import { topologicalOrder } from "../../core/graph.ts";
import { type GraphNode, type State, stateOf, type TaskGraph } from "../../core/task-graph.ts";
import type { Tone } from "../../core/view.ts";
import { sanitiseLine } from "../sanitise.ts";
import { type Page, shorten, wrap } from "../terminal.ts";
import { countStates, partsOf, stateText } from "./parts.ts";

const SIGNS: Readonly<Record<State, { readonly sign: string; readonly tone: Tone }>> = {
  todo: { sign: "·", tone: "faint" },
  waiting: { sign: "○", tone: "plain" },
  ready: { sign: "●", tone: "strong" },
  claimed: { sign: "◐", tone: "warn" },
  blocked: { sign: "✗", tone: "bad" },
  done: { sign: "✓", tone: "good" },
  verified: { sign: "✔", tone: "faint" },
  deleted: { sign: "⌫", tone: "faint" },
};

/** Deeper than this a branch is not indented further: the text must keep its room. */
const DEEPEST = 10;
/** So many dependencies beside the one that a task stands under are named. */
const MOST_NAMED = 3;
const FULL_WIDTH = 100;

/**
 * The graph as an indented list for people: each task stands once, under the last of its dependencies to be finished, and names
 * the others. A chain of any length stays within the page.
 */
export function graphOutline(graph: TaskGraph, page: Page): string {
  const { nodes, edges, missing, critical, cyclic } = partsOf(graph);
  if (nodes.length === 0) return "No tasks.";
  const { paint } = page;
  const width = Math.min(page.width, FULL_WIDTH);
  const needs = new Map<string, string[]>(nodes.map(({ id }) => [id, []]));
  // An edge within a circle would make the outline endless: such tasks stand side by side, marked.
  for (const { from, to, cyclic } of edges) if (!cyclic) needs.get(to)?.push(from);
  const lost = Map.groupBy(missing, ({ to }) => to);

  const depth = new Map<string, number>();
  const under = new Map<string, string | undefined>();
  for (const id of topologicalOrder(needs)) {
    let parent: string | undefined;
    for (const need of needs.get(id) ?? []) {
      const known = parent === undefined ? -1 : (depth.get(parent) ?? 0);
      const deeper = (depth.get(need) ?? 0) - known;
      const onPath = critical.has(id) && critical.has(need);
      if (deeper > 0 || (deeper === 0 && onPath)) parent = need;
    }
    under.set(id, parent);
    depth.set(id, parent === undefined ? 0 : (depth.get(parent) ?? 0) + 1);
  }
  const children = Map.groupBy(nodes, ({ id }) => under.get(id));
  const inOrder = (list: readonly GraphNode[]) =>
    [...list].sort((a, b) => a.priority - b.priority || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));

  const lines: string[] = [];
  const stack = inOrder(children.get(undefined) ?? []).reverse();
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    const { id } = node;
    const level = depth.get(id) ?? 0;
    const { sign, tone } = SIGNS[stateOf(node)];
    const indent = "  ".repeat(Math.min(level, DEEPEST)) + (level > DEEPEST ? `(${level}) ` : "");
    const head = `${indent}${sign} ${sanitiseLine(id)}`;
    const also = [
      ...(needs.get(id) ?? []).filter((need) => need !== under.get(id)),
      ...(lost.get(id) ?? []).map(({ from }) => `${from} (missing)`),
    ].map(sanitiseLine);
    const named =
      also.slice(0, MOST_NAMED).join(", ") + (also.length > MOST_NAMED ? `, ${also.length - MOST_NAMED} more` : "");
    const marks = [
      `${stateText(node)}${critical.has(id) ? " *" : ""}`,
      ...(cyclic.has(id) ? ["in a circle"] : []),
      ...(also.length === 0 ? [] : [`${under.get(id) === undefined ? "waits for" : "also waits for"} ${named}`]),
    ].map(sanitiseLine);
    const gap = "  ";
    const room = width - Bun.stringWidth(head) - gap.length;
    const state = marks[0] ?? "";
    // The state is what people scan for: it stays whole, the title gives way.
    const title = shorten(sanitiseLine(node.title), Math.max(0, room - Bun.stringWidth(state) - gap.length));
    const first = `${paint(tone, head)}${gap}${title === "" ? "" : `${title}${gap}`}${paint(tone, state)}`;
    lines.push(first);
    if (marks.length > 1) {
      const more = `${" ".repeat(Bun.stringWidth(indent))}  ${marks.slice(1).join("; ")}`;
      lines.push(paint("faint", shorten(more, width)));
    }
    stack.push(...inOrder(children.get(id) ?? []).reverse());
  }
  const counts = countStates(nodes).map(([state, count]) => `${SIGNS[state].sign} ${count} ${state}`);
  return [
    ...wrap(`${nodes.length} ${nodes.length === 1 ? "task" : "tasks"}: ${counts.join(", ")}`, width).map((line) =>
      paint("strong", line),
    ),
    ...lines,
    ...(critical.size === 0
      ? []
      : [paint("faint", `* critical path: ${critical.size} tasks to verify one after the other`)]),
    paint("faint", "Indented: waits for the task above. As a picture: --format svg"),
  ].join("\n");
}

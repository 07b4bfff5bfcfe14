import { type State, stateOf, type TaskGraph } from "../../core/task-graph.ts";
import { labelTitle } from "../graph.ts";
import { sanitiseLine } from "../sanitise.ts";
import { partsOf, stateText } from "./parts.ts";

/** Dark on light, so that the text stays readable where a viewer ignores the line's style. */
const COLOURS: Readonly<Record<State, { readonly line: string; readonly fill: string }>> = {
  todo: { line: "#59636e", fill: "#f6f8fa" },
  waiting: { line: "#59636e", fill: "#ffffff" },
  ready: { line: "#0969da", fill: "#ddf4ff" },
  claimed: { line: "#9a5a00", fill: "#fff1d6" },
  blocked: { line: "#cf222e", fill: "#ffebe9" },
  done: { line: "#8250df", fill: "#fbefff" },
  verified: { line: "#1a7f37", fill: "#dafbe1" },
  deleted: { line: "#8c959f", fill: "#f6f8fa" },
};

/**
 * A quoted string of DOT: only the double quote has an escape there, but a backslash at the end would escape the closing one, and
 * two of them stay two. So each is doubled: different texts stay different.
 */
const quoted = (text: string) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

/** One line of a label: entities are read in labels, and `\\` is one backslash. */
const inLabel = (text: string) =>
  sanitiseLine(text).replaceAll("&", "&amp;").replaceAll("\\", "\\\\").replaceAll('"', '\\"');

const label = (...lines: readonly string[]) =>
  `"${lines
    .filter((line) => line !== "")
    .map(inLabel)
    .join("\\n")}"`;

/** Different ids get different names, also where characters that act on a terminal are shown as others. */
function namesOf(ids: Iterable<string>): Map<string, string> {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const id of ids) {
    const shown = sanitiseLine(id);
    let name = shown;
    for (let n = 2; taken.has(name); n += 1) name = `${shown}#${n}`;
    taken.add(name);
    names.set(id, quoted(name));
  }
  return names;
}

/** The graph for Graphviz. Nodes are named by their ids, as Lodestar 1.0 did; edges lead from a dependency to what waits for it. */
export function graphDot(graph: TaskGraph): string {
  const { nodes, edges, ghosts, missing, critical } = partsOf(graph);
  const names = namesOf([...nodes.map(({ id }) => id), ...ghosts]);
  const line = (...attributes: readonly string[]) => (attributes.length === 0 ? "" : ` [${attributes.join(", ")}]`);
  const link = (from: string, to: string) => `  ${names.get(from)} -> ${names.get(to)}`;
  return [
    "digraph tasks {",
    "  rankdir=LR;",
    '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11, margin="0.15,0.08"];',
    '  edge [color="#6e7781", arrowsize=0.7];',
    ...nodes.map((node) => {
      const state = stateOf(node);
      const { line: colour, fill } = COLOURS[state];
      const attributes = [
        `label=${label(node.id, labelTitle(node.title), stateText(node))}`,
        `color="${colour}"`,
        `fillcolor="${fill}"`,
        ...(critical.has(node.id) ? ["penwidth=2.5"] : []),
        ...(state === "deleted" || state === "todo" ? ['style="rounded,filled,dashed"'] : []),
      ];
      return `  ${names.get(node.id)}${line(...attributes)};`;
    }),
    ...ghosts.map(
      (id) =>
        `  ${names.get(id)}${line(`label=${label(id, "missing")}`, 'style="rounded,dotted"', 'color="#cf222e"')};`,
    ),
    ...edges.map(
      ({ from, to, critical, cyclic }) =>
        `${link(from, to)}${line(
          ...(critical ? ['color="#1f2328"', "penwidth=2.5"] : []),
          ...(cyclic ? ['color="#cf222e"', "style=dashed"] : []),
        )};`,
    ),
    ...missing.map(({ from, to }) => `${link(from, to)}${line('color="#cf222e"', "style=dotted")};`),
    "}",
  ].join("\n");
}

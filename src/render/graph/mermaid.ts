import { type State, stateOf, type TaskGraph } from "../../core/task-graph.ts";
import { labelTitle } from "../graph.ts";
import { sanitiseLine } from "../sanitise.ts";
import { countStates, partsOf, stateText } from "./parts.ts";

/** Fill, line and text are all given: Mermaid's own colours change with the page's theme. */
const STYLES: Readonly<Record<State | "missing", string>> = {
  todo: "fill:#f6f8fa,stroke:#59636e,color:#1f2328,stroke-dasharray:4 3",
  waiting: "fill:#ffffff,stroke:#59636e,color:#1f2328",
  ready: "fill:#ddf4ff,stroke:#0969da,color:#1f2328",
  claimed: "fill:#fff1d6,stroke:#9a5a00,color:#1f2328",
  blocked: "fill:#ffebe9,stroke:#cf222e,color:#1f2328",
  done: "fill:#fbefff,stroke:#8250df,color:#1f2328",
  verified: "fill:#dafbe1,stroke:#1a7f37,color:#1f2328",
  deleted: "fill:#f6f8fa,stroke:#8c959f,color:#59636e,stroke-dasharray:4 3",
  missing: "fill:#ffffff,stroke:#cf222e,color:#cf222e,stroke-dasharray:2 3",
};

/**
 * Text inside a quoted label. Everything but letters, digits, spaces and a few harmless signs is written as Mermaid's entity of its
 * code point: quotes, backticks (which would begin Markdown), `#` (which begins an entity), `<` and `&` (labels are HTML), links.
 */
const inLabel = (text: string) =>
  sanitiseLine(text).replaceAll(/[^\p{L}\p{N}\p{M} .,…()\-_/+]/gu, (character) => `#${character.codePointAt(0)};`);

/** The graph for Mermaid, which draws it on GitHub, GitLab and in many editors. */
export function graphMermaid(graph: TaskGraph): string {
  const { nodes, edges, ghosts, missing, critical } = partsOf(graph);
  // Names of our own: an id such as `end` is a keyword there.
  const names = new Map([...nodes.map(({ id }) => id), ...ghosts].map((id, i) => [id, `t${i + 1}`]));
  const box = (id: string, ...lines: readonly string[]) =>
    `  ${names.get(id)}["${[id, ...lines]
      .filter((line) => line !== "")
      .map(inLabel)
      .join("<br>")}"]`;
  const thick = nodes.filter(({ id }) => critical.has(id)).map(({ id }) => names.get(id));
  const links = [
    ...edges.map(({ from, to, critical, cyclic }) => ({ from, to, arrow: critical ? "==>" : cyclic ? "-.->" : "-->" })),
    ...missing.map(({ from, to }) => ({ from, to, arrow: "-.->" })),
  ];
  return [
    "flowchart LR",
    ...nodes.map((node) => `${box(node.id, labelTitle(node.title), stateText(node))}:::${stateOf(node)}`),
    ...ghosts.map((id) => `${box(id, "missing")}:::missing`),
    ...links.map(({ from, to, arrow }) => `  ${names.get(from)} ${arrow} ${names.get(to)}`),
    ...countStates(nodes).map(([state]) => `  classDef ${state} ${STYLES[state]}`),
    ...(ghosts.length === 0 ? [] : [`  classDef missing ${STYLES.missing}`]),
    ...(thick.length === 0 ? [] : ["  classDef critical stroke-width:3px", `  class ${thick.join(",")} critical`]),
  ].join("\n");
}

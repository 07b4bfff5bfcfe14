import { type GraphEdge, type GraphNode, STATES, type State, stateOf, type TaskGraph } from "../../core/task-graph.ts";

/** An edge with what a drawing tells of it. */
export interface DrawnEdge extends GraphEdge {
  /** Both ends follow each other on the critical path. */
  readonly critical: boolean;
  /** Part of a circle. */
  readonly cyclic: boolean;
  /** Its dependency is verified: nothing waits for it any more. */
  readonly settled: boolean;
}

/** A graph as all drawings need it. */
export interface Parts {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly DrawnEdge[];
  /** Ids of dependencies that are not among the nodes, each once. */
  readonly ghosts: readonly string[];
  /** Dependencies on ghosts. */
  readonly missing: readonly GraphEdge[];
  readonly critical: ReadonlySet<string>;
  readonly cyclic: ReadonlySet<string>;
}

export function partsOf(graph: TaskGraph): Parts {
  const path = graph.critical_path ?? [];
  const follows = new Map(path.slice(1).map((id, i) => [id, path[i]]));
  const cyclic = new Set(graph.in_cycle ?? []);
  const verified = new Set(graph.nodes.filter(({ status }) => status === "verified").map(({ id }) => id));
  const missing = graph.missing ?? [];
  return {
    nodes: graph.nodes,
    edges: graph.edges.map(({ from, to }) => ({
      from,
      to,
      critical: follows.get(to) === from,
      cyclic: cyclic.has(from) && cyclic.has(to),
      settled: verified.has(from),
    })),
    ghosts: [...new Set(missing.map(({ from }) => from))],
    missing,
    critical: new Set(path),
    cyclic,
  };
}

/** How many nodes are in each state; only states that occur, in the order of work. */
export function countStates(nodes: readonly GraphNode[]): readonly (readonly [State, number])[] {
  const counts = new Map<State, number>();
  for (const node of nodes) counts.set(stateOf(node), (counts.get(stateOf(node)) ?? 0) + 1);
  return STATES.flatMap((state) => {
    const count = counts.get(state);
    return count === undefined ? [] : [[state, count] as const];
  });
}

/** `claimed by A7K3M9QXV`, or the state. */
export function stateText(node: GraphNode): string {
  const state = stateOf(node);
  return state === "claimed" ? `claimed by ${node.claimed_by ?? ""}` : state;
}

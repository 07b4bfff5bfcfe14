import { LodestarError } from "../../core/errors.ts";
import { dependentsOf, type Edges, longestChain } from "../../core/graph.ts";
import {
  AgentId,
  Flag,
  Integer,
  List,
  OneOf,
  Optional,
  Shape,
  type Static,
  StatusWord,
  TaskId,
  Text,
} from "../../core/schema.ts";
import { isSatisfied } from "../../core/status.ts";
import { keyOf, keyText } from "../../core/task.ts";
import { GRAPH_FORMATS, type GraphEdge, type TaskGraph } from "../../core/task-graph.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { look, requireTask } from "../look.ts";

/**
 * What is drawn: laying out takes time that grows much faster than the graph, and nobody reads a larger picture. 1 000 tasks take
 * some seconds and give a sheet of a few square metres.
 */
const MOST_DRAWN = { tasks: 1000, edges: 3000 } as const;
/** Mermaid draws no more edges than this unless whoever embeds it raises its `maxEdges`. */
const MERMAID_EDGES = 500;

const Edge = Shape({ from: TaskId, to: TaskId });
const Input = Shape({
  format: Optional(OneOf(GRAPH_FORMATS, { description: "Form (default: an outline on a terminal, else JSON)" })),
  root: Optional({ ...TaskId, description: "Only what waits for, or is waited for by, the task with this id" }),
  depth: Optional(Integer({ minimum: 1, maximum: 100_000, description: "With --root: at most so many steps away" })),
  status: Optional(List(StatusWord, { description: "Only tasks with this status" })),
  agent_id: Optional(AgentId),
});

const Output = Shape({
  nodes: List(
    Shape({
      id: TaskId,
      title: Text(),
      status: StatusWord,
      priority: Integer(),
      claimable: Optional(Flag()),
      claimed_by: Optional(AgentId),
    }),
  ),
  edges: List(Edge),
  critical_path: Optional(List(TaskId)),
  in_cycle: Optional(List(TaskId)),
  missing: Optional(List(Edge)),
});

export default command({
  name: "task.graph",
  effect: "read",
  summary: "Show what waits for what, as text or as a picture",
  explain:
    "Tasks as they stand in both planes, and an edge from each dependency to the task that waits for it. `claimed_by` is who holds a task; `critical_path` is the longest chain of tasks not yet verified, each counted once; `in_cycle` are tasks that wait for themselves; `missing` are dependencies that the spec does not have. Deleted tasks are left out unless --status deleted asks for them.\n\nWithout --format the answer is an outline on a terminal and JSON elsewhere. `dot` is for Graphviz, `mermaid` for Markdown pages; `svg` is a finished picture, light or dark as its reader has it, of up to 1 000 tasks: narrow a larger graph with --root, --depth or --status. With --json the answer is the data, whatever the format.",
  aliases: { format: "f" },
  hidden: ["agent_id"],
  input: Input,
  output: Output,
  errors: ["TASK_NOT_FOUND"],
  examples: [
    { line: "lodestar task graph", shows: "An outline, on a terminal" },
    { line: "lodestar task graph --format svg > tasks.svg", shows: "A picture" },
    {
      line: "lodestar task graph --root AUTH-1 --depth 2 --format mermaid",
      shows: "Around one task, for a Markdown page",
    },
    {
      line: "lodestar task graph --status ready --status done --format dot | dot -Tpdf > tasks.pdf",
      shows: "With Graphviz",
    },
  ],
  run: async (input, context) => {
    if (input.depth !== undefined && input.root === undefined) {
      throw new LodestarError("USAGE", "--depth counts steps from a task: it needs --root.", {
        hint: "Give --root ID, or leave --depth out.",
      });
    }
    const graph = await graphOf(input, context);
    if (input.format === "svg") refuseTooLarge(graph);
    if (input.format === "mermaid" && graph.edges.length > MERMAID_EDGES) {
      context.warn(
        `Mermaid refuses more than ${MERMAID_EDGES} edges by default, and this graph has ${graph.edges.length}: narrow it with --root, --depth or --status.`,
      );
    }
    return graph;
  },
  view: (graph, { format }) => [{ kind: "graph", graph, ...(format === undefined ? {} : { format }) }],
});

/** The part of the graph that was asked for. */
async function graphOf(input: Static<typeof Input>, context: Context): Promise<Static<typeof Output>> {
  const seen = await look(context, "read");
  if (input.root !== undefined) await requireTask(context, seen, input.root);
  const holders = new Map((seen.seen?.leases ?? []).map((lease) => [keyText(lease), lease.agent_id]));
  const standings = new Map(
    [...seen.index.tasks()].flatMap(({ task }) => {
      const standing = seen.schedule.standing(task.id);
      return standing === undefined ? [] : [[task.id, standing] as const];
    }),
  );
  const wanted = input.status === undefined ? undefined : new Set(input.status);
  const near = input.root === undefined ? undefined : around(input.root, input.depth, edgesOf(standings.values()));
  const isShown = (id: string): boolean => {
    const status = standings.get(id)?.status;
    if (status === undefined || near?.has(id) === false) return false;
    return wanted === undefined ? status !== "deleted" || id === input.root : wanted.has(status);
  };

  const nodes: Static<typeof Output>["nodes"] = [];
  const edges: GraphEdge[] = [];
  const missing: GraphEdge[] = [];
  const in_cycle: string[] = [];
  const shown = new Map<string, string[]>();
  for (const { task, status, in_cycle: cyclic } of standings.values()) {
    if (!isShown(task.id)) continue;
    const { id, title, priority } = task;
    const claimed_by = holders.get(keyText(keyOf(task)));
    const needs = [...new Set(task.depends_on)];
    const blocked = needs.some((need) => {
      const known = standings.get(need);
      return known === undefined || !isSatisfied(known.outcome);
    });
    const claimable = status === "ready" && !cyclic && !blocked && claimed_by === undefined;
    nodes.push({
      id,
      title,
      status,
      priority,
      ...(claimable ? { claimable } : {}),
      ...(claimed_by === undefined ? {} : { claimed_by }),
    });
    if (cyclic) in_cycle.push(id);
    shown.set(id, needs.filter(isShown));
    for (const from of needs) {
      const need = standings.get(from);
      if (isShown(from)) edges.push({ from, to: id });
      else if (need === undefined || (need.status === "deleted" && !isSatisfied(need.outcome)))
        missing.push({ from, to: id });
    }
  }
  const rank = new Map(nodes.map(({ id, priority }) => [id, priority]));
  const critical_path = longestChain(
    shown,
    (id) => {
      const outcome = standings.get(id)?.outcome;
      return outcome !== undefined && outcome.rank < 2;
    },
    (a, b) => (rank.get(a) ?? 0) - (rank.get(b) ?? 0) || (a < b ? -1 : a > b ? 1 : 0),
  );
  return {
    nodes,
    edges,
    // One task alone is no path.
    ...(critical_path.length < 2 ? {} : { critical_path }),
    ...(in_cycle.length === 0 ? {} : { in_cycle }),
    ...(missing.length === 0 ? {} : { missing }),
  };
}

const edgesOf = (
  standings: Iterable<{ readonly task: { readonly id: string; readonly depends_on: readonly string[] } }>,
): Edges => new Map([...standings].map(({ task }) => [task.id, task.depends_on]));

/** The root, all that it waits for and all that waits for it, each at most `depth` steps away. */
function around(root: string, depth = Number.POSITIVE_INFINITY, edges: Edges): Set<string> {
  const found = new Set([root]);
  for (const direction of [edges, dependentsOf(edges)]) {
    const reached = new Set([root]);
    let rim = [root];
    for (let steps = 0; steps < depth && rim.length > 0; steps += 1) {
      rim = [...new Set(rim.flatMap((node) => direction.get(node) ?? []))].filter((node) => !reached.has(node));
      for (const node of rim) reached.add(node);
    }
    for (const node of reached) found.add(node);
  }
  return found;
}

function refuseTooLarge({ nodes, edges }: TaskGraph): void {
  const [count, limit, what] =
    nodes.length > MOST_DRAWN.tasks
      ? [nodes.length, MOST_DRAWN.tasks, "tasks"]
      : [edges.length, MOST_DRAWN.edges, "dependencies"];
  if (count <= limit) return;
  throw new LodestarError(
    "USAGE",
    `A picture of ${count} ${what} would take long to lay out and could not be read: at most ${limit} are drawn.`,
    {
      hint: "Narrow the graph with --root ID --depth N or --status, or take --format dot and lay it out yourself.",
      details: { tasks: nodes.length, edges: edges.length, limit },
    },
  );
}

import type { Status } from "./status.ts";

/** A task as the graph shows it. */
export interface GraphNode {
  readonly id: string;
  readonly title: string;
  readonly status: Status;
  readonly priority: number;
  /** Ready, nothing blocks it and nobody holds it. */
  readonly claimable?: boolean;
  /** Who holds it. */
  readonly claimed_by?: string;
}

/** `to` depends on `from`: work flows along the edge. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
}

/** Tasks and what they wait for. */
export interface TaskGraph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  /** The longest chain of tasks not yet verified, first to last. */
  readonly critical_path?: readonly string[];
  /** Tasks that wait for themselves, directly or through others. */
  readonly in_cycle?: readonly string[];
  /** Dependencies on tasks that the spec does not have, or that were deleted before they were verified; they block. */
  readonly missing?: readonly GraphEdge[];
}

/** What people call a task's state: its status, with `ready` told apart by whether it can be taken. */
export const STATES = ["todo", "waiting", "ready", "claimed", "blocked", "done", "verified", "deleted"] as const;
export type State = (typeof STATES)[number];

/** The state of a node: `claimed` while somebody holds it, `waiting` when it is ready and cannot be claimed. */
export function stateOf({ status, claimable, claimed_by }: GraphNode): State {
  if (claimed_by !== undefined && status !== "verified" && status !== "deleted") return "claimed";
  return status === "ready" && claimable !== true ? "waiting" : status;
}

/** The forms in which the graph can be written. */
export const GRAPH_FORMATS = ["json", "dot", "mermaid", "svg", "outline"] as const;
export type GraphFormat = (typeof GRAPH_FORMATS)[number];

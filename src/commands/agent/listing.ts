import { AgentId, Instant, Integer, List, Optional, Shape, type Static, TaskId, Text } from "../../core/schema.ts";
import { formatInstant } from "../../core/time.ts";
import { field, line, type View } from "../../core/view.ts";
import type { Agent, AgentsView } from "../../runtime/store.ts";
import type { Context } from "../context.ts";
import { ActivityWord, activity, agentData } from "./shapes.ts";

const Listed = Shape({
  agent_id: AgentId,
  display_name: Optional(Text()),
  role: Optional(Text()),
  status: ActivityWord,
  capabilities: Optional(List(Text())),
  last_seen_at: Instant,
  leases: Optional(List(TaskId)),
});
export type ListedAgent = Static<typeof Listed>;

export const AgentList = Shape({ agents: List(Listed), count: Integer() });

/** The agents that have joined and not left, the one seen last first. */
export const presentAgents = (view: AgentsView): Agent[] =>
  view.agents
    .filter((agent) => agent.left_at === undefined)
    .sort((a, b) => b.last_seen_at - a.last_seen_at || (a.agent_id < b.agent_id ? -1 : 1));

/** {@link presentAgents} as answers have them, with what each holds. */
export async function listAgents(context: Context): Promise<ListedAgent[]> {
  const view = await (await context.runtimeIfAny())?.agents();
  if (view === undefined) return [];
  return presentAgents(view).map((agent) => {
    const { registered_at: _, session_meta: __, ...described } = agentData(agent);
    const leases = view.leases.filter((lease) => lease.agent_id === agent.agent_id).map((lease) => lease.task_id);
    return {
      ...described,
      status: activity(context, agent, view.now),
      last_seen_at: formatInstant(agent.last_seen_at),
      ...(leases.length === 0 ? {} : { leases }),
    };
  });
}

/** Agents as people see them. */
export function agentViews(agents: readonly ListedAgent[]): View[] {
  return agents.flatMap((agent) => [
    line(
      `${agent.agent_id}${agent.display_name === undefined ? "" : ` (${agent.display_name})`} ${agent.status}`,
      agent.status === "active" ? "good" : "plain",
      1,
    ),
    ...(agent.role === undefined ? [] : [field("  Role", agent.role)]),
    ...(agent.capabilities === undefined ? [] : [field("  Capabilities", agent.capabilities.join(", "))]),
    ...(agent.leases === undefined ? [] : [field("  Holds", agent.leases.join(", "))]),
    field("  Last seen", agent.last_seen_at),
  ]);
}

import { AgentId, List, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { field, line, list, type View } from "../../core/view.ts";
import { command } from "../command.ts";
import { unknownAgent } from "../refused.ts";
import { agentData, agentFields } from "./shapes.ts";

const { agent_id, registered_at, ...described } = agentFields;
const Candidate = Shape({ agent_id: AgentId, display_name: Optional(Text()), leases: List(TaskId) });

export default command({
  name: "agent.whoami",
  effect: "read",
  summary: "Show which agent you are and what you hold",
  explain: "By --agent or LODESTAR_AGENT. Without either, lists the agents that joined in this worktree and what they hold: a shell's variables do not outlive an agent's tool call, and this finds the id again.",
  options: { agent_id: "agent" },
  input: Shape({ agent_id: Optional(AgentId) }),
  output: Shape({ agent_id: Optional(agent_id), registered_at: Optional(registered_at), ...described, leases: Optional(List(TaskId)), candidates: Optional(List(Candidate)) }),
  errors: ["AGENT_NOT_FOUND"],
  examples: [{ line: "lodestar agent whoami", shows: "Find your id again" }],
  run: async (input, context) => {
    const acting = context.actor(input.agent_id);
    const view = await (await context.runtimeIfAny())?.agents();
    const holds = (id: string): string[] => (view?.leases ?? []).filter((lease) => lease.agent_id === id).map((lease) => lease.task_id);
    if (acting !== undefined) {
      const agent = view?.agents.find((each) => each.agent_id === acting);
      if (agent === undefined) throw unknownAgent(acting);
      return { ...agentData(agent), leases: holds(acting) };
    }
    const here = (view?.agents ?? []).filter((agent) => agent.left_at === undefined && agent.worktree === context.worktree);
    return {
      candidates: here
        .sort((a, b) => b.last_seen_at - a.last_seen_at)
        .map((agent) => ({ agent_id: agent.agent_id, ...(agent.display_name === undefined ? {} : { display_name: agent.display_name }), leases: holds(agent.agent_id) })),
    };
  },
  next: ({ agent_id: id, candidates }) => (id === undefined && (candidates ?? []).length === 0 ? [{ command: "agent.join", input: {}, why: "Register" }] : []),
  view: (output) => {
    if (output.agent_id !== undefined) {
      const views: View[] = [line(`You are ${output.agent_id}${output.display_name === undefined ? "" : ` (${output.display_name})`}`, "strong")];
      if (output.role !== undefined) views.push(field("Role", output.role));
      views.push(field("Holds", (output.leases ?? []).join(", ") || "nothing"));
      return views;
    }
    const candidates = output.candidates ?? [];
    if (candidates.length === 0) return [line("No agent has joined in this worktree.")];
    return [
      line("No identity given. Agents of this worktree:"),
      list(candidates.map((each) => `${each.agent_id}${each.display_name === undefined ? "" : ` (${each.display_name})`} holds ${each.leases.join(", ") || "nothing"}`)),
    ];
  },
});

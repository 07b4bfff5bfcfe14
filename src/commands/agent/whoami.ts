import { AgentId, List, Optional, Shape, type Static, TaskId, Text, Union } from "../../core/schema.ts";
import { field, line, list, type View } from "../../core/view.ts";
import { command } from "../command.ts";
import { unknownAgent } from "../refused.ts";
import { filled } from "../task/shapes.ts";
import { agentData, agentFields } from "./shapes.ts";

const Candidate = Shape({ agent_id: AgentId, display_name: Optional(Text()), leases: Optional(List(TaskId)) });
/** Who acts, or (when the call does not say) who it may be. */
const Known = Shape({ ...agentFields, leases: Optional(List(TaskId)) });
const Candidates = Shape({ candidates: List(Candidate) });

export default command({
  name: "agent.whoami",
  effect: "read",
  summary: "Show which agent you are and what you hold",
  explain:
    "By --agent or LODESTAR_AGENT. Without either, lists the agents that joined in this worktree and what they hold: a shell's variables do not outlive an agent's tool call, and this finds the id again.",
  options: { agent_id: "agent" },
  input: Shape({ agent_id: Optional(AgentId) }),
  output: Union([Known, Candidates]),
  errors: ["AGENT_NOT_FOUND"],
  examples: [{ line: "lodestar agent whoami", shows: "Find your id again" }],
  run: async (input, context) => {
    const acting = context.actor(input.agent_id);
    const view = await (await context.runtimeIfAny())?.agents();
    const holds = (id: string): string[] =>
      (view?.leases ?? []).filter((lease) => lease.agent_id === id).map((lease) => lease.task_id);
    if (acting !== undefined) {
      const agent = view?.agents.find((each) => each.agent_id === acting);
      if (agent === undefined) throw unknownAgent(acting);
      return { ...agentData(agent), ...filled({ leases: holds(acting) }) };
    }
    const here = (view?.agents ?? []).filter(
      (agent) => agent.left_at === undefined && agent.worktree === context.worktree,
    );
    return {
      candidates: here
        .sort((a, b) => b.last_seen_at - a.last_seen_at)
        .map((agent) => ({
          agent_id: agent.agent_id,
          ...(agent.display_name === undefined ? {} : { display_name: agent.display_name }),
          ...filled({ leases: holds(agent.agent_id) }),
        })),
    };
  },
  next: (output) =>
    "candidates" in output && output.candidates.length === 0
      ? [{ command: "agent.join", input: {}, why: "Register" }]
      : [],
  view: (output) => ("candidates" in output ? showCandidates(output) : showKnown(output)),
});

function showKnown({ agent_id, display_name, role, leases }: Static<typeof Known>): View[] {
  return [
    line(`You are ${agent_id}${display_name === undefined ? "" : ` (${display_name})`}`, "strong"),
    ...(role === undefined ? [] : [field("Role", role)]),
    field("Holds", leases?.join(", ") ?? "nothing"),
  ];
}

function showCandidates({ candidates }: Static<typeof Candidates>): View[] {
  if (candidates.length === 0) return [line("No agent has joined in this worktree.")];
  const lines = candidates.map(
    ({ agent_id, display_name, leases }) =>
      `${agent_id}${display_name === undefined ? "" : ` (${display_name})`} holds ${leases?.join(", ") ?? "nothing"}`,
  );
  return [line("No identity given. Agents of this worktree:"), list(lines)];
}

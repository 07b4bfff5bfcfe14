import { LodestarError } from "../../core/errors.ts";
import { Optional, Shape, Text } from "../../core/schema.ts";
import { line } from "../../core/view.ts";
import { command } from "../command.ts";
import { AgentList, agentViews, listAgents } from "./listing.ts";

export default command({
  name: "agent.find",
  effect: "read",
  summary: "Find agents by capability or role",
  explain:
    "Agents that joined with this capability (`agent join --capability`) or role, whatever the case; with both options, those that have both. The one seen last comes first.",
  aliases: { capability: "c", role: "r" },
  items: "agents",
  input: Shape({
    capability: Optional(Text({ minLength: 1, description: "Only agents that can do this" })),
    role: Optional(Text({ minLength: 1, description: "Only agents in this role" })),
  }),
  output: AgentList,
  examples: [
    { line: "lodestar agent find --capability python", shows: "Who knows Python" },
    { line: "lodestar agent find --role code-review --json", shows: "Whom to ask for a review" },
  ],
  run: async ({ capability, role }, context) => {
    if (capability === undefined && role === undefined)
      throw new LodestarError("USAGE", "Say whom to look for: --capability or --role.", {
        hint: "All of them: `lodestar agent list`.",
      });
    const agents = (await listAgents(context)).filter(
      (agent) =>
        (role === undefined || (agent.role !== undefined && isSame(agent.role, role))) &&
        (capability === undefined || (agent.capabilities ?? []).some((one) => isSame(one, capability))),
    );
    return { agents, count: agents.length };
  },
  next: ({ agents }) => {
    const [first] = agents;
    if (first === undefined) return [{ command: "agent.list", input: {}, why: "See all agents" }];
    return [{ command: "msg.send", input: { to: `agent:${first.agent_id}` }, why: "Write to the one seen last" }];
  },
  view: ({ agents, count }, { capability, role }) => {
    const wanted = [
      ...(capability === undefined ? [] : [`capability '${capability}'`]),
      ...(role === undefined ? [] : [`role '${role}'`]),
    ].join(" and ");
    return count === 0
      ? [line(`No agents found with ${wanted}`)]
      : [line(`Agents with ${wanted} (${count})`, "strong"), ...agentViews(agents)];
  },
});

const isSame = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

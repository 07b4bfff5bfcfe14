import { Shape } from "../../core/schema.ts";
import { line } from "../../core/view.ts";
import { command } from "../command.ts";
import { AgentList, agentViews, listAgents } from "./listing.ts";

export default command({
  name: "agent.list",
  effect: "read",
  summary: "List agents, when they were last seen and what they hold",
  explain: "Every agent that joined and has not left. An agent is seen whenever it writes.",
  items: "agents",
  input: Shape({}),
  output: AgentList,
  examples: [{ line: "lodestar agent list --json", shows: "For scripts" }],
  run: async (_, context) => {
    const agents = await listAgents(context);
    return { agents, count: agents.length };
  },
  next: ({ count }) => (count === 0 ? [{ command: "agent.join", input: {}, why: "Register" }] : []),
  view: ({ agents, count }) =>
    count === 0 ? [line("No agents registered yet.")] : [line(`Agents (${count})`, "strong"), ...agentViews(agents)],
});

import { AgentId, Flag, Optional, Shape } from "../../core/schema.ts";
import { line } from "../../core/view.ts";
import { command } from "../command.ts";
import { unknownAgent } from "../refused.ts";

export default command({
  name: "agent.heartbeat",
  effect: "write",
  summary: "Say that an agent is still there",
  explain:
    "Every write by an agent does this by itself; call it only from something that writes nothing for long. It renews no lease.",
  positional: ["agent_id"],
  options: { agent_id: "agent" },
  input: Shape({ agent_id: Optional(AgentId) }),
  output: Shape({ agent_id: AgentId, updated: Flag() }),
  errors: ["AGENT_NOT_FOUND", "AGENT_REQUIRED"],
  examples: [{ line: "lodestar agent heartbeat A1B2C3D4", shows: "Seen now" }],
  run: async (input, context) => {
    const agent_id = context.requireActor(input.agent_id);
    const agent = await (await context.runtime()).heartbeat(agent_id);
    if (agent === undefined) throw unknownAgent(agent_id);
    return { agent_id, updated: true };
  },
  view: ({ agent_id }) => [line(`Heartbeat updated for ${agent_id}`, "good")],
});

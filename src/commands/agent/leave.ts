import { AgentId, Flag, List, Optional, Shape, TaskId } from "../../core/schema.ts";
import { line, list } from "../../core/view.ts";
import { command } from "../command.ts";
import { unknownAgent } from "../refused.ts";

export default command({
  name: "agent.leave",
  effect: "write",
  summary: "Sign off: end your leases and leave the list of agents",
  explain:
    "Every lease that the agent holds is released at once, so that others need not wait for it to run out. `agent join --id` brings the agent back.",
  positional: ["agent_id"],
  options: { agent_id: "agent" },
  input: Shape({ agent_id: Optional(AgentId) }),
  output: Shape({ agent_id: AgentId, left: Flag(), released: Optional(List(TaskId)) }),
  errors: ["AGENT_NOT_FOUND", "AGENT_REQUIRED"],
  examples: [{ line: "lodestar agent leave A1B2C3D4", shows: "Done for today" }],
  run: async (input, context) => {
    const agent_id = context.requireActor(input.agent_id);
    const left = await (await context.runtime()).leave(agent_id, context.idempotency("leave"));
    if (left === undefined) throw unknownAgent(agent_id);
    const released = left.released.map(({ task_id }) => task_id);
    return { agent_id, left: true, ...(released.length === 0 ? {} : { released }) };
  },
  view: ({ agent_id, released }) => [
    line(`${agent_id} has left`, "good"),
    ...(released === undefined ? [] : [list(released, "Released")]),
  ],
});

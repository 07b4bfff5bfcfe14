import { checkNewId, newAgentId } from "../../core/ids.ts";
import { Flag, List, NewTaskId, Optional, Shape, Text } from "../../core/schema.ts";
import { field, line } from "../../core/view.ts";
import { command } from "../command.ts";
import { stepKey } from "../task/lease-call.ts";
import { agentData, agentFields } from "./shapes.ts";

const Short = Text({ minLength: 1, maxLength: 200 });

export default command({
  name: "agent.join",
  effect: "write",
  summary: "Register as an agent and get your identity",
  explain:
    "Registers an agent in this repository's runtime, shared by all its worktrees, and answers with its id. Pass it with --agent or LODESTAR_AGENT from then on. --id resumes an agent that joined before, also after a reset, or registers under an id of your choice.",
  tool: true,
  tool_omits: ["model", "tool"],
  tool_bare: ["display_name", "capabilities"],
  aliases: { display_name: "n", role: "r", capabilities: "c", model: "m", tool: "t" },
  options: { display_name: "name", capabilities: "capability", agent_id: "id" },
  input: Shape({
    display_name: Optional(Text({ minLength: 1, maxLength: 200, description: "Name for people" })),
    role: Optional(Text({ minLength: 1, maxLength: 200, description: "Such as backend or code-review" })),
    capabilities: Optional(List(Short, { description: "What it can do" })),
    model: Optional(Text({ minLength: 1, maxLength: 200, description: "Model name" })),
    tool: Optional(Text({ minLength: 1, maxLength: 200, description: "Tool it runs in" })),
    agent_id: Optional(Text({ pattern: NewTaskId.pattern as string, description: "Resume this agent" })),
  }),
  output: Shape({ ...agentFields, resumed: Optional(Flag()) }),
  errors: ["INVALID_ID"],
  examples: [
    { line: "lodestar agent join --name Alice --role backend -c python", shows: "A new agent" },
    { line: "lodestar agent join --id A1B2C3D4", shows: "Resume one" },
  ],
  run: async (input, context) => {
    const { agent_id, model, tool, ...described } = input;
    if (agent_id !== undefined) checkNewId(agent_id, "an agent");
    const runtime = await context.runtime();
    const resumed =
      agent_id !== undefined && (await runtime.agents()).agents.some((agent) => agent.agent_id === agent_id);
    const session_meta = { ...(model === undefined ? {} : { model }), ...(tool === undefined ? {} : { tool }) };
    const agent = await runtime.join({
      ...described,
      agent_id: agent_id ?? newAgentId(context.random),
      ...(Object.keys(session_meta).length === 0 ? {} : { session_meta }),
      worktree: context.worktree,
      session: context.session,
      ...stepKey(context, "join"),
    });
    return { ...agentData(agent), ...(resumed ? { resumed } : {}) };
  },
  next: ({ agent_id }) => [
    { command: "task.next", input: { claim: true, agent_id }, why: "Take the next task" },
    { command: "task.list", input: {}, why: "List all tasks" },
    { command: "status", input: {}, why: "Repository overview" },
  ],
  view: (output) => [
    line(`${output.resumed === true ? "Resumed" : "Registered as"} agent ${output.agent_id}`, "good"),
    ...(output.display_name === undefined ? [] : [field("Name", output.display_name)]),
    ...(output.role === undefined ? [] : [field("Role", output.role)]),
    ...(output.capabilities === undefined ? [] : [field("Capabilities", output.capabilities.join(", "))]),
  ],
});

import { AgentId, Flag, Integer, List, Optional, Shape, TaskId } from "../../core/schema.ts";
import { field, line, list, title } from "../../core/view.ts";
import { command } from "../command.ts";
import { isSetUp, NOT_SET_UP, SET_UP } from "../set-up.ts";
import { filled } from "../task/shapes.ts";
import { listAgents } from "./listing.ts";

/** How many agents are named. */
const SHOWN = 10;

export default command({
  name: "agent",
  effect: "read",
  summary: "Show who takes part, who you are and what to do next",
  explain:
    "How many agents have joined and how lately they were seen, who holds what, and who you are if the call says so (--agent or LODESTAR_AGENT). Writes nothing.",
  options: { agent_id: "agent" },
  anywhere: true,
  input: Shape({ agent_id: Optional(AgentId) }),
  output: Shape({
    initialized: Flag(),
    registered: Optional(Integer()),
    active: Optional(Integer()),
    you: Optional(Shape({ agent_id: AgentId, known: Flag(), leases: Optional(List(TaskId)) })),
    holders: Optional(List(Shape({ agent_id: AgentId, leases: List(TaskId) }))),
  }),
  examples: [
    { line: "lodestar agent join --name Ada --role backend", shows: "Register" },
    { line: "lodestar agent whoami", shows: "Find your id again" },
    { line: "lodestar agent find --role reviewer", shows: "Whom to ask" },
  ],
  run: async (input, context) => {
    if (!isSetUp(context)) return { initialized: false };
    const agents = await listAgents(context);
    const acting = context.actor(input.agent_id);
    const own = agents.find(({ agent_id }) => agent_id === acting);
    const holders = agents.flatMap(({ agent_id, leases }) => (leases === undefined ? [] : [{ agent_id, leases }]));
    return {
      initialized: true,
      registered: agents.length,
      active: agents.filter(({ status }) => status === "active").length,
      ...(acting === undefined
        ? {}
        : { you: { agent_id: acting, known: own !== undefined, ...filled({ leases: own?.leases }) } }),
      ...(holders.length === 0 ? {} : { holders: holders.slice(0, SHOWN) }),
    };
  },
  next: ({ initialized, registered = 0, you }) => {
    if (!initialized) return [SET_UP];
    const join = { command: "agent.join", input: {}, why: "Register, and keep the id" };
    if (you?.known === false)
      return [{ command: "agent.join", input: { agent_id: you.agent_id }, why: "Register this id" }, join];
    if (you !== undefined)
      return [
        { command: "agent.brief", input: { agent_id: you.agent_id }, why: "What you hold, what waits, what is next" },
        { command: "task.next", input: { agent_id: you.agent_id, claim: true }, why: "Take the next task" },
      ];
    return registered === 0
      ? [join]
      : [
          { command: "agent.whoami", input: {}, why: "Which of them are you?" },
          { command: "agent.list", input: {}, why: "See all agents" },
          join,
        ];
  },
  view: ({ initialized, registered = 0, active = 0, you, holders }) => {
    if (!initialized) return [line(NOT_SET_UP, "warn")];
    return [
      title("Agents"),
      field("Registered", registered),
      field("Active", active),
      ...(you === undefined
        ? []
        : [field("You are", you.known ? you.agent_id : `${you.agent_id}, whom nobody has registered`)]),
      ...(holders === undefined
        ? []
        : [
            list(
              holders.map(({ agent_id, leases }) => `${agent_id} holds ${leases.join(", ")}`),
              "At work",
            ),
          ]),
    ];
  },
});

import { AgentId, Dictionary, Instant, List, OneOf, Optional, Text } from "../../core/schema.ts";
import { formatInstant, MINUTE, type Millis } from "../../core/time.ts";
import type { Agent } from "../../runtime/store.ts";
import type { Context } from "../context.ts";
import { filled } from "../task/shapes.ts";

export const ACTIVITY = ["active", "idle", "offline"] as const;
export const ActivityWord = OneOf(ACTIVITY, { description: "active < 15 min <= idle < 60 min <= offline" });

export const agentFields = {
  agent_id: AgentId,
  display_name: Optional(Text()),
  role: Optional(Text()),
  capabilities: Optional(List(Text())),
  registered_at: Instant,
  session_meta: Optional(Dictionary(Text(), Text())),
};

export function agentData(agent: Agent) {
  const { agent_id, display_name, role, capabilities, registered_at, session_meta } = agent;
  return {
    agent_id,
    ...(display_name === undefined ? {} : { display_name }),
    ...(role === undefined ? {} : { role }),
    ...filled({ capabilities }),
    registered_at: formatInstant(registered_at),
    ...(Object.keys(session_meta).length === 0 ? {} : { session_meta: { ...session_meta } }),
  };
}

/** How long ago an agent was last seen, as a word. The limits come from the environment. */
export function activity(context: Context, agent: Agent, now: Millis): (typeof ACTIVITY)[number] {
  const since = now - agent.last_seen_at;
  if (agent.left_at !== undefined || since >= minutes(context, "LODESTAR_AGENT_OFFLINE_THRESHOLD_MINUTES", 60))
    return "offline";
  return since >= minutes(context, "LODESTAR_AGENT_IDLE_THRESHOLD_MINUTES", 15) ? "idle" : "active";
}

function minutes(context: Context, name: string, fallback: number): Millis {
  const value = Number(context.env[name]);
  return (Number.isFinite(value) && value > 0 ? value : fallback) * MINUTE;
}

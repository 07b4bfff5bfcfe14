import type { TaskKey } from "../../core/task.ts";
import { SECOND } from "../../core/time.ts";
import type { SnapshotAgent } from "../snapshot.ts";
import type { Agent, AgentsView, Idempotency, JoinRequest } from "../store.ts";
import { json, present, readList, readRecord } from "../values.ts";
import { once, throwMismatch } from "./idempotency.ts";
import { end, leaseEvent, leasesOf, liveLeases } from "./leases.ts";
import type { Sql } from "./sql.ts";
import type { ReadStep, WriteStep } from "./step.ts";

interface AgentRow {
  readonly agent_id: string;
  readonly display_name: string | null;
  readonly role: string | null;
  readonly capabilities: string;
  readonly session_meta: string;
  readonly registered_at: number;
  readonly last_seen_at: number;
  readonly left_at: number | null;
  readonly worktree: string;
}

const COLUMNS =
  "agent_id, display_name, role, capabilities, session_meta, registered_at, last_seen_at, left_at, worktree";
const ONE = `select ${COLUMNS} from agent where agent_id = $agent_id`;
const ALL = `select ${COLUMNS} from agent order by registered_at, agent_id`;

export function findAgent({ sql }: ReadStep | WriteStep, agent_id: string): Agent | undefined {
  const row = sql.get<AgentRow>(ONE, { agent_id });
  return row === undefined ? undefined : fromRow(row);
}

function fromRow({ capabilities, session_meta, ...row }: AgentRow): Agent {
  const meta = Object.entries(readRecord(session_meta)).map(([name, value]) => [name, String(value)] as const);
  return { ...present(row), capabilities: readList(capabilities), session_meta: Object.fromEntries(meta) };
}

export function agents(step: ReadStep): AgentsView {
  return { now: step.now, agents: step.sql.all<AgentRow>(ALL).map(fromRow), leases: liveLeases(step) };
}

const COMPLETE = `select ${COLUMNS}, session from agent order by registered_at, agent_id`;
const PUT = `
insert into agent (${COLUMNS}, session)
values ($agent_id, $display_name, $role, $capabilities, $session_meta, $registered_at, $last_seen_at, $left_at, $worktree, $session)`;

/** Every agent there was, as a snapshot holds them. */
export function allAgents(sql: Sql): SnapshotAgent[] {
  return sql.all<AgentRow & { session: string }>(COMPLETE).map(({ session, ...row }) => ({ ...fromRow(row), session }));
}

export function insertAgent(sql: Sql, { capabilities, session_meta, ...agent }: SnapshotAgent): void {
  const { display_name, role, left_at } = agent;
  const lists = { capabilities: JSON.stringify(capabilities), session_meta: JSON.stringify(session_meta) };
  sql.run(PUT, { ...agent, display_name, role, left_at, ...lists });
}

/** True when the agent may act: registered, and not gone. */
export function isKnown({ sql }: WriteStep, agent_id: string): boolean {
  return sql.get("select 1 from agent where agent_id = $agent_id and left_at is null", { agent_id }) !== undefined;
}

const HEARTBEAT_EVERY = 30 * SECOND;
const TOUCH = `
update agent set last_seen_at = $now
where agent_id = $agent_id and left_at is null and last_seen_at <= $now - ${HEARTBEAT_EVERY}`;

/** An agent's write is a sign of life, noted at most every 30 s. */
export function touch({ sql, now }: WriteStep, agent_id: string | undefined): void {
  if (agent_id !== undefined) sql.run(TOUCH, { agent_id, now });
}

export function heartbeat(step: WriteStep, agent_id: string): Agent | undefined {
  step.sql.run("update agent set last_seen_at = $now where agent_id = $agent_id and left_at is null", {
    agent_id,
    now: step.now,
  });
  const agent = findAgent(step, agent_id);
  return agent?.left_at === undefined ? agent : undefined;
}

// One statement, so that two processes that join under one id make one agent. What is not given stays as it was.
const JOIN = `
insert into agent (agent_id, display_name, role, capabilities, session_meta, registered_at, last_seen_at, worktree, session)
values ($agent_id, $display_name, $role, coalesce($capabilities, '[]'), coalesce($session_meta, '{}'), $now, $now, $worktree, $session)
on conflict (agent_id) do update set
  display_name = coalesce($display_name, display_name), role = coalesce($role, role),
  capabilities = coalesce($capabilities, capabilities), session_meta = coalesce($session_meta, session_meta),
  last_seen_at = $now, left_at = null, worktree = $worktree, session = $session`;

export function join(step: WriteStep, request: JoinRequest): Agent {
  return once(step, "join", request.idempotency, {
    keep: () => true,
    mismatch: throwMismatch,
    run: () => {
      const { agent_id, display_name, role, capabilities, session_meta, worktree, session } = request;
      const resumed = findAgent(step, agent_id) !== undefined;
      step.sql.run(JOIN, {
        agent_id,
        display_name,
        role,
        capabilities: json(capabilities),
        session_meta: json(session_meta),
        worktree,
        session,
        now: step.now,
      });
      step.event({ type: "agent.joined", agent_id, data: { ...(resumed ? { resumed } : {}), worktree } });
      const agent = findAgent(step, agent_id);
      if (agent === undefined) throw new Error(`Agent ${agent_id} was joined but is not there.`);
      return agent;
    },
  });
}

export interface Left {
  readonly agent: Agent;
  readonly released: readonly TaskKey[];
}

export function leave(step: WriteStep, agent_id: string, idempotency: Idempotency | undefined): Left | undefined {
  return once<Left | undefined, never>(step, "leave", idempotency, {
    keep: (left) => left !== undefined,
    mismatch: throwMismatch,
    run: () => {
      const agent = findAgent(step, agent_id);
      if (agent === undefined || agent.left_at !== undefined) return agent && { agent, released: [] };
      const released = leasesOf(step, agent_id).map((lease) => {
        leaseEvent(step, "task.released", end(step, lease, "left"), { left: true });
        return { task_id: lease.task_id, created_at: lease.created_at };
      });
      step.sql.run("update agent set left_at = $now, last_seen_at = $now where agent_id = $agent_id", {
        agent_id,
        now: step.now,
      });
      step.event({ type: "agent.left", agent_id });
      return { agent: { ...agent, last_seen_at: step.now, left_at: step.now }, released };
    },
  });
}

/** What the hooks of coding agents do. Someone's work waits for them: no process is started, no file of ours is waited for long. */
import { appendFileSync } from "node:fs";
import { dirname } from "node:path";
import { checkNewId, newAgentId } from "../../core/ids.ts";
import { quote } from "../../core/shell.ts";
import { formatInstant, SECOND } from "../../core/time.ts";
import { isThere, readPlain } from "../../git/plain-file.ts";
import { findPlace } from "../../git/worktree.ts";
import type { Lease } from "../../lease/lease.ts";
import { HeldPaths } from "../../lease/locks.ts";
import type { AgentsView, RuntimeStore } from "../../runtime/store.ts";
import type { Context } from "../context.ts";
import { filesIn, inside, isRecord, real, type Said, text, wholePath } from "./edited-files.ts";
import type { EVENTS, HOOKED, RUNNERS } from "./hook.ts";
import { readInput } from "./hook-input.ts";

type Event = (typeof EVENTS)[number];
type Hooked = (typeof HOOKED)[number];

/** So long a hook waits for other users of the runtime; then the tool goes on without it. */
const PATIENCE = SECOND;
/** A session's start is paid for by every session: under 1 500 characters, JSON of the tool's included. */
const BRIEF = 1300;
/** So many leases are named at the end; the rest is counted. */
const MOST_NAMED = 5;

interface Done {
  readonly acted: boolean;
  readonly runner?: (typeof RUNNERS)[number];
  readonly agent_id?: string;
  readonly brief?: string;
  readonly refused?: {
    readonly path: string;
    readonly task_id: string;
    readonly agent_id: string;
    readonly expires_at: string;
    readonly reason: string;
  };
  readonly renewed?: string[];
  readonly held?: string[];
  readonly reminder?: string;
}

export async function runHook(event: Event, tool: Hooked, context: Context): Promise<Done> {
  context.waitAtMost(PATIENCE);
  const said = await readSaid(context);
  const done = await act(event, tool, said, context);
  return tool === "copilot" && namesEvent(said) ? { ...done, runner: "vscode" } : done;
}

async function act(event: Event, tool: Hooked, said: Said, context: Context): Promise<Done> {
  if (event === "session-start") return startSession(tool, said, context);
  const runtime = await context.runtimeIfAny();
  if (runtime === undefined) return { acted: false };
  const seen = await runtime.agents();
  const agent_id = actorIn(seen, said, context);
  if (agent_id === undefined) return { acted: false };
  const held = seen.leases.filter((lease) => lease.agent_id === agent_id && lease.session === context.session);
  switch (event) {
    case "pre-edit":
      return { acted: true, agent_id, ...refusal(seen.leases, agent_id, said, context) };
    case "post-tool":
      return { acted: true, agent_id, ...(await renew(held, seen, context)) };
    case "stop":
      // A subagent that is finished gives nothing back: its parent goes on.
      return { acted: true, agent_id, ...(parentOf(said) === undefined ? remind(held, said) : {}) };
  }
}

async function readSaid(context: Context): Promise<Said> {
  // A person who tries the hook at a terminal is not kept waiting for an end of input.
  if (context.interactive) return {};
  try {
    const value = await readInput(() => context.nextStdin());
    return isRecord(value) ? value : {};
  } catch (cause) {
    context.warn(`the hook's input cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
    return {};
  }
}

/** VS Code, which runs the hooks of Copilot's command line, too, names the event in what it says; Copilot itself does not. */
const namesEvent = (said: Said): boolean => text(said.hook_event_name ?? said.hookEventName) !== undefined;

/** The tool's id of its session, under the names that the tools have for it. */
const sessionOf = (said: Said): string | undefined =>
  text(said.session_id) ?? text(said.conversation_id) ?? text(said.sessionId);

/** Of a subagent whose session is one of its own (Copilot), the session that began it; it works for that one's agent. */
const parentOf = (said: Said): string | undefined => text(said.parentAgentId);

/**
 * The agent of a tool's session. It is made from the session's id, so that nothing but the agent itself has to be remembered: any later
 * hook of the session finds it in the runtime, and two that start at once make one.
 */
function agentOfSession(session: string): string {
  let rest = Bun.hash(`lodestar session ${session}`) as bigint;
  const digits = (count: number): Uint8Array =>
    Uint8Array.from({ length: count }, () => {
      const digit = Number(rest & 31n);
      rest >>= 5n;
      return digit;
    });
  return newAgentId({ bytes: digits });
}

/** Who acts: the one named for the call, else the session's, if it has joined and not left. */
function actorIn(seen: AgentsView, said: Said, context: Context): string | undefined {
  const named = context.actor();
  if (named !== undefined) return named;
  const sessions = [sessionOf(said), parentOf(said)].flatMap((session) => session ?? []);
  return sessions.map(agentOfSession).find((own) => isHere(seen, own));
}

const isHere = ({ agents }: AgentsView, agent_id: string | undefined): boolean =>
  agents.some((agent) => agent.agent_id === agent_id && agent.left_at === undefined);

async function startSession(tool: Hooked, said: Said, context: Context): Promise<Done> {
  const session = sessionOf(said);
  const agent_id = context.actor() ?? (session === undefined ? undefined : agentOfSession(session));
  if (agent_id !== undefined) await joinAs(agent_id, tool, await context.runtimeIfAny(), context);
  const [{ look }, { sessionText }] = await Promise.all([import("../look.ts"), import("../agent/brief.ts")]);
  const seen = await look(context, "read", agent_id, { counts: true });
  const brief = sessionText(context, seen, agent_id, tool === "claude" || tool === "copilot" ? tool : "generic", BRIEF);
  if (agent_id === undefined) return { acted: false, brief };
  handOn(agent_id, context);
  return { acted: true, agent_id, brief: `${brief}\nYou have joined already: pass --agent ${quote(agent_id)}.` };
}

async function joinAs(
  agent_id: string,
  tool: Hooked,
  known: RuntimeStore | undefined,
  context: Context,
): Promise<void> {
  if (known !== undefined && isHere(await known.agents(), agent_id)) return;
  checkNewId(agent_id, "an agent");
  const runtime = await context.runtime();
  await runtime.join({
    agent_id,
    ...(tool === "generic" ? {} : { session_meta: { tool } }),
    worktree: context.worktree,
    session: context.session,
  });
}

/** Claude Code gives its session's start a file whose exports hold in every shell that the session opens. */
function handOn(agent_id: string, context: Context): void {
  const path = text(context.env.CLAUDE_ENV_FILE);
  if (path === undefined || text(context.env.LODESTAR_AGENT) !== undefined) return;
  const line = `export LODESTAR_AGENT=${quote(agent_id)}\n`;
  const there = readPlain(path) ?? "";
  // Another hook may have left its last line open.
  if (there.includes(line)) return;
  try {
    appendFileSync(path, there === "" || there.endsWith("\n") ? line : `\n${line}`);
  } catch (cause) {
    // The brief says who the agent is, too.
    context.warn(`${path} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function refusal(leases: readonly Lease[], agent_id: string, said: Said, context: Context): Pick<Done, "refused"> {
  const locks = new HeldPaths(leases, agent_id);
  if (locks.none) return {};
  for (const file of filesIn(said)) {
    for (const path of namesOf(file, text(said.cwd) ?? context.cwd, context)) {
      const found = locks.on(path);
      if (found === undefined) continue;
      const { lease } = found;
      const expires_at = formatInstant(lease.expires_at);
      const reason = `${path} is locked by task ${lease.task_id}, held by ${lease.agent_id} until ${expires_at} (now ${formatInstant(context.clock.now())}). Work on other files, or ask: lodestar msg send --to ${quote(`agent:${lease.agent_id}`)} --from ${quote(agent_id)} --text '…'`;
      return { refused: { path, task_id: lease.task_id, agent_id: lease.agent_id, expires_at, reason } };
    }
  }
  return {};
}

/**
 * A file as locks name it: from the folder of `.lodestar/`, also in another worktree of this repository; as it is written and with its
 * links followed. None for files elsewhere, and for Lodestar's own.
 */
function namesOf(file: string, base: string, context: Context): string[] {
  const given = wholePath(file, base);
  if (given === undefined) return [];
  const roots = [context.place.root];
  const there = findPlaceOf(given);
  if (there?.git !== undefined && there.git.common_dir === context.place.git?.common_dir) roots.push(there.root);
  const names = roots.flatMap((root) => [inside(root, given), inside(real(root), real(given))]);
  return [...new Set(names.flatMap((name) => name ?? []))].filter((name) => !name.startsWith(".lodestar/"));
}

function findPlaceOf(file: string) {
  let folder = dirname(real(file));
  while (!isThere(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    return findPlace(folder);
  } catch {
    // A broken repository beside this one: the file is not in one of ours.
    return undefined;
  }
}

/** L8: the leases that this session holds are renewed while its work goes on, once they are past half their time. */
async function renew(held: readonly Lease[], { now }: AgentsView, context: Context): Promise<Pick<Done, "renewed">> {
  const due = held.filter(({ expires_at, ttl }) => expires_at - now <= ttl / 2);
  if (due.length === 0) return {};
  const runtime = await context.runtime();
  const renewed: string[] = [];
  for (const { task_id, created_at, agent_id, lease_id, ttl } of due) {
    const { kind } = await runtime.renew({ key: { task_id, created_at }, agent_id, lease_id, ttl, automatic: true });
    if (kind === "renewed") renewed.push(task_id);
    else if (kind !== "unchanged") context.warn(`the lease on ${task_id} was not renewed: it is over`);
  }
  return renewed.length === 0 ? {} : { renewed };
}

function remind(held: readonly Lease[], said: Said): Pick<Done, "held" | "reminder"> {
  if (held.length === 0) return {};
  const tasks = held.map(({ task_id }) => task_id);
  // Once a turn: an agent that was told and stops again has decided.
  const again = said.stop_hook_active === true || (typeof said.loop_count === "number" && said.loop_count > 0);
  // Cursor tells of every end of a turn: whoever broke one off does not want the agent to go on.
  const brokenOff = said.status === "aborted" || said.status === "error";
  if (again || brokenOff) return { held: tasks };
  const named = held
    .slice(0, MOST_NAMED)
    .map(({ task_id, expires_at }) => `${task_id} (until ${formatInstant(expires_at)})`)
    .join(", ");
  const more = held.length > MOST_NAMED ? ` and ${held.length - MOST_NAMED} more` : "";
  const [{ task_id, agent_id }] = held as [Lease];
  const way = (word: string) => `lodestar task ${word} ${quote(task_id)} --agent ${quote(agent_id)}`;
  return {
    held: tasks,
    reminder: `You still hold ${named}${more}. Finished: \`${way("done")}\`. Giving it up: \`${way("release")} --note 'why'\`. Going on later: \`${way("renew")}\`.`,
  };
}

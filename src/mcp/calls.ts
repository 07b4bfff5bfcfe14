import type { CallToolResult, Server } from "@modelcontextprotocol/server";
import type { AnyCommand } from "../commands/command.ts";
import { type Answer, execute, refusal } from "../commands/execute.ts";
import { chooseFields } from "../commands/fields.ts";
import { actionOf, callOf, type Tool } from "../commands/mcp/toolbox.ts";
import type { ServedCall, Serving } from "../commands/serving.ts";
import type { Log } from "./log.ts";

/** What all sessions of a server share. */
export interface House extends Omit<Serving, "log"> {
  readonly tools: readonly Tool[];
  readonly log: Log;
  /** Each call until it has ended: who stops the process waits for them. */
  readonly running: Set<Promise<unknown>>;
}

/** One client's conversation with the server. */
export interface Session {
  /** What its leases belong to; `undefined`: the worktree, as for the command line. */
  readonly key: string | undefined;
  /** Who joined in it. */
  agent: string | undefined;
  /** A joining that is under way: who sends several calls at once means the later ones to be of that agent. */
  joining: Promise<unknown> | undefined;
  /** Requests under way. */
  calls: number;
  /** Where to tell it something that it has not asked for just now. */
  server: Server | undefined;
}

/** A conversation that begins. */
export const newSession = (key: string | undefined): Session => ({
  key,
  agent: undefined,
  joining: undefined,
  calls: 0,
  server: undefined,
});

/** Runs one command for a session, with planes that are opened for it alone. Never throws. */
export async function run(
  house: House,
  session: Session,
  command: AnyCommand,
  input: Record<string, unknown>,
  signal: AbortSignal,
): Promise<Answer> {
  if (command.name === "agent.join") {
    const joined = runNow(house, session, command, input, signal);
    session.joining = joined;
    return joined;
  }
  await session.joining;
  return runNow(house, session, command, input, signal);
}

async function runNow(
  house: House,
  session: Session,
  command: AnyCommand,
  input: Record<string, unknown>,
  signal: AbortSignal,
): Promise<Answer> {
  try {
    const call: ServedCall = {
      signal,
      ...(session.agent === undefined ? {} : { agent: session.agent }),
      ...(session.key === undefined ? {} : { session: session.key }),
    };
    const context = await house.open(call);
    try {
      const answer = await execute(command, input, context);
      if (command.name === "agent.join" && answer.ok) session.agent = (answer.data as { agent_id: string }).agent_id;
      return answer;
    } finally {
      context.close();
    }
  } catch (cause) {
    return refusal(cause);
  }
}

/** Answers a call of a tool: what went wrong is an answer, too, for the model to read. */
export async function callTool(
  house: House,
  session: Session,
  tool: Tool,
  given: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<CallToolResult> {
  let answer: Answer;
  try {
    const { command, input, paths } = callOf(tool, given);
    answer = await run(house, session, command, input, signal);
    if (answer.ok && paths !== undefined) answer = { ...answer, data: chooseFields(answer.data, command.items, paths) };
  } catch (cause) {
    answer = refusal(cause);
  }
  house.log({ event: "called", message: `${tool.name} by ${session.agent ?? "-"}: ${answer.error?.code ?? "ok"}` });
  return resultOf(answer, house.tools);
}

/** What to do in words of the command line, said in those of the tools. */
const HINTS: Readonly<Partial<Record<string, string>>> = {
  AGENT_REQUIRED: "Call agent_join once in this session, or give agent_id.",
};

/** The envelope in MCP's terms: `data` is the structured content, and the text for clients that read only texts. */
function resultOf(answer: Answer, tools: readonly Tool[]): CallToolResult {
  const notes = answer.warnings.map((warning) => `Warning: ${warning}`);
  const [first] = answer.next;
  const action = first === undefined ? undefined : actionOf(tools, first.command, first.input);
  if (first !== undefined && action !== undefined)
    notes.push(`Next: ${action.tool} ${JSON.stringify(action.arguments)} (${first.why})`);
  const content = (data: unknown) =>
    [JSON.stringify(data), ...(notes.length === 0 ? [] : [notes.join("\n")])].map((text) => ({
      type: "text" as const,
      text,
    }));
  if (answer.ok) return { content: content(answer.data), structuredContent: answer.data as Record<string, unknown> };
  const hint = HINTS[answer.error?.code ?? ""];
  const error = hint === undefined ? answer.error : { ...answer.error, hint };
  const failure = { error, data: answer.data };
  return { content: content(failure), structuredContent: failure as unknown as Record<string, unknown>, isError: true };
}

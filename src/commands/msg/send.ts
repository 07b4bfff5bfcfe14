import { LodestarError } from "../../core/errors.ts";
import { newMessageId } from "../../core/ids.ts";
import { AgentId, Instant, OneOf, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { formatInstant } from "../../core/time.ts";
import { field, line } from "../../core/view.ts";
import { SEVERITIES } from "../../runtime/store.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { unknownAgent } from "../refused.ts";
import { stepKey } from "../task/lease-call.ts";
import { bareTask } from "./shapes.ts";
import { requireThread } from "./threads.ts";

/** A message is words, not a file. */
const MOST_BYTES = 65_536;

export default command({
  name: "msg.send",
  effect: "write",
  summary: "Write to an agent or to a task's thread",
  explain:
    "To a task (--task ID, or --to task:ID): everybody who reads its thread sees the message, it is unread for whoever holds the task, and whoever claims it next gets it with the claim. To an agent (--to agent:ID): it is in that agent's inbox. Both must exist. With --severity you say how pressing it is; `handoff` is word for the next to take the task, `blocker` what stops the work. At most 64 KiB.",
  tool: true,
  tool_bare: ["text", "subject", "severity", "task_id", "agent_id"],
  aliases: { to: "t", text: "m", agent_id: "f", subject: "s" },
  options: { task_id: "task", agent_id: "from" },
  long_text: ["text"],
  input: Shape({
    to: Optional(Text({ minLength: 1, description: "agent:ID or task:ID; without a prefix it is a task" })),
    task_id: Optional({ ...TaskId, description: "To the thread of the task with this id" }),
    agent_id: Optional({ ...AgentId, description: "Your agent id" }),
    text: Text({ minLength: 1, maxLength: MOST_BYTES, description: "What you want to say" }),
    subject: Optional(Text({ minLength: 1, maxLength: 500, description: "What it is about, in a line" })),
    severity: Optional(OneOf(SEVERITIES, { description: "How pressing it is" })),
  }),
  output: Shape({
    message_id: Text(),
    sent_at: Instant,
    task_id: Optional(TaskId),
    to_agent_id: Optional(AgentId),
    from_agent_id: AgentId,
  }),
  errors: ["AGENT_REQUIRED", "AGENT_NOT_FOUND", "TASK_NOT_FOUND"],
  examples: [
    {
      line: 'lodestar msg send --task TASK-001 --from A1B2C3D4 --severity handoff --text "Tests pass; the docs are missing"',
      shows: "Word for whoever takes the task next",
    },
    {
      line: 'lodestar msg send --to agent:A5E6F7G8 --text "May I merge?"',
      shows: "To one agent; LODESTAR_AGENT says who you are",
    },
    { line: "git log -3 | lodestar msg send --task TASK-001 --text -", shows: "A text from another program" },
  ],
  run: async (input, context) => {
    const from_agent_id = context.requireActor(input.agent_id);
    const { text, subject, severity } = input;
    if (text.trim() === "") throw new LodestarError("USAGE", "The message is empty.");
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > MOST_BYTES) {
      throw new LodestarError("USAGE", `A message has at most 64 KiB; this one has ${bytes} bytes.`, {
        hint: "Put the text into a file of the repository, and say where it is.",
        details: { bytes, limit: MOST_BYTES },
      });
    }
    const goal = goalOf(input);
    if (goal.task_id !== undefined) await requireKnown(context, goal.task_id, input.to);
    const result = await (await context.runtime()).send({
      message_id: newMessageId(context.random),
      from_agent_id,
      ...goal,
      text,
      ...(subject === undefined ? {} : { subject }),
      ...(severity === undefined ? {} : { severity }),
      ...stepKey(context, "send"),
    });
    if (result.kind === "unknown_agent") {
      const { agent_id } = result;
      if (agent_id !== goal.to_agent_id) throw unknownAgent(agent_id);
      throw new LodestarError("AGENT_NOT_FOUND", `There is no agent ${agent_id} to read it`, {
        details: { agent_id },
        hint: "See who takes part with `lodestar agent list`; word for whoever comes goes to a task's thread.",
      });
    }
    const { message_id, created_at } = result.message;
    return { message_id, sent_at: formatInstant(created_at), ...goal, from_agent_id };
  },
  next: ({ task_id }) =>
    task_id === undefined ? [] : [{ command: "msg.thread", input: { task_id }, why: "Read the thread" }],
  view: ({ message_id, task_id, to_agent_id }) => [
    line(`Message sent to ${task_id === undefined ? `agent ${to_agent_id}` : `task ${task_id}`}`, "good"),
    field("Message ID", message_id),
  ],
});

type Goal =
  | { readonly task_id: string; readonly to_agent_id?: never }
  | { readonly to_agent_id: string; readonly task_id?: never };

/** Where a message goes: 1.0 says `--task ID` (and `-t ID`), 0.1 `--to agent:ID` or `--to task:ID`. */
function goalOf({ to, task_id }: { readonly to?: string; readonly task_id?: string }): Goal {
  const said = [to, task_id].filter((one) => one !== undefined);
  if (said.length !== 1) {
    throw new LodestarError(
      "USAGE",
      said.length === 0 ? "Say whom the message is for." : "--to and --task were both given; only one can count.",
      {
        hint: "For a task's thread `--task ID`, for an agent `--to agent:ID`.",
      },
    );
  }
  const [goal = ""] = said;
  const prefix = task_id === undefined ? /^(agent|task):/.exec(goal)?.[1] : undefined;
  const id = prefix === undefined ? goal : goal.slice(prefix.length + 1);
  if (id === "")
    throw new LodestarError("USAGE", `${JSON.stringify(goal)} names nobody.`, { hint: "Write agent:ID or task:ID." });
  return prefix === "agent" ? { to_agent_id: id } : { task_id: bareTask(id) };
}

/** A task that is not there may have been meant as an agent. */
async function requireKnown(context: Context, task_id: string, to: string | undefined): Promise<void> {
  try {
    await requireThread(context, task_id);
  } catch (error) {
    if (!(error instanceof LodestarError) || error.code !== "TASK_NOT_FOUND" || to !== task_id) throw error;
    const isAgent = (await (await context.runtimeIfAny())?.agents())?.agents.some((one) => one.agent_id === task_id);
    if (isAgent !== true) throw error;
    const { message, details } = error;
    throw new LodestarError("TASK_NOT_FOUND", message, {
      details,
      hint: `To the agent of that name: --to agent:${task_id}`,
    });
  }
}

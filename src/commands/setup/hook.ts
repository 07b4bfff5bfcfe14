import { AgentId, Flag, Instant, List, OneOf, Optional, Shape, type Static, TaskId, Text } from "../../core/schema.ts";
import { line } from "../../core/view.ts";
import { command, type Raw, type Result } from "../command.ts";

export const EVENTS = ["session-start", "pre-edit", "post-tool", "stop"] as const;
/** The tools whose hooks answer in JSON of their own; `generic` is what all understand: exit status 2 and a reason. */
export const HOOKED = ["generic", "claude", "codex", "copilot", "cursor", "gemini", "opencode"] as const;
type Hooked = (typeof HOOKED)[number];
/** Programs that run another tool's hooks, and take answers in a form of their own. */
export const RUNNERS = ["vscode"] as const;

const Done = Shape({
  event: Text(),
  acted: Flag({ description: "Whether there was an agent to act for" }),
  runner: Optional(OneOf(RUNNERS, { description: "Who runs the tool's hooks, where that is not the tool itself" })),
  agent_id: Optional(AgentId),
  brief: Optional(Text({ description: "session-start: what the agent starts with" })),
  refused: Optional(
    Shape(
      { path: Text(), task_id: TaskId, agent_id: AgentId, expires_at: Instant, reason: Text() },
      { description: "pre-edit: why the edit must not be made" },
    ),
  ),
  renewed: Optional(List(TaskId, { description: "post-tool: tasks whose leases were renewed" })),
  held: Optional(List(TaskId, { description: "stop: tasks that the session still holds" })),
  reminder: Optional(Text({ description: "stop: what to do about them" })),
});

export default command({
  name: "hook",
  effect: "write",
  summary: "Do what a coding agent's hook asks for, called by it",
  explain:
    "What the hooks of `lodestar setup` run; each reads the tool's JSON on standard input. session-start joins an agent for the tool's session, or resumes it, and prints what it starts with. pre-edit refuses files inside the path locks of a task that another agent holds. post-tool renews the leases that the acting agent holds in this worktree once they are past half their time. stop names those leases, once a turn, with the ways out: done, release, renew. Who acts is --agent or LODESTAR_AGENT, else the agent that joined for the session.\n\nA refusal is exit status 2 with the reason on standard error, or with --tool that tool's own JSON and exit status 0. Where Lodestar is not set up nothing is said; whatever goes wrong is a note on standard error and exit status 0.",
  anywhere: true,
  positional: ["event"],
  input: Shape({
    event: OneOf(EVENTS, { description: "What happens in the tool" }),
    tool: Optional(OneOf(HOOKED, { description: "Whose form of answer (default generic)" })),
  }),
  output: Done,
  examples: [
    {
      line: 'printf \'{"tool_input":{"file_path":"src/a.ts"}}\' | lodestar hook pre-edit --agent ALICE',
      shows: "May Alice edit this file now?",
    },
    { line: "lodestar hook session-start --tool claude < event.json", shows: "In the words of Claude Code" },
  ],
  run: async ({ event, tool }, context) => {
    if (!context.initialized) return { event, acted: false };
    const { runHook } = await import("./hook-work.ts");
    return { event, ...(await runHook(event, tool ?? "generic", context)) };
  },
  view: ({ brief, refused, reminder }) =>
    [brief, refused?.reason, reminder].flatMap((text) => (text === undefined ? [] : [line(text)])),
  raw: (result, { tool }) => inWordsOf(tool ?? "generic", result),
});

/** Only a refusal and a reminder may change what the tool does; what goes wrong with Lodestar is no reason to stop anybody's work. */
function inWordsOf(tool: Hooked, result: Result<Static<typeof Done>>): Raw {
  const notes = [...(result.ok ? [] : [result.message]), ...result.warnings]
    .map((note) => `Lodestar: ${note}`)
    .join("\n");
  const noted = notes === "" ? {} : { stderr: notes };
  if (!result.ok) return { ...noted, exit: 0 };
  const { brief, refused, reminder, runner } = result.data;
  const forms = FORMS[runner ?? tool];
  const said = (answer: object): Raw => ({ stdout: JSON.stringify(answer), ...noted, exit: 0 });
  if (brief !== undefined)
    return forms.brief === undefined
      ? { stdout: brief, ...noted, exit: 0 }
      : said(forms.brief(brief, result.data.agent_id));
  const stops = refused?.reason ?? reminder;
  if (stops === undefined) return { ...noted, exit: 0 };
  const form = refused === undefined ? forms.remind : forms.refuse;
  return form === undefined ? { stderr: notes === "" ? stops : `${stops}\n${notes}`, exit: 2 } : said(form(stops));
}

interface Form {
  readonly brief?: (text: string, agent_id: string | undefined) => object;
  readonly refuse?: (reason: string) => object;
  readonly remind?: (reason: string) => object;
}

const CLAUDE: Form = {
  brief: (additionalContext) => ({ hookSpecificOutput: { hookEventName: "SessionStart", additionalContext } }),
  refuse: (permissionDecisionReason) => ({
    hookSpecificOutput: { hookEventName: "PreToolUse", permissionDecision: "deny", permissionDecisionReason },
  }),
  remind: (reason) => ({ decision: "block", reason }),
};

const FORMS: Readonly<Record<Hooked | (typeof RUNNERS)[number], Form>> = {
  generic: {},
  claude: CLAUDE,
  // Takes the same words.
  codex: CLAUDE,
  copilot: {
    brief: (additionalContext) => ({ additionalContext }),
    refuse: (permissionDecisionReason) => ({ permissionDecision: "deny", permissionDecisionReason }),
    remind: (reason) => ({ decision: "block", reason }),
  },
  vscode: {
    ...CLAUDE,
    remind: (reason) => ({ hookSpecificOutput: { hookEventName: "Stop", decision: "block", reason } }),
  },
  // The plugin that `setup` writes reads exit statuses.
  opencode: {},
  cursor: {
    brief: (additional_context, agent_id) => ({
      additional_context,
      ...(agent_id === undefined ? {} : { env: { LODESTAR_AGENT: agent_id } }),
    }),
    refuse: (reason) => ({ permission: "deny", user_message: reason, agent_message: reason }),
    remind: (followup_message) => ({ followup_message }),
  },
  gemini: {
    brief: (additionalContext) => ({ hookSpecificOutput: { hookEventName: "SessionStart", additionalContext } }),
    refuse: (reason) => ({ decision: "deny", reason }),
    remind: (reason) => ({ decision: "deny", reason }),
  },
};

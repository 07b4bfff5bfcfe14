import { type GetPromptResult, ProtocolError, ProtocolErrorCode } from "@modelcontextprotocol/server";

interface Prompt {
  readonly name: string;
  readonly description: string;
  readonly argument: { readonly name: string; readonly description: string; readonly required: boolean };
  readonly text: (value: string | undefined) => string;
}

const PROMPTS: readonly Prompt[] = [
  {
    name: "plan",
    description: "Plan tasks from a product document",
    argument: { name: "source", description: "The document in the repository, such as PRD.md", required: true },
    text: (source) =>
      `Read ${source} and plan the work as Lodestar tasks.

1. Call status and task_list: what is planned already is not planned twice.
2. Divide the work so that one agent finishes a task in one sitting, and two agents rarely want the same files. A description says what, where and why; acceptance_criteria say how one sees that it is done.
3. Give each task \`prd: {source, refs, excerpt}\` with the anchors of the sections that it comes from, \`locks\` with globs of the files that it changes, and \`depends_on\` with the \`ref\` of those that must be verified first.
4. Call task_import with all of them and dry_run: true, mend what it refuses, then call it without.`,
  },
  {
    name: "work",
    description: "Work on a task, from claim to done",
    argument: { name: "task_id", description: "The task; without, the next one", required: false },
    text: (id) =>
      `Work on ${id === undefined ? "the next Lodestar task" : `the Lodestar task ${id}`}.

1. Call agent_join once in this session, then ${id === undefined ? "task_next with claim: true" : `task_claim with task_ids: [${JSON.stringify(id)}]`}. When another agent has it, take other work.
2. Read the context and the handoff messages of the answer; task_show with do: "context" has the rest.
3. Work only on what the task says, within its locks. Claim it again before the lease ends.
4. When every acceptance criterion holds and the tests pass, commit, and call task_done with the fencing_token and a note for the reviewer. When you cannot finish, call task_release with a note that says how far you came.
5. LEASE_LOST means that another agent has the task now: stop writing to it.`,
  },
  {
    name: "review",
    description: "Review a finished task, and verify it or send it back",
    argument: { name: "task_id", description: "The task; without, the next that waits for review", required: false },
    text: (id) =>
      `Review ${id === undefined ? "the next Lodestar task that is done" : `the Lodestar task ${id}`}.

1. Call agent_join once in this session, then ${id === undefined ? "task_next with review: true and claim: true" : `task_claim with review: true and task_ids: [${JSON.stringify(id)}]`}.
2. Read what was asked (task_show with do: "context") and what was said (msg_inbox with do: "thread"), then the change itself.
3. Check each acceptance criterion by running something, not by reading alone.
4. When all hold, call task_verify with the fencing_token. When one does not, call task_update with do: "reopen" and a note that says which, and how to see it.`,
  },
];

/** The prompts as `prompts/list` shows them. */
export const listing = PROMPTS.map(({ name, description, argument }) => ({ name, description, arguments: [argument] }));

/** @throws ProtocolError for a prompt that is not there, or an argument that is missing. */
export function getPrompt(name: string, given: Readonly<Record<string, string>>): GetPromptResult {
  const prompt = PROMPTS.find((each) => each.name === name);
  if (prompt === undefined)
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, `There is no prompt ${JSON.stringify(name)}.`);
  const { argument, description, text } = prompt;
  const value = Object.hasOwn(given, argument.name) ? given[argument.name] : undefined;
  if (argument.required && value === undefined)
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, `The prompt ${name} needs ${argument.name}.`);
  return { description, messages: [{ role: "user", content: { type: "text", text: text(value) } }] };
}

import { counted } from "../../core/counted.ts";
import { AgentId, Integer, OneOf, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { quote } from "../../core/shell.ts";
import type { Task } from "../../core/task.ts";
import { formatDuration } from "../../core/time.ts";
import { line } from "../../core/view.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { type Look, look, requireTask } from "../look.ts";
import { effectiveTask } from "../outcome.ts";
import { offersFor } from "../task/offers.ts";

/** The forms in which a brief can be written. */
export const FORMATS = ["claude", "copilot", "generic"] as const;
type Format = (typeof FORMATS)[number];

/** What an agent reads at its start is paid for in every session: so many characters, unless the call says otherwise. */
const SESSION_BUDGET = 1500;
const TASK_BUDGET = 3000;

export default command({
  name: "agent.brief",
  effect: "read",
  summary: "Write the text that an agent starts with",
  explain:
    "With --task: what a sub-agent needs to know to take that task. Without: the start of a session: who you are, what you hold and for how long, unread messages, what is next. Each in the form that the tool reads best: XML tags for claude, Markdown for copilot, plain text else. At most 1 500 characters (with --task 3 000), or --max-chars: what does not fit is cut where it hurts least, and the text says where the rest is.",
  aliases: { task_id: "t", format: "f" },
  options: { task_id: "task", agent_id: "agent" },
  input: Shape({
    task_id: Optional({ ...TaskId, description: "For taking the task with this id" }),
    format: Optional(OneOf(FORMATS, { description: "Form (default generic)" })),
    max_chars: Optional(Integer({ minimum: 400, maximum: 100_000, description: "At most so many characters" })),
    agent_id: Optional(AgentId),
  }),
  output: Shape({ task_id: Optional(TaskId), format: OneOf(FORMATS), formatted_output: Text() }),
  errors: ["TASK_NOT_FOUND"],
  examples: [
    { line: "lodestar agent brief --task TASK-001 --format claude", shows: "For a sub-agent" },
    { line: "lodestar agent brief --agent A1B2C3D4", shows: "At a session's start" },
  ],
  run: async (input, context) => {
    const format = input.format ?? "generic";
    const agent_id = context.actor(input.agent_id);
    const seen = await look(context, "read", agent_id, { counts: input.task_id === undefined });
    if (input.task_id === undefined) {
      return { format, formatted_output: sessionText(context, seen, agent_id, format, input.max_chars) };
    }
    const standing = await requireTask(context, seen, input.task_id);
    const task = effectiveTask(standing.task, standing.known);
    const brief = (shown: Task) => BRIEFS[format](shown, agent_id ?? "YOUR_AGENT_ID");
    return { task_id: task.id, format, formatted_output: fitted(task, input.max_chars ?? TASK_BUDGET, brief) };
  },
  view: ({ formatted_output }) => formatted_output.split("\n").map((text) => line(text)),
});

/** The text of a session's start. @param seen a look with unread messages counted. */
export function sessionText(
  context: Context,
  seen: Look,
  agent_id: string | undefined,
  format: Format,
  budget = SESSION_BUDGET,
): string {
  return sessionBrief(sessionOf(context, seen, agent_id), format, budget);
}

/** What a session's start tells, the most important first. */
interface Session {
  readonly project: string;
  readonly who: string;
  readonly held: readonly string[];
  readonly hints: readonly string[];
  readonly offers: readonly string[];
  readonly take: string;
}

function sessionOf(context: Context, seen: Look, agent_id: string | undefined): Session {
  const branch = context.branch();
  const acting = agent_id === undefined ? "" : ` --agent ${quote(agent_id)}`;
  const leases = (seen.seen?.leases ?? []).filter((lease) => lease.agent_id === agent_id);
  const held = leases.map(({ task_id, expires_at }) => {
    const title = seen.schedule.standing(task_id)?.task.title ?? "";
    return `${task_id} (${cut(title, 80)}) for ${formatDuration(expires_at - (seen.seen?.now ?? 0))} more`;
  });
  const unread = seen.seen?.unread ?? 0;
  const wish = { kind: "work" as const, ...(agent_id === undefined ? {} : { agent_id }) };
  const offers = offersFor(seen, wish, {}, 3).map(({ task }) => `${task.id} P${task.priority} ${cut(task.title, 100)}`);
  return {
    project: `${cut(seen.header.project.name, 80)}${branch === "" ? "" : ` (${branch})`}`,
    who:
      agent_id === undefined
        ? "You have no identity yet: lodestar agent join --name NAME (or find yours: lodestar agent whoami)"
        : `You are ${agent_id}.${held.length === 0 ? " You hold no task." : ""}`,
    held,
    hints: [
      ...(held.length === 0
        ? []
        : [
            "Finish: lodestar task done ID; more time: lodestar task renew ID; give back: lodestar task release ID --note WHY",
          ]),
      ...(unread === 0 ? [] : [`${counted(unread, "unread message")}: lodestar msg inbox${acting} --unread-only`]),
    ],
    offers,
    take: offers.length === 0 ? "Nothing can be claimed now." : `Take one: lodestar task next --claim${acting}`,
  };
}

/** A session's start within its budget: first the offers give way, then all but the first of what is held. */
function sessionBrief(session: Session, format: Format, budget: number): string {
  const form = SESSIONS[format];
  let shown = session;
  for (;;) {
    const text = form(shown);
    if (text.length <= budget) return text;
    if (shown.offers.length > 0) shown = { ...shown, offers: shown.offers.slice(0, -1) };
    else if (shown.held.length > 1) shown = { ...shown, held: shown.held.slice(0, -1) };
    else return cut(text, budget);
  }
}

const SESSIONS: Readonly<Record<Format, (session: Session) => string>> = {
  claude: ({ project, who, held, hints, offers, take }) =>
    [
      "<lodestar>",
      `  <project>${escapeXml(project)}</project>`,
      `  <you>${escapeXml(who)}</you>`,
      ...held.map((each) => `  <held>${escapeXml(each)}</held>`),
      ...hints.map((each) => `  <note>${escapeXml(each)}</note>`),
      ...offers.map((each) => `  <next>${escapeXml(each)}</next>`),
      `  <note>${escapeXml(take)}</note>`,
      "</lodestar>",
    ].join("\n"),
  copilot: ({ project, who, held, hints, offers, take }) =>
    [
      `## Lodestar: ${project}`,
      "",
      who,
      ...(held.length === 0 ? [] : ["", "### You hold", "", ...held.map((each) => `- ${each}`)]),
      ...(hints.length === 0 ? [] : ["", ...hints.map((each) => `- ${each}`)]),
      ...(offers.length === 0 ? [] : ["", "### Next", "", ...offers.map((each) => `- ${each}`)]),
      "",
      take,
    ].join("\n"),
  generic: ({ project, who, held, hints, offers, take }) =>
    [
      `Lodestar: ${project}`,
      who,
      ...held.map((each) => `You hold ${each}.`),
      ...hints,
      ...(offers.length === 0 ? [] : ["Next:", ...offers.map((each) => `  ${each}`)]),
      take,
    ].join("\n"),
};

function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  return length === 0 ? "" : `${text.slice(0, length - 1).trimEnd()}…`;
}

/** What of a task is shown: the rest gives way, first down to the first row of these, then to the second. */
const LEAST = [
  { description: 100, criteria: 1, locks: 1, title: 100 },
  { description: 0, criteria: 0, locks: 0, title: 40 },
] as const;

/** A brief of the task within its budget: the description gives way first, then criteria and paths from the end. */
function fitted(task: Task, budget: number, brief: (task: Task) => string): string {
  const { description = "", acceptance_criteria, locks, title } = task;
  const rest = `(shortened; all of it: lodestar task show ${quote(task.id)})`;
  const whole = {
    description: description.length,
    criteria: acceptance_criteria.length,
    locks: locks.length,
    title: title.length,
  };
  let text = brief(task);
  const shown = { ...whole };
  for (const least of LEAST) {
    while (text.length > budget) {
      if (shown.description > least.description)
        shown.description = Math.max(least.description, shown.description - Math.max(20, text.length - budget));
      else if (shown.criteria > least.criteria) shown.criteria -= 1;
      else if (shown.locks > least.locks) shown.locks -= 1;
      else if (shown.title > least.title) shown.title = least.title;
      else break;
      text = brief({
        ...task,
        title: cut(title, shown.title),
        description: [cut(description, shown.description), rest].filter((part) => part !== "").join(" "),
        acceptance_criteria: acceptance_criteria.slice(0, shown.criteria),
        locks: locks.slice(0, shown.locks),
      });
    }
  }
  return cut(text, budget);
}

const BRIEFS: Readonly<Record<Format, (task: Task, agent: string) => string>> = {
  claude: (task, agent) => {
    const locks =
      task.locks.length === 0
        ? []
        : [
            "  <allowed_paths>",
            ...task.locks.map((lock) => `    <path>${escapeXml(lock)}</path>`),
            "  </allowed_paths>",
          ];
    const labels = task.labels.length === 0 ? [] : [`  <labels>${escapeXml(task.labels.join(", "))}</labels>`];
    const criteria =
      task.acceptance_criteria.length === 0
        ? []
        : [
            "<acceptance_criteria>",
            ...task.acceptance_criteria.map((each) => `  <criterion>${escapeXml(each)}</criterion>`),
            "</acceptance_criteria>",
            "",
          ];
    return [
      "<task>",
      `  <id>${escapeXml(task.id)}</id>`,
      `  <title>${escapeXml(task.title)}</title>`,
      "</task>",
      "",
      "<context>",
      ...(task.description === undefined ? [] : [`  ${escapeXml(task.description)}`]),
      ...labels,
      ...locks,
      "</context>",
      "",
      ...criteria,
      "<instructions>",
      `  1. Claim task: lodestar task claim ${quote(task.id)} --agent ${quote(agent)}`,
      `  2. More time: lodestar task renew ${quote(task.id)} --agent ${quote(agent)}`,
      `  3. Report progress: lodestar msg send --task ${quote(task.id)} --from ${quote(agent)} --text 'Update'`,
      `  4. Mark complete: lodestar task done ${quote(task.id)} --agent ${quote(agent)}`,
      "</instructions>",
    ].join("\n");
  },
  copilot: (task, agent) =>
    [
      `## Task: ${task.id}`,
      "",
      `**${task.title}**`,
      "",
      "### Goal",
      "",
      task.description ?? task.title,
      ...(task.labels.length === 0 ? [] : ["", `**Labels:** ${task.labels.join(", ")}`]),
      ...(task.acceptance_criteria.length === 0
        ? []
        : ["", "### Acceptance Criteria", "", ...task.acceptance_criteria.map((each) => `- [ ] ${each}`)]),
      ...(task.locks.length === 0 ? [] : ["", "### Allowed Paths", "", "```", ...task.locks, "```"]),
      "",
      "### Commands",
      "",
      "```bash",
      "# Claim this task",
      `lodestar task claim ${quote(task.id)} --agent ${quote(agent)}`,
      "",
      "# Report progress",
      `lodestar msg send --task ${quote(task.id)} --from ${quote(agent)} --text 'Progress update'`,
      "",
      "# Mark complete",
      `lodestar task done ${quote(task.id)} --agent ${quote(agent)}`,
      "```",
    ].join("\n"),
  generic: (task, agent) =>
    [
      `TASK: ${task.id} - ${task.title}`,
      "",
      "CONTEXT:",
      `  ${task.description ?? task.title}`,
      ...(task.labels.length === 0 ? [] : [`  Labels: ${task.labels.join(", ")}`]),
      ...(task.acceptance_criteria.length === 0
        ? []
        : ["", "CRITERIA:", ...task.acceptance_criteria.map((each, i) => `  ${i + 1}. ${each}`)]),
      ...(task.locks.length === 0 ? [] : ["", "PATHS:", ...task.locks.map((lock) => `  - ${lock}`)]),
      "",
      "COMMANDS:",
      `  Claim: lodestar task claim ${quote(task.id)} --agent ${quote(agent)}`,
      `  Renew: lodestar task renew ${quote(task.id)} --agent ${quote(agent)}`,
      `  Say:   lodestar msg send --task ${quote(task.id)} --from ${quote(agent)} --text 'Progress update'`,
      `  Done:  lodestar task done ${quote(task.id)} --agent ${quote(agent)}`,
    ].join("\n"),
};

const escapeXml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

import { AgentId, OneOf, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { quote } from "../../core/shell.ts";
import type { Task } from "../../core/task.ts";
import { formatDuration } from "../../core/time.ts";
import { line } from "../../core/view.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { look, requireTask } from "../look.ts";
import { effectiveTask } from "../outcome.ts";
import { offersFor } from "../task/offers.ts";

const FORMATS = ["claude", "copilot", "generic"] as const;
type Format = (typeof FORMATS)[number];

/** The text at a session's start stays below this many characters: it is paid for in every session. */
const SESSION_BUDGET = 1500;

export default command({
  name: "agent.brief",
  effect: "read",
  summary: "Write the text that an agent starts with",
  explain:
    "With --task: what a sub-agent needs to know to take that task, in the form that its tool reads best. Without: the start of a session in under 1 500 characters: who you are, what you hold and for how long, unread messages, what is next.",
  aliases: { task_id: "t", format: "f" },
  options: { task_id: "task", agent_id: "agent" },
  input: Shape({
    task_id: Optional({ ...TaskId, description: "For taking the task with this id" }),
    format: Optional(OneOf(FORMATS, { description: "Form (default generic)" })),
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
    if (input.task_id === undefined) return { format, formatted_output: await sessionBrief(context, agent_id) };
    const seen = await look(context, "read", agent_id);
    const standing = await requireTask(context, seen, input.task_id);
    const task = effectiveTask(standing.task, standing.known);
    return { task_id: task.id, format, formatted_output: BRIEFS[format](task, agent_id ?? "YOUR_AGENT_ID") };
  },
  view: ({ formatted_output }) => formatted_output.split("\n").map((text) => line(text)),
});

async function sessionBrief(context: Context, agent_id: string | undefined): Promise<string> {
  const seen = await look(context, "read", agent_id);
  const lines: string[] = [
    `Lodestar: ${seen.header.project.name}${context.head().branch === "" ? "" : ` (${context.head().branch})`}`,
  ];
  if (agent_id === undefined)
    lines.push("You have no identity yet: lodestar agent join --name NAME (or find yours: lodestar agent whoami)");
  else {
    lines.push(`You are ${agent_id}.`);
    const held = (seen.seen?.leases ?? []).filter((lease) => lease.agent_id === agent_id);
    for (const lease of held.slice(0, 5)) {
      const title = seen.schedule.standing(lease.task_id)?.task.title ?? "";
      lines.push(
        `You hold ${lease.task_id} (${title.slice(0, 80)}) for ${formatDuration(lease.expires_at - (seen.seen?.now ?? 0))} more.`,
      );
    }
    if (held.length === 0) lines.push("You hold no task.");
    else
      lines.push(
        "Finish: lodestar task done ID; more time: lodestar task renew ID; give back: lodestar task release ID --note WHY",
      );
    const unread = seen.seen?.unread ?? 0;
    if (unread > 0) lines.push(`${unread} unread message${unread === 1 ? "" : "s"}.`);
  }
  const offers = offersFor(seen, { kind: "work", ...(agent_id === undefined ? {} : { agent_id }) }, undefined, 3);
  if (offers.length === 0) lines.push("Nothing can be claimed now.");
  else {
    lines.push("Next:");
    for (const { task } of offers) lines.push(`  ${task.id} P${task.priority} ${task.title.slice(0, 100)}`);
    lines.push(`Take one: lodestar task next --claim${agent_id === undefined ? "" : ` --agent ${quote(agent_id)}`}`);
  }
  const text = lines.join("\n");
  return text.length < SESSION_BUDGET ? text : `${text.slice(0, SESSION_BUDGET - 2).trimEnd()}…`;
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
      `  3. Mark complete: lodestar task done ${quote(task.id)} --agent ${quote(agent)}`,
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
      `  Done:  lodestar task done ${quote(task.id)} --agent ${quote(agent)}`,
    ].join("\n"),
};

const escapeXml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

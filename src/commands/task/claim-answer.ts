import { quote } from "../../core/shell.ts";
import { formatDuration, SECOND } from "../../core/time.ts";
import { field, line, list, note, text, type View } from "../../core/view.ts";
import type { NextAction } from "../command.ts";
import type { ClaimData } from "./taking.ts";

/** What comes after a claim: for work and for review. */
export function afterClaim(claim: ClaimData, isReview: boolean): NextAction[] {
  const input = { task_id: claim.task_id, agent_id: claim.agent_id };
  if (isReview)
    return [
      {
        command: "task.verify",
        input: { task_ids: [claim.task_id], agent_id: claim.agent_id },
        why: "Verify it when it holds up",
      },
    ];
  return [
    { command: "task.done", input, why: "Mark it done when it is" },
    { command: "task.renew", input, why: "Extend the lease before it ends" },
    { command: "task.release", input, why: "Give it back unfinished" },
  ];
}

/** How people see a lease that they were granted. */
export function claimView(claim: ClaimData): View[] {
  const { context } = claim;
  const views: View[] = [
    line(`${claim.already === true ? "You already hold" : "Claimed"} task ${claim.task_id}`, "good"),
    field("Lease", claim.lease_id),
    field("Expires in", formatDuration(claim.ttl_seconds * SECOND)),
    field("Fencing token", claim.fencing_token),
  ];
  if (context !== undefined) {
    views.push(line(context.title, "strong"));
    if (context.description !== undefined) views.push(text(context.description));
    if (context.acceptance_criteria !== undefined) views.push(list(context.acceptance_criteria, "Acceptance Criteria"));
    if (context.locks !== undefined) views.push(list(context.locks, "Locks"));
    if (context.prd_source !== undefined) views.push(field("PRD", context.prd_source));
    if (context.prd_excerpt !== undefined) views.push(text(context.prd_excerpt));
    for (const { anchor, content, drift } of context.prd_sections ?? []) {
      views.push(line(drift === undefined ? anchor : `${anchor} (${drift.replace("_", " ")})`, "strong"));
      if (content !== undefined) views.push(text(content));
    }
    if (context.truncated !== undefined)
      views.push(note(`Shortened; all of it: lodestar ${context.truncated} ${claim.task_id}`));
  }
  const handoff = claim.handoff as { unread: number; messages: { from_agent_id?: string; text: string }[] } | undefined;
  if (handoff !== undefined) {
    const { unread, messages } = handoff;
    const said = messages.map(({ from_agent_id, text: words }) => `${from_agent_id ?? "someone"}: ${words}`);
    views.push(
      said.length === 0 ? line(`Unread messages (${unread})`, "strong") : list(said, `Unread messages (${unread})`),
    );
    if (said.length < unread) views.push(note(`The others: lodestar msg thread ${quote(claim.task_id)} --unread`));
  }
  return views;
}

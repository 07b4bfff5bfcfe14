import { LodestarError } from "../../core/errors.ts";
import type { Prd, Task } from "../../core/task.ts";
import type { TaskDrift } from "../../prd/drift.ts";
import type { Context } from "../context.ts";
import { sectionSaid } from "../prd/shapes.ts";
import { openSources, type Source } from "../prd/sources.ts";
import { textsOf } from "../prd/texts.ts";
import { bundle } from "./bundle.ts";
import type { ClaimData } from "./taking.ts";

/**
 * A claim's answer with the sections that its task cites, a warning when they have drifted, and `prd.drifted` on record. The lease is granted
 * by now: whatever is wrong with the document is said, and never makes the claim fail.
 */
export async function withProduct(
  context: Context,
  claim: ClaimData,
  task: Task & { readonly prd: Prd },
): Promise<ClaimData> {
  try {
    const sources = openSources(context, await context.spec.index("write"));
    const judged = await sources.judge(task.prd);
    if (judged.drift !== "same") await tell(context, claim, task, judged, sources.look(task.prd.source));
    if (claim.context === undefined) return claim;
    return { ...claim, context: bundle(task, await textsOf(sources, task.prd, judged)) };
  } catch (error) {
    context.warn(`What ${task.id} cites could not be looked at: ${(error as Error).message}`);
    return claim;
  }
}

async function tell(
  context: Context,
  { already, agent_id }: ClaimData,
  { id, prd }: Task & { readonly prd: Prd },
  { drift, sections }: TaskDrift,
  source: Source | LodestarError,
): Promise<void> {
  const changed = sections.filter((section) => section.drift !== "same");
  const what =
    source instanceof LodestarError
      ? source.message
      : `${prd.source} has changed since ${id} was written${changed.length === 0 ? "" : `: ${changed.map(sectionSaid).join(", ")}`}`;
  context.warn(`${what} (lodestar prd show ${id} --diff)`);
  if (already === true) return;
  const runtime = await context.runtime();
  await runtime.append([
    { type: "prd.drifted", task_id: id, agent_id, data: { source: prd.source, drift, sections: changed } },
  ]);
}

import { LodestarError } from "../../core/errors.ts";
import type { TaskDrift } from "../../prd/drift.ts";
import type { TaskDriftData } from "./shapes.ts";
import type { Citing, Sources } from "./sources.ts";

/** What became of one task's context, for an answer. */
export async function reportOf(sources: Sources, { task, prd }: Citing): Promise<TaskDriftData> {
  const { drift, sections, unfrozen } = await sources.judge(prd);
  const source = sources.look(prd.source);
  const nothing = unfrozen === true || sections.some((section) => section.unfrozen === true);
  const reason = source instanceof LodestarError ? source.message : nothing ? "Nothing was frozen of it" : undefined;
  return {
    task_id: task.id,
    source: prd.source,
    drift,
    sections: sections.map(sectionData),
    ...(reason === undefined ? {} : { reason }),
  };
}

export function sectionData({ anchor, drift, now }: TaskDrift["sections"][number]): TaskDriftData["sections"][number] {
  return { anchor, drift, ...(now === undefined ? {} : { now }) };
}

import { List, OneOf, Optional, Shape, type Static, TaskId, Text } from "../../core/schema.ts";
import { DRIFTS, type Drift } from "../../prd/drift.ts";

export const DriftWord = OneOf(DRIFTS, {
  description: "same, moved (under another heading), edited, missing, source_missing",
});

export const SectionDriftShape = Shape({
  anchor: Text(),
  drift: DriftWord,
  now: Optional(Text({ description: "Where the text is now" })),
});

export const TaskDriftShape = Shape({
  task_id: TaskId,
  source: Text(),
  drift: DriftWord,
  sections: List(SectionDriftShape),
  reason: Optional(Text({ description: "Why the source cannot be read, or that nothing was frozen" })),
});
export type TaskDriftData = Static<typeof TaskDriftShape>;

/** A drift in words. */
export const SAID: Readonly<Record<Drift, string>> = {
  same: "as it was",
  moved: "moved",
  edited: "edited",
  missing: "gone",
  source_missing: "source missing",
};

/** A section's drift in words: `#goals is now #aims`. */
export function sectionSaid({ anchor, drift, now }: Static<typeof SectionDriftShape>): string {
  return now === undefined ? `${anchor} ${SAID[drift]}` : `${anchor} is now ${now}`;
}

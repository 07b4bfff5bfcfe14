import { LodestarError } from "../../core/errors.ts";
import type { Prd } from "../../core/task.ts";
import type { Drift, TaskDrift } from "../../prd/drift.ts";
import type { Source, Sources } from "./sources.ts";

/** A section that a task cites: where it is now, and its text unless it is gone. */
export interface CitedText {
  readonly anchor: string;
  readonly content?: string;
  readonly drift?: Exclude<Drift, "same">;
}

/**
 * The sections that a task cites, with their text of now. A file that is the one that was frozen is not taken apart: its lines are known.
 */
export async function textsOf(sources: Sources, prd: Prd, { drift, sections }: TaskDrift): Promise<CitedText[]> {
  const here = sources.look(prd.source);
  if (here instanceof LodestarError) return sections.map(({ anchor }) => ({ anchor, drift: "source_missing" }));
  const texts: CitedText[] = [];
  for (const [i, judged] of sections.entries()) {
    const lines = drift === "same" ? frozenLines(prd, i, here) : undefined;
    const at = lines ?? (await sources.book(here)).at(judged)?.lines;
    texts.push({
      anchor: judged.now ?? judged.anchor,
      ...(at === undefined ? {} : { content: sources.textOf(here, at) }),
      ...(judged.drift === "same" ? {} : { drift: judged.drift }),
    });
  }
  return texts;
}

/** The lines that were frozen, where they still count: in the very file. */
function frozenLines(
  { prd_hash, refs = [] }: Prd,
  i: number,
  { digest }: Source,
): readonly [number, number] | undefined {
  const { lines, hash } = refs[i] ?? {};
  if (prd_hash !== digest || hash === undefined || typeof lines !== "object") return undefined;
  const [from, to] = lines;
  return from === undefined || to === undefined || from < 1 ? undefined : [from, to];
}

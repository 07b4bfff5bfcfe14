import { statSync } from "node:fs";
import { resolve } from "node:path";
import { CLOCK_GRAIN, keyFrom } from "../../spec/key.ts";
import type { Context } from "../context.ts";
import type { Look } from "../look.ts";

/** What was counted last, and the sources that it was counted from. */
interface Count {
  readonly drifted: number;
  /** Source → the key of its file; `""` where there is none. */
  readonly keys: Readonly<Record<string, string>>;
}

const MEMO = "drifted";

/**
 * How many tasks that are not verified have drifted. The count is kept in the index: as long as spec, outcomes and the cited files are the
 * same, nothing is read or taken apart.
 */
export async function countDrift(context: Context, looked: Look): Promise<number> {
  const { index, header, seen } = looked;
  const state = `${header.key} ${seen?.runtime_id ?? ""} ${seen?.version ?? 0}`;
  const kept = index.recall(MEMO, state);
  if (kept !== undefined) {
    const { drifted, keys } = JSON.parse(kept) as Count;
    if (Object.entries(keys).every(([source, key]) => keyOfSource(context, source).key === key)) return drifted;
  }
  const { citingAhead, countDrifted, openSources } = await import("./sources.ts");
  const tasks = citingAhead(looked);
  const before = Object.fromEntries(tasks.map(({ prd }) => [prd.source, keyOfSource(context, prd.source)]));
  const drifted = await countDrifted(openSources(context, index), tasks);
  // A file that was written a moment ago may change again and keep its key.
  if (Object.values(before).every(({ settled }) => settled)) {
    const keys = Object.fromEntries(Object.entries(before).map(([source, { key }]) => [source, key]));
    try {
      index.memorise(MEMO, state, JSON.stringify({ drifted, keys } satisfies Count));
    } catch {
      // Only saves counting again.
    }
  }
  return drifted;
}

function keyOfSource(context: Context, source: string): { readonly key: string; readonly settled: boolean } {
  try {
    const stat = statSync(resolve(context.worktree, source), { bigint: true });
    return { key: keyFrom(stat), settled: context.clock.now() - Number(stat.mtimeNs / 1_000_000n) > CLOCK_GRAIN };
  } catch {
    return { key: "", settled: true };
  }
}

import { statSync } from "node:fs";
import { resolve } from "node:path";
import { CLOCK_GRAIN, keyFrom } from "../../spec/key.ts";
import type { Context } from "../context.ts";
import type { Look } from "../look.ts";

/** Which tasks have drifted, and the sources that this was judged from. */
interface Judged {
  readonly drifted: readonly string[];
  /** Source → the key of its file; `""` where there is none. */
  readonly keys: Readonly<Record<string, string>>;
}

/**
 * How many tasks that are not verified have drifted. What was judged is kept in the index: as long as nobody touches the cited files or
 * what the tasks cite, nothing is read or taken apart.
 */
export async function countDrift(context: Context, looked: Look): Promise<number> {
  const { index, schedule } = looked;
  const kept = index.recallOfAll();
  const known = kept === undefined ? undefined : (JSON.parse(kept) as Judged);
  const isCurrent =
    known !== undefined &&
    Object.entries(known.keys).every(([source, key]) => keyOfSource(context, source).key === key);
  const { drifted } = isCurrent ? known : await judgeAll(context, looked);
  return drifted.filter((id) => {
    const status = schedule.standing(id)?.status;
    return status !== undefined && status !== "verified" && status !== "deleted";
  }).length;
}

async function judgeAll(context: Context, { index, header }: Look): Promise<Judged> {
  const { openSources } = await import("./sources.ts");
  const tasks = index.tasksWithPrd().flatMap(({ id, prd }) => (prd === undefined ? [] : [{ id, prd }]));
  const before = Object.fromEntries(tasks.map(({ prd }) => [prd.source, keyOfSource(context, prd.source)]));
  const sources = openSources(context, index);
  const drifted: string[] = [];
  for (const { id, prd } of tasks) if ((await sources.judge(prd)).drift !== "same") drifted.push(id);
  const keys = Object.fromEntries(Object.entries(before).map(([source, { key }]) => [source, key]));
  // A file that was written a moment ago may change again and keep its key.
  if (Object.values(before).every(({ settled }) => settled)) {
    try {
      index.memoriseOfAll(JSON.stringify({ drifted, keys } satisfies Judged), header);
    } catch {
      // Only saves judging again.
    }
  }
  return { drifted, keys };
}

function keyOfSource(context: Context, source: string): { readonly key: string; readonly settled: boolean } {
  try {
    const stat = statSync(resolve(context.worktree, source), { bigint: true });
    return { key: keyFrom(stat), settled: context.clock.now() - Number(stat.mtimeNs / 1_000_000n) > CLOCK_GRAIN };
  } catch {
    return { key: "", settled: true };
  }
}

/** Many processes at the same moment: a list of tasks that is worked off, and writers that all start together. */
import { type Ended, median, type Place, quantile, rounded, start } from "./measure.ts";
import type { DrainRow, Waits, WritersRow } from "./results.ts";

/** What a worker of a drain says; one process a call. */
export interface Drainable {
  readonly tool: string;
  /** Takes a task for a worker. @returns its id; `undefined` when there is none left. */
  take(worker: number, call: Caller): Promise<string | undefined>;
  finish(worker: number, task: string, call: Caller): Promise<void>;
  /** How many of the tasks are done, by the tool's own files. */
  done(): number;
}

/** Makes one call; what it takes is kept with others of its kind. */
export type Caller = (kind: "take" | "finish", argv: readonly string[], place: Place) => Promise<Ended>;

/**
 * Has `workers` loops take and finish tasks until there are none.
 *
 * @param seconds then it is stopped, and what was done until then counts.
 */
export async function drain(
  tasks: number,
  workers: number,
  seconds: number,
  { tool, take, finish, done }: Drainable,
): Promise<DrainRow> {
  const times = { take: [] as number[], finish: [] as number[] };
  // A worker whose `done` failed is given its own task again: that is no second holder.
  const given = new Map<string, Set<number>>();
  let failed = 0;
  const stop = AbortSignal.timeout(seconds * 1000);
  const call: Caller = async (kind, argv, place) => {
    if (stop.aborted) return { exit: 1, stdout: "", ms: 0 };
    const ended = await start(argv, place, stop);
    if (stop.aborted) return ended;
    times[kind].push(ended.ms);
    if (ended.exit !== 0) {
      failed += 1;
      if (failed === 1) console.log(`  the first that failed: ${argv.slice(1).join(" ")}: ${ended.stdout.trim()}`);
    }
    return ended;
  };
  const started = Bun.nanoseconds();
  await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      while (!stop.aborted) {
        const task = await take(worker, call);
        if (task === undefined || stop.aborted) return;
        given.set(task, (given.get(task) ?? new Set()).add(worker));
        await finish(worker, task, call);
      }
    }),
  );
  const took = (Bun.nanoseconds() - started) / 1e9;
  const finished = done();
  return {
    ...{ tool, tasks, workers, seconds: rounded(took), done: finished },
    ...{
      given_twice: [...given.values()].filter((holders) => holders.size > 1).length,
      failed,
      done_per_second: rounded(finished / took),
    },
    ...(times.take.length === 0 ? {} : { take: waitsOf(times.take) }),
    ...(times.finish.length === 0 ? {} : { finish: waitsOf(times.finish) }),
  };
}

/** Starts a call for each writer at once, so many times. @param argv what the nth writer says in a round. */
export async function writers(
  what: string,
  count: number,
  rounds: number,
  argv: (writer: number, round: number) => { readonly argv: readonly string[]; readonly place: Place },
): Promise<WritersRow> {
  const ended: Ended[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const calls = Array.from({ length: count }, (_, writer) => argv(writer, round));
    ended.push(...(await Promise.all(calls.map(({ argv, place }) => start(argv, place)))));
  }
  const failed = ended.filter(({ exit }) => exit !== 0).length;
  return { what, writers: count, rounds, failed, ...waitsOf(ended.map(({ ms }) => ms)) };
}

const waitsOf = (times: readonly number[]): Waits => ({
  p50_ms: rounded(median(times)),
  p90_ms: rounded(quantile(times, 0.9)),
  p99_ms: rounded(quantile(times, 0.99)),
  longest_ms: rounded(Math.max(0, ...times)),
});

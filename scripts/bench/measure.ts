/** Times whole processes, from the moment before they are started until they have ended. */
import { closeSync, constants, openSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

export interface Place {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface Ran {
  readonly ms: number;
  readonly stdout: string;
}

/** Runs a program to its end. @throws when it fails, or takes longer than `limit` milliseconds. */
export function run(argv: readonly string[], { cwd, env }: Place, limit = 600_000): Ran {
  const started = Bun.nanoseconds();
  const child = Bun.spawnSync([...argv], { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: limit });
  const ms = (Bun.nanoseconds() - started) / 1e6;
  if (child.exitCode === 0) return { ms, stdout: child.stdout.toString() };
  throw new Error(`${argv.join(" ")}: ${child.exitedDueToTimeout ? "too slow" : `${child.stdout}${child.stderr}`}`);
}

export interface Ended extends Ran {
  readonly exit: number;
}

/** As {@link run}, beside others, and a failure is an answer. */
export async function start(argv: readonly string[], { cwd, env }: Place, signal?: AbortSignal): Promise<Ended> {
  const started = Bun.nanoseconds();
  const child = Bun.spawn([...argv], {
    ...{ cwd, env, stdin: "ignore", stdout: "pipe", stderr: "ignore" },
    ...(signal === undefined ? {} : { signal, killSignal: "SIGKILL" }),
  });
  const stdout = await new Response(child.stdout).text();
  const exit = await child.exited;
  return { exit, stdout, ms: (Bun.nanoseconds() - started) / 1e6 };
}

/** The value below which a share `q` of them lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** To what a reader can tell apart. */
export const rounded = (value: number): number => Number(value.toPrecision(value < 10 ? 2 : 3));

export const quartiles = (values: readonly number[]): readonly [number, number] => [
  rounded(quantile(values, 0.25)),
  rounded(quantile(values, 0.75)),
];

/**
 * Runs two things in turn, and in turn who is first, so that a machine that gets slower counts against both.
 *
 * @param runs so many pairs count; two more come before, to have everything in memory.
 * @returns the milliseconds of each.
 */
export function inPairs(runs: number, first: () => Ran, second: () => Ran): readonly [number[], number[]] {
  const times: readonly [number[], number[]] = [[], []];
  for (let i = -2; i < runs; i += 1) {
    const order = i % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
    for (const which of order) {
      const { ms } = which === 0 ? first() : second();
      if (i >= 0) times[which].push(ms);
    }
  }
  return times;
}

/**
 * The most memory that a program had when it writes its answer, in megabytes: Linux only. The answer meets a pipe that is full, so that the
 * program stands still and can be looked at. (What the system tells of a child that has ended counts this process too, which started it.)
 */
export async function peakMemory(argv: readonly string[], { cwd, env }: Place, scratch: string): Promise<number> {
  const path = join(scratch, "full");
  rmSync(path, { force: true });
  run(["mkfifo", path], { cwd, env });
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  fill(reader);
  const writer = openSync(path, constants.O_WRONLY);
  const child = Bun.spawn([...argv], { cwd, env, stdin: "ignore", stdout: writer, stderr: "ignore" });
  closeSync(writer);
  let peak = 0;
  // Nothing new for so many looks: it stands.
  for (let still = 0; still < 20 && child.exitCode === null; ) {
    await Bun.sleep(20);
    const now = Number(/^VmHWM:\s+(\d+) kB/m.exec(statusOf(child.pid))?.[1] ?? peak);
    still = now === peak && peak > 0 ? still + 1 : 0;
    peak = now;
  }
  const bytes = Buffer.alloc(1 << 20);
  while (child.exitCode === null) {
    try {
      readSync(reader, bytes);
    } catch (cause) {
      if (!isEmpty(cause)) throw cause;
    }
    await Bun.sleep(1);
  }
  closeSync(reader);
  if (child.exitCode !== 0) throw new Error(`${argv.join(" ")} failed`);
  return peak / 1024;
}

function fill(pipe: number): void {
  try {
    for (;;) writeSync(pipe, Buffer.alloc(4096));
  } catch (cause) {
    if (!isEmpty(cause)) throw cause;
  }
}

const isEmpty = (cause: unknown): boolean => cause instanceof Error && "code" in cause && cause.code === "EAGAIN";

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    // It has just ended.
    return "";
  }
}

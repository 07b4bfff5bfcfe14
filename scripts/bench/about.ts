/** On what, of what and when a benchmark was run. */
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, type } from "node:os";
import { join } from "node:path";
import { VERSION } from "../../src/core/version.ts";

export interface About {
  readonly machine: {
    readonly processor: string;
    readonly cores: number;
    readonly kernel: string;
    readonly bun: string;
  };
  readonly lodestar: string;
  readonly commit: string;
  readonly date: string;
  /** Programs that wanted a core when it began, on average of a minute: what else the machine did. */
  readonly load: number;
}

const git = (...args: readonly string[]): string =>
  Bun.spawnSync(["git", ...args], { cwd: import.meta.dir, stdout: "pipe", stderr: "ignore" })
    .stdout.toString()
    .trim();

/** This machine, these sources, now. */
export const aboutNow = (): About => ({
  machine: {
    processor: cpus()[0]?.model.trim() ?? "unknown processor",
    cores: availableParallelism(),
    // What is behind the number says who built the kernel.
    kernel: `${type()} ${/^[\d.]+/.exec(release())?.[0] ?? ""}`.trim(),
    bun: Bun.version,
  },
  lodestar: VERSION,
  commit: `${git("rev-parse", "HEAD") || "no commit"}${git("status", "--porcelain", "--", "../../src", "../../build.ts") === "" ? "" : ", changed"}`,
  date: new Date().toISOString(),
  load: Number((loadavg()[0] ?? 0).toFixed(2)),
});

/** The same as the first sentences of a page. */
export const aboutText = ({ machine, lodestar, commit, date }: About): string =>
  `${machine.processor}, ${machine.cores} cores, ${machine.kernel}, Bun ${machine.bun}; Lodestar ${lodestar} at ${commit.slice(0, 12)}, ${date.slice(0, 10)}.`;

/** What else the machine did: figures of a busy one mislead. */
export const loadText = ({ load }: About): string => `When it began, ${load.toFixed(1)} programs wanted a core.`;

/** What a benchmark wrote as data into a folder; `undefined` when it has written none yet. */
export function readWritten<T extends About>(folder: string, file: string): T | undefined {
  const path = join(folder, file);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as T) : undefined;
}

/** The first comment of a page that is made of such data. @param command writes it. */
export const writtenFrom = (file: string, command: string): string =>
  `<!-- Written by scripts/docs.ts (bun run docs) from ${file}, which \`${command}\` writes. Figures are not typed by hand. -->`;

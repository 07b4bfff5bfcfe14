import { chmodSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { LodestarError, unwritable } from "../../core/errors.ts";

/** The first start of a large program, on a slow disk under a virus scanner. */
const PATIENCE = 60_000;

export interface Replacement {
  /** The file that is replaced, with its links resolved. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly version: string;
  /** A part of a name that nobody else uses. */
  readonly unique: string;
  /** Windows: a program that runs can be renamed, not written over. */
  readonly windows: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Puts a program in the place of another that may be running: beside it first, started once, then renamed. When anything fails the old
 * one is where it was, and nothing is left.
 *
 * @throws LodestarError `PROGRAM_UNUSABLE`, `READ_ONLY`, `DISK_FULL`
 */
export function replaceProgram(replacement: Replacement): void {
  const { path, bytes, unique, windows } = replacement;
  const staged = join(dirname(path), `.lodestar-${unique}${windows ? ".exe" : ""}`);
  try {
    try {
      writeFileSync(staged, bytes, { flag: "wx", mode: 0o755 });
      // The mode above is subject to the umask: a program that only its owner may start would be a surprise to all others.
      chmodSync(staged, 0o755);
    } catch (cause) {
      throw unwritable(path, cause);
    }
    tryOut(staged, replacement);
    try {
      if (windows) renameAside(staged, path, unique);
      else renameSync(staged, path);
    } catch (cause) {
      throw unwritable(path, cause);
    }
  } finally {
    rmSync(staged, { force: true });
  }
}

function tryOut(staged: string, { version, env }: Replacement): void {
  // These would make of it another program than it is.
  const { BUN_OPTIONS: _options, BUN_BE_BUN: _be, ...clean } = env;
  const fail = (why: string) =>
    new LodestarError("PROGRAM_UNUSABLE", `Lodestar ${version} does not start on this machine: ${why}`);
  let ran: ReturnType<typeof Bun.spawnSync>;
  try {
    ran = Bun.spawnSync([staged, "--version"], {
      env: clean,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: PATIENCE,
      killSignal: "SIGKILL",
    });
  } catch (cause) {
    throw fail(cause instanceof Error ? cause.message : String(cause));
  }
  const said = ran.stdout?.toString().trim() ?? "";
  if (ran.exitCode === 0 && said === `lodestar ${version}`) return;
  const errors = ran.stderr?.toString().trim().split("\n")[0] ?? "";
  throw fail(said === "" ? errors || `exit status ${ran.exitCode ?? ran.signalCode}` : `it says that it is ${said}`);
}

/** What still runs is removed by the next upgrade. */
function renameAside(staged: string, path: string, unique: string): void {
  const aside = `${path}.old-${unique}`;
  renameSync(path, aside);
  try {
    renameSync(staged, path);
  } catch (cause) {
    renameSync(aside, path);
    throw cause;
  }
  const old = `${basename(path)}.old-`;
  for (const name of readdirSync(dirname(path)).filter((name) => name.startsWith(old))) {
    try {
      rmSync(join(dirname(path), name));
    } catch (cause) {
      // It runs.
      if (!(cause instanceof Error)) throw cause;
    }
  }
}

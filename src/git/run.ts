/** Git as a process, for what cannot be read from its files. */

/** Git has nothing to wait for here; where it does (a FIFO in the place of one of its files), it is given up. */
const PATIENCE = 20_000;

export interface GitRan {
  readonly exit: number;
  readonly out: Buffer;
  readonly err: string;
}

/** Runs git in a folder, with the environment as it is (a hook's index is named there); `undefined` when it is not installed. */
export function git(cwd: string, ...args: readonly string[]): GitRan | undefined {
  try {
    const ran = Bun.spawnSync(["git", ...args], {
      cwd,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: PATIENCE,
      killSignal: "SIGKILL",
    });
    // A process that was killed has no exit status.
    return { exit: ran.exitCode ?? 1, out: ran.stdout, err: ran.stderr.toString().trim() };
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT") return undefined;
    throw cause;
  }
}

/** What git prints, without the end of its last line; `undefined` when it fails or is not installed. */
export function gitSays(cwd: string, ...args: readonly string[]): string | undefined {
  const ran = git(cwd, ...args);
  return ran?.exit === 0 ? ran.out.toString().replace(/\r?\n$/, "") : undefined;
}

/**
 * Starts `lodestar` as the hooks find it, and lets it go: in a session of its own, with no stream of ours, so that neither the end of
 * the hook nor that of the terminal ends it, and nobody waits for it.
 *
 * @returns false when it cannot be started.
 */
export function startBehind(cwd: string, ...args: readonly string[]): boolean {
  try {
    const options = { cwd, stdin: "ignore", stdout: "ignore", stderr: "ignore", detached: true } as const;
    Bun.spawn(["lodestar", ...args], options).unref();
    return true;
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT") return false;
    throw cause;
  }
}

import { git } from "./run.ts";
import type { Place } from "./worktree.ts";

/**
 * Asks Git whether it tracks a file. Starts a process: only where the answer is not known yet, never on the way of a usual call.
 * @returns false outside Git, or when Git itself is not installed.
 */
export function isTracked(place: Place, path: string): boolean {
  if (place.git === undefined || place.git.main === undefined) return false;
  try {
    const asked = Bun.spawnSync(["git", "-C", place.git.main, "ls-files", "--error-unmatch", "--", path], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
      timeout: 20_000,
      killSignal: "SIGKILL",
    });
    return asked.exitCode === 0;
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT") return false;
    throw cause;
  }
}

/** Our own files in this worktree that Git tracks, as `git rm` wants them named in it. */
export function trackedFiles(place: Place): string[] {
  if (place.git === undefined) return [];
  const patterns = ["runtime.sqlite*", "index.sqlite*"].map((name) => `.lodestar/${name}`);
  const listed = git(place.root, "ls-files", "-z", "--", ...patterns);
  return listed?.exit === 0
    ? listed.out
        .toString()
        .split("\0")
        .filter((path) => path !== "")
    : [];
}

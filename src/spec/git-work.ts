/** Whether a Git is about to replace files of a worktree: it takes no lock of ours, but shows what it does. */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { dirname, sep } from "node:path";
import { type Clock, type Millis, SECOND } from "../core/time.ts";

/** Where a Git that works on one worktree can be seen. */
export interface GitSigns {
  /** Its `index.lock`: while it exists, Git may be about to replace files. */
  readonly index_lock: string;
  /** Root of the worktree, where Git's own processes stand. */
  readonly worktree: string;
}

/** How long Git is waited for in any case (S3). */
const PATIENCE: Millis = 2 * SECOND;
/** How long after a Git began it is believed to be at work still: on a busy machine a merge takes seconds. */
const WORK: Millis = 30 * SECOND;
/** How long after it last changed Git's folder a process is believed to have more to do: large files are copied meanwhile. */
const BUSY: Millis = 5 * SECOND;
/** A folder that changes again within so short a time may keep its mtime. */
const GRAIN: Millis = 20;
const PAUSE: Millis = 10;

/**
 * Commands that look before they take the lock, or take a copy of what is not committed and put it back later. What is saved between
 * the two is written over, or makes Git refuse to put the copy back. All others decide and write under one lock.
 */
const LOOKS_FIRST: ReadonlySet<string> = new Set(["am", "cherry-pick", "merge", "rebase", "revert", "stash"]);

/**
 * Whether Git's lock says that it may be about to replace files. It makes the lock empty, and writes it last, when the files stand
 * where they should: an empty one is waited for as long as its Git may live, a written one (a commit whose message somebody is typing)
 * is not.
 *
 * @param now the time now, in milliseconds.
 * @param waited for how long the caller has waited already.
 */
export function isGitAtWork(lock: string, now: Millis, waited: Millis): boolean {
  const found = statSync(lock, { throwIfNoEntry: false });
  if (found === undefined) return false;
  if (waited < PATIENCE) return true;
  return found.isFile() && found.size === 0 && now - found.mtimeMs < WORK && waited < WORK;
}

/** A moment at which no Git was about to replace files; any that began later has changed this. */
export interface Quiet {
  readonly changed: bigint | undefined;
  /** Whether a change at that very moment could not be told from the one before. */
  readonly fresh: boolean;
}

/** Waits until no Git is about to replace files of the worktree, for half a minute at most. */
export async function untilQuiet(git: GitSigns, clock: Clock): Promise<Quiet> {
  const began = clock.now();
  for (let pauses = 0; ; pauses += PAUSE) {
    const now = clock.now();
    // By the clock unless it stands or is set back: on a busy machine a pause takes longer than it should.
    const waited = Math.max(pauses, now - began);
    // Looked at before the lock: whoever takes it afterwards changes the folder.
    const folder = statSync(dirname(git.index_lock), { bigint: true, throwIfNoEntry: false });
    const age = folder === undefined ? WORK : Math.abs(now - Number(folder.mtimeMs));
    const isBusy =
      isGitAtWork(git.index_lock, now, waited) ||
      // Only when Git's folder has changed just now: a merge whose message somebody is typing changes nothing.
      (age < BUSY && waited < WORK && hasLooked(git.worktree));
    if (!isBusy) return { changed: folder?.mtimeNs, fresh: age < GRAIN };
    await Bun.sleep(PAUSE);
  }
}

/** Whether a Git may have begun since that moment. All that replaces files makes `index.lock` first, which changes its folder. */
export function hasGitBegun(git: GitSigns, since: Quiet): boolean {
  const folder = statSync(dirname(git.index_lock), { bigint: true, throwIfNoEntry: false });
  return since.fresh || folder?.mtimeNs !== since.changed;
}

/**
 * Whether a process of Git is in this worktree that may write by what it saw without the lock, other than one that waits for us. Seen on Linux only, and not in
 * another container or of another user.
 */
function hasLooked(worktree: string): boolean {
  return processes().some((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("git")) return false;
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      if (!words.some((word) => LOOKS_FIRST.has(word))) return false;
      const at = readlinkSync(`/proc/${pid}/cwd`);
      return (at === worktree || at.startsWith(`${worktree}${sep}`)) && !isAncestor(pid);
    } catch {
      // It has ended, or is another user's.
      return false;
    }
  });
}

function processes(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

/** Whether a process waits for us: a hook, or what a rebase executes. */
function isAncestor(pid: string): boolean {
  for (let at = "self"; at !== "0"; ) {
    const stat = readFileSync(`/proc/${at}/stat`, "utf8");
    // The name before it, in brackets, may hold anything.
    at = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? "0";
    if (at === pid) return true;
  }
  return false;
}

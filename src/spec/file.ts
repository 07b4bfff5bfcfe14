import {
  type BigIntStats,
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  futimesSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { writeError } from "../core/errors.ts";
import { fault } from "../core/fault.ts";
import { insist, PLATFORM, type Platform } from "../core/platform.ts";
import type { Clock, Millis } from "../core/time.ts";
import { type GitSigns, hasGitBegun, untilQuiet } from "./git-work.ts";
import { keyFrom, type SpecKey } from "./key.ts";
import type { Swap } from "./swap.ts";

export interface SaveRequest {
  /** Real path, symlinks followed (S2). */
  readonly path: string;
  readonly pieces: readonly Uint8Array[];
  /** The key that the new bytes were made from; `undefined` when there was no file. */
  readonly expected: SpecKey | undefined;
  /** Where a Git that may be about to replace the file can be seen. */
  readonly git: GitSigns | undefined;
  readonly clock: Clock;
  /** A random name part. */
  readonly unique: string;
  /** Given by tests. */
  readonly system?: System;
}

/** What a save asks of the operating system that is not the same on each. */
export interface System extends Platform {
  readonly rename: (from: string, to: string) => void;
}

const SYSTEM: System = { ...PLATFORM, rename: renameSync };

export type Saved =
  | {
      readonly kind: "saved";
      /** `undefined` when somebody has written in place over what was saved before it could be told apart. */
      readonly key: SpecKey | undefined;
      readonly warnings: readonly string[];
    }
  /** Somebody else replaced the file since it was read: start over. */
  | { readonly kind: "changed" }
  /** It was saved, and a Git that was at work meanwhile has put another file in its place, which may hold the same. */
  | { readonly kind: "overtaken" };

/**
 * Replaces the spec (S2): temp file in the same folder, fsync, rename, fsync of the folder; mode and group kept. The caller
 * holds the spec lock. A reader sees the old bytes or the new ones, also after `kill -9` or power loss.
 *
 * @throws LodestarError `DISK_FULL` or `READ_ONLY`, with the spec untouched and no temp file left.
 */
export async function saveSpec(request: SaveRequest): Promise<Saved> {
  const folder = dirname(request.path);
  const temp = join(folder, `.${basename(request.path)}.${request.unique}.tmp`);
  const warnings: string[] = [];
  const { system = SYSTEM } = request;
  let handle: number | undefined;
  let isMade = false;
  try {
    // Loaded now: nothing may come between the last look and the exchange.
    const swap: Swap = system.windows ? () => false : (await import("./swap.ts")).swap;
    for (const left of leftovers(request.path)) insist(() => rmSync(left, { force: true }), system);
    fault("before-temp");
    handle = openSync(temp, "wx", 0o666);
    isMade = true;
    writeAll(handle, request.pieces);
    fault("after-temp-write");
    keepOwnership(handle, request.path, warnings);
    stampUniquely(handle, request.clock.now());
    fsyncSync(handle);
    const ours = fstatSync(handle, { bigint: true });
    fault("after-fsync");
    if (system.windows) {
      // What is open there cannot be renamed.
      closeSync(handle);
      handle = undefined;
    }
    const quiet = request.git && (await untilQuiet(request.git, request.clock));
    const before = statSync(request.path, { bigint: true, throwIfNoEntry: false });
    const isExpected = (found: BigIntStats | undefined): boolean =>
      (found === undefined ? undefined : keyFrom(found)) === request.expected;
    const goes = isExpected(before);
    if (goes) fault("before-rename");
    if (!goes || !put(temp, request.path, before, ours, swap, system)) {
      insist(() => unlinkSync(temp), system);
      return { kind: "changed" };
    }
    fault("after-rename");
    if (!system.windows) syncFolder(folder);
    if (request.git !== undefined && quiet !== undefined && hasGitBegun(request.git, quiet)) {
      // It may have decided by what was here before: what is acknowledged is what it leaves.
      await untilQuiet(request.git, request.clock);
      const left = statSync(request.path, { bigint: true, throwIfNoEntry: false });
      if (left === undefined || !isSame(left, ours)) return { kind: "overtaken" };
    }
    // Of our own inode, not of the path: a stranger's file that is there by now must not be taken for ours. Nor ours with a
    // stranger's bytes: an editor that saves in place writes into it from the rename on, and moves the mtime that we gave it.
    const now =
      handle === undefined
        ? statSync(request.path, { bigint: true, throwIfNoEntry: false })
        : fstatSync(handle, { bigint: true });
    const isOurs = now?.ino === ours.ino && now.size === ours.size && now.mtimeNs === ours.mtimeNs;
    return { kind: "saved", key: isOurs ? keyFrom(now) : undefined, warnings };
  } catch (cause) {
    if (isMade && existsSync(temp)) insist(() => unlinkSync(temp), system);
    throw writeError(request.path, cause);
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}

/**
 * Temp files of processes that died while saving: whoever holds the lock knows that no other save is under way. Files only: a folder of
 * that name is none of ours.
 *
 * @param path the spec itself, where it is a link what it leads to.
 */
export function leftovers(path: string): string[] {
  const folder = dirname(path);
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.name.startsWith(`.${basename(path)}.`) && entry.name.endsWith(".tmp"))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(folder, entry.name));
}

function writeAll(handle: number, pieces: readonly Uint8Array[]): void {
  const whole = pieces.length > 64 ? [Buffer.concat(pieces)] : pieces;
  for (const piece of whole) {
    for (let at = 0; at < piece.length; ) at += writeSync(handle, piece, at, piece.length - at);
  }
}

function keepOwnership(handle: number, path: string, warnings: string[]): void {
  const old = statSync(path, { throwIfNoEntry: false });
  if (old === undefined) return;
  const own = fstatSync(handle);
  try {
    if ((old.gid !== own.gid || old.uid !== own.uid) && !canChown(handle, old.uid, old.gid) && old.gid !== own.gid)
      fchownSync(handle, own.uid, old.gid);
    if ((old.mode & 0o7777) !== (own.mode & 0o7777)) fchmodSync(handle, old.mode & 0o7777);
  } catch (cause) {
    warnings.push(`The mode or group of ${path} could not be kept: ${(cause as Error).message}`);
  }
}

/** Only root gives a file away. In a repository that a group shares, each save makes it the saver's: group and mode are what counts. */
function canChown(handle: number, uid: number, gid: number): boolean {
  try {
    fchownSync(handle, uid, gid);
    return true;
  } catch (cause) {
    if ((cause as { code?: string }).code === "EPERM") return false;
    throw cause;
  }
}

/**
 * Gives the file an mtime that the kernel's coarse clock would not give: a later write in place within the same tick then
 * always changes the key, and our own saves need no second look.
 */
function stampUniquely(handle: number, now: Millis): void {
  const seconds = (now + Math.random()) / 1000;
  futimesSync(handle, seconds, seconds);
}

/**
 * Puts a file in the place of the one that was seen there. Where files can be exchanged, what was replaced is looked at once more: if
 * somebody came after the last look, theirs goes back. Elsewhere that window stays, some microseconds wide.
 *
 * @param ours what `temp` is.
 * @returns false when another was there, or none; what `temp` is then, may be thrown away.
 */
function put(
  temp: string,
  path: string,
  seen: BigIntStats | undefined,
  ours: BigIntStats,
  swap: Swap,
  system: System,
): boolean {
  if (seen === undefined || !swap(temp, path)) {
    // Git may just have taken it away: it must not find ours where it puts its own.
    if (seen !== undefined && !existsSync(path)) return false;
    insist(() => system.rename(temp, path), system);
    return true;
  }
  if (isSame(seen, statSync(temp, { bigint: true }))) {
    unlinkSync(temp);
    return true;
  }
  swap(temp, path);
  // Ours came back, unless yet another had taken its place: of two strangers the later one stays.
  if (statSync(temp, { bigint: true }).ino !== ours.ino) swap(temp, path);
  return false;
}

/** The same file with the same content, as far as its times tell: an exchange gives both a new ctime. */
function isSame(a: BigIntStats, b: BigIntStats): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs;
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

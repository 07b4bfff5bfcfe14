import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  futimesSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { LodestarError } from "../core/errors.ts";
import type { Millis } from "../core/time.ts";

/**
 * What a spec's bytes are known by without reading them: device, inode, size, and times in nanoseconds. Size and mtime alone
 * missed two thirds of same-size rename writes.
 */
export type SpecKey = string;

/**
 * The kernel stamps files with a clock of some milliseconds' grain: a file written again within it keeps its times (Git's
 * "racily clean"). A key taken so soon after the file's mtime is not trusted by itself.
 */
export const CLOCK_GRAIN: Millis = 50;

interface Times {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

const keyFrom = (stat: Times): SpecKey => `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;

/** The key of the file as it is now; `undefined` when there is none. One system call. */
export function specKey(path: string): SpecKey | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : keyFrom(stat);
}

export interface SpecBytes {
  readonly bytes: Uint8Array;
  readonly key: SpecKey;
  /** False when the file could change again without a new key (modified within {@link CLOCK_GRAIN} of `now`). */
  readonly settled: boolean;
}

/**
 * Reads the whole spec and the key of exactly these bytes: a file that is written in place meanwhile is read again.
 * @returns `undefined` when there is no file.
 * @throws LodestarError `BUSY` when it never holds still; `SPEC_INVALID` when it is not a file or may not be read.
 */
export function readSpecBytes(path: string, now: Millis): SpecBytes | undefined {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    let handle: number;
    try {
      handle = openSync(path, "r");
    } catch (cause) {
      if ((cause as { code?: string }).code === "ENOENT") return undefined;
      throw unreadable(path, cause);
    }
    try {
      const before = fstatSync(handle, { bigint: true });
      const bytes = readWhole(handle, Number(before.size));
      const after = fstatSync(handle, { bigint: true });
      if (keyFrom(before) !== keyFrom(after) || bytes.length !== Number(after.size)) continue;
      return { bytes, key: keyFrom(after), settled: now - Number(after.mtimeNs / 1_000_000n) > CLOCK_GRAIN };
    } catch (cause) {
      throw unreadable(path, cause);
    } finally {
      closeSync(handle);
    }
  }
  throw new LodestarError("BUSY", `${path} keeps changing while it is read.`, { details: { path } });
}

function unreadable(path: string, cause: unknown): LodestarError {
  return new LodestarError("SPEC_INVALID", `${path} cannot be read: ${(cause as Error).message}`, {
    cause,
    details: { path },
    hint: "Make the spec a readable file.",
  });
}

function readWhole(handle: number, size: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(size);
  let read = 0;
  while (read < size) {
    const count = readSync(handle, bytes, read, size - read, read);
    if (count === 0) break;
    read += count;
  }
  return bytes.subarray(0, read);
}

export interface SaveRequest {
  /** Real path, symlinks followed (S2). */
  readonly path: string;
  readonly pieces: readonly Uint8Array[];
  /** The key that the new bytes were made from; `undefined` when there was no file. */
  readonly expected: SpecKey | undefined;
  /** Git's `index.lock` of this worktree: while it exists, Git may be about to replace the file. */
  readonly git_index_lock: string | undefined;
  readonly now: Millis;
  /** A random name part. */
  readonly unique: string;
}

export type Saved =
  | { readonly kind: "saved"; readonly key: SpecKey; readonly warnings: readonly string[] }
  /** Somebody else replaced the file since it was read: start over. */
  | { readonly kind: "changed" };

/** How long to wait for Git to finish before comparing the key once more (S3). */
const GIT_PATIENCE: Millis = 2000;

/**
 * Replaces the spec (S2): temp file in the same folder, fsync, rename, fsync of the folder; mode and group kept. The caller
 * holds the spec lock. A reader sees the old bytes or the new ones, also after `kill -9` or power loss.
 *
 * @throws LodestarError `DISK_FULL` or `READ_ONLY`, with the spec untouched and no temp file left.
 */
export async function saveSpec(request: SaveRequest): Promise<Saved> {
  const folder = dirname(request.path);
  removeLeftovers(folder, basename(request.path));
  const temp = join(folder, `.${basename(request.path)}.${request.unique}.tmp`);
  const warnings: string[] = [];
  let handle: number | undefined;
  try {
    handle = openSync(temp, "wx", 0o666);
    writeAll(handle, request.pieces);
    keepOwnership(handle, request.path, warnings);
    stampUniquely(handle, request.now);
    fsyncSync(handle);
    await gitIsQuiet(request.git_index_lock);
    if (specKey(request.path) !== request.expected) {
      unlinkSync(temp);
      return { kind: "changed" };
    }
    renameSync(temp, request.path);
    syncFolder(folder);
    // Of our own inode, not of the path: a stranger's file that is there by now must not be taken for ours.
    return { kind: "saved", key: keyFrom(fstatSync(handle, { bigint: true })), warnings };
  } catch (cause) {
    if (handle !== undefined && existsSync(temp)) unlinkSync(temp);
    throw saveError(request.path, cause);
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}

/** Temp files of processes that died while saving: whoever holds the lock knows that no other save is under way. */
function removeLeftovers(folder: string, name: string): void {
  for (const entry of readdirSync(folder)) {
    if (entry.startsWith(`.${name}.`) && entry.endsWith(".tmp")) unlinkSync(join(folder, entry));
  }
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
    if (old.gid !== own.gid || old.uid !== own.uid) fchownSync(handle, old.uid, old.gid);
    if ((old.mode & 0o7777) !== (own.mode & 0o7777)) fchmodSync(handle, old.mode & 0o7777);
  } catch (cause) {
    warnings.push(`The mode or group of ${path} could not be kept: ${(cause as Error).message}`);
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

async function gitIsQuiet(lock: string | undefined): Promise<void> {
  if (lock === undefined) return;
  for (let waited = 0; waited < GIT_PATIENCE && existsSync(lock); waited += 10) await Bun.sleep(10);
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function saveError(path: string, cause: unknown): unknown {
  const { code, message } = cause as { code?: string; message: string };
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new LodestarError("DISK_FULL", `There is no space to save ${path}`, { cause, details: { path } });
  }
  if (code === "EROFS" || code === "EACCES" || code === "EPERM") {
    return new LodestarError("READ_ONLY", `${path} cannot be replaced: ${message}`, { cause, details: { path } });
  }
  return cause;
}

import { closeSync, constants, fstatSync, openSync, readSync, statSync } from "node:fs";
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

/** A larger spec is not even read. */
export const MAX_BYTES = 100 * 1024 * 1024;

interface Times {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export const keyFrom = (stat: Times): SpecKey => `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;

/** The key of the file as it is now; `undefined` when there is none. One system call. */
export function specKey(path: string): SpecKey | undefined {
  try {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
    return stat === undefined ? undefined : keyFrom(stat);
  } catch (cause) {
    throw unreadable(path, cause);
  }
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
      // Without waiting: a FIFO in its place has no end, and perhaps nobody who writes it.
      handle = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    } catch (cause) {
      if ((cause as { code?: string }).code === "ENOENT") return undefined;
      throw unreadable(path, cause);
    }
    try {
      const before = fstatSync(handle, { bigint: true });
      if (!before.isFile()) throw new Error("it is no file");
      if (before.size > MAX_BYTES)
        throw new Error(`it has ${before.size} bytes; at most ${MAX_BYTES} (100 MB) are read`);
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

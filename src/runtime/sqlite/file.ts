import { constants, Database } from "bun:sqlite";
import { lstatSync, mkdirSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { LodestarError } from "../../core/errors.ts";
import { runtimeError } from "./map.ts";

/**
 * Database files as the operating system has them. Nothing here opens one except through SQLite: closing any other handle
 * would drop the locks that this process holds on it (counterexample 3).
 */

const NOFOLLOW = constants.SQLITE_OPEN_NOFOLLOW;
const WRITING = constants.SQLITE_OPEN_READWRITE | NOFOLLOW;
const READING = constants.SQLITE_OPEN_READONLY | NOFOLLOW;

/** The path with its folder's symlinks resolved: SQLite refuses one anywhere in a path, we only in the last step. */
export function resolveFolder(path: string, create: boolean): string {
  const folder = dirname(path);
  try {
    if (create) mkdirSync(folder, { recursive: true });
    return join(realpathSync(folder), basename(path));
  } catch (cause) {
    if (isMissing(cause)) return path;
    throw runtimeError("READ_ONLY", path, "lies in a folder that cannot be used", cause);
  }
}

/**
 * The size of the file; `undefined` when there is none.
 * @throws LodestarError `RUNTIME_CORRUPT` when something else than a plain file is there, or in the place of its log.
 */
export function sizeOf(path: string): number | undefined {
  try {
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) throw runtimeError("RUNTIME_CORRUPT", path, "is a symbolic link, which is not followed");
    if (!stat.isFile()) throw runtimeError("RUNTIME_CORRUPT", path, "is not a file");
    // SQLite would say only that it cannot open or write the database, or read it without its log.
    for (const part of ["-wal", "-shm"]) {
      if (lstatSync(path + part, { throwIfNoEntry: false })?.isFile() === false)
        throw runtimeError("RUNTIME_CORRUPT", path, `has a ${part} beside it that is not a file`);
    }
    return stat.size;
  } catch (cause) {
    if (cause instanceof LodestarError) throw cause;
    if (isMissing(cause)) return undefined;
    throw runtimeError("READ_ONLY", path, "cannot be looked at", cause);
  }
}

/** True for "no such file or folder". */
export function isMissing(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ENOTDIR");
}

/** Opens the file for writing, making it if asked. */
export function openWritable(path: string, create: boolean): Database {
  return new Database(path, create ? WRITING | constants.SQLITE_OPEN_CREATE : WRITING);
}

export interface ReadOnly {
  readonly db: Database;
  /** Opened without locks, because the media cannot hold them: what it shows is the moment of opening. */
  readonly frozen: boolean;
}

/**
 * Opens the file for reading, leaving nothing behind and succeeding wherever the bytes can be read:
 *
 * 1. Beside a WAL, read-only: shared memory is there already, and a read-only handle recovers it if need be.
 * 2. Without one, read-write with `query_only`: only such a handle removes the empty WAL that reading makes.
 * 3. On media that cannot be written, where a WAL without shared memory stops both: SQLite's VFS without locks, which keeps
 *    the WAL's index in memory. (`immutable=1` would leave out what is only in the WAL; it is the last resort, for a file
 *    without one.)
 */
export function openReadable(path: string, busyTimeout: number): ReadOnly {
  const wal = sizeOfWal(path);
  const attempts: readonly (() => ReadOnly)[] = [
    () => ({ db: wal === undefined ? openWritable(path, false) : new Database(path, READING), frozen: false }),
    () => ({ db: new Database(path, READING), frozen: false }),
    () => ({ db: withoutLocks(path), frozen: true }),
    ...((wal ?? 0) > 0
      ? []
      : [() => ({ db: new Database(uri(path, "immutable=1"), READING | constants.SQLITE_OPEN_URI), frozen: true })]),
  ];
  let refusal: unknown;
  for (const attempt of attempts) {
    let opened: ReadOnly | undefined;
    try {
      opened = attempt();
      opened.db.run(`pragma busy_timeout = ${busyTimeout}`);
      opened.db.run("pragma query_only = 1");
      opened.db.query("select count(*) from sqlite_schema").get();
      return opened;
    } catch (cause) {
      opened?.db.close();
      if (!isUnwritable(cause)) throw cause;
      refusal ??= cause;
    }
  }
  throw refusal;
}

function withoutLocks(path: string): Database {
  const vfs = WINDOWS_PATH.test(path) ? "win32-none" : "unix-none";
  const db = new Database(uri(path, `vfs=${vfs}`), READING | constants.SQLITE_OPEN_URI);
  db.run("pragma locking_mode = exclusive");
  return db;
}

const WINDOWS_PATH = /^[a-z]:[\\/]/i;

/** A `file:` URI for SQLite: every byte that could end or change the path is escaped. */
export function uri(path: string, query: string): string {
  const slashed = WINDOWS_PATH.test(path) ? `/${path.replaceAll("\\", "/")}` : path;
  return `file://${slashed.split("/").map(encodeURIComponent).join("/")}?${query}`;
}

function sizeOfWal(path: string): number | undefined {
  try {
    return lstatSync(`${path}-wal`).size;
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw cause;
  }
}

function isUnwritable(cause: unknown): boolean {
  if (!(cause instanceof Error && "code" in cause && typeof cause.code === "string")) return false;
  return cause.code.startsWith("SQLITE_CANTOPEN")
    ? cause.code !== "SQLITE_CANTOPEN_SYMLINK"
    : cause.code.startsWith("SQLITE_READONLY");
}

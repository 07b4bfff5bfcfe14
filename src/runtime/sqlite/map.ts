import { SQLiteError } from "bun:sqlite";
import { type Code, LodestarError } from "../../core/errors.ts";

/** SQLite's result codes, by prefix: extended codes (`SQLITE_IOERR_FSYNC`) follow their family unless named before it. */
const FAMILIES: readonly (readonly [prefix: string, code: Code, says: string])[] = [
  ["SQLITE_IOERR_SHMSIZE", "DISK_FULL", "has no space left on its disk"],
  ["SQLITE_CANTOPEN_SYMLINK", "RUNTIME_CORRUPT", "is a symbolic link, which is not followed"],
  ["SQLITE_READONLY_DBMOVED", "BUSY", "was moved while it was in use"],
  ["SQLITE_BUSY", "BUSY", "is being written by other processes"],
  ["SQLITE_LOCKED", "BUSY", "is being written by other processes"],
  ["SQLITE_PROTOCOL", "BUSY", "is being written by other processes"],
  ["SQLITE_FULL", "DISK_FULL", "has no space left on its disk"],
  ["SQLITE_CORRUPT", "RUNTIME_CORRUPT", "is damaged"],
  ["SQLITE_NOTADB", "RUNTIME_CORRUPT", "is not a database"],
  ["SQLITE_READONLY", "READ_ONLY", "cannot be written"],
  ["SQLITE_CANTOPEN", "READ_ONLY", "cannot be opened or written"],
  ["SQLITE_PERM", "READ_ONLY", "cannot be opened or written"],
  ["SQLITE_AUTH", "READ_ONLY", "cannot be opened or written"],
  ["SQLITE_IOERR", "RUNTIME_UNREACHABLE", "could not be read or written by the operating system"],
  ["SQLITE_NOMEM", "BUSY", "could not be used for want of memory"],
];

/** What SQLite throws, as an error of ours; anything else passes through unchanged. */
export function mapError(cause: unknown, path: string): unknown {
  if (cause instanceof SyntaxError)
    return runtimeError("RUNTIME_CORRUPT", path, "holds a value that cannot be read", cause);
  if (!(cause instanceof SQLiteError)) return cause;
  const name = cause.code ?? "";
  const family = FAMILIES.find(([prefix]) => name.startsWith(prefix));
  if (family !== undefined) return runtimeError(family[1], path, family[2], cause);
  // Ours has these tables: the file was changed by something else.
  if (/^no such (table|column)/.test(cause.message))
    return runtimeError("RUNTIME_CORRUPT", path, "lacks a table of ours", cause);
  return cause;
}

/** An error about the runtime file, as a sentence with its path. */
export function runtimeError(code: Code, path: string, says: string, cause?: unknown): LodestarError {
  const facts = cause instanceof SQLiteError ? { path, sqlite: cause.code ?? cause.message } : { path };
  return new LodestarError(code, `The runtime ${path} ${says}.`, {
    details: facts,
    ...(cause === undefined ? {} : { cause }),
  });
}

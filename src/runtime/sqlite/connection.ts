import { constants } from "bun:sqlite";
import type { Random } from "../../core/ids.ts";
import type { Clock, Millis } from "../../core/time.ts";
import { openReadable, openWritable, resolveFolder, sizeOf } from "./file.ts";
import { ForeignRuntime } from "./foreign.ts";
import { mapError, runtimeError } from "./map.ts";
import { identify, isCurrent, migrate } from "./migrate.ts";
import { Sql } from "./sql.ts";
import { ReadStep, type WriteOptions, WriteStep } from "./step.ts";

export interface ConnectionOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly create: boolean;
  readonly readonly: boolean;
  readonly busyTimeout: Millis;
  readonly onCommit: (() => void) | undefined;
}

interface Opened {
  readonly sql: Sql;
  readonly frozen: boolean;
}

/** An open runtime file, and the transactions on it. It follows the path: a file put in its place is opened instead. */
export class Connection {
  readonly path: string;
  readonly #options: ConnectionOptions;
  #opened: Opened;
  #generation = 0;

  private constructor(options: ConnectionOptions, opened: Opened) {
    this.path = options.path;
    this.#options = options;
    this.#opened = opened;
  }

  /** Opens the file; `undefined` when there is none, or nothing in it yet, and it is not to be made. */
  static open(given: ConnectionOptions): Connection | undefined {
    const options = { ...given, path: resolveFolder(given.path, given.create && !given.readonly) };
    const opened = openFile(options);
    return opened === undefined ? undefined : new Connection(options, opened);
  }

  /** One consistent look. The first statement fixes what is seen. */
  read<T>(look: (step: ReadStep) => T): T {
    return this.#guarded(() => {
      const sql = this.#current();
      sql.run("begin");
      try {
        return look(ReadStep.begin(sql, this.#options.clock));
      } finally {
        if (sql.db.inTransaction) sql.run("rollback");
      }
    });
  }

  /** One change, whole or not at all; durable when this returns (L6). */
  write<T>(change: (step: WriteStep) => T, options?: WriteOptions): T {
    return this.#guarded(() => {
      const sql = this.#beginWrite();
      try {
        const step = WriteStep.begin(sql, this.#options.clock, options);
        const result = change(step);
        step.finish();
        sql.run("commit");
        this.#options.onCommit?.();
        return result;
      } finally {
        if (sql.db.inTransaction) sql.run("rollback");
      }
    });
  }

  /** A change that may be lost with the power but not with the process: no fsync, and no look at what has expired. */
  writeLightly<T>(change: (step: WriteStep) => T): T {
    return this.#guarded(() => {
      const before = this.#current();
      before.run("pragma synchronous = normal");
      try {
        const sql = this.#beginWrite();
        try {
          const step = WriteStep.begin(sql, this.#options.clock, { sweep: false });
          const result = change(step);
          step.finish();
          sql.run("commit");
          return result;
        } finally {
          if (sql.db.inTransaction) sql.run("rollback");
        }
      } finally {
        // After a reopening this is the new file, which is FULL already; the old one is closed.
        this.#opened.sql.run("pragma synchronous = full");
      }
    });
  }

  /** Outside of a transaction: checks and pragmas. */
  use<T>(look: (sql: Sql) => T): T {
    return this.#guarded(() => look(this.#current()));
  }

  /** Counts the files that this has had open. */
  get generation(): number {
    return this.#generation;
  }

  close(): void {
    this.#opened.sql.close();
  }

  /**
   * The file is compared with the path after the lock is taken: checked before, it could be replaced while we wait
   * for the lock, and a lease be granted on a file that nobody else sees (counterexample 2).
   */
  #beginWrite(): Sql {
    for (;;) {
      const sql = this.#opened.sql;
      sql.run("begin immediate");
      if (!hasMoved(sql)) return sql;
      sql.run("rollback");
      this.#reopen();
    }
  }

  #current(): Sql {
    if (this.#opened.frozen || hasMoved(this.#opened.sql)) this.#reopen();
    return this.#opened.sql;
  }

  #reopen(): void {
    const opened = openFile(this.#options);
    if (opened === undefined) throw runtimeError("RUNTIME_UNREACHABLE", this.path, "was removed while it was in use");
    this.#opened.sql.close();
    this.#opened = opened;
    this.#generation += 1;
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      throw mapError(cause, this.path);
    }
  }
}

const MOVED = new Int32Array(2);

/** Whether the path names another file now (dev and inode); SQLite compares it with the handle that it really has open. */
function hasMoved(sql: Sql): boolean {
  MOVED[0] = 0;
  // Answers SQLITE_NOTFOUND where a file that is open cannot be replaced (Windows).
  sql.db.fileControl(constants.SQLITE_FCNTL_HAS_MOVED, MOVED);
  return MOVED[0] === 1;
}

function openFile(options: ConnectionOptions): Opened | undefined {
  const { path, readonly } = options;
  try {
    const size = sizeOf(path);
    const create = options.create && !readonly;
    if (!create && (size ?? 0) === 0) return undefined;
    return readonly ? openToRead(options) : openToWrite(options, create);
  } catch (cause) {
    throw mapError(cause, path);
  }
}

function openToRead({ path, busyTimeout }: ConnectionOptions): Opened | undefined {
  const { db, frozen } = openReadable(path, busyTimeout);
  const sql = new Sql(db);
  return closingUnlessUsed(sql, () => (isOurs(sql, path) ? { sql, frozen } : undefined));
}

function openToWrite({ path, busyTimeout, clock, random }: ConnectionOptions, create: boolean): Opened | undefined {
  const sql = new Sql(openWritable(path, create));
  return closingUnlessUsed(sql, () => {
    // First of all: 64 processes may be making this file just now.
    sql.run(`pragma busy_timeout = ${busyTimeout}`);
    if (!isOurs(sql, path) && !create) return undefined;
    useWal(sql, path);
    sql.run("pragma synchronous = full");
    // Processes exit without closing: what is left is read by the next one, so it is kept short.
    sql.run("pragma wal_autocheckpoint = 200");
    sql.run("pragma journal_size_limit = 4194304");
    // The WAL stays when the last process closes: a reader then finds it, and need not make one.
    sql.db.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
    if (!isCurrent(sql)) migrate(sql, clock.now(), random);
    return { sql, frozen: false };
  });
}

/** Closes the file when what is done with it fails or comes to nothing. */
function closingUnlessUsed(sql: Sql, use: () => Opened | undefined): Opened | undefined {
  let used: Opened | undefined;
  try {
    used = use();
    return used;
  } finally {
    if (used === undefined) sql.close();
  }
}

/**
 * Whether the file is ours; false when nothing is in it yet.
 * @throws ForeignRuntime
 * @throws LodestarError `RUNTIME_TOO_NEW`
 */
function isOurs(sql: Sql, path: string): boolean {
  const found = identify(sql);
  if (found.kind === "foreign") throw new ForeignRuntime(path);
  if (found.kind === "too_new") {
    throw runtimeError("RUNTIME_TOO_NEW", path, `has schema ${found.version}, newer than this Lodestar knows`);
  }
  return found.kind === "ours";
}

/** How often the switch to WAL is tried, some milliseconds apart: more than 30 s in all. */
const MAX_SWITCHES = 6000;

/**
 * Switches to WAL if the file is not there yet. The switch wants the file for itself and fails at once, whatever
 * `busy_timeout` says, when others switch too; so it is tried again (counterexample 28).
 */
function useWal(sql: Sql, path: string): void {
  for (let attempt = 0; attempt < MAX_SWITCHES; attempt += 1) {
    try {
      if (journalMode(sql, "pragma journal_mode") === "wal") return;
      if (journalMode(sql, "pragma journal_mode = wal") === "wal") return;
      throw runtimeError("RUNTIME_UNSUPPORTED_FILESYSTEM", path, "lies on a filesystem without shared memory");
    } catch (cause) {
      const busy = cause instanceof Error && "code" in cause && String(cause.code).startsWith("SQLITE_BUSY");
      if (!busy) throw cause;
    }
    Bun.sleepSync(1 + (attempt % 10));
  }
  throw runtimeError("BUSY", path, "is being made by other processes");
}

function journalMode(sql: Sql, pragma: string): string | undefined {
  // Not cached: a prepared pragma would be run again when the schema changes.
  return sql.db.query<{ journal_mode: string }, []>(pragma).get()?.journal_mode;
}

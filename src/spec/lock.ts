import { Database } from "bun:sqlite";
import { closeSync, lstatSync, mkdirSync, openSync, type Stats, statSync, truncateSync } from "node:fs";
import { dirname } from "node:path";
import { LodestarError, writeError } from "../core/errors.ts";
import type { Clock, Millis } from "../core/time.ts";
import { Place } from "./queue.ts";

/** How long a command waits for another's read-modify-write (S3); anew whenever one that came earlier has had its turn. */
export const LOCK_PATIENCE: Millis = 30_000;

/** Callers within this process queue here, one chain a lock: SQLite's locks do not tell two handles of one process apart. */
const chains = new Map<string, Promise<void>>();

/**
 * Runs `body` while holding the cross-process lock of a spec (S3). The lock is a SQLite reservation on an empty file that the
 * kernel drops when the process dies. The file lies in the Git directory, where nobody has a reason to delete it
 * (counterexample 1), and its inode is compared after the lock is taken.
 *
 * @throws LodestarError `BUSY` after `patience`; `READ_ONLY` when the lock file cannot be made.
 */
export async function withSpecLock<T>(
  path: string,
  patience: Millis,
  clock: Clock,
  body: () => Promise<T>,
): Promise<T> {
  const before = chains.get(path) ?? Promise.resolve();
  let leave = (): void => {};
  const mine = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const queued = before.then(() => mine);
  chains.set(path, queued);
  await before;
  try {
    const held = await take(path, patience, clock);
    try {
      return await body();
    } finally {
      held.close();
    }
  } finally {
    leave();
    if (chains.get(path) === queued) chains.delete(path);
  }
}

async function take(path: string, patience: Millis, clock: Clock): Promise<Database> {
  let lock = open(path);
  let place: Place | undefined;
  try {
    for (let [waited, least] = [0, Number.POSITIVE_INFINITY]; ; ) {
      if (reserve(lock.database, path)) {
        if (statSync(path, { throwIfNoEntry: false })?.ino === lock.inode) return lock.database;
        // Somebody has put another file in its place: those who come now meet there.
        lock.database.close();
        lock = open(path);
        continue;
      }
      if (waited >= patience) {
        const seconds = Math.round(patience / 1000);
        throw new LodestarError("BUSY", `Another process has been saving the spec for ${seconds} s.`, {
          details: { lock: path },
        });
      }
      place ??= new Place(path, clock);
      const ahead = place.ahead();
      if (ahead < least) [waited, least] = [0, ahead];
      // Between half and the whole pause, so that waiters do not march in step.
      const rest = pauseBehind(ahead) * (0.5 + Math.random() / 2);
      await Bun.sleep(rest);
      waited += rest;
    }
  } catch (cause) {
    lock.database.close();
    throw cause;
  } finally {
    place?.leave();
  }
}

/**
 * How long to rest before the next try. Who is next tries all the time; the others, the more seldom the more come before them: each
 * try takes time from whoever holds the lock, and a place that nobody stands at must not keep the others out.
 */
const pauseBehind = (ahead: number): Millis => (ahead === 0 ? 2 : Math.min(10 * ahead, 250));

/** The lock's file, opened; it stays open while it is waited for, since opening is most of what a try costs. */
function open(path: string): { readonly database: Database; readonly inode: number } {
  const inode = ensureFile(path);
  let database: Database | undefined;
  try {
    database = new Database(path, { readwrite: true, create: false });
    // Nothing is ever written here: no journal file either.
    database.run("pragma busy_timeout = 0; pragma journal_mode = memory");
    return { database, inode };
  } catch (cause) {
    database?.close();
    throw unusable(path, cause);
  }
}

/** @returns false while another process holds it. */
function reserve(database: Database, path: string): boolean {
  try {
    database.run("begin immediate");
    return true;
  } catch (cause) {
    if ((cause as { code?: string }).code?.startsWith("SQLITE_BUSY")) return false;
    throw unusable(path, cause);
  }
}

/** Nothing is ever written to a lock, so whatever it holds is damage, and would keep everybody out. Whoever takes the lock empties it. */
const damageOf = (known: Stats): LockDamage | undefined =>
  known.isFile() ? (known.size > 0 ? "not empty" : undefined) : "no file";

export type LockDamage = "not empty" | "no file";

/** What is wrong with a lock as it lies there. By name and size alone: closing a handle would drop the locks of this process. */
export function lockDamage(path: string): LockDamage | undefined {
  try {
    const known = lstatSync(path, { throwIfNoEntry: false });
    return known === undefined ? undefined : damageOf(known);
  } catch {
    // The way to it is no folder.
    return "no file";
  }
}

function ensureFile(path: string): number {
  try {
    const known = lstatSync(path, { throwIfNoEntry: false });
    if (known !== undefined) {
      const damage = damageOf(known);
      if (damage === "no file") throw new Error("something else than a plain file is there");
      // Cut off rather than removed: of two who do so, the later one must not take the lock from under the earlier.
      if (damage === "not empty") truncateSync(path);
      return known.ino;
    }
    mkdirSync(dirname(path), { recursive: true });
    // Made by hand and only while no lock of this process can be on it: closing a second handle would drop that.
    closeSync(openSync(path, "a", 0o666));
    return statSync(path).ino;
  } catch (cause) {
    throw unusable(path, cause);
  }
}

/** Why the lock cannot be taken: no room or no right, or something else than a lock in its place. */
function unusable(path: string, cause: unknown): LodestarError {
  const error = writeError(path, cause);
  if (error instanceof LodestarError) return error;
  return new LodestarError("READ_ONLY", `The lock ${path} cannot be used: ${(cause as Error).message}`, {
    cause,
    details: { path },
    hint: "Remove what is there, and make the folder writable for this user: Lodestar makes the lock anew.",
  });
}

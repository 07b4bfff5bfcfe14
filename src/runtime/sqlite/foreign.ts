import { lstatSync, renameSync } from "node:fs";
import { LodestarError } from "../../core/errors.ts";
import { insist } from "../../core/platform.ts";
import { openWritable, resolveFolder, sizeOf } from "./file.ts";
import { mapError, runtimeError } from "./map.ts";
import { identify } from "./migrate.ts";
import { Sql } from "./sql.ts";

/**
 * Thrown for a database that another program wrote, such as the Python Lodestar, which used the same name. The caller
 * moves it aside under the spec lock ({@link moveAsideForeign}) and opens again; who may not write shows it as damage.
 */
export class ForeignRuntime extends LodestarError {
  readonly path: string;

  constructor(path: string) {
    super("RUNTIME_CORRUPT", `The runtime ${path} was written by another program.`, {
      details: { path, foreign: true },
      hint: "The next command that writes moves it aside, to a name that ends in .foreign-N.",
    });
    this.path = path;
  }
}

/**
 * Moves a foreign runtime, with its `-wal` and `-shm`, to `<path>.foreign-N`, N being free. Call it under a lock that every
 * caller takes: it looks again whether the file is foreign, for another process may have moved it and made ours
 * (counterexample 21).
 *
 * @returns the new path, or `undefined` when the file is not foreign (any more).
 */
export function moveAsideForeign(path: string): string | undefined {
  const at = resolveFolder(path, false);
  if ((sizeOf(at) ?? 0) === 0 || !isForeign(at)) return undefined;
  let n = 1;
  while (PARTS.some((part) => isThere(`${at}.foreign-${n}${part}`))) n += 1;
  const target = `${at}.foreign-${n}`;
  try {
    for (const part of PARTS) if (isThere(`${at}${part}`)) insist(() => renameSync(`${at}${part}`, `${target}${part}`));
  } catch (cause) {
    // On Windows while the other program has it open.
    throw runtimeError("READ_ONLY", at, "was written by another program and cannot be moved aside", cause);
  }
  return target;
}

/** A link that leads nowhere, too: nothing is put over it, and nothing of it stays behind. */
const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

const PARTS = ["-wal", "-shm", ""] as const;
const BUSY_TIMEOUT = 5000;

/** Whether the file is foreign; if so, what its WAL holds is brought into it, so that a death between two renames loses nothing. */
function isForeign(path: string): boolean {
  try {
    const sql = new Sql(openWritable(path, false));
    try {
      sql.run(`pragma busy_timeout = ${BUSY_TIMEOUT}`);
      if (identify(sql).kind !== "foreign") return false;
      // Passive: it waits for nobody. What it leaves, because the other program has the file open, moves along in the WAL.
      sql.all("pragma wal_checkpoint(passive)");
      return true;
    } finally {
      sql.close();
    }
  } catch (cause) {
    throw mapError(cause, path);
  }
}

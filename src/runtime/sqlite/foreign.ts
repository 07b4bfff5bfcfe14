import { existsSync, renameSync } from "node:fs";
import { LodestarError } from "../../core/errors.ts";
import { openReadable, resolveFolder, sizeOf } from "./file.ts";
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
  while (PARTS.some((part) => existsSync(`${at}.foreign-${n}${part}`))) n += 1;
  const target = `${at}.foreign-${n}`;
  // The database last: should this process die in between, it is still foreign, and its WAL is beside the new name or the old.
  for (const part of ["-wal", "-shm", ""]) {
    if (existsSync(`${at}${part}`)) renameSync(`${at}${part}`, `${target}${part}`);
  }
  return target;
}

const PARTS = ["", "-wal", "-shm"] as const;
const BUSY_TIMEOUT = 5000;

function isForeign(path: string): boolean {
  const sql = new Sql(openReadable(path, BUSY_TIMEOUT).db);
  try {
    return identify(sql).kind === "foreign";
  } finally {
    sql.close();
  }
}

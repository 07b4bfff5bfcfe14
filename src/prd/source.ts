import { readFileSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { LodestarError } from "../core/errors.ts";

/** Where sources may lie. */
export interface Shelf {
  /** What sources are named from: the folder whose `.lodestar/` holds the spec. */
  readonly root: string;
  /** What they must lie in: the root of the worktree. */
  readonly worktree: string;
}

/** A source that may be read. */
export interface Located {
  /** With every link followed. */
  readonly path: string;
  /** From the shelf's root, with slashes: what a task records. */
  readonly name: string;
}

/** Larger files are no documents that people write. */
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * Finds a source. What lies outside the repository once every link is followed is refused, whether it exists or not; so is Git's own
 * folder, whose configuration may hold credentials.
 *
 * @param from where a relative path begins.
 * @throws LodestarError `PRD_OUTSIDE_REPOSITORY`
 */
export function locateSource(shelf: Shelf, source: string, from: string = shelf.root): Located {
  const outside = () =>
    new LodestarError("PRD_OUTSIDE_REPOSITORY", `${source} lies outside the repository`, { details: { source } });
  if (source === "" || source.includes("\0")) throw outside();
  const named = resolve(from, source);
  // Looked at before the disk is: an answer must not tell which files exist elsewhere.
  if (!isWithin(shelf.worktree, named)) throw outside();
  const path = realPath(named);
  if (!isWithin(shelf.worktree, path)) throw outside();
  return { path, name: relative(shelf.root, named).split(sep).join("/") };
}

function isWithin(folder: string, path: string): boolean {
  const inside = relative(folder, path);
  const steps = inside.split(sep);
  return (
    inside !== "" && !isAbsolute(inside) && steps[0] !== ".." && !steps.some((step) => step.toLowerCase() === ".git")
  );
}

/** The path with links followed, as far as it exists. */
function realPath(path: string): string {
  try {
    return realpathSync.native(path);
  } catch (cause) {
    const { code } = cause as { code?: string };
    const parent = dirname(path);
    if ((code !== "ENOENT" && code !== "ENOTDIR") || parent === path) throw unreadable(path, cause);
    return join(realPath(parent), basename(path));
  }
}

/**
 * The bytes of a located source.
 * @throws LodestarError `PATH_NOT_FOUND` when it is no file that can be read, or too large.
 */
export function readSource({ path, name }: Located): Uint8Array {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new LodestarError("PATH_NOT_FOUND", `There is no ${name}`, { details: { source: name } });
  // A pipe or a device would be waited for.
  if (!stat.isFile()) throw new LodestarError("PATH_NOT_FOUND", `${name} is no file`, { details: { source: name } });
  if (stat.size > MAX_BYTES)
    throw new LodestarError("PATH_NOT_FOUND", `${name} has more than ${MAX_BYTES / 1024 / 1024} MB`, {
      details: { source: name },
    });
  try {
    return readFileSync(path);
  } catch (cause) {
    throw unreadable(name, cause);
  }
}

function unreadable(name: string, cause: unknown): LodestarError {
  return new LodestarError("PATH_NOT_FOUND", `${name} cannot be read: ${(cause as Error).message}`, {
    cause,
    details: { source: name },
  });
}

import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  realpathSync,
  type Stats,
  statSync,
} from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";

/** More than any file holds that is read whole here; what is larger is not what its name says. */
const MOST_BYTES = 64 * 1024 * 1024;
/** Windows has no such flag, and no FIFO that could be opened by mistake. */
const { O_RDONLY, O_NONBLOCK = 0 } = constants;

/**
 * The text of a plain file, symlinks followed; `undefined` when there is none that can be read. Whatever a repository puts in its
 * place, this comes back: a FIFO is not waited for, a device not read for ever, a link that leads in circles not followed.
 */
export function readPlain(path: string, most = MOST_BYTES): string | undefined {
  return readPlainBytes(path, most)?.toString("utf8");
}

/** The same as bytes, for what must stay as it is. */
export function readPlainBytes(path: string, most = MOST_BYTES): Buffer | undefined {
  if (path.includes("\0")) return undefined;
  let handle: number | undefined;
  try {
    handle = openSync(path, O_RDONLY | O_NONBLOCK);
    const stat = fstatSync(handle);
    return stat.isFile() && stat.size <= most ? readFileSync(handle) : undefined;
  } catch {
    // Not there, not ours to read, or not readable at all: for the caller there is no such text.
    return undefined;
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}

/** What the path itself names, links not followed; `undefined` for nothing, also where the way to it is no folder or goes in circles. */
export function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** True when the path names something: a link that leads nowhere, too. */
export const isThere = (path: string): boolean => lookAt(path) !== undefined;

/** True for a file itself: a link to one is none. */
export const isPlain = (path: string): boolean => lookAt(path)?.isFile() ?? false;

/** Whether a program that opens the path might wait for ever, as Git would: it leads to a pipe, a device or a socket. */
export function holdsUp(path: string): boolean {
  try {
    const kind = statSync(path, { throwIfNoEntry: false });
    return kind !== undefined && !kind.isFile() && !kind.isDirectory();
  } catch {
    return false;
  }
}

/** Whether a text can be put in the place of what is there: what could not be read first would be lost. */
export const isExtensible = (path: string): boolean => !isThere(path) || readPlainBytes(path) !== undefined;

/**
 * Whether writing to `path` writes inside of `root`, all symlinks followed. A repository is not trusted: a link that it brings must not
 * lead us to a file of somebody's home.
 */
export function staysInside(root: string, path: string): boolean {
  try {
    const real = isThere(path) ? realpathSync(path) : join(realpathSync(dirname(path)), basename(path));
    const way = relative(realpathSync(root), real);
    return way !== ".." && !way.startsWith(`..${sep}`);
  } catch {
    // A link to nothing: a file would be made where it points.
    return !isThere(path) && !isThere(dirname(path));
  }
}

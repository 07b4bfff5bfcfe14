import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { unwritable, writeError } from "../core/errors.ts";
import { insist } from "../core/platform.ts";
import { isThere } from "./plain-file.ts";

/**
 * Replaces a small file that a person may have written too (`.gitattributes`, `AGENTS.md`, a hook): whole or not at all, so that a
 * disk that fills up never leaves it cut short. The mode is kept. A symlink is followed: whether it may be is the caller's question
 * (`staysInside`). What is no file stays as it is.
 *
 * @throws LodestarError `DISK_FULL` or `READ_ONLY`, with the file as it was and no temp file left.
 */
export function replaceFile(path: string, content: string | Uint8Array, mode?: number): void {
  const known = fileAt(path);
  const real = known?.real ?? path;
  withTemp(real, content, mode ?? known?.mode, (temp) => {
    insist(() => renameSync(temp, real));
  });
}

/** @throws LodestarError `READ_ONLY` for a folder, a pipe, a device and a link that leads to no file. */
function fileAt(path: string): { readonly real: string; readonly mode: number } | undefined {
  if (!isThere(path)) return undefined;
  try {
    const real = realpathSync(path);
    const stat = lstatSync(real);
    if (!stat.isFile()) throw new Error("it is no file");
    return { real, mode: stat.mode & 0o7777 };
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

/** Puts a file of our own in the place of whatever is there: neither followed nor opened, so that a link or a pipe does no harm. */
export function putFile(path: string, content: string): void {
  withTemp(path, content, undefined, (temp) => {
    insist(() => renameSync(temp, path));
  });
}

/** Writes where a person says, who may say a pipe or a terminal: nothing is there that could be cut short. */
export function writeOutput(path: string, content: string | Uint8Array): void {
  const known = statSync(path, { throwIfNoEntry: false });
  if (known === undefined || known.isFile()) {
    replaceFile(path, content);
    return;
  }
  try {
    writeFileSync(path, content);
  } catch (cause) {
    throw writeError(path, cause);
  }
}

/**
 * Makes a file that is not there yet, whole or not at all.
 * @throws Error `EEXIST` when somebody else has made it meanwhile.
 * @throws LodestarError `DISK_FULL` or `READ_ONLY`, with no file made.
 */
export function createFile(path: string, content: string | Uint8Array): void {
  withTemp(path, content, undefined, (temp) => {
    try {
      linkSync(temp, path);
    } catch (cause) {
      if ((cause as { code?: string }).code === "EEXIST" || statSync(path, { throwIfNoEntry: false }) !== undefined)
        throw cause;
      // A file system without hard links.
      insist(() => renameSync(temp, path));
    }
  });
}

function withTemp(
  path: string,
  content: string | Uint8Array,
  mode: number | undefined,
  put: (temp: string) => void,
): void {
  // In the same folder, so that it can be renamed; the suffix is one that our ignore rules know. Not the name of a save's temp file:
  // whoever holds the spec lock removes those.
  const temp = join(dirname(path), `.new-${crypto.randomUUID().slice(0, 8)}-${basename(path).slice(0, 50)}.tmp`);
  try {
    const handle = openSync(temp, "wx", 0o666);
    try {
      writeFileSync(handle, content);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    if (mode !== undefined) chmodSync(temp, mode);
    put(temp);
  } catch (cause) {
    throw writeError(path, cause);
  } finally {
    insist(() => rmSync(temp, { force: true }));
  }
}

import { chmodSync, mkdirSync, realpathSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { LodestarError, unwritable } from "../../core/errors.ts";
import { type Random, randomDigits } from "../../core/ids.ts";
import { insist } from "../../core/platform.ts";
import { isThere, readPlain, staysInside } from "../../git/plain-file.ts";
import { isFolder } from "../../git/worktree.ts";

/** A file as it is and as it is to be; `undefined`: none. */
export interface Rewrite {
  readonly path: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** The nearest folder of a path that is there, or what stands in its place. */
function nearest(path: string): string {
  let there = dirname(path);
  while (!isThere(there) && dirname(there) !== there) there = dirname(there);
  return there;
}

/** Whether a file may be written: it, and the folders that would be made for it, lie inside of `root` with all links followed. */
export const isWithin = (root: string, path: string): boolean =>
  staysInside(root, nearest(path)) && staysInside(root, path);

/** What stands where a folder of the path would have to be. */
export function inTheWay(path: string): string | undefined {
  const there = nearest(path);
  return isFolder(there) ? undefined : there;
}

/**
 * Writes files, all or none: each is written beside its place first, then they are renamed into place; when one cannot be, those that
 * were are put back. A file that is no longer as it was read is somebody's work of this moment: it is not overwritten. (Not by replacing one after another: a disk that is full at the second would have no room to put the first back.) A reader never sees half a file; mode and links are kept.
 */
export function writeTogether(rewrites: readonly Rewrite[], random: Random): void {
  const staged: { readonly rewrite: Rewrite; readonly target: string; readonly temp: string }[] = [];
  const done: typeof staged = [];
  let at = "";
  try {
    for (const rewrite of rewrites) {
      at = rewrite.path;
      asItWasRead(rewrite);
      if (rewrite.before === undefined) mkdirSync(dirname(rewrite.path), { recursive: true });
      const target = isThere(rewrite.path) ? realpathSync(rewrite.path) : rewrite.path;
      const temp = `${target}.lodestar-${randomDigits(random, 8)}.tmp`;
      staged.push({ rewrite, target, temp });
      if (rewrite.after === undefined) continue;
      writeFileSync(temp, rewrite.after, { flag: "wx" });
      if (rewrite.before !== undefined) chmodSync(temp, statSync(target).mode & 0o7777);
    }
    for (const each of staged) {
      at = each.rewrite.path;
      asItWasRead(each.rewrite);
      insist(() => (each.rewrite.after === undefined ? rmSync(each.rewrite.path) : renameSync(each.temp, each.target)));
      done.push(each);
    }
  } catch (cause) {
    for (const { rewrite, target } of done) {
      if (rewrite.before === undefined) rmSync(target, { force: true });
      else writeFileSync(target, rewrite.before);
    }
    throw unwritable(at, cause);
  } finally {
    for (const { temp } of staged) rmSync(temp, { force: true });
  }
}

/** @throws LodestarError `BUSY` */
function asItWasRead({ path, before }: Rewrite): void {
  if (readPlain(path) === before) return;
  throw new LodestarError("BUSY", `${path} has just been changed by somebody else; nothing was written`, {
    details: { path },
  });
}

/** Folders that are empty now that a file in them is gone, up to `root`. */
export function removeEmptyFolders(root: string, path: string): void {
  for (let folder = dirname(path); folder !== root && folder.startsWith(root); folder = dirname(folder)) {
    try {
      rmdirSync(folder);
    } catch {
      // Not empty, or not ours to remove: it stays, and so do those above it.
      return;
    }
  }
}

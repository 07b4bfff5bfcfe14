import { existsSync, lstatSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * True when there is surely no Lodestar for a folder: none of the folders above it has a `.lodestar`. A linked worktree's `.git` file may
 * lead to one elsewhere; that is not looked into. For calls that are made in every repository and should cost nothing in most.
 */
export function nothingHere(from: string): boolean {
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, ".lodestar"))) return false;
    const git = lstatSync(join(folder, ".git"), { throwIfNoEntry: false });
    if (git?.isDirectory()) return true;
    if (git !== undefined) return false;
    if (dirname(folder) === folder) return true;
  }
}

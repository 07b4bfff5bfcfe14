import { existsSync, lstatSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** What a folder is to Lodestar, as far as a few looks tell. */
export type Here =
  | { readonly kind: "nothing" }
  /** `shared` is the folder of what all worktrees of the repository share. */
  | { readonly kind: "set up"; readonly shared: string }
  | { readonly kind: "unclear" };

const UNCLEAR: Here = { kind: "unclear" };

/**
 * Tells surely and cheaply, in the usual cases, what `findPlace` finds out in all: for hooks, which are called in every repository, after
 * every step of an agent, and mostly for nothing. `nothing`: none of the folders up to the repository's has a `.lodestar`. `set up`: a plain
 * repository, or a linked worktree of one. Anything else is unclear: links, submodules, a bare repository, a configured worktree, and a
 * linked worktree without a spec, whose main one may have it.
 */
export function lookHere(from: string): Here {
  let root: string | undefined;
  for (let folder = from; ; folder = dirname(folder)) {
    const own = join(folder, ".lodestar");
    const known = root === undefined ? lstatSync(own, { throwIfNoEntry: false }) : undefined;
    if (known !== undefined) {
      if (!known.isDirectory() || !existsSync(join(own, "spec.yaml"))) return UNCLEAR;
      root = folder;
    }
    const git = lstatSync(join(folder, ".git"), { throwIfNoEntry: false });
    if (git === undefined && dirname(folder) !== folder) continue;
    if (root === undefined) return git === undefined || git.isDirectory() ? { kind: "nothing" } : UNCLEAR;
    const main = git === undefined ? folder : mainOf(folder, git.isDirectory());
    if (main === undefined) return UNCLEAR;
    return {
      kind: "set up",
      shared: join(git === undefined ? root : join(main, root.slice(folder.length)), ".lodestar"),
    };
  }
}

/** The main worktree of one that begins at a folder; `undefined` where that takes more than a look. */
function mainOf(folder: string, isMain: boolean): string | undefined {
  try {
    const line = isMain ? undefined : readFileSync(join(folder, ".git"), "utf8");
    const main = line === undefined ? folder : /^gitdir: (\/.+)\/\.git\/worktrees\/[^/]+\n$/.exec(line)?.[1];
    if (main === undefined || !lstatSync(join(main, ".git")).isDirectory()) return undefined;
    // Worktrees of its own choice, and bare repositories that are called `.git`.
    const config = readFileSync(join(main, ".git", "config"), "utf8");
    return /worktree|include|\bbare\b(?!\s*=\s*false\s*$)/im.test(config) ? undefined : main;
  } catch {
    return undefined;
  }
}

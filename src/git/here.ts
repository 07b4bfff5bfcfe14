/** What a folder is to Lodestar, as far as a few looks tell. */
export type Here =
  | { readonly kind: "nothing" }
  /** `root` is the folder of the spec's `.lodestar`; `shared`, the folder of what all worktrees of the repository share. */
  | { readonly kind: "set up"; readonly root: string; readonly shared: string }
  | { readonly kind: "unclear" };

const UNCLEAR: Here = { kind: "unclear" };

/**
 * Tells surely and cheaply, in the usual cases, what `findPlace` finds out in all: for hooks, which are called in every repository, after
 * every step of an agent, and mostly for nothing. `nothing`: none of the folders up to the repository's has a `.lodestar`. `set up`: a plain
 * repository, or a linked worktree of one. Anything else is unclear: submodules, a bare repository, a configured worktree, and a linked
 * worktree without a spec, whose main one may have it.
 *
 * It looks through Bun's own files: loading `node:fs` would cost more than all that a hook does here.
 *
 * @param from an absolute path, links followed; the folder itself may be one that is yet to be made.
 */
export function lookHere(from: string): Here {
  let root: string | undefined;
  for (let folder = from; ; folder = above(folder)) {
    if (root === undefined) {
      if (isThere(`${folder}/.lodestar/spec.yaml`)) root = folder;
      else if (isThere(`${folder}/.lodestar`)) return UNCLEAR;
    }
    const isMain = isThere(`${folder}/.git/HEAD`);
    if (isMain || isThere(`${folder}/.git`)) return inRepository(folder, root, isMain);
    if (above(folder) === folder)
      return root === undefined ? { kind: "nothing" } : { kind: "set up", root, shared: `${root}/.lodestar` };
  }
}

function inRepository(folder: string, root: string | undefined, isMain: boolean): Here {
  if (root === undefined) return isMain ? { kind: "nothing" } : UNCLEAR;
  const main = mainOf(folder, isMain);
  if (main === undefined) return UNCLEAR;
  return { kind: "set up", root, shared: `${main}${root.slice(folder.length)}/.lodestar` };
}

/** The folder that holds this one; itself where there is none. */
function above(folder: string): string {
  const end = folder.lastIndexOf(folder.includes("/") ? "/" : "\\");
  return end < 0 ? folder : folder.slice(0, end);
}

/** What Bun says of the time of a file that is not there. */
const NEVER = 2 ** 52 - 1;

/** True for whatever lies there; a link counts for what it leads to. */
const isThere = (path: string): boolean => Bun.file(path).lastModified !== NEVER;

/** The main worktree of one that begins at a folder; `undefined` where that takes more than a look. */
function mainOf(folder: string, isMain: boolean): string | undefined {
  try {
    const main = isMain ? folder : /^gitdir: (\/.+)\/\.git\/worktrees\/[^/]+\n$/.exec(read(`${folder}/.git`))?.[1];
    if (main === undefined || !isThere(`${main}/.git/HEAD`)) return undefined;
    // Worktrees of its own choice, and bare repositories that are called `.git`.
    const config = read(`${main}/.git/config`);
    return /worktree|include|\bbare\b(?!\s*=\s*false\s*$)/im.test(config) ? undefined : main;
  } catch {
    return undefined;
  }
}

/** A `.git` file or a `config` that is longer is looked at by the whole program. */
const SHORT = 64 * 1024;

/** A short file whose writers put a new one in its place, as Git does. @throws where there is none; for a pipe, whose size has no end. */
function read(path: string): string {
  if (Bun.file(path).size > SHORT) throw new RangeError(`${path} is no short file`);
  return new TextDecoder().decode(Bun.mmap(path));
}

import { existsSync, realpathSync, type Stats, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { LodestarError } from "../core/errors.ts";
import { readPlain } from "./plain-file.ts";

/** Where the planes of a directory lie. Found by reading `.git` files; no process is started. */
export interface Place {
  /** The folder whose `.lodestar/` holds the spec (or would): the nearest one with a spec, else the worktree's root. */
  readonly root: string;
  /** Root of the worktree; `root` itself outside Git. */
  readonly worktree: string;
  readonly git?: GitPlace;
}

export interface GitPlace {
  /** This worktree's own Git directory. */
  readonly git_dir: string;
  /** Shared by all worktrees; equal to `git_dir` in the main one. */
  readonly common_dir: string;
  /** Root of the main worktree; absent for a bare repository. */
  readonly main?: string;
  readonly linked: boolean;
}

/** What a path leads to; `"nowhere"` for a link that goes in circles and the like. */
function kindOf(path: string): Stats | "nowhere" | undefined {
  if (path.includes("\0")) return "nowhere";
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return "nowhere";
  }
}

/** True for a folder, and a link to one; false for what leads nowhere. */
export function isFolder(path: string): boolean {
  const kind = kindOf(path);
  return typeof kind === "object" && kind.isDirectory();
}

/** A `.git` file, `HEAD` or `commondir` that is longer is none. */
const SHORT_FILE = 64 * 1024;

/**
 * Finds the worktree and the spec's folder for a directory.
 * @returns `undefined` inside a bare repository or a `.git` folder, where no files are checked out.
 * @throws LodestarError `PATH_NOT_FOUND` when `from` does not exist; `NOT_A_REPOSITORY` when a `.git` file leads nowhere.
 */
export function findPlace(from: string): Place | undefined {
  let folder: string;
  try {
    folder = realpathSync.native(from);
  } catch (cause) {
    throw new LodestarError("PATH_NOT_FOUND", `There is no folder ${from}`, { cause });
  }
  const start = folder;
  let root: string | undefined;
  for (;;) {
    if (root === undefined && existsSync(join(folder, ".lodestar", "spec.yaml"))) root = folder;
    if (kindOf(join(folder, ".git")) !== undefined) {
      const git_dir = isFolder(join(folder, ".git")) ? join(folder, ".git") : followGitFile(folder);
      return { root: root ?? folder, worktree: folder, git: describeGit(git_dir) };
    }
    if (looksLikeGitDir(folder)) return undefined;
    const parent = dirname(folder);
    if (parent === folder) return { root: root ?? start, worktree: root ?? start };
    folder = parent;
  }
}

function looksLikeGitDir(folder: string): boolean {
  return existsSync(join(folder, "HEAD")) && isFolder(join(folder, "objects")) && isFolder(join(folder, "refs"));
}

/** Reads a linked worktree's or a submodule's `.git` file. */
function followGitFile(folder: string): string {
  const path = join(folder, ".git");
  // One line, but a folder's name may hold line ends and blanks: as Git does, only those at the end of the file are not its own.
  const target = /^gitdir: ?(.*?)[\r\n]*$/s.exec(readPlain(path, SHORT_FILE) ?? "")?.[1];
  const git_dir = target === undefined || target === "" ? undefined : resolve(folder, target);
  if (git_dir === undefined || !isFolder(git_dir)) throw pointsNowhere(path, git_dir);
  return realpathSync.native(git_dir);
}

function pointsNowhere(path: string, git_dir: string | undefined): LodestarError {
  return new LodestarError(
    "NOT_A_REPOSITORY",
    `${path} points to ${git_dir ?? "nothing"}, which is not there. This is a linked worktree without its repository: a container that mounts only the worktree looks so.`,
    { details: { git_file: path, git_dir: git_dir ?? "" } },
  );
}

function describeGit(git_dir: string): GitPlace {
  const shared = readPlain(join(git_dir, "commondir"), SHORT_FILE)?.replace(/[\r\n]+$/, "");
  const linked = shared !== undefined;
  const named = shared === undefined ? git_dir : resolve(git_dir, shared);
  if (!isFolder(named)) throw pointsNowhere(join(git_dir, "commondir"), named);
  const common_dir = linked ? realpathSync.native(named) : git_dir;
  const main = mainWorktree(common_dir);
  return main === undefined ? { git_dir, common_dir, linked } : { git_dir, common_dir, main, linked };
}

/**
 * The main worktree of a Git directory: told by `core.worktree` (submodules), else the parent of a `.git`, else the
 * worktree that its own `.git` file named. A bare repository has none, also when it is called `.git`.
 */
function mainWorktree(common_dir: string): string | undefined {
  const config = readPlain(join(common_dir, "config")) ?? "";
  const core = coreOf(config);
  if (core.bare?.toLowerCase() === "true") return undefined;
  const configured = core.worktree;
  if (configured !== undefined && configured !== "")
    return isAbsolute(configured) ? configured : resolve(common_dir, configured);
  // A separate Git directory does not know its worktree: all of its worktrees share the runtime inside it.
  return basename(common_dir) === ".git" ? dirname(common_dir) : undefined;
}

/**
 * What a Git configuration's `[core]` says of itself. Read line by line: patterns that ignore case cost every call more than the
 * rest of finding its place.
 */
function coreOf(config: string): { readonly bare?: string; readonly worktree?: string } {
  const core: { bare?: string; worktree?: string } = {};
  let inside = false;
  for (const each of config.split("\n")) {
    const line = each.trim();
    if (line.startsWith("[")) inside = line.toLowerCase() === "[core]";
    else if (inside) {
      const equals = line.indexOf("=");
      const name = line.slice(0, Math.max(0, equals)).trimEnd().toLowerCase();
      if (name === "bare" || name === "worktree") core[name] ??= line.slice(equals + 1).trimStart();
    }
  }
  return core;
}

/** The folder for what all worktrees share: the main worktree's `.lodestar/`, or `lodestar/` in a bare repository. */
export function sharedFolder(place: Place): string {
  const inside = relative(place.worktree, place.root);
  if (place.git === undefined) return join(place.root, ".lodestar");
  if (place.git.main === undefined) return join(place.git.common_dir, "lodestar", inside);
  return join(place.git.main, inside, ".lodestar");
}

/** The same place as the main worktree has it; `undefined` when this is no linked worktree of one. */
export function mainPlace(place: Place): Place | undefined {
  const { git } = place;
  if (git === undefined || !git.linked || git.main === undefined) return undefined;
  const root = join(git.main, relative(place.worktree, place.root));
  return { root, worktree: git.main, git: { ...git, git_dir: git.common_dir, linked: false } };
}

/** What HEAD says: a ref, or a commit. */
function readRef({ git_dir }: GitPlace): { readonly head: string; readonly ref?: string } {
  const head = (readPlain(join(git_dir, "HEAD"), SHORT_FILE) ?? "").trim();
  const ref = head.startsWith("ref:") ? head.slice(4).trimStart() : "";
  return ref === "" || ref.includes("\n") ? { head } : { head, ref };
}

const branchOf = (ref: string | undefined): string =>
  ref === undefined ? "(detached)" : ref.startsWith("refs/heads/") ? ref.slice("refs/heads/".length) : ref;

/** The name of what is checked out: a branch's, or `(detached)`; `""` outside Git. */
export function readBranch({ git }: Place): string {
  return git === undefined ? "" : branchOf(readRef(git).ref);
}

/** What is checked out, as {@link readBranch} names it, and the commit when it can be read from files. */
export function readHead(place: Place): { readonly branch: string; readonly commit?: string } {
  const { git } = place;
  if (git === undefined) return { branch: "" };
  const { head, ref } = readRef(git);
  const branch = branchOf(ref);
  if (ref === undefined) return /^[0-9a-f]{40,64}$/.test(head) ? { branch, commit: head } : { branch };
  const commit = (readPlain(join(git.common_dir, ref), SHORT_FILE) ?? packedRef(git.common_dir, ref) ?? "").trim();
  return /^[0-9a-f]{40,64}$/.test(commit) ? { branch, commit } : { branch };
}

function packedRef(common_dir: string, ref: string): string | undefined {
  const packed = readPlain(join(common_dir, "packed-refs"));
  const line = packed?.split("\n").find((entry) => entry.endsWith(` ${ref}`));
  return line?.slice(0, line.indexOf(" "));
}

/**
 * True when the place whose spec lay in `root` is still there: used to tell rows of removed worktrees. `root` may be a folder below
 * the worktree's own.
 */
export function worktreeExists(root: string): boolean {
  if (existsSync(join(root, ".git"))) return true;
  // A folder below: of a worktree that is gone, neither it nor its spec is there.
  return existsSync(join(root, ".lodestar", "spec.yaml")) && isInsideWorktree(root);
}

function isInsideWorktree(folder: string): boolean {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, ".git"))) return true;
    if (dirname(at) === at) return false;
  }
}

/** False when a branch of this repository is known not to be there (any more). */
export function branchExists({ git }: Place, branch: string): boolean {
  // Not every store of refs can be read from its files; "" and "(detached)" are no branches that could be deleted.
  if (git === undefined || branch === "" || branch === "(detached)" || existsSync(join(git.common_dir, "reftable")))
    return true;
  const ref = `refs/heads/${branch}`;
  return existsSync(join(git.common_dir, ref)) || packedRef(git.common_dir, ref) !== undefined || isUnborn(git, ref);
}

/** A branch that is checked out and has no commit yet. */
const isUnborn = (git: GitPlace, ref: string): boolean =>
  (readPlain(join(git.git_dir, "HEAD"), SHORT_FILE) ?? "").trim() === `ref: ${ref}`;

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { readPlainBytes } from "../../git/plain-file.ts";
import { gitSays } from "../../git/run.ts";
import { MAX_BYTES } from "../../spec/key.ts";
import type { Context } from "../context.ts";

/**
 * What the worktree's file holds beyond our version of a merge, `undefined` when it holds nothing else.
 *
 * `git merge` looks at the files, and only some hundred milliseconds later takes its lock; what is saved in between it takes for
 * committed, and writes over (S3). The driver runs after that, under the lock: it merges the file as it is now in our
 * version's place, as if it had been committed before. A file that was changed before the merge makes no difference: Git refuses
 * that merge itself.
 */
export function savedSince(context: Context, ours: string, path: string): Uint8Array | undefined {
  const now = readPlainBytes(join(context.cwd, path), MAX_BYTES);
  if (now === undefined || now.equals(readFileSync(resolve(context.cwd, ours)))) return undefined;
  // Our version is what this worktree has in its index, and a merge of it is under way: not one of two common ancestors, nor
  // one that touches no worktree.
  const lock = gitSays(context.cwd, "rev-parse", "--git-path", "index.lock");
  if (lock === undefined || !existsSync(resolve(context.cwd, lock))) return undefined;
  const [, indexed] = gitSays(context.cwd, "ls-files", "--stage", "--", path)?.split(/\s/) ?? [];
  const version = gitSays(context.cwd, "hash-object", "--no-filters", "--", resolve(context.cwd, ours));
  return indexed !== undefined && indexed === version ? now : undefined;
}

import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { isThere } from "./plain-file.ts";
import { replaceFile } from "./replace.ts";
import { gitSays } from "./run.ts";
import type { Place } from "./worktree.ts";

/** The hooks of Git in which Lodestar has something to say. */
export const HOOKS = ["pre-commit", "prepare-commit-msg", "post-merge", "post-checkout"] as const;
export type Hook = (typeof HOOKS)[number];

const MARK = "# Lodestar's: put here by `lodestar git install --hooks`, taken out by `lodestar git uninstall`.";
/** A hook that was there before ours is kept under this name, and runs first. */
const KEPT = ".before-lodestar";
/** The one answer that stops a commit: `LOCK_CONFLICT`. Whatever else goes wrong with Lodestar is not the commit's fault. */
const REFUSED = 4;

const script = (hook: Hook): string => `#!/bin/sh
${MARK}
if [ -x "$0${KEPT}" ]; then "$0${KEPT}" "$@" || exit $?; fi
command -v lodestar >/dev/null 2>&1 || exit 0
lodestar git hook ${hook} -- "$@"
[ $? -eq ${REFUSED} ] && exit 1
exit 0
`;

/** Git's folder of hooks, which `core.hooksPath` may have moved; `undefined` outside Git or without it. */
export function hooksFolder(place: Place): string | undefined {
  if (place.git === undefined) return undefined;
  const path = gitSays(place.root, "rev-parse", "--git-path", "hooks");
  return path === undefined ? undefined : resolve(place.root, path);
}

const isOurs = (path: string): boolean =>
  (lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false) && readFileSync(path, "utf8").includes(MARK);

/** Which of our hooks are in place. */
export function installedHooks(folder: string): Hook[] {
  return HOOKS.filter((hook) => isOurs(join(folder, hook)));
}

export interface HooksChanged {
  readonly hooks: readonly string[];
  /** Hooks of others that were moved, and run before ours; or were put back. */
  readonly kept: readonly string[];
  /** Left alone: why. */
  readonly left: readonly string[];
}

/** Puts our hooks in place; those of others are kept and run first. */
export function installHooks(folder: string): HooksChanged {
  mkdirSync(folder, { recursive: true });
  const changed = { hooks: [] as string[], kept: [] as string[], left: [] as string[] };
  for (const hook of HOOKS) {
    const path = join(folder, hook);
    if (isThere(path) && !isOurs(path)) {
      if (isThere(path + KEPT)) {
        changed.left.push(
          `${path} was replaced after Lodestar's hook was installed, and ${hook}${KEPT} is still there`,
        );
        continue;
      }
      renameSync(path, path + KEPT);
      changed.kept.push(path + KEPT);
    }
    if (isThere(path) && readFileSync(path, "utf8") === script(hook)) continue;
    replaceFile(path, script(hook), 0o755);
    changed.hooks.push(path);
  }
  return changed;
}

/** Takes our hooks out and puts those back that were there before. A hook that somebody has changed since stays. */
export function uninstallHooks(folder: string): HooksChanged {
  const changed = { hooks: [] as string[], kept: [] as string[], left: [] as string[] };
  for (const hook of HOOKS) {
    const path = join(folder, hook);
    if (!isThere(path + KEPT) && !isOurs(path)) continue;
    if (isThere(path) && !isOurs(path)) {
      changed.left.push(`${path} is not Lodestar's any more; ${hook}${KEPT} is the one that was there before`);
      continue;
    }
    if (isThere(path)) {
      rmSync(path);
      changed.hooks.push(path);
    }
    if (!isThere(path + KEPT)) continue;
    renameSync(path + KEPT, path);
    changed.kept.push(path);
  }
  return changed;
}

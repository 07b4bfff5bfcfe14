import { mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import { insist } from "../core/platform.ts";
import { isPlain, isThere, readPlain } from "./plain-file.ts";
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

const isOurs = (path: string): boolean => isPlain(path) && (readPlain(path) ?? "").includes(MARK);

/** Windows knows no such bit and reports one: there every file may be run. */
const isExecutable = (path: string): boolean => (statSync(path).mode & 0o111) !== 0 || sep === "\\";
const isAsInstalled = (path: string, hook: Hook): boolean =>
  isOurs(path) && readPlain(path) === script(hook) && isExecutable(path);

export interface HooksState {
  /** Nobody asked for hooks here, or took them out: nothing is wrong with that. */
  readonly wanted: boolean;
  /** Gone, changed or not executable: installing again mends them. */
  readonly broken: readonly Hook[];
  /** Replaced by somebody's own while an older one of theirs is kept: only a person can say which counts. */
  readonly replaced: readonly Hook[];
}

/** How our hooks are, where some of them are in place. */
export function hooksState(folder: string): HooksState {
  const wanted = HOOKS.some((hook) => isOurs(join(folder, hook)));
  const isReplaced = (hook: Hook): boolean => {
    const path = join(folder, hook);
    return isThere(path) && !isOurs(path) && isThere(path + KEPT);
  };
  const replaced = wanted ? HOOKS.filter(isReplaced) : [];
  const broken = wanted ? HOOKS.filter((hook) => !isReplaced(hook) && !isAsInstalled(join(folder, hook), hook)) : [];
  return { wanted, broken, replaced };
}

export interface HooksChanged {
  readonly hooks: readonly string[];
  /** Hooks of others that were moved, and run before ours; or were put back. */
  readonly kept: readonly string[];
  /** Left alone: why. */
  readonly left: readonly string[];
  /** Ours, with somebody's changes: where they are now. */
  readonly saved: readonly string[];
}

/** Puts our hooks in place; those of others are kept and run first. */
export function installHooks(folder: string): HooksChanged {
  mkdirSync(folder, { recursive: true });
  const changed = { hooks: [] as string[], kept: [] as string[], left: [] as string[], saved: [] as string[] };
  for (const hook of HOOKS) {
    const path = join(folder, hook);
    if (isThere(path) && !isOurs(path)) {
      if (isThere(path + KEPT)) {
        changed.left.push(
          `${path} was replaced after Lodestar's hook was installed, and ${hook}${KEPT} is still there`,
        );
        continue;
      }
      insist(() => renameSync(path, path + KEPT));
      changed.kept.push(path + KEPT);
    }
    if (isAsInstalled(path, hook)) continue;
    if (isThere(path) && readPlain(path) !== script(hook)) {
      let n = 1;
      while (isThere(`${path}.changed-${n}`)) n += 1;
      insist(() => renameSync(path, `${path}.changed-${n}`));
      changed.saved.push(`${path}.changed-${n}`);
    }
    replaceFile(path, script(hook), 0o755);
    changed.hooks.push(path);
  }
  return changed;
}

/** Takes our hooks out and puts those back that were there before. A hook that somebody has changed since stays. */
export function uninstallHooks(folder: string): HooksChanged {
  const changed = { hooks: [] as string[], kept: [] as string[], left: [] as string[], saved: [] as string[] };
  for (const hook of HOOKS) {
    const path = join(folder, hook);
    if (!isThere(path + KEPT) && !isOurs(path)) continue;
    if (isThere(path) && !isOurs(path)) {
      changed.left.push(`${path} is not Lodestar's any more; ${hook}${KEPT} is the one that was there before`);
      continue;
    }
    if (isThere(path)) {
      insist(() => rmSync(path));
      changed.hooks.push(path);
    }
    if (!isThere(path + KEPT)) continue;
    insist(() => renameSync(path + KEPT, path));
    changed.kept.push(path);
  }
  return changed;
}

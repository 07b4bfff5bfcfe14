import { relative } from "node:path";
import { LodestarError, unwritable } from "../../core/errors.ts";
import { Flag, List, Optional, Shape, Text } from "../../core/schema.ts";
import { line, list } from "../../core/view.ts";
import { installDriver } from "../../git/attributes.ts";
import { hooksFolder, installHooks } from "../../git/hooks.ts";
import { gitSays } from "../../git/run.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";

export default command({
  name: "git.install",
  effect: "write",
  summary: "Have Git merge the spec by tasks",
  explain:
    "Tells Git to merge .lodestar/spec.yaml with `lodestar git merge-driver`: a line in .gitattributes, which is committed and holds for everybody, and the driver in this clone's configuration, which each clone needs once (`lodestar init` does the same). --hooks also installs pre-commit (refuses files inside another agent's path locks), prepare-commit-msg (adds a Lodestar-Task trailer), post-merge and post-checkout (write outcomes that waited for this branch, say what was unblocked). Hooks that exist are kept and run first; core.hooksPath is respected. `lodestar git uninstall` takes it all out again.",
  anywhere: true,
  input: Shape({ hooks: Optional(Flag({ description: "Install the hooks too" })) }),
  output: Shape({
    installed: Flag(),
    changed: List(Text({ description: "Files and settings that were written" })),
    kept: Optional(List(Text({ description: "Hooks that were there before; they run first" }))),
  }),
  errors: ["NOT_A_REPOSITORY"],
  examples: [
    { line: "lodestar git install", shows: "The merge driver" },
    { line: "lodestar git install --hooks", shows: "The merge driver and the hooks" },
  ],
  run: async (input, context) => {
    requireGit(context);
    const { place } = context;
    const driver = writing(place.root, () => installDriver(place));
    const folder = input.hooks === true ? hooksFolder(place) : undefined;
    const hooks = folder === undefined ? undefined : writing(folder, () => installHooks(folder));
    for (const why of hooks?.left ?? []) context.warn(why);
    for (const path of hooks?.saved ?? []) context.warn(`A hook of Lodestar's had been changed; it is kept as ${path}`);
    const kept = hooks?.kept ?? [];
    return {
      installed: true,
      changed: shown(place.worktree, [...driver.files, ...(hooks?.hooks ?? [])], driver.config),
      ...(kept.length === 0 ? {} : { kept: shown(place.worktree, kept, false) }),
    };
  },
  view: ({ changed, kept }) => [
    line(changed.length === 0 ? "Everything is installed already" : "Git merges .lodestar/spec.yaml by tasks", "good"),
    ...(changed.length === 0 ? [] : [list(changed, "Written")]),
    ...(kept === undefined ? [] : [list(kept, "Kept, and run first")]),
    ...(changed.includes(".gitattributes") ? [line("Commit .gitattributes")] : []),
  ],
});

/** @throws LodestarError `NOT_A_REPOSITORY` outside Git, or when there is no git to ask. */
export function requireGit(context: Context): void {
  const { place } = context;
  if (place.git !== undefined && gitSays(place.root, "rev-parse", "--git-dir") !== undefined) return;
  throw new LodestarError("NOT_A_REPOSITORY", `${place.root} is not in a Git repository that git can read`, {
    details: { path: place.root },
    hint: "Run it inside a repository, with git installed.",
  });
}

export function writing<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

/** Paths as a person in this worktree writes them; the configuration by its name. */
export function shown(worktree: string, paths: readonly string[], config: boolean): string[] {
  const near = (path: string) => {
    const inside = relative(worktree, path);
    return inside.startsWith("..") ? path : inside;
  };
  return [...(config ? ["merge.lodestar in this clone's configuration"] : []), ...paths.map(near)];
}

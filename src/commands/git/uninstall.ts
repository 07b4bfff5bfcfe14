import { Flag, List, Optional, Shape, Text } from "../../core/schema.ts";
import { line, list } from "../../core/view.ts";
import { uninstallDriver } from "../../git/attributes.ts";
import { hooksFolder, uninstallHooks } from "../../git/hooks.ts";
import { command } from "../command.ts";
import { requireGit, shown, writing } from "./install.ts";

export default command({
  name: "git.uninstall",
  effect: "write",
  summary: "Take the merge driver and the hooks out again",
  explain:
    "Removes exactly what `lodestar git install` has put in: the driver from this clone's configuration, its line from .gitattributes, the hooks. Hooks that were there before are put back under their names; one that somebody has changed since stays, with a warning.",
  anywhere: true,
  input: Shape({}),
  output: Shape({
    installed: Flag(),
    removed: List(Text({ description: "Files and settings that were taken out or shortened" })),
    restored: Optional(List(Text({ description: "Hooks that are back under their own names" }))),
  }),
  errors: ["NOT_A_REPOSITORY"],
  examples: [{ line: "lodestar git uninstall", shows: "Take it all out" }],
  run: async (_input, context) => {
    requireGit(context);
    const { place } = context;
    const driver = writing(place.root, () => uninstallDriver(place));
    const folder = hooksFolder(place);
    const hooks = folder === undefined ? undefined : writing(folder, () => uninstallHooks(folder));
    for (const why of hooks?.left ?? []) context.warn(why);
    const restored = hooks?.kept ?? [];
    return {
      installed: false,
      removed: shown(place.worktree, [...driver.files, ...(hooks?.hooks ?? [])], driver.config),
      ...(restored.length === 0 ? {} : { restored: shown(place.worktree, restored, false) }),
    };
  },
  view: ({ removed, restored }) => [
    line(
      removed.length === 0 ? "Nothing of Lodestar is installed here" : "Git merges .lodestar/spec.yaml as any text",
      "good",
    ),
    ...(removed.length === 0 ? [] : [list(removed, "Taken out")]),
    ...(restored === undefined ? [] : [list(restored, "Put back")]),
  ],
});

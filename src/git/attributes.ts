import { rmSync } from "node:fs";
import { join } from "node:path";
import { holdsUp, isExtensible, isPlain, isThere, readPlain } from "./plain-file.ts";
import { replaceFile } from "./replace.ts";
import { git, gitSays } from "./run.ts";
import type { Place } from "./worktree.ts";

/**
 * Where `lodestar` is not on the path, Git's own textual merge takes its place: a driver that cannot be started would leave our side in
 * the file without a marker, as if theirs had been nothing. The same where it fails in another way than by a conflict (killed, an
 * older version, a full disk); that is a conflict for Git whatever the lines say, because nobody has looked at the tasks.
 */
const DRIVER =
  "if command -v lodestar >/dev/null 2>&1; then lodestar git merge-driver %O %A %B %P; s=$?; [ $s -le 1 ] || { git merge-file %A %O %B; s=1; }; exit $s; else git merge-file %A %O %B; fi";
const NAME = "Lodestar: task by task, field by field";
const LINE = ".lodestar/spec.yaml merge=lodestar";
const OUR_LINE = /^\.lodestar\/spec\.yaml merge=lodestar(?:\r?\n|$)/gm;

/** Which halves of the merge driver are there: the clone's configuration, and the attribute that travels with the repository. */
export interface DriverState {
  readonly config: boolean;
  readonly attributes: boolean;
  /** What the configuration names, ours or not. */
  readonly driver?: string;
}

const attributesPath = (place: Place): string => join(place.root, ".gitattributes");
const othersPaths = (root: string, common_dir: string): string[] => [
  join(root, ".lodestar", ".gitattributes"),
  join(common_dir, "info", "attributes"),
];

/**
 * The files besides `.gitattributes` that have a word on how the spec is merged, and win over it.
 * @returns their paths.
 */
export function overridingAttributes(place: Place): string[] {
  if (place.git === undefined) return [];
  return othersPaths(place.root, place.git.common_dir).filter((path) => /\bmerge\b/.test(readPlain(path) ?? ""));
}

/** Asks Git itself: configuration may come from another file, attributes too. Without Git, or outside it: nothing is there. */
export function driverState(place: Place): DriverState {
  if (place.git === undefined) return { config: false, attributes: false };
  const path = attributesPath(place);
  const isReadable = ![path, ...othersPaths(place.root, place.git.common_dir)].some(holdsUp);
  const attribute = isReadable ? gitSays(place.root, "check-attr", "merge", "--", ".lodestar/spec.yaml") : undefined;
  const driver = gitSays(place.root, "config", "--get", "merge.lodestar.driver");
  return {
    ...(driver === undefined ? {} : { driver }),
    config: driver === DRIVER,
    attributes: attribute?.endsWith(": merge: lodestar") ?? false,
  };
}

/**
 * Installs the merge driver: `merge.lodestar` in the clone's configuration, one line in `.gitattributes`.
 * @returns what was written: the path of `.gitattributes`, and `merge.lodestar` for the configuration.
 */
export function installDriver(place: Place): { readonly files: readonly string[]; readonly config: boolean } {
  if (place.git === undefined) return { files: [], config: false };
  const config = configure(place.root, place.git.common_dir);
  const path = attributesPath(place);
  // Git does not follow a link in this place; nor do we, out of the repository.
  if ((isThere(path) && !isPlain(path)) || !isExtensible(path)) return { files: [], config };
  const before = readPlain(path) ?? "";
  const rules = before.split(/\r?\n/).filter((line) => line !== "");
  const isLast = rules.at(-1) === LINE;
  if (isLast || (rules.includes(LINE) && driverState(place).attributes)) return { files: [], config };
  const eol = before.includes("\r\n") ? "\r\n" : "\n";
  // The last rule that matches wins: one that stands below ours is why ours does not hold.
  const others = before.replaceAll(OUR_LINE, "");
  replaceFile(path, `${others}${others === "" || others.endsWith("\n") ? "" : eol}${LINE}${eol}`);
  return { files: [path], config };
}

/** @returns true when the configuration was changed. */
function configure(root: string, common_dir: string): boolean {
  const path = join(common_dir, "config");
  // Read before a process is started: most calls find it there.
  if (readPlain(path)?.includes(`driver = "${DRIVER}"`)) return false;
  git(root, "config", "--local", "merge.lodestar.name", NAME);
  return git(root, "config", "--local", "merge.lodestar.driver", DRIVER)?.exit === 0;
}

/** Takes out exactly what {@link installDriver} put in. @returns what was taken out. */
export function uninstallDriver(place: Place): { readonly files: readonly string[]; readonly config: boolean } {
  if (place.git === undefined) return { files: [], config: false };
  const config = git(place.root, "config", "--local", "--remove-section", "merge.lodestar")?.exit === 0;
  const path = attributesPath(place);
  const before = isPlain(path) ? readPlain(path) : undefined;
  if (before === undefined) return { files: [], config };
  const after = before.replaceAll(OUR_LINE, "");
  if (after === before) return { files: [], config };
  if (after === "") rmSync(path);
  else replaceFile(path, after);
  return { files: [path], config };
}

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { unwritable } from "../core/errors.ts";
import { holdsUp, isExtensible, isThere, readPlain } from "./plain-file.ts";
import { replaceFile } from "./replace.ts";
import { git } from "./run.ts";
import type { Place } from "./worktree.ts";

/** What is Lodestar's own and never committed. */
const OWN_FILES = ["runtime.sqlite*", "index.sqlite*", "spec.lock", "*.tmp", "*.backup-*"];

const EXCLUDES = OWN_FILES.map((name) => `**/.lodestar/${name}`);

/**
 * Keeps the databases out of Git on every branch: `.lodestar/.gitignore` travels with the repository, `info/exclude` holds for
 * this clone also on branches without a `.lodestar/` and in repositories that the predecessor made (counterexample 22). An
 * existing `.gitignore` is left as it is.
 *
 * @returns the files that were written.
 * @throws LodestarError `READ_ONLY` or `DISK_FULL`
 */
export function ensureIgnored(place: Place, folder: string = join(place.root, ".lodestar")): string[] {
  const written: string[] = [];
  mkdirSync(folder, { recursive: true });
  const own = join(folder, ".gitignore");
  if (!isThere(own)) {
    writing(own, () =>
      replaceFile(own, `# Lodestar's own state: rebuilt or local, never committed\n${OWN_FILES.join("\n")}\n`),
    );
    written.push(own);
  }
  if (place.git === undefined) return written;
  const info = join(place.git.common_dir, "info");
  const exclude = join(info, "exclude");
  const text = readPlain(exclude) ?? "";
  const lines = new Set(text.split(/\r?\n/));
  const missing = EXCLUDES.filter((pattern) => !lines.has(pattern));
  if (missing.length === 0) return written;
  writing(exclude, () => {
    mkdirSync(info, { recursive: true });
    if (!isExtensible(exclude)) throw new Error("it is no readable file");
    replaceFile(exclude, `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${missing.join("\n")}\n`);
  });
  written.push(exclude);
  return written;
}

/** True when `info/exclude` of this clone holds all our patterns. */
export function isIgnored(place: Place): boolean {
  if (place.git === undefined) return true;
  const exclude = join(place.git.common_dir, "info", "exclude");
  const lines = new Set((readPlain(exclude) ?? "").split(/\r?\n/));
  return EXCLUDES.every((pattern) => lines.has(pattern));
}

/** One of our files that Git would commit, and the rule that says so (`file:line:pattern`), if a rule does. */
export interface Unignored {
  readonly path: string;
  readonly rule?: string;
}

const PROBES = ["runtime.sqlite", "runtime.sqlite-wal", "index.sqlite", "spec.yaml.backup-0"];

/** Asks Git itself, which knows every rule that a person may have added. @returns `undefined` when Git cannot be asked. */
export function unignored({ root }: Place): Unignored[] | undefined {
  const paths = PROBES.map((name) => `.lodestar/${name}`);
  if ([join(root, ".gitignore"), join(root, ".lodestar", ".gitignore")].some(holdsUp)) return undefined;
  const asked = git(root, "-c", "core.quotePath=false", "check-ignore", "--no-index", "-v", "-n", ...paths);
  if (asked === undefined || asked.exit > 1) return undefined;
  return asked.out
    .toString()
    .split("\n")
    .flatMap((line): Unignored[] => {
      const [rule = "", path = ""] = line.split("\t");
      const pattern = /^.*?:\d*:(.*)$/.exec(rule)?.[1] ?? "";
      if (path === "" || (pattern !== "" && !pattern.startsWith("!"))) return [];
      return [pattern === "" ? { path } : { path, rule }];
    });
}

function writing(path: string, write: () => void): void {
  try {
    write();
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

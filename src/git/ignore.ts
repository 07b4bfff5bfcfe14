import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { unwritable } from "../core/errors.ts";
import { isExtensible, isThere, readPlain } from "./plain-file.ts";
import { replaceFile } from "./replace.ts";
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

function writing(path: string, write: () => void): void {
  try {
    write();
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

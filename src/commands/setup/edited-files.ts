/** Which files a coding agent is about to write, as its hook is told. Loaded by hooks that have nothing to do, too: it imports little. */
import { readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { agree, plainPrefix } from "../../core/glob-prefix.ts";
import { lookHere } from "../../git/here.ts";

/** What the tool says. Everything in it is a stranger's word: whatever is not of the form that is looked for is not there. */
export type Said = Readonly<Record<string, unknown>>;

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

/** More files than any edit names. */
const MOST_FILES = 1000;

/** What tools that change files are called. */
const WRITES = /edit|create|write|replace|insert|patch|delete|move|rename|update|modify|append|save/i;

/** Copilot's arguments: an object, in older versions the JSON of one. */
function argsOf(given: unknown): unknown {
  if (typeof given !== "string") return given;
  try {
    return JSON.parse(given);
  } catch {
    // A patch is a text by itself.
    return given;
  }
}

/** The files that a tool is about to write, under the names that the tools have for them, and those that a patch names. */
export function filesIn(said: Said): string[] {
  // Who announces every tool (Copilot; VS Code, which looks at no matcher) also announces those that only read.
  const tool = text(said.toolName) ?? text(said.tool_name);
  if (tool !== undefined && !WRITES.test(tool)) return [];
  const given = said.tool_input ?? argsOf(said.toolArgs);
  const input = isRecord(given) ? given : typeof given === "string" ? { patch: given } : {};
  const { file_path, notebook_path, path, filePath, files, edits, replacements, command, patch, patchText, diff } =
    input;
  const listed = [files, edits, replacements].flatMap((list) => (Array.isArray(list) ? list : []));
  const found = [file_path, notebook_path, path, filePath, said.file_path, ...listed].map((each: unknown) =>
    text(isRecord(each) ? (each.file_path ?? each.filePath ?? each.path) : each),
  );
  for (const patched of [command, patch, patchText, diff, input.input]) {
    if (typeof patched !== "string" || !patched.includes("*** Begin Patch")) continue;
    for (const [, name] of patched.matchAll(/^\*\*\* (?:(?:Add|Update|Delete) File|Move to): (.+?)\r?$/gm))
      found.push(name);
  }
  return [...new Set(found.flatMap((each) => each ?? []))].slice(0, MOST_FILES);
}

/** No system opens a longer path. */
const LONGEST_PATH = 4096;

/** The file's whole path; none for what no system opens. */
export function wholePath(file: string, base: string): string | undefined {
  if (file.includes("\0") || file.length > LONGEST_PATH) return undefined;
  return isAbsolute(file) ? file : resolve(base, file);
}

/** The way from a folder to a path inside of it, with slashes. */
export function inside(root: string, path: string): string | undefined {
  const way = relative(root, path);
  return way === "" || way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way)
    ? undefined
    : way.replaceAll("\\", "/");
}

/** As many links as systems follow. */
const MOST_LINKS = 40;

/** The path with links followed as far as there is something; a new file is where its folder is, or where the link leads that stands there. */
export function real(path: string, links = MOST_LINKS): string {
  try {
    return realpathSync(path);
  } catch {
    const above = dirname(path);
    if (above === path) return path;
    const here = join(real(above, links), basename(path));
    const target = links === 0 ? undefined : targetOf(here);
    return target === undefined ? here : real(resolve(dirname(here), target), links - 1);
  }
}

function targetOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/**
 * True when surely none of the files that are named is inside any of the patterns: each lies in the same worktree, and its path and the
 * beginnings of all patterns differ, links followed or not. The rest is for the whole program to find out.
 *
 * @param cwd where the hook runs, links followed; @param root the folder of `.lodestar/` that {@link lookHere} finds from there.
 */
export function areElsewhere(said: Said, cwd: string, root: string, patterns: readonly string[]): boolean {
  // The root of a file system has a name of its own kind.
  if (/^(?:[a-z]:)?[\\/]?$/i.test(root)) return false;
  const beginnings = patterns.map(plainPrefix);
  return filesIn(said).every((file) => {
    const path = wholePath(file, text(said.cwd) ?? cwd);
    if (path === undefined) return false;
    const followed = real(path);
    const here = lookHere(dirname(followed));
    const own = inside(root, followed);
    if (here.kind !== "set up" || here.root !== root || own === undefined) return false;
    const names = [own, inside(root, path) ?? own];
    return !names.some((name) => beginnings.some((beginning) => agree(name, beginning)));
  });
}

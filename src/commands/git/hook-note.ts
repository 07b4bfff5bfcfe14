/** What a hook found out after it had returned, kept for the next command of this worktree. */
import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { check } from "../../core/check.ts";
import { List, Optional, Shape, type Static, Text } from "../../core/schema.ts";
import { isPlain, readPlain } from "../../git/plain-file.ts";
import { putFile } from "../../git/replace.ts";
import type { Place } from "../../git/worktree.ts";
import type { Context } from "../context.ts";

const HookNote = Shape({
  hook: Text(),
  branch: Text({ description: "Where it was found out: on another branch it is of no use" }),
  written: Optional(List(Text())),
  unblocked: Optional(List(Text())),
  problem: Optional(Text({ description: "Why nothing was found out" })),
});
export type HookNote = Static<typeof HookNote>;

/** In this worktree's own Git directory; `undefined` outside Git. */
export function notePath({ git }: Place): string | undefined {
  return git === undefined ? undefined : join(git.git_dir, "lodestar", "hook-note.json");
}

export function leaveNote(place: Place, note: HookNote): void {
  const path = notePath(place);
  if (path === undefined) return;
  mkdirSync(dirname(path), { recursive: true });
  putFile(path, JSON.stringify(note));
}

export function dropNote(place: Place): void {
  const path = notePath(place);
  if (path !== undefined && isPlain(path)) rmSync(path, { force: true });
}

/** Says what was left to say, once. */
export function tellNote(context: Context): void {
  const path = notePath(context.place);
  if (path === undefined || !isPlain(path)) return;
  const note = readNote(path);
  rmSync(path, { force: true });
  if (note === undefined || note.branch !== context.branch()) return;
  const { hook, written, unblocked, problem } = note;
  if (problem !== undefined) context.warn(`Lodestar could not help with ${hook}: ${problem}`);
  if (written !== undefined)
    context.warn(`After ${hook}, wrote to the spec what had waited for this branch: ${written.join(", ")}`);
  if (unblocked !== undefined) context.warn(`Unblocked by ${hook}: ${unblocked.join(", ")}`);
}

/** @returns `undefined` for one that somebody else wrote: nothing of it is worth a failure. */
function readNote(path: string): HookNote | undefined {
  try {
    const note: unknown = JSON.parse(readPlain(path) ?? "");
    return check(HookNote, note).length === 0 ? (note as HookNote) : undefined;
  } catch {
    return undefined;
  }
}

import { LodestarError } from "../../core/errors.ts";
import type { Prd, PrdRef } from "../../core/task.ts";
import { versionsOf } from "../../git/history.ts";
import { Book } from "../../prd/drift.ts";
import { bodyPart, fingerprintOf, hashOf, sourceHash } from "../../prd/fingerprint.ts";
import { outlineOf } from "../../prd/section.ts";
import { locateSource, type Shelf } from "../../prd/source.ts";
import { decode, linesOf } from "../../prd/text.ts";

/** What a source, or a section of it, said when it was frozen. */
export interface Then {
  readonly text: string;
  /** The commit it was found in; none: the task's excerpt holds it. */
  readonly commit?: string;
}

/** How many versions are taken apart when none is the one that was frozen as a whole, and how many bytes of them. */
const MOST_PARSED = 30;
const MOST_BYTES = 8 * 1024 * 1024;

/**
 * Finds what a task's sections said when they were frozen: in the excerpt where it holds that text, else in Git's history, by hash. First
 * the version of the whole file is looked for; when it was never committed, versions whose section has the frozen text.
 *
 * @returns the text of each section that was found; the whole file's under `""`.
 */
export function findThen(shelf: Shelf, prd: Prd): ReadonlyMap<string, Then> {
  const found = new Map<string, Then>();
  const refs = prd.refs ?? [];
  for (const ref of refs) if (holds(prd.excerpt, ref)) found.set(ref.anchor, { text: prd.excerpt ?? "" });
  const isDone = () => (refs.length === 0 ? found.has("") : refs.every(({ anchor }) => found.has(anchor)));
  if (isDone()) return found;
  const path = pathOf(shelf, prd.source);
  if (path === undefined) return found;
  const others: { readonly commit: string; readonly text: string }[] = [];
  let left = MOST_BYTES;
  for (const { commit, bytes } of versionsOf(shelf.worktree, path)) {
    if (prd.prd_hash !== undefined && sourceHash(bytes) === prd.prd_hash) {
      const text = decode(bytes);
      found.set("", { text, commit });
      take(found, refs, text, commit, true);
      return found;
    }
    left -= bytes.length;
    if (others.length < MOST_PARSED && left > 0) others.push({ commit, text: decode(bytes) });
  }
  for (const { commit, text } of others) {
    if (isDone()) break;
    take(found, refs, text, commit, false);
  }
  return found;
}

/** The sections of a version, as far as they are what was frozen. */
function take(
  found: Map<string, Then>,
  refs: readonly PrdRef[],
  text: string,
  commit: string,
  isFrozen: boolean,
): void {
  const book = new Book(outlineOf(text));
  const lines = linesOf(text);
  for (const { anchor, hash } of refs) {
    if (found.has(anchor)) continue;
    // Lodestar 1.0 froze the whole file: whatever the section says in it is what it said then.
    const section = book.find(anchor) ?? (isFrozen ? book.findAs10(anchor) : undefined);
    if (section === undefined) continue;
    if (hash === undefined ? isFrozen : fingerprintOf(section) === hash)
      found.set(anchor, { text: lines.slice(section.lines[0] - 1, section.lines[1]).join("\n"), commit });
  }
}

/** True when the excerpt is the frozen text, with its heading or without. */
function holds(excerpt: string | undefined, { hash }: PrdRef): boolean {
  if (excerpt === undefined || hash === undefined || bodyPart(hash) === "") return false;
  const lines = linesOf(excerpt).map((line) => line.trimEnd());
  const body = lines.join("\n").trim();
  if (hashOf(body).startsWith(bodyPart(hash))) return true;
  return outlineOf(excerpt).sections.some((section) => fingerprintOf(section) === hash);
}

function pathOf(shelf: Shelf, source: string): string | undefined {
  try {
    return locateSource(shelf, source).path;
  } catch (error) {
    if (error instanceof LodestarError) return undefined;
    throw error;
  }
}

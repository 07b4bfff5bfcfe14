import { LodestarError } from "../../core/errors.ts";
import type { Prd, PrdRef } from "../../core/task.ts";
import { type Book, isUntouched, nameOf } from "../../prd/drift.ts";
import { fingerprintOf } from "../../prd/fingerprint.ts";
import type { Section } from "../../prd/section.ts";
import type { Sources } from "./sources.ts";

/** What a planner gives of a task's product context. */
export interface Citation {
  readonly source: string;
  readonly refs: readonly PrdRef[];
  readonly excerpt?: string;
  /** Frozen earlier: what the task was written against. */
  readonly prd_hash?: string;
}

/**
 * Freezes what a task cites: the source's name and hash, each section's anchor, lines and fingerprint. What was frozen before stays as
 * it was.
 *
 * @param strict false lets a missing file or section pass (`--no-validate-prd`); a place outside the repository never.
 * @throws LodestarError `PRD_OUTSIDE_REPOSITORY`, `PATH_NOT_FOUND`, `ANCHOR_NOT_FOUND`
 */
export async function freeze(sources: Sources, cwd: string, citation: Citation, strict: boolean): Promise<Prd> {
  const name = sources.nameOf(citation.source, cwd);
  const rest = citation.excerpt === undefined ? {} : { excerpt: citation.excerpt };
  const refs = citation.refs.map((ref) => ({ ...ref, anchor: `#${nameOf(ref.anchor)}` }));
  const source = sources.look(name);
  if (source instanceof LodestarError) {
    if (source.code === "PRD_OUTSIDE_REPOSITORY") throw source;
    if (strict)
      throw new LodestarError(source.code, source.message, {
        details: source.details,
        hint: "Check the path; --no-validate-prd leaves it unchecked.",
      });
    return {
      source: name,
      ...some(refs),
      ...rest,
      ...(citation.prd_hash === undefined ? {} : { prd_hash: citation.prd_hash }),
    };
  }
  const prd_hash = citation.prd_hash ?? source.digest;
  // Written against another state of the file: what its sections said then is not known here.
  const isOlder = !isUntouched({ source: name, prd_hash }, source.digest);
  if (refs.length === 0 || isOlder) return { source: name, ...some(refs), ...rest, prd_hash };
  const book = await sources.book(source);
  const frozen = refs.map((ref) => {
    if (ref.hash !== undefined) return ref;
    const section = book.find(ref.anchor);
    if (section !== undefined) return frozenRef(section);
    if (strict) throw anchorNotFound(book, name, ref.anchor);
    return ref;
  });
  return { source: name, refs: frozen, ...rest, prd_hash };
}

const some = (refs: readonly PrdRef[]) => (refs.length === 0 ? {} : { refs });

/** A section as a task freezes it. */
export function frozenRef(section: Section): PrdRef {
  return { anchor: `#${section.anchor}`, lines: section.lines, hash: fingerprintOf(section) };
}

export function anchorNotFound(book: Book, source: string, anchor: string): LodestarError {
  const near = alike(nameOf(anchor), book);
  return new LodestarError("ANCHOR_NOT_FOUND", `${source} has no section ${anchor}`, {
    details: { source, anchor, ...(near.length === 0 ? {} : { near }) },
    ...(near.length === 0
      ? {}
      : { hint: `Did you mean ${near.join(" or ")}? All of them: \`lodestar prd outline ${shellWord(source)}\`.` }),
  });
}

const shellWord = (text: string): string => (/^[\w./-]+$/.test(text) ? text : "FILE");

/** Anchors that share most of their letter pairs with the one that was typed, best first. */
function alike(typed: string, { sections }: Book): string[] {
  const wanted = pairs(typed);
  const scored = sections.map(({ anchor }) => {
    const has = pairs(anchor);
    const shared = [...wanted].filter((pair) => has.has(pair)).length;
    return { anchor, score: (2 * shared) / (wanted.size + has.size) };
  });
  return scored
    .filter(({ score }) => score >= 0.5)
    .sort((a, b) => b.score - a.score)
    .slice(0, 3)
    .map(({ anchor }) => `#${anchor}`);
}

const pairs = (text: string): Set<string> =>
  new Set(Array.from({ length: Math.max(0, text.length - 1) }, (_, i) => text.slice(i, i + 2).toLowerCase()));

import type { Prd, PrdRef } from "../core/task.ts";
import { bodyPart, fingerprintOf } from "./fingerprint.ts";
import type { Outline, Section } from "./section.ts";

/**
 * What became of something frozen since: its text is as it was; the same text stands under another heading; the text is another; it is
 * gone; its file is gone (or may not be read).
 */
export const DRIFTS = ["same", "moved", "edited", "missing", "source_missing"] as const;
export type Drift = (typeof DRIFTS)[number];

export interface SectionDrift {
  /** As the task names it. */
  readonly anchor: string;
  readonly drift: Drift;
  /** Where the text is now, with `#`, when that is not where the task says. */
  readonly now?: string;
  /** Nothing was frozen of it: there is nothing to compare with. */
  readonly unfrozen?: true;
}

export interface TaskDrift {
  /** The worst of its sections; without any, of the file. */
  readonly drift: Drift;
  readonly sections: readonly SectionDrift[];
  /** Nothing was frozen of the file either. */
  readonly unfrozen?: true;
}

/** The worst of several. */
export function worst(drifts: readonly Drift[]): Drift {
  return DRIFTS[Math.max(0, ...drifts.map((drift) => DRIFTS.indexOf(drift)))] ?? "same";
}

/** True when the task's sections are judged without looking into the file: it is byte for byte the one that was frozen. */
export const isUntouched = (prd: Prd, digest: string): boolean => prd.prd_hash === digest;

/**
 * Compares what a task has frozen with its source.
 *
 * @param digest the hash of the source now; `undefined` when it is not there.
 * @param open the sections of the source now; not asked for when the file is the one that was frozen.
 */
export async function judge(prd: Prd, digest: string | undefined, open: () => Promise<Book>): Promise<TaskDrift> {
  const refs = prd.refs ?? [];
  const all = (drift: Drift) => ({ drift, sections: refs.map(({ anchor }) => ({ anchor, drift })) });
  if (digest === undefined) return all("source_missing");
  if (isUntouched(prd, digest)) return all("same");
  if (refs.length === 0) return prd.prd_hash === undefined ? { ...all("same"), unfrozen: true } : { ...all("edited") };
  const book = await open();
  const sections = refs.map((ref) => judgeSection(prd, ref, book));
  return { drift: worst(sections.map(({ drift }) => drift)), sections };
}

function judgeSection({ prd_hash }: Prd, ref: PrdRef, book: Book): SectionDrift {
  const { anchor, hash } = ref;
  const here = book.find(anchor);
  if (hash === undefined) {
    // Of Lodestar 1.0: the file is another, and nobody knows where.
    const there = here ?? book.findAs10(anchor);
    if (there === undefined) return { anchor, drift: "missing" };
    return prd_hash === undefined ? { anchor, drift: "same", unfrozen: true } : { anchor, drift: "edited" };
  }
  if (here !== undefined && fingerprintOf(here) === hash) return { anchor, drift: "same" };
  const there = book.same(hash, ref, here !== undefined);
  if (there !== undefined) return { anchor, drift: "moved", now: `#${there.anchor}` };
  return here === undefined ? { anchor, drift: "missing" } : { anchor, drift: "edited" };
}

/** The sections of a source, to be looked up by anchor and by text. */
export class Book {
  readonly sections: readonly Section[];
  readonly #anchors = new Map<string, Section>();
  readonly #lowered = new Map<string, Section>();
  readonly #prints = new Map<string, Section[]>();
  readonly #bodies = new Map<string, Section[]>();

  constructor({ sections }: Outline) {
    this.sections = sections;
    const names = [
      ...sections.map((section) => [section.anchor, section] as const),
      ...sections.flatMap((section) => section.aliases.map((alias) => [alias, section] as const)),
    ];
    for (const [name, section] of names) {
      // Who comes first has the name: so do browsers.
      if (!this.#anchors.has(name)) this.#anchors.set(name, section);
      const lowered = name.toLowerCase();
      if (!this.#lowered.has(lowered)) this.#lowered.set(lowered, section);
    }
    for (const section of sections) {
      const print = fingerprintOf(section);
      const body = bodyPart(print);
      // Headings with nothing below them are all alike.
      if (body === "") continue;
      gather(this.#prints, print, section);
      gather(this.#bodies, body, section);
    }
  }

  /** The section that an anchor leads to; with or without `#`, percent-encoded or not; in the wrong case too when nothing fits better. */
  find(anchor: string): Section | undefined {
    const name = nameOf(anchor);
    return this.#anchors.get(name) ?? this.#lowered.get(name.toLowerCase());
  }

  /** As Lodestar 1.0 looked for it: the first heading whose words begin with those of the anchor. */
  findAs10(anchor: string): Section | undefined {
    const words = nameOf(anchor).toLowerCase().replaceAll("-", " ");
    if (words === "") return undefined;
    return this.sections.find(({ title }) => title.toLowerCase().replaceAll("-", " ").startsWith(words));
  }

  /** The section that a judged reference is about now; none when it is gone. */
  at({ anchor, drift, now }: SectionDrift): Section | undefined {
    if (drift === "missing" || drift === "source_missing") return undefined;
    return this.find(now ?? anchor) ?? this.findAs10(anchor);
  }

  /**
   * The section that has the frozen text now.
   *
   * @param isTaken the anchor still leads somewhere: then only the same text under the same heading counts (a repeated heading that was
   *   counted anew), because short texts such as "To be decided." stand in many places.
   */
  same(hash: string, { lines }: PrdRef, isTaken: boolean): Section | undefined {
    const whole = this.#prints.get(hash);
    if (whole !== undefined) return nearest(whole, lines);
    if (isTaken) return undefined;
    const alike = this.#bodies.get(bodyPart(hash)) ?? [];
    return alike.length === 1 ? alike[0] : undefined;
  }
}

/** An anchor's name: without `#`, decoded. */
export function nameOf(anchor: string): string {
  const bare = anchor.startsWith("#") ? anchor.slice(1) : anchor;
  if (!bare.includes("%")) return bare;
  try {
    return decodeURIComponent(bare);
  } catch {
    // A percent sign that encodes nothing is part of the name.
    return bare;
  }
}

function gather(groups: Map<string, Section[]>, key: string, section: Section): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, [section]);
  else group.push(section);
}

function nearest(sections: readonly Section[], lines: PrdRef["lines"]): Section | undefined {
  const from = typeof lines === "object" ? (lines[0] ?? 0) : 0;
  return sections.toSorted((a, b) => Math.abs(a.lines[0] - from) - Math.abs(b.lines[0] - from))[0];
}

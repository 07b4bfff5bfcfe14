import { compileGlob, type Glob, overlap } from "../core/globs.ts";

/** Two path locks that touch: the first pattern of each side that overlap. */
export interface Overlap {
  readonly pattern: string;
  readonly other_pattern: string;
}

/** Compares path locks; patterns are compiled once however often they are asked about. */
export class LockTable {
  readonly #globs = new Map<string, Glob>();

  /** The first overlap between two lists of patterns. */
  between(mine: readonly string[], theirs: readonly string[]): Overlap | undefined {
    for (const pattern of mine) {
      for (const other_pattern of theirs) {
        if (overlap(this.#glob(pattern), this.#glob(other_pattern))) return { pattern, other_pattern };
      }
    }
    return undefined;
  }

  #glob(pattern: string): Glob {
    const known = this.#globs.get(pattern);
    if (known !== undefined) return known;
    const glob = compileGlob(pattern);
    this.#globs.set(pattern, glob);
    return glob;
  }
}

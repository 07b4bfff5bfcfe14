import { compileGlob, type Glob, overlap } from "../core/globs.ts";
import type { Lease } from "./lease.ts";

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

/** A path that somebody else's lease keeps others out of. */
export interface HeldPath {
  readonly path: string;
  readonly pattern: string;
  readonly lease: Lease;
}

/** Which files are inside the path locks of tasks that agents other than this one hold. */
export class HeldPaths {
  readonly #locks: readonly { readonly lease: Lease; readonly pattern: string; readonly glob: Glob }[];

  /** @param leases those that are live. */
  constructor(leases: readonly Lease[], agent_id: string) {
    this.#locks = leases
      .filter((lease) => lease.agent_id !== agent_id)
      .flatMap((lease) => lease.locks.map((pattern) => ({ lease, pattern, glob: compileGlob(pattern) })));
  }

  get none(): boolean {
    return this.#locks.length === 0;
  }

  /** @param path from the folder of `.lodestar/`, with slashes. */
  on(path: string): HeldPath | undefined {
    const possible = this.#locks.filter(({ glob }) => mayMatch(glob, path));
    if (possible.length === 0) return undefined;
    const own = compileGlob(literal(path));
    const lock = possible.find(({ glob }) => overlap(own, glob));
    return lock === undefined ? undefined : { path, pattern: lock.pattern, lease: lock.lease };
  }
}

/** The path as a pattern that matches it alone. */
const literal = (path: string): string => path.replaceAll(/[\\*?[\]{}!,]/g, "\\$&");

/** Cheap, before a pattern is made of the path: do the beginnings fit? */
const mayMatch = (glob: Glob, path: string): boolean => path.startsWith(glob.prefix) || glob.prefix.startsWith(path);

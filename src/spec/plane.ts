import { lstatSync, realpathSync } from "node:fs";
import { LodestarError } from "../core/errors.ts";
import { fault } from "../core/fault.ts";
import { newReopenId, type Random } from "../core/ids.ts";
import type { Clock, Millis } from "../core/time.ts";
import { DamagedIndex } from "./damaged-index.ts";
import type { SpecEdit } from "./document.ts";
import type { GitSigns } from "./git-work.ts";
import { removeIndex, SpecIndex } from "./index.ts";
import { readSpecBytes, type SpecBytes, type SpecKey, specKey } from "./key.ts";
import type { Problem, Spec } from "./model.ts";

/** Where one spec and what belongs to it lie. */
export interface SpecPaths {
  /** `.lodestar/spec.yaml`, possibly a symlink. */
  readonly spec: string;
  readonly index: string;
  readonly lock: string;
  /** Where the Git of the worktree can be seen at work. */
  readonly git?: GitSigns;
}

export interface SpecServices {
  readonly clock: Clock;
  readonly random: Random;
  /** Called before the first file of ours is made: ignore rules first (counterexample 22). */
  readonly beforeCreate: () => Promise<void>;
  readonly warn: (message: string) => void;
}

/** A read-modify-write in progress; the spec lock is held. */
export interface SpecSession {
  /** The spec as it is now. */
  index(): Promise<SpecIndex>;
  /**
   * Edits and saves. `edits` is asked again with the new state whenever somebody replaced the file meanwhile (S3).
   * @returns false when there was nothing to change.
   */
  save(edits: (index: SpecIndex) => readonly SpecEdit[]): Promise<boolean>;
}

/** How often a save starts over because the file changed under it, before it gives up. */
const ATTEMPTS = 50;
/** How often the index is brought up to date again because the file or the index changed meanwhile. */
const REFRESHES = 5;
/** How often an empty file is looked at again before it is saved over, and how long each time. */
const EMPTY_LOOKS = 10;
const EMPTY_PAUSE: Millis = 20;

/** The spec plane of one worktree: a fresh index to read, and sessions to edit. */
export class SpecPlane {
  readonly paths: SpecPaths;
  readonly #services: SpecServices;
  #index: SpecIndex | undefined;
  #onDisk = false;
  #unusable = false;
  #saved = false;

  constructor(paths: SpecPaths, services: SpecServices) {
    this.paths = paths;
    this.#services = services;
  }

  /** The key of the file as it is now. */
  key(): SpecKey | undefined {
    return specKey(this.paths.spec);
  }

  /** The index as this has it open, without a look at the file. */
  get opened(): SpecIndex | undefined {
    return this.#index;
  }

  /** Forgets what was opened; the next use opens again. */
  close(): void {
    this.#index?.close();
    this.#index = undefined;
  }

  /**
   * The index of the spec as it is now.
   *
   * @param mode `read` makes no file: without an index on disk it works in memory. `write` makes one.
   * @throws LodestarError `NOT_INITIALIZED`, `SPEC_INVALID`, `SPEC_CONFLICT_MARKERS`.
   */
  async index(mode: "read" | "write"): Promise<SpecIndex> {
    try {
      return await this.#fresh(mode);
    } catch (cause) {
      if (!(cause instanceof DamagedIndex)) throw cause;
      this.discardIndex();
      return this.#fresh(mode);
    }
  }

  /** True once this has saved the spec. */
  get saved(): boolean {
    return this.#saved;
  }

  /** Throws away an index that proved to be damaged; the next use makes it anew, or works in memory. */
  discardIndex(): void {
    this.close();
    // Where it cannot be removed, it is not opened again.
    if (!tryQuietly(() => removeIndex(this.paths.index))) this.#unusable = true;
  }

  async #fresh(mode: "read" | "write"): Promise<SpecIndex> {
    const key = this.key() ?? (await this.#afterGit());
    const index = await this.#open(mode);
    index.beginRead();
    const header = index.header();
    if (header !== undefined && header.key === key && header.settled) return index;
    index.endRead();
    return this.#refresh(index);
  }

  async #open(mode: "read" | "write"): Promise<SpecIndex> {
    if (this.#index !== undefined && (this.#onDisk || mode === "read")) return this.#index;
    let index = this.#unusable ? undefined : SpecIndex.open(this.paths.index, false);
    if (index === undefined && mode === "write" && !this.#unusable) {
      await this.#services.beforeCreate();
      index = SpecIndex.open(this.paths.index, true);
    }
    this.#onDisk = index !== undefined;
    this.#index?.close();
    this.#index = index ?? SpecIndex.memory();
    return this.#index;
  }

  /** Reads the file and brings the index up to date; falls back to memory when the index cannot be written. */
  async #refresh(index: SpecIndex): Promise<SpecIndex> {
    for (let attempt = 0; ; attempt += 1) {
      const read = await this.#read();
      const digest = Bun.hash(read.bytes).toString(36);
      index.beginRead();
      const header = index.header();
      if (header?.key === read.key && (header.settled || header.digest === digest)) {
        if (header.settled || !read.settled) return index;
        tryQuietly(() => index.settle(read.key));
        index.beginRead();
        if (index.header()?.key === read.key) return index;
      }
      index.endRead();
      const spec = await parse(this.paths.spec, read.bytes, index);
      const seen = { key: read.key, settled: read.settled, digest };
      // A file that is older by now is not put over what its writer has put there.
      const written = tryQuietly(() => index.refresh(spec, seen, () => this.key() === read.key));
      index.beginRead();
      if (written && index.header()?.key === read.key) return index;
      // Where the file changes all the time, or the index cannot be written, this call works with what it has read.
      if (written && attempt < REFRESHES) {
        index.endRead();
        continue;
      }
      this.#index?.close();
      this.#index = SpecIndex.memory();
      this.#onDisk = false;
      this.#index.refresh(spec, seen);
      this.#index.beginRead();
      return this.#index;
    }
  }

  async #read(): Promise<SpecBytes> {
    for (;;) {
      const read = readSpecBytes(this.paths.spec, this.#services.clock.now());
      if (read !== undefined) return read;
      await this.#afterGit();
    }
  }

  /**
   * Git takes a file away before it writes it anew: while its lock is there, the new one is awaited.
   * @throws LodestarError `NOT_INITIALIZED` when there is none.
   */
  async #afterGit(): Promise<SpecKey> {
    const { spec, git } = this.paths;
    const { isGitAtWork } = await import("./git-work.ts");
    for (let waited = 0; ; waited += 10) {
      const isBusy = git !== undefined && isGitAtWork(git.index_lock, this.#services.clock.now(), waited);
      // Looked at after the lock: what Git put there before it let go is seen.
      const key = this.key();
      if (key !== undefined) return key;
      if (!isBusy) throw new LodestarError("NOT_INITIALIZED", `There is no ${spec}`, { details: { path: spec } });
      await Bun.sleep(10);
    }
  }

  /** Runs `body` under the cross-process spec lock (S3). */
  async locked<T>(body: (session: SpecSession) => Promise<T>, patience?: Millis): Promise<T> {
    const { LOCK_PATIENCE, withSpecLock } = await import("./lock.ts");
    return withSpecLock(this.paths.lock, patience ?? LOCK_PATIENCE, this.#services.clock, () =>
      body({
        index: () => this.index("write"),
        save: (edits) => this.#save(edits),
      }),
    );
  }

  async #save(makeEdits: (index: SpecIndex) => readonly SpecEdit[]): Promise<boolean> {
    let overtaken: readonly SpecEdit[] = [];
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const index = await this.index("write");
      const header = index.header();
      const left = overtaken.length === 0 ? undefined : (await import("./lacking.ts")).lacking(index, overtaken);
      // Of what Git has kept only the rest is saved again; if it kept nothing, all is planned anew, by what is there now.
      const edits = left !== undefined && left.length < overtaken.length ? left : makeEdits(index);
      if (edits.length === 0) {
        // Git kept all of what was saved.
        if (left?.length === 0) this.#saved = true;
        return left?.length === 0;
      }
      const read = await this.#read();
      if (header === undefined || read.key !== header.key) continue;
      // An editor that saves in place empties the file first: what it is about to write must not go to a replaced file.
      if (read.bytes.length === 0 && attempt < EMPTY_LOOKS) {
        await Bun.sleep(EMPTY_PAUSE);
        continue;
      }
      // Loaded late: a call that only reads a fresh index needs neither the reader nor the editor of YAML.
      const [{ applyEdits, refuseTooMuch, StaleBlock }, { saveSpec }] = await Promise.all([
        import("./document.ts"),
        import("./file.ts"),
      ]);
      try {
        const applied = await applyEdits(read.bytes, header.layout, edits, (id) => index.locate(id));
        refuseTooMuch(edits, header.by_status, applied.length);
        const saved = await saveSpec({
          path: this.#realPath(),
          pieces: applied.pieces,
          expected: read.key,
          git: this.paths.git,
          clock: this.#services.clock,
          unique: newReopenId(this.#services.random) + newReopenId(this.#services.random),
        });
        if (saved.kind === "overtaken" && edits !== left) overtaken = edits;
        if (saved.kind !== "saved") continue;
        this.#saved = true;
        for (const warning of saved.warnings) this.#services.warn(warning);
        index.endRead();
        fault("after-save-before-index");
        // A cache that cannot be written is made again by whoever reads next; the save itself stands.
        const simple = edits.every((edit) => edit.kind === "set" || edit.kind === "add");
        const { key } = saved;
        if (simple && key !== undefined)
          tryQuietly(() => index.change(applied.changed, read.key, { key, layout: applied.layout }));
        return true;
      } catch (cause) {
        if (!(cause instanceof StaleBlock)) throw cause;
        // The index names bytes that are not there, although the key matched: read everything again.
        index.endRead();
        const spec = await parse(this.paths.spec, read.bytes, undefined);
        index.refresh(spec, { key: read.key, settled: false, digest: "" });
      }
    }
    throw new LodestarError("BUSY", `${this.paths.spec} keeps changing while it is saved.`, {
      details: { path: this.paths.spec },
    });
  }

  /** A symlinked spec is followed, not replaced (S2). */
  #realPath(): string {
    // Gone since it was read: the save compares the key, and starts over.
    const isLink = lstatSync(this.paths.spec, { throwIfNoEntry: false })?.isSymbolicLink() === true;
    return isLink ? realpathSync(this.paths.spec) : this.paths.spec;
  }
}

async function parse(path: string, bytes: Uint8Array, index: SpecIndex | undefined): Promise<Spec> {
  const { readSpec } = await import("./document.ts");
  const read = await readSpec(bytes, index === undefined ? { path } : { path, known: index.knows() });
  if (read.ok) return read.spec;
  throw specError(path, read.code, read.problems);
}

/** The error for a spec that cannot be used; names every place. */
export function specError(
  path: string,
  code: "SPEC_INVALID" | "SPEC_CONFLICT_MARKERS",
  problems: readonly Problem[],
): LodestarError {
  const [first] = problems;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
  const where = first === undefined ? path : `${path}:${first.line}:${first.column}: ${first.message}`;
  return new LodestarError(code, `${where}${more}`, { details: { path, problems } });
}

/** @returns false when it failed: for the cache, whose loss costs time only. */
function tryQuietly(action: () => void): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}

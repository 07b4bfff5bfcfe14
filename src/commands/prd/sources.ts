import { LodestarError } from "../../core/errors.ts";
import type { Prd, Task } from "../../core/task.ts";
import { findPlace } from "../../git/worktree.ts";
import { Book, judge, type TaskDrift } from "../../prd/drift.ts";
import { sourceHash } from "../../prd/fingerprint.ts";
import type { Outline, Section } from "../../prd/section.ts";
import { type Located, locateSource, readSource, type Shelf } from "../../prd/source.ts";
import { decode, linesOf } from "../../prd/text.ts";
import type { SpecIndex } from "../../spec/index.ts";
import type { Context } from "../context.ts";
import type { Look } from "../look.ts";

/** A source as it is now. */
export interface Source {
  readonly name: string;
  readonly digest: string;
  readonly bytes: Uint8Array;
}

/** Where outlines are kept from call to call. */
export interface Memory {
  recall(name: string, digest: string): string | undefined;
  memorise(name: string, digest: string, body: string): void;
}

/** How a source is read and taken apart; tests count. */
export interface Tools {
  read(located: Located): Uint8Array;
  outline(text: string): Promise<Outline>;
}

const TOOLS: Tools = {
  read: readSource,
  // The parser is the dearest part: most calls find the file unchanged, or its outline remembered.
  outline: async (text) => (await import("../../prd/section.ts")).outlineOf(text),
};

/** The sources of one call: each is read once and taken apart once, however many tasks cite it. */
export class Sources {
  readonly shelf: Shelf;
  readonly #memory: Memory | undefined;
  readonly #tools: Tools;
  readonly #found = new Map<string, Source | LodestarError>();
  readonly #books = new Map<string, Promise<Book>>();
  readonly #lines = new Map<string, string[]>();

  constructor(shelf: Shelf, memory?: Memory, tools: Tools = TOOLS) {
    this.shelf = shelf;
    this.#memory = memory;
    this.#tools = tools;
  }

  /** The source, or why it cannot be read: not there, or not in the repository. */
  look(source: string): Source | LodestarError {
    const known = this.#found.get(source);
    if (known !== undefined) return known;
    const found = this.#read(source);
    this.#found.set(source, found);
    return found;
  }

  #read(source: string): Source | LodestarError {
    try {
      const located = locateSource(this.shelf, source);
      const bytes = this.#tools.read(located);
      return { name: located.name, digest: sourceHash(bytes), bytes };
    } catch (error) {
      if (error instanceof LodestarError) return error;
      throw error;
    }
  }

  /** @throws LodestarError `PRD_OUTSIDE_REPOSITORY`, `PATH_NOT_FOUND` */
  need(source: string): Source {
    const found = this.look(source);
    if (found instanceof LodestarError) throw found;
    return found;
  }

  /**
   * The name that a task records for a path that somebody typed: looked up from where they are, then from the spec's folder.
   * @throws LodestarError `PRD_OUTSIDE_REPOSITORY`
   */
  nameOf(typed: string, cwd: string): string {
    try {
      const here = locateSource(this.shelf, typed, cwd).name;
      if (!(this.look(here) instanceof LodestarError)) return here;
    } catch (error) {
      // From a folder elsewhere (--repo) the path means nothing; from the spec's folder it may.
      if (!(error instanceof LodestarError)) throw error;
    }
    return locateSource(this.shelf, typed).name;
  }

  /** The sections of a source. */
  book(source: Source): Promise<Book> {
    const known = this.#books.get(source.digest);
    if (known !== undefined) return known;
    const book = this.#open(source);
    this.#books.set(source.digest, book);
    return book;
  }

  async #open({ name, digest, bytes }: Source): Promise<Book> {
    const kept = this.#memory?.recall(name, digest);
    if (kept !== undefined) return new Book(JSON.parse(kept) as Outline);
    const outline = await this.#tools.outline(decode(bytes));
    try {
      this.#memory?.memorise(name, digest, JSON.stringify(outline));
    } catch {
      // The memory only saves time; the next call takes the source apart again.
    }
    return new Book(outline);
  }

  /** What became of a task's frozen context. */
  judge(prd: Prd): Promise<TaskDrift> {
    const source = this.look(prd.source);
    if (source instanceof LodestarError) return judge(prd, undefined, () => Promise.reject(source));
    return judge(prd, source.digest, () => this.book(source));
  }

  /** These lines of a source, counted from 1. */
  textOf({ digest, bytes }: Source, [from, to]: Section["lines"]): string {
    const lines = this.#lines.get(digest) ?? linesOf(decode(bytes));
    this.#lines.set(digest, lines);
    return lines.slice(from - 1, to).join("\n");
  }
}

/** The sources that the spec of this call may cite, with its index as the memory. */
export function openSources(context: Context, index: SpecIndex | undefined): Sources {
  const root = context.worktree;
  return new Sources({ root, worktree: findPlace(root)?.worktree ?? root }, index);
}

export interface Citing {
  readonly task: Task;
  readonly prd: Prd;
}

/** Every task with product context that is not deleted, by id. */
export function citing({ index, schedule }: Look): Citing[] {
  return index.tasksWithPrd().flatMap((task) => {
    if (task.prd === undefined || schedule.standing(task.id)?.status === "deleted") return [];
    return [{ task, prd: task.prd }];
  });
}

/** Those whose work is not verified yet: the others are told by `prd check`, and are nobody's next step. */
export function citingAhead(seen: Look): Citing[] {
  return citing(seen).filter(({ task }) => seen.schedule.standing(task.id)?.status !== "verified");
}

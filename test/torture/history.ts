import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { EventRow, LeaseRow, OutboxRow, OutcomeRow } from "../support/runtime-tables.ts";

/** Something that a spec says and that no merge takes back: a task's id, or `id#label`. */
export type Fact = string;

/** A worker starts a process. One call may be asked several times, when no answer came. */
export interface Asked {
  readonly kind: "asked";
  readonly at: number;
  readonly call: number;
  readonly attempt: number;
  readonly agent: string;
  readonly worktree: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Tasks that the call names. */
  readonly tasks: readonly string[];
  readonly token?: number;
  readonly key?: string;
  readonly note?: string;
}

/**
 * The process ended. `silent`: it said nothing, or nobody listened (`dropped`: its answer, which the worker never saw);
 * `broken`: it said something that no command may say.
 */
export interface Answered {
  readonly kind: "answered";
  readonly at: number;
  readonly call: number;
  readonly attempt: number;
  readonly result: "ok" | "refused" | "silent" | "broken";
  readonly code?: string;
  // biome-ignore lint/suspicious/noExplicitAny: the answer of any command.
  readonly data?: any;
  readonly dropped?: boolean;
  /** How the process was hurt, if it was. */
  readonly hurt?: Hurt;
  /** What it said, when it was broken. */
  readonly said?: string;
}

export type Hurt = "killed" | "killed at a point" | "stopped" | "stopped at a point";

/** Somebody who takes no lock of ours changed the spec: an editor, Git, or who deletes an index. */
export interface Foreign {
  readonly kind: "foreign";
  readonly from: number;
  readonly at: number;
  readonly worktree: string;
  readonly what:
    | "edit"
    | "edit in place"
    | "discard"
    | "checkout"
    | "merge"
    | "merge by text"
    | "commit"
    | "index deleted";
  /** What stood in the file at the instant of the change, and not in what replaced it. */
  readonly overwrote: readonly Fact[];
  /** What was added by hand. */
  readonly added: readonly Fact[];
  readonly failed?: string;
}

export interface Doctor {
  readonly worktree: string;
  readonly healthy: boolean;
  readonly said: string;
}

/** Everything that was found when all was over. */
export interface Found {
  readonly kind: "found";
  readonly at: number;
  readonly leases: readonly LeaseRow[];
  readonly outcomes: readonly OutcomeRow[];
  readonly outbox: readonly OutboxRow[];
  readonly events: readonly EventRow[];
  readonly agents: readonly string[];
  readonly notes: readonly { readonly task_id: string | null; readonly text: string }[];
  /** Answers of `pragma integrity_check` that are not ok, by file. */
  readonly damaged: readonly string[];
  readonly doctors: readonly Doctor[];
  /** Temp files and locks that were left behind. */
  readonly leftovers: readonly string[];
  /** The spec of each worktree, healed, before the last merge. */
  readonly specs: readonly { readonly root: string; readonly branch: string; readonly text: string }[];
  /** All branches merged into one, and healed. */
  readonly merged: string;
  readonly listed: readonly { readonly id: string; readonly status: string }[];
}

export type Entry = Asked | Answered | Foreign | Found;

/** Writes a history as JSON lines, entry by entry, so that it is there whatever happens. */
export class HistoryFile {
  readonly entries: Entry[] = [];
  readonly path: string;
  readonly #handle: number;

  constructor(path: string) {
    this.path = path;
    mkdirSync(dirname(path), { recursive: true });
    this.#handle = openSync(path, "w");
  }
  add(entry: Entry): void {
    this.entries.push(entry);
    writeSync(this.#handle, `${JSON.stringify(entry)}\n`);
  }
  close(): void {
    closeSync(this.#handle);
  }
}

/** A history that was written. */
export const parseHistory = (text: string): Entry[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Entry);

import type { Task } from "../core/task.ts";

/** The `project:` section. Unknown conventions are kept in the file and passed over here. */
export interface Project {
  readonly name: string;
  readonly default_branch: string;
  readonly conventions: Conventions;
}

export interface Conventions {
  readonly locks?: "warn" | "enforce";
  readonly verify?: "any" | "other";
  readonly spec?: "branch" | "main";
  readonly lease_ttl?: string;
  /** How long events (with idempotency keys) and messages are kept; 30 and 90 days. */
  readonly keep_events?: string;
  readonly keep_messages?: string;
  readonly runtime?: string;
  readonly project_id?: string;
}

/** Something wrong in the spec, with the place to look at. Lines and columns count from 1. */
export interface Problem {
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly hint: string;
  /** The task that it is about, when the rest of the file can be used without it (a duplicate id). */
  readonly task_id?: string;
}

/**
 * How the tasks lie in the text, as far as edits rely on it. `block`: `tasks:` is a block mapping whose entries lie
 * one after the other, each readable on its own. `tree`: anything else that YAML allows (flow style, anchors …); edits
 * then go through a parse of the whole file.
 */
export interface Layout {
  readonly kind: "block" | "tree";
  readonly eol: "\n" | "\r\n";
  readonly bom: boolean;
  /** Spaces before a task's key, and before its fields. */
  readonly task_indent: number;
  readonly field_indent: number;
  /** Byte offset of the first task's block (or of where it would stand) and of the end of the last. -1: no `tasks:`. */
  readonly tasks_start: number;
  readonly tasks_end: number;
}

/** One task and the bytes that hold it. A block begins with its key's line and ends before the next task's leading comments. */
export interface TaskBlock {
  readonly id: string;
  /** Of a block that was read before it may be fetched only when asked for. */
  readonly task: Task;
  /** `Bun.hash` of the block's bytes: an index that knows the hash knows the task without parsing. */
  readonly hash: bigint;
  readonly start: number;
  readonly length: number;
}

export interface Spec {
  readonly project: Project;
  readonly features: Readonly<Record<string, readonly string[]>>;
  /** In file order. */
  readonly tasks: readonly TaskBlock[];
  /** Ids that occur twice and such: commands on these tasks are refused, others go on. */
  readonly broken: readonly Problem[];
  readonly layout: Layout;
}

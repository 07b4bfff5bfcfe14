import { git } from "./run.ts";

/** The versions of a file that Git's index keeps while a merge of it is unresolved. */
export interface IndexStages {
  readonly base?: Uint8Array;
  readonly ours?: Uint8Array;
  readonly theirs?: Uint8Array;
}

const STAGES = { 1: "base", 2: "ours", 3: "theirs" } as const;

/** @returns `undefined` when the file is not in conflict, outside Git, or without Git. */
export function indexStages(folder: string, path: string): IndexStages | undefined {
  const listed = git(folder, "ls-files", "-u", "-z", "--", path);
  if (listed === undefined || listed.exit !== 0) return undefined;
  const stages: { -readonly [K in keyof IndexStages]: Uint8Array } = {};
  for (const entry of listed.out.toString().split("\0")) {
    const [, object, stage] = /^\d+ ([0-9a-f]+) ([123])\t/.exec(entry) ?? [];
    if (object === undefined || stage === undefined) continue;
    const blob = git(folder, "cat-file", "blob", object);
    if (blob?.exit === 0) stages[STAGES[Number(stage) as 1 | 2 | 3]] = blob.out;
  }
  return Object.keys(stages).length === 0 ? undefined : stages;
}

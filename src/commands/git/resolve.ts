import { realpathSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { LodestarError } from "../../core/errors.ts";
import { newReopenId, randomDigits } from "../../core/ids.ts";
import { Flag, List, OneOf, Optional, Shape, type Static, Text } from "../../core/schema.ts";
import { line, list, type View } from "../../core/view.ts";
import { indexStages } from "../../git/index-stages.ts";
import { createFile } from "../../git/replace.ts";
import { readSpec } from "../../spec/document.ts";
import { saveSpec } from "../../spec/file.ts";
import { readSpecBytes } from "../../spec/key.ts";
import { type MergeConflict, mergeSpecs, type SpecMerge, type SpecVersions } from "../../spec/merge.ts";
import { splitMarkers, withoutRepeats } from "../../spec/merge-markers.ts";
import type { Labels } from "../../spec/merge-text.ts";
import { specError } from "../../spec/plane.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { ConflictShape, CyclesShape, conflictError, unmergedError, warnOf } from "./report.ts";

const SOURCES = ["index", "markers", "repeats", "nothing"] as const;

const Output = Shape({
  path: Text(),
  resolved: Flag({ description: "Nothing is left for a person to decide" }),
  from: OneOf(SOURCES, { description: "What the versions were taken from" }),
  repeated: Optional(List(Text(), { description: "Tasks that stood twice and are one now" })),
  decided: Optional(List(ConflictShape)),
  conflicts: List(ConflictShape),
  cycles: CyclesShape,
  backup: Optional(Text({ description: "The file as it was" })),
});

export default command({
  name: "git.resolve",
  effect: "write",
  summary: "Redo a merge of the spec that Git or a host could not do",
  explain:
    "For a spec that was merged without the merge driver. While Git's index holds the three versions, the merge is redone from them; a file that was edited since is kept beside it. Otherwise the versions are read from the conflict markers in the file, in either of Git's styles, as a host's merge button leaves them; without the base's lines (merge.conflictStyle diff3) nothing counts as removed. A task that stands twice becomes one. What both sides changed in different ways stays between markers in that field alone, exit status 1; --take decides such fields for one side. Stages nothing: `git add` the file when you are satisfied.",
  anywhere: true,
  positional: ["file"],
  input: Shape({
    file: Optional(Text({ minLength: 1, description: "The spec (default: .lodestar/spec.yaml)" })),
    take: Optional(OneOf(["ours", "theirs"], { description: "Whose value counts where both changed a field" })),
  }),
  output: Output,
  errors: ["MERGE_CONFLICT"],
  examples: [
    { line: "lodestar git resolve", shows: "After a merge that left conflicts in the spec" },
    { line: "lodestar git resolve --take theirs", shows: "Their value wherever both changed a field" },
  ],
  run: async (input, context) => {
    const path =
      input.file === undefined ? join(context.place.root, ".lodestar", "spec.yaml") : resolve(context.cwd, input.file);
    const answer = await context.spec.locked(async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const answer = await attemptOnce(path, input.take, context);
        if (answer !== undefined) return answer;
      }
      throw new LodestarError("BUSY", `${path} keeps changing while it is merged.`, { details: { path } });
    });
    const { data, hint } = answer;
    if (data.conflicts.length === 0) return data;
    throw conflictError(data.path, data.conflicts, {
      data,
      view: () => show(data),
      ...(hint === undefined ? {} : { hint }),
    });
  },
  next: ({ resolved, from }) =>
    resolved && from !== "nothing" ? [{ command: "doctor", input: {}, why: "Check what the merge made" }] : [],
  view: show,
});

const ATTEMPTS = 10;

type Take = "ours" | "theirs" | undefined;
interface Answer {
  readonly data: Static<typeof Output>;
  readonly hint?: string;
}

/** @returns `undefined` when the file changed meanwhile. */
async function attemptOnce(path: string, take: Take, context: Context): Promise<Answer | undefined> {
  const read = readSpecBytes(path, context.clock.now());
  if (read === undefined) throw new LodestarError("PATH_NOT_FOUND", `There is no ${path}`, { details: { path } });
  const shownPath = relative(context.place.worktree, path);
  const name = shownPath.startsWith("..") ? path : shownPath;
  const found = await versionsOf(path, read.bytes, context);
  const base: Static<typeof Output> = { path: name, resolved: true, from: "nothing", conflicts: [] };
  if (found === undefined) return { data: base };
  const merge =
    found.kind === "repeats" ? found.merge : await mergeSpecs(found.versions, { take, labels: found.labels });
  if (merge.kind !== "merged") throw unmergedError(name, merge);
  const repeated = found.repeated;
  let backup: string | undefined;
  if (found.kind === "index" && !(await isAsMerged(found, read.bytes))) {
    backup = `${path}.backup-${randomDigits(context.random, 6)}`;
    createFile(backup, read.bytes);
  }
  const real = realpathSync(path);
  const saved = await saveSpec({
    path: real,
    pieces: [merge.bytes],
    expected: read.key,
    // Git itself may have called us and hold its lock.
    git: undefined,
    clock: context.clock,
    unique: newReopenId(context.random) + newReopenId(context.random),
  });
  if (saved.kind !== "saved") return undefined;
  for (const warning of saved.warnings) context.warn(warning);
  warnOf(context, merge);
  if (found.kind === "markers" && found.versions.base === undefined)
    context.warn(
      "The markers do not show the base: what one side removed is back, and every difference counts as a change",
    );
  const { conflicts, decided, cycles } = merge;
  const data: Static<typeof Output> = {
    ...base,
    from: found.kind,
    resolved: conflicts.length === 0,
    conflicts: [...conflicts],
    ...(repeated.length === 0 ? {} : { repeated: [...repeated] }),
    ...(decided.length === 0 ? {} : { decided: [...decided] }),
    ...(cycles.length === 0 ? {} : { cycles: cycles.map((cycle) => [...cycle]) }),
    ...(backup === undefined ? {} : { backup: join(dirname(name), backup.slice(dirname(path).length + 1)) }),
  };
  return { data };
}

/** True for a file that nobody has touched since the merge driver wrote it. */
async function isAsMerged({ versions, labels }: Extract<Found, { versions: SpecVersions }>, bytes: Uint8Array) {
  const plain = await mergeSpecs(versions, { labels });
  return plain.kind === "merged" && Buffer.from(plain.bytes).equals(bytes);
}

type Found =
  | {
      readonly kind: "index" | "markers";
      readonly versions: SpecVersions;
      readonly labels: Labels;
      readonly repeated: readonly string[];
    }
  | {
      readonly kind: "repeats";
      readonly merge: Extract<SpecMerge, { kind: "merged" }>;
      readonly repeated: readonly string[];
    };

const LABELS: Labels = { ours: "ours", theirs: "theirs" };

/**
 * Where the versions come from; `undefined` when there is nothing to resolve.
 * @throws LodestarError `SPEC_INVALID` for a file that is damaged in another way.
 */
async function versionsOf(path: string, bytes: Uint8Array, context: Context): Promise<Found | undefined> {
  const reading = await readSpec(bytes);
  const isClean = reading.ok && reading.spec.broken.length === 0;
  const stages = context.place.git === undefined ? undefined : indexStages(dirname(path), path);
  const { base, ours, theirs } = stages ?? {};
  if (ours !== undefined && theirs !== undefined) {
    // A file that reads well and is no longer what Git left there has been resolved by hand.
    if (isClean && !Buffer.from(ours).equals(bytes)) return undefined;
    return { kind: "index", versions: { base, ours, theirs }, labels: LABELS, repeated: [] };
  }
  if (isClean) return undefined;
  const split = splitMarkers(bytes);
  if (split !== undefined) {
    const repeated = new Set<string>();
    const once = async (side: Uint8Array): Promise<Uint8Array> => {
      const without = await withoutRepeats(side, split.labels);
      if (without === undefined || without.conflicts.length > 0) return side;
      for (const id of without.ids) repeated.add(id);
      return without.bytes;
    };
    const versions = {
      base: split.base === undefined ? undefined : await once(split.base),
      ours: await once(split.ours),
      theirs: await once(split.theirs),
    };
    return { kind: "markers", versions, labels: split.labels, repeated: [...repeated] };
  }
  if (!reading.ok) throw specError(path, reading.code, reading.problems);
  const without = await withoutRepeats(bytes, { ours: "the first", theirs: "the second" });
  if (without === undefined) throw specError(path, "SPEC_INVALID", reading.spec.broken);
  const conflicts: readonly MergeConflict[] = without.conflicts;
  const merge = { kind: "merged" as const, bytes: without.bytes, conflicts, decided: [], warnings: [], cycles: [] };
  return { kind: "repeats", merge, repeated: without.ids };
}

const SAID = {
  index: "Merged again from the versions in Git's index",
  markers: "Merged from the conflict markers in the file",
  repeats: "Tasks that stood twice are one",
  nothing: "Nothing is left to resolve",
} as const;

function show({ path, from, resolved, repeated, decided, conflicts, backup }: Static<typeof Output>): View[] {
  return [
    line(`${SAID[from]}: ${path}`, resolved ? "good" : "warn"),
    ...(repeated === undefined ? [] : [list(repeated, "Stood twice")]),
    ...(decided === undefined ? [] : [list(decided.map(said), "Decided")]),
    ...(conflicts.length === 0 ? [] : [list(conflicts.map(said), "Left for you, between markers")]),
    ...(backup === undefined ? [] : [line(`The file as it was: ${backup}`, "faint")]),
    ...(resolved && (from === "index" || from === "markers") ? [line(`Then: git add ${path}`)] : []),
  ];
}

const said = ({ task_id, field }: MergeConflict): string => (task_id === undefined ? field : `${task_id}: ${field}`);

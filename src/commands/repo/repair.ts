import { renameSync, unlinkSync } from "node:fs";
import { dirname, relative } from "node:path";
import { type Code, LodestarError, writeError } from "../../core/errors.ts";
import { insist } from "../../core/platform.ts";
import { driverState, installDriver } from "../../git/attributes.ts";
import { hooksFolder, hooksState, installHooks } from "../../git/hooks.ts";
import { ensureIgnored } from "../../git/ignore.ts";
import { isThere, lookAt } from "../../git/plain-file.ts";
import { branchExists } from "../../git/worktree.ts";
import { removeIndex, SpecIndex } from "../../spec/index.ts";
import { lockDamage } from "../../spec/lock.ts";
import type { Context } from "../context.ts";
import { look } from "../look.ts";
import { HEAL_PATIENCE, heal, isHeld, missingEdit } from "../outcome.ts";
import { type Check, temporaryFiles } from "./examine.ts";

export interface Repaired {
  /** What was done, as sentences without an end. */
  readonly fixed: readonly string[];
  /** What could not be done for want of room or rights. */
  readonly failed: readonly Check[];
}

/**
 * Repairs what needs no decision of a person; says what it did. What stays wrong is told by the examination afterwards.
 * Nothing is deleted that anybody could miss: a damaged file is moved aside. One repair that fails does not stop the others.
 */
export async function repair(context: Context): Promise<Repaired> {
  const fixed: string[] = [];
  const failed: Check[] = [];
  for (const [what, mend] of REPAIRS) {
    try {
      fixed.push(...(await mend(context)));
    } catch (cause) {
      const error = writeError(what, cause);
      if (!(error instanceof LodestarError)) {
        if (!(error instanceof Error && "syscall" in error)) throw error;
        failed.push({ name: "repair", status: "fail", message: `${what}: ${error.message}`, fix: "Look at that path" });
        continue;
      }
      // What is wrong with the planes themselves the examination tells, with every line.
      if (TOLD_ANYWAY.includes(error.code)) continue;
      failed.push({ name: "repair", status: "fail", message: `${what}: ${error.message}`, fix: error.hint });
    }
  }
  return { fixed, failed };
}

const TOLD_ANYWAY: readonly Code[] = [
  "SPEC_INVALID",
  "SPEC_CONFLICT_MARKERS",
  "RUNTIME_CORRUPT",
  "RUNTIME_TOO_NEW",
  "RUNTIME_TRACKED",
  "RUNTIME_UNSUPPORTED_FILESYSTEM",
];

/** In this order: first what later ones stand on. */
const REPAIRS: readonly (readonly [what: string, mend: (context: Context) => Promise<readonly string[]>])[] = [
  ["The ignore rules", mendIgnores],
  ["The merge driver", mendDriver],
  ["The hooks", mendHooks],
  ["The lock of the spec", mendLock],
  ["Leftovers and index", mendIndex],
  ["The runtime", mendRuntime],
  ["Outcomes", mendOutcomes],
  ["The outbox", mendOutbox],
];

async function mendIgnores({ place }: Context): Promise<string[]> {
  return ensureIgnored(place).length > 0 ? ["ignore rules written"] : [];
}

async function mendDriver({ place }: Context): Promise<string[]> {
  const before = driverState(place);
  if (place.git === undefined || (before.config && before.attributes)) return [];
  const { files, config } = installDriver(place);
  if (!config && files.length === 0) return [];
  const was =
    config && before.driver !== undefined ? `; merge.lodestar.driver was ${JSON.stringify(before.driver)}` : "";
  return [`merge driver installed${was}${files.length > 0 ? "; commit .gitattributes" : ""}`];
}

async function mendHooks({ place }: Context): Promise<string[]> {
  const folder = hooksFolder(place);
  if (folder === undefined || hooksState(folder).broken.length === 0) return [];
  const { hooks, saved } = installHooks(folder);
  const names = (paths: readonly string[]) => paths.map((path) => relative(folder, path)).join(", ");
  return [`hooks installed again: ${names(hooks)}${saved.length > 0 ? `; as they were: ${names(saved)}` : ""}`];
}

async function mendLock({ spec }: Context): Promise<string[]> {
  if (lockDamage(spec.paths.lock) !== "not empty") return [];
  return spec.locked(async () => [`emptied the lock ${spec.paths.lock}`]);
}

/** Moves a database with what belongs to it to a free name beside it. @returns that name. */
function moveAside(path: string, why: string): string {
  // The database last: one that is made anew in between must not find the old one's log.
  const parts = ["-wal", "-shm", ""];
  let n = 1;
  while (parts.some((part) => isThere(`${path}.${why}-${n}${part}`))) n += 1;
  try {
    for (const part of parts)
      if (isThere(path + part)) insist(() => renameSync(path + part, `${path}.${why}-${n}${part}`));
  } catch (cause) {
    throw writeError(path, cause);
  }
  return `${path}.${why}-${n}`;
}

async function mendRuntime(context: Context): Promise<string[]> {
  if ((await context.elsewhere()) !== undefined) return [];
  const path = context.runtime_path;
  // By the name itself: a link that leads nowhere is damage, too.
  const judged = lookAt(path);
  if (judged === undefined) return [];
  const before = context.warnings.length;
  try {
    if ((await (await context.runtime()).inspect()).length === 0) {
      // A foreign one was moved on opening; the warning says where to.
      return context.warnings.slice(before).filter((warning) => warning.includes(".foreign-"));
    }
  } catch (error) {
    if (!(error instanceof LodestarError) || error.code !== "RUNTIME_CORRUPT") throw error;
  }
  context.closeRuntime();
  return context.spec.locked(async () => {
    // Of two that both saw the damage one must not move the other's new runtime (counterexample 21).
    const now = lookAt(path);
    if (now === undefined || now.ino !== judged.ino || now.dev !== judged.dev) return [];
    return [`the damaged runtime is now ${moveAside(path, "corrupt")}`];
  });
}

/** Leftovers of killed processes go, and the index is made anew: a cache, so that is always right. One that is not ours is kept. */
async function mendIndex(context: Context): Promise<string[]> {
  return context.spec.locked(async () => {
    const fixed: string[] = [];
    for (const path of temporaryFiles(context)) {
      insist(() => unlinkSync(path));
      fixed.push(`removed ${relative(dirname(context.spec.paths.spec), path)}`);
    }
    const { index } = context.spec.paths;
    const known = lookAt(index);
    if (known === undefined) return fixed;
    const opened = SpecIndex.open(index, false);
    opened?.close();
    context.spec.close();
    if (opened === undefined && !known.isDirectory() && known.size > 0) {
      fixed.push(`the unusable index is now ${relative(context.place.root, moveAside(index, "corrupt"))}`);
      return fixed;
    }
    removeIndex(index);
    return fixed;
  });
}

/** The outbox, and beyond it every outcome that this branch's spec lacks and should have (T2). */
async function mendOutcomes(context: Context): Promise<string[]> {
  if ((await context.runtimeIfAny()) === undefined) return [];
  const written = new Set(await heal(context, HEAL_PATIENCE));
  const { schedule } = await look(context, "write");
  const branch = context.branch();
  const differing = [...schedule.differing()].flatMap(({ known }) => known ?? []);
  if (differing.length > 0)
    await context.spec.locked((session) =>
      session.save((index) => {
        const edits = differing.flatMap((outcome) => missingEdit(index, outcome, branch) ?? []);
        for (const edit of edits) if (edit.kind === "set") written.add(edit.task_id);
        return edits;
      }),
    );
  return [...written].map((id) => `wrote the outcome of ${id} to the spec`);
}

/** Rows that wait for a branch that is gone, and whose outcome this spec holds: it came by merging, nothing is left to write. */
async function mendOutbox(context: Context): Promise<string[]> {
  const runtime = await context.runtimeIfAny();
  if (runtime === undefined) return [];
  const index = await context.spec.index("read");
  const over = (await runtime.outbox()).filter(
    (row) => !branchExists(context.place, row.target_branch) && isHeld(index, row),
  );
  if (over.length === 0) return [];
  await (await context.runtime()).settle(over.map((row) => row.outbox_id));
  return over.map(
    (row) => `nothing is left to write of ${row.task_id}: ${row.target_branch} is gone, and the spec has it`,
  );
}

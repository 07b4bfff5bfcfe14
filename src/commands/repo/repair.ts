import { renameSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { LodestarError } from "../../core/errors.ts";
import { driverState, installDriver } from "../../git/attributes.ts";
import { ensureIgnored, isIgnored } from "../../git/ignore.ts";
import { isThere } from "../../git/plain-file.ts";
import { removeIndex } from "../../spec/index.ts";
import type { Context } from "../context.ts";
import { look } from "../look.ts";
import { heal, missingEdit } from "../outcome.ts";
import { temporaryFiles } from "./examine.ts";

/**
 * Repairs what needs no decision of a person; says what it did. What stays wrong is told by the examination afterwards.
 * Nothing is deleted that anybody could miss: a damaged runtime is moved aside.
 */
export async function repair(context: Context): Promise<string[]> {
  const fixed: string[] = [];
  if (!isIgnored(context.place)) {
    try {
      ensureIgnored(context.place);
      fixed.push("ignore rules written");
    } catch (error) {
      if (!(error instanceof LodestarError)) throw error;
      context.warn(error.message);
    }
  }
  const { place } = context;
  const driver = driverState(place);
  if (place.git !== undefined && !(driver.config && driver.attributes)) {
    const { files, config } = installDriver(place);
    if (config || files.length > 0)
      fixed.push(`merge driver installed${files.length > 0 ? "; commit .gitattributes" : ""}`);
  }
  const moved = await moveDamagedRuntime(context);
  if (moved !== undefined) fixed.push(`the damaged runtime is now ${moved}`);
  try {
    await context.spec.locked(async () => {
      const folder = dirname(context.spec.paths.spec);
      for (const name of temporaryFiles(folder)) {
        unlinkSync(join(folder, name));
        fixed.push(`removed ${name}`);
      }
      rebuildIndex(context);
    });
    fixed.push(...(await writeOutcomes(context)).map((id) => `wrote the outcome of ${id} to the spec`));
  } catch (error) {
    // An unreadable spec is for a person to mend; the examination names every line.
    if (!(error instanceof LodestarError)) throw error;
  }
  return fixed;
}

/** The index is a cache: making it anew is always right. */
function rebuildIndex(context: Context): void {
  context.spec.close();
  removeIndex(context.spec.paths.index);
}

async function moveDamagedRuntime(context: Context): Promise<string | undefined> {
  const path = context.runtime_path;
  if (!isThere(path)) return undefined;
  try {
    const problems = (await (await context.runtime()).inspect()) ?? [];
    if (problems.length === 0) return undefined;
  } catch (error) {
    if (!(error instanceof LodestarError)) throw error;
    if (error.code !== "RUNTIME_CORRUPT") return undefined;
  }
  context.closeRuntime();
  return context.spec.locked(async () => {
    let n = 1;
    while (["", "-wal", "-shm"].some((suffix) => isThere(`${path}.corrupt-${n}${suffix}`))) n += 1;
    for (const suffix of ["-wal", "-shm", ""])
      if (isThere(path + suffix)) renameSync(path + suffix, `${path}.corrupt-${n}${suffix}`);
    return `${path}.corrupt-${n}`;
  });
}

/** The outbox, and beyond it every outcome that this branch's spec lacks and should have (T2). */
async function writeOutcomes(context: Context): Promise<string[]> {
  const written = new Set(await heal(context));
  const { schedule } = await look(context, "write");
  const { branch } = context.head();
  const differing = [...schedule.differing()].flatMap(({ known }) => known ?? []);
  if (differing.length === 0) return [...written];
  await context.spec.locked((session) =>
    session.save((index) => {
      const edits = differing.flatMap((outcome) => missingEdit(index, outcome, branch) ?? []);
      for (const edit of edits) if (edit.kind === "set") written.add(edit.task_id);
      return edits;
    }),
  );
  return [...written];
}

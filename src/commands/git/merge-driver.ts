import { resolve } from "node:path";
import { LodestarError } from "../../core/errors.ts";
import { List, Optional, Shape, Text } from "../../core/schema.ts";
import { replaceFile } from "../../git/replace.ts";
import { git } from "../../git/run.ts";
import { mergeSpecs } from "../../spec/merge.ts";
import { command } from "../command.ts";
import { ConflictShape, CyclesShape, conflictError, readVersion, unmergedError, warnOf } from "./report.ts";
import { savedSince } from "./unsaved.ts";

export default command({
  name: "git.merge_driver",
  effect: "write",
  summary: "Merge two versions of the spec, called by Git",
  explain:
    "What Git runs for .lodestar/spec.yaml once `lodestar git install` has told it to: it merges OURS and THEIRS against BASE task by task and field by field, writes the result to OURS and exits 0, or 1 when a field was changed on both sides in different ways; only that field then stands between conflict markers. A version that cannot be read is left to Git's textual merge, as a conflict.",
  anywhere: true,
  positional: ["base", "ours", "theirs", "path"],
  input: Shape({
    base: Text({ minLength: 1, description: "The common version (%O)" }),
    ours: Text({ minLength: 1, description: "Our version, replaced by the result (%A)" }),
    theirs: Text({ minLength: 1, description: "Their version (%B)" }),
    path: Optional(Text({ minLength: 1, description: "What is merged, for messages (%P)" })),
  }),
  output: Shape({ path: Text(), conflicts: List(ConflictShape), cycles: CyclesShape }),
  errors: ["MERGE_CONFLICT"],
  examples: [{ line: "lodestar git merge-driver base.yaml ours.yaml theirs.yaml", shows: "As Git calls it" }],
  run: async (input, context) => {
    const path = input.path ?? input.ours;
    const versions = {
      base: readVersion(context, input.base),
      ours: readVersion(context, input.ours),
      theirs: readVersion(context, input.theirs),
    };
    const saved = input.path === undefined ? undefined : savedSince(context, input.ours, input.path);
    const withSaved = saved === undefined ? undefined : await mergeSpecs({ ...versions, ours: saved });
    const merge = withSaved?.kind === "merged" ? withSaved : await mergeSpecs(versions);
    const target = resolve(context.cwd, input.ours);
    if (merge.kind !== "merged") {
      // Git's own merge, so that both versions are in the file; a conflict even where the lines happen to fit.
      const names = ["-L", "ours", "-L", "base", "-L", "theirs"];
      git(
        context.cwd,
        "merge-file",
        ...names,
        "--",
        target,
        resolve(context.cwd, input.base),
        resolve(context.cwd, input.theirs),
      );
      const { message, details, hint } = unmergedError(path, merge);
      throw new LodestarError("MERGE_CONFLICT", `${message} It is merged as any text, and needs a look.`, {
        details,
        hint,
      });
    }
    replaceFile(target, merge.bytes);
    warnOf(context, merge);
    const { conflicts, cycles } = merge;
    const data = {
      path,
      conflicts: [...conflicts],
      ...(cycles.length === 0 ? {} : { cycles: cycles.map((cycle) => [...cycle]) }),
    };
    if (conflicts.length > 0) throw conflictError(path, conflicts, { data });
    return data;
  },
  view: () => [],
});

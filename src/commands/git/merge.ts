import { resolve } from "node:path";
import { List, OneOf, Optional, Shape, Text } from "../../core/schema.ts";
import { line, text, type View } from "../../core/view.ts";
import { writeOutput } from "../../git/replace.ts";
import { mergeSpecs } from "../../spec/merge.ts";
import { command } from "../command.ts";
import { ConflictShape, CyclesShape, conflictError, readVersion, unmergedError, warnOf } from "./report.ts";

export default command({
  name: "git.merge",
  effect: "write",
  only_reads: (input) => input.output === undefined,
  summary: "Merge two versions of a spec by hand",
  explain:
    "Merges --ours and --theirs against --base as the merge driver does: labels, dependencies, locks, criteria and features as sets, outcomes by the rule that never moves one backwards, everything else field by field. Prints the result, or writes it to --output. Where a field was changed on both sides in different ways the result holds conflict markers around that field and the exit status is 1; --take decides such fields for one side.",
  anywhere: true,
  input: Shape({
    base: Optional(Text({ minLength: 1, description: "The common version; without it nothing counts as removed" })),
    ours: Text({ minLength: 1, description: "Our version" }),
    theirs: Text({ minLength: 1, description: "Their version" }),
    output: Optional(Text({ minLength: 1, description: "File to write the result to" })),
    take: Optional(OneOf(["ours", "theirs"], { description: "Whose value counts where both changed a field" })),
  }),
  output: Shape({
    output: Optional(Text()),
    text: Optional(Text({ description: "The merged spec, without --output" })),
    conflicts: List(ConflictShape),
    decided: Optional(List(ConflictShape)),
    cycles: CyclesShape,
  }),
  errors: ["MERGE_CONFLICT"],
  examples: [
    { line: "lodestar git merge --base base.yaml --ours ours.yaml --theirs theirs.yaml", shows: "Print the result" },
  ],
  run: async (input, context) => {
    const base = input.base === undefined ? undefined : readVersion(context, input.base);
    const versions = { base, ours: readVersion(context, input.ours), theirs: readVersion(context, input.theirs) };
    const merge = await mergeSpecs(versions, { take: input.take });
    const path = input.output ?? input.ours;
    if (merge.kind !== "merged")
      throw unmergedError(path, merge, { base: input.base ?? "base", ours: input.ours, theirs: input.theirs });
    if (input.output !== undefined) writeOutput(resolve(context.cwd, input.output), merge.bytes);
    warnOf(context, merge);
    const { conflicts, decided, cycles } = merge;
    const data = {
      ...(input.output === undefined ? { text: Buffer.from(merge.bytes).toString("utf8") } : { output: input.output }),
      conflicts: [...conflicts],
      ...(decided.length === 0 ? {} : { decided: [...decided] }),
      ...(cycles.length === 0 ? {} : { cycles: cycles.map((cycle) => [...cycle]) }),
    };
    if (conflicts.length > 0) throw conflictError(path, conflicts, { data, view: () => show(data) });
    return data;
  },
  view: show,
});

function show(data: { readonly text?: string; readonly output?: string }): View[] {
  if (data.text !== undefined) return [text(data.text.replace(/\n$/, ""))];
  return [line(`Wrote ${data.output ?? ""}`, "good")];
}

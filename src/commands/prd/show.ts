import { LodestarError } from "../../core/errors.ts";
import { Flag, List, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { field, line, note, text, title, type View } from "../../core/view.ts";
import { command } from "../command.ts";
import { look, requireTask } from "../look.ts";
import { DriftWord, SAID, sectionSaid } from "./shapes.ts";
import { openSources } from "./sources.ts";

const Section = Shape({
  anchor: Text(),
  drift: DriftWord,
  now: Optional(Text({ description: "Where the text is now" })),
  title: Optional(Text()),
  content: Optional(Text({ description: "As it is now" })),
  diff: Optional(Text({ description: "Unified difference, then against now" })),
  commit: Optional(Text({ description: "Where Git has the text of then" })),
});

export default command({
  name: "prd.show",
  effect: "read",
  summary: "Show what a task cites, and what changed since",
  explain:
    "The sections that a task cites as they are now, and what became of them since they were frozen. With --diff the difference between then and now instead: what was frozen is taken from the excerpt where it holds that text, else from Git's history, by its hash (the last 400 versions of the file). Where neither has it, only the text of now is shown, with a warning. Writes nothing.",
  positional: ["task_id"],
  input: Shape({ task_id: TaskId, diff: Optional(Flag({ description: "Show then against now" })) }),
  output: Shape({
    task_id: TaskId,
    source: Text(),
    drift: DriftWord,
    excerpt: Optional(Text()),
    diff: Optional(Text({ description: "Of the whole file, where the task names no section" })),
    commit: Optional(Text()),
    sections: List(Section),
  }),
  errors: ["TASK_NOT_FOUND", "PRD_OUTSIDE_REPOSITORY"],
  examples: [
    { line: "lodestar prd show AUTH-1", shows: "The sections as they are" },
    { line: "lodestar prd show AUTH-1 --diff", shows: "What changed since the task was written" },
  ],
  run: async (input, context) => {
    const seen = await look(context, "read");
    const { task } = await requireTask(context, seen, input.task_id);
    const { prd } = task;
    if (prd === undefined)
      throw new LodestarError("USAGE", `Task ${task.id} cites no product document`, {
        details: { task_id: task.id },
        hint: "A task gets its product context when it is created: `lodestar task create --prd-source FILE --prd-ref '#section'`.",
      });
    const sources = openSources(context, seen.index);
    const source = sources.look(prd.source);
    if (source instanceof LodestarError) {
      if (source.code === "PRD_OUTSIDE_REPOSITORY") throw source;
      context.warn(source.message);
    }
    const { drift, sections } = await sources.judge(prd);
    const here = source instanceof LodestarError ? undefined : source;
    const book = here === undefined ? undefined : await sources.book(here);
    const [then, { difference }] =
      input.diff === true && drift !== "same"
        ? await Promise.all([
            import("./then.ts").then(({ findThen }) => findThen(sources.shelf, prd)),
            import("../../prd/difference.ts"),
          ])
        : [undefined, { difference: undefined }];
    const compare = (anchor: string, now: string, name: string) => {
      const frozen = then?.get(anchor);
      if (difference === undefined) return {};
      if (frozen === undefined) {
        context.warn(`Neither the excerpt nor Git's history has the text of ${prd.source}${anchor} that was frozen`);
        return {};
      }
      const from = frozen.commit === undefined ? "excerpt" : frozen.commit.slice(0, 12);
      const diff = difference(
        { name: `${prd.source}${anchor} (then, ${from})`, text: frozen.text },
        { name, text: now },
      );
      return {
        ...(diff === undefined ? {} : { diff }),
        ...(frozen.commit === undefined ? {} : { commit: frozen.commit }),
      };
    };
    const shown = sections.map((section) => {
      const place = section.now ?? section.anchor;
      const found = book?.at(section);
      const content = found === undefined || here === undefined ? undefined : sources.textOf(here, found.lines);
      const isGone = found === undefined;
      const changes =
        section.drift === "same"
          ? {}
          : compare(
              section.anchor,
              isGone ? "" : (content ?? ""),
              isGone ? "(now: gone)" : `${prd.source}${place} (now)`,
            );
      return {
        anchor: section.anchor,
        drift: section.drift,
        ...(section.now === undefined ? {} : { now: section.now }),
        ...(isGone ? {} : { title: found.title }),
        ...(content === undefined || (input.diff === true && (changes.diff !== undefined || section.drift === "same"))
          ? {}
          : { content }),
        ...changes,
      };
    });
    const whole =
      sections.length > 0 || here === undefined
        ? {}
        : compare("", new TextDecoder().decode(here.bytes).replaceAll(/\r\n?/g, "\n"), `${prd.source} (now)`);
    return {
      task_id: task.id,
      source: prd.source,
      drift,
      ...(prd.excerpt === undefined ? {} : { excerpt: prd.excerpt }),
      ...whole,
      sections: shown,
    };
  },
  next: ({ task_id, drift }) => {
    if (drift === "same" || drift === "source_missing") return [];
    if (drift === "missing")
      return [
        { command: "prd.accept", input: { task_ids: [task_id], drop_missing: true }, why: "Take out what is gone" },
      ];
    return [{ command: "prd.accept", input: { task_ids: [task_id] }, why: "Freeze it as it is now" }];
  },
  view: (output, input) => [
    title(`${output.task_id} - ${output.source}`),
    field("Drift", SAID[output.drift]),
    ...(output.excerpt === undefined ? [] : [text(output.excerpt, "Excerpt")]),
    ...(output.diff === undefined ? [] : [text(output.diff)]),
    ...output.sections.flatMap((section): View[] => [
      line(sectionSaid(section), section.drift === "same" ? "good" : "warn"),
      ...(section.diff === undefined ? [] : [text(section.diff)]),
      ...(section.content === undefined ? [] : [text(section.content)]),
    ]),
    ...(input.diff === true && output.drift === "same" ? [note("Nothing changed since it was frozen.", "good")] : []),
  ],
});

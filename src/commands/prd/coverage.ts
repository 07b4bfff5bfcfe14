import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import { Integer, List, Optional, Shape, Text } from "../../core/schema.ts";
import { line, note, type View } from "../../core/view.ts";
import type { Section } from "../../prd/section.ts";
import { command } from "../command.ts";
import { look } from "../look.ts";
import { citing, openSources } from "./sources.ts";

const Uncovered = Shape({ anchor: Text(), title: Text(), level: Integer(), lines: List(Integer()) });

export default command({
  name: "prd.coverage",
  effect: "read",
  summary: "Show which sections of a document no task cites",
  explain:
    "For each document that tasks cite (or the one that is named): its sections that no task cites, neither themselves, nor a section around them, nor one inside them. A task that cites a document without naming sections cites all of it. Deleted tasks do not count. A section that moved counts where its text is now. Writes nothing.",
  positional: ["file"],
  items: "sources",
  input: Shape({ file: Optional(Text({ minLength: 1, description: "Markdown file (default: every cited one)" })) }),
  output: Shape({
    sources: List(
      Shape({ source: Text(), sections: Integer(), tasks: Integer(), uncovered: Optional(List(Uncovered)) }),
    ),
  }),
  errors: ["PATH_NOT_FOUND", "PRD_OUTSIDE_REPOSITORY"],
  examples: [
    { line: "lodestar prd coverage", shows: "All cited documents" },
    { line: "lodestar prd coverage PRD.md --json", shows: "One, also when no task cites it yet" },
  ],
  run: async ({ file }, context) => {
    const seen = await look(context, "read");
    const sources = openSources(context, seen.index);
    const tasks = citing(seen);
    const one = file === undefined ? undefined : sources.need(sources.nameOf(file, context.cwd)).name;
    const names = one === undefined ? [...new Set(tasks.map(({ prd }) => prd.source))] : [one];
    const answers = [];
    for (const name of names) {
      const source = sources.look(name);
      if (source instanceof LodestarError) {
        context.warn(source.message);
        continue;
      }
      const book = await sources.book(source);
      const cited = tasks.filter(({ prd }) => prd.source === name);
      const spans: Span[] = [];
      for (const { prd } of cited) {
        if ((prd.refs ?? []).length === 0) spans.push([1, Number.POSITIVE_INFINITY]);
        const { sections } = await sources.judge(prd);
        for (const judged of sections) {
          const section = book.at(judged);
          if (section !== undefined) spans.push(section.lines);
        }
      }
      const uncovered = book.sections.filter(
        ({ lines }) => !spans.some((span) => isWithin(lines, span) || isWithin(span, lines)),
      );
      answers.push({
        source: name,
        sections: book.sections.length,
        tasks: cited.length,
        ...(uncovered.length === 0 ? {} : { uncovered: uncovered.map(place) }),
      });
    }
    return { sources: answers };
  },
  next: ({ sources }) => {
    const lacking = sources.find(({ uncovered }) => uncovered !== undefined);
    const [section] = lacking?.uncovered ?? [];
    if (lacking === undefined || section === undefined) return [];
    const cite = { title: section.title, prd_source: lacking.source, prd_refs: [section.anchor] };
    return [{ command: "task.create", input: cite, why: "Plan a task for it" }];
  },
  view: ({ sources }) => {
    if (sources.length === 0) return [line("No task cites a product document.")];
    return sources.flatMap(({ source, sections, tasks, uncovered = [] }): View[] => {
      const covered = sections - uncovered.length;
      return [
        line(`${source}: ${covered} of ${counted(sections, "section")} cited, by ${counted(tasks, "task")}`, "strong"),
        ...uncovered.map(({ anchor, title, level }) => line(`${title}  ${anchor}`, "warn", level)),
        ...(uncovered.length === 0 ? [note("Every section is cited.", "good")] : []),
      ];
    });
  },
});

type Span = readonly [number, number];

const isWithin = ([from, to]: Span, [start, end]: Span): boolean => from >= start && to <= end;

const place = ({ anchor, title, level, lines }: Section) => ({ anchor: `#${anchor}`, title, level, lines: [...lines] });

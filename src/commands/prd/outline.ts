import { counted } from "../../core/counted.ts";
import { Integer, List, Optional, Shape, Text } from "../../core/schema.ts";
import { line, text } from "../../core/view.ts";
import { command } from "../command.ts";
import { anchorNotFound } from "./freeze.ts";
import { openSources } from "./sources.ts";

export default command({
  name: "prd.outline",
  effect: "read",
  summary: "List the sections of a document, with their anchors",
  explain:
    "Every section that a task can cite: its anchor as GitHub makes it (or its own {#id}), other names that lead to it, its title, level and lines. A section goes on to the next heading of its level or a higher one. Headings inside code fences, comments, block quotes and lists begin none. With an anchor, that section alone, and its text. Writes nothing.",
  positional: ["file", "anchor"],
  items: "sections",
  input: Shape({
    file: Text({ minLength: 1, description: "Markdown file in the repository" }),
    anchor: Optional(Text({ minLength: 1, description: "Only this section, with its text" })),
  }),
  output: Shape({
    source: Text(),
    sections: List(
      Shape({
        anchor: Text(),
        title: Text(),
        level: Integer(),
        lines: List(Integer()),
        aliases: Optional(List(Text())),
        content: Optional(Text({ description: "With an anchor: the text" })),
      }),
    ),
    count: Integer(),
  }),
  errors: ["PATH_NOT_FOUND", "PRD_OUTSIDE_REPOSITORY", "ANCHOR_NOT_FOUND"],
  examples: [
    { line: "lodestar prd outline PRD.md", shows: "What can be cited" },
    { line: "lodestar prd outline PRD.md log-in", shows: "One section, to read" },
  ],
  run: async ({ file, anchor: wanted }, context) => {
    const sources = openSources(context, await context.spec.index("read"));
    const source = sources.need(sources.nameOf(file, context.cwd));
    const book = await sources.book(source);
    const found = wanted === undefined ? undefined : book.find(wanted);
    if (wanted !== undefined && found === undefined) throw anchorNotFound(book, source.name, wanted);
    const sections = found === undefined ? book.sections : [found];
    return {
      source: source.name,
      sections: sections.map(({ anchor, title, level, lines, aliases }) => ({
        anchor: `#${anchor}`,
        title,
        level,
        lines: [...lines],
        ...(aliases.length === 0 ? {} : { aliases: aliases.map((alias) => `#${alias}`) }),
        ...(found === undefined ? {} : { content: sources.textOf(source, lines) }),
      })),
      count: sections.length,
    };
  },
  next: ({ source, sections }) => {
    const [first] = sections;
    if (first === undefined) return [];
    const cite = { title: "…", prd_source: source, prd_refs: [first.anchor] };
    return [{ command: "task.create", input: cite, why: "Cite a section" }];
  },
  view: ({ source, sections, count }, { anchor: wanted }) => [
    line(wanted === undefined ? `${source}: ${counted(count, "section")}` : source, "strong"),
    ...sections.map(({ anchor, title, level, lines }) =>
      line(`${title === "" ? "(no title)" : title}  ${anchor}  ${lines.join("–")}`, "plain", level),
    ),
    ...sections.flatMap(({ content }) => (content === undefined ? [] : [text(content)])),
  ],
});

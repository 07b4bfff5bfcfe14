import MarkdownIt from "markdown-it";
import { linesOf, withoutComments } from "./text.ts";

/**
 * The lines of a Markdown text that its reader is told: those of code blocks, and comments, are blank. What a template explains in a
 * comment, or an example shows, is not said.
 */
export function proseOf(text: string): string[] {
  const lines = linesOf(text);
  const parser = new MarkdownIt({ html: true });
  parser.core.ruler.enableOnly(["normalize", "block"]);
  for (const { type, map } of parser.parse(lines.join("\n"), {})) {
    if (map === null || (type !== "fence" && type !== "code_block" && type !== "html_block")) continue;
    const block = lines.slice(...map).join("\n");
    const told = type === "html_block" ? withoutComments(block).split("\n") : [];
    for (let i = map[0]; i < map[1]; i += 1) lines[i] = told[i - map[0]] ?? "";
  }
  return lines;
}

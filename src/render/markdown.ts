import type { View } from "../core/view.ts";
import { sanitise, sanitiseLine } from "./sanitise.ts";

/** Text that Markdown shows as it is. */
export const escapeMarkdown = (text: string) =>
  text
    .replaceAll(/[\\`*_[\]<>|]/g, "\\$&")
    .replaceAll(/^(\s*)([#+-])(?=\s)/gm, "$1\\$2")
    .replaceAll(/^(\s*\d+)([.)])(?=\s)/gm, "$1\\$2");

const inline = (text: string) => escapeMarkdown(sanitiseLine(text));

/** A block of text in a fence that is longer than any inside it. */
export function fenced(text: string, language = ""): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text.replace(/\n+$/, "")}\n${fence}`;
}

/** A Markdown table; the cells are Markdown already. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");
}

/** What belongs together stands in one block; a blank line parts blocks. */
interface Block {
  readonly text: string;
  readonly joins: "list" | "none";
}

function blockOf(view: View): Block {
  const alone = (text: string): Block => ({ text, joins: "none" });
  switch (view.kind) {
    case "title":
      return alone(`## ${inline(view.text)}`);
    case "line": {
      const text = inline(view.text);
      if (view.indent > 0) return { text: `${"  ".repeat(view.indent - 1)}- ${text}`, joins: "list" };
      return alone(view.tone === "strong" ? `**${text}**` : text);
    }
    case "field":
      return { text: `- **${inline(view.label)}:** ${inline(view.value)}`, joins: "list" };
    case "text": {
      const body = fenced(sanitise(view.text));
      return alone(view.label === undefined ? body : `**${inline(view.label)}:**\n\n${body}`);
    }
    case "list": {
      const items = view.items.map((item) => `- ${inline(item)}`).join("\n");
      return alone(view.label === undefined || items === "" ? items : `**${inline(view.label)}:**\n\n${items}`);
    }
    case "table":
      return alone(
        view.rows.length === 0
          ? ""
          : markdownTable(
              view.head.map(inline),
              view.rows.map((row) => row.map(inline)),
            ),
      );
    case "note":
      return alone(`> ${inline(view.text)}`);
    case "blank":
      return alone("");
  }
}

/** Views as Markdown. Text from data is shown, never obeyed. */
export function renderMarkdown(views: readonly View[]): string {
  let page = "";
  let previous: Block | undefined;
  for (const block of views.map(blockOf)) {
    if (block.text === "") continue;
    const joined = block.joins === "list" && previous?.joins === "list";
    page += `${previous === undefined ? "" : joined ? "\n" : "\n\n"}${block.text}`;
    previous = block;
  }
  return page === "" ? "" : `${page}\n`;
}

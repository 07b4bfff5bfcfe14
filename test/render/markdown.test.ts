import { expect, test } from "bun:test";
import { blank, field, line, list, note, table, text, title } from "../../src/core/view.ts";
import { escapeMarkdown, fenced, renderMarkdown } from "../../src/render/markdown.ts";

test("views as Markdown", () => {
  const views = [
    title("Task F1"),
    line("Claimed", "strong"),
    field("Lease", "L1"),
    field("Title", "a *b* | c"),
    blank,
    list(["one", "two"], "Locks"),
    text("code ``` here", "Excerpt"),
    table(["Id", "Title"], [["F1", "x|y"]]),
    note("Mind this."),
  ];
  expect(renderMarkdown(views)).toMatchInlineSnapshot(`
    "## Task F1

    **Claimed**

    - **Lease:** L1
    - **Title:** a \\*b\\* \\| c

    **Locks:**

    - one
    - two

    **Excerpt:**

    \`\`\`\`
    code \`\`\` here
    \`\`\`\`

    | Id | Title |
    | --- | --- |
    | F1 | x\\|y |

    > Mind this.
    "
  `);
});

test("text from data is shown, never obeyed", () => {
  expect(escapeMarkdown("# not a heading")).toBe("\\# not a heading");
  expect(escapeMarkdown("[x](javascript:1) <b>")).toBe("\\[x\\](javascript:1) \\<b\\>");
  expect(escapeMarkdown("1. first")).toBe("1\\. first");
  expect(fenced("```\nx\n```")).toBe("````\n```\nx\n```\n````");
  expect(renderMarkdown([line("a\u001b[31m")])).toBe("a␛\\[31m\n");
});

test("nothing is nothing", () => {
  expect(renderMarkdown([])).toBe("");
});

/** Where texts are cut that do not fit. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { cutText } from "../../src/core/cut.ts";

describe("a text that does not fit is cut", () => {
  test.each([
    ["not at all when it fits", "One. Two.", 9, "One. Two."],
    ["between paragraphs", "One is here.\n\nTwo is here. Three is here.", 26, "One is here.\n…"],
    [
      "between sentences where the paragraphs are long",
      "One is here. Two is here. Three is.",
      28,
      "One is here. Two is here. …",
    ],
    ["between items", "Some:\n- one is long\n- two is long\n- three", 36, "Some:\n- one is long …"],
    ["between words where there is no sentence", "one two three four five", 14, "one two…"],
    ["before a fence, never inside", "Do this:\n```\na. b\n\nc. d\n```\n", 20, "Do this:\n…"],
    ["behind a fence that fits", "```\na\n\nb\n```\nMore words that do not fit here", 24, "```\na\n\nb\n```\n…"],
    ["to nothing when it begins with a fence that does not fit", "```\na. b c d e f g\n```\n", 12, ""],
    ["not to a heading alone", "## Head\n\nwordwordwordword", 18, ""],
    ["to nothing without room", "One two", 0, ""],
  ])("%s", (_name, text, room, expected) => {
    expect(cutText(text, room)).toBe(expected);
  });

  test("never more than the room, never half of a fence, always a beginning of the text", () => {
    const line = fc.constantFrom(
      "```",
      "```js",
      "~~~~",
      "```` x",
      "",
      "One. Two!",
      "- item",
      "# Head",
      "words and words",
      "  ```",
      "日本。語",
      "💩💩",
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 14 }), fc.integer({ min: 0, max: 120 }), (lines, room) => {
        const text = lines.join("\n");
        const part = cutText(text, room);
        expect(part.length).toBeLessThanOrEqual(room);
        if (part === text || part === "") return;
        expect(part).toEndWith("…");
        const kept = part.replace(/\s?…$/, "");
        expect(text).toStartWith(kept);
        expect(isInFence(kept)).toBe(false);
        expect(kept.isWellFormed()).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

/** Whether a fence is open at the end of a text. */
function isInFence(text: string): boolean {
  let open = "";
  for (const line of text.split("\n")) {
    const [, mark = "", info = ""] = /^\s*(?:- )?(`{3,}|~{3,})(.*)$/.exec(line) ?? [];
    if (open === "") open = mark;
    else if (mark.startsWith(open) && info.trim() === "") open = "";
  }
  return open !== "";
}

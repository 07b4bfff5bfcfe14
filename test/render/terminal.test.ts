import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { blank, field, line, list, note, table, text, title, type View } from "../../src/core/view.ts";
import { sanitise, sanitiseLine } from "../../src/render/sanitise.ts";
import { type Paint, plain, renderTerminal, shorten, wrap } from "../../src/render/terminal.ts";

const show = (views: readonly View[], width = 40, paint: Paint = plain) => renderTerminal(views, { width, paint });

describe("on a terminal", () => {
  test("each kind of view has its look", () => {
    const views = [
      title("Health Check"),
      line("spec: fine", "good", 1),
      line("Fix: nothing", "plain", 2),
      field("Lease", "L1"),
      blank,
      list(["one", "two"], "Created"),
      text("First line.\nSecond line.", "Description"),
      note("A remark."),
      table(
        ["Id", "Title"],
        [
          ["F1", "Alpha"],
          ["F22", "Beta"],
        ],
      ),
    ];
    expect(show(views)).toMatchInlineSnapshot(`
      "Health Check

        spec: fine
          Fix: nothing
        Lease: L1

      Created:
        - one
        - two
      Description:
        First line.
        Second line.
      A remark.
      Id   Title
      F1   Alpha
      F22  Beta"
    `);
  });

  test("what is empty leaves nothing behind", () => {
    expect(show([])).toBe("");
    expect(show([table(["Id"], []), list([], "None"), blank])).toBe("");
    expect(show([line("a"), blank, blank, title("b"), line("c")])).toBe("a\n\nb\n\nc");
  });

  test("tables stay aligned with wide characters and combined emoji", () => {
    const rows = [
      ["日本語", "x"],
      ["👩‍👩‍👧", "x"],
      ["é", "x"],
      ["plain", "x"],
    ];
    const lines = show([table(["Title", "C"], rows)]).split("\n");
    const before = (text: string) => Bun.stringWidth(text.slice(0, text.search(/[xC]$/)));
    expect(new Set(lines.map(before))).toEqual(new Set([8]));
  });

  test("a table that is too wide shortens its widest column", () => {
    const lines = show(
      [table(["Id", "Title", "Status"], [["F1", "A title that goes on and on and on", "ready"]])],
      30,
    ).split("\n");
    expect(lines[1]).toBe("F1  A title that goes…  ready");
    for (const text of lines) expect(Bun.stringWidth(text)).toBeLessThanOrEqual(30);
  });

  test("in a pipe nothing is wrapped or shortened", () => {
    const long = "word ".repeat(100).trim();
    expect(show([line(long), table(["T"], [[long]])], Number.POSITIVE_INFINITY)).toBe(`${long}\nT\n${long}`);
  });

  test("text without a label is the result itself, and stays as it is", () => {
    const dot = 'digraph {\n\n\n\tF1 -> F2 [label="a long label that is wider than the terminal"]\n}\n';
    expect(show([text(dot)], 20)).toBe(dot.trimEnd());
  });

  test("colour is only given by the paint", () => {
    const paint: Paint = (tone, body) => `<${tone}>${body}`;
    expect(show([title("T"), line("a", "bad"), field("L", "v"), note("n", "warn")], 40, paint)).toBe(
      "<strong>T\n\n<bad>a\n  <faint>L: v\n<warn>n",
    );
  });

  test("no line is wider than the terminal, and no word is lost", () => {
    const word = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 30 })
      .map((found) => sanitiseLine(found).replaceAll(/\s/g, "_"));
    fc.assert(
      fc.property(
        fc.array(word, { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 20, max: 100 }),
        (words, width) => {
          const lines = wrap(words.join(" "), width);
          for (const found of lines) expect(Bun.stringWidth(found)).toBeLessThanOrEqual(width);
          expect(lines.join("").replaceAll(" ", "")).toBe(words.join(""));
        },
      ),
      { seed: 4711 },
    );
  });

  test("shortening never exceeds its width", () => {
    expect(shorten("日本語", 4)).toBe("日…");
    expect(shorten("abc", 3)).toBe("abc");
    expect(shorten("abcd", 3)).toBe("ab…");
    expect(shorten("abcd", 0)).toBe("");
  });
});

describe("nothing in the data acts on the terminal:", () => {
  test.each([
    ["an escape sequence", "a\u001b[31mb", "a␛[31mb"],
    ["one that sets the title", "\u001b]0;evil\u0007", "␛]0;evil␇"],
    ["an 8-bit one", "\u009b31m", "<U+009B>31m"],
    ["reordered text", "a\u202eb\u2066c", "a<U+202E>b<U+2066>c"],
    ["a backspace", "ab\b", "ab␈"],
    ["overwriting", "good\rbad", "good␍bad"],
    ["a line end of Windows", "a\r\nb", "a\nb"],
    ["half a character", "\ud800x", "\ufffdx"],
    ["an invisible tag", "a\u{e0041}", "a<U+E0041>"],
    ["DEL", "\u007f", "␡"],
    ["nothing", "häß 日本 👩‍👧 \t x\n", "häß 日本 👩‍👧 \t x\n"],
  ] as const)("%s", (_name, given, shown) => {
    expect(sanitise(given)).toBe(shown);
  });

  test("whatever it is and wherever it stands", () => {
    const any = fc.string({
      unit: fc.integer({ min: 0, max: 0x2fff }).map((code) => String.fromCharCode(code)),
      maxLength: 20,
    });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there.
    const acting = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2060-\u2069]/;
    fc.assert(
      fc.property(any, (data) => {
        const views = [
          title(data),
          line(data),
          field(data, data),
          text(data),
          text(data, data),
          list([data], data),
          table([data], [[data]]),
          note(data),
        ];
        expect(show(views)).not.toMatch(acting);
      }),
      { seed: 4711 },
    );
  });
});

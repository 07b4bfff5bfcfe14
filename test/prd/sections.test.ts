/** Sections of Markdown texts, well written and not. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import GithubSlugger from "github-slugger";
import { outlineOf, Slugs } from "../../src/prd/section.ts";
import { PRD } from "./document.ts";

const anchors = (text: string) => outlineOf(text).sections.map(({ anchor }) => anchor);
const lines = (text: string) => outlineOf(text).sections.map((section) => [section.anchor, ...section.lines]);

describe("what begins a section", () => {
  test.each([
    ["ATX headings", "# A\n\n## B ##\n   ### C\n#hash\n####### seven\n", ["a", "b", "c"]],
    ["setext headings", "A\n=\n\ntwo\nlines\n-----\n\n---\n", ["a", "two-lines"]],
    ["not inside code fences", "# A\n```md\n# B\n```\n~~~\n# C\n```\n# D\n~~~\n# E\n", ["a", "e"]],
    ["not behind a fence that is never closed", "# A\n```\n# B\n", ["a"]],
    ["not in indented code", "# A\n\n    # B\n", ["a"]],
    ["not in comments", "# A\n<!--\n# B\n\n# C\n-->\n# D\n", ["a", "d"]],
    ["not in block quotes and lists", "# A\n> # B\n\n- # C\n\n1. # D\n\n# E\n", ["a", "e"]],
    ["not in HTML blocks", "# A\n<pre>\n# B\n\n# C\n</pre>\n# D\n", ["a", "d"]],
    ["not in YAML front matter", "---\ntitle: x\n# comment: y\nlist:\n- a\n---\n# A\n", ["a"]],
    ["not in TOML front matter", "+++\ntitle = 'x'\n# y\n+++\n# A\n", ["a"]],
    ["but between two rules", "---\n# A\n\nSome text\n\n---\n# B\n", ["a", "b"]],
    ["a table ends where a rule begins", "# A\n\n| a | b |\n|---|---|\n| c | d |\n---\n", ["a"]],
    ["behind a byte order mark", "\ufeff# A\n", ["a"]],
    ["with any line ends", "# A\r\n\r\n## B\r\rC\r=\n", ["a", "b", "c"]],
    ["an empty document has none", "", []],
  ])("%s", (_name, text, expected) => {
    expect(anchors(text)).toEqual(expected);
  });

  test("a section goes on to the next heading of its level or a higher one, without blank lines and rules at its end", () => {
    expect(lines("# A\n\n## B\nb\n\n### C\nc\n\n---\n\n## D\n\n# E\n```\n---\n```\n")).toEqual([
      ["a", 1, 11],
      ["b", 3, 7],
      ["c", 6, 7],
      ["d", 11, 11],
      ["e", 13, 16],
    ]);
  });

  test("a closing rule inside a fence stays", () => {
    expect(lines("# A\n```\n\n---\n")).toEqual([["a", 1, 4]]);
  });
});

describe("anchors", () => {
  test.each([
    ["as GitHub makes them", "# Hello, World!\n# C++ & C#\n# a_b-c d\n", ["hello-world", "c--c", "a_b-c-d"]],
    ["repeats are counted", "# A\n# A\n# A-1\n# A\n", ["a", "a-1", "a-1-1", "a-2"]],
    ["also those in quotes, as GitHub does", "> # A\n\n# A\n", ["a-1"]],
    ["without markup", "# **Bold** `code` [link](x) ![alt](y) <b>b</b> \\* &amp;\n", ["bold-code-link--b--"]],
    ["emoji leave their dash", "# 🚀 Launch\n# Launch 🚀\n# :rocket: up\n", ["-launch", "launch-", "rocket-up"]],
    [
      "letters of every script",
      "# Überschrift\n# 日本語 見出し\n# Привет\n",
      ["überschrift", "日本語-見出し", "привет"],
    ],
    ["explicit ids", "# Log in {#login}\n# Out {#out .wide}\n# `{#code}`\n", ["login", "out", "code"]],
    ["a heading without words", "#\n\n# !!!\n", ["", "-1"]],
  ])("%s", (_name, text, expected) => {
    expect(anchors(text)).toEqual(expected);
  });

  test("other names lead to a section too", () => {
    const text =
      '# Log in {#login}\n\n<a id="second"></a>\n## Second <a name="zwei"></a>\n\ntext <a id=inside></a>\n\n`<a id="code">`\n';
    expect(outlineOf(text).sections.map(({ anchor, aliases }) => [anchor, aliases])).toEqual([
      ["login", ["log-in"]],
      ["second", ["second", "zwei", "inside"]],
    ]);
  });

  test("are those of github-slugger, for any headings", () => {
    const title = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 12 }),
      fc.constantFrom("A", "a", "A-1", "a 1", "A-1-1"),
    );
    fc.assert(
      fc.property(fc.array(title, { maxLength: 12 }), (titles) => {
        const [ours, theirs] = [new Slugs(), new GithubSlugger()];
        expect(titles.map((each) => ours.next(each))).toEqual(titles.map((each) => theirs.slug(each)));
      }),
      { numRuns: 500 },
    );
  });
});

test("the real document: every heading that is none in a fence, each anchor once", () => {
  const { sections } = outlineOf(PRD);
  expect(sections).toHaveLength(48);
  expect(new Set(sections.map(({ anchor }) => anchor)).size).toBe(48);
  expect(sections.find(({ anchor }) => anchor === "lease-semantics")?.lines).toEqual([243, 247]);
  expect(sections.find(({ anchor }) => anchor === "location-1")?.lines).toEqual([209, 211]);
});

/** What once took minutes takes moments, or the whole suite stops here. */
describe("a hostile document is read:", () => {
  test.each(
    Object.entries({
      "deep quotes": "> ".repeat(200_000),
      "deep lists": "- ".repeat(100_000),
      "one long line": "x ".repeat(500_000),
      "spaces in a heading": `# a${" ".repeat(500_000)}b`,
      "stars in a heading": `# ${"*a_ ".repeat(20_000)}`,
      "brackets in a heading": `# ${"[".repeat(20_000)}`,
      "half tags in a heading": `# ${"<a ".repeat(20_000)}`,
      "half tags in a block": `<div>\n${"<a id ".repeat(50_000)}`,
      "half ids": `# ${"{#".repeat(50_000)}}`,
      "wide table": `${"|a".repeat(1000)}\n${"|-".repeat(1000)}\n${"|b\n".repeat(5000)}`,
      "many definitions": "[a]: b\n".repeat(50_000),
      "many headings": "# a\n".repeat(20_000),
      "open comments": "<!--".repeat(50_000),
    }),
  )("%s", (_name, text) => {
    expect(outlineOf(text).sections.length).toBeLessThanOrEqual(20_000);
  });
});

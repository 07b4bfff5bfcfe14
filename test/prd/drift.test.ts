/** Drift, section by section, on the document of a real project. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freeze } from "../../src/commands/prd/freeze.ts";
import { Sources, type Tools } from "../../src/commands/prd/sources.ts";
import { LodestarError } from "../../src/core/errors.ts";
import type { Prd } from "../../src/core/task.ts";
import { Book, judge } from "../../src/prd/drift.ts";
import { sourceHash } from "../../src/prd/fingerprint.ts";
import { outlineOf } from "../../src/prd/section.ts";
import { locateSource } from "../../src/prd/source.ts";
import { edit, PRD } from "./document.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** A shelf in memory with one document on it. */
function shelf(text: string): Sources {
  const tools: Tools = { read: () => bytes(text), outline: async (source) => outlineOf(source) };
  return new Sources({ root: "/repo", worktree: "/repo" }, undefined, tools);
}

const frozen = (text: string, ...anchors: string[]): Promise<Prd> =>
  freeze(shelf(text), "/repo", { source: "PRD.md", refs: anchors.map((anchor) => ({ anchor })) }, true);

/** What becomes of sections that were frozen in one text, in another. */
async function drift(before: string, after: string, ...anchors: string[]): Promise<string[]> {
  const { sections } = await shelf(after).judge(await frozen(before, ...anchors));
  return sections.map(({ drift: word, now }) => (now === undefined ? word : `${word} ${now}`));
}

const THREE = ["#goals", "#lease-semantics", "#output-design"];

describe("three sections of the real document", () => {
  test.each([
    [
      "an edit elsewhere drifts none",
      edit("Humans become the bottleneck", "People become the bottleneck"),
      ["same", "same", "same"],
    ],
    [
      "an edit inside one drifts exactly that one",
      edit("- Renew: only current", "- Renew: the current"),
      ["same", "edited", "same"],
    ],
    ["an edit in an example drifts its section", edit('"ok": true', '"ok": false'), ["same", "same", "edited"]],
    ["a renamed heading is moved", edit("## Goals\n", "## Aims\n"), ["moved #aims", "same", "same"]],
    [
      "a deleted one is missing",
      PRD.replace(/### Lease semantics[\s\S]*?(?=---\n\n## Key)/, ""),
      ["same", "missing", "same"],
    ],
    [
      "a new section before them drifts none",
      edit("## Goals\n", "## New\n\nText.\n\n## Goals\n"),
      ["same", "same", "same"],
    ],
    [
      "other line ends, spaces at line ends and a byte order mark are no edit",
      `\ufeff${PRD.replaceAll("\n", "  \r\n")}`,
      ["same", "same", "same"],
    ],
    ["a section that went elsewhere in the document is the same", moveGoals(), ["same", "same", "same"]],
    [
      "a heading of the same words one level deeper is the same text",
      edit("### Lease semantics", "#### Lease semantics"),
      ["same", "same", "same"],
    ],
    [
      "a rule taken out before the next section drifts none",
      edit("---\n\n## Non-goals", "## Non-goals"),
      ["same", "same", "same"],
    ],
  ] as const)("%s", async (_name, after, expected) => {
    expect(await drift(PRD, after, ...THREE)).toEqual([...expected]);
  });

  function moveGoals(): string {
    const goals = /## Goals[\s\S]*?---\n\n/.exec(PRD)?.[0] ?? "";
    return `${PRD.replace(goals, "")}\n\n${goals}`;
  }
});

describe("headings that are hard to tell apart", () => {
  const repeated = "# P\n\n## A\n\none\n\n## A\n\ntwo\n";
  test.each([
    [
      "a repeated heading that is counted anew has moved",
      repeated,
      repeated.replace("## A\n", "## A\n\nzero\n\n## A\n"),
      ["#a", "#a-1"],
      ["moved #a-1", "moved #a-2"],
    ],
    [
      "the same few words under other headings are no place it moved to",
      "# A\nTBD\n\n# B\nTBD\n\n# C\nTBD\n",
      "# B\nTBD\n\n# C\nTBD\n",
      ["#a"],
      ["missing"],
    ],
    ["nothing below a heading moved nowhere", "# A\n\n# B\n", "# B\n\n# C\n", ["#a"], ["missing"]],
    [
      "other words in a heading with an id of its own are an edit",
      "# Use MySQL {#db}\nIt is.\n",
      "# Use Postgres {#db}\nIt is.\n",
      ["#db"],
      ["edited"],
    ],
    [
      "an id given later keeps the old name alive",
      "# Log in\nText.\n",
      "# Log in {#login}\nText.\n",
      ["#log-in"],
      ["same"],
    ],
    [
      "an edit below drifts the section around it too",
      "# A\n\n## B\nx\n\n## C\n",
      "# A\n\n## B\ny\n\n## C\n",
      ["#a", "#b", "#c"],
      ["edited", "edited", "same"],
    ],
    [
      "a section that turns into an example is missing",
      "# A\n\n## B\nx\n",
      "# A\n\n```\n## B\nx\n```\n",
      ["#b"],
      ["missing"],
    ],
    ["emoji and case find their section", "# 🚀 Launch\nx\n", "# 🚀 Launch\nx\n\n# More\n", ["#-Launch"], ["same"]],
  ])("%s", async (_name, before, after, anchors, expected) => {
    expect(await drift(before, after, ...anchors)).toEqual(expected);
  });
});

describe("tasks of Lodestar 1.0 know the whole file's hash", () => {
  const old: Prd = {
    source: "PRD.md",
    refs: [{ anchor: "#goals" }, { anchor: "#cli-experience" }],
    prd_hash: sourceHash(bytes(PRD)),
  };
  const words = async (text: string, prd = old) =>
    (await shelf(text).judge(prd)).sections.map((section) => section.drift);

  test("the file as it was is no drift, whatever its line ends; any edit is, of every section", async () => {
    expect(await words(PRD)).toEqual(["same", "same"]);
    expect(await words(PRD.replaceAll("\n", "\r\n"))).toEqual(["same", "same"]);
    expect(await words(`${PRD}more`)).toEqual(["edited", "edited"]);
    expect(await words("# Other\n")).toEqual(["missing", "missing"]);
  });

  test("the hash is SHA-256 of the file", () => {
    expect(sourceHash(bytes("a\r\nb\rc\n"))).toBe(new Bun.CryptoHasher("sha256").update("a\nb\nc\n").digest("hex"));
  });

  test("without sections the file is judged as a whole", async () => {
    const whole = { source: "PRD.md", prd_hash: sourceHash(bytes(PRD)) };
    expect((await shelf(PRD).judge(whole)).drift).toBe("same");
    expect((await shelf(`${PRD}x`).judge(whole)).drift).toBe("edited");
    expect(await shelf(PRD).judge({ source: "PRD.md" })).toMatchObject({ drift: "same", unfrozen: true });
  });
});

test("500 tasks: each source is read once and taken apart once; a file that is the one that was frozen not at all", async () => {
  const counts = { read: 0, outline: 0 };
  const texts: Record<string, string> = { "/repo/A.md": PRD, "/repo/B.md": PRD.repeat(3) };
  const tools: Tools = {
    read: ({ path }) => {
      counts.read += 1;
      return bytes(texts[path] ?? "");
    },
    outline: async (text) => {
      counts.outline += 1;
      return outlineOf(text);
    },
  };
  const open = () => new Sources({ root: "/repo", worktree: "/repo" }, undefined, tools);
  const planning = open();
  const tasks: Prd[] = [];
  for (let i = 0; i < 500; i += 1)
    tasks.push(
      await freeze(
        planning,
        "/repo",
        { source: i % 2 === 0 ? "A.md" : "B.md", refs: [{ anchor: "#goals" }, { anchor: "#problem" }] },
        true,
      ),
    );
  expect(counts).toEqual({ read: 2, outline: 2 });
  const untouched = open();
  for (const prd of tasks) expect((await untouched.judge(prd)).drift).toBe("same");
  expect(counts).toEqual({ read: 4, outline: 2 });
  texts["/repo/A.md"] = `${PRD}\nmore\n`;
  const edited = open();
  for (const prd of tasks) expect((await edited.judge(prd)).drift).toBe("same");
  expect(counts).toEqual({ read: 6, outline: 3 });
});

test("what was worked out of a file is remembered for the next call, by its hash", async () => {
  const kept = new Map<string, string>();
  const memory = {
    recall: (name: string, digest: string) => kept.get(name + digest),
    memorise: (name: string, digest: string, body: string) => void kept.set(name + digest, body),
  };
  let parsed = 0;
  const tools = (text: string): Tools => ({
    read: () => bytes(text),
    outline: async (source) => {
      parsed += 1;
      return outlineOf(source);
    },
  });
  const prd = await frozen(PRD, "#goals");
  for (const text of [`${PRD}x`, `${PRD}x`, `${PRD}y`]) {
    const judged = await new Sources({ root: "/repo", worktree: "/repo" }, memory, tools(text)).judge(prd);
    expect(judged.sections).toEqual([{ anchor: "#goals", drift: "same" }]);
  }
  expect(parsed).toBe(2);
});

test("a source lies in the repository, links and all, or is refused unread", () => {
  const base = mkdtempSync(join(tmpdir(), "lodestar-prd-"));
  try {
    const worktree = join(base, "repo");
    const root = join(worktree, "app");
    mkdirSync(join(worktree, ".git"), { recursive: true });
    mkdirSync(join(root, "docs"), { recursive: true });
    writeFileSync(join(base, "secret.md"), "# Secret\n");
    writeFileSync(join(worktree, "PRD.md"), "# A\n");
    writeFileSync(join(worktree, ".git", "config"), "# B\n");
    symlinkSync(join(base, "secret.md"), join(root, "link.md"));
    symlinkSync(base, join(root, "up"));
    symlinkSync(join(worktree, "PRD.md"), join(root, "inside.md"));
    symlinkSync(join(worktree, ".git"), join(root, "innocent"));
    symlinkSync("loop.md", join(root, "loop.md"));
    const where = { root, worktree };
    const name = (source: string, from?: string) => locateSource(where, source, from).name;
    expect(name("docs/none-yet.md")).toBe("docs/none-yet.md");
    expect(name("../PRD.md")).toBe("../PRD.md");
    expect(name(join(worktree, "PRD.md"))).toBe("../PRD.md");
    expect(name("../inside.md", join(root, "docs"))).toBe("inside.md");
    for (const source of [
      "../../secret.md",
      "link.md",
      "up/secret.md",
      "up/none.md",
      "/etc/passwd",
      "/none",
      "..",
      "",
      "../.git/config",
      "../.GIT/config",
      "innocent/config",
      "a\0b",
      "../",
    ]) {
      let code = "";
      try {
        code = `let through as ${name(source)}`;
      } catch (error) {
        code = error instanceof LodestarError ? error.code : String(error);
      }
      expect({ source, code }).toEqual({ source, code: "PRD_OUTSIDE_REPOSITORY" });
    }
    expect(() => name("loop.md")).toThrow(LodestarError);
  } finally {
    rmSync(base, { recursive: true });
  }
});

test("a reference that was judged leads to its section", async () => {
  const prd = await frozen(PRD, ...THREE);
  const now = edit("## Goals\n", "## Aims\n");
  const book = new Book(outlineOf(now));
  const { sections } = await judge(prd, "other", async () => book);
  expect(sections.map((section) => book.at(section)?.title)).toEqual(["Aims", "Lease semantics", "Output design"]);
});

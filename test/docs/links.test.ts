/** Links of the pages lead somewhere, and the tests that a page names are there. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { GROUPS } from "../../src/commands/registry.ts";
import { pages, ROOT } from "./pages.ts";

/** Written by scripts/docs.ts; `bun run check` says when one is missing. */
const GENERATED = ["lodestar", "errors", ...Object.keys(GROUPS)].map((name) => `docs/reference/${name}.md`);

const prose = (text: string) => text.replaceAll(/^```[\s\S]*?^```/gm, "").replaceAll(/`[^`\n]*`/g, "");

/** Anchors of a page, by GitHub's rules. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of text.replaceAll(/^```[\s\S]*?^```/gm, "").matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-");
    let unique = slug;
    for (let n = 1; anchors.has(unique); n++) unique = `${slug}-${n}`;
    anchors.add(unique);
  }
  for (const [, id = ""] of text.matchAll(/<a id="([^"]+)">/g)) anchors.add(id);
  return anchors;
}

const all = pages();

test.each(all.map((page) => [page.path, page] as const))("links of %s lead somewhere", (path, { text }) => {
  const broken: string[] = [];
  for (const [, target = ""] of prose(text).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [file = "", anchor] = target.split("#");
    const goal = file === "" ? path : posix.normalize(posix.join(posix.dirname(path), file));
    if (!existsSync(join(ROOT, goal))) {
      if (!GENERATED.includes(goal)) broken.push(target);
      continue;
    }
    if (
      anchor !== undefined &&
      goal.endsWith(".md") &&
      !anchorsOf(readFileSync(join(ROOT, goal), "utf8")).has(anchor)
    ) {
      broken.push(target);
    }
  }
  expect(broken).toEqual([]);
});

test("every page of docs/ can be reached from README.md", () => {
  const reached = new Set(["README.md"]);
  for (const path of reached) {
    const text = all.find((page) => page.path === path)?.text ?? "";
    for (const [, target = ""] of prose(text).matchAll(/\]\(([^)\s#]+)/g)) {
      const goal = posix.normalize(posix.join(posix.dirname(path), target));
      if (all.some((page) => page.path === goal)) reached.add(goal);
    }
  }
  expect(all.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([]);
});

const PROMISES = [...Array.from({ length: 9 }, (_, i) => `L${i + 1}`), "S1", "S2", "S3", "T1", "T2", "T3", "T4", "T5"];
const GUARANTEES = all.find(({ path }) => path === "docs/concepts/guarantees.md")?.text ?? "";

/** The source of every test file, and of the suites that they share. */
const sources = new Map<string, string>(
  readdirSync(join(ROOT, "test"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => [`test/${path.replaceAll("\\", "/")}`, readFileSync(join(ROOT, "test", path), "utf8")] as const),
);

test("docs/concepts/guarantees.md has every promise, in order", () => {
  expect([...GUARANTEES.matchAll(/^### ([LST]\d)/gm)].map(([, promise]) => promise as string)).toEqual(PROMISES);
});

test.each(PROMISES)("%s names tests that exist, or says that there is none yet", (promise) => {
  const [, section = ""] = GUARANTEES.split(new RegExp(`^### ${promise}.*$`, "m"));
  const own = section.split(/^##/m)[0] ?? "";
  const proofs = [...own.matchAll(/^- `(test\/[^`]+)`: (.+)$/gm)];
  if (proofs.length === 0) expect(own).toContain("No test proves this yet.");
  for (const [, file = "", name = ""] of proofs) {
    expect({ file, name, found: sources.get(file)?.includes(name) ?? false }).toEqual({ file, name, found: true });
  }
});

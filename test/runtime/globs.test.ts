import { describe, expect, test } from "bun:test";
import { globsOverlap } from "../../src/core/globs.ts";
import { SeededRandom } from "../support/clock.ts";

const CASES: readonly (readonly [a: string, b: string, overlap: boolean])[] = [
  ["src/auth/**", "src/auth/login.ts", true],
  ["src/auth/**", "src/authors/x.ts", false],
  ["src/auth", "src/auth/login.ts", true],
  ["src/auth/", "./src/auth/login.ts", true],
  ["src//auth", "/src/./auth/login.ts", true],
  ["src/*.ts", "src/*.js", false],
  ["src/*.ts", "src/a*", true],
  ["src/*", "src/a/b", true],
  ["**/*.ts", "src/a.ts", true],
  ["docs/*.ts", "docs/*.md", false],
  ["a/**/z", "a/z", true],
  ["a/**", "a", true],
  ["{src,test}/a.ts", "test/*.ts", true],
  ["{src,test}/a.ts", "docs/*", false],
  ["a{b,{c,d}e}f", "adef", true],
  ["a{b,{c,d}e}f", "adf", false],
  ["[a-c].ts", "[c-f].ts", true],
  ["[a-b].ts", "[c-f].ts", false],
  ["[!a].ts", "b.ts", true],
  ["a?c", "abc", true],
  ["a?c", "a/c", false],
  ["\\*.ts", "a.ts", false],
  ["\\*.ts", "*.ts", true],
  ["", "anything", true],
  [".", "anything/below", true],
  ["!src/**", "src/a", true],
  ["{a", "b", true],
  ["übung/*", "übung/😀", true],
];

describe("globsOverlap", () => {
  test.each(CASES)("%j and %j: %p", (a, b, expected) => {
    expect(globsOverlap(a, b)).toBe(expected);
    expect(globsOverlap(b, a)).toBe(expected);
  });

  test("never says no where Bun.Glob matches one path with both patterns, or a folder above it", () => {
    const random = new SeededRandom(20261122);
    const parts = [
      "a",
      "b",
      "/",
      "/",
      "*",
      "**",
      "?",
      "[ab]",
      "[!a]",
      "[a-b]",
      "{a,b}",
      "{a/b,*}",
      "{**,b}",
      "\\a",
      "\\*",
      "./",
      "*",
      "a",
      "b",
    ];
    const paths = allPaths(["a", "b", "*"], 5);
    let overlaps = 0;
    for (let round = 0; round < 2000; round += 1) {
      const [a, b] = [pattern(random, parts), pattern(random, parts)];
      const [inA, inB] = [covered(a, paths), covered(b, paths)];
      const common = paths.find((path) => inA.has(path) && inB.has(path));
      if (common === undefined) continue;
      overlaps += 1;
      if (!globsOverlap(a, b)) throw new Error(`${a} and ${b} both cover ${common}`);
    }
    expect(overlaps).toBeGreaterThan(300);
  }, 30_000);

  test("says no to most pairs that share no short path: it is no shrug", () => {
    const random = new SeededRandom(7);
    const parts = ["a", "b", "/", "*", "?", "[ab]", "{a,b}", "/"];
    const paths = allPaths(["a", "b"], 6);
    let [wrong, disjoint] = [0, 0];
    for (let round = 0; round < 2000; round += 1) {
      const [a, b] = [pattern(random, parts), pattern(random, parts)];
      // Slashes that Bun takes literally mean nothing here.
      if ([a, b].some((one) => /^\/|\/\/|\/$/.test(one))) continue;
      const inB = covered(b, paths);
      if ([...covered(a, paths)].some((path) => inB.has(path))) continue;
      disjoint += 1;
      if (globsOverlap(a, b)) wrong += 1;
    }
    expect(disjoint).toBeGreaterThan(100);
    // The rest share only paths that are longer than those tried.
    expect(wrong / disjoint).toBeLessThan(0.2);
  }, 30_000);

  test("hostile patterns take bounded time", () => {
    const started = Bun.nanoseconds();
    const hostile = [
      `${"*a".repeat(500)}b`,
      `${"**/".repeat(500)}x`,
      "{".repeat(1000),
      `${"{a,".repeat(300)}b${"}".repeat(300)}`,
      "[".repeat(2000),
      "a".repeat(100_000),
    ];
    for (const a of hostile) for (const b of hostile) globsOverlap(a, b);
    expect((Bun.nanoseconds() - started) / 1e6).toBeLessThan(10_000);
  }, 30_000);
});

function pattern(random: SeededRandom, parts: readonly string[]): string {
  return Array.from({ length: 1 + random.below(6) }, () => random.pick(parts)).join("");
}

/** Relative paths of up to `length` characters, without empty segments. */
function allPaths(letters: readonly string[], length: number): string[] {
  const paths: string[] = [];
  const grow = (path: string): void => {
    if (path !== "" && !path.endsWith("/")) paths.push(path);
    if (path.length === length) return;
    for (const letter of letters) grow(path + letter);
    if (path !== "" && !path.endsWith("/")) grow(`${path}/`);
  };
  grow("");
  return paths;
}

/** The paths that a pattern names, and what lies in them. */
function covered(pattern: string, paths: readonly string[]): Set<string> {
  const glob = new Bun.Glob(pattern);
  const named = new Set(paths.filter((path) => glob.match(path)));
  return new Set(paths.filter((path) => path.split("/").some((_, i, all) => named.has(all.slice(0, i + 1).join("/")))));
}

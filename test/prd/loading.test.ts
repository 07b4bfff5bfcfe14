/** What a call that has nothing to do with product documents must not load for them. */
import { describe, expect, test } from "bun:test";
import { loadedBy } from "../support/loaded.ts";

const isOurs = (path: string) => /^(?:prd\/|commands\/prd\/|commands\/task\/product)/.test(path);
const PARSER = ["markdown-it", "github-slugger", "diff", "prd/section.ts", "prd/difference.ts"];

describe("without product context", () => {
  test.each([
    "commands/task/claim.ts",
    "commands/task/next.ts",
    "commands/task/taking.ts",
    "commands/task/done.ts",
    "commands/task/create.ts",
    "commands/task/import.ts",
    "commands/repo/status.ts",
  ])("%s loads nothing of it", (entry) => {
    expect(loadedBy(entry).filter((path) => isOurs(path) || PARSER.includes(path))).toEqual([]);
  });
});

test.each(["commands/task/product.ts", "commands/task/context.ts", "commands/prd/check.ts", "commands/prd/accept.ts"])(
  "%s does without the parser until a document has changed",
  (entry) => {
    expect(loadedBy(entry).filter((path) => PARSER.includes(path))).toEqual([]);
  },
);

test("the parser is found where it is loaded", () => {
  expect(loadedBy("prd/section.ts")).toContain("markdown-it");
  expect(loadedBy("commands/task/product.ts").some(isOurs)).toBe(true);
});

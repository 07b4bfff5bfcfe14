import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { commandLine } from "../../src/cli/line.ts";
import { parse } from "../../src/cli/parse.ts";
import { nearest, slips } from "../../src/core/nearest.ts";
import { quote } from "../../src/core/shell.ts";
import { claim, done } from "./house.ts";

/** What a shell makes of a line: its words. */
function shellWords(line: string): string[] {
  const shell = Bun.spawnSync(["sh", "-c", `for word in ${line}; do printf '%s\\0' "$word"; done`]);
  expect(shell.stderr.toString()).toBe("");
  return shell.stdout.toString().split("\0").slice(0, -1);
}

describe("a next command", () => {
  test("stands as people would type it", () => {
    expect(commandLine(claim, { task_ids: ["T-4k2"], agent_id: "A1" })).toBe("lodestar task claim T-4k2 --agent A1");
    expect(commandLine(claim, { task_ids: ["a", "b"], label: ["x y", "z"], context: false, force: true })).toBe(
      "lodestar task claim a b --force --no-context --label 'x y' --label z",
    );
  });

  test("names what is still to be filled in", () => {
    expect(commandLine(done, {})).toBe("lodestar task done TASK_ID");
  });

  test("means the same when it is pasted into a shell, whatever is in it", () => {
    const word = fc
      .string({ unit: "binary", minLength: 1, maxLength: 12 })
      .filter((text) => !text.includes("\0") && text.isWellFormed());
    const input = fc.record(
      {
        task_ids: fc.array(word, { minLength: 1, maxLength: 3 }),
        note: word.filter((text) => text !== "-"),
        label: fc.array(word, { minLength: 1, maxLength: 3 }),
        priority: fc.integer({ min: -10, max: 10 }),
        force: fc.constant(true),
        context: fc.constant(false),
        ttl: fc.constant("1h"),
      },
      { requiredKeys: ["task_ids"] },
    );
    fc.assert(
      fc.property(input, (values) => {
        const [program, ...argv] = shellWords(commandLine(claim, values));
        expect(program).toBe("lodestar");
        expect(parse(claim, ["task", "claim"], argv).input).toEqual(values);
      }),
      { numRuns: 150, seed: 4711 },
    );
  });

  test("quotes nothing that needs no quotes", () => {
    expect(quote("T-4k2")).toBe("T-4k2");
    expect(quote("src/a.ts,b@c")).toBe("src/a.ts,b@c");
    expect(quote("it's")).toBe("'it'\\''s'");
    expect(quote("")).toBe("''");
    for (const word of ["$HOME", "a b", "*", "a;b", "`a`", "~", "#a", "a=b", "{a,b}", "!x"])
      expect(quote(word)).toBe(`'${word}'`);
  });
});

describe("did you mean", () => {
  test.each([
    ["claim", "claim", 0],
    ["clam", "claim", 1],
    ["cliam", "claim", 1],
    ["lable", "label", 1],
    ["", "abc", 3],
    ["status", "stats", 1],
  ] as const)("%s is that many slips from %s: %d", (a, b, distance) => {
    expect(slips(a, b)).toBe(distance);
    expect(slips(b, a)).toBe(distance);
  });

  test("offers the nearest first, at most three, and nothing far-fetched", () => {
    expect(nearest("stats", ["status", "stats", "start"])).toEqual(["stats", "status"]);
    expect(nearest("desc", ["description", "delete"])).toEqual(["description"]);
    expect(nearest("frobnicate", ["claim", "done"])).toEqual([]);
  });
});

/** `lodestar doctor --format`: what CI services read, held against what they say they read; and the places in the spec. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv";
import fc from "fast-check";
import { report } from "../../src/commands/repo/doctor-report.ts";
import type { Check } from "../../src/commands/repo/examine.ts";
import { fileName } from "../../src/commands/repo/examine.ts";
import { Places } from "../../src/spec/places.ts";
import { fleet } from "../support/fleet.ts";
import { sandbox } from "../support/sandbox.ts";

const FIXTURES = join(import.meta.dir, "..", "fixtures", "ci");

/** SARIF's schema is of a draft that this validator reads but for its two names. */
const { $schema: _, id: __, ...schema } = JSON.parse(readFileSync(join(FIXTURES, "sarif-2.1.0.json"), "utf8"));
const sarifCheck = new Ajv({ strict: false, validateFormats: false, unicodeRegExp: false, allErrors: true }).compile(
  schema,
);

// biome-ignore lint/suspicious/noExplicitAny: a test looks into a report of another format.
function sarif(checks: readonly Check[], strict = false): any {
  const log = JSON.parse(report("sarif", checks, strict));
  sarifCheck(log);
  expect(sarifCheck.errors ?? []).toEqual([]);
  return log;
}

const hasXmllint = Bun.which("xmllint") !== null;
if (!hasXmllint && process.env.CI === "true")
  throw new Error("xmllint (libxml2-utils) is not here: JUnit goes unchecked.");

/** The value of an XPath expression in a report that has been held against the DTD. */
function xpath(xml: string, expression: string): string {
  using here = sandbox({ git: false });
  const file = join(here.base, "report.xml");
  writeFileSync(file, xml);
  const run = (...args: string[]) => {
    const ran = Bun.spawnSync(["xmllint", "--nonet", ...args, file], { stdout: "pipe", stderr: "pipe" });
    expect({ stderr: ran.stderr.toString(), exit: ran.exitCode }).toEqual({ stderr: "", exit: 0 });
    return ran.stdout.toString();
  };
  run("--noout", "--dtdvalid", join(FIXTURES, "junit.dtd"));
  return run("--xpath", `string(${expression})`).replace(/\n$/, "");
}

const NASTY = `100%, a: b\r\n::error::x <&">'\u001b[31m\u202e ∑ 😀 \ud800 ]]>`;
const CHECKS: readonly Check[] = [
  { name: "repository", status: "pass", message: "/home/you/shop" },
  { name: "spec", status: "fail", message: NASTY, fix: "Mend it", file: "a,b: c/ß 1%.yaml", line: 3, column: 5 },
  { name: "spec", status: "fail", message: "again" },
  { name: "prd", status: "warn", message: "drifted", file: "PRD.md", line: 7 },
  { name: "merging", status: "info", message: "no driver" },
];

describe("github", () => {
  test("an annotation a finding, properties and text escaped", () => {
    expect(report("github", CHECKS, false)).toBe(
      [
        `::error file=a%2Cb%3A c/ß 1%25.yaml,line=3,col=5,title=lodestar doctor%3A spec::${NASTY.replace("%", "%25").replace("\r\n", "%0D%0A")}%0AFix: Mend it`,
        "::error title=lodestar doctor%3A spec::again",
        "::warning file=PRD.md,line=7,title=lodestar doctor%3A prd::drifted",
        "5 checks, 3 findings",
      ].join("\n"),
    );
  });

  test("strict warnings are errors", () => {
    expect(report("github", CHECKS, true)).toContain("::error file=PRD.md,line=7,");
  });

  test("nothing that is said makes a command of its own, nor changes when it is read back", () => {
    const decoded = (text: string) =>
      text
        .replaceAll("%0A", "\n")
        .replaceAll("%0D", "\r")
        .replaceAll("%2C", ",")
        .replaceAll("%3A", ":")
        .replaceAll("%25", "%");
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary", minLength: 1 }), (message, file) => {
        const [first = "", ...rest] = report("github", [{ name: "spec", status: "fail", message, file }], false).split(
          /[\r\n]/,
        );
        expect(rest).toEqual(["1 check, 1 finding"]);
        const [, properties = "", text = ""] = /^::error ([^:]*)::([\s\S]*)$/.exec(first) ?? [];
        expect(decoded(text)).toBe(message);
        expect(decoded(properties.split(",")[0] ?? "")).toBe(`file=${file}`);
      }),
    );
  });
});

describe("sarif", () => {
  test("is what the schema of 2.1.0 asks for, with a place for each finding", () => {
    const { runs } = sarif(CHECKS);
    expect(runs[0].tool.driver.rules.map(({ id }: { id: string }) => id)).toEqual([
      "merging",
      "prd",
      "repository",
      "spec",
    ]);
    expect(
      // biome-ignore lint/suspicious/noExplicitAny: as above.
      runs[0].results.map((found: any) => [found.ruleId, found.level, found.locations[0].physicalLocation]),
    ).toEqual([
      [
        "spec",
        "error",
        { artifactLocation: { uri: "a%2Cb%3A%20c/%C3%9F%201%25.yaml" }, region: { startLine: 3, startColumn: 5 } },
      ],
      ["spec", "error", { artifactLocation: { uri: ".lodestar/spec.yaml" }, region: { startLine: 1 } }],
      ["prd", "warning", { artifactLocation: { uri: "PRD.md" }, region: { startLine: 7 } }],
    ]);
    expect(runs[0].results[0].message.text).toBe(`${NASTY}\nFix: Mend it`);
  });

  test("every check that doctor knows is described", () => {
    const names = ["commands/repo/examine.ts", "commands/repo/examine-prd.ts", "commands/repo/repair.ts"]
      .map((path) => readFileSync(join(import.meta.dir, "..", "..", "src", path), "utf8"))
      .flatMap((source) => [...source.matchAll(/\bname: "([a-z]+)"/g)].map(([, name]) => name as string));
    expect(names.length).toBeGreaterThan(30);
    const { runs } = sarif([...new Set(names)].map((name): Check => ({ name, status: "pass", message: "" })));
    for (const { id, shortDescription } of runs[0].tool.driver.rules) expect(shortDescription.text).not.toBe(id);
  });

  test.each([
    ["/elsewhere/a b.yaml", "file:///elsewhere/a%20b.yaml"],
    ["C:/shop/spec.yaml", "file:///C:/shop/spec.yaml"],
  ])("%s, outside of the worktree, is an absolute URI", (file, uri) => {
    const { runs } = sarif([{ name: "spec", status: "fail", message: "x", file }]);
    expect(runs[0].results[0].locations[0].physicalLocation.artifactLocation.uri).toBe(uri);
  });
});

describe.skipIf(!hasXmllint)("junit (xmllint reads it)", () => {
  test("a test case a check, failed, skipped or passed", () => {
    const xml = report("junit", CHECKS, false);
    const said = (expression: string) => xpath(xml, expression);
    expect(said("concat(//@tests, ' ', //@failures, ' ', //@skipped)")).toBe("4 1 1");
    expect(said("//testcase[@name='spec']/failure/@message")).toBe(`${shown(NASTY)}, and 1 more`);
    expect(said("//testcase[@name='spec']/failure")).toBe(
      `fail: a,b: c/ß 1%.yaml:3:5: ${shown(NASTY)}\nFix: Mend it\nfail: again`,
    );
    expect(said("//testcase[@name='merging']/skipped/@message")).toBe("info: no driver");
    expect(said("//testcase[@name='prd']/system-out")).toBe("warn: PRD.md:7: drifted");
    expect(xpath(report("junit", CHECKS, true), "//testcase[@name='prd']/failure/@type")).toBe("warn");
  });
  /** What XML cannot hold is a replacement character. */
  const shown = (text: string) => text.replaceAll("\u001b", "\ufffd").toWellFormed();
});

test("every report is plain ASCII but for the text of annotations: nothing acts on a terminal, no encoding matters", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (message) => {
      for (const format of ["sarif", "junit"] as const) {
        expect(report(format, [{ name: "spec", status: "fail", message }], false)).toMatch(/^[\n -~]*$/);
      }
    }),
  );
});

describe("places", () => {
  const lineOf = (text: string, needle: string) => text.slice(0, text.indexOf(needle)).split("\n").length;
  const BLOCK = [
    "# Ünïcode before",
    "project: { name: shop }",
    "tasks:",
    "  A-1:",
    "    title: one",
    "    depends_on:",
    "      - B-1 # first",
    "      - GONE",
    "    status: ready",
    "  'B-1':",
    "    title: ünï",
    "    depends_on: [A-1, 'LOST', \"ß\", OFF]",
    "    status: ready",
    "",
  ].join("\n");
  const cases: readonly (readonly [string, string])[] = [
    ["block style", BLOCK],
    ["CRLF", BLOCK.replaceAll("\n", "\r\n")],
    ["a byte order mark", `\ufeff${BLOCK}`],
  ];
  test.each(cases)("in %s", (_, text) => {
    const places = new Places(Buffer.from(text));
    expect(places.find("A-1")).toEqual({ line: 4, column: 3 });
    expect(places.find("A-1", "depends_on", 1)).toEqual({ line: 8, column: 9 });
    expect(places.find("A-1", "status")).toEqual({ line: 9, column: 13 });
    expect(places.find("B-1")).toEqual({ line: 10, column: 3 });
    // Characters, not bytes.
    expect(places.find("B-1", "depends_on", 3)).toEqual({ line: lineOf(text, "OFF"), column: 36 });
    expect(places.find("A-1", "locks", 0)).toEqual({ line: 5, column: 5 });
    expect(places.find("NONE")).toBeUndefined();
  });

  test("in flow style", () => {
    const places = new Places(
      Buffer.from("project: {name: shop}\ntasks: {A: {title: a,\n  depends_on: [B, C]}, B: {title: b}}\n"),
    );
    expect(places.find("A", "depends_on", 1)).toEqual({ line: 2 + 1, column: 19 });
    expect(places.find("B")).toEqual({ line: 3, column: 24 });
  });

  test("where anchors hide the fields the task is named, or nothing", () => {
    const places = new Places(Buffer.from("tasks:\n  A:\n    title: &t a\n    depends_on: [B]\n"));
    expect(places.find("A", "depends_on", 0)).toEqual({ line: 2, column: 3 });
    expect(new Places(Buffer.from("tasks: &all {A: {title: a}}\n")).find("A")).toBeUndefined();
  });

  test("files are named from the worktree's root, those elsewhere in full", () => {
    expect(fileName("/shop", "/shop/sub/.lodestar/spec.yaml")).toBe("sub/.lodestar/spec.yaml");
    expect(fileName("/shop", "/other/spec.yaml")).toBe("/other/spec.yaml");
    expect(fileName("/shop", "/shop/..a/spec.yaml")).toBe("..a/spec.yaml");
  });
});

test("the program: each finding at its line, exit 1, nothing else on standard output, the fresh clone no finding", async () => {
  using here = await fleet();
  here.tasks(["T", "U", "V", "W"], (id) =>
    id === "T"
      ? ["depends_on: [U, GONE]"]
      : id === "V"
        ? ["depends_on:", "  - W"]
        : id === "W"
          ? ["depends_on: [V]"]
          : [],
  );
  here.commit();
  here.git("clone", "-q", ".", "../clone");
  const run = (...words: string[]) => here.run(["doctor", ...words], { cwd: "../clone" });
  const github = await run("--format", "github");
  expect(github.exit).toBe(1);
  expect(github.stdout.split("\n")).toEqual([
    "::error file=.lodestar/spec.yaml,line=14,col=21,title=lodestar doctor%3A dependencies::No such task: T → GONE%0AFix: `lodestar task update T --remove-dep GONE`; or create the task",
    "::error file=.lodestar/spec.yaml,line=34,col=9,title=lodestar doctor%3A cycles::V → W → V%0AFix: `lodestar task update V --remove-dep W` breaks it",
    expect.stringMatching(/^\d+ checks, 2 findings$/),
    "",
  ]);
  const log = JSON.parse((await run("--format", "sarif")).stdout);
  sarifCheck(log);
  expect(sarifCheck.errors ?? []).toEqual([]);
  expect(log.runs[0].results.length).toBe(2);
  const { json, exit } = await run("--format", "junit", "--json");
  expect([exit, json.error.code, json.data.checks.filter(({ line }: Check) => line !== undefined).length]).toEqual([
    1,
    "UNHEALTHY",
    2,
  ]);

  here.git("-C", "../clone", "checkout", "-q", "-b", "sound");
  here.write("../clone/.lodestar/spec.yaml", "project: { name: shop }\ntasks: {}\n");
  const sound = await run("--strict", "--format", "github");
  expect([sound.exit, sound.stderr]).toEqual([0, ""]);
  expect(sound.stdout).toMatch(/^\d+ checks, 0 findings\n$/);
  const junit = await run("--strict", "--format", "junit");
  if (hasXmllint) expect(xpath(junit.stdout, "concat(//@failures, ' ', //@errors)")).toBe("0 0");
  here.write("../clone/.lodestar/spec.yaml", "tasks:\n  A:\n    title: [\n");
  const torn = await run("--strict", "--format", "github");
  expect(torn.exit).toBe(1);
  expect(torn.stdout).toMatch(/^::error file=\.lodestar\/spec\.yaml,line=\d,col=\d+,title=lodestar doctor%3A spec::/);
});

import { counted } from "../../core/counted.ts";
import { VERSION } from "../../core/version.ts";
import type { Check } from "./examine.ts";

/** The forms of doctor's answer besides the one for people. */
export const REPORTS = ["github", "sarif", "junit"] as const;
type Report = (typeof REPORTS)[number];

export const isReport = (format: string | undefined): format is Report => REPORTS.some((one) => one === format);

/** What CI services read of the checks. With `strict` warnings are failures, and are written as such. */
export function report(format: Report, checks: readonly Check[], strict: boolean): string {
  const found = findings(checks, strict);
  switch (format) {
    case "github":
      return github(checks, found);
    case "sarif":
      return sarif(checks, found);
    case "junit":
      return junit(checks, strict);
  }
}

interface Finding extends Check {
  readonly level: "error" | "warning";
}

function findings(checks: readonly Check[], strict: boolean): Finding[] {
  return checks.flatMap((check): Finding[] => {
    if (check.status === "fail") return [{ ...check, level: "error" }];
    if (check.status === "warn") return [{ ...check, level: strict ? "error" : "warning" }];
    return [];
  });
}

const withFix = ({ message, fix }: Check): string => (fix === undefined ? message : `${message}\nFix: ${fix}`);

/**
 * GitHub's workflow commands, one for each finding. What is all right is only counted: a line of the repository's own words that
 * looked like a command would be one.
 *
 * @see https://docs.github.com/actions/reference/workflow-commands-for-github-actions
 */
function github(checks: readonly Check[], found: readonly Finding[]): string {
  const lines = found.map((finding) => {
    const { level, name, file, line, column } = finding;
    const properties = Object.entries({ file, line, col: column, title: `lodestar doctor: ${name}` })
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key}=${escaped(String(value)).replaceAll(":", "%3A").replaceAll(",", "%2C")}`);
    return `::${level} ${properties.join(",")}::${escaped(withFix(finding))}`;
  });
  return [...lines, `${counted(checks.length, "check")}, ${counted(found.length, "finding")}`].join("\n");
}

const escaped = (text: string): string => text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");

/** One line for each check that doctor knows: what it is about, however it turned out. */
const ABOUT: Readonly<Record<string, string>> = {
  clock: "The machine's clock has not stepped back",
  cycles: "No task waits for itself",
  dependencies: "Every dependency is there",
  hooks: "Git's hooks are as they were installed",
  ignores: "Git ignores the databases",
  index: "The index can be used",
  leases: "Leases belong to tasks that are there",
  leftovers: "No files of killed processes are left",
  lock: "The spec's lock is sound",
  merging: "Git merges the spec by tasks",
  outbox: "No outcome waits for a place that is gone",
  planes: "The spec holds every outcome of the runtime",
  prd: "What tasks cite says what it said",
  repair: "What --fix tried to mend is mended",
  repository: "There is a repository",
  runtime: "The runtime is sound and not committed",
  spec: "The spec can be read, and every task stands once",
};

/** @see https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html */
function sarif(checks: readonly Check[], found: readonly Finding[]): string {
  const names = [...new Set(checks.map(({ name }) => name))].sort();
  const log = {
    $schema: "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "lodestar doctor",
            version: VERSION,
            rules: names.map((id) => ({ id, shortDescription: { text: ABOUT[id] ?? id } })),
          },
        },
        columnKind: "unicodeCodePoints",
        results: found.map((finding) => ({
          ruleId: finding.name,
          ruleIndex: names.indexOf(finding.name),
          level: finding.level,
          message: { text: withFix(finding) },
          locations: [{ physicalLocation: place(finding) }],
        })),
      },
    ],
  };
  return ascii(JSON.stringify(log, null, 2));
}

/** Services that show results in the code pass over those without a place: what is about no line is about the spec. */
function place({ file = ".lodestar/spec.yaml", line, column }: Check) {
  const path = file.split("/").map(encodeURIComponent).join("/");
  const isAbsolute = /^(?:\/|[A-Za-z]:)/.test(file);
  const uri = isAbsolute ? `file://${path.startsWith("/") ? "" : "/"}${path.replace("%3A", ":")}` : path;
  return {
    artifactLocation: { uri },
    region: { startLine: line ?? 1, ...(column === undefined ? {} : { startColumn: column }) },
  };
}

/** JSON that any reader reads in any encoding, with nothing in it that would act on a terminal. */
const ascii = (json: string): string =>
  json.replace(/[^\n -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

/**
 * One test case a check, so that a service can follow it from run to run; `info` is a test that was skipped.
 *
 * @see https://github.com/testmoapp/junitxml for what services make of this format, which has no standard
 */
function junit(checks: readonly Check[], strict: boolean): string {
  const names = [...new Set(checks.map(({ name }) => name))];
  let failures = 0;
  let skipped = 0;
  const cases = names.flatMap((name) => {
    const own = checks.filter((check) => check.name === name);
    const bad = findings(own, strict);
    const failed = bad.filter(({ level }) => level === "error");
    const said = own.map((check) => `${check.status}: ${located(check)}${withFix(check)}`).join("\n");
    const first = failed[0];
    const opening = `    <testcase classname="lodestar.doctor" name="${xml(name)}">`;
    if (first !== undefined) {
      failures += 1;
      const message = failed.length === 1 ? first.message : `${first.message}, and ${failed.length - 1} more`;
      return [
        opening,
        `      <failure type="${first.status}" message="${xml(message)}">${xml(said)}</failure>`,
        "    </testcase>",
      ];
    }
    if (own.every(({ status }) => status === "info")) {
      skipped += 1;
      return [opening, `      <skipped message="${xml(said)}"/>`, "    </testcase>"];
    }
    return [opening, `      <system-out>${xml(said)}</system-out>`, "    </testcase>"];
  });
  const counts = `tests="${names.length}" failures="${failures}" errors="0" skipped="${skipped}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    "<testsuites>",
    `  <testsuite name="lodestar doctor" ${counts}>`,
    ...cases,
    "  </testsuite>",
    "</testsuites>",
  ].join("\n");
}

/** Where a check found something, before what it says. */
export function located({ file, line, column }: Pick<Check, "file" | "line" | "column">): string {
  return file === undefined ? "" : `${[file, line, column].filter((part) => part !== undefined).join(":")}: `;
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Text for XML 1.0, in content and in attributes alike; what may not stand in XML is replaced. */
function xml(text: string): string {
  return text.replace(/[^\n -~]|[&<>"\n]/gu, (character) => {
    const entity = ENTITIES[character];
    if (entity !== undefined) return entity;
    const code = character.codePointAt(0) ?? 0;
    const isForbidden =
      (code < 0x20 && !"\t\n\r".includes(character)) ||
      (code >= 0xd800 && code <= 0xdfff) ||
      (code & 0xfffe) === 0xfffe;
    return `&#x${(isForbidden ? 0xfffd : code).toString(16).toUpperCase()};`;
  });
}

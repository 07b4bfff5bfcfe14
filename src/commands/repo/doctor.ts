import { LodestarError } from "../../core/errors.ts";
import { Flag, Integer, List, OneOf, Optional, Shape, type Static, Text } from "../../core/schema.ts";
import { line, text, title, type View } from "../../core/view.ts";
import { command } from "../command.ts";
import { isReport, located, REPORTS, report } from "./doctor-report.ts";
import { examine } from "./examine.ts";
import { type Repaired, repair } from "./repair.ts";

const NOTHING: Repaired = { fixed: [], failed: [] };
const RESULTS = ["pass", "warn", "fail", "info"] as const;
const FORMATS = ["text", ...REPORTS] as const;

const Check = Shape({
  name: Text(),
  status: OneOf(RESULTS),
  message: Text(),
  fix: Optional(Text()),
  file: Optional(Text({ description: "From the worktree's root, with slashes; absolute when it lies elsewhere" })),
  line: Optional(Integer()),
  column: Optional(Integer({ description: "Characters, from 1" })),
});
const Input = Shape({
  fix: Optional(Flag({ description: "Repair what can be repaired safely" })),
  strict: Optional(Flag({ description: "Warnings are failures" })),
  format: Optional(
    OneOf(FORMATS, { description: "What CI reads: annotations, SARIF 2.1.0, JUnit XML (default text)" }),
  ),
});
const Output = Shape({ healthy: Flag(), checks: List(Check), fixed: Optional(List(Text())) });

export default command({
  name: "doctor",
  effect: "write",
  only_reads: (input) => input.fix !== true,
  summary: "Check the repository's health and say how to mend it",
  explain:
    "Looks at the spec (readable, every task once), the dependencies (missing ones, each cycle in full), the runtime (integrity, schema, clock), whether both planes are in step, the product documents that tasks cite, leases of deleted tasks, the index, the ignore rules, the merge driver and the hooks. Exit status 1 when something failed; --strict counts warnings too. --fix repairs what can be repaired without deciding for you: ignore rules, the merge driver, hooks that were changed, outcomes that the spec lacks, a damaged index or runtime, a lock that holds something, leftovers of killed processes. What is damaged is moved aside, never deleted (a lock, in which nothing is kept, is emptied); everything else names the command to type.\n\n--format is for continuous integration, and says on standard output what the exit status says: `github` writes annotations at the lines of the spec, `sarif` a report for code scanning, `junit` one test case a check. With --strict warnings count as errors in each. What is only `info`, such as how this clone is set up, is never a finding. With --json the answer is the data, whatever the format.",
  input: Input,
  output: Output,
  errors: ["UNHEALTHY"],
  examples: [
    { line: "lodestar doctor", shows: "Look" },
    { line: "lodestar doctor --fix", shows: "Look and mend" },
    { line: "lodestar doctor --strict --format github", shows: "In a workflow of GitHub Actions" },
    { line: "lodestar doctor --strict --format junit > doctor.xml", shows: "For a service that reads test reports" },
  ],
  run: async (input, context) => {
    const { fixed, failed: unmended } = input.fix === true ? await repair(context) : NOTHING;
    const checks = [...unmended, ...(await examine(context))];
    const healthy = checks.every(({ status }) => status !== "fail" && (input.strict !== true || status !== "warn"));
    const output = { healthy, checks, ...(fixed.length === 0 ? {} : { fixed: [...fixed] }) };
    if (healthy) return output;
    const bad = checks.filter(({ status }) => status === "fail" || (input.strict === true && status === "warn"));
    const failed = [...new Set(bad.map(({ name }) => name))];
    const what = bad.length === 1 ? "One check" : `${bad.length} checks`;
    throw new LodestarError("UNHEALTHY", `${what} failed: ${failed.join(", ")}`, {
      details: { data: output, view: () => show(output, input), failed },
    });
  },
  next: (_, { format }) => (isReport(format) ? [] : [{ command: "status", input: {}, why: "See where things stand" }]),
  view: show,
});

const MARKS = { pass: "✓", warn: "!", fail: "✗", info: "·" } as const;
const TONES = { pass: "good", warn: "warn", fail: "bad", info: "faint" } as const;

function show({ checks, healthy, fixed }: Static<typeof Output>, { format, strict }: Static<typeof Input>): View[] {
  if (isReport(format)) return [text(report(format, checks, strict === true))];
  const isClean = checks.every(({ status }) => status !== "warn");
  const verdict = healthy ? (isClean ? "All checks passed." : "No check failed.") : "Some checks failed.";
  return [
    title("Health Check"),
    ...(fixed ?? []).map((what) => line(`fixed: ${what}`, "good", 1)),
    ...checks.flatMap(({ name, status, message, fix, ...place }): View[] => [
      line(`${MARKS[status]} ${name}: ${located(place)}${message}`, TONES[status], 1),
      ...(fix === undefined ? [] : [line(`Fix: ${fix}`, "plain", 3)]),
    ]),
    line(verdict, healthy ? "good" : "bad"),
  ];
}

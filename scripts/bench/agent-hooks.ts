/**
 * Measures the hooks of coding agents against an empty program compiled with the same flags, in turn in one run:
 *
 *   bun scripts/bench/agent-hooks.ts             25 rounds
 *   bun scripts/bench/agent-hooks.ts --runs 60   so many
 *
 * Prints medians of elapsed and of processor time, with their ratio to the empty program's. Nothing is asserted.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, compile } from "../../build.ts";

const at = process.argv.indexOf("--runs");
const RUNS = at < 0 ? 25 : Number(process.argv[at + 1]);
const scratch = mkdtempSync(join(tmpdir(), "lodestar-agent-hooks-"));
const program = build();
const empty = join(scratch, "empty");
compile(join(import.meta.dir, "floors", "empty.ts"), empty);
const [here, alone, elsewhere] = ["here", "alone", "elsewhere"].map((name) => join(scratch, name)) as [
  string,
  string,
  string,
];
const env = { PATH: process.env.PATH ?? "", HOME: scratch, LODESTAR_AGENT: "ADA" };
const run = (argv: readonly string[], cwd: string, stdin: Uint8Array = new Uint8Array()) => {
  const started = Bun.nanoseconds();
  const ran = Bun.spawnSync([...argv], { cwd, env, stdin, stdout: "pipe", stderr: "pipe" });
  return {
    exit: ran.exitCode,
    elapsed: (Bun.nanoseconds() - started) / 1e6,
    cpu: Number(ran.resourceUsage.cpuTime.total) / 1000,
  };
};
for (const folder of [here, alone, elsewhere]) {
  mkdirSync(folder);
  run(["git", "init", "-q"], folder);
}
/** What brings about a state: a line that fails would leave nothing to measure. */
function prepare(cwd: string, lines: readonly string[]): void {
  for (const line of lines) {
    const { exit } = run([program, ...line.split(" ")], cwd);
    if (exit !== 0) throw new Error(`lodestar ${line}: exit status ${exit}`);
  }
}
prepare(here, [
  "init --no-agents-md",
  "agent join --id ADA",
  "agent join --id BEN",
  "task create --id A --title A --lock src/a/**",
  "task create --id B --title B --lock src/b/**",
  "task claim A --agent ADA",
  "task claim B --agent BEN",
]);
prepare(alone, [
  "init --no-agents-md",
  "agent join --id ADA",
  "task create --id A --title A",
  "task claim A --agent ADA",
]);

const editing = (file_path: string) =>
  new TextEncoder().encode(
    JSON.stringify({ session_id: "s", cwd: here, tool_name: "Edit", tool_input: { file_path } }),
  );
const [free, locked] = [editing("src/c.ts"), editing("src/b/c.ts")];
const hook = (event: string) => [program, "hook", event, "--tool", "claude"];
const cases: readonly (readonly [name: string, argv: readonly string[], cwd: string, said: Uint8Array])[] = [
  ["empty program", [empty], here, free],
  ["hook pre-edit, no Lodestar there", hook("pre-edit"), elsewhere, free],
  ["hook pre-edit, nobody else's locks", hook("pre-edit"), alone, free],
  ["hook pre-edit, others' locks elsewhere", hook("pre-edit"), here, free],
  ["hook pre-edit, refused", hook("pre-edit"), here, locked],
  ["hook post-tool", hook("post-tool"), here, free],
  ["hook stop", hook("stop"), here, free],
  ["hook session-start", hook("session-start"), here, free],
];
const costs = cases.map(([name]) => ({ name, elapsed: [] as number[], cpu: [] as number[] }));
for (let round = 0; round < RUNS; round += 1) {
  for (const [i, [, argv, cwd, said]] of cases.entries()) {
    const { elapsed, cpu } = run(argv, cwd, said);
    costs[i]?.elapsed.push(elapsed);
    costs[i]?.cpu.push(cpu);
  }
}
const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const [floor] = costs;
for (const { name, elapsed, cpu } of costs) {
  const said = (of: readonly number[], base: readonly number[] = []) =>
    `${median(of).toFixed(1).padStart(6)} ms ${(median(of) / median(base)).toFixed(2)} ×`;
  console.log(`${name.padEnd(38)} elapsed ${said(elapsed, floor?.elapsed)}   processor ${said(cpu, floor?.cpu)}`);
}
rmSync(scratch, { recursive: true, force: true });

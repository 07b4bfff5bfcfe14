/**
 * Where a call spends its instructions, from its start to points on its way (docs/performance.md):
 *
 *   bun run scripts/bench/profile.ts [--tasks 10000]
 *
 * Then how far the floors are from it: the empty program, Q, and L, which does the least of what a call that looks at both planes must do;
 * in instructions, and in time, in turn.
 *
 * Compiles a copy of the sources that can be made to end at each point, with the product's flags, and counts with valgrind. Instructions
 * do not depend on what else the machine does; of the kernel's work and of waiting they say nothing.
 */
import { Database } from "bun:sqlite";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, compile as compileFloor, defines, FLAGS } from "../../build.ts";
import { stage } from "../build/chunks.ts";
import { generateSpec, PRD } from "./generate.ts";
import { instructions } from "./instructions.ts";

const ROOT = join(import.meta.dir, "..", "..");
const at = process.argv.indexOf("--tasks");
const TASKS = Number(at < 0 ? 1000 : process.argv[at + 1]);

/** The point lies before the text that is found; each is named for what was done until then. */
const POINTS: readonly { readonly name: string; readonly file: string; readonly find: string }[] = [
  { name: "the process and its runtime", file: "main.ts", find: "/** The question for the version" },
  { name: "modules loaded", file: "start.ts", find: "  const servers =" },
  { name: "the line understood, the command loaded", file: "cli/run.ts", find: "    switch (call.kind) {" },
  { name: "the repository found", file: "cli/run.ts", find: "  if (command.stream?.asked(input)) return" },
  { name: "the spec's index opened and read", file: "commands/look.ts", find: "  return lookWith(" },
  { name: "the runtime opened", file: "commands/look.ts", find: "  if (header === undefined) throw" },
  { name: "the runtime looked at", file: "commands/look.ts", find: "  const isMirrored =" },
  { name: "decided, and a lease granted", file: "cli/run.ts", find: "  if (command.raw !== undefined" },
];

/** So many times each program is timed. */
const ROUNDS = 41;

const scratch = mkdtempSync(join(tmpdir(), "lodestar-profile-"));
const sources = join(ROOT, "dist", `.profile-${process.pid}`);

const ENV = { PATH: process.env.PATH, HOME: scratch };

function sh(argv: readonly string[], cwd: string) {
  const run = Bun.spawnSync([...argv], { cwd, env: ENV });
  if (run.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${run.stdout.toString()}${run.stderr.toString()}`);
}

function compile(): string {
  const entry = stage(ROOT, sources, "src/main.ts");
  for (const [i, { file, find }] of POINTS.entries()) {
    const path = join(sources, "src", file);
    const text = readFileSync(path, "utf8");
    if (text.split(find).length !== 2) throw new Error(`src/${file} has not exactly one place with: ${find}`);
    writeFileSync(path, text.replace(find, `if (process.env.LODESTAR_END === "${i}") process.exit(0);\n${find}`));
  }
  const program = join(scratch, "lodestar");
  sh([process.execPath, "build", ...FLAGS, ...defines(undefined, false), entry, `--outfile=${program}`], sources);
  return program;
}

/** The floors' instructions, and the median times of whole processes, in turn. */
function floors(program: string, folder: string): void {
  const made = (name: string) => compileFloor(join(import.meta.dir, "floors", `${name}.ts`), join(scratch, name));
  const data = join(scratch, "floor.sqlite");
  const database = new Database(data, { create: true });
  database.run("pragma journal_mode = wal; create table t (text text)");
  database.close();
  const rows: readonly (readonly [name: string, argv: readonly string[]])[] = [
    ["E, an empty program", [made("empty")]],
    ["Q, one database and one query", [made("query"), data]],
    ["L, the least of a call that looks at both planes", [made("look")]],
    ["`task next --json`", [program, "task", "next", "--json"]],
  ];
  const times = rows.map(() => [] as number[]);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [i, [, argv]] of rows.entries()) {
      const started = Bun.nanoseconds();
      sh(argv, folder);
      times[i]?.push((Bun.nanoseconds() - started) / 1e6);
    }
  }
  const medians = times.map((all) => all.sort((a, b) => a - b)[ROUNDS >> 1] ?? Number.NaN);
  console.log("\n| | millions of instructions | ms | × Q |\n| --- | --- | --- | --- |");
  for (const [i, [name, argv]] of rows.entries()) {
    const [ms = Number.NaN, query = Number.NaN] = [medians[i], medians[1]];
    console.log(
      `| ${name} | ${(instructions(argv, folder, ENV) / 1e6).toFixed(1)} | ${ms.toFixed(1)} | ${(ms / query).toFixed(2)} |`,
    );
  }
}

function repository(program: string): string {
  const folder = join(scratch, "repository");
  mkdirSync(join(folder, ".lodestar"), { recursive: true });
  sh(["git", "init", "-q", "-b", "main"], folder);
  writeFileSync(join(folder, ".lodestar", "spec.yaml"), generateSpec(TASKS));
  writeFileSync(join(folder, "PRD.md"), PRD);
  sh([program, "agent", "join", "--id", "A", "--json"], folder);
  sh([program, "task", "next", "--claim", "--agent", "A", "--json"], folder);
  return folder;
}

/** Instructions of one call, in a repository of its own. */
function count(program: string, from: string, words: readonly string[], end: string): number {
  const folder = join(scratch, "one");
  cpSync(from, folder, { recursive: true });
  // The copy has other inodes: what the index and the runtime remember of them is brought up to date first.
  sh([program, "task", "next", "--claim", "--another", "--agent", "A", "--json"], folder);
  const counted = instructions([program, ...words], folder, { ...ENV, LODESTAR_END: end });
  rmSync(folder, { recursive: true });
  return counted;
}

try {
  const program = compile();
  const from = repository(program);
  const calls = [
    ["task", "next", "--json"],
    ["task", "next", "--claim", "--another", "--agent", "A", "--json"],
  ];
  console.log(
    `| millions of instructions, ${TASKS} tasks | ${calls.map((words) => `\`${words.join(" ")}\``).join(" | ")} |`,
  );
  console.log(`| --- |${calls.map(() => " --- |").join("")}`);
  const before = calls.map(() => 0);
  for (const [i, name] of [...POINTS.map((point) => point.name), "the answer written, the process ended"].entries()) {
    const cells = calls.map((words, call) => {
      const sum = count(program, from, words, String(i));
      const own = sum - (before[call] ?? 0);
      before[call] = sum;
      return `${(own / 1e6).toFixed(1)}`;
    });
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
  console.log(`| together | ${before.map((sum) => (sum / 1e6).toFixed(1)).join(" | ")} |`);
  floors(build(), from);
} finally {
  for (const folder of [scratch, sources]) rmSync(folder, { recursive: true, force: true });
}

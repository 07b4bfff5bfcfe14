/**
 * All that must hold before a change goes in. The last line is exactly `N passed, N failed`: N tests, and one failure for
 * each other check that does not hold. Every program is started through this very Bun, so that npm alone is enough on the
 * machine (`npx -y bun@1.4.5 run check`).
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import packageJson from "../package.json";

const ROOT = join(import.meta.dir, "..");
const JUNIT = join(ROOT, "dist", "junit.xml");

/** Runs a program with this Bun, its output on standard error, so that standard output ends with the one plain line. */
function run(title: string, args: readonly string[]): boolean {
  console.error(`\n==> ${title}`);
  const started = performance.now();
  const { exitCode } = Bun.spawnSync([process.execPath, ...args], {
    cwd: ROOT,
    stdin: "ignore",
    stdout: 2,
    stderr: "inherit",
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.error(exitCode === 0 ? `    ok, ${seconds} s` : `    FAILED (exit status ${exitCode}), ${seconds} s`);
  return exitCode === 0;
}

/** Is every package there in the version that package.json pins? */
function installed(): boolean {
  const pinned = { ...packageJson.dependencies, ...packageJson.devDependencies };
  return Object.entries(pinned).every(([name, version]) => {
    const path = join(ROOT, "node_modules", name, "package.json");
    return existsSync(path) && JSON.parse(readFileSync(path, "utf8")).version === version;
  });
}

/** Totals of the test run, from its report. */
function totals(): { readonly passed: number; readonly failed: number } | undefined {
  if (!existsSync(JUNIT)) return undefined;
  const [, head = ""] = /<testsuites\b([^>]*)>/.exec(readFileSync(JUNIT, "utf8")) ?? [];
  const count = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  const failed = count("failures") + count("errors");
  return { passed: count("tests") - failed - count("skipped"), failed };
}

let failed = 0;
const must = (held: boolean) => {
  if (!held) failed++;
  return held;
};

mkdirSync(join(ROOT, "dist"), { recursive: true });
if (installed() || must(run("install", ["install", "--frozen-lockfile"]))) {
  must(run("format and lint", ["node_modules/@biomejs/biome/bin/biome", "ci"]));
  must(run("types", ["node_modules/typescript/bin/tsc", "--noEmit"]));
  must(run("seeded bugs", ["test/simulation/mutants.ts"]));
  must(run("generated pages", ["scripts/docs.ts", "--check"]));
  must(run("build", ["build.ts"]));
}

rmSync(JUNIT, { force: true });
// Much of a test of processes is waiting: several files at once.
const parallel = `--parallel=${Math.max(2, availableParallelism())}`;
const ran = run("tests", ["test", "--timeout=60000", parallel, "--reporter=junit", `--reporter-outfile=${JUNIT}`]);
const tests = totals() ?? { passed: 0, failed: 0 };
// A file that cannot even be loaded is no failed test in the report, but it is a failure.
failed += ran ? tests.failed : Math.max(1, tests.failed);
console.log(`${tests.passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

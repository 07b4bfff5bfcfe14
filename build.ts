/**
 * Compiles Lodestar into one file that needs nothing else.
 *
 *   bun run build                   dist/lodestar, for this machine
 *   bun run build --target <name>…  dist/<target>/lodestar, for other platforms
 *   bun run build --all             for every platform, and all that a release is made of in dist/release/ and dist/npm/
 *
 * `LODESTAR_RELEASES` says where the release will be found; without it, what package.json says.
 */
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import packageJson from "./package.json";
import { stage } from "./scripts/build/chunks.ts";

const ROOT = import.meta.dir;
const DIST = join(ROOT, "dist");

/**
 * Every platform that has a program of its own. musl builds need libstdc++ and libgcc where they run. The baseline builds are for
 * processors without AVX2; the pinned Bun has one runtime for both, so that they are the same bytes (docs/design/releases.md).
 */
export const TARGETS = [
  "linux-x64",
  "linux-x64-baseline",
  "linux-arm64",
  "linux-x64-musl",
  "linux-x64-musl-baseline",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "windows-x64",
  "windows-arm64",
] as const;

export type Target = (typeof TARGETS)[number];

/** Where releases are: what `latest/download/` and `download/v<version>/` are appended to. */
export const RELEASES = (process.env.LODESTAR_RELEASES || packageJson.releases).replace(/\/+$/, "");

/**
 * Bytecode and splitting together are what makes start-up fast; bytecode works with lazy imports only as ESM. A map of the sources in
 * the program would cost every call a tenth of its time, and so do machine code compiled for what runs once. The last
 * four are security: without them the program would run what the bunfig.toml of the directory it is started in names, and
 * read that directory's .env.
 */
export const FLAGS = [
  "--compile",
  "--minify",
  "--bytecode",
  "--format=esm",
  "--splitting",
  "--sourcemap=none",
  "--compile-jit-policy=4",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
];

/** The target of the machine that builds; `undefined` where there is none of its name. */
function hostTarget(): Target | undefined {
  const system = { linux: "linux", darwin: "darwin", win32: "windows" }[process.platform as string];
  const loaders = ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"];
  const isMusl =
    system === "linux" && !loaders.some((name) => existsSync(`/lib64/${name}`) || existsSync(`/lib/${name}`));
  return TARGETS.find((target) => target === `${system}-${process.arch}${isMusl ? "-musl" : ""}`);
}

/** The constants that are compiled in: faults for tests (src/core/fault.ts), and what `upgrade` needs to know (src/core/release.ts). */
export function defines(target: string | undefined, faults: boolean): string[] {
  return [
    `LODESTAR_TEST_FAULTS=${faults}`,
    `LODESTAR_RELEASES=${JSON.stringify(RELEASES)}`,
    `LODESTAR_TARGET=${JSON.stringify(target ?? hostTarget() ?? "")}`,
  ].map((constant) => `--define=${constant}`);
}

/**
 * Compiles one entry file with the product's flags. The file appears whole or not at all, also when two builds run at once.
 *
 * @param entry a file of the project.
 * @param path where the program goes.
 * @param faults whether the points of src/core/fault.ts are compiled in; never in the product.
 * @returns that path.
 */
export function compile(
  entry: string,
  path: string,
  target?: string,
  faults: "no faults" | "faults" = "no faults",
): string {
  const scratch = join(dirname(path), `.build-${process.pid}`);
  const sources = join(DIST, `.sources-${process.pid}`);
  mkdirSync(scratch, { recursive: true });
  try {
    const staged = stage(ROOT, sources, relative(ROOT, resolve(ROOT, entry)));
    // The name of the file is part of what is compiled: always the same, so that the bytes are, too.
    const made = join(scratch, basename(path));
    const wanted = [
      ...defines(target, faults === "faults"),
      ...(target === undefined ? [] : [`--target=bun-${target}`]),
    ];
    const run = Bun.spawnSync([process.execPath, "build", ...FLAGS, ...wanted, staged, `--outfile=${made}`], {
      cwd: sources,
      stdout: "pipe",
      stderr: "pipe",
    });
    if (run.exitCode !== 0) throw new Error(`bun build failed:\n${run.stdout.toString()}${run.stderr.toString()}`);
    renameSync(made, path);
    return path;
  } finally {
    for (const folder of [scratch, sources]) rmSync(folder, { recursive: true, force: true });
  }
}

/** Compiles Lodestar for one target, or for this machine. @returns the path of the program. */
export function build(target?: Target): string {
  const isWindows = target?.startsWith("windows") || (target === undefined && process.platform === "win32");
  const folder = target === undefined ? DIST : join(DIST, target);
  return compile("src/main.ts", join(folder, isWindows ? "lodestar.exe" : "lodestar"), target);
}

/** Compiles the program that tests make fail on purpose (src/core/fault.ts). @returns the path of the program. */
export function buildFaulty(): string {
  const folder = join(DIST, "test");
  mkdirSync(folder, { recursive: true });
  return compile("test/support/faulty.ts", join(folder, "lodestar"), undefined, "faults");
}

const isTarget = (name: string): name is Target => (TARGETS as readonly string[]).includes(name);

if (import.meta.main) {
  const args = process.argv.slice(2);
  const named = args.flatMap((word, i) => (args[i - 1] === "--target" ? [word] : []));
  const unknown = args.filter((word, i) => word !== "--all" && word !== "--target" && args[i - 1] !== "--target");
  const targets = named.filter(isTarget);
  if (unknown.length > 0 || targets.length < named.length) {
    const strange = [...unknown, ...named.filter((name) => !isTarget(name))];
    console.error(`Unknown: ${strange.join(" ")}. Targets: ${TARGETS.join(", ")}.`);
    process.exit(2);
  }
  const show = (path: string) =>
    console.log(`${path.slice(ROOT.length + 1)}  ${(statSync(path).size / 1e6).toFixed(1)} MB`);
  if (args.includes("--all")) {
    const { release } = await import("./scripts/release/release.ts");
    const programs = new Map(TARGETS.map((target) => [target, build(target)]));
    for (const path of await release(programs, DIST)) show(path);
  } else for (const target of targets.length > 0 ? targets : [undefined]) show(build(target));
}

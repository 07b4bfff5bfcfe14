/**
 * Compiles Lodestar into one file that needs nothing else.
 *
 *   bun run build                   dist/lodestar, for this machine
 *   bun run build --all             dist/<target>/lodestar, for every platform
 *   bun run build --target <name>…  some of them
 */
import { mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const ROOT = import.meta.dir;
const DIST = join(ROOT, "dist");

/** Every platform that the pinned Bun compiles for. musl builds need libstdc++ and libgcc where they run. */
export const TARGETS = [
  "linux-x64",
  "linux-x64-baseline",
  "linux-arm64",
  "linux-x64-musl",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "windows-x64",
  "windows-arm64",
] as const;

/**
 * Bytecode and splitting together are what makes start-up fast; bytecode works with lazy imports only as ESM. The last
 * four are security: without them the program would run what the bunfig.toml of the directory it is started in names, and
 * read that directory's .env.
 */
const FLAGS = [
  "--compile",
  "--minify",
  "--bytecode",
  "--format=esm",
  "--splitting",
  "--sourcemap=inline",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
];

/**
 * Compiles one entry file with the product's flags. The file appears whole or not at all, also when two builds run at once.
 *
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
  mkdirSync(scratch, { recursive: true });
  try {
    // The name of the file is part of what is compiled: always the same, so that the bytes are, too.
    const made = join(scratch, basename(path));
    const wanted = [
      `--define=LODESTAR_TEST_FAULTS=${faults === "faults"}`,
      ...(target === undefined ? [] : [`--target=bun-${target}`]),
    ];
    const run = Bun.spawnSync([process.execPath, "build", ...FLAGS, ...wanted, entry, `--outfile=${made}`], {
      cwd: ROOT,
      stdout: "pipe",
      stderr: "pipe",
    });
    if (run.exitCode !== 0) throw new Error(`bun build failed:\n${run.stdout.toString()}${run.stderr.toString()}`);
    renameSync(made, path);
    return path;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Compiles Lodestar for one target, or for this machine. @returns the path of the program. */
export function build(target?: string): string {
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

if (import.meta.main) {
  const args = process.argv.slice(2);
  const named = args.flatMap((word, i) => (args[i - 1] === "--target" ? [word] : []));
  const unknown = args.filter((word, i) => word !== "--all" && word !== "--target" && args[i - 1] !== "--target");
  const strange = named.filter((name) => !(TARGETS as readonly string[]).includes(name));
  if (unknown.length > 0 || strange.length > 0) {
    console.error(`Unknown: ${[...unknown, ...strange].join(" ")}. Targets: ${TARGETS.join(", ")}.`);
    process.exit(2);
  }
  const targets = args.includes("--all") ? TARGETS : named.length > 0 ? named : [undefined];
  for (const target of targets) {
    const path = build(target);
    console.log(`${path.slice(ROOT.length + 1)}  ${(statSync(path).size / 1e6).toFixed(0)} MB`);
  }
}
